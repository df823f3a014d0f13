/* Executable graphs. A launch goes by the graph's plan, and stands behind the launch before it of
 * the same executable graph, whatever stream that went to. */
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/graph_plan.h"
#include "softgpu/engine/graph_update.h"

#define INSTANTIATE_FLAGS                                                                   \
    (CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD | \
     CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY)

struct exec {
    uint64_t handle;
    uint64_t flags;
    pthread_mutex_t lock;          /* held while a launch is submitted */
    struct weft_soft_graph *graph; /* lock; owned, ordered */
    struct weft_soft_plan *plan;   /* lock; owned; of the graph */
    uint64_t source;               /* the handle of its graph, if that has memory nodes; 0 else */
    struct weft_soft_graph *older; /* lock; owned: before an update; the next launch frees of it */
    struct weft_soft_fence *last;  /* lock; referenced: the end of the last launch; NULL: none */
};

/* The graph may have another executable graph now. Graph lock held. */
static void release_source(const struct exec *exec)
{
    struct weft_soft_graph *graph = weft_soft_graph_by_handle((CUgraph)(uintptr_t)exec->source);
    if (graph)
        graph->is_executable = false;
}

static void release_exec(void *object)
{
    struct exec *exec = object;
    if (exec->source) {
        weft_soft_graph_lock();
        release_source(exec);
        weft_soft_graph_unlock();
    }
    weft_soft_plan_destroy(exec->plan);
    weft_soft_graph_destroy(exec->older);
    if (exec->graph)
        weft_soft_graph_objects_finish(exec->graph, exec->last);
    weft_soft_graph_destroy(exec->graph);
    weft_soft_fence_put(exec->last);
    pthread_mutex_destroy(&exec->lock);
    free(exec);
}

/* A copy that can be launched, and how. */
static CUresult prepare(struct weft_soft_graph *from, struct weft_soft_graph **out,
                        struct weft_soft_plan **plan)
{
    struct weft_soft_graph *graph;
    CUresult result = weft_soft_graph_copy(&graph, from, false);
    if (result)
        return result;
    result = weft_soft_graph_order(graph);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_memory_collect(graph);
    if (result == CUDA_SUCCESS)
        result = weft_soft_plan_create(plan, graph);
    if (result)
        weft_soft_graph_destroy(graph);
    else
        *out = graph;
    return result;
}

static CUresult create_exec(CUgraphExec *out, struct weft_soft_graph *from, uint64_t flags)
{
    struct exec *exec = calloc(1, sizeof(*exec));
    if (!exec)
        return CUDA_ERROR_OUT_OF_MEMORY;
    exec->flags = flags;
    pthread_mutex_init(&exec->lock, NULL);
    CUresult result = prepare(from, &exec->graph, &exec->plan);
    if (result == CUDA_SUCCESS) {
        exec->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_GRAPH_EXEC, exec, release_exec);
        result = exec->handle ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (result) {
        release_exec(exec);
        return result;
    }
    if (exec->graph->memory_count) {
        from->is_executable = true;
        exec->source = from->handle;
    }
    *out = (CUgraphExec)(uintptr_t)exec->handle;
    return CUDA_SUCCESS;
}

/* Of INSTANTIATE_FLAGS. *why is the reason as far as CUDA has a name for it. */
static CUresult instantiate_flagged(CUgraphExec *out, CUgraph handle, unsigned long long flags,
                                    CUgraphInstantiateResult *why)
{
    *why = CUDA_GRAPH_INSTANTIATE_ERROR;
    if (!out || (flags & ~(unsigned long long)INSTANTIATE_FLAGS))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH)
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph *graph = weft_soft_graph_by_handle(handle);
    if (!graph || graph->is_captured || graph->is_moved)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    if (graph->is_executable)
        return weft_soft_graph_leave(CUDA_ERROR_NOT_SUPPORTED);
    result = create_exec(out, graph, flags);
    if (result == CUDA_SUCCESS)
        *why = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    else if (result == CUDA_ERROR_INVALID_VALUE)
        *why = CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE; /* its edges make a circle */
    return weft_soft_graph_leave(result);
}

/* Only the call with params says in which stream to upload. */
static CUresult instantiate(CUgraphExec *out, CUgraph handle, unsigned long long flags)
{
    CUgraphInstantiateResult why;
    if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
        return CUDA_ERROR_INVALID_VALUE;
    return instantiate_flagged(out, handle, flags, &why);
}

/* Which node is at fault is never known better than the result tells. */
static CUresult instantiate_logged(CUgraphExec *out, CUgraph handle, CUgraphNode *error_node,
                                   char *log, size_t log_bytes)
{
    if (error_node)
        *error_node = NULL;
    if (log && log_bytes > 0)
        log[0] = '\0';
    return instantiate(out, handle, 0);
}

/* Under a new reference. */
static CUresult enter_exec(CUgraphExec handle, struct exec **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_GRAPH_EXEC, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static void leave_exec(struct exec *exec)
{
    weft_soft_handle_put(exec->handle);
}

static CUresult free_older(struct exec *exec, struct weft_soft_stream *stream)
{
    if (!exec->older)
        return CUDA_SUCCESS;
    CUresult result = weft_soft_graph_memory_free_remains(exec->older, stream);
    if (result == CUDA_SUCCESS)
        weft_soft_graph_destroy(weft_steal(exec->older));
    return result;
}

static CUresult launch_plan(struct exec *exec, struct weft_soft_stream *stream)
{
    if (!exec->source)
        return weft_soft_plan_launch(exec->plan, stream);
    bool auto_free = exec->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    CUresult result = free_older(exec, stream);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_memory_prepare(exec->graph, auto_free, stream->context);
    if (result == CUDA_SUCCESS)
        result = weft_soft_plan_launch(exec->plan, stream);
    weft_soft_graph_memory_unclaim(exec->graph, stream->context);
    return result;
}

/* With the lock of `exec`. */
static CUresult launch_exec(struct exec *exec, struct weft_soft_stream *stream)
{
    struct weft_soft_fence *end = weft_soft_fence_create();
    if (!end)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = CUDA_SUCCESS;
    if (exec->last && !atomic_load(&exec->last->done)) {
        weft_soft_fence_get(exec->last);
        result = weft_soft_fence_submit(stream, WEFT_SOFT_OP_WAIT, exec->last);
    }
    if (result == CUDA_SUCCESS)
        result = launch_plan(exec, stream);
    weft_soft_fence_get(end);
    CUresult ended = weft_soft_fence_submit(stream, WEFT_SOFT_OP_RECORD, end);
    if (ended == CUDA_SUCCESS) {
        weft_soft_fence_put(exec->last);
        exec->last = end;
    } else {
        weft_soft_fence_put(end);
    }
    return result ? result : ended;
}

static CUresult launch_locked(struct exec *exec, struct weft_soft_stream *stream)
{
    pthread_mutex_lock(&exec->lock);
    CUresult result = launch_exec(exec, stream);
    pthread_mutex_unlock(&exec->lock);
    if (result == CUDA_SUCCESS && weft_soft.launch_blocking)
        result = weft_soft_stream_wait(stream);
    return result;
}

/* A launch into a stream that captures is a child graph there, as the executable graph is now. */
static CUresult capture_exec(struct exec *exec, struct weft_soft_stream *stream)
{
    struct weft_soft_graph *copy;
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    pthread_mutex_lock(&exec->lock);
    result = exec->source ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
                          : weft_soft_graph_copy(&copy, exec->graph, true);
    pthread_mutex_unlock(&exec->lock);
    if (result)
        return weft_soft_graph_leave(result);
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_GRAPH,
                                .graph.graph = (CUgraph)(uintptr_t)copy->handle};
    result = weft_soft_capture_add_locked(stream, &params);
    weft_soft_graph_destroy(copy);
    return weft_soft_graph_leave(result);
}

static CUresult launch(CUgraphExec handle, CUstream stream_handle, bool per_thread)
{
    struct exec *exec;
    struct weft_soft_stream *stream;
    CUresult result = enter_exec(handle, &exec);
    if (result)
        return result;
    result = weft_soft_stream_enter(stream_handle, per_thread, &stream);
    if (result == CUDA_SUCCESS) {
        result = weft_soft_stream_captures(stream) ? capture_exec(exec, stream)
                                                   : launch_locked(exec, stream);
        weft_soft_stream_put(stream);
    }
    leave_exec(exec);
    return result;
}

static CUresult launch_legacy(CUgraphExec handle, CUstream stream)
{
    return launch(handle, stream, false);
}

static CUresult launch_ptsz(CUgraphExec handle, CUstream stream)
{
    return launch(handle, stream, true);
}

/* Of what a graph holds only its memory has to be there: the device reads what the host keeps. */
static CUresult upload(CUgraphExec handle, CUstream stream_handle, bool per_thread)
{
    struct exec *exec;
    struct weft_soft_stream *stream;
    CUresult result = enter_exec(handle, &exec);
    if (result)
        return result;
    result = weft_soft_stream_enter(stream_handle, per_thread, &stream);
    if (result == CUDA_SUCCESS) {
        result = weft_soft_capture_refuse(stream);
        weft_soft_stream_put(stream);
    }
    pthread_mutex_lock(&exec->lock);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_memory_back(exec->graph);
    pthread_mutex_unlock(&exec->lock);
    leave_exec(exec);
    return result;
}

static CUresult upload_legacy(CUgraphExec handle, CUstream stream)
{
    return upload(handle, stream, false);
}

static CUresult upload_ptsz(CUgraphExec handle, CUstream stream)
{
    return upload(handle, stream, true);
}

static CUresult destroy(CUgraphExec handle)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    bool closed = weft_soft_handle_close(WEFT_SOFT_HANDLE_GRAPH_EXEC, (uint64_t)(uintptr_t)handle);
    return closed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult instantiate_with_params(CUgraphExec *out, CUgraph handle,
                                        CUDA_GRAPH_INSTANTIATE_PARAMS *params, bool per_thread)
{
    if (!params)
        return CUDA_ERROR_INVALID_VALUE;
    params->hErrNode_out = NULL;
    CUresult result = instantiate_flagged(out, handle, params->flags, &params->result_out);
    if (result || !(params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD))
        return result;
    result = upload(*out, params->hUploadStream, per_thread);
    if (result) {
        params->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
        destroy(*out);
    }
    return result;
}

static CUresult instantiate_with_params_legacy(CUgraphExec *out, CUgraph graph,
                                               CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    return instantiate_with_params(out, graph, params, false);
}

static CUresult instantiate_with_params_ptsz(CUgraphExec *out, CUgraph graph,
                                             CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    return instantiate_with_params(out, graph, params, true);
}

static CUresult get_flags(CUgraphExec handle, cuuint64_t *out)
{
    struct exec *exec;
    CUresult result = enter_exec(handle, &exec);
    if (result)
        return result;
    if (out)
        *out = exec->flags;
    leave_exec(exec);
    return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* What the graph's launches left allocated the next launch frees, if it is to do that. */
static void keep_older(struct exec *exec, struct weft_soft_graph **graph)
{
    bool auto_free = exec->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    if (auto_free && !exec->older && weft_soft_graph_memory_remains(*graph))
        exec->older = weft_steal(*graph);
}

static void replace_graph(struct exec *exec, struct weft_soft_graph *from,
                          struct weft_soft_graph **updated, struct weft_soft_plan **plan)
{
    weft_soft_graph_hand_over(*updated);
    WEFT_SWAP(exec->graph, *updated);
    WEFT_SWAP(exec->plan, *plan);
    if (!exec->source)
        return;
    release_source(exec);
    from->is_executable = true;
    exec->source = from->handle;
    keep_older(exec, updated);
}

/* A graph with memory nodes has one executable graph at a time: after an update that is this one.
 */
static struct weft_soft_graph_verdict
judge(const struct exec *exec, const struct weft_soft_graph *from, struct weft_soft_graph *updated)
{
    struct weft_soft_graph_verdict verdict =
        weft_soft_graph_compare(exec->graph, updated, exec->flags);
    if (!verdict.result && from->is_executable && exec->source != from->handle)
        verdict = (struct weft_soft_graph_verdict){CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED,
                                                   updated->memory[0]->origin, 0};
    return verdict;
}

static CUresult update_exec(struct exec *exec, CUgraph handle, CUgraphExecUpdateResultInfo *info)
{
    struct weft_soft_graph *from = weft_soft_graph_by_handle(handle), *updated;
    if (!from || from->is_captured || from->is_moved)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_plan *plan;
    CUresult result = prepare(from, &updated, &plan);
    if (result)
        return result;
    pthread_mutex_lock(&exec->lock);
    struct weft_soft_graph_verdict verdict = judge(exec, from, updated);
    info->result = verdict.result;
    if (verdict.result == CU_GRAPH_EXEC_UPDATE_SUCCESS) {
        replace_graph(exec, from, &updated, &plan);
    } else {
        info->errorNode = (CUgraphNode)(uintptr_t)verdict.node;
        info->errorFromNode = (CUgraphNode)(uintptr_t)verdict.from;
        result = CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    }
    pthread_mutex_unlock(&exec->lock);
    weft_soft_plan_destroy(plan);
    if (updated)
        weft_soft_graph_objects_finish(updated, exec->last);
    weft_soft_graph_destroy(updated);
    return result;
}

static CUresult update_v2(CUgraphExec exec_handle, CUgraph handle,
                          CUgraphExecUpdateResultInfo *info)
{
    struct exec *exec;
    if (!info)
        return CUDA_ERROR_INVALID_VALUE;
    *info = (CUgraphExecUpdateResultInfo){.result = CU_GRAPH_EXEC_UPDATE_ERROR};
    CUresult result = enter_exec(exec_handle, &exec);
    if (result)
        return result;
    result = weft_soft_graph_enter();
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_leave(update_exec(exec, handle, info));
    leave_exec(exec);
    return result;
}

static CUresult update_v1(CUgraphExec exec_handle, CUgraph handle, CUgraphNode *error_node,
                          CUgraphExecUpdateResult *out)
{
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    CUgraphExecUpdateResultInfo info;
    CUresult result = update_v2(exec_handle, handle, &info);
    *out = info.result;
    if (error_node)
        *error_node = info.errorNode;
    return result;
}

/* A child graph can be replaced by one of the same shape. */
static CUresult check_child(struct weft_soft_graph_node *node, struct weft_soft_graph_work *work,
                            uint64_t flags)
{
    CUresult result = weft_soft_graph_order(work->child);
    if (result == CUDA_SUCCESS &&
        weft_soft_graph_compare(node->work.child, work->child, flags).result)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        weft_soft_graph_hand_over(work->child);
    return result;
}

/* The plan names nodes of child graphs, so it is made anew with one. */
static CUresult replace_work(struct exec *exec, CUgraphNode origin, const CUgraphNodeParams *params)
{
    struct weft_soft_graph_work work;
    struct weft_soft_plan *plan = NULL;
    struct weft_soft_graph_node *node =
        weft_soft_graph_find(exec->graph, (uint64_t)(uintptr_t)origin);
    if (!node || node->work.params.type != params->type || weft_soft_graph_node_is_memory(node))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = weft_soft_graph_work_init(&work, params, false);
    if (result)
        return result;
    result = weft_soft_graph_attributes_copy(&work, &node->work);
    if (result == CUDA_SUCCESS && weft_soft_graph_compare_work(&node->work, &work, exec->flags))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && work.child)
        result = check_child(node, &work, exec->flags);
    WEFT_SWAP(node->work, work);
    if (result == CUDA_SUCCESS && node->work.child)
        result = weft_soft_plan_create(&plan, exec->graph);
    if (result)
        WEFT_SWAP(node->work, work);
    if (plan)
        WEFT_SWAP(exec->plan, plan);
    weft_soft_plan_destroy(plan);
    weft_soft_graph_work_finish(&work);
    return result;
}

CUresult weft_soft_graph_exec_set(CUgraphExec handle, CUgraphNode origin,
                                  const CUgraphNodeParams *params)
{
    struct exec *exec;
    CUresult result = enter_exec(handle, &exec);
    if (result)
        return result;
    result = weft_soft_graph_enter();
    if (result == CUDA_SUCCESS) {
        pthread_mutex_lock(&exec->lock);
        result = replace_work(exec, origin, params);
        pthread_mutex_unlock(&exec->lock);
        weft_soft_graph_leave(result);
    }
    leave_exec(exec);
    return result;
}

static bool may_be_disabled(const struct weft_soft_graph_node *node)
{
    return node->work.params.type == CU_GRAPH_NODE_TYPE_KERNEL ||
           node->work.params.type == CU_GRAPH_NODE_TYPE_MEMCPY ||
           node->work.params.type == CU_GRAPH_NODE_TYPE_MEMSET;
}

/* Whether a node runs: says so in *get, or takes it from *set. */
static CUresult access_enabled(CUgraphExec handle, CUgraphNode origin, unsigned int *get,
                               const unsigned int *set)
{
    struct exec *exec;
    if (!get && !set)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = enter_exec(handle, &exec);
    if (result)
        return result;
    pthread_mutex_lock(&exec->lock);
    struct weft_soft_graph_node *node =
        weft_soft_graph_find(exec->graph, (uint64_t)(uintptr_t)origin);
    if (!node || !may_be_disabled(node))
        result = CUDA_ERROR_INVALID_VALUE;
    else if (set)
        node->is_disabled = *set == 0;
    else
        *get = !node->is_disabled;
    pthread_mutex_unlock(&exec->lock);
    leave_exec(exec);
    return result;
}

static CUresult set_enabled(CUgraphExec handle, CUgraphNode origin, unsigned int enabled)
{
    return access_enabled(handle, origin, NULL, &enabled);
}

static CUresult get_enabled(CUgraphExec handle, CUgraphNode origin, unsigned int *out)
{
    return access_enabled(handle, origin, out, NULL);
}

void weft_soft_graph_exec_install(struct weft_cuda *table)
{
    table->cuGraphInstantiate = instantiate_logged;
    table->cuGraphInstantiate_v2 = instantiate_logged;
    table->cuGraphInstantiateWithFlags = instantiate;
    table->cuGraphInstantiateWithParams = instantiate_with_params_legacy;
    table->cuGraphInstantiateWithParams_ptsz = instantiate_with_params_ptsz;
    table->cuGraphLaunch = launch_legacy;
    table->cuGraphLaunch_ptsz = launch_ptsz;
    table->cuGraphUpload = upload_legacy;
    table->cuGraphUpload_ptsz = upload_ptsz;
    table->cuGraphExecDestroy = destroy;
    table->cuGraphExecGetFlags = get_flags;
    table->cuGraphExecUpdate = update_v1;
    table->cuGraphExecUpdate_v2 = update_v2;
    table->cuGraphNodeSetEnabled = set_enabled;
    table->cuGraphNodeGetEnabled = get_enabled;
}

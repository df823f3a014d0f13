/* What a node does, as a copy that stands on its own. */
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/graph.h"
#include "softgpu/engine/memory_ops.h"

/* Lets kernelParams, as a program asks for them, point into the packed parameters. */
static CUresult list_params(struct weft_soft_graph_work *work,
                            const struct weft_soft_function *function)
{
    const struct weft_ptx_function *ptx = &function->module->image->ptx->functions[function->index];
    void **list = calloc(ptx->parameter_count + 1, sizeof(void *));
    if (!list)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < ptx->parameter_count; i++)
        list[i] = (char *)work->kernel.params + ptx->parameters[i].offset;
    work->params.kernel.kernelParams = list;
    work->params.kernel.extra = NULL;
    return CUDA_SUCCESS;
}

static CUresult pack_kernel(struct weft_soft_graph_work *work, void **params, void **extra,
                            const struct weft_soft_function *function)
{
    struct weft_soft_packed_launch *kernel = &work->kernel;
    CUresult result = weft_soft_launch_check(kernel, function);
    if (result)
        return result;
    kernel->param_bytes = function->info.param_bytes;
    kernel->params = calloc(1, kernel->param_bytes + 1);
    if (!kernel->params)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = weft_soft_launch_pack(function, params, extra, kernel->params);
    return result ? result : list_params(work, function);
}

/* The context that a kernel node names, or else the current one; under a new reference. */
static CUresult context_of(CUcontext handle, struct weft_soft_context **out)
{
    if (handle)
        return weft_soft_context_get(handle, out);
    CUresult result = weft_soft_context_current(out);
    if (result == CUDA_SUCCESS)
        weft_soft_context_retain(*out);
    return result;
}

static CUresult init_kernel(struct weft_soft_graph_work *work)
{
    CUDA_KERNEL_NODE_PARAMS_v3 *params = &work->params.kernel;
    void **list = weft_steal(params->kernelParams), **extra = weft_steal(params->extra);
    work->kernel = (struct weft_soft_packed_launch){
        .function = params->func ? params->func : (CUfunction)params->kern,
        .grid = {params->gridDimX, params->gridDimY, params->gridDimZ},
        .block = {params->blockDimX, params->blockDimY, params->blockDimZ},
        .shared_bytes = params->sharedMemBytes};
    struct weft_soft_context *context;
    struct weft_soft_function *function;
    CUresult result = context_of(params->ctx, &context);
    if (result)
        return result;
    result = weft_soft_function_get(work->kernel.function, context, &function);
    if (result == CUDA_SUCCESS) {
        result = pack_kernel(work, list, extra, function);
        params->ctx = function->module->context->handle;
        weft_soft_function_put(function);
    }
    weft_soft_context_put(context);
    return result;
}

/* A transfer is described anew at each launch; here it is only tried. */
static CUresult try_task(CUresult result, struct weft_soft_task *task)
{
    if (result == CUDA_SUCCESS)
        task->release(task->argument);
    return result;
}

static CUresult check_context(CUcontext handle)
{
    struct weft_soft_context *context;
    CUresult result = context_of(handle, &context);
    if (result == CUDA_SUCCESS)
        weft_soft_context_put(context);
    return result;
}

static CUresult init_copy(struct weft_soft_graph_work *work)
{
    struct weft_soft_task task;
    CUresult result = check_context(work->params.memcpy.copyCtx);
    if (result)
        return result;
    return try_task(weft_soft_memory_copy_task(&work->params.memcpy.copyParams, &task), &task);
}

static CUresult init_set(struct weft_soft_graph_work *work)
{
    struct weft_soft_task task;
    CUresult result = check_context(work->params.memset.ctx);
    if (result)
        return result;
    return try_task(weft_soft_memory_set_task(&work->params.memset, &task), &task);
}

static CUresult init_child(struct weft_soft_graph_work *work, bool with_handles)
{
    struct weft_soft_graph *from = weft_soft_graph_by_handle(work->params.graph.graph);
    CUgraphChildGraphNodeOwnership ownership = work->params.graph.ownership;
    if (!from || from->is_moved || ownership > CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
        return CUDA_ERROR_INVALID_VALUE;
    if (ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE) /* who adds the node takes it */
        return !with_handles || from->is_child || from->is_captured || from->is_executable
                   ? CUDA_ERROR_INVALID_VALUE
                   : CUDA_SUCCESS;
    if (weft_soft_graph_has_memory(from))
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult result = weft_soft_graph_copy(&work->child, from, with_handles);
    if (result)
        return result;
    work->child->is_child = true;
    work->params.graph.graph = (CUgraph)(uintptr_t)work->child->handle;
    return CUDA_SUCCESS;
}

static CUresult copy_batch(struct weft_soft_graph_work *work, const CUstreamBatchMemOpParams *from)
{
    size_t bytes = work->params.memOp.count * sizeof(*from);
    CUstreamBatchMemOpParams *copy = malloc(bytes);
    work->params.memOp.paramArray = copy;
    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, from, bytes);
    return CUDA_SUCCESS;
}

static CUresult init_batch(struct weft_soft_graph_work *work)
{
    CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *params = &work->params.memOp;
    const CUstreamBatchMemOpParams *ops = weft_steal(params->paramArray);
    CUresult result = check_context(params->ctx);
    if (result == CUDA_SUCCESS)
        result = weft_soft_memory_ops_check(ops, params->count, params->flags, false);
    return result ? result : copy_batch(work, ops);
}

static CUresult init_by_type(struct weft_soft_graph_work *work, bool with_handles)
{
    switch ((int)work->params.type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return init_kernel(work);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return init_copy(work);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return init_set(work);
    case CU_GRAPH_NODE_TYPE_HOST:
        return work->params.host.fn ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return init_child(work, with_handles);
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return weft_soft_event_check(work->params.eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return weft_soft_event_check(work->params.eventRecord.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return weft_soft_graph_alloc_init(work);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return CUDA_SUCCESS; /* what it frees is found in the graph */
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return init_batch(work);
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult weft_soft_graph_work_init(struct weft_soft_graph_work *work,
                                   const CUgraphNodeParams *params, bool with_handles)
{
    memset(work, 0, sizeof(*work));
    work->params = *params;
    CUresult result = init_by_type(work, with_handles);
    if (result)
        weft_soft_graph_work_finish(work);
    return result;
}

static CUresult copy_kernel(struct weft_soft_graph_work *work,
                            const struct weft_soft_graph_work *from)
{
    size_t count = 0;
    while (from->params.kernel.kernelParams[count])
        count++;
    work->kernel.params = malloc(from->kernel.param_bytes + 1);
    void **list = calloc(count + 1, sizeof(void *));
    work->params.kernel.kernelParams = list;
    if (!work->kernel.params || !list)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(work->kernel.params, from->kernel.params, from->kernel.param_bytes + 1);
    for (size_t i = 0; i < count; i++) {
        size_t offset =
            (size_t)((char *)from->params.kernel.kernelParams[i] - (char *)from->kernel.params);
        list[i] = (char *)work->kernel.params + offset;
    }
    return CUDA_SUCCESS;
}

CUresult weft_soft_graph_work_copy(struct weft_soft_graph_work *work,
                                   const struct weft_soft_graph_work *from, bool with_handles)
{
    *work = *from;
    work->child = NULL;
    work->attributes = NULL;
    CUresult result = weft_soft_graph_attributes_copy(work, from);
    if (from->params.type == CU_GRAPH_NODE_TYPE_KERNEL) {
        CUresult copied = copy_kernel(work, from);
        result = result ? result : copied;
    }
    if (from->params.type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP) {
        CUresult copied = copy_batch(work, from->params.memOp.paramArray);
        result = result ? result : copied;
    }
    if (from->piece)
        weft_soft_graph_piece_get(work->piece);
    if (from->params.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
        work->params.alloc.accessDescs = NULL;
        work->params.alloc.accessDescCount = 0;
    }
    if (from->child && result == CUDA_SUCCESS)
        result = weft_soft_graph_copy(&work->child, from->child, with_handles);
    if (result) {
        weft_soft_graph_work_finish(work);
    } else if (work->child) {
        work->child->is_child = true;
        work->params.graph.graph = (CUgraph)(uintptr_t)work->child->handle;
        work->params.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE;
    }
    return result;
}

void weft_soft_graph_work_finish(struct weft_soft_graph_work *work)
{
    if (work->params.type == CU_GRAPH_NODE_TYPE_KERNEL) {
        free(work->kernel.params);
        free(work->params.kernel.kernelParams);
        free(work->attributes);
    }
    if (work->params.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
        free((void *)(uintptr_t)work->params.alloc.accessDescs);
    if (work->params.type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP)
        free(work->params.memOp.paramArray);
    weft_soft_graph_piece_put(work->piece);
    weft_soft_graph_destroy(work->child);
    memset(work, 0, sizeof(*work));
}

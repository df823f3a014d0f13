/* Nodes: adding them, and what they do, in a graph and in an executable one. Each kind of node has
 * calls of its own, which all come down to one description. */
#include <string.h>

#include "softgpu/engine/graph.h"

static CUresult connect_all(struct weft_soft_graph_node *node, const CUgraphNode *dependencies,
                            const CUgraphEdgeData *edges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct weft_soft_graph_node *from = weft_soft_graph_node_by_handle(dependencies[i]);
        CUgraphEdgeData edge = edges ? edges[i] : (CUgraphEdgeData){0};
        CUresult result =
            from ? weft_soft_graph_connect(from, node, edge) : CUDA_ERROR_INVALID_VALUE;
        if (result)
            return result;
    }
    return CUDA_SUCCESS;
}

static CUresult add_work(struct weft_soft_graph_node **out, struct weft_soft_graph *graph,
                         const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
                         size_t count, struct weft_soft_graph_work *work)
{
    struct weft_soft_graph_node *node;
    CUresult result = weft_soft_graph_append(graph, work, true, &node);
    if (result) {
        weft_soft_graph_work_finish(work);
        return result;
    }
    result = connect_all(node, dependencies, edges, count);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_place(node);
    if (result)
        weft_soft_graph_node_destroy(node);
    else
        *out = node;
    return result;
}

/* What the graph may not hold, whatever its nodes. */
static CUresult check_place(const struct weft_soft_graph *graph, const CUgraphNodeParams *params)
{
    bool is_memory =
        params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || params->type == CU_GRAPH_NODE_TYPE_MEM_FREE;
    if (graph->is_moved && is_memory)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (params->type != CU_GRAPH_NODE_TYPE_GRAPH)
        return CUDA_SUCCESS;
    struct weft_soft_graph *child = weft_soft_graph_by_handle(params->graph.graph);
    bool moves = params->graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
    if (!child || (moves && weft_soft_graph_is_in(graph, child)) ||
        weft_soft_graph_height(graph) + weft_soft_graph_depth(child) > WEFT_SOFT_GRAPH_DEPTH_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* A graph that becomes a node's own does so at last, when nothing can fail any more. */
static void take_child(struct weft_soft_graph_node *node)
{
    struct weft_soft_graph *child = weft_soft_graph_by_handle(node->work.params.graph.graph);
    node->work.child = child;
    child->is_child = child->is_moved = true;
    child->owner = node;
}

CUresult weft_soft_graph_add(CUgraphNode *out, struct weft_soft_graph *graph,
                             const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
                             size_t count, CUgraphNodeParams *params)
{
    struct weft_soft_graph_work work;
    struct weft_soft_graph_node *node;
    CUresult result = check_place(graph, params);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_work_init(&work, params, true);
    if (result == CUDA_SUCCESS)
        result = add_work(&node, graph, dependencies, edges, count, &work);
    if (result)
        return result;
    if (params->type == CU_GRAPH_NODE_TYPE_GRAPH && !node->work.child)
        take_child(node);
    if (params->type == CU_GRAPH_NODE_TYPE_GRAPH)
        params->graph.graph = node->work.params.graph.graph;
    if (params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
        params->alloc.dptr = node->work.params.alloc.dptr;
    *out = (CUgraphNode)(uintptr_t)node->handle;
    return CUDA_SUCCESS;
}

static CUresult add_node_v2(CUgraphNode *out, CUgraph handle, const CUgraphNode *dependencies,
                            const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *params)
{
    if (!out || !params || (count && !dependencies) || count > WEFT_SOFT_GRAPH_NODES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph *graph = weft_soft_graph_by_handle(handle);
    result = graph ? weft_soft_graph_add(out, graph, dependencies, edges, count, params)
                   : CUDA_ERROR_INVALID_VALUE;
    return weft_soft_graph_leave(result);
}

static CUresult add_node(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies,
                         size_t count, CUgraphNodeParams *params)
{
    return add_node_v2(out, graph, dependencies, NULL, count, params);
}

static CUresult set_in_graph(CUgraphNode handle, const CUgraphNodeParams *params)
{
    if (!params)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph_node *node = weft_soft_graph_node_by_handle(handle);
    struct weft_soft_graph_work work;
    if (!node || node->work.params.type != params->type || node->work.child || node->work.piece)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    result = weft_soft_graph_work_init(&work, params, true);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_attributes_copy(&work, &node->work);
    if (result == CUDA_SUCCESS)
        WEFT_SWAP(node->work, work);
    weft_soft_graph_work_finish(&work);
    return weft_soft_graph_leave(result);
}

static CUresult set_params(CUgraphNode handle, CUgraphNodeParams *params)
{
    return set_in_graph(handle, params);
}

static CUresult set_exec_params(CUgraphExec exec, CUgraphNode handle, CUgraphNodeParams *params)
{
    return params ? weft_soft_graph_exec_set(exec, handle, params) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_from_graph(CUgraphNode handle, CUgraphNodeType type, CUgraphNodeParams *out)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph_node *node = weft_soft_graph_node_by_handle(handle);
    if (!node || node->work.params.type != type)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    *out = node->work.params;
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

/* The four calls of a kind of node whose params the program gives as a struct of its own. DESCRIBE
 * makes the one description out of `from`, TELL fills `to` out of it. */
#define NODE_CALLS(name, params_type, DESCRIBE, TELL)                                            \
    static CUresult add_##name(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies, \
                               size_t count, const params_type *from)                            \
    {                                                                                            \
        return from ? add_node(out, graph, dependencies, count, &DESCRIBE(from))                 \
                    : CUDA_ERROR_INVALID_VALUE;                                                  \
    }                                                                                            \
    static CUresult set_exec_##name(CUgraphExec exec, CUgraphNode node, const params_type *from) \
    {                                                                                            \
        return from ? weft_soft_graph_exec_set(exec, node, &DESCRIBE(from))                      \
                    : CUDA_ERROR_INVALID_VALUE;                                                  \
    }                                                                                            \
    NODE_ACCESS(name, params_type, DESCRIBE, TELL)
#define NODE_ACCESS(name, params_type, DESCRIBE, TELL)                                         \
    static CUresult set_##name(CUgraphNode node, const params_type *from)                      \
    {                                                                                          \
        return from ? set_in_graph(node, &DESCRIBE(from)) : CUDA_ERROR_INVALID_VALUE;          \
    }                                                                                          \
    static CUresult get_##name(CUgraphNode node, params_type *to)                              \
    {                                                                                          \
        CUgraphNodeParams params = {0};                                                        \
        CUresult result = to ? get_from_graph(node, DESCRIBE(&(params_type){0}).type, &params) \
                             : CUDA_ERROR_INVALID_VALUE;                                       \
        if (result == CUDA_SUCCESS)                                                            \
            *to = TELL(params);                                                                \
        return result;                                                                         \
    }

#define KERNEL_FIELDS(from, get)                                                               \
    .func = get(from, func), .gridDimX = get(from, gridDimX), .gridDimY = get(from, gridDimY), \
    .gridDimZ = get(from, gridDimZ), .blockDimX = get(from, blockDimX),                        \
    .blockDimY = get(from, blockDimY), .blockDimZ = get(from, blockDimZ),                      \
    .sharedMemBytes = get(from, sharedMemBytes), .kernelParams = get(from, kernelParams),      \
    .extra = get(from, extra)
#define OF_POINTER(from, field) (from)->field
#define OF_KERNEL(from, field) (from).kernel.field

#define DESCRIBE_KERNEL_V1(from)                            \
    ((CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_KERNEL, \
                         .kernel = {KERNEL_FIELDS(from, OF_POINTER)}})
#define TELL_KERNEL_V1(from) ((CUDA_KERNEL_NODE_PARAMS_v1){KERNEL_FIELDS(from, OF_KERNEL)})
NODE_CALLS(kernel_v1, CUDA_KERNEL_NODE_PARAMS_v1, DESCRIBE_KERNEL_V1, TELL_KERNEL_V1)

#define DESCRIBE_KERNEL(from)              \
    ((CUgraphNodeParams){                  \
        .type = CU_GRAPH_NODE_TYPE_KERNEL, \
        .kernel = {KERNEL_FIELDS(from, OF_POINTER), .kern = (from)->kern, .ctx = (from)->ctx}})
#define TELL_KERNEL(from)                                                                  \
    ((CUDA_KERNEL_NODE_PARAMS){KERNEL_FIELDS(from, OF_KERNEL), .kern = (from).kernel.kern, \
                               .ctx = (from).kernel.ctx})
NODE_CALLS(kernel, CUDA_KERNEL_NODE_PARAMS, DESCRIBE_KERNEL, TELL_KERNEL)

#define DESCRIBE_HOST(from)                               \
    ((CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_HOST, \
                         .host = {.fn = (from)->fn, .userData = (from)->userData}})
#define TELL_HOST(from) \
    ((CUDA_HOST_NODE_PARAMS){.fn = (from).host.fn, .userData = (from).host.userData})
NODE_CALLS(host, CUDA_HOST_NODE_PARAMS, DESCRIBE_HOST, TELL_HOST)

#define BATCH_FIELDS(from)                                                        \
    .ctx = (from)->ctx, .count = (from)->count, .paramArray = (from)->paramArray, \
    .flags = (from)->flags
#define DESCRIBE_BATCH(from) \
    ((CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, .memOp = {BATCH_FIELDS(from)}})
#define TELL_BATCH(from) ((CUDA_BATCH_MEM_OP_NODE_PARAMS){BATCH_FIELDS(&(from).memOp)})
NODE_CALLS(batch, CUDA_BATCH_MEM_OP_NODE_PARAMS, DESCRIBE_BATCH, TELL_BATCH)

static CUgraphNodeParams describe_copy(const CUDA_MEMCPY3D *from, CUcontext context)
{
    return (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEMCPY,
                               .memcpy = {.copyCtx = context, .copyParams = *from}};
}

static CUgraphNodeParams describe_set(const CUDA_MEMSET_NODE_PARAMS *from, CUcontext context)
{
    return (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEMSET,
                               .memset = {.dst = from->dst,
                                          .pitch = from->pitch,
                                          .value = from->value,
                                          .elementSize = from->elementSize,
                                          .width = from->width,
                                          .height = from->height,
                                          .ctx = context}};
}

#define DESCRIBE_COPY(from) ((CUgraphNodeParams[]){describe_copy(from, NULL)})[0]
#define TELL_COPY(from) (from).memcpy.copyParams
#define DESCRIBE_SET(from) ((CUgraphNodeParams[]){describe_set(from, NULL)})[0]
#define TELL_SET(from)                                                   \
    ((CUDA_MEMSET_NODE_PARAMS){.dst = (from).memset.dst,                 \
                               .pitch = (from).memset.pitch,             \
                               .value = (from).memset.value,             \
                               .elementSize = (from).memset.elementSize, \
                               .width = (from).memset.width,             \
                               .height = (from).memset.height})
NODE_ACCESS(copy, CUDA_MEMCPY3D, DESCRIBE_COPY, TELL_COPY)
NODE_ACCESS(set, CUDA_MEMSET_NODE_PARAMS, DESCRIBE_SET, TELL_SET)

/* Copies and sets name their context. */
#define TRANSFER_CALLS(name, params_type)                                                        \
    static CUresult add_##name(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies, \
                               size_t count, const params_type *from, CUcontext context)         \
    {                                                                                            \
        if (!from)                                                                               \
            return CUDA_ERROR_INVALID_VALUE;                                                     \
        CUgraphNodeParams params = describe_##name(from, context);                               \
        return add_node(out, graph, dependencies, count, &params);                               \
    }                                                                                            \
    static CUresult set_exec_##name(CUgraphExec exec, CUgraphNode node, const params_type *from, \
                                    CUcontext context)                                           \
    {                                                                                            \
        if (!from)                                                                               \
            return CUDA_ERROR_INVALID_VALUE;                                                     \
        CUgraphNodeParams params = describe_##name(from, context);                               \
        return weft_soft_graph_exec_set(exec, node, &params);                                    \
    }
TRANSFER_CALLS(copy, CUDA_MEMCPY3D)
TRANSFER_CALLS(set, CUDA_MEMSET_NODE_PARAMS)

/* Nodes described by one handle: an event or a graph. */
#define HANDLE_CALLS(name, params_type, node_type, field)                                        \
    static CUresult add_##name(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies, \
                               size_t count, params_type handle)                                 \
    {                                                                                            \
        CUgraphNodeParams params = {.type = (node_type), .field = handle};                       \
        return add_node(out, graph, dependencies, count, &params);                               \
    }                                                                                            \
    static CUresult set_exec_##name(CUgraphExec exec, CUgraphNode node, params_type handle)      \
    {                                                                                            \
        CUgraphNodeParams params = {.type = (node_type), .field = handle};                       \
        return weft_soft_graph_exec_set(exec, node, &params);                                    \
    }                                                                                            \
    static CUresult get_##name(CUgraphNode node, params_type *out)                               \
    {                                                                                            \
        CUgraphNodeParams params = {0};                                                          \
        CUresult result =                                                                        \
            out ? get_from_graph(node, (node_type), &params) : CUDA_ERROR_INVALID_VALUE;         \
        if (result == CUDA_SUCCESS)                                                              \
            *out = params.field;                                                                 \
        return result;                                                                           \
    }
HANDLE_CALLS(child, CUgraph, CU_GRAPH_NODE_TYPE_GRAPH, graph.graph)
HANDLE_CALLS(event_record, CUevent, CU_GRAPH_NODE_TYPE_EVENT_RECORD, eventRecord.event)
HANDLE_CALLS(event_wait, CUevent, CU_GRAPH_NODE_TYPE_WAIT_EVENT, eventWait.event)

static CUresult set_event_record(CUgraphNode node, CUevent event)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_EVENT_RECORD,
                                .eventRecord.event = event};
    return set_in_graph(node, &params);
}

static CUresult set_event_wait(CUgraphNode node, CUevent event)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_WAIT_EVENT, .eventWait.event = event};
    return set_in_graph(node, &params);
}

static CUresult add_empty(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies,
                          size_t count)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
    return add_node(out, graph, dependencies, count, &params);
}

void weft_soft_graph_node_install(struct weft_cuda *table)
{
    weft_soft_graph_memory_node_install(table);
    weft_soft_graph_object_install(table);
    weft_soft_graph_attribute_install(table);
    weft_soft_graph_dot_install(table);
    table->cuGraphAddNode = add_node;
    table->cuGraphAddNode_v2 = add_node_v2;
    table->cuGraphNodeSetParams = set_params;
    table->cuGraphExecNodeSetParams = set_exec_params;
    table->cuGraphAddKernelNode = add_kernel_v1;
    table->cuGraphKernelNodeGetParams = get_kernel_v1;
    table->cuGraphKernelNodeSetParams = set_kernel_v1;
    table->cuGraphExecKernelNodeSetParams = set_exec_kernel_v1;
    table->cuGraphAddKernelNode_v2 = add_kernel;
    table->cuGraphKernelNodeGetParams_v2 = get_kernel;
    table->cuGraphKernelNodeSetParams_v2 = set_kernel;
    table->cuGraphExecKernelNodeSetParams_v2 = set_exec_kernel;
    table->cuGraphAddHostNode = add_host;
    table->cuGraphHostNodeGetParams = get_host;
    table->cuGraphHostNodeSetParams = set_host;
    table->cuGraphExecHostNodeSetParams = set_exec_host;
    table->cuGraphAddBatchMemOpNode = add_batch;
    table->cuGraphBatchMemOpNodeGetParams = get_batch;
    table->cuGraphBatchMemOpNodeSetParams = set_batch;
    table->cuGraphExecBatchMemOpNodeSetParams = set_exec_batch;
    table->cuGraphAddMemcpyNode = add_copy;
    table->cuGraphMemcpyNodeGetParams = get_copy;
    table->cuGraphMemcpyNodeSetParams = set_copy;
    table->cuGraphExecMemcpyNodeSetParams = set_exec_copy;
    table->cuGraphAddMemsetNode = add_set;
    table->cuGraphMemsetNodeGetParams = get_set;
    table->cuGraphMemsetNodeSetParams = set_set;
    table->cuGraphExecMemsetNodeSetParams = set_exec_set;
    table->cuGraphAddChildGraphNode = add_child;
    table->cuGraphChildGraphNodeGetGraph = get_child;
    table->cuGraphExecChildGraphNodeSetParams = set_exec_child;
    table->cuGraphAddEventRecordNode = add_event_record;
    table->cuGraphEventRecordNodeGetEvent = get_event_record;
    table->cuGraphEventRecordNodeSetEvent = set_event_record;
    table->cuGraphExecEventRecordNodeSetEvent = set_exec_event_record;
    table->cuGraphAddEventWaitNode = add_event_wait;
    table->cuGraphEventWaitNodeGetEvent = get_event_wait;
    table->cuGraphEventWaitNodeSetEvent = set_event_wait;
    table->cuGraphExecEventWaitNodeSetEvent = set_exec_event_wait;
    table->cuGraphAddEmptyNode = add_empty;
}

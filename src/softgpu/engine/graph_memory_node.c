/* Allocation and free nodes: which address each has, and what a launch does about them. A graph
 * with such nodes loses none and has one executable graph at a time, since there is one piece of
 * memory behind each address. */
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/graph.h"

static bool is_allocation(const struct weft_soft_graph_node *node)
{
    return node->work.params.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC;
}

static bool is_free(const struct weft_soft_graph_node *node)
{
    return node->work.params.type == CU_GRAPH_NODE_TYPE_MEM_FREE;
}

bool weft_soft_graph_node_is_memory(const struct weft_soft_graph_node *node)
{
    return is_allocation(node) || is_free(node);
}

static size_t count_memory(struct weft_soft_graph *graph)
{
    size_t count = 0;
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        count += weft_soft_graph_node_is_memory(node);
        if (node->work.child)
            count += count_memory(node->work.child);
    }
    return count;
}

bool weft_soft_graph_has_memory(struct weft_soft_graph *graph)
{
    return count_memory(graph) != 0;
}

static void collect(struct weft_soft_graph *into, struct weft_soft_graph *graph)
{
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (weft_soft_graph_node_is_memory(node))
            into->memory[into->memory_count++] = node;
        if (node->work.child)
            collect(into, node->work.child);
    }
}

/* What one graph of the tree allocates and another one frees is the tree's own. */
static void settle_free(struct weft_soft_graph *graph, struct weft_soft_graph_node *node)
{
    for (size_t i = 0; i < graph->memory_count; i++) {
        struct weft_soft_graph_node *from = graph->memory[i];
        if (!is_allocation(from) || from->work.is_freed ||
            from->work.params.alloc.dptr != node->work.params.free.dptr)
            continue;
        from->work.is_freed = true;
        node->work.piece = weft_soft_graph_piece_get(from->work.piece);
        return;
    }
}

static void settle_frees(struct weft_soft_graph *graph)
{
    for (size_t i = 0; i < graph->memory_count; i++) {
        if (is_free(graph->memory[i]) && !graph->memory[i]->work.piece)
            settle_free(graph, graph->memory[i]);
    }
}

CUresult weft_soft_graph_memory_collect(struct weft_soft_graph *graph)
{
    size_t count = count_memory(graph);
    if (count == 0)
        return CUDA_SUCCESS;
    graph->memory = calloc(count, sizeof(struct weft_soft_graph_node *));
    if (!graph->memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    collect(graph, graph);
    settle_frees(graph);
    return CUDA_SUCCESS;
}

static CUresult copy_accesses(struct weft_soft_graph_work *work, const CUmemAccessDesc *from,
                              size_t count)
{
    struct weft_soft_device *device;
    work->params.alloc.accessDescs = NULL;
    work->params.alloc.accessDescCount = count;
    if (count == 0)
        return CUDA_SUCCESS;
    if (!from || count > WEFT_DEVICES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++) {
        if (from[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
            weft_soft_device_get(from[i].location.id, &device))
            return CUDA_ERROR_INVALID_VALUE;
    }
    CUmemAccessDesc *copy = malloc(count * sizeof(*copy));
    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, from, count * sizeof(*copy));
    work->params.alloc.accessDescs = copy;
    return CUDA_SUCCESS;
}

CUresult weft_soft_graph_alloc_init(struct weft_soft_graph_work *work)
{
    CUDA_MEM_ALLOC_NODE_PARAMS_v2 *params = &work->params.alloc;
    const CUmemAccessDesc *accesses = weft_steal(params->accessDescs);
    struct weft_soft_device *device;
    params->dptr = 0;
    if (params->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
        params->poolProps.handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
        params->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE || params->bytesize == 0 ||
        weft_soft_device_get(params->poolProps.location.id, &device))
        return CUDA_ERROR_INVALID_VALUE;
    return copy_accesses(work, accesses, params->accessDescCount);
}

/* The allocation of this graph that a free node frees; NULL. */
static struct weft_soft_graph_node *find_allocation(struct weft_soft_graph *graph,
                                                    CUdeviceptr address, bool freed)
{
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (is_allocation(node) && node->work.is_freed == freed &&
            node->work.params.alloc.dptr == address)
            return node;
    }
    return NULL;
}

/* A piece that is free again by the time the node runs: of an allocation whose free node the node
 * depends on. Its address goes to one successor only. */
static CUresult reuse(struct weft_soft_graph_node *node)
{
    struct weft_soft_graph *graph = node->graph;
    CUgraphNode handle = (CUgraphNode)(uintptr_t)node->handle;
    uint64_t bytes = node->work.params.alloc.bytesize;
    weft_soft_graph_mark_reached(graph, &handle, 1);
    WEFT_SOFT_GRAPH_EACH(other, graph)
    {
        struct weft_soft_graph_node *before = other->work.frees;
        if (!is_free(other) || !other->visited || !before || before->work.is_reused)
            continue;
        const CUDA_MEM_ALLOC_NODE_PARAMS_v2 *was = &before->work.params.alloc;
        if (was->poolProps.location.id != node->work.params.alloc.poolProps.location.id ||
            bytes > was->bytesize || bytes < was->bytesize / 2)
            continue;
        CUresult result = weft_soft_graph_piece_again(before->work.piece, bytes, &node->work.piece);
        before->work.is_reused = result == CUDA_SUCCESS;
        return result;
    }
    return CUDA_ERROR_NOT_FOUND;
}

static CUresult place_allocation(struct weft_soft_graph_node *node)
{
    CUDA_MEM_ALLOC_NODE_PARAMS_v2 *params = &node->work.params.alloc;
    struct weft_soft_device *device;
    CUresult result = reuse(node);
    if (result == CUDA_ERROR_NOT_FOUND) {
        result = weft_soft_device_get(params->poolProps.location.id, &device);
        if (result == CUDA_SUCCESS)
            result = weft_soft_graph_piece_create(&node->graph->segment, device, params->bytesize,
                                                  &node->work.piece);
    }
    if (result == CUDA_SUCCESS)
        params->dptr = weft_soft_graph_piece_address(node->work.piece);
    return result;
}

/* An allocation is freed once in its graph, or in others. */
static CUresult place_free(struct weft_soft_graph_node *node)
{
    CUdeviceptr address = node->work.params.free.dptr;
    struct weft_soft_graph_node *allocation = find_allocation(node->graph, address, false);
    if (!allocation) {
        bool again = find_allocation(node->graph, address, true);
        return again || !weft_soft_graph_memory_knows(address) ? CUDA_ERROR_INVALID_VALUE
                                                               : CUDA_SUCCESS;
    }
    WEFT_SOFT_GRAPH_EACH(other, node->graph)
    {
        if (other != node && is_free(other) && !other->work.frees &&
            other->work.params.free.dptr == address)
            return CUDA_ERROR_INVALID_VALUE;
    }
    allocation->work.is_freed = true;
    node->work.frees = allocation;
    node->work.piece = weft_soft_graph_piece_get(allocation->work.piece);
    return CUDA_SUCCESS;
}

CUresult weft_soft_graph_place(struct weft_soft_graph_node *node)
{
    if (is_allocation(node))
        return place_allocation(node);
    return is_free(node) ? place_free(node) : CUDA_SUCCESS;
}

static CUresult check_launch(struct weft_soft_graph *graph, bool auto_free)
{
    for (size_t i = 0; i < graph->memory_count; i++) {
        struct weft_soft_graph_node *node = graph->memory[i];
        if (is_allocation(node) && !node->work.is_freed && !auto_free &&
            weft_soft_graph_piece_is_allocated(node->work.piece))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return weft_soft_graph_memory_back(graph);
}

CUresult weft_soft_graph_memory_back(struct weft_soft_graph *graph)
{
    for (size_t i = 0; i < graph->memory_count; i++) {
        struct weft_soft_graph_node *node = graph->memory[i];
        CUresult result =
            is_allocation(node) ? weft_soft_graph_piece_back(node->work.piece) : CUDA_SUCCESS;
        if (result)
            return result;
    }
    return CUDA_SUCCESS;
}

/* Takes away from the program what the graph's free nodes will free of other graphs' memory. */
static CUresult claim_foreign(struct weft_soft_graph *graph, struct weft_soft_context *context)
{
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < graph->memory_count; i++) {
        struct weft_soft_graph_node *node = graph->memory[i];
        if (!is_free(node) || node->work.piece)
            continue;
        node->work.claimed = weft_soft_graph_memory_claim(node->work.params.free.dptr);
        if (!node->work.claimed)
            result = CUDA_ERROR_INVALID_VALUE;
    }
    if (result)
        weft_soft_graph_memory_unclaim(graph, context);
    return result;
}

void weft_soft_graph_memory_unclaim(struct weft_soft_graph *graph,
                                    struct weft_soft_context *context)
{
    for (size_t i = 0; i < graph->memory_count; i++) {
        struct weft_soft_graph_node *node = graph->memory[i];
        if (is_free(node) && node->work.claimed)
            weft_soft_graph_memory_restore(weft_steal(node->work.claimed), context);
    }
}

CUresult weft_soft_graph_memory_prepare(struct weft_soft_graph *graph, bool auto_free,
                                        struct weft_soft_context *context)
{
    CUresult result = check_launch(graph, auto_free);
    if (result == CUDA_SUCCESS)
        result = claim_foreign(graph, context);
    for (size_t i = 0; i < graph->memory_count; i++) {
        struct weft_soft_graph_node *node = graph->memory[i];
        if (result == CUDA_SUCCESS && is_allocation(node) && !node->work.is_freed &&
            !weft_soft_graph_piece_is_allocated(node->work.piece))
            result = weft_soft_graph_piece_publish(node->work.piece, context);
    }
    return result;
}

/* An allocation that no node of the graph frees and that the program has. */
static bool remains(const struct weft_soft_graph_node *node)
{
    return is_allocation(node) && !node->work.is_freed &&
           weft_soft_graph_piece_is_allocated(node->work.piece);
}

bool weft_soft_graph_memory_remains(const struct weft_soft_graph *graph)
{
    bool any = false;
    for (size_t i = 0; i < graph->memory_count && !any; i++)
        any = remains(graph->memory[i]);
    return any;
}

static CUresult free_remaining(const struct weft_soft_graph_node *node,
                               struct weft_soft_stream *stream)
{
    struct weft_soft_task task;
    struct weft_soft_allocation *claimed =
        weft_soft_graph_memory_claim(weft_soft_graph_piece_address(node->work.piece));
    if (!claimed)
        return CUDA_SUCCESS; /* the program was faster */
    CUresult result = weft_soft_graph_memory_free_task(claimed, &task);
    if (result) {
        weft_soft_graph_memory_restore(claimed, stream->context);
        return result;
    }
    return weft_soft_stream_submit(stream, &task);
}

CUresult weft_soft_graph_memory_free_remains(const struct weft_soft_graph *graph,
                                             struct weft_soft_stream *stream)
{
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < graph->memory_count && result == CUDA_SUCCESS; i++) {
        if (remains(graph->memory[i]))
            result = free_remaining(graph->memory[i], stream);
    }
    return result;
}

CUresult weft_soft_graph_memory_launch(struct weft_soft_stream *stream,
                                       struct weft_soft_graph_node *node)
{
    struct weft_soft_task task;
    CUresult result;
    if (node->work.piece) {
        result = weft_soft_graph_piece_task(node->work.piece, is_allocation(node), &task);
    } else {
        result = weft_soft_graph_memory_free_task(node->work.claimed, &task);
        if (result == CUDA_SUCCESS)
            node->work.claimed = NULL;
    }
    return result ? result : weft_soft_stream_submit(stream, &task);
}

static CUresult add(CUgraphNode *out, CUgraph handle, const CUgraphNode *dependencies, size_t count,
                    CUgraphNodeParams *params)
{
    if (!out || (count && !dependencies))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph *graph = weft_soft_graph_by_handle(handle);
    return weft_soft_graph_leave(
        graph ? weft_soft_graph_add(out, graph, dependencies, NULL, count, params)
              : CUDA_ERROR_INVALID_VALUE);
}

static CUresult add_allocation(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies,
                               size_t count, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
    if (!params)
        return CUDA_ERROR_INVALID_VALUE;
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
                              .alloc = {.poolProps = params->poolProps,
                                        .accessDescs = params->accessDescs,
                                        .accessDescCount = params->accessDescCount,
                                        .bytesize = params->bytesize}};
    CUresult result = add(out, graph, dependencies, count, &node);
    if (result == CUDA_SUCCESS)
        params->dptr = node.alloc.dptr;
    return result;
}

static CUresult add_free(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies,
                         size_t count, CUdeviceptr address)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .free.dptr = address};
    return add(out, graph, dependencies, count, &node);
}

/* What a node of that type was given. */
static CUresult tell(CUgraphNode handle, CUgraphNodeType type, const void *out,
                     CUgraphNodeParams *params)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    const struct weft_soft_graph_node *node = weft_soft_graph_node_by_handle(handle);
    if (!out || !node || node->work.params.type != type)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    *params = node->work.params;
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

static CUresult get_allocation(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *out)
{
    CUgraphNodeParams params;
    CUresult result = tell(node, CU_GRAPH_NODE_TYPE_MEM_ALLOC, out, &params);
    if (result == CUDA_SUCCESS)
        *out = (CUDA_MEM_ALLOC_NODE_PARAMS){.poolProps = params.alloc.poolProps,
                                            .accessDescs = params.alloc.accessDescs,
                                            .accessDescCount = params.alloc.accessDescCount,
                                            .bytesize = params.alloc.bytesize,
                                            .dptr = params.alloc.dptr};
    return result;
}

static CUresult get_free(CUgraphNode node, CUdeviceptr *out)
{
    CUgraphNodeParams params;
    CUresult result = tell(node, CU_GRAPH_NODE_TYPE_MEM_FREE, out, &params);
    if (result == CUDA_SUCCESS)
        *out = params.free.dptr;
    return result;
}

void weft_soft_graph_memory_node_install(struct weft_cuda *table)
{
    table->cuGraphAddMemAllocNode = add_allocation;
    table->cuGraphMemAllocNodeGetParams = get_allocation;
    table->cuGraphAddMemFreeNode = add_free;
    table->cuGraphMemFreeNodeGetParams = get_free;
}

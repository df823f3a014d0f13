#include "softgpu/engine/graph_update.h"

#include <stdlib.h>
#include <string.h>

/* One comparison of two graphs. A pair is made when its first edge is looked at, and its own edges
 * when its turn has come. */
struct comparison {
    struct weft_soft_graph_node **queue; /* of the new graph; all of them, once each */
    size_t queued;
    uint64_t flags;
    struct weft_soft_graph_verdict verdict;
};

static int priority_of(const struct weft_soft_graph_work *work)
{
    return work->attributes ? work->attributes[CU_LAUNCH_ATTRIBUTE_PRIORITY].priority : 0;
}

static CUgraphExecUpdateResult compare_kernels(const struct weft_soft_graph_work *before,
                                               const struct weft_soft_graph_work *updated,
                                               uint64_t flags)
{
    if (before->params.kernel.ctx != updated->params.kernel.ctx)
        return CU_GRAPH_EXEC_UPDATE_ERROR_UNSUPPORTED_FUNCTION_CHANGE;
    const struct weft_soft_packed_launch *old = &before->kernel, *new = &updated->kernel;
    bool has_priority = flags & CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
    if (old->cooperative != new->cooperative ||
        memcmp(old->cluster, new->cluster, sizeof(old->cluster)) != 0 ||
        (has_priority && priority_of(before) != priority_of(updated)))
        return CU_GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED;
    return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

/* Of a set of one row everything may change, of another one where it goes and its value. */
static bool set_changed(const CUDA_MEMSET_NODE_PARAMS_v2 *was, const CUDA_MEMSET_NODE_PARAMS_v2 *is)
{
    if (was->height <= 1 || is->height <= 1)
        return was->height > 1 || is->height > 1;
    return was->height != is->height || was->width != is->width || was->pitch != is->pitch ||
           was->elementSize != is->elementSize;
}

static bool batch_changed(const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *was,
                          const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *is)
{
    bool changed = was->ctx != is->ctx || was->count != is->count;
    for (unsigned int i = 0; !changed && i < was->count; i++)
        changed = was->paramArray[i].operation != is->paramArray[i].operation;
    return changed;
}

CUgraphExecUpdateResult weft_soft_graph_compare_work(const struct weft_soft_graph_work *before,
                                                     const struct weft_soft_graph_work *updated,
                                                     uint64_t flags)
{
    const CUgraphNodeParams *was = &before->params, *is = &updated->params;
    bool changed = false;
    if (was->type == CU_GRAPH_NODE_TYPE_KERNEL)
        return compare_kernels(before, updated, flags);
    if (was->type == CU_GRAPH_NODE_TYPE_MEMCPY)
        changed = was->memcpy.copyParams.srcMemoryType != is->memcpy.copyParams.srcMemoryType ||
                  was->memcpy.copyParams.dstMemoryType != is->memcpy.copyParams.dstMemoryType;
    if (was->type == CU_GRAPH_NODE_TYPE_MEMSET)
        changed = set_changed(&was->memset, &is->memset);
    if (was->type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP)
        changed = batch_changed(&was->memOp, &is->memOp);
    if (was->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
        changed = was->alloc.poolProps.location.id != is->alloc.poolProps.location.id;
    return changed ? CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED : CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static void refuse(struct comparison *comparison, CUgraphExecUpdateResult result,
                   const struct weft_soft_graph_node *node, const struct weft_soft_graph_node *from)
{
    if (comparison->verdict.result == CU_GRAPH_EXEC_UPDATE_SUCCESS)
        comparison->verdict = (struct weft_soft_graph_verdict){result, node ? node->origin : 0,
                                                               from ? from->origin : 0};
}

static void make_pair(struct comparison *comparison, struct weft_soft_graph_node *before,
                      struct weft_soft_graph_node *updated)
{
    if (before->work.params.type != updated->work.params.type)
        refuse(comparison, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, updated, NULL);
    before->pair = updated;
    updated->pair = before;
    comparison->queue[comparison->queued++] = updated;
}

/* The dependencies of a pair are pairs in the order of the edges. */
static void compare_edges(struct comparison *comparison, struct weft_soft_graph_node *updated)
{
    struct weft_soft_graph_node *before = updated->pair;
    if (before->dependency_count != updated->dependency_count)
        refuse(comparison, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, updated, NULL);
    for (size_t i = 0; i < updated->dependency_count && !comparison->verdict.result; i++) {
        struct weft_soft_graph_node *was = before->dependencies[i], *is = updated->dependencies[i];
        CUgraphEdgeData old = weft_soft_graph_edge_at(before, i);
        CUgraphEdgeData new = weft_soft_graph_edge_at(updated, i);
        if (!was->pair && !is->pair)
            make_pair(comparison, was, is);
        if (was->pair != is || is->pair != was || memcmp(&old, &new, sizeof(old)) != 0)
            refuse(comparison, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, updated, is);
    }
}

/* Leaves `visited` 1 in the nodes that others depend on, 0 in those where the graph ends. */
static void mark_inner(struct weft_soft_graph *graph)
{
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        node->visited = 0;
        node->pair = NULL;
    }
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        for (size_t i = 0; i < node->dependency_count; i++)
            node->dependencies[i]->visited = 1;
    }
}

static struct weft_soft_link *next_end(const struct weft_soft_graph *graph,
                                       struct weft_soft_link *link)
{
    while (link != &graph->nodes && weft_soft_graph_node_of(link)->visited)
        link = link->next;
    return link;
}

/* The nodes where the graphs end, of which there are as many in both, are pairs in the order in
 * which they were added. */
static void pair_ends(struct comparison *comparison, struct weft_soft_graph *before,
                      struct weft_soft_graph *updated)
{
    struct weft_soft_link *was = next_end(before, before->nodes.next);
    struct weft_soft_link *is = next_end(updated, updated->nodes.next);
    while (was != &before->nodes && is != &updated->nodes) {
        make_pair(comparison, weft_soft_graph_node_of(was), weft_soft_graph_node_of(is));
        was = next_end(before, was->next);
        is = next_end(updated, is->next);
    }
}

static void count_ends(struct comparison *comparison, struct weft_soft_graph *before,
                       struct weft_soft_graph *updated)
{
    mark_inner(before);
    mark_inner(updated);
    struct weft_soft_link *was = next_end(before, before->nodes.next);
    struct weft_soft_link *is = next_end(updated, updated->nodes.next);
    while (was != &before->nodes && is != &updated->nodes) {
        was = next_end(before, was->next);
        is = next_end(updated, is->next);
    }
    bool more = is != &updated->nodes;
    if (more || was != &before->nodes)
        refuse(comparison, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED,
               more ? weft_soft_graph_node_of(is) : NULL, NULL);
}

static void compare_pair(struct comparison *comparison, const struct weft_soft_graph_node *updated)
{
    const struct weft_soft_graph_node *before = updated->pair;
    if (updated->work.child) {
        comparison->verdict =
            weft_soft_graph_compare(before->work.child, updated->work.child, comparison->flags);
        return;
    }
    CUgraphExecUpdateResult result =
        weft_soft_graph_compare_work(&before->work, &updated->work, comparison->flags);
    if (result)
        refuse(comparison, result, updated, NULL);
}

/* First whether the graphs have the same shape, then whether their nodes may change so. */
struct weft_soft_graph_verdict weft_soft_graph_compare(struct weft_soft_graph *before,
                                                       struct weft_soft_graph *updated,
                                                       uint64_t flags)
{
    struct comparison comparison = {.flags = flags};
    if (before->node_count != updated->node_count)
        return (struct weft_soft_graph_verdict){CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, 0, 0};
    comparison.queue = calloc(updated->node_count + 1, sizeof(struct weft_soft_graph_node *));
    if (!comparison.queue)
        return (struct weft_soft_graph_verdict){CU_GRAPH_EXEC_UPDATE_ERROR, 0, 0};
    count_ends(&comparison, before, updated);
    if (!comparison.verdict.result)
        pair_ends(&comparison, before, updated);
    for (size_t i = 0; i < comparison.queued && !comparison.verdict.result; i++)
        compare_edges(&comparison, comparison.queue[i]);
    WEFT_SOFT_GRAPH_EACH(node, updated)
    {
        if (!comparison.verdict.result)
            compare_pair(&comparison, node);
    }
    free(comparison.queue);
    return comparison.verdict;
}

void weft_soft_graph_hand_over(struct weft_soft_graph *updated)
{
    WEFT_SOFT_GRAPH_EACH(node, updated)
    {
        node->origin = node->pair->origin;
        node->is_disabled = node->pair->is_disabled;
        if (node->work.child)
            weft_soft_graph_hand_over(node->work.child);
    }
}

/* Edges between nodes. What an edge says besides its two nodes is kept and told; every edge is run
 * as the whole of one node before the whole of the other, which is what a programmatic dependency
 * allows too: a kernel may be started early, and need not be. */
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/graph.h"

static const CUgraphEdgeData plain;

static bool is_plain(const CUgraphEdgeData *edge)
{
    return !edge || memcmp(edge, &plain, sizeof(plain)) == 0;
}

CUresult weft_soft_graph_check_edges(const CUgraphEdgeData *edges, size_t count)
{
    for (size_t i = 0; edges && i < count; i++) {
        if (!is_plain(&edges[i]))
            return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_SUCCESS;
}

CUgraphEdgeData weft_soft_graph_edge_at(const struct weft_soft_graph_node *node, size_t dependency)
{
    return node->edges ? node->edges[dependency] : plain;
}

bool weft_soft_graph_edge_is_plain(CUgraphEdgeData edge)
{
    return is_plain(&edge);
}

/* Only kernels have ports, and only of kernels others may start before they end. */
static bool is_valid(const CUgraphEdgeData *edge, const struct weft_soft_graph_node *from,
                     const struct weft_soft_graph_node *to)
{
    static const unsigned char unused[sizeof(edge->reserved)];
    bool from_kernel = from->work.params.type == CU_GRAPH_NODE_TYPE_KERNEL;
    bool to_kernel = to->work.params.type == CU_GRAPH_NODE_TYPE_KERNEL;
    if (edge->to_port || memcmp(edge->reserved, unused, sizeof(unused)) != 0)
        return false;
    if (edge->type == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC)
        return from_kernel && to_kernel &&
               (edge->from_port == CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC ||
                edge->from_port == CU_GRAPH_KERNEL_NODE_PORT_LAUNCH_ORDER);
    return edge->type == CU_GRAPH_DEPENDENCY_TYPE_DEFAULT &&
           (edge->from_port == CU_GRAPH_KERNEL_NODE_PORT_DEFAULT ||
            (edge->from_port == CU_GRAPH_KERNEL_NODE_PORT_LAUNCH_ORDER && from_kernel));
}

bool weft_soft_graph_depends(const struct weft_soft_graph_node *node,
                             const struct weft_soft_graph_node *on)
{
    for (size_t i = 0; i < node->dependency_count; i++) {
        if (node->dependencies[i] == on)
            return true;
    }
    return false;
}

/* Edges of which there is more to say are rare, so the list of that is made for the first. */
static CUresult make_room(struct weft_soft_graph_node *node, bool with_edges)
{
    size_t room = node->dependency_room;
    if (node->dependency_count == room) {
        room = room ? 2 * room : 2;
        void *larger = realloc(node->dependencies, room * sizeof(struct weft_soft_graph_node *));
        if (!larger)
            return CUDA_ERROR_OUT_OF_MEMORY;
        node->dependencies = larger;
        void *more = node->edges ? realloc(node->edges, room * sizeof(*node->edges)) : NULL;
        if (node->edges && !more)
            return CUDA_ERROR_OUT_OF_MEMORY;
        node->edges = more;
        node->dependency_room = room;
    }
    if (with_edges && !node->edges)
        node->edges = calloc(room, sizeof(*node->edges));
    return with_edges && !node->edges ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult weft_soft_graph_connect(struct weft_soft_graph_node *from, struct weft_soft_graph_node *to,
                                 CUgraphEdgeData edge)
{
    if (from == to || from->graph != to->graph || weft_soft_graph_depends(to, from) ||
        !is_valid(&edge, from, to))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = make_room(to, !is_plain(&edge));
    if (result)
        return result;
    if (to->edges)
        to->edges[to->dependency_count] = edge;
    to->dependencies[to->dependency_count++] = from;
    to->graph->edge_count++;
    return CUDA_SUCCESS;
}

size_t weft_soft_graph_edge_find(const struct weft_soft_graph_node *from,
                                 const struct weft_soft_graph_node *to)
{
    size_t at = 0;
    while (at < to->dependency_count && to->dependencies[at] != from)
        at++;
    return at < to->dependency_count ? at : SIZE_MAX;
}

bool weft_soft_graph_disconnect(struct weft_soft_graph_node *from, struct weft_soft_graph_node *to)
{
    size_t at = weft_soft_graph_edge_find(from, to);
    if (at == SIZE_MAX)
        return false;
    for (; at + 1 < to->dependency_count; at++) {
        to->dependencies[at] = to->dependencies[at + 1];
        if (to->edges)
            to->edges[at] = to->edges[at + 1];
    }
    to->dependency_count--;
    to->graph->edge_count--;
    return true;
}

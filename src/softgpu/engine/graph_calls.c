/* Graphs as a whole, and the edges in them. */
#include <string.h>

#include "softgpu/engine/graph.h"

/* The graph lock, and what the handle names; without the lock where that is nothing. */
static CUresult enter_graph(CUgraph handle, struct weft_soft_graph **out)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    *out = weft_soft_graph_by_handle(handle);
    return *out ? CUDA_SUCCESS : weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
}

static CUresult enter_node(CUgraphNode handle, struct weft_soft_graph_node **out)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    *out = weft_soft_graph_node_by_handle(handle);
    return *out ? CUDA_SUCCESS : weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
}

static CUresult create(CUgraph *out, unsigned int flags)
{
    if (!out || flags)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph *graph;
    result = weft_soft_graph_create(&graph, true);
    if (result == CUDA_SUCCESS)
        *out = (CUgraph)(uintptr_t)graph->handle;
    return weft_soft_graph_leave(result);
}

static CUresult destroy(CUgraph handle)
{
    struct weft_soft_graph *graph;
    CUresult result = enter_graph(handle, &graph);
    if (result)
        return result;
    if (graph->is_child || graph->is_captured)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    weft_soft_graph_destroy(graph);
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

static CUresult clone_graph(CUgraph *out, CUgraph handle)
{
    struct weft_soft_graph *graph, *copy;
    CUresult result = out ? enter_graph(handle, &graph) : CUDA_ERROR_INVALID_VALUE;
    if (result)
        return result;
    if (weft_soft_graph_has_memory(graph))
        return weft_soft_graph_leave(CUDA_ERROR_NOT_SUPPORTED);
    result = weft_soft_graph_copy(&copy, graph, true);
    if (result == CUDA_SUCCESS)
        *out = (CUgraph)(uintptr_t)copy->handle;
    return weft_soft_graph_leave(result);
}

static CUresult find_in_clone(CUgraphNode *out, CUgraphNode original, CUgraph handle)
{
    struct weft_soft_graph *graph;
    CUresult result = out ? enter_graph(handle, &graph) : CUDA_ERROR_INVALID_VALUE;
    if (result)
        return result;
    const struct weft_soft_graph_node *node = weft_soft_graph_node_by_handle(original);
    if (node)
        node = weft_soft_graph_find(graph, node->handle);
    if (!node)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    *out = (CUgraphNode)(uintptr_t)node->handle;
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

static CUresult destroy_node(CUgraphNode handle)
{
    struct weft_soft_graph_node *node;
    CUresult result = enter_node(handle, &node);
    if (result)
        return result;
    if (node->graph->is_captured)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    if (weft_soft_graph_has_memory(node->graph))
        return weft_soft_graph_leave(CUDA_ERROR_NOT_SUPPORTED);
    weft_soft_graph_node_destroy(node);
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

static CUresult get_type(CUgraphNode handle, CUgraphNodeType *out)
{
    struct weft_soft_graph_node *node;
    CUresult result = out ? enter_node(handle, &node) : CUDA_ERROR_INVALID_VALUE;
    if (result)
        return result;
    *out = node->work.params.type;
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

/* A list that the program asks for: without room for it only its length; with more room than it is
 * long the rest is made empty, as CUDA has it. */
struct listing {
    CUgraphNode *from, *to; /* `to` only for edges */
    CUgraphEdgeData *edges;
    size_t room, count;
    bool is_lossy; /* there was more to say of an edge */
};

static void list(struct listing *listing, const struct weft_soft_graph_node *from,
                 const struct weft_soft_graph_node *to)
{
    size_t at = listing->count++;
    if (at >= listing->room)
        return;
    if (listing->from)
        listing->from[at] = (CUgraphNode)(uintptr_t)from->handle;
    if (listing->to)
        listing->to[at] = to ? (CUgraphNode)(uintptr_t)to->handle : NULL;
}

/* The edge at that place among the node's dependencies, of which `end` is listed. */
static void list_edge(struct listing *listing, const struct weft_soft_graph_node *node,
                      size_t dependency, const struct weft_soft_graph_node *end)
{
    CUgraphEdgeData edge = weft_soft_graph_edge_at(node, dependency);
    size_t at = listing->count;
    bool listed = at < listing->room;
    if (listed && listing->edges)
        listing->edges[at] = edge;
    listing->is_lossy |= listed && !listing->edges && !weft_soft_graph_edge_is_plain(edge);
    list(listing, end, node);
}

static CUresult finish_listing(struct listing *listing, size_t *count)
{
    bool only_count = !listing->from && !listing->to;
    if (listing->is_lossy)
        return weft_soft_graph_leave(CUDA_ERROR_LOSSY_QUERY);
    size_t listed = WEFT_MIN(listing->count, listing->room);
    for (size_t i = listed; i < listing->room && !only_count; i++) {
        if (listing->from)
            listing->from[i] = NULL;
        if (listing->to)
            listing->to[i] = NULL;
    }
    *count = only_count ? listing->count : listed;
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

static struct listing start_listing(CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *edges,
                                    const size_t *count)
{
    return (struct listing){
        .from = from, .to = to, .edges = edges, .room = from || to ? *count : 0};
}

static CUresult list_graph(CUgraph handle, CUgraphNode *nodes, size_t *count, bool only_roots)
{
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_graph *graph;
    CUresult result = enter_graph(handle, &graph);
    if (result)
        return result;
    struct listing listing = start_listing(nodes, NULL, NULL, count);
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (!only_roots || node->dependency_count == 0)
            list(&listing, node, NULL);
    }
    return finish_listing(&listing, count);
}

static CUresult get_nodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    return list_graph(graph, nodes, count, false);
}

static CUresult get_roots(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    return list_graph(graph, nodes, count, true);
}

static CUresult get_edges_v2(CUgraph handle, CUgraphNode *from, CUgraphNode *to,
                             CUgraphEdgeData *edges, size_t *count)
{
    if (!count || !from != !to || (edges && !from))
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_graph *graph;
    CUresult result = enter_graph(handle, &graph);
    if (result)
        return result;
    struct listing listing = start_listing(from, to, edges, count);
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        for (size_t i = 0; i < node->dependency_count; i++)
            list_edge(&listing, node, i, node->dependencies[i]);
    }
    return finish_listing(&listing, count);
}

static CUresult get_edges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
    return get_edges_v2(graph, from, to, NULL, count);
}

static CUresult get_dependencies_v2(CUgraphNode handle, CUgraphNode *nodes, CUgraphEdgeData *edges,
                                    size_t *count)
{
    if (!count || (edges && !nodes))
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_graph_node *node;
    CUresult result = enter_node(handle, &node);
    if (result)
        return result;
    struct listing listing = start_listing(nodes, NULL, edges, count);
    for (size_t i = 0; i < node->dependency_count; i++)
        list_edge(&listing, node, i, node->dependencies[i]);
    return finish_listing(&listing, count);
}

static CUresult get_dependencies(CUgraphNode handle, CUgraphNode *nodes, size_t *count)
{
    return get_dependencies_v2(handle, nodes, NULL, count);
}

static CUresult get_dependents_v2(CUgraphNode handle, CUgraphNode *nodes, CUgraphEdgeData *edges,
                                  size_t *count)
{
    if (!count || (edges && !nodes))
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_graph_node *node;
    CUresult result = enter_node(handle, &node);
    if (result)
        return result;
    struct listing listing = start_listing(nodes, NULL, edges, count);
    WEFT_SOFT_GRAPH_EACH(other, node->graph)
    {
        size_t at = weft_soft_graph_edge_find(node, other);
        if (at != SIZE_MAX)
            list_edge(&listing, other, at, other);
    }
    return finish_listing(&listing, count);
}

static CUresult get_dependents(CUgraphNode handle, CUgraphNode *nodes, size_t *count)
{
    return get_dependents_v2(handle, nodes, NULL, count);
}

/* Edges that are added or removed. */
struct change {
    const CUgraphNode *from, *to;
    const CUgraphEdgeData *edges; /* NULL: all of them plain */
    size_t count;
    bool add;
};

/* An edge is removed by all that it says. */
static CUresult disconnect(struct weft_soft_graph_node *from, struct weft_soft_graph_node *to,
                           CUgraphEdgeData edge)
{
    size_t at = weft_soft_graph_edge_find(from, to);
    if (at == SIZE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    CUgraphEdgeData found = weft_soft_graph_edge_at(to, at);
    if (memcmp(&found, &edge, sizeof(edge)) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    weft_soft_graph_disconnect(from, to);
    return CUDA_SUCCESS;
}

static CUresult change_edge(struct weft_soft_graph *graph, const struct change *change, size_t i,
                            bool add)
{
    struct weft_soft_graph_node *from = weft_soft_graph_node_by_handle(change->from[i]);
    struct weft_soft_graph_node *to = weft_soft_graph_node_by_handle(change->to[i]);
    CUgraphEdgeData edge = change->edges ? change->edges[i] : (CUgraphEdgeData){0};
    if (!from || !to || from->graph != graph || to->graph != graph)
        return CUDA_ERROR_INVALID_VALUE;
    return add ? weft_soft_graph_connect(from, to, edge) : disconnect(from, to, edge);
}

/* All of the list or, where one edge is refused, none of it. */
static CUresult change_edges(CUgraph handle, const struct change *change)
{
    if (change->count && (!change->from || !change->to))
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_graph *graph;
    CUresult result = enter_graph(handle, &graph);
    if (result)
        return result;
    if (!change->add && weft_soft_graph_has_memory(graph))
        return weft_soft_graph_leave(CUDA_ERROR_NOT_SUPPORTED);
    size_t done = 0;
    while (done < change->count && result == CUDA_SUCCESS)
        result = change_edge(graph, change, done++, change->add);
    for (size_t i = result ? done - 1 : 0; i > 0; i--)
        change_edge(graph, change, i - 1, !change->add);
    return weft_soft_graph_leave(result);
}

static CUresult add_dependencies_v2(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                    const CUgraphEdgeData *edges, size_t count)
{
    return change_edges(graph, &(struct change){from, to, edges, count, true});
}

static CUresult remove_dependencies_v2(CUgraph graph, const CUgraphNode *from,
                                       const CUgraphNode *to, const CUgraphEdgeData *edges,
                                       size_t count)
{
    return change_edges(graph, &(struct change){from, to, edges, count, false});
}

static CUresult add_dependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                 size_t count)
{
    return add_dependencies_v2(graph, from, to, NULL, count);
}

static CUresult remove_dependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                    size_t count)
{
    return remove_dependencies_v2(graph, from, to, NULL, count);
}

void weft_soft_graph_install(struct weft_cuda *table)
{
    table->cuGraphCreate = create;
    table->cuGraphDestroy = destroy;
    table->cuGraphClone = clone_graph;
    table->cuGraphNodeFindInClone = find_in_clone;
    table->cuGraphDestroyNode = destroy_node;
    table->cuGraphNodeGetType = get_type;
    table->cuGraphGetNodes = get_nodes;
    table->cuGraphGetRootNodes = get_roots;
    table->cuGraphGetEdges = get_edges;
    table->cuGraphGetEdges_v2 = get_edges_v2;
    table->cuGraphNodeGetDependencies = get_dependencies;
    table->cuGraphNodeGetDependencies_v2 = get_dependencies_v2;
    table->cuGraphNodeGetDependentNodes = get_dependents;
    table->cuGraphNodeGetDependentNodes_v2 = get_dependents_v2;
    table->cuGraphAddDependencies = add_dependencies;
    table->cuGraphAddDependencies_v2 = add_dependencies_v2;
    table->cuGraphRemoveDependencies = remove_dependencies;
    table->cuGraphRemoveDependencies_v2 = remove_dependencies_v2;
    weft_soft_graph_node_install(table);
    weft_soft_graph_exec_install(table);
}

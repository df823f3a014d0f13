#include "softgpu/engine/graph.h"

#include <stdlib.h>

static pthread_mutex_t graph_lock = PTHREAD_MUTEX_INITIALIZER;

void weft_soft_graph_lock(void)
{
    pthread_mutex_lock(&graph_lock);
}

void weft_soft_graph_unlock(void)
{
    pthread_mutex_unlock(&graph_lock);
}

CUresult weft_soft_graph_enter(void)
{
    CUresult result = weft_soft_call_enter();
    if (result == CUDA_SUCCESS)
        weft_soft_graph_lock();
    return result;
}

CUresult weft_soft_graph_leave(CUresult result)
{
    weft_soft_graph_unlock();
    return result;
}

struct weft_soft_graph *weft_soft_graph_by_handle(CUgraph handle)
{
    uint64_t number = (uint64_t)(uintptr_t)handle;
    struct weft_soft_graph *graph = weft_soft_handle_get(WEFT_SOFT_HANDLE_GRAPH, number);
    if (graph)
        weft_soft_handle_put(number);
    return graph;
}

struct weft_soft_graph_node *weft_soft_graph_node_by_handle(CUgraphNode handle)
{
    uint64_t number = (uint64_t)(uintptr_t)handle;
    struct weft_soft_graph_node *node = weft_soft_handle_get(WEFT_SOFT_HANDLE_GRAPH_NODE, number);
    if (node)
        weft_soft_handle_put(number);
    return node;
}

CUresult weft_soft_graph_create(struct weft_soft_graph **out, bool with_handle)
{
    struct weft_soft_graph *graph = calloc(1, sizeof(*graph));
    if (!graph)
        return CUDA_ERROR_OUT_OF_MEMORY;
    weft_soft_list_init(&graph->nodes);
    if (with_handle) {
        graph->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_GRAPH, graph, NULL);
        if (!graph->handle) {
            free(graph);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    *out = graph;
    return CUDA_SUCCESS;
}

/* The node alone: its edges are the caller's affair. */
static void free_node(struct weft_soft_graph_node *node)
{
    if (node->handle)
        weft_soft_handle_close(WEFT_SOFT_HANDLE_GRAPH_NODE, node->handle);
    weft_soft_graph_work_finish(&node->work);
    free(node->dependencies);
    free(node->edges);
    free(node);
}

void weft_soft_graph_destroy(struct weft_soft_graph *graph)
{
    if (!graph)
        return;
    weft_soft_graph_objects_finish(graph, NULL);
    for (struct weft_soft_link *link = graph->nodes.next, *next; link != &graph->nodes;
         link = next) {
        next = link->next;
        free_node(weft_soft_graph_node_of(link));
    }
    if (graph->handle)
        weft_soft_handle_close(WEFT_SOFT_HANDLE_GRAPH, graph->handle);
    free(graph->held);
    weft_soft_graph_segment_put(graph->segment);
    free(graph->order);
    free(graph->memory);
    free(graph);
}

CUresult weft_soft_graph_append(struct weft_soft_graph *graph, struct weft_soft_graph_work *work,
                                bool with_handle, struct weft_soft_graph_node **out)
{
    if (graph->node_count >= WEFT_SOFT_GRAPH_NODES_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct weft_soft_graph_node *node = calloc(1, sizeof(*node));
    if (!node)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (with_handle) {
        node->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_GRAPH_NODE, node, NULL);
        if (!node->handle) {
            free(node);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    node->graph = graph;
    node->work = *work;
    if (work->child)
        work->child->owner = node;
    weft_soft_list_append(&graph->nodes, &node->link);
    graph->node_count++;
    *out = node;
    return CUDA_SUCCESS;
}

void weft_soft_graph_node_destroy(struct weft_soft_graph_node *node)
{
    struct weft_soft_graph *graph = node->graph;
    WEFT_SOFT_GRAPH_EACH(other, graph)
    weft_soft_graph_disconnect(node, other);
    graph->edge_count -= node->dependency_count;
    graph->node_count--;
    weft_soft_list_remove(&node->link);
    free_node(node);
}

void weft_soft_graph_number(struct weft_soft_graph *graph)
{
    size_t index = 0;
    WEFT_SOFT_GRAPH_EACH(node, graph)
    node->index = index++;
}

static CUresult copy_nodes(struct weft_soft_graph *graph, struct weft_soft_graph *from,
                           struct weft_soft_graph_node **copies, bool with_handles)
{
    WEFT_SOFT_GRAPH_EACH(node, from)
    {
        struct weft_soft_graph_work work;
        CUresult result = weft_soft_graph_work_copy(&work, &node->work, with_handles);
        if (result)
            return result;
        struct weft_soft_graph_node *copy;
        result = weft_soft_graph_append(graph, &work, with_handles, &copy);
        if (result) {
            weft_soft_graph_work_finish(&work);
            return result;
        }
        copy->origin = node->handle;
        copies[node->index] = copy;
    }
    return CUDA_SUCCESS;
}

static CUresult copy_edges(struct weft_soft_graph *from, struct weft_soft_graph_node **copies)
{
    WEFT_SOFT_GRAPH_EACH(node, from)
    {
        for (size_t i = 0; i < node->dependency_count; i++) {
            CUresult result =
                weft_soft_graph_connect(copies[node->dependencies[i]->index], copies[node->index],
                                        weft_soft_graph_edge_at(node, i));
            if (result)
                return result;
        }
    }
    return CUDA_SUCCESS;
}

CUresult weft_soft_graph_copy(struct weft_soft_graph **out, struct weft_soft_graph *from,
                              bool with_handles)
{
    struct weft_soft_graph *graph;
    CUresult result = weft_soft_graph_create(&graph, with_handles);
    if (result)
        return result;
    struct weft_soft_graph_node **copies =
        calloc(from->node_count + 1, sizeof(struct weft_soft_graph_node *));
    weft_soft_graph_number(from);
    result = copies ? copy_nodes(graph, from, copies, with_handles) : CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS)
        result = copy_edges(from, copies);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_objects_copy(graph, from);
    free(copies);
    if (result)
        weft_soft_graph_destroy(graph);
    else
        *out = graph;
    return result;
}

struct ordering {
    struct weft_soft_graph_node **stack; /* nodes whose dependencies are being placed */
    size_t depth;
    struct weft_soft_graph *graph;
    size_t placed;
};

/* Places `node` after all that it depends on: a depth-first walk with a stack of its own, since
 * graphs are as deep as programs like. `visited` is 0 for a node not seen, SIZE_MAX for one that is
 * placed, and between for one on the stack. */
static CUresult place(struct ordering *ordering, struct weft_soft_graph_node *node)
{
    node->visited = 1;
    ordering->stack[ordering->depth++] = node;
    while (ordering->depth > 0) {
        struct weft_soft_graph_node *top = ordering->stack[ordering->depth - 1];
        if (top->visited > top->dependency_count) {
            top->visited = SIZE_MAX;
            ordering->depth--;
            ordering->graph->order[ordering->placed++] = top;
            continue;
        }
        struct weft_soft_graph_node *next = top->dependencies[top->visited++ - 1];
        if (next->visited == SIZE_MAX)
            continue;
        if (next->visited)
            return CUDA_ERROR_INVALID_VALUE;
        next->visited = 1;
        ordering->stack[ordering->depth++] = next;
    }
    return CUDA_SUCCESS;
}

static CUresult order_nodes(struct weft_soft_graph *graph)
{
    struct ordering ordering = {.graph = graph};
    free(graph->order);
    graph->order = calloc(graph->node_count + 1, sizeof(struct weft_soft_graph_node *));
    ordering.stack = calloc(graph->node_count + 1, sizeof(struct weft_soft_graph_node *));
    CUresult result = graph->order && ordering.stack ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    WEFT_SOFT_GRAPH_EACH(node, graph)
    node->visited = 0;
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (result == CUDA_SUCCESS && !node->visited)
            result = place(&ordering, node);
    }
    free(ordering.stack);
    return result;
}

CUresult weft_soft_graph_order(struct weft_soft_graph *graph)
{
    CUresult result = order_nodes(graph);
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (result == CUDA_SUCCESS && node->work.child)
            result = weft_soft_graph_order(node->work.child);
    }
    return result;
}

/* Nodes added later depend on nodes added before but for edges that the program draws itself, so
 * one walk from the youngest to the oldest finds nearly all; it is repeated while it finds more. */
static bool mark_dependencies(struct weft_soft_graph *graph)
{
    bool found = false;
    for (struct weft_soft_link *link = graph->nodes.previous; link != &graph->nodes;
         link = link->previous) {
        const struct weft_soft_graph_node *node = weft_soft_graph_node_of(link);
        for (size_t i = 0; node->visited && i < node->dependency_count; i++) {
            found |= !node->dependencies[i]->visited;
            node->dependencies[i]->visited = 1;
        }
    }
    return found;
}

void weft_soft_graph_mark_reached(struct weft_soft_graph *graph, const CUgraphNode *nodes,
                                  size_t count)
{
    WEFT_SOFT_GRAPH_EACH(node, graph)
    node->visited = 0;
    for (size_t i = 0; i < count; i++) {
        struct weft_soft_graph_node *node = weft_soft_graph_node_by_handle(nodes[i]);
        if (node && node->graph == graph)
            node->visited = 1;
    }
    while (mark_dependencies(graph))
        continue;
}

unsigned int weft_soft_graph_depth(struct weft_soft_graph *graph)
{
    unsigned int deepest = 0;
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (node->work.child)
            deepest = WEFT_MAX(deepest, weft_soft_graph_depth(node->work.child));
    }
    return deepest + 1;
}

static const struct weft_soft_graph *outer_of(const struct weft_soft_graph *graph)
{
    return graph->owner ? graph->owner->graph : NULL;
}

unsigned int weft_soft_graph_height(const struct weft_soft_graph *graph)
{
    unsigned int height = 0;
    for (; graph; graph = outer_of(graph))
        height++;
    return height;
}

bool weft_soft_graph_is_in(const struct weft_soft_graph *graph, const struct weft_soft_graph *outer)
{
    while (graph && graph != outer)
        graph = outer_of(graph);
    return graph != NULL;
}

struct weft_soft_graph_node *weft_soft_graph_find(struct weft_soft_graph *graph, uint64_t origin)
{
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (node->origin == origin)
            return node;
        struct weft_soft_graph_node *inner =
            node->work.child ? weft_soft_graph_find(node->work.child, origin) : NULL;
        if (inner)
            return inner;
    }
    return NULL;
}

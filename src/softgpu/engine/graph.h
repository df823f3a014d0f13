/* Graphs: work that is described once and launched many times.
 *
 * A graph owns its nodes; a node lists the nodes that it depends on, and owns a description of its
 * work that needs nothing of the program's any more, but for the memory that it names. Clones and
 * executable graphs are deep copies whose nodes remember which node they were copied from. A child
 * graph belongs to its node.
 *
 * The graph lock guards all graphs and nodes that have handles; it is taken before any other lock.
 * What an executable graph holds is guarded by its own lock, under the graph lock. */
#ifndef WEFT_SOFTGPU_ENGINE_GRAPH_H
#define WEFT_SOFTGPU_ENGINE_GRAPH_H

#include "softgpu/engine/engine.h"
#include "softgpu/engine/launch.h"
#include "softgpu/engine/list.h"
#include "softgpu/engine/schedule.h"

#define WEFT_SOFT_GRAPH_NODES_MAX (1u << 18)
#define WEFT_SOFT_GRAPH_DEPTH_MAX 16 /* child graphs inside child graphs */
#define WEFT_SOFT_KERNEL_ATTRIBUTES 17

struct weft_soft_graph;

/* What a node does. */
struct weft_soft_graph_work {
    /* As the program gave it; of a kernel, kernelParams point into what is owned here. */
    CUgraphNodeParams params;
    struct weft_soft_packed_launch kernel; /* its params are owned */
    CUkernelNodeAttrValue *attributes;     /* owned; of a kernel, by their numbers; NULL: all 0 */
    struct weft_soft_graph *child;         /* owned */
    struct weft_soft_graph_piece
        *piece;                         /* referenced; of memory that the graph itself frees, too */
    struct weft_soft_graph_node *frees; /* of a free node: the allocation, if it is this graph's */
    struct weft_soft_allocation *claimed; /* of a free node that is being launched; owned */
    bool is_freed, is_reused;             /* of an allocation, by a node of the graph */
};

struct weft_soft_graph_node {
    struct weft_soft_link link; /* in the graph's nodes, oldest first */
    struct weft_soft_graph *graph;
    uint64_t handle; /* 0 in an executable graph */
    uint64_t origin; /* the handle of the node that it was copied from; 0: of none */
    struct weft_soft_graph_work work;
    struct weft_soft_graph_node **dependencies; /* owned array */
    CUgraphEdgeData *edges;                     /* owned array beside it; NULL: all of them plain */
    size_t dependency_count, dependency_room;
    size_t index;   /* scratch: its place among the nodes, filled by weft_soft_graph_number */
    size_t visited; /* scratch of the ordering: dependencies looked at, plus one */
    size_t exit;    /* scratch of the plan: the step after which the node is done */
    struct weft_soft_graph_node *pair; /* scratch of a comparison: the node that is its like */
    bool is_disabled;                  /* in an executable graph */
};

/* References that a graph holds. */
struct weft_soft_user_object;
struct weft_soft_held {
    struct weft_soft_user_object *object;
    uint64_t count;
};

struct weft_soft_graph {
    uint64_t handle;                    /* 0 in an executable graph */
    bool is_child;                      /* it belongs to a node, not to the program */
    bool is_moved;                      /* and was the program's before */
    struct weft_soft_graph_node *owner; /* the node of a child graph; NULL */
    bool is_captured;                   /* a capture adds to it */
    bool is_executable; /* it has memory nodes, and there is an executable graph of it */
    struct weft_soft_graph_segment *segment; /* referenced; where its next allocation goes */
    struct weft_soft_link nodes;
    size_t node_count, edge_count;
    struct weft_soft_held *held; /* owned */
    size_t held_count;
    struct weft_soft_graph_node *
        *order; /* owned; each node after what it depends on; may be NULL */
    /* Of an executable graph: the memory nodes, those of child graphs too; owned. */
    struct weft_soft_graph_node **memory;
    size_t memory_count;
};

static inline struct weft_soft_graph_node *weft_soft_graph_node_of(struct weft_soft_link *link)
{
    return WEFT_CONTAINER_OF(link, struct weft_soft_graph_node, link);
}
#define WEFT_SOFT_GRAPH_EACH(node, graph)                                                  \
    for (struct weft_soft_graph_node *node = weft_soft_graph_node_of((graph)->nodes.next); \
         &node->link != &(graph)->nodes; node = weft_soft_graph_node_of(node->link.next))

/* NOT_INITIALIZED or NOT_PERMITTED, without the lock; else the graph lock is held. */
CUresult weft_soft_graph_enter(void);
/* Gives the lock back and hands `result` through. */
CUresult weft_soft_graph_leave(CUresult result);
/* The lock alone. */
void weft_soft_graph_lock(void);
void weft_soft_graph_unlock(void);

/* Everything below with the graph lock held. */

/* Deep copies what a program says of a node's work. INVALID_VALUE, NOT_SUPPORTED, … */
CUresult weft_soft_graph_work_init(struct weft_soft_graph_work *work,
                                   const CUgraphNodeParams *params, bool with_handles);
/* A second one of the same. */
CUresult weft_soft_graph_work_copy(struct weft_soft_graph_work *work,
                                   const struct weft_soft_graph_work *from, bool with_handles);
void weft_soft_graph_work_finish(struct weft_soft_graph_work *work);

CUresult weft_soft_graph_create(struct weft_soft_graph **out, bool with_handle);
/* Also closes the handles of nodes and child graphs. */
void weft_soft_graph_destroy(struct weft_soft_graph *graph);
CUresult weft_soft_graph_copy(struct weft_soft_graph **out, struct weft_soft_graph *from,
                              bool with_handles);
/* Takes over the work when it succeeds. */
CUresult weft_soft_graph_append(struct weft_soft_graph *graph, struct weft_soft_graph_work *work,
                                bool with_handle, struct weft_soft_graph_node **out);
/* A node for the program, behind those that it depends on. What the driver decides (the copy of a
 * child graph) is told in `params`. `edges` may be NULL. */
CUresult weft_soft_graph_add(CUgraphNode *out, struct weft_soft_graph *graph,
                             const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
                             size_t count, CUgraphNodeParams *params);
void weft_soft_graph_node_destroy(struct weft_soft_graph_node *node);
/* OUT_OF_MEMORY; INVALID_VALUE where it is there already or would be the node itself, and for
 * data that no edge between such nodes has. */
CUresult weft_soft_graph_connect(struct weft_soft_graph_node *from, struct weft_soft_graph_node *to,
                                 CUgraphEdgeData edge);
/* Where among the dependencies of `to` the edge stands; SIZE_MAX. */
size_t weft_soft_graph_edge_find(const struct weft_soft_graph_node *from,
                                 const struct weft_soft_graph_node *to);
CUgraphEdgeData weft_soft_graph_edge_at(const struct weft_soft_graph_node *node, size_t dependency);
bool weft_soft_graph_edge_is_plain(CUgraphEdgeData edge);
/* False where there is no such edge. */
bool weft_soft_graph_disconnect(struct weft_soft_graph_node *from, struct weft_soft_graph_node *to);
bool weft_soft_graph_depends(const struct weft_soft_graph_node *node,
                             const struct weft_soft_graph_node *on);
/* Numbers the nodes. */
void weft_soft_graph_number(struct weft_soft_graph *graph);
/* Fills `order`, of child graphs too. INVALID_VALUE where the edges make a circle. */
CUresult weft_soft_graph_order(struct weft_soft_graph *graph);
/* Sets `visited` of these nodes and of all that they depend on, and clears that of the others. */
void weft_soft_graph_mark_reached(struct weft_soft_graph *graph, const CUgraphNode *nodes,
                                  size_t count);
/* How many levels of child graphs there are, itself included. */
unsigned int weft_soft_graph_depth(struct weft_soft_graph *graph);
/* How many levels it stands in, itself included. */
unsigned int weft_soft_graph_height(const struct weft_soft_graph *graph);
/* Whether it is `outer`, or inside of it. */
bool weft_soft_graph_is_in(const struct weft_soft_graph *graph,
                           const struct weft_soft_graph *outer);
/* The node copied from `origin`, in child graphs too; NULL. */
struct weft_soft_graph_node *weft_soft_graph_find(struct weft_soft_graph *graph, uint64_t origin);

/* By handle; NULL. Valid while the lock is held. */
struct weft_soft_graph *weft_soft_graph_by_handle(CUgraph handle);
struct weft_soft_graph_node *weft_soft_graph_node_by_handle(CUgraphNode handle);

/* For who keeps no data of edges: NOT_SUPPORTED for others than plain ones. Takes no lock. */
CUresult weft_soft_graph_check_edges(const CUgraphEdgeData *edges, size_t count);
/* Takes the locks itself: other work of the same kind for the node of an executable graph that was
 * copied from `origin`. */
CUresult weft_soft_graph_exec_set(CUgraphExec handle, CUgraphNode origin,
                                  const CUgraphNodeParams *params);

/* Allocation and free nodes: graph_memory_node.c. A graph with them is not copied but for its one
 * executable graph, and loses neither nodes nor edges. */
bool weft_soft_graph_has_memory(struct weft_soft_graph *graph);
bool weft_soft_graph_node_is_memory(const struct weft_soft_graph_node *node);
/* Fills `memory` of a copy that is to be executed; what follows is about such copies. */
CUresult weft_soft_graph_memory_collect(struct weft_soft_graph *graph);
/* Whether launches left something that the program has still; and frees that in the stream. */
bool weft_soft_graph_memory_remains(const struct weft_soft_graph *graph);
CUresult weft_soft_graph_memory_free_remains(const struct weft_soft_graph *graph,
                                             struct weft_soft_stream *stream);
CUresult weft_soft_graph_alloc_init(struct weft_soft_graph_work *work);
/* Gives a new node its address, or finds what it frees. */
CUresult weft_soft_graph_place(struct weft_soft_graph_node *node);
/* Of an executable graph, under its lock: puts memory behind its addresses. OUT_OF_MEMORY. */
CUresult weft_soft_graph_memory_back(struct weft_soft_graph *graph);
/* The same for a launch, which gives the program what the graph does not free. INVALID_VALUE where
 * it has that still, unless `auto_free`, or has not what the graph frees of others. */
CUresult weft_soft_graph_memory_prepare(struct weft_soft_graph *graph, bool auto_free,
                                        struct weft_soft_context *context);
CUresult weft_soft_graph_memory_launch(struct weft_soft_stream *stream,
                                       struct weft_soft_graph_node *node);
/* After a launch: gives back what it took of the program and did not free. */
void weft_soft_graph_memory_unclaim(struct weft_soft_graph *graph,
                                    struct weft_soft_context *context);
void weft_soft_graph_memory_node_install(struct weft_cuda *table);

/* User objects: graph_object.c. A graph gives up what it and its child graphs hold, once `fence` is
 * reached where there is one. */
void weft_soft_graph_objects_finish(struct weft_soft_graph *graph, struct weft_soft_fence *fence);
CUresult weft_soft_graph_objects_copy(struct weft_soft_graph *graph,
                                      const struct weft_soft_graph *from);
void weft_soft_graph_object_install(struct weft_cuda *table);

/* Attributes of kernel nodes: graph_attribute.c. Those of a launch that a node has too; and those
 * of another node. NOT_SUPPORTED, OUT_OF_MEMORY. */
CUresult weft_soft_graph_attribute_set(struct weft_soft_graph_work *work,
                                       CUkernelNodeAttrID attribute,
                                       const CUkernelNodeAttrValue *value);
CUresult weft_soft_graph_attributes_take(struct weft_soft_graph_work *work,
                                         const CUlaunchAttribute *attributes, unsigned int count);
CUresult weft_soft_graph_attributes_copy(struct weft_soft_graph_work *work,
                                         const struct weft_soft_graph_work *from);
void weft_soft_graph_attribute_install(struct weft_cuda *table);
void weft_soft_graph_dot_install(struct weft_cuda *table);

/* Each file of calls puts its own into the table. */
void weft_soft_graph_node_install(struct weft_cuda *table);
void weft_soft_graph_exec_install(struct weft_cuda *table);

#endif

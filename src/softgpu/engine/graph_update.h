/* Whether a graph may take the place of an executable graph's, and which of their nodes are the
 * same. */
#ifndef WEFT_SOFTGPU_ENGINE_GRAPH_UPDATE_H
#define WEFT_SOFTGPU_ENGINE_GRAPH_UPDATE_H

#include "softgpu/engine/graph.h"

struct weft_soft_graph_verdict {
    CUgraphExecUpdateResult result;
    /* The node of the new graph that stands against the update, and the one that it should not
     * depend on, by their handles; 0: none. */
    uint64_t node, from;
};

/* Compares copies, made for execution, of two graphs and of their child graphs, with CUDA's rules
 * for `flags`, those of the instantiation. Where the verdict is SUCCESS each node's `pair` is its
 * like in the other graph. */
struct weft_soft_graph_verdict weft_soft_graph_compare(struct weft_soft_graph *before,
                                                       struct weft_soft_graph *updated,
                                                       uint64_t flags);
/* What may not change of a node, child graphs left out. */
CUgraphExecUpdateResult weft_soft_graph_compare_work(const struct weft_soft_graph_work *before,
                                                     const struct weft_soft_graph_work *updated,
                                                     uint64_t flags);
/* After a comparison: the program goes on to name the nodes of the graph that it instantiated. */
void weft_soft_graph_hand_over(struct weft_soft_graph *updated);

#endif

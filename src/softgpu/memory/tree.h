/* An ordered set of nodes that live inside other objects: a treap (Seidel and Aragon, "Randomized
 * Search Trees", 1996). Keys are pairs, so that equal sizes can be told apart by their offsets. The
 * caller locks. */
#ifndef WEFT_SOFTGPU_MEMORY_TREE_H
#define WEFT_SOFTGPU_MEMORY_TREE_H

#include <stdint.h>

struct weft_soft_node {
    struct weft_soft_node *left, *right; /* borrowed: whoever holds the tree's objects owns them */
    uint64_t key, tie;
    uint32_t priority;
};

/* `node->key` and `node->tie` are set by the caller; the pair is not in the tree yet. */
void weft_soft_tree_insert(struct weft_soft_node **root, struct weft_soft_node *node);
/* `node` is in the tree. */
void weft_soft_tree_remove(struct weft_soft_node **root, struct weft_soft_node *node);
/* The greatest node at or below (key, tie), and the least at or above; NULL where there is none. */
struct weft_soft_node *weft_soft_tree_floor(struct weft_soft_node *root, uint64_t key,
                                            uint64_t tie);
struct weft_soft_node *weft_soft_tree_ceiling(struct weft_soft_node *root, uint64_t key,
                                              uint64_t tie);

#endif

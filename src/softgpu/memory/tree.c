#include "softgpu/memory/tree.h"

#include <stddef.h>

static int compare(uint64_t key, uint64_t tie, const struct weft_soft_node *node)
{
    if (key != node->key)
        return key < node->key ? -1 : 1;
    return tie < node->tie ? -1 : tie > node->tie;
}

/* A fixed scrambling of the key: as good as chance for keys that a program picks without malice. */
static uint32_t scramble(uint64_t key, uint64_t tie)
{
    uint64_t mixed = (key ^ (tie << 32 | tie >> 32)) * 0x9e3779b97f4a7c15u;
    mixed ^= mixed >> 29;
    mixed *= 0xbf58476d1ce4e5b9u;
    return (uint32_t)(mixed >> 32);
}

/* Splits `tree` into what lies below and what lies above the pair, which is in neither. */
static void split(struct weft_soft_node *tree, uint64_t key, uint64_t tie,
                  struct weft_soft_node **below, struct weft_soft_node **above)
{
    while (tree) {
        if (compare(key, tie, tree) > 0) {
            *below = tree;
            below = &tree->right;
            tree = tree->right;
        } else {
            *above = tree;
            above = &tree->left;
            tree = tree->left;
        }
    }
    *below = NULL;
    *above = NULL;
}

void weft_soft_tree_insert(struct weft_soft_node **root, struct weft_soft_node *node)
{
    node->priority = scramble(node->key, node->tie);
    while (*root && (*root)->priority >= node->priority)
        root = compare(node->key, node->tie, *root) < 0 ? &(*root)->left : &(*root)->right;
    split(*root, node->key, node->tie, &node->left, &node->right);
    *root = node;
}

void weft_soft_tree_remove(struct weft_soft_node **root, struct weft_soft_node *node)
{
    while (*root && *root != node)
        root = compare(node->key, node->tie, *root) < 0 ? &(*root)->left : &(*root)->right;
    if (!*root)
        return;
    struct weft_soft_node *below = node->left, *above = node->right;
    while (below && above) {
        if (below->priority >= above->priority) {
            *root = below;
            root = &below->right;
            below = below->right;
        } else {
            *root = above;
            root = &above->left;
            above = above->left;
        }
    }
    *root = below ? below : above;
}

struct weft_soft_node *weft_soft_tree_floor(struct weft_soft_node *root, uint64_t key, uint64_t tie)
{
    struct weft_soft_node *best = NULL;
    while (root) {
        if (compare(key, tie, root) >= 0) {
            best = root;
            root = root->right;
        } else {
            root = root->left;
        }
    }
    return best;
}

struct weft_soft_node *weft_soft_tree_ceiling(struct weft_soft_node *root, uint64_t key,
                                              uint64_t tie)
{
    struct weft_soft_node *best = NULL;
    while (root) {
        if (compare(key, tie, root) <= 0) {
            best = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return best;
}

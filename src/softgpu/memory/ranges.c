#include "softgpu/memory/ranges.h"

#include <stdlib.h>

#include "util/util.h"

/* Parts that are large enough but may not fit for their alignment: how many are tried before one is
 * taken that fits whatever its offset, and how many when there is no such part. */
#define ALIGNMENT_TRIES 8
#define ALIGNMENT_TRIES_MAX 65536

struct weft_soft_range {
    struct weft_soft_node by_offset; /* key: offset */
    struct weft_soft_node by_size;   /* key: bytes, tie: offset */
    struct weft_soft_range *next;    /* among the spares */
};

static struct weft_soft_range *at_offset(struct weft_soft_node *node)
{
    return node ? WEFT_CONTAINER_OF(node, struct weft_soft_range, by_offset) : NULL;
}

static struct weft_soft_range *at_size(struct weft_soft_node *node)
{
    return node ? WEFT_CONTAINER_OF(node, struct weft_soft_range, by_size) : NULL;
}

static uint64_t start_of(const struct weft_soft_range *range)
{
    return range->by_offset.key;
}

static uint64_t end_of(const struct weft_soft_range *range)
{
    return range->by_offset.key + range->by_size.key;
}

/* Counts one more piece, and sees to it that there is a node for it. */
static bool piece_add(struct weft_soft_ranges *ranges)
{
    if (ranges->node_count <= ranges->piece_count) {
        struct weft_soft_range *range = malloc(sizeof(*range));
        if (!range)
            return false;
        range->next = ranges->spare;
        ranges->spare = range;
        ranges->node_count++;
    }
    ranges->piece_count++;
    return true;
}

static void link_range(struct weft_soft_ranges *ranges, struct weft_soft_range *range,
                       uint64_t offset, uint64_t bytes)
{
    range->by_offset = (struct weft_soft_node){.key = offset};
    range->by_size = (struct weft_soft_node){.key = bytes, .tie = offset};
    weft_soft_tree_insert(&ranges->by_offset, &range->by_offset);
    weft_soft_tree_insert(&ranges->by_size, &range->by_size);
}

static void unlink_range(struct weft_soft_ranges *ranges, struct weft_soft_range *range)
{
    weft_soft_tree_remove(&ranges->by_offset, &range->by_offset);
    weft_soft_tree_remove(&ranges->by_size, &range->by_size);
}

static void retire(struct weft_soft_ranges *ranges, struct weft_soft_range *range)
{
    unlink_range(ranges, range);
    range->next = ranges->spare;
    ranges->spare = range;
}

static void link_spare(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes)
{
    struct weft_soft_range *range = ranges->spare;
    ranges->spare = range->next;
    link_range(ranges, range, offset, bytes);
}

/* Cuts [offset, offset + bytes) out of a free part that holds it. */
static bool carve(struct weft_soft_ranges *ranges, struct weft_soft_range *range, uint64_t offset,
                  uint64_t bytes)
{
    if (!piece_add(ranges))
        return false;
    uint64_t start = start_of(range), end = end_of(range);
    retire(ranges, range);
    if (start < offset)
        link_spare(ranges, start, offset - start);
    if (offset + bytes < end)
        link_spare(ranges, offset + bytes, end - offset - bytes);
    ranges->free_bytes -= bytes;
    return true;
}

void weft_soft_ranges_finish(struct weft_soft_ranges *ranges)
{
    while (ranges->by_offset)
        retire(ranges, at_offset(ranges->by_offset));
    while (ranges->spare) {
        struct weft_soft_range *range = ranges->spare;
        ranges->spare = range->next;
        free(range);
    }
    *ranges = (struct weft_soft_ranges){0};
}

/* Joins [offset, offset + bytes) with its free neighbours. */
static void join(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes)
{
    ranges->free_bytes += bytes;
    uint64_t end = offset + bytes;
    struct weft_soft_range *before =
        at_offset(weft_soft_tree_floor(ranges->by_offset, offset, UINT64_MAX));
    if (before && end_of(before) == offset) {
        offset = start_of(before);
        retire(ranges, before);
    }
    struct weft_soft_range *after = at_offset(weft_soft_tree_ceiling(ranges->by_offset, end, 0));
    if (after && start_of(after) == end) {
        end = end_of(after);
        retire(ranges, after);
    }
    link_spare(ranges, offset, end - offset);
}

bool weft_soft_ranges_add(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes)
{
    if (!piece_add(ranges))
        return false;
    join(ranges, offset, bytes);
    return true;
}

bool weft_soft_ranges_remove(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes)
{
    if (!weft_soft_ranges_take_at(ranges, offset, bytes))
        return false;
    ranges->piece_count -= 2;
    return true;
}

/* Takes the smallest part of at least `size` in which the aligned piece fits. */
static bool take_fitting(struct weft_soft_ranges *ranges, uint64_t size, uint64_t bytes,
                         uint64_t alignment, int tries, uint64_t *offset)
{
    uint64_t tie = 0;
    for (; tries > 0; tries--) {
        struct weft_soft_range *range = at_size(weft_soft_tree_ceiling(ranges->by_size, size, tie));
        if (!range)
            return false;
        uint64_t start = weft_round_up(start_of(range), alignment);
        if (start + bytes <= end_of(range)) {
            *offset = start;
            return carve(ranges, range, start, bytes);
        }
        size = range->by_size.key;
        tie = range->by_size.tie + 1;
    }
    return false;
}

bool weft_soft_ranges_take(struct weft_soft_ranges *ranges, uint64_t bytes, uint64_t alignment,
                           uint64_t *offset)
{
    if (bytes == 0 || bytes + alignment < bytes || bytes > ranges->free_bytes)
        return false;
    uint64_t sure = bytes + alignment - 1;
    return take_fitting(ranges, bytes, bytes, alignment, ALIGNMENT_TRIES, offset) ||
           take_fitting(ranges, sure, bytes, alignment, 1, offset) ||
           take_fitting(ranges, bytes, bytes, alignment, ALIGNMENT_TRIES_MAX, offset);
}

bool weft_soft_ranges_take_at(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes)
{
    struct weft_soft_range *range =
        at_offset(weft_soft_tree_floor(ranges->by_offset, offset, UINT64_MAX));
    if (!range || offset + bytes > end_of(range) || offset + bytes < offset)
        return false;
    return carve(ranges, range, offset, bytes);
}

void weft_soft_ranges_give(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes)
{
    join(ranges, offset, bytes);
    ranges->piece_count--;
}

bool weft_soft_ranges_around(const struct weft_soft_ranges *ranges, uint64_t offset,
                             uint64_t *start, uint64_t *bytes)
{
    const struct weft_soft_range *range =
        at_offset(weft_soft_tree_floor(ranges->by_offset, offset, UINT64_MAX));
    if (!range || offset >= end_of(range))
        return false;
    *start = start_of(range);
    *bytes = end_of(range) - start_of(range);
    return true;
}

uint64_t weft_soft_ranges_largest(const struct weft_soft_ranges *ranges)
{
    const struct weft_soft_node *largest =
        weft_soft_tree_floor(ranges->by_size, UINT64_MAX, UINT64_MAX);
    return largest ? largest->key : 0;
}

/* Which parts of a range of offsets are free: best fit, with neighbours joined on return, O(log n).
 * It holds no bytes of what it manages. The caller locks. */
#ifndef WEFT_SOFTGPU_MEMORY_RANGES_H
#define WEFT_SOFTGPU_MEMORY_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "softgpu/memory/tree.h"

struct weft_soft_range;

struct weft_soft_ranges {
    struct weft_soft_node *by_offset, *by_size;
    struct weft_soft_range *spare; /* owned: enough for what is taken, so a return cannot fail */
    uint64_t node_count;           /* spares and free parts */
    uint64_t piece_count;          /* regions added and pieces taken: how many parts can be free */
    uint64_t free_bytes;
};

/* Zeroed is empty. */
void weft_soft_ranges_finish(struct weft_soft_ranges *ranges);
/* Makes [offset, offset + bytes) free for the first time. False: the host is out of memory. */
bool weft_soft_ranges_add(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes);
/* Undoes an addition, if all of what it added is free. */
bool weft_soft_ranges_remove(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes);
/* Takes the smallest free part that fits, at an offset that is a multiple of `alignment`, a power
 * of two. False where nothing fits or the host is out of memory. */
bool weft_soft_ranges_take(struct weft_soft_ranges *ranges, uint64_t bytes, uint64_t alignment,
                           uint64_t *offset);
/* Takes exactly [offset, offset + bytes), if all of it is free. */
bool weft_soft_ranges_take_at(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes);
/* Gives back what was taken, in the same or other pieces; never more pieces than were taken. */
void weft_soft_ranges_give(struct weft_soft_ranges *ranges, uint64_t offset, uint64_t bytes);
/* The free part that holds `offset`; false where that is taken. */
bool weft_soft_ranges_around(const struct weft_soft_ranges *ranges, uint64_t offset,
                             uint64_t *start, uint64_t *bytes);
/* The size of the largest free part. */
uint64_t weft_soft_ranges_largest(const struct weft_soft_ranges *ranges);

#endif

/* Addresses of shared memory in a cluster of blocks.
 *
 * A block's own shared memory begins at 0 of the window. The same memory, and that of the other
 * blocks, is seen once more above it: that of rank r at (r + 1) × the stride. */
#ifndef WEFT_SOFTGPU_EXEC_CLUSTER_H
#define WEFT_SOFTGPU_EXEC_CLUSTER_H

#include "softgpu/exec/ops.h"

#define WEFT_EXEC_CLUSTER_STRIDE (512u << 10)

/* The address at the same place of another rank, of an address in the window. */
static inline uint64_t weft_exec_cluster_address(uint64_t address, uint32_t rank)
{
    return (address & (WEFT_EXEC_CLUSTER_STRIDE - 1)) |
           (uint64_t)(rank + 1) * WEFT_EXEC_CLUSTER_STRIDE;
}

/* Blocks of a cluster along an axis. */
uint32_t weft_exec_cluster_size(const struct weft_exec_launch *launch, uint32_t axis);

/* Where an offset of the window is, as a block sees it; NULL where nothing is. */
char *weft_exec_cluster_shared(const struct weft_exec_block *block, uint64_t offset,
                               uint32_t bytes);

static_assert((WEFT_EXEC_CLUSTER_BLOCKS_MAX + 1) * WEFT_EXEC_CLUSTER_STRIDE <=
                  WEFT_EXEC_SHARED_WINDOW_BYTES,
              "the ranks of a cluster fit the window");

#endif

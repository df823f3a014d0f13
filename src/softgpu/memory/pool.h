/* A stream-ordered pool: device memory that it has reserved and charged in segments, and hands out
 * in pieces. A piece that was freed in a stream can be handed out again at once in the same stream
 * and in those that wait for an event behind the free, and in others as soon as the free's turn has
 * come. */
#ifndef WEFT_SOFTGPU_MEMORY_POOL_H
#define WEFT_SOFTGPU_MEMORY_POOL_H

#include "softgpu/memory/ranges.h"
#include "softgpu/memory/shared.h"
#include "softgpu/soft.h"

/* Device memory that a pool reserved at once. */
struct weft_soft_segment {
    struct weft_soft_segment *next; /* owned */
    uint64_t address, bytes;
};

/* A piece whose free waits for its turn in `stream`. Its task owns it. */
struct weft_soft_returning {
    struct weft_soft_returning *next;      /* memory lock; in the pool's list until taken or done */
    struct weft_soft_pool *pool;           /* under a reference */
    const struct weft_soft_stream *stream; /* compared only, and held alive by the task before it */
    uint64_t address, extent;
    struct weft_soft_point point; /* memory lock; of the free; stream 0: not known yet */
    bool settled;                 /* memory lock; handed out again, or back in the pool */
};

struct weft_soft_pool {
    struct weft_soft_pool *next; /* memory lock; the device's pools */
    struct weft_soft_device *device;
    uint64_t handle;
    /* Of a pool that other processes may have: its file, under a reference, and its part of the
     * addresses, which leads to all of the file. NULL: segments come from the arena. */
    struct weft_soft_shared *shared;
    uint64_t base;
    bool imported; /* made by another process; `free` is what was not imported of it */
    /* What follows is the memory lock's. */
    struct weft_soft_ranges unreserved; /* addresses of the file outside the segments */
    struct weft_soft_ranges free;       /* addresses, inside the segments */
    struct weft_soft_segment *segments; /* owned */
    struct weft_soft_returning *returning;
    uint64_t reserved_bytes, reserved_high_bytes;
    uint64_t used_bytes, used_high_bytes;
    uint64_t threshold_bytes;
    uint64_t limit_bytes; /* of reserved_bytes */
    int reuse[3];         /* the CU_MEMPOOL_ATTR_REUSE_… attributes, in their order */
    CUmemAccess_flags access[WEFT_DEVICES_MAX];
};

/* Adds a pool to the device and names it by a handle. `limit_bytes` 0: the device is the limit. */
CUresult weft_soft_pool_create(struct weft_soft_device *device, uint64_t limit_bytes,
                               uint64_t *handle);
/* A pool in a file, of which the reference is taken over, also on failure. OUT_OF_MEMORY. */
CUresult weft_soft_pool_create_shared(struct weft_soft_shared *shared, bool imported,
                                      uint64_t *handle);
/* A pool by handle, under a new reference; NULL where it is none. */
struct weft_soft_pool *weft_soft_pool_get(uint64_t handle);
void weft_soft_pool_put(struct weft_soft_pool *pool);

/* A piece for `stream`, which may be one that returns in it: then *again is true. OUT_OF_MEMORY.
 * `extent` becomes the piece's true size. Under the checker, pieces that return are taken only
 * where there is no other memory. */
CUresult weft_soft_pool_take(struct weft_soft_pool *pool, struct weft_soft_stream *stream,
                             uint64_t *extent, uint64_t *address, bool *again);
/* A piece comes back at once, or in its turn: `returning` is the caller's, with pool, address and
 * extent filled in. The pool's reference stays with the caller. */
void weft_soft_pool_give(struct weft_soft_pool *pool, uint64_t address, uint64_t extent);
void weft_soft_pool_announce(struct weft_soft_returning *returning);
/* Where the free of an announced piece stands; the piece may be settled, and gone, by now. */
void weft_soft_pool_place(struct weft_soft_pool *pool, const struct weft_soft_returning *returning,
                          struct weft_soft_point point);
void weft_soft_pool_settle(struct weft_soft_returning *returning);

/* The calls of pools that several processes have. */
void weft_soft_pool_share_install(struct weft_cuda *table);

/* Gives reserved memory that nobody uses back to the device until no more
 * than `keep_bytes` are reserved. */
void weft_soft_pool_trim(struct weft_soft_pool *pool, uint64_t keep_bytes);
/* All pools of the device, to 0 or each to its threshold. */
void weft_soft_pools_trim(struct weft_soft_device *device, bool to_threshold);

#endif

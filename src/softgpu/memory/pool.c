#include "softgpu/memory/pool.h"

#include <stdlib.h>

#include "softgpu/handle.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/shadow.h"
#include "util/util.h"

#define RETURNING_MAX 65536 /* how many returning pieces a search looks at */

static void lock(void)
{
    pthread_mutex_lock(&weft_soft.memory->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&weft_soft.memory->lock);
}

/* Segments of a file go back to it at once; what the others would pay for gets less. Memory lock.
 */
static void give_to_file(struct weft_soft_pool *pool, const struct weft_soft_segment *segment)
{
    weft_soft_window_clear(&weft_soft.memory->window, segment->address, segment->bytes);
    weft_soft_ranges_give(&pool->unreserved, segment->address, segment->bytes);
    weft_soft_shared_note_charge(pool->shared, pool->reserved_bytes);
    weft_soft_arena_discharge(pool->device, segment->bytes);
}

/* Takes segments that are all free out of the pool, until `keep_bytes` are left. */
static struct weft_soft_segment *detach(struct weft_soft_pool *pool, uint64_t keep_bytes)
{
    struct weft_soft_segment *detached = NULL, **place = &pool->segments;
    while (*place && pool->reserved_bytes > keep_bytes &&
           weft_soft_ranges_largest(&pool->free) >= WEFT_SOFT_GRANULE_BYTES) {
        struct weft_soft_segment *segment = *place;
        if (!weft_soft_ranges_remove(&pool->free, segment->address, segment->bytes)) {
            place = &segment->next;
            continue;
        }
        pool->reserved_bytes -= segment->bytes;
        *place = segment->next;
        if (pool->shared) {
            give_to_file(pool, segment);
            free(segment);
            continue;
        }
        segment->next = detached;
        detached = segment;
    }
    return detached;
}

static void give_back(struct weft_soft_device *device, struct weft_soft_segment *segments)
{
    while (segments) {
        struct weft_soft_segment *segment = segments;
        segments = segment->next;
        weft_soft_arena_give(device, segment->bytes, segment->bytes, segment->address);
        free(segment);
    }
}

void weft_soft_pool_trim(struct weft_soft_pool *pool, uint64_t keep_bytes)
{
    lock();
    struct weft_soft_segment *segments = detach(pool, keep_bytes);
    unlock();
    give_back(pool->device, segments);
}

void weft_soft_pools_trim(struct weft_soft_device *device, bool to_threshold)
{
    const struct weft_soft_arena *arena = device->memory;
    struct weft_soft_segment *segments;
    do {
        segments = NULL;
        lock();
        for (struct weft_soft_pool *pool = arena->pools; pool && !segments; pool = pool->next)
            segments = detach(pool, to_threshold ? pool->threshold_bytes : 0);
        unlock();
        give_back(device, segments);
    } while (segments);
}

static void finish(struct weft_soft_pool *pool)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    if (pool->base) {
        lock();
        weft_soft_window_unmap(&memory->window, pool->base, pool->shared->bytes);
        weft_soft_ranges_give(&memory->reservable, pool->base, pool->shared->bytes);
        unlock();
    }
    if (pool->shared)
        weft_soft_shared_put(pool->shared);
    weft_soft_ranges_finish(&pool->unreserved);
    weft_soft_ranges_finish(&pool->free);
    free(pool);
}

/* The last reference is gone: nothing of the pool is in use. */
static void destroy(void *object)
{
    struct weft_soft_pool *pool = object;
    struct weft_soft_arena *arena = pool->device->memory;
    weft_soft_pool_trim(pool, 0);
    lock();
    struct weft_soft_pool **place = &arena->pools;
    while (*place && *place != pool)
        place = &(*place)->next;
    if (*place)
        *place = pool->next;
    unlock();
    finish(pool);
}

static struct weft_soft_pool *new_pool(struct weft_soft_device *device, uint64_t limit_bytes)
{
    struct weft_soft_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pool->device = device;
    pool->limit_bytes =
        limit_bytes ? weft_round_up(limit_bytes, WEFT_SOFT_GRANULE_BYTES) : UINT64_MAX;
    pool->access[device->ordinal] = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(pool->reuse); i++)
        pool->reuse[i] = 1;
    return pool;
}

/* Names the pool and adds it to its device; it is the caller's where that fails. */
static CUresult open_pool(struct weft_soft_pool *pool, uint64_t *handle)
{
    struct weft_soft_arena *arena = pool->device->memory;
    pool->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_POOL, pool, destroy);
    if (!pool->handle)
        return CUDA_ERROR_OUT_OF_MEMORY;
    lock();
    pool->next = arena->pools;
    arena->pools = pool;
    unlock();
    *handle = pool->handle;
    return CUDA_SUCCESS;
}

CUresult weft_soft_pool_create(struct weft_soft_device *device, uint64_t limit_bytes,
                               uint64_t *handle)
{
    struct weft_soft_pool *pool = new_pool(device, limit_bytes);
    CUresult result = pool ? open_pool(pool, handle) : CUDA_ERROR_OUT_OF_MEMORY;
    if (result)
        free(pool);
    return result;
}

/* Lets a part of the addresses lead to the whole file. */
static bool map_file(struct weft_soft_pool *pool)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    uint64_t bytes = pool->shared->bytes;
    struct weft_soft_ranges *unused = pool->imported ? &pool->free : &pool->unreserved;
    lock();
    bool taken =
        weft_soft_ranges_take(&memory->reservable, bytes, WEFT_SOFT_GRANULE_BYTES, &pool->base);
    bool mapped =
        taken && weft_soft_ranges_add(unused, pool->base, bytes) &&
        weft_soft_window_map_file(&memory->window, pool->base, bytes, pool->shared->fd, 0);
    if (taken && !mapped)
        weft_soft_ranges_give(&memory->reservable, pool->base, bytes);
    unlock();
    if (!mapped)
        pool->base = 0;
    return mapped;
}

CUresult weft_soft_pool_create_shared(struct weft_soft_shared *shared, bool imported,
                                      uint64_t *handle)
{
    struct weft_soft_pool *pool = new_pool(shared->device, shared->bytes);
    if (!pool) {
        weft_soft_shared_put(shared);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    pool->shared = shared;
    pool->imported = imported;
    CUresult result = map_file(pool) ? open_pool(pool, handle) : CUDA_ERROR_OUT_OF_MEMORY;
    if (result)
        finish(pool);
    return result;
}

struct weft_soft_pool *weft_soft_pool_get(uint64_t handle)
{
    return weft_soft_handle_get(WEFT_SOFT_HANDLE_POOL, handle);
}

void weft_soft_pool_put(struct weft_soft_pool *pool)
{
    weft_soft_handle_put(pool->handle);
}

static void count_used(struct weft_soft_pool *pool, uint64_t bytes)
{
    pool->used_bytes += bytes;
    pool->used_high_bytes = WEFT_MAX(pool->used_high_bytes, pool->used_bytes);
}

static bool is_before(const struct weft_soft_returning *piece, const struct weft_soft_point *points,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count && piece->point.stream; i++) {
        if (points[i].stream == piece->point.stream && points[i].order >= piece->point.order)
            return true;
    }
    return false;
}

/* The smallest piece that returns in the same stream, or before one of the points, and is not much
 * too large; memory lock. */
static struct weft_soft_returning **find_returning(struct weft_soft_pool *pool,
                                                   const struct weft_soft_stream *stream,
                                                   const struct weft_soft_point *points,
                                                   uint32_t count, uint64_t extent)
{
    struct weft_soft_returning **best = NULL, **place = &pool->returning;
    for (int looked = 0; *place && looked < RETURNING_MAX; looked++) {
        const struct weft_soft_returning *piece = *place;
        bool before = piece->stream == stream || is_before(piece, points, count);
        if (before && piece->extent >= extent && piece->extent / 2 <= extent &&
            (!best || piece->extent < (*best)->extent))
            best = place;
        place = &(*place)->next;
    }
    return best;
}

static bool hand_out(struct weft_soft_returning **place, uint64_t *extent, uint64_t *address)
{
    if (!place)
        return false;
    struct weft_soft_returning *piece = *place;
    *place = piece->next;
    piece->settled = true;
    *extent = piece->extent;
    *address = piece->address;
    return true; /* it has been counted as used all the time */
}

static bool take_free(struct weft_soft_pool *pool, uint64_t extent, uint64_t *address)
{
    lock();
    bool taken = weft_soft_ranges_take(&pool->free, extent, WEFT_SOFT_BLOCK_BYTES, address);
    if (taken)
        count_used(pool, extent);
    unlock();
    return taken;
}

static bool take_returning(struct weft_soft_pool *pool, const struct weft_soft_stream *stream,
                           uint64_t *extent, uint64_t *address)
{
    lock();
    bool taken = hand_out(find_returning(pool, stream, NULL, 0, *extent), extent, address);
    unlock();
    return taken;
}

/* A piece whose free comes before what follows in `stream`, which waits for an event behind it. */
static bool take_followed(struct weft_soft_pool *pool, struct weft_soft_stream *stream,
                          uint64_t *extent, uint64_t *address)
{
    struct weft_soft_point points[WEFT_SOFT_FOLLOWED_MAX];
    uint32_t count = weft_soft_stream_followed(stream, points);
    lock();
    bool taken = pool->reuse[0] &&
                 hand_out(find_returning(pool, stream, points, count, *extent), extent, address);
    unlock();
    return taken;
}

static CUresult take_from_file(struct weft_soft_pool *pool, struct weft_soft_segment *segment)
{
    CUresult result = weft_soft_arena_charge(pool->device, segment->bytes);
    if (result != CUDA_SUCCESS)
        return result;
    lock();
    bool taken = weft_soft_ranges_take(&pool->unreserved, segment->bytes, WEFT_SOFT_GRANULE_BYTES,
                                       &segment->address);
    unlock();
    if (!taken)
        weft_soft_arena_discharge(pool->device, segment->bytes);
    return taken ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Reserves a segment of which the piece is the beginning. */
static CUresult take_new(struct weft_soft_pool *pool, uint64_t extent, uint64_t *address)
{
    struct weft_soft_segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return CUDA_ERROR_OUT_OF_MEMORY;
    segment->bytes = weft_round_up(extent, WEFT_SOFT_GRANULE_BYTES);
    CUresult result = pool->shared
                          ? take_from_file(pool, segment)
                          : weft_soft_arena_take(pool->device, segment->bytes, segment->bytes,
                                                 WEFT_SOFT_GRANULE_BYTES, &segment->address);
    if (result != CUDA_SUCCESS) {
        free(segment);
        return result;
    }
    lock();
    bool fits = segment->bytes <= pool->limit_bytes - pool->reserved_bytes;
    bool added = fits && weft_soft_ranges_add(&pool->free, segment->address, segment->bytes);
    if (added) {
        segment->next = pool->segments;
        pool->segments = segment;
        pool->reserved_bytes += segment->bytes;
        pool->reserved_high_bytes = WEFT_MAX(pool->reserved_high_bytes, pool->reserved_bytes);
        *address = segment->address;
    }
    if (added && pool->shared)
        weft_soft_shared_note_charge(pool->shared, pool->reserved_bytes);
    if (!added && pool->shared)
        give_to_file(pool, segment);
    bool taken = added && weft_soft_ranges_take_at(&pool->free, segment->address, extent);
    if (taken)
        count_used(pool, extent);
    unlock();
    if (!added && pool->shared)
        free(segment);
    else if (!added)
        give_back(pool->device, segment);
    return taken ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static bool take_again(struct weft_soft_pool *pool, struct weft_soft_stream *stream,
                       uint64_t *extent, uint64_t *address)
{
    lock();
    bool returning = pool->returning;
    unlock();
    return returning && (take_returning(pool, stream, extent, address) ||
                         take_followed(pool, stream, extent, address));
}

CUresult weft_soft_pool_take(struct weft_soft_pool *pool, struct weft_soft_stream *stream,
                             uint64_t *extent, uint64_t *address, bool *again)
{
    *again = false;
    if (pool->imported)
        return CUDA_ERROR_INVALID_VALUE; /* who made it allocates */
    if (take_free(pool, *extent, address))
        return CUDA_SUCCESS;
    bool checked = weft_soft_shadow_is_on();
    *again = !checked && take_again(pool, stream, extent, address);
    if (*again)
        return CUDA_SUCCESS;
    CUresult result = take_new(pool, *extent, address);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && checked)
        *again = take_again(pool, stream, extent, address);
    return *again ? CUDA_SUCCESS : result;
}

static void take_back(struct weft_soft_pool *pool, uint64_t address, uint64_t extent)
{
    weft_soft_reach_clear(address, extent);
    weft_soft_ranges_give(&pool->free, address, extent);
    if (!pool->imported)
        pool->used_bytes -= extent;
}

void weft_soft_pool_give(struct weft_soft_pool *pool, uint64_t address, uint64_t extent)
{
    lock();
    take_back(pool, address, extent);
    unlock();
}

void weft_soft_pool_announce(struct weft_soft_returning *returning)
{
    lock();
    returning->next = returning->pool->returning;
    returning->pool->returning = returning;
    unlock();
}

void weft_soft_pool_place(struct weft_soft_pool *pool, const struct weft_soft_returning *returning,
                          struct weft_soft_point point)
{
    lock();
    struct weft_soft_returning *piece = pool->returning;
    for (int looked = 0; piece && piece != returning && looked < RETURNING_MAX; looked++)
        piece = piece->next;
    if (piece == returning && piece)
        piece->point = point;
    unlock();
}

void weft_soft_pool_settle(struct weft_soft_returning *returning)
{
    struct weft_soft_pool *pool = returning->pool;
    lock();
    if (!returning->settled) {
        struct weft_soft_returning **place = &pool->returning;
        while (*place && *place != returning)
            place = &(*place)->next;
        if (*place)
            *place = returning->next;
        take_back(pool, returning->address, returning->extent);
        returning->settled = true;
    }
    unlock();
}

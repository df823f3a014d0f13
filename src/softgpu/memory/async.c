/* Stream-ordered memory: cuMemAllocAsync and cuMemFreeAsync. */
#include <stdlib.h>

#include <weft/cuda_table.h>

#include "softgpu/handle.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "softgpu/memory/shadow.h"
#include "util/util.h"

#define SIZE_MAX_BYTES (1ull << 46)

/* On success the record holds the reference to the pool. */
static CUresult take(struct weft_soft_pool *pool, struct weft_soft_stream *stream, uint64_t bytes,
                     uint64_t *address)
{
    _cleanup_free_ struct weft_soft_allocation *allocation = calloc(1, sizeof(*allocation));
    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    allocation->kind = WEFT_SOFT_POOLED;
    allocation->device = pool->device;
    allocation->pool = pool;
    allocation->bytes = bytes;
    allocation->extent = weft_round_up(bytes, WEFT_SOFT_BLOCK_BYTES);
    if (weft_soft_shadow_is_on())
        allocation->extent += WEFT_SOFT_REDZONE_BYTES;
    CUresult result = weft_soft_pool_take(pool, stream, &allocation->extent,
                                          &allocation->by_address.key, &allocation->used_again);
    if (result != CUDA_SUCCESS)
        return result;
    *address = weft_soft_allocation_address(allocation);
    weft_soft_allocation_publish(weft_steal(allocation), weft_soft_stream_context(stream));
    return CUDA_SUCCESS;
}

/* In a stream that captures, of whatever pool, memory comes and goes with nodes of the graph. */
static CUresult capture_allocation(const struct weft_soft_pool *pool,
                                   struct weft_soft_stream *stream, uint64_t bytes,
                                   CUdeviceptr *address)
{
    CUgraphNodeParams node = {
        .type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
        .alloc = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE,
                                             .id = (int)pool->device->ordinal}},
                  .bytesize = bytes}};
    CUresult result = weft_soft_capture_add(stream, &node);
    if (result == CUDA_SUCCESS)
        *address = node.alloc.dptr;
    return result;
}

static CUresult capture_free(struct weft_soft_stream *stream, CUdeviceptr address)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .free.dptr = address};
    return weft_soft_capture_add(stream, &node);
}

static CUresult allocate(CUdeviceptr *address, size_t bytes, uint64_t pool_handle,
                         struct weft_soft_stream *stream)
{
    if (!address || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > SIZE_MAX_BYTES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct weft_soft_pool *pool = weft_soft_pool_get(pool_handle);
    if (!pool)
        return CUDA_ERROR_INVALID_VALUE;
    if (weft_soft_capture_holds(stream)) {
        CUresult captured = capture_allocation(pool, stream, bytes, address);
        weft_soft_pool_put(pool);
        return captured;
    }
    uint64_t taken;
    CUresult result = take(pool, stream, bytes, &taken);
    if (result == CUDA_SUCCESS)
        *address = taken;
    else
        weft_soft_pool_put(pool);
    return result;
}

static CUresult alloc_from(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream handle,
                           bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_of_current(handle, per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    result = allocate(address, bytes, (uintptr_t)pool, stream);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult alloc_async(CUdeviceptr *address, size_t bytes, CUstream handle, bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_of_current(handle, per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    const struct weft_soft_arena *arena = weft_soft_stream_context(stream)->device->memory;
    pthread_mutex_lock(&weft_soft.memory->lock);
    uint64_t pool = arena->current_pool;
    pthread_mutex_unlock(&weft_soft.memory->lock);
    result = allocate(address, bytes, pool, stream);
    weft_soft_stream_put(stream);
    return result;
}

/* A free that waits for its turn: of a pool's piece, or of memory that was allocated at once. */
struct pending_free {
    struct weft_soft_returning piece; /* pool is NULL for the other kind */
    /* Owned; of a piece what the checker goes on to know, else NULL. */
    struct weft_soft_allocation *allocation;
};

static CUresult free_run(void *argument)
{
    struct pending_free *pending = argument;
    if (pending->piece.pool) {
        weft_soft_shadow_leave(weft_steal(pending->allocation));
        weft_soft_pool_settle(&pending->piece);
    } else if (pending->allocation)
        weft_soft_allocation_release(weft_steal(pending->allocation));
    return CUDA_SUCCESS;
}

/* Also when the context failed before its turn came: then the memory comes back here. */
static void free_release(void *argument)
{
    struct pending_free *pending = argument;
    free_run(pending);
    if (pending->piece.pool)
        weft_soft_pool_put(pending->piece.pool);
    free(pending);
}

/* Submits the free of a piece, and notes where it stands for those that wait for an event there. */
static CUresult submit_piece(struct weft_soft_stream *stream, struct pending_free *pending)
{
    struct weft_soft_pool *pool = pending->piece.pool;
    const struct weft_soft_returning *piece = &pending->piece;
    struct weft_soft_task task = {free_run, free_release, pending};
    weft_soft_handle_retain(pool->handle);
    CUresult result = weft_soft_stream_submit(stream, &task);
    if (result == CUDA_SUCCESS)
        weft_soft_pool_place(pool, piece, weft_soft_stream_end(stream));
    weft_soft_pool_put(pool);
    return result;
}

static CUresult submit_free(struct weft_soft_allocation *allocation,
                            struct weft_soft_stream *stream, struct pending_free *pending)
{
    if (allocation->kind == WEFT_SOFT_POOLED) {
        /* The record ends here, but for the checker; the piece and the reference to the pool go to
         * the task. */
        pending->piece =
            (struct weft_soft_returning){.pool = allocation->pool,
                                         .stream = stream,
                                         .address = weft_soft_allocation_address(allocation),
                                         .extent = allocation->extent};
        pending->allocation = weft_soft_shadow_keep(allocation);
        weft_soft_pool_announce(&pending->piece);
        return submit_piece(stream, pending);
    }
    pending->allocation = allocation;
    return weft_soft_stream_submit(
        stream,
        &(struct weft_soft_task){.run = free_run, .release = free_release, .argument = pending});
}

static CUresult free_async(CUdeviceptr address, CUstream handle, bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_of_current(handle, per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_allocation *allocation = NULL;
    if (weft_soft_capture_holds(stream)) {
        result = capture_free(stream, address);
        weft_soft_stream_put(stream);
        return result;
    }
    struct pending_free *pending = calloc(1, sizeof(*pending));
    if (!pending)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    else if (!(allocation =
                   weft_soft_allocation_claim(address, WEFT_SOFT_LINEAR | WEFT_SOFT_MANAGED |
                                                           WEFT_SOFT_POOLED | WEFT_SOFT_GRAPHED)))
        result = CUDA_ERROR_INVALID_VALUE;
    else if (weft_soft_stream_idle(stream))
        weft_soft_allocation_release(allocation);
    else
        result = submit_free(allocation, stream, weft_steal(pending));
    free(pending);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult alloc_async_legacy(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    return alloc_async(address, bytes, stream, false);
}

static CUresult alloc_async_thread(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    return alloc_async(address, bytes, stream, true);
}

static CUresult alloc_from_legacy(CUdeviceptr *address, size_t bytes, CUmemoryPool pool,
                                  CUstream stream)
{
    return alloc_from(address, bytes, pool, stream, false);
}

static CUresult alloc_from_thread(CUdeviceptr *address, size_t bytes, CUmemoryPool pool,
                                  CUstream stream)
{
    return alloc_from(address, bytes, pool, stream, true);
}

static CUresult free_async_legacy(CUdeviceptr address, CUstream stream)
{
    return free_async(address, stream, false);
}

static CUresult free_async_thread(CUdeviceptr address, CUstream stream)
{
    return free_async(address, stream, true);
}

void weft_soft_async_install(struct weft_cuda *table)
{
    table->cuMemAllocAsync = alloc_async_legacy;
    table->cuMemAllocAsync_ptsz = alloc_async_thread;
    table->cuMemAllocFromPoolAsync = alloc_from_legacy;
    table->cuMemAllocFromPoolAsync_ptsz = alloc_from_thread;
    table->cuMemFreeAsync = free_async_legacy;
    table->cuMemFreeAsync_ptsz = free_async_thread;
}

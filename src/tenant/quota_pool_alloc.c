/* Stream-ordered allocation: the growth that is expected is charged
 * before, the true one counted after. */
#include "tenant/quota_pool.h"

#include <stddef.h>

#include "util/util.h"

typedef CUresult (*allocate_fn)(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
                                CUstream stream);
typedef CUresult (*stream_fn)(CUstream stream);
typedef CUresult (*capture_fn)(CUstream stream, CUstreamCaptureStatus *status);
typedef CUresult (*free_fn)(CUdeviceptr dptr, CUstream stream);

/* The calls of one stream flavour. */
struct flavour {
    allocate_fn allocate;
    free_fn free;
    stream_fn query;
    capture_fn is_capturing;
};

static struct flavour legacy(void)
{
    const struct weft_cuda *next = &weft_quota.next;
    return (struct flavour){next->cuMemAllocFromPoolAsync, next->cuMemFreeAsync,
                            next->cuStreamQuery, next->cuStreamIsCapturing};
}

static struct flavour per_thread(void)
{
    const struct weft_cuda *next = &weft_quota.next;
    return (struct flavour){next->cuMemAllocFromPoolAsync_ptsz, next->cuMemFreeAsync_ptsz,
                            next->cuStreamQuery_ptsz, next->cuStreamIsCapturing_ptsz};
}

/* Charges what the pool will have to grow by, if all that it holds free can be used; what it grew
 * by in truth is counted afterwards. The pool's lock is held. */
static CUresult reserve_growth(struct weft_quota_pool *pool, uint64_t bytes)
{
    uint64_t wanted;
    if (__builtin_add_overflow(pool->live, bytes, &wanted))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (wanted <= pool->charged)
        return CUDA_SUCCESS;
    return weft_quota_pool_charge(pool, wanted) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The same, after all pools gave up what they do not use. The trim takes each pool's lock in turn,
 * so ours is let go. */
static CUresult reserve_growth_trimmed(struct weft_quota_pool *pool, uint64_t bytes)
{
    uint64_t used;
    CUresult rc = reserve_growth(pool, bytes);
    if (rc == CUDA_SUCCESS)
        return rc;
    pthread_mutex_unlock(&pool->lock);
    weft_quota_vmm_reap();
    weft_quota_pools_trim(pool->device);
    pthread_mutex_lock(&pool->lock);
    if (pool->handle && weft_quota_pool_attribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used))
        pool->live = used;
    return reserve_growth(pool, bytes);
}

/* Enters the address that the backend handed out of `pool`. The pool's lock is held. */
static CUresult enter(struct weft_quota_pool *pool, CUdeviceptr address, uint64_t bytes,
                      struct weft_quota_entry *replaced)
{
    struct weft_quota_entry entry = {
        .key = address,
        .bytes = bytes,
        .owner = pool,
        .device = (uint16_t)pool->device,
        .kind = WEFT_QUOTA_POOL,
    };
    if (weft_quota_map_put(&weft_quota.allocations, &entry, replaced))
        return CUDA_ERROR_OUT_OF_MEMORY;
    pool->addresses++;
    pool->live += bytes;
    return CUDA_SUCCESS;
}

/* Takes back an address that the program was not given. It never waits for the stream, which may
 * itself wait for the program; what cannot be trimmed at once is counted again later. The pool's
 * lock is held. */
static CUresult undo(struct weft_quota_pool *pool, CUdeviceptr address, CUstream stream,
                     const struct flavour *calls)
{
    calls->free(address, stream);
    if (calls->query(stream) == CUDA_SUCCESS)
        weft_quota.next.cuMemPoolTrimTo(pool->handle, 0);
    weft_quota_pool_may_shrink(pool);
    weft_quota_pool_refresh(pool);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Then the memory is a graph's, and none is allocated now. */
static bool is_captured(CUstream stream, const struct flavour *calls)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    return calls->is_capturing(stream, &status) == CUDA_SUCCESS &&
           status != CU_STREAM_CAPTURE_STATUS_NONE;
}

static CUresult allocate_locked(struct weft_quota_pool *pool, CUdeviceptr *address, size_t bytesize,
                                CUstream stream, const struct flavour *calls,
                                struct weft_quota_entry *replaced)
{
    uint64_t bytes = weft_quota_round(bytesize, WEFT_QUOTA_ROUND_BYTES);
    uint64_t before = pool->charged;
    CUmemoryPool handle = pool->handle;
    if (!pool->charged_here || is_captured(stream, calls))
        return calls->allocate(address, bytesize, handle, stream);
    CUresult rc = reserve_growth_trimmed(pool, bytes);
    if (rc)
        return rc;
    rc = calls->allocate(address, bytesize, handle, stream);
    if (rc)
        weft_quota_pool_charge(pool, WEFT_MIN(before, pool->charged));
    bool charged = weft_quota_pool_refresh(pool);
    if (rc)
        return rc;
    if (!charged || enter(pool, *address, bytes, replaced))
        return undo(pool, *address, stream, calls);
    return CUDA_SUCCESS;
}

static CUresult allocate(struct weft_quota_pool *pool, CUdeviceptr *dptr, size_t bytesize,
                         CUstream stream, const struct flavour *calls)
{
    CUdeviceptr address = 0;
    struct weft_quota_entry replaced = {0};
    if (!dptr)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&pool->lock);
    CUresult rc = allocate_locked(pool, &address, bytesize, stream, calls, &replaced);
    pthread_mutex_unlock(&pool->lock);
    if (replaced.key)
        weft_quota_entry_forget(&replaced); /* it ended without our seeing it */
    if (rc == CUDA_SUCCESS)
        *dptr = address;
    return rc;
}

/* The device of a context that need not be current. */
static CUresult context_device(CUcontext context, CUdevice *device)
{
    const struct weft_cuda *next = &weft_quota.next;
    CUcontext popped;
    CUresult rc = next->cuCtxPushCurrent_v2(context);
    if (rc)
        return rc;
    rc = next->cuCtxGetDevice(device);
    next->cuCtxPopCurrent_v2(&popped);
    return rc;
}

/* The default streams are the current context's; any other stream says itself whose it is. */
static CUresult stream_device(CUstream stream, CUdevice *device)
{
    struct weft_quota_place place;
    CUcontext context;
    CUresult rc = weft_quota_place_current(&place);
    if (rc)
        return rc;
    *device = (CUdevice)place.device;
    if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD)
        return CUDA_SUCCESS;
    rc = weft_quota.next.cuStreamGetCtx(stream, &context);
    if (rc || context == place.context)
        return rc;
    return context_device(context, device);
}

/* Named by its pool even where the program did not: between asking for the device's pool and
 * allocating, another thread may set another one. */
static CUresult allocate_from_stream(CUdeviceptr *dptr, size_t bytesize, CUstream stream,
                                     const struct flavour *calls)
{
    CUdevice device;
    CUmemoryPool handle;
    CUresult rc = stream_device(stream, &device);
    if (rc == CUDA_SUCCESS)
        rc = weft_quota.next.cuDeviceGetMemPool(&handle, device);
    if (rc)
        return rc;
    struct weft_quota_pool *pool = weft_quota_pool_find(handle);
    if (!pool)
        pool = weft_quota_pool_enter(handle, (uint32_t)device, true);
    return pool ? allocate(pool, dptr, bytesize, stream, calls) : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Every way to a pool's handle passes through here but `cuMemPoolGetAttribute`'s; one that did not
 * is the current device's. */
static CUresult allocate_from_pool(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool handle,
                                   CUstream stream, const struct flavour *calls)
{
    struct weft_quota_place place;
    struct weft_quota_pool *pool = weft_quota_pool_find(handle);
    if (!pool) {
        CUresult rc = weft_quota_place_current(&place);
        if (rc)
            return rc;
        if (!handle)
            return calls->allocate(dptr, bytesize, handle, stream);
        pool = weft_quota_pool_enter(handle, place.device, true);
    }
    return pool ? allocate(pool, dptr, bytesize, stream, calls) : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult mem_alloc_async(CUdeviceptr *dptr, size_t bytesize, CUstream stream)
{
    struct flavour calls = legacy();
    return allocate_from_stream(dptr, bytesize, stream, &calls);
}

static CUresult mem_alloc_async_ptsz(CUdeviceptr *dptr, size_t bytesize, CUstream stream)
{
    struct flavour calls = per_thread();
    return allocate_from_stream(dptr, bytesize, stream, &calls);
}

static CUresult mem_alloc_from_pool_async(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
                                          CUstream stream)
{
    struct flavour calls = legacy();
    return allocate_from_pool(dptr, bytesize, pool, stream, &calls);
}

static CUresult mem_alloc_from_pool_async_ptsz(CUdeviceptr *dptr, size_t bytesize,
                                               CUmemoryPool pool, CUstream stream)
{
    struct flavour calls = per_thread();
    return allocate_from_pool(dptr, bytesize, pool, stream, &calls);
}

static CUresult free_async(CUdeviceptr dptr, CUstream stream, free_fn backend)
{
    struct weft_quota_entry entry, replaced;
    bool known = weft_quota_map_take(&weft_quota.allocations, dptr, &entry);
    CUresult rc = backend(dptr, stream);
    if (known && rc)
        weft_quota_map_put(&weft_quota.allocations, &entry, &replaced);
    else if (known)
        weft_quota_entry_forget(&entry);
    return rc;
}

static CUresult mem_free_async(CUdeviceptr dptr, CUstream stream)
{
    return free_async(dptr, stream, weft_quota.next.cuMemFreeAsync);
}

static CUresult mem_free_async_ptsz(CUdeviceptr dptr, CUstream stream)
{
    return free_async(dptr, stream, weft_quota.next.cuMemFreeAsync_ptsz);
}

void weft_quota_pool_alloc_install(struct weft_cuda *table)
{
    table->cuMemAllocAsync = mem_alloc_async;
    table->cuMemAllocAsync_ptsz = mem_alloc_async_ptsz;
    table->cuMemAllocFromPoolAsync = mem_alloc_from_pool_async;
    table->cuMemAllocFromPoolAsync_ptsz = mem_alloc_from_pool_async_ptsz;
    table->cuMemFreeAsync = mem_free_async;
    table->cuMemFreeAsync_ptsz = mem_free_async_ptsz;
}

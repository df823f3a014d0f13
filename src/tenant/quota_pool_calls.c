/* Pools are made, met, trimmed and destroyed; after a wait they are counted anew. */
#include "tenant/quota_pool.h"

#include <stddef.h>

static bool on_device(const CUmemLocation *location)
{
    return location->type == CU_MEM_LOCATION_TYPE_DEVICE && location->id >= 0 &&
           (uint32_t)location->id < weft_quota.device_count;
}

static CUresult mem_pool_create(CUmemoryPool *pool, const CUmemPoolProps *props)
{
    CUmemoryPool handle;
    CUresult rc = weft_quota.next.cuMemPoolCreate(pool ? &handle : NULL, props);
    if (rc)
        return rc;
    bool charged_here = on_device(&props->location);
    if (!weft_quota_pool_enter(handle, charged_here ? (uint32_t)props->location.id : 0,
                               charged_here)) {
        weft_quota.next.cuMemPoolDestroy(handle);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *pool = handle;
    return CUDA_SUCCESS;
}

/* The handle leaves our list first: once the backend has destroyed it, a new pool may be given the
 * same one. */
static CUresult mem_pool_destroy(CUmemoryPool handle)
{
    struct weft_quota_pool *pool = weft_quota_pool_find(handle);
    if (!pool)
        return weft_quota.next.cuMemPoolDestroy(handle);
    pthread_mutex_lock(&pool->lock);
    __atomic_store_n(&pool->handle, NULL, __ATOMIC_RELEASE);
    CUresult rc = weft_quota.next.cuMemPoolDestroy(handle);
    if (rc) {
        __atomic_store_n(&pool->handle, handle, __ATOMIC_RELEASE);
    } else if (!pool->charged_here) {
        pool->taken = false;
    } else if (pool->may_shrink || pool->addresses > 0) {
        weft_quota_pool_may_shrink(
            pool); /* freed addresses are the pool's until their streams got there */
    } else {
        weft_quota_pool_refresh(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

static CUresult mem_pool_trim_to(CUmemoryPool handle, size_t keep_bytes)
{
    CUresult rc = weft_quota.next.cuMemPoolTrimTo(handle, keep_bytes);
    struct weft_quota_pool *pool = weft_quota_pool_find(handle);
    if (rc || !pool)
        return rc;
    pthread_mutex_lock(&pool->lock);
    if (pool->handle == handle)
        weft_quota_pool_refresh(pool);
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

/* Another process made it and is charged for it. */
static CUresult mem_pool_import(CUmemoryPool *pool, void *shareable, CUmemAllocationHandleType type,
                                unsigned long long flags)
{
    CUresult rc = weft_quota.next.cuMemPoolImportFromShareableHandle(pool, shareable, type, flags);
    if (rc == CUDA_SUCCESS && !weft_quota_pool_enter(*pool, 0, false)) {
        weft_quota.next.cuMemPoolDestroy(*pool);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return rc;
}

/* The pools that exist from the start are met where the program asks for them. One that does not
 * fit into our list is met again, and refused, when it is allocated from. */
static CUresult device_get_default_mem_pool(CUmemoryPool *pool, CUdevice device)
{
    CUresult rc = weft_quota.next.cuDeviceGetDefaultMemPool(pool, device);
    if (rc == CUDA_SUCCESS)
        weft_quota_pool_enter(*pool, (uint32_t)device, true);
    return rc;
}

static CUresult device_get_mem_pool(CUmemoryPool *pool, CUdevice device)
{
    CUresult rc = weft_quota.next.cuDeviceGetMemPool(pool, device);
    if (rc == CUDA_SUCCESS)
        weft_quota_pool_enter(*pool, (uint32_t)device, true);
    return rc;
}

/* Remembers a pool that the backend named. Pools of the host are not charged. */
static CUresult met(CUresult rc, const CUmemoryPool *pool, const CUmemLocation *location)
{
    if (rc == CUDA_SUCCESS)
        weft_quota_pool_enter(*pool, on_device(location) ? (uint32_t)location->id : 0,
                              on_device(location));
    return rc;
}

static CUresult mem_get_default_mem_pool(CUmemoryPool *pool, CUmemLocation *location,
                                         CUmemAllocationType type)
{
    return met(weft_quota.next.cuMemGetDefaultMemPool(pool, location, type), pool, location);
}

static CUresult mem_get_mem_pool(CUmemoryPool *pool, CUmemLocation *location,
                                 CUmemAllocationType type)
{
    return met(weft_quota.next.cuMemGetMemPool(pool, location, type), pool, location);
}

/* After a wait the backend may have given back what was freed before it. */
static CUresult waited(CUresult rc)
{
    weft_quota_pools_refresh(false);
    return rc;
}

static CUresult stream_synchronize(CUstream stream)
{
    return waited(weft_quota.next.cuStreamSynchronize(stream));
}

static CUresult stream_synchronize_ptsz(CUstream stream)
{
    return waited(weft_quota.next.cuStreamSynchronize_ptsz(stream));
}

static CUresult event_synchronize(CUevent event)
{
    return waited(weft_quota.next.cuEventSynchronize(event));
}

static CUresult ctx_synchronize(void)
{
    return waited(weft_quota.next.cuCtxSynchronize());
}

static CUresult ctx_synchronize_v2(CUcontext context)
{
    return waited(weft_quota.next.cuCtxSynchronize_v2(context));
}

static void waits_install(struct weft_cuda *table)
{
    table->cuStreamSynchronize = stream_synchronize;
    table->cuStreamSynchronize_ptsz = stream_synchronize_ptsz;
    table->cuEventSynchronize = event_synchronize;
    table->cuCtxSynchronize = ctx_synchronize;
    table->cuCtxSynchronize_v2 = ctx_synchronize_v2;
}

void weft_quota_pool_calls_install(struct weft_cuda *table)
{
    table->cuMemPoolCreate = mem_pool_create;
    table->cuMemPoolDestroy = mem_pool_destroy;
    table->cuMemPoolTrimTo = mem_pool_trim_to;
    table->cuMemPoolImportFromShareableHandle = mem_pool_import;
    table->cuDeviceGetDefaultMemPool = device_get_default_mem_pool;
    table->cuDeviceGetMemPool = device_get_mem_pool;
    table->cuMemGetDefaultMemPool = mem_get_default_mem_pool;
    table->cuMemGetMemPool = mem_get_mem_pool;
    waits_install(table);
}

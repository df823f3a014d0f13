/* The calls that make, ask and change pools. */
#include <weft/cuda_table.h>

#include "softgpu/handle.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "util/util.h"

static CUresult get_pool(CUmemoryPool handle, struct weft_soft_pool **pool)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    *pool = weft_soft_pool_get((uintptr_t)handle);
    return *pool ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUmemoryPool pool_handle(uint64_t handle)
{
    return (CUmemoryPool)(uintptr_t)handle;
}

/* The file is as large as the pool may become. */
static CUresult create_shared(struct weft_soft_device *device, uint64_t limit_bytes,
                              uint64_t *handle)
{
    uint64_t most = device->profile->memory_bytes;
    uint64_t bytes = limit_bytes ? WEFT_MIN(limit_bytes, most) : most;
    struct weft_soft_shared *shared;
    CUresult result = weft_soft_shared_create(
        device, WEFT_SOFT_SHARED_POOL, weft_round_up(bytes, WEFT_SOFT_GRANULE_BYTES), 0, &shared);
    return result ? result : weft_soft_pool_create_shared(shared, false, handle);
}

static CUresult mem_pool_create(CUmemoryPool *out, const CUmemPoolProps *props)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!out || !props || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    bool shared = props->handleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    if ((props->handleTypes != CU_MEM_HANDLE_TYPE_NONE && !shared) ||
        props->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    struct weft_soft_device *device;
    uint64_t handle;
    if (weft_soft_device_get(props->location.id, &device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_VALUE;
    result = shared ? create_shared(device, props->maxSize, &handle)
                    : weft_soft_pool_create(device, props->maxSize, &handle);
    if (result == CUDA_SUCCESS)
        *out = pool_handle(handle);
    return result;
}

static CUresult mem_pool_destroy(CUmemoryPool handle)
{
    struct weft_soft_pool *pool;
    CUresult result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_arena *arena = pool->device->memory;
    pthread_mutex_lock(&weft_soft.memory->lock);
    if (pool->handle == arena->default_pool)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (pool->handle == arena->current_pool)
        arena->current_pool = arena->default_pool;
    pthread_mutex_unlock(&weft_soft.memory->lock);
    if (result == CUDA_SUCCESS && !weft_soft_handle_close(WEFT_SOFT_HANDLE_POOL, pool->handle))
        result = CUDA_ERROR_INVALID_VALUE;
    weft_soft_pool_put(pool);
    return result;
}

static CUresult mem_pool_trim_to(CUmemoryPool handle, size_t keep_bytes)
{
    struct weft_soft_pool *pool;
    CUresult result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    weft_soft_pool_trim(pool, keep_bytes);
    weft_soft_pool_put(pool);
    return CUDA_SUCCESS;
}

/* The word behind an attribute; NULL for the reuse attributes, which are ints, and for others. */
static uint64_t *attribute_word(struct weft_soft_pool *pool, CUmemPool_attribute attribute)
{
    switch ((int)attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        return &pool->threshold_bytes;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
        return &pool->reserved_bytes;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        return &pool->reserved_high_bytes;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        return &pool->used_bytes;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        return &pool->used_high_bytes;
    }
    return NULL;
}

static int *attribute_reuse(struct weft_soft_pool *pool, CUmemPool_attribute attribute)
{
    int index = (int)attribute - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES;
    return index >= 0 && index < (int)WEFT_ARRAY_COUNT(pool->reuse) ? &pool->reuse[index] : NULL;
}

/* What was the highest can only be reset, to what is now. */
static CUresult reset_high(uint64_t *high, uint64_t now, const uint64_t *value)
{
    if (*value != 0)
        return CUDA_ERROR_INVALID_VALUE;
    *high = now;
    return CUDA_SUCCESS;
}

static CUresult set_attribute(struct weft_soft_pool *pool, CUmemPool_attribute attribute,
                              void *value)
{
    int *reuse = attribute_reuse(pool, attribute);
    if (pool->imported)
        return CUDA_ERROR_INVALID_VALUE; /* who made it says how it behaves */
    if (reuse) {
        *reuse = *(const int *)value != 0;
        return CUDA_SUCCESS;
    }
    switch ((int)attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        pool->threshold_bytes = *(const uint64_t *)value;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        return reset_high(&pool->reserved_high_bytes, pool->reserved_bytes, value);
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        return reset_high(&pool->used_high_bytes, pool->used_bytes, value);
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_attribute(struct weft_soft_pool *pool, CUmemPool_attribute attribute,
                              void *value)
{
    const int *reuse = attribute_reuse(pool, attribute);
    const uint64_t *word = attribute_word(pool, attribute);
    if (reuse)
        *(int *)value = *reuse;
    else if (word)
        *(uint64_t *)value = *word;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

typedef CUresult attribute_fn(struct weft_soft_pool *pool, CUmemPool_attribute attribute,
                              void *value);

static CUresult with_attribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value,
                               attribute_fn *access)
{
    struct weft_soft_pool *pool;
    CUresult result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&weft_soft.memory->lock);
    result = value ? access(pool, attribute, value) : CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_unlock(&weft_soft.memory->lock);
    weft_soft_pool_put(pool);
    return result;
}

static CUresult mem_pool_set_attribute(CUmemoryPool handle, CUmemPool_attribute attribute,
                                       void *value)
{
    return with_attribute(handle, attribute, value, set_attribute);
}

static CUresult mem_pool_get_attribute(CUmemoryPool handle, CUmemPool_attribute attribute,
                                       void *value)
{
    return with_attribute(handle, attribute, value, get_attribute);
}

static CUresult check_location(const CUmemLocation *location, struct weft_soft_device **device)
{
    if (!location)
        return CUDA_ERROR_INVALID_VALUE;
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    return weft_soft_device_get(location->id, device);
}

/* A pool's own device cannot be shut out. */
static CUresult check_access(const struct weft_soft_pool *pool, const CUmemAccessDesc *desc)
{
    struct weft_soft_device *device;
    CUresult result = check_location(&desc->location, &device);
    if (result != CUDA_SUCCESS)
        return result;
    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    bool shut_out = device == pool->device && desc->flags == CU_MEM_ACCESS_FLAGS_PROT_NONE;
    return shut_out ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

static CUresult mem_pool_set_access(CUmemoryPool handle, const CUmemAccessDesc *map, size_t count)
{
    struct weft_soft_pool *pool;
    CUresult result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    if ((!map && count > 0) || count > WEFT_DEVICES_MAX)
        result = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++)
        result = check_access(pool, &map[i]);
    pthread_mutex_lock(&weft_soft.memory->lock);
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++)
        pool->access[map[i].location.id] = map[i].flags;
    if (result == CUDA_SUCCESS)
        weft_soft_reach_pool_changed(pool);
    pthread_mutex_unlock(&weft_soft.memory->lock);
    weft_soft_pool_put(pool);
    return result;
}

static CUresult mem_pool_get_access(CUmemAccess_flags *flags, CUmemoryPool handle,
                                    CUmemLocation *location)
{
    struct weft_soft_pool *pool;
    struct weft_soft_device *device;
    CUresult result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    result = flags ? check_location(location, &device) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS) {
        pthread_mutex_lock(&weft_soft.memory->lock);
        *flags = pool->access[device->ordinal];
        pthread_mutex_unlock(&weft_soft.memory->lock);
    }
    weft_soft_pool_put(pool);
    return result;
}

static CUresult device_pool(CUmemoryPool *out, CUdevice ordinal, bool by_default)
{
    struct weft_soft_device *device;
    CUresult result = weft_soft_device_get(ordinal, &device);
    if (result != CUDA_SUCCESS)
        return result;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    const struct weft_soft_arena *arena = device->memory;
    pthread_mutex_lock(&weft_soft.memory->lock);
    *out = pool_handle(by_default ? arena->default_pool : arena->current_pool);
    pthread_mutex_unlock(&weft_soft.memory->lock);
    return CUDA_SUCCESS;
}

static CUresult device_get_default_mem_pool(CUmemoryPool *out, CUdevice ordinal)
{
    return device_pool(out, ordinal, true);
}

static CUresult device_get_mem_pool(CUmemoryPool *out, CUdevice ordinal)
{
    return device_pool(out, ordinal, false);
}

static CUresult device_set_mem_pool(CUdevice ordinal, CUmemoryPool handle)
{
    struct weft_soft_device *device;
    struct weft_soft_pool *pool;
    CUresult result = weft_soft_device_get(ordinal, &device);
    if (result == CUDA_SUCCESS)
        result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_arena *arena = device->memory;
    pthread_mutex_lock(&weft_soft.memory->lock);
    if (pool->device == device && !pool->imported)
        arena->current_pool = pool->handle;
    else
        result = CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_unlock(&weft_soft.memory->lock);
    weft_soft_pool_put(pool);
    return result;
}

/* CUDA 13 asks the same by location and type; only devices' pinned memory has pools here. */
static CUresult check_place(const CUmemLocation *location, CUmemAllocationType type,
                            struct weft_soft_device **device)
{
    CUresult result = weft_soft_initialised();
    if (result == CUDA_SUCCESS)
        result = check_location(location, device);
    if (result == CUDA_SUCCESS && type != CU_MEM_ALLOCATION_TYPE_PINNED)
        result = CUDA_ERROR_NOT_SUPPORTED;
    return result;
}

static CUresult mem_get_default_mem_pool(CUmemoryPool *out, CUmemLocation *location,
                                         CUmemAllocationType type)
{
    struct weft_soft_device *device;
    CUresult result = check_place(location, type, &device);
    return result == CUDA_SUCCESS ? device_pool(out, location->id, true) : result;
}

static CUresult mem_get_mem_pool(CUmemoryPool *out, CUmemLocation *location,
                                 CUmemAllocationType type)
{
    struct weft_soft_device *device;
    CUresult result = check_place(location, type, &device);
    return result == CUDA_SUCCESS ? device_pool(out, location->id, false) : result;
}

static CUresult mem_set_mem_pool(CUmemLocation *location, CUmemAllocationType type,
                                 CUmemoryPool pool)
{
    struct weft_soft_device *device;
    CUresult result = check_place(location, type, &device);
    return result == CUDA_SUCCESS ? device_set_mem_pool(location->id, pool) : result;
}

void weft_soft_pool_install(struct weft_cuda *table)
{
    weft_soft_pool_share_install(table);
    table->cuMemPoolCreate = mem_pool_create;
    table->cuMemPoolDestroy = mem_pool_destroy;
    table->cuMemPoolTrimTo = mem_pool_trim_to;
    table->cuMemPoolSetAttribute = mem_pool_set_attribute;
    table->cuMemPoolGetAttribute = mem_pool_get_attribute;
    table->cuMemPoolSetAccess = mem_pool_set_access;
    table->cuMemPoolGetAccess = mem_pool_get_access;
    table->cuDeviceGetDefaultMemPool = device_get_default_mem_pool;
    table->cuDeviceGetMemPool = device_get_mem_pool;
    table->cuDeviceSetMemPool = device_set_mem_pool;
    table->cuMemGetDefaultMemPool = mem_get_default_mem_pool;
    table->cuMemGetMemPool = mem_get_mem_pool;
    table->cuMemSetMemPool = mem_set_mem_pool;
}

/* Pools that several processes have. Who made such a pool allocates in it, out of a file of its
 * own; the others import the file, and then one pointer after the other. */
#include <stdlib.h>
#include <string.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "util/util.h"

#define POSIX_FD CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
#define MAGIC 0x70706766u

/* The bytes of an exported pointer. */
struct pointer_data {
    uint32_t magic, reserved;
    uint64_t inode; /* of the pool's file */
    uint64_t offset, bytes;
};
_Static_assert(sizeof(struct pointer_data) <= sizeof(CUmemPoolPtrExportData), "it fits");

static void lock(void)
{
    pthread_mutex_lock(&weft_soft.memory->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&weft_soft.memory->lock);
}

static CUresult get_pool(CUmemoryPool handle, struct weft_soft_pool **pool)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    *pool = weft_soft_pool_get((uintptr_t)handle);
    return *pool ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult export_pool(void *out, CUmemoryPool handle, CUmemAllocationHandleType type,
                            unsigned long long flags)
{
    struct weft_soft_pool *pool;
    CUresult result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    if (!out || flags != 0 || type != POSIX_FD || !pool->shared || pool->imported)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = weft_soft_shared_export(pool->shared, out);
    weft_soft_pool_put(pool);
    return result;
}

static CUresult import_pool(CUmemoryPool *out, void *shareable, CUmemAllocationHandleType type,
                            unsigned long long flags)
{
    struct weft_soft_shared *shared;
    uint64_t handle;
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!out || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (type != POSIX_FD)
        return CUDA_ERROR_NOT_SUPPORTED;
    result = weft_soft_shared_import((int)(intptr_t)shareable, WEFT_SOFT_SHARED_POOL, &shared);
    if (result == CUDA_SUCCESS)
        result = weft_soft_pool_create_shared(shared, true, &handle);
    if (result == CUDA_SUCCESS)
        *out = (CUmemoryPool)(uintptr_t)handle;
    return result;
}

static CUresult export_pointer(CUmemPoolPtrExportData *out, CUdeviceptr address)
{
    struct pointer_data data = {.magic = MAGIC};
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    lock();
    const struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    const struct weft_soft_pool *pool = allocation ? allocation->pool : NULL;
    bool may = out && pool && pool->shared && !pool->imported &&
               weft_soft_allocation_address(allocation) == address;
    if (may) {
        data.inode = pool->shared->inode;
        data.offset = address - pool->base;
        data.bytes = allocation->bytes;
    }
    unlock();
    if (!may)
        return CUDA_ERROR_INVALID_VALUE;
    memset(out, 0, sizeof(*out));
    memcpy(out, &data, sizeof(data));
    return CUDA_SUCCESS;
}

/* The other process' word is taken for nothing but a place in the file. */
static bool is_sound(const struct pointer_data *data, const struct weft_soft_pool *pool)
{
    return data->magic == MAGIC && pool->imported && data->inode == pool->shared->inode &&
           data->bytes > 0 && data->bytes <= pool->shared->bytes &&
           data->offset <= pool->shared->bytes - data->bytes &&
           data->offset % WEFT_SOFT_BLOCK_BYTES == 0;
}

/* A record of the imported piece; the pool's reference is its own on success. */
static CUresult enter_piece(struct weft_soft_pool *pool, const struct pointer_data *data,
                            CUdeviceptr *address)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    uint64_t place = pool->base + data->offset;
    uint64_t extent = weft_round_up(data->bytes, WEFT_SOFT_BLOCK_BYTES);
    lock();
    bool taken = weft_soft_ranges_take_at(&pool->free, place, extent);
    unlock();
    if (!taken)
        return CUDA_ERROR_INVALID_VALUE; /* it is imported already */
    struct weft_soft_allocation *allocation = calloc(1, sizeof(*allocation));
    if (!allocation) {
        weft_soft_pool_give(pool, place, extent);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    allocation->kind = WEFT_SOFT_POOLED;
    allocation->device = pool->device;
    allocation->pool = pool;
    allocation->bytes = data->bytes;
    allocation->extent = extent;
    allocation->by_address.key = place;
    weft_soft_allocation_publish(allocation, context);
    *address = place;
    return CUDA_SUCCESS;
}

static CUresult import_pointer(CUdeviceptr *address, CUmemoryPool handle,
                               CUmemPoolPtrExportData *share)
{
    struct weft_soft_pool *pool;
    struct pointer_data data;
    CUresult result = get_pool(handle, &pool);
    if (result != CUDA_SUCCESS)
        return result;
    if (address && share)
        memcpy(&data, share, sizeof(data));
    if (!address || !share || !is_sound(&data, pool))
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = enter_piece(pool, &data, address);
    if (result != CUDA_SUCCESS)
        weft_soft_pool_put(pool);
    return result;
}

void weft_soft_pool_share_install(struct weft_cuda *table)
{
    table->cuMemPoolExportToShareableHandle = export_pool;
    table->cuMemPoolImportFromShareableHandle = import_pool;
    table->cuMemPoolExportPointer = export_pointer;
    table->cuMemPoolImportPointer = import_pointer;
}

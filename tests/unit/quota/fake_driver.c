#include "fake_driver.h"

#include <stdlib.h>
#include <string.h>

#include "cuda/entries.h"
#include "fake_state.h"
#include "util/util.h"

struct fake_driver fake;
struct fake_state fake_state = {.lock = PTHREAD_MUTEX_INITIALIZER};

CUresult fake_injected(void)
{
    CUresult rc = fake.fail_next;
    fake.fail_next = CUDA_SUCCESS;
    return rc;
}

CUresult fake_grow(int device, uint64_t bytes)
{
    if (fake.held[device] + bytes > FAKE_DEVICE_BYTES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    fake.held[device] += bytes;
    fake.most_held[device] = WEFT_MAX(fake.most_held[device], fake.held[device]);
    return CUDA_SUCCESS;
}

static CUdeviceptr block_enter(struct block block)
{
    uint32_t i = 0;
    while (i < fake_state.blocks_used && fake_state.blocks[i].address)
        i++;
    if (i == BLOCKS_MAX)
        abort();
    fake_state.blocks_used = WEFT_MAX(fake_state.blocks_used, i + 1);
    block.address = fake_state.next_address;
    fake_state.next_address += weft_round_up(WEFT_MAX(block.bytes, 512), 512);
    fake_state.blocks[i] = block;
    return block.address;
}

static struct block *block_find(CUdeviceptr address)
{
    for (uint32_t i = 0; i < fake_state.blocks_used && address; i++) {
        if (fake_state.blocks[i].address == address)
            return &fake_state.blocks[i];
    }
    return NULL;
}

static CUresult allocate(CUdeviceptr *dptr, uint64_t bytes)
{
    pthread_mutex_lock(&fake_state.lock);
    struct fake_context *context = fake_context_of(fake_current());
    CUresult rc = fake_injected();
    if (!rc && !context)
        rc = CUDA_ERROR_INVALID_CONTEXT;
    if (!rc && (!dptr || bytes == 0))
        rc = CUDA_ERROR_INVALID_VALUE;
    if (!rc)
        rc = fake_grow(context->device, weft_round_up(bytes, 512));
    if (!rc)
        *dptr = block_enter((struct block){.bytes = weft_round_up(bytes, 512),
                                           .device = context->device,
                                           .context = fake_current()});
    pthread_mutex_unlock(&fake_state.lock);
    return rc;
}

static CUresult mem_alloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
    return allocate(dptr, bytesize);
}

static CUresult mem_alloc(CUdeviceptr_v1 *dptr, unsigned int bytesize)
{
    CUdeviceptr wide;
    CUresult rc = allocate(dptr ? &wide : NULL, bytesize);
    if (!rc)
        *dptr = (CUdeviceptr_v1)wide;
    return rc;
}

static CUresult mem_alloc_managed(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
    return flags ? allocate(dptr, bytesize) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult mem_alloc_pitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height,
                                   unsigned int element)
{
    (void)element;
    *pitch = weft_round_up(width, FAKE_PITCH_BYTES);
    return allocate(dptr, *pitch * height);
}

static CUresult mem_alloc_pitch(CUdeviceptr_v1 *dptr, unsigned int *pitch, unsigned int width,
                                unsigned int height, unsigned int element)
{
    size_t wide_pitch;
    CUdeviceptr wide;
    CUresult rc = mem_alloc_pitch_v2(&wide, &wide_pitch, width, height, element);
    *pitch = (unsigned int)wide_pitch;
    *dptr = (CUdeviceptr_v1)wide;
    return rc;
}

static void pool_settle(struct fake_pool *pool)
{
    uint64_t wanted = weft_round_up(pool->used + pool->pending, FAKE_CHUNK_BYTES);
    if (pool->reserved > wanted) {
        fake.held[pool->device] -= pool->reserved - wanted;
        pool->reserved = wanted;
    }
}

static CUresult mem_free_v2(CUdeviceptr dptr)
{
    pthread_mutex_lock(&fake_state.lock);
    struct block *block = block_find(dptr);
    CUresult rc = fake_injected();
    if (!rc && dptr && !block)
        rc = CUDA_ERROR_INVALID_VALUE;
    if (!rc && block && block->pool) {
        block->pool->used -= block->bytes;
        pool_settle(block->pool);
    } else if (!rc && block) {
        fake.held[block->device] -= block->bytes;
    }
    if (!rc && block)
        block->address = 0;
    pthread_mutex_unlock(&fake_state.lock);
    return rc;
}

static CUresult mem_free(CUdeviceptr_v1 dptr)
{
    return mem_free_v2(dptr);
}

static CUresult alloc_from_pool(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool handle,
                                CUstream stream)
{
    (void)stream;
    struct fake_pool *pool = (struct fake_pool *)handle;
    uint64_t bytes = weft_round_up(bytesize, 512);
    pthread_mutex_lock(&fake_state.lock);
    uint64_t wanted = weft_round_up(pool->used + pool->pending + bytes, FAKE_CHUNK_BYTES);
    CUresult rc = fake_injected();
    if (!rc && wanted > pool->reserved) {
        rc = fake_grow(pool->device, wanted - pool->reserved);
        pool->reserved = rc ? pool->reserved : wanted;
    }
    if (!rc) {
        pool->used += bytes;
        *dptr = block_enter((struct block){.bytes = bytes, .device = pool->device, .pool = pool});
    }
    pthread_mutex_unlock(&fake_state.lock);
    return rc;
}

static CUresult mem_free_async(CUdeviceptr dptr, CUstream stream)
{
    (void)stream;
    pthread_mutex_lock(&fake_state.lock);
    struct block *block = block_find(dptr);
    CUresult rc = fake_injected();
    if (!rc && !block)
        rc = CUDA_ERROR_INVALID_VALUE;
    if (!rc && block->pool) {
        block->pool->used -= block->bytes;
        block->pool->pending += fake.streams_busy ? block->bytes : 0;
    } else if (!rc) {
        fake.held[block->device] -= block->bytes;
    }
    if (!rc)
        block->address = 0;
    pthread_mutex_unlock(&fake_state.lock);
    return rc;
}

static CUresult wait_all(void)
{
    pthread_mutex_lock(&fake_state.lock);
    fake.streams_busy = false;
    for (int i = 0; i < POOLS_MAX; i++) {
        fake_state.pools[i].pending = 0;
        pool_settle(&fake_state.pools[i]);
    }
    pthread_mutex_unlock(&fake_state.lock);
    return CUDA_SUCCESS;
}

static CUresult stream_synchronize(CUstream stream)
{
    (void)stream;
    return wait_all();
}

static CUresult event_synchronize(CUevent event)
{
    (void)event;
    return wait_all();
}

static CUresult stream_query(CUstream stream)
{
    (void)stream;
    return fake.streams_busy ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

/* A stream handle is the context that it belongs to. */
static CUresult stream_get_ctx(CUstream stream, CUcontext *context)
{
    *context = (CUcontext)stream;
    return CUDA_SUCCESS;
}

static CUresult pool_trim_to(CUmemoryPool handle, size_t keep)
{
    (void)keep;
    pthread_mutex_lock(&fake_state.lock);
    pool_settle((struct fake_pool *)handle);
    pthread_mutex_unlock(&fake_state.lock);
    return CUDA_SUCCESS;
}

static CUresult pool_get_attribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    struct fake_pool *pool = (struct fake_pool *)handle;
    if (fake.attributes_fail)
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    pthread_mutex_lock(&fake_state.lock);
    *(cuuint64_t *)value =
        attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT ? pool->reserved : pool->used;
    pthread_mutex_unlock(&fake_state.lock);
    return CUDA_SUCCESS;
}

static CUresult pool_create(CUmemoryPool *pool, const CUmemPoolProps *props)
{
    CUresult rc = fake_injected();
    for (int i = FAKE_DEVICES; i < POOLS_MAX && !rc; i++) {
        if (fake_state.pools[i].live)
            continue;
        fake_state.pools[i] = (struct fake_pool){.live = true, .device = props->location.id};
        *pool = (CUmemoryPool)&fake_state.pools[i];
        return CUDA_SUCCESS;
    }
    return rc ? rc : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The memory goes when the last address does: the place is not used again, so it stays countable.
 */
static CUresult pool_destroy(CUmemoryPool handle)
{
    CUresult rc = fake_injected();
    if (!rc)
        pool_settle((struct fake_pool *)handle);
    return rc;
}

static CUresult device_get_pool(CUmemoryPool *pool, CUdevice device)
{
    *pool = (CUmemoryPool)&fake_state.pools[device];
    return CUDA_SUCCESS;
}

static CUresult mem_get_info(size_t *free, size_t *total)
{
    int device = fake_context_of(fake_current())->device;
    *free = FAKE_DEVICE_BYTES - fake.held[device];
    *total = FAKE_DEVICE_BYTES;
    return CUDA_SUCCESS;
}

static CUresult device_total_mem(size_t *bytes, CUdevice device)
{
    if (device < 0 || device >= FAKE_DEVICES)
        return CUDA_ERROR_INVALID_DEVICE;
    *bytes = FAKE_DEVICE_BYTES;
    return CUDA_SUCCESS;
}

static void table_fill_memory(struct weft_cuda *table)
{
    table->cuMemAlloc = mem_alloc;
    table->cuMemAlloc_v2 = mem_alloc_v2;
    table->cuMemAllocManaged = mem_alloc_managed;
    table->cuMemAllocPitch = mem_alloc_pitch;
    table->cuMemAllocPitch_v2 = mem_alloc_pitch_v2;
    table->cuMemFree = mem_free;
    table->cuMemFree_v2 = mem_free_v2;
    table->cuMemAllocFromPoolAsync = table->cuMemAllocFromPoolAsync_ptsz = alloc_from_pool;
    table->cuMemFreeAsync = table->cuMemFreeAsync_ptsz = mem_free_async;
    table->cuMemPoolTrimTo = pool_trim_to;
    table->cuMemPoolGetAttribute = pool_get_attribute;
    table->cuMemPoolCreate = pool_create;
    table->cuMemPoolDestroy = pool_destroy;
    table->cuDeviceGetMemPool = table->cuDeviceGetDefaultMemPool = device_get_pool;
    table->cuMemGetInfo_v2 = mem_get_info;
    table->cuDeviceTotalMem_v2 = device_total_mem;
}

void fake_driver_reset(struct weft_cuda *table)
{
    memset(&fake, 0, sizeof(fake));
    memset(fake_state.blocks, 0, fake_state.blocks_used * sizeof(fake_state.blocks[0]));
    memset(fake_state.pools, 0, sizeof(fake_state.pools));
    memset(fake_state.memories, 0, sizeof(fake_state.memories));
    memset(fake_state.mappings, 0, sizeof(fake_state.mappings));
    memset(fake_state.contexts, 0, sizeof(fake_state.contexts));
    memset(fake_state.arrays, 0, sizeof(fake_state.arrays));
    fake_state.blocks_used = 0;
    fake_state.next_address = 0x10000;
    for (int i = 0; i < FAKE_DEVICES; i++)
        fake_state.pools[i] = (struct fake_pool){.live = true, .device = i};
    weft_cuda_fill_unsupported(table);
    table_fill_memory(table);
    fake_context_install(table);
    fake_handles_install(table);
    table->cuStreamSynchronize = table->cuStreamSynchronize_ptsz = stream_synchronize;
    table->cuStreamQuery = table->cuStreamQuery_ptsz = stream_query;
    table->cuStreamGetCtx = stream_get_ctx;
    table->cuEventSynchronize = event_synchronize;
    table->cuCtxSynchronize = wait_all;
}

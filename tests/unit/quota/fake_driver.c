#include "fake_driver.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cuda/entries.h"
#include "tenant/quota.h"
#include "util/util.h"

#define BLOCKS_MAX 65536
#define POOLS_MAX 64
#define MEMORIES_MAX 64
#define CONTEXTS_MAX 16
#define ARRAYS_MAX 16

struct fake_driver fake;

struct block {
    CUdeviceptr address; /* 0: free place */
    uint64_t bytes;
    int device;
    CUcontext context;
    struct fake_pool *pool;
};

struct fake_pool {
    bool live;
    int device;
    uint64_t used, pending, reserved;
};

struct fake_memory {
    uint64_t bytes; /* 0: free place */
    int device;
    int handles, mappings;
    int file; /* a memfd once it was exported; -1 */
};

struct fake_context {
    bool live;
    int device;
    int retained; /* primary contexts only */
};

/* Guarded by lock. Contexts 0 … FAKE_DEVICES - 1 are the primary ones. */
static struct {
    pthread_mutex_t lock;
    CUdeviceptr next_address;
    struct block blocks[BLOCKS_MAX];
    uint32_t blocks_used;
    struct fake_pool pools[POOLS_MAX]; /* 0 … FAKE_DEVICES - 1: the default ones */
    struct fake_memory memories[MEMORIES_MAX];
    struct {
        CUdeviceptr address;
        size_t size;
        struct fake_memory *memory;
    } mappings[MEMORIES_MAX];
    struct fake_context contexts[CONTEXTS_MAX];
    uint64_t arrays[ARRAYS_MAX]; /* not 0: alive */
} driver = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __thread CUcontext current;

static struct fake_context *context_of(CUcontext context)
{
    struct fake_context *found = (struct fake_context *)context;
    return found && found->live ? found : NULL;
}

static CUresult injected(void)
{
    CUresult rc = fake.fail_next;
    fake.fail_next = CUDA_SUCCESS;
    return rc;
}

static CUresult grow(int device, uint64_t bytes)
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
    while (i < driver.blocks_used && driver.blocks[i].address)
        i++;
    if (i == BLOCKS_MAX)
        abort();
    driver.blocks_used = WEFT_MAX(driver.blocks_used, i + 1);
    block.address = driver.next_address;
    driver.next_address += weft_round_up(WEFT_MAX(block.bytes, 512), 512);
    driver.blocks[i] = block;
    return block.address;
}

static struct block *block_find(CUdeviceptr address)
{
    for (uint32_t i = 0; i < driver.blocks_used && address; i++) {
        if (driver.blocks[i].address == address)
            return &driver.blocks[i];
    }
    return NULL;
}

static CUresult allocate(CUdeviceptr *dptr, uint64_t bytes)
{
    pthread_mutex_lock(&driver.lock);
    struct fake_context *context = context_of(current);
    CUresult rc = injected();
    if (!rc && !context)
        rc = CUDA_ERROR_INVALID_CONTEXT;
    if (!rc && (!dptr || bytes == 0))
        rc = CUDA_ERROR_INVALID_VALUE;
    if (!rc)
        rc = grow(context->device, weft_round_up(bytes, 512));
    if (!rc)
        *dptr = block_enter((struct block){
            .bytes = weft_round_up(bytes, 512), .device = context->device, .context = current});
    pthread_mutex_unlock(&driver.lock);
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
    pthread_mutex_lock(&driver.lock);
    struct block *block = block_find(dptr);
    CUresult rc = injected();
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
    pthread_mutex_unlock(&driver.lock);
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
    pthread_mutex_lock(&driver.lock);
    uint64_t wanted = weft_round_up(pool->used + pool->pending + bytes, FAKE_CHUNK_BYTES);
    CUresult rc = injected();
    if (!rc && wanted > pool->reserved) {
        rc = grow(pool->device, wanted - pool->reserved);
        pool->reserved = rc ? pool->reserved : wanted;
    }
    if (!rc) {
        pool->used += bytes;
        *dptr = block_enter((struct block){.bytes = bytes, .device = pool->device, .pool = pool});
    }
    pthread_mutex_unlock(&driver.lock);
    return rc;
}

static CUresult mem_free_async(CUdeviceptr dptr, CUstream stream)
{
    (void)stream;
    pthread_mutex_lock(&driver.lock);
    struct block *block = block_find(dptr);
    CUresult rc = injected();
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
    pthread_mutex_unlock(&driver.lock);
    return rc;
}

static CUresult wait_all(void)
{
    pthread_mutex_lock(&driver.lock);
    fake.streams_busy = false;
    for (int i = 0; i < POOLS_MAX; i++) {
        driver.pools[i].pending = 0;
        pool_settle(&driver.pools[i]);
    }
    pthread_mutex_unlock(&driver.lock);
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
    pthread_mutex_lock(&driver.lock);
    pool_settle((struct fake_pool *)handle);
    pthread_mutex_unlock(&driver.lock);
    return CUDA_SUCCESS;
}

static CUresult pool_get_attribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    struct fake_pool *pool = (struct fake_pool *)handle;
    pthread_mutex_lock(&driver.lock);
    *(cuuint64_t *)value =
        attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT ? pool->reserved : pool->used;
    pthread_mutex_unlock(&driver.lock);
    return CUDA_SUCCESS;
}

static CUresult pool_create(CUmemoryPool *pool, const CUmemPoolProps *props)
{
    CUresult rc = injected();
    for (int i = FAKE_DEVICES; i < POOLS_MAX && !rc; i++) {
        if (driver.pools[i].live)
            continue;
        driver.pools[i] = (struct fake_pool){.live = true, .device = props->location.id};
        *pool = (CUmemoryPool)&driver.pools[i];
        return CUDA_SUCCESS;
    }
    return rc ? rc : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The memory goes when the last address does: the place is not used again, so it stays countable.
 */
static CUresult pool_destroy(CUmemoryPool handle)
{
    CUresult rc = injected();
    if (!rc)
        pool_settle((struct fake_pool *)handle);
    return rc;
}

static CUresult device_get_pool(CUmemoryPool *pool, CUdevice device)
{
    *pool = (CUmemoryPool)&driver.pools[device];
    return CUDA_SUCCESS;
}

static CUresult mem_create(CUmemGenericAllocationHandle *handle, size_t size,
                           const CUmemAllocationProp *prop, unsigned long long flags)
{
    (void)flags;
    CUresult rc = injected();
    if (!rc)
        rc = grow(prop->location.id, size);
    for (int i = 0; i < MEMORIES_MAX && !rc; i++) {
        struct fake_memory *memory = &driver.memories[i];
        if (memory->bytes)
            continue;
        *memory = (struct fake_memory){
            .bytes = size, .device = prop->location.id, .handles = 1, .file = -1};
        *handle = (uintptr_t)memory;
        return CUDA_SUCCESS;
    }
    return rc;
}

static void memory_settle(struct fake_memory *memory)
{
    if (memory->handles || memory->mappings)
        return;
    fake.held[memory->device] -= memory->bytes;
    memory->bytes = 0;
}

static CUresult mem_release(CUmemGenericAllocationHandle handle)
{
    struct fake_memory *memory = (struct fake_memory *)(uintptr_t)handle;
    CUresult rc = injected();
    if (!rc && !memory->handles)
        rc = CUDA_ERROR_INVALID_VALUE;
    if (!rc) {
        memory->handles--;
        memory_settle(memory);
    }
    return rc;
}

static CUresult mem_map(CUdeviceptr address, size_t size, size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    (void)offset;
    (void)flags;
    CUresult rc = injected();
    for (int i = 0; i < MEMORIES_MAX && !rc; i++) {
        if (driver.mappings[i].memory)
            continue;
        driver.mappings[i].address = address;
        driver.mappings[i].size = size;
        driver.mappings[i].memory = (struct fake_memory *)(uintptr_t)handle;
        driver.mappings[i].memory->mappings++;
        break;
    }
    return rc;
}

static CUresult mem_unmap(CUdeviceptr address, size_t size)
{
    CUresult rc = injected();
    for (int i = 0; i < MEMORIES_MAX && !rc; i++) {
        struct fake_memory *memory = driver.mappings[i].memory;
        if (!memory || driver.mappings[i].address - address >= size)
            continue;
        driver.mappings[i].memory = NULL;
        memory->mappings--;
        memory_settle(memory);
    }
    return rc;
}

static CUresult mem_retain(CUmemGenericAllocationHandle *handle, void *address)
{
    for (int i = 0; i < MEMORIES_MAX; i++) {
        if (driver.mappings[i].memory &&
            (uintptr_t)address - driver.mappings[i].address < driver.mappings[i].size) {
            driver.mappings[i].memory->handles++;
            *handle = (uintptr_t)driver.mappings[i].memory;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

/* The descriptor is what the layer looks at; that an open one keeps the memory is left to real
 * drivers. */
static CUresult mem_export(void *shareable, CUmemGenericAllocationHandle handle,
                           CUmemAllocationHandleType type, unsigned long long flags)
{
    (void)flags;
    struct fake_memory *memory = (struct fake_memory *)(uintptr_t)handle;
    CUresult rc = injected();
    if (!rc && type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        *(int *)shareable = memory->file = memfd_create("export", MFD_CLOEXEC);
    return rc;
}

static CUresult mem_import(CUmemGenericAllocationHandle *handle, void *shareable,
                           CUmemAllocationHandleType type)
{
    (void)type;
    for (int i = 0; i < MEMORIES_MAX; i++) {
        if (driver.memories[i].bytes && driver.memories[i].file == (int)(intptr_t)shareable) {
            driver.memories[i].handles++;
            *handle = (uintptr_t)&driver.memories[i];
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

/* Arrays are handles and nothing else here: a device does not tell what they take. */
static CUresult array_make(void **handle)
{
    CUresult rc = injected();
    for (int i = 0; i < ARRAYS_MAX && !rc; i++) {
        if (driver.arrays[i])
            continue;
        driver.arrays[i] = 1;
        *handle = &driver.arrays[i];
        return CUDA_SUCCESS;
    }
    return rc ? rc : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult array_create(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR_v1 *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_create_v2(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_create_3d(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR_v1 *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_create_3d_v2(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult mipmapped_create(CUmipmappedArray *handle, const CUDA_ARRAY3D_DESCRIPTOR *shape,
                                 unsigned int levels)
{
    return shape && levels ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_end(void *handle)
{
    CUresult rc = injected();
    if (!rc && !*(uint64_t *)handle)
        rc = CUDA_ERROR_INVALID_HANDLE;
    if (!rc)
        *(uint64_t *)handle = 0;
    return rc;
}

static CUresult array_destroy(CUarray handle)
{
    return array_end(handle);
}

static CUresult mipmapped_destroy(CUmipmappedArray handle)
{
    return array_end(handle);
}

static CUresult ctx_create(CUcontext *context, unsigned int flags, CUdevice device)
{
    (void)flags;
    for (int i = FAKE_DEVICES; i < CONTEXTS_MAX; i++) {
        if (driver.contexts[i].live)
            continue;
        driver.contexts[i] = (struct fake_context){.live = true, .device = device};
        *context = current = (CUcontext)&driver.contexts[i];
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static void context_empty(CUcontext context)
{
    for (uint32_t i = 0; i < driver.blocks_used; i++) {
        struct block *block = &driver.blocks[i];
        if (block->address && block->context == context) {
            fake.held[block->device] -= block->bytes;
            block->address = 0;
        }
    }
}

static CUresult ctx_destroy(CUcontext context)
{
    CUresult rc = injected();
    struct fake_context *found = context_of(context);
    if (!rc && (!found || found < &driver.contexts[FAKE_DEVICES]))
        rc = CUDA_ERROR_INVALID_CONTEXT;
    if (!rc) {
        context_empty(context);
        found->live = false;
    }
    return rc;
}

static CUresult ctx_get_api_version(CUcontext context, unsigned int *version)
{
    *version = 3020;
    return context_of(context) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult ctx_set_current(CUcontext context)
{
    current = context;
    return CUDA_SUCCESS;
}

static CUresult ctx_get_current(CUcontext *context)
{
    *context = current;
    return CUDA_SUCCESS;
}

static CUresult ctx_get_device(CUdevice *device)
{
    struct fake_context *context = context_of(current);
    if (!context)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *device = context->device;
    return CUDA_SUCCESS;
}

/* One deep is all that is asked of it. */
static __thread CUcontext pushed;

static CUresult ctx_push(CUcontext context)
{
    pushed = current;
    current = context;
    return CUDA_SUCCESS;
}

static CUresult ctx_pop(CUcontext *context)
{
    *context = current;
    current = pushed;
    return CUDA_SUCCESS;
}

static CUresult primary_retain(CUcontext *context, CUdevice device)
{
    driver.contexts[device].live = true;
    driver.contexts[device].device = device;
    driver.contexts[device].retained++;
    *context = (CUcontext)&driver.contexts[device];
    return CUDA_SUCCESS;
}

static void primary_end(CUdevice device)
{
    context_empty((CUcontext)&driver.contexts[device]);
    driver.contexts[device].live = false;
    driver.contexts[device].retained = 0;
}

static CUresult primary_release(CUdevice device)
{
    if (--driver.contexts[device].retained == 0)
        primary_end(device);
    return CUDA_SUCCESS;
}

static CUresult primary_reset(CUdevice device)
{
    primary_end(device);
    return CUDA_SUCCESS;
}

static CUresult primary_state(CUdevice device, unsigned int *flags, int *active)
{
    *flags = 0;
    *active = driver.contexts[device].live;
    return CUDA_SUCCESS;
}

static CUresult mem_get_info(size_t *free, size_t *total)
{
    int device = context_of(current)->device;
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
    table->cuMemCreate = mem_create;
    table->cuMemRelease = mem_release;
    table->cuMemMap = mem_map;
    table->cuMemUnmap = mem_unmap;
    table->cuMemRetainAllocationHandle = mem_retain;
    table->cuMemExportToShareableHandle = mem_export;
    table->cuMemImportFromShareableHandle = mem_import;
    table->cuArrayCreate = array_create;
    table->cuArrayCreate_v2 = array_create_v2;
    table->cuArray3DCreate = array_create_3d;
    table->cuArray3DCreate_v2 = array_create_3d_v2;
    table->cuMipmappedArrayCreate = mipmapped_create;
    table->cuArrayDestroy = array_destroy;
    table->cuMipmappedArrayDestroy = mipmapped_destroy;
    table->cuMemGetInfo_v2 = mem_get_info;
    table->cuDeviceTotalMem_v2 = device_total_mem;
}

void fake_driver_reset(struct weft_cuda *table)
{
    memset(&fake, 0, sizeof(fake));
    memset(driver.blocks, 0, driver.blocks_used * sizeof(driver.blocks[0]));
    memset(driver.pools, 0, sizeof(driver.pools));
    memset(driver.memories, 0, sizeof(driver.memories));
    memset(driver.mappings, 0, sizeof(driver.mappings));
    memset(driver.contexts, 0, sizeof(driver.contexts));
    memset(driver.arrays, 0, sizeof(driver.arrays));
    driver.blocks_used = 0;
    driver.next_address = 0x10000;
    for (int i = 0; i < FAKE_DEVICES; i++)
        driver.pools[i] = (struct fake_pool){.live = true, .device = i};
    current = NULL;
    weft_cuda_fill_unsupported(table);
    table_fill_memory(table);
    table->cuStreamSynchronize = table->cuStreamSynchronize_ptsz = stream_synchronize;
    table->cuStreamQuery = table->cuStreamQuery_ptsz = stream_query;
    table->cuStreamGetCtx = stream_get_ctx;
    table->cuEventSynchronize = event_synchronize;
    table->cuCtxSynchronize = wait_all;
    table->cuCtxCreate_v2 = ctx_create;
    table->cuCtxDestroy = table->cuCtxDestroy_v2 = table->cuCtxDetach = ctx_destroy;
    table->cuCtxGetApiVersion = ctx_get_api_version;
    table->cuCtxSetCurrent = ctx_set_current;
    table->cuCtxGetCurrent = ctx_get_current;
    table->cuCtxGetDevice = ctx_get_device;
    table->cuCtxPushCurrent_v2 = ctx_push;
    table->cuCtxPopCurrent_v2 = ctx_pop;
    table->cuDevicePrimaryCtxRetain = primary_retain;
    table->cuDevicePrimaryCtxRelease = table->cuDevicePrimaryCtxRelease_v2 = primary_release;
    table->cuDevicePrimaryCtxReset = table->cuDevicePrimaryCtxReset_v2 = primary_reset;
    table->cuDevicePrimaryCtxGetState = primary_state;
}

CUcontext fake_context_make(struct weft_cuda *table, CUdevice device)
{
    CUcontext context = NULL;
    table->cuCtxCreate_v2(&context, 0, device);
    return context;
}

void fake_driver_pool_forget(CUmemoryPool pool)
{
    ((struct fake_pool *)pool)->live = false;
}

CUmemPoolProps fake_pool_props(int device)
{
    return (CUmemPoolProps){.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
}

CUmemAllocationProp fake_memory_prop(int device)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
}

int fixture_set_up(void **state)
{
    struct fixture *fixture = aligned_alloc(64, weft_round_up(sizeof(*fixture), 64));
    memset(fixture, 0, sizeof(*fixture));
    void *memory =
        mmap(NULL, weft_ledger_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fixture->ledger = weft_ledger_format(memory);
    for (int i = 0; i < WEFT_POLICY_DEVICES; i++)
        fixture->policy.devices[i].memory_limit_bytes = WEFT_POLICY_UNLIMITED;
    if (weft_ledger_slot_take(fixture->ledger, &fixture->slot, NULL) ||
        weft_ledger_slot_take(fixture->ledger, &fixture->other_slot, NULL))
        return -1;
    weft_ledger_account_init(&fixture->other, fixture->ledger, fixture->other_slot);
    fake_driver_reset(&fixture->table);
    struct weft_quota_config config = {.ledger = fixture->ledger,
                                       .slot = fixture->slot,
                                       .policy = &fixture->policy,
                                       .device_count = FAKE_DEVICES};
    *state = fixture;
    return weft_quota_install(&fixture->table, &config, NULL);
}

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    weft_quota_drop_after_fork();
    munmap(fixture->ledger, weft_ledger_bytes());
    free(fixture);
    return 0;
}

void fixture_limit(struct fixture *fixture, uint32_t device, uint64_t bytes)
{
    __atomic_store_n(&fixture->policy.devices[device].memory_limit_bytes, bytes, __ATOMIC_RELEASE);
}

uint64_t fixture_charged(struct fixture *fixture, uint32_t device)
{
    return weft_ledger_slot_held(fixture->ledger, fixture->slot, device);
}

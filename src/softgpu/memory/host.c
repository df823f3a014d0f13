/* Pinned host memory: allocated in the window and open to the program, or the program's own and
 * registered. Neither is charged. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

/* From Linux 5.14 on; older headers lack them. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define ALLOC_FLAGS \
    (CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED)
#define REGISTER_FLAGS                                                                          \
    (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_IOMEMORY | \
     CU_MEMHOSTREGISTER_READ_ONLY)

/* The program is shown pinned memory in whole granules, so that many small pieces do not use up the
 * mappings that a process may have: a granule is open unless all of it is free. Given a piece that
 * is taken, while its neighbours are as they are: the granules that are open for its sake alone.
 * False where there are none. Memory lock. */
static bool own_granules(uint64_t address, uint64_t bytes, uint64_t *first, uint64_t *count_bytes)
{
    const struct weft_soft_ranges *ranges = &weft_soft.memory->host;
    const uint64_t granule = WEFT_SOFT_GRANULE_BYTES;
    uint64_t start = address, end = address + bytes, free_start, free_bytes;
    if (weft_soft_ranges_around(ranges, address - 1, &free_start, &free_bytes))
        start = free_start;
    if (weft_soft_ranges_around(ranges, address + bytes, &free_start, &free_bytes))
        end = free_start + free_bytes;
    uint64_t low = WEFT_MAX(address & ~(granule - 1), weft_round_up(start, granule));
    uint64_t high = WEFT_MIN(weft_round_up(address + bytes, granule), end & ~(granule - 1));
    *first = low;
    *count_bytes = high - low;
    return low < high;
}

static bool take(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    uint64_t *address = &allocation->by_address.key, first, bytes;
    pthread_mutex_lock(&memory->lock);
    bool taken =
        weft_soft_ranges_take(&memory->host, allocation->extent, WEFT_SOFT_PAGE_BYTES, address);
    if (taken && own_granules(*address, allocation->extent, &first, &bytes) &&
        !weft_soft_window_show(&memory->window, first, bytes)) {
        weft_soft_ranges_give(&memory->host, *address, allocation->extent);
        taken = false;
    }
    pthread_mutex_unlock(&memory->lock);
    return taken;
}

void weft_soft_host_release(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    uint64_t address = weft_soft_allocation_address(allocation), first, bytes;
    weft_soft_window_clear(&memory->window, address, allocation->extent);
    pthread_mutex_lock(&memory->lock);
    if (own_granules(address, allocation->extent, &first, &bytes))
        weft_soft_window_hide(&memory->window, first, bytes);
    weft_soft_ranges_give(&memory->host, address, allocation->extent);
    pthread_mutex_unlock(&memory->lock);
}

static CUresult mem_host_alloc(void **pointer, size_t bytes, unsigned int flags)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!pointer || bytes == 0 || (flags & ~ALLOC_FLAGS))
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > weft_soft.memory->window.host_bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    _cleanup_free_ struct weft_soft_allocation *allocation = calloc(1, sizeof(*allocation));
    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    allocation->kind = WEFT_SOFT_HOST;
    allocation->device = context->device;
    allocation->bytes = bytes;
    allocation->extent = weft_round_up(bytes, WEFT_SOFT_PAGE_BYTES);
    /* With unified addresses all pinned memory is mapped and portable, asked for or not. */
    allocation->flags = flags | CU_MEMHOSTALLOC_DEVICEMAP;
    if (!take(allocation))
        return CUDA_ERROR_OUT_OF_MEMORY;
    *pointer = (void *)(uintptr_t)weft_soft_allocation_address(allocation);
    weft_soft_allocation_publish(weft_steal(allocation), context);
    return CUDA_SUCCESS;
}

static CUresult mem_alloc_host(void **pointer, size_t bytes)
{
    return mem_host_alloc(pointer, bytes, 0);
}

static CUresult mem_free_host(void *pointer)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS || !pointer)
        return result;
    return weft_soft_allocation_free((uintptr_t)pointer, WEFT_SOFT_HOST);
}

/* Makes the pages be there, readable or also writable, as pinning does. False where they are not;
 * `known` becomes false where the kernel, before Linux 5.14, does not know how. */
static bool populate(uint64_t start, uint64_t bytes, bool writable, bool *known)
{
    char page[2 * WEFT_SOFT_PAGE_BYTES]; /* holds a whole page that is both */
    void *inside = (void *)weft_round_up((uint64_t)(uintptr_t)page, WEFT_SOFT_PAGE_BYTES);
    int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    *known = true;
    if (madvise((void *)(uintptr_t)start, bytes, advice) == 0)
        return true;
    *known = errno != EINVAL || madvise(inside, WEFT_SOFT_PAGE_BYTES, advice) == 0;
    return false;
}

/* Whether kernels may use all of it without the process being struck for it. */
static bool is_usable(uint64_t address, uint64_t bytes, bool writable)
{
    uint64_t start = address & ~(uint64_t)(WEFT_SOFT_PAGE_BYTES - 1);
    uint64_t end = weft_round_up(address + bytes, WEFT_SOFT_PAGE_BYTES);
    bool known;
    if (end <= start)
        return false;
    if (populate(start, end - start, writable, &known))
        return true;
    /* At least it tells whether something is mapped there. */
    return !known && msync((void *)(uintptr_t)start, end - start, MS_ASYNC) == 0;
}

static CUresult register_range(uint64_t address, uint64_t bytes, bool writable)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    if (weft_soft_window_holds(&memory->window, address))
        return weft_soft_window_is_live(&memory->window, address, bytes)
                   ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED
                   : CUDA_ERROR_INVALID_VALUE;
    if (!is_usable(address, bytes, writable))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&memory->lock);
    if (weft_soft_foreign_overlaps(&memory->foreign, address, bytes))
        result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    else if (!weft_soft_foreign_add(&memory->foreign, address, bytes))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_unlock(&memory->lock);
    return result;
}

static CUresult mem_host_register(void *pointer, size_t bytes, unsigned int flags)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS)
        return result;
    uint64_t address = (uintptr_t)pointer;
    if (!pointer || bytes == 0 || address + bytes < address || (flags & ~REGISTER_FLAGS))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
        return CUDA_ERROR_NOT_SUPPORTED;
    struct weft_soft_allocation *allocation = calloc(1, sizeof(*allocation));
    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = register_range(address, bytes, !(flags & CU_MEMHOSTREGISTER_READ_ONLY));
    if (result != CUDA_SUCCESS) {
        free(allocation);
        return result;
    }
    allocation->kind = WEFT_SOFT_REGISTERED;
    allocation->device = context->device;
    allocation->by_address.key = address;
    allocation->bytes = bytes;
    allocation->extent = bytes;
    allocation->flags = flags | CU_MEMHOSTREGISTER_DEVICEMAP;
    weft_soft_allocation_publish(allocation, context);
    return CUDA_SUCCESS;
}

static CUresult mem_host_unregister(void *pointer)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!pointer)
        return CUDA_ERROR_INVALID_VALUE;
    result = weft_soft_allocation_free((uintptr_t)pointer, WEFT_SOFT_REGISTERED);
    return result == CUDA_ERROR_INVALID_VALUE ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : result;
}

/* The flags of the pinned or registered memory that holds `pointer`. */
static bool find_host(const void *pointer, unsigned int *flags)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    const struct weft_soft_allocation *allocation = weft_soft_allocation_find((uintptr_t)pointer);
    bool found = allocation && (allocation->kind & (WEFT_SOFT_HOST | WEFT_SOFT_REGISTERED));
    if (found)
        *flags = allocation->flags;
    pthread_mutex_unlock(&memory->lock);
    return found;
}

static CUresult mem_host_get_device_pointer(CUdeviceptr *address, void *pointer, unsigned int flags)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    unsigned int found;
    if (!address || flags != 0 || !find_host(pointer, &found))
        return CUDA_ERROR_INVALID_VALUE;
    *address = (uintptr_t)pointer;
    return CUDA_SUCCESS;
}

static CUresult mem_host_get_flags(unsigned int *flags, void *pointer)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    unsigned int found;
    if (!flags || !find_host(pointer, &found))
        return CUDA_ERROR_INVALID_VALUE;
    *flags = found;
    return CUDA_SUCCESS;
}

void weft_soft_host_install(struct weft_cuda *table)
{
    table->cuMemAllocHost_v2 = mem_alloc_host;
    table->cuMemHostAlloc = mem_host_alloc;
    table->cuMemFreeHost = mem_free_host;
    table->cuMemHostRegister = mem_host_register;
    table->cuMemHostRegister_v2 = mem_host_register;
    table->cuMemHostUnregister = mem_host_unregister;
    table->cuMemHostGetDevicePointer_v2 = mem_host_get_device_pointer;
    table->cuMemHostGetFlags = mem_host_get_flags;
}

/* The device's own memory: a part of the window backed by the grant's file. The ledger, which all
 * processes that use the device share, is asked first. */
#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "util/util.h"

static bool charge(struct weft_soft_device *device, uint64_t bytes)
{
    uint64_t limit = __atomic_load_n(&device->page->memory_ceiling_bytes, __ATOMIC_RELAXED);
    return weft_ledger_charge(&device->account, 0, bytes, limit) == 0;
}

static bool try_take(struct weft_soft_device *device, uint64_t bytes, uint64_t extent,
                     uint64_t alignment, uint64_t *address)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    struct weft_soft_arena *arena = device->memory;
    if (!charge(device, bytes))
        return false;
    pthread_mutex_lock(&memory->lock);
    bool taken = weft_soft_ranges_take(&arena->free, extent, alignment, address);
    pthread_mutex_unlock(&memory->lock);
    if (!taken)
        weft_ledger_discharge(&device->account, 0, bytes);
    return taken;
}

CUresult weft_soft_arena_take(struct weft_soft_device *device, uint64_t bytes, uint64_t extent,
                              uint64_t alignment, uint64_t *address)
{
    struct weft_soft_arena *arena = device->memory;
    if (extent > arena->bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (try_take(device, bytes, extent, alignment, address))
        return CUDA_SUCCESS;
    /* What pools keep for later is given up before anybody is refused. */
    weft_soft_pools_trim(device, false);
    return try_take(device, bytes, extent, alignment, address) ? CUDA_SUCCESS
                                                               : CUDA_ERROR_OUT_OF_MEMORY;
}

/* A page that two allocations shared goes back to the host with the last of them. */
static void drop_edge(struct weft_soft_memory *memory, const struct weft_soft_arena *arena,
                      uint64_t address)
{
    uint64_t page = address & ~(uint64_t)(WEFT_SOFT_PAGE_BYTES - 1);
    uint64_t start, bytes;
    if (weft_soft_ranges_around(&arena->free, address, &start, &bytes) && start <= page &&
        page + WEFT_SOFT_PAGE_BYTES <= start + bytes)
        weft_soft_window_clear(&memory->window, page, WEFT_SOFT_PAGE_BYTES);
}

void weft_soft_arena_give(struct weft_soft_device *device, uint64_t bytes, uint64_t extent,
                          uint64_t address)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    struct weft_soft_arena *arena = device->memory;
    uint64_t end = address + extent;
    bool one_page = address / WEFT_SOFT_PAGE_BYTES == (end - 1) / WEFT_SOFT_PAGE_BYTES;
    weft_soft_window_clear(&memory->window, address, extent);
    pthread_mutex_lock(&memory->lock);
    weft_soft_ranges_give(&arena->free, address, extent);
    if (address % WEFT_SOFT_PAGE_BYTES != 0)
        drop_edge(memory, arena, address);
    if (end % WEFT_SOFT_PAGE_BYTES != 0 && (!one_page || address % WEFT_SOFT_PAGE_BYTES == 0))
        drop_edge(memory, arena, end - 1);
    pthread_mutex_unlock(&memory->lock);
    weft_ledger_discharge(&device->account, 0, bytes);
}

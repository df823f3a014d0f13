/* The device's own memory: a part of the window backed by the grant's file. The ledger, which all
 * processes that use the device share, is asked first. */
#include <string.h>

#include "softgpu/memory/graph_memory.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "util/util.h"

static bool charge(struct weft_soft_device *device, uint64_t bytes)
{
    uint64_t limit = __atomic_load_n(&device->place.page->memory_ceiling_bytes, __ATOMIC_RELAXED);
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
    weft_soft_graph_memory_trim(device);
    return try_take(device, bytes, extent, alignment, address) ? CUDA_SUCCESS
                                                               : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult weft_soft_arena_charge(struct weft_soft_device *device, uint64_t bytes)
{
    if (charge(device, bytes))
        return CUDA_SUCCESS;
    weft_soft_pools_trim(device, false);
    return charge(device, bytes) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

void weft_soft_arena_discharge(struct weft_soft_device *device, uint64_t bytes)
{
    weft_ledger_discharge(&device->account, 0, bytes);
}

/* Up to here a free writes zeros; above it punches holes. */
#define WRITTEN_BYTES_MAX (16u << 10)

/* Gives a page back to the host if all of it is free; memory lock. */
static void drop_page(const struct weft_soft_arena *arena, uint64_t page)
{
    uint64_t start, bytes;
    if (weft_soft_ranges_around(&arena->free, page, &start, &bytes) &&
        page + WEFT_SOFT_PAGE_BYTES <= start + bytes)
        weft_soft_window_clear(&weft_soft.memory->window, page, WEFT_SOFT_PAGE_BYTES);
}

/* Remembers a page that is zeros but still backed. Programs tend to ask for it again at once, and a
 * hole costs more than zeros do. The page that had the place is given back; memory lock. */
static void loosen_page(struct weft_soft_arena *arena, uint64_t page)
{
    uint64_t *place = &arena->loose[page / WEFT_SOFT_PAGE_BYTES % WEFT_SOFT_LOOSE_PAGES];
    if (*place && *place != page)
        drop_page(arena, *place);
    *place = page;
}

void weft_soft_arena_drop_loose(struct weft_soft_device *device)
{
    struct weft_soft_arena *arena = device->memory;
    pthread_mutex_lock(&weft_soft.memory->lock);
    for (size_t i = 0; i < WEFT_SOFT_LOOSE_PAGES; i++) {
        if (arena->loose[i])
            drop_page(arena, arena->loose[i]);
        arena->loose[i] = 0;
    }
    pthread_mutex_unlock(&weft_soft.memory->lock);
}

static uint64_t page_of(uint64_t address)
{
    return address & ~(uint64_t)(WEFT_SOFT_PAGE_BYTES - 1);
}

void weft_soft_arena_give(struct weft_soft_device *device, uint64_t bytes, uint64_t extent,
                          uint64_t address)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    struct weft_soft_arena *arena = device->memory;
    uint64_t end = address + extent;
    bool written = extent <= WRITTEN_BYTES_MAX;
    if (written)
        memset(weft_soft_window_alias(&memory->window, address), 0, extent);
    else
        weft_soft_window_clear(&memory->window, address, extent);
    pthread_mutex_lock(&memory->lock);
    weft_soft_ranges_give(&arena->free, address, extent);
    for (uint64_t page = page_of(address); written && page < end; page += WEFT_SOFT_PAGE_BYTES)
        loosen_page(arena, page);
    if (!written && address % WEFT_SOFT_PAGE_BYTES != 0)
        loosen_page(arena, page_of(address));
    if (!written && end % WEFT_SOFT_PAGE_BYTES != 0)
        loosen_page(arena, page_of(end));
    pthread_mutex_unlock(&memory->lock);
    weft_ledger_discharge(&device->account, 0, bytes);
}

static bool charge_tenant(struct weft_soft_device *device, uint64_t bytes)
{
    return !weft_soft.charge || weft_soft.charge(device->ordinal, bytes, false);
}

static void discharge_tenant(struct weft_soft_device *device, uint64_t bytes)
{
    if (weft_soft.discharge)
        weft_soft.discharge(device->ordinal, bytes);
}

CUresult weft_soft_arena_take_own(struct weft_soft_device *device, uint64_t bytes, uint64_t extent,
                                  uint64_t alignment, uint64_t *address)
{
    if (!charge_tenant(device, bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = weft_soft_arena_take(device, bytes, extent, alignment, address);
    if (result != CUDA_SUCCESS)
        discharge_tenant(device, bytes);
    return result;
}

void weft_soft_arena_give_own(struct weft_soft_device *device, uint64_t bytes, uint64_t extent,
                              uint64_t address)
{
    weft_soft_arena_give(device, bytes, extent, address);
    discharge_tenant(device, bytes);
}

/* The memory half as the rest of the driver sees it: how it begins and ends, for the process and
 * for a context. */
#include "softgpu/memory/memory.h"
#include "softgpu/memory/graph_memory.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/handle.h"
#include "softgpu/memory/array.h"
#include "softgpu/memory/pool.h"
#include "softgpu/memory/shadow.h"
#include "softgpu/memory/texture.h"
#include "softgpu/memory/texture_reference.h"
#include "util/util.h"

static uint64_t arena_extent(const struct weft_soft_device *device)
{
    return weft_round_up(device->profile->memory_bytes, WEFT_SOFT_GRANULE_BYTES);
}

static void set_view(struct weft_soft_driver *driver, struct weft_soft_memory *memory)
{
    const struct weft_soft_window *window = &memory->window;
    driver->view = (struct weft_exec_memory){
        .window_base = window->base,
        .window_bytes = window->bytes,
        .alias_delta = window->alias_delta,
        .live = window->live,
        .shared_base = window->base,
        .local_base = window->base + WEFT_EXEC_SHARED_WINDOW_BYTES,
        .param_base = window->base + WEFT_EXEC_SHARED_WINDOW_BYTES + WEFT_EXEC_LOCAL_WINDOW_BYTES,
        .foreign = weft_soft_foreign_reach,
        .foreign_context = &memory->foreign,
        .texture = weft_soft_texture_look_up,
    };
}

static int open_arena(struct weft_soft_memory *memory, struct weft_soft_device *device,
                      uint64_t base, struct weft_err *err)
{
    struct weft_soft_arena *arena = &memory->arenas[device->ordinal];
    arena->base = base;
    arena->bytes = device->profile->memory_bytes;
    device->memory = arena;
    if (!weft_soft_ranges_add(&arena->free, base, arena->bytes))
        return weft_fail(err, WEFT_ENOMEM, "device %u: no memory", device->ordinal);
    return weft_soft_window_back(&memory->window, base, arena->bytes, device->arena_fd, err);
}

static int open_pools(struct weft_soft_driver *driver, struct weft_err *err)
{
    for (size_t i = 0; i < driver->device_count; i++) {
        struct weft_soft_arena *arena = driver->devices[i].memory;
        if (weft_soft_pool_create(&driver->devices[i], 0, &arena->default_pool) != CUDA_SUCCESS)
            return weft_fail(err, WEFT_ENOMEM, "device %zu: no memory for its pool", i);
        arena->current_pool = arena->default_pool;
    }
    return 0;
}

static void close_pools(struct weft_soft_memory *memory)
{
    for (size_t i = 0; i < WEFT_DEVICES_MAX; i++)
        weft_soft_handle_close(WEFT_SOFT_HANDLE_POOL, memory->arenas[i].default_pool);
}

static int open_arenas(struct weft_soft_driver *driver, struct weft_soft_memory *memory,
                       struct weft_err *err)
{
    uint64_t base = memory->window.arena_base;
    for (size_t i = 0; i < driver->device_count; i++) {
        int error = open_arena(memory, &driver->devices[i], base, err);
        if (error)
            return error;
        base += arena_extent(&driver->devices[i]);
    }
    return 0;
}

static int open_spaces(struct weft_soft_memory *memory, struct weft_err *err)
{
    const struct weft_soft_window *window = &memory->window;
    if (!weft_soft_ranges_add(&memory->host, window->host_base, window->host_bytes) ||
        !weft_soft_ranges_add(&memory->reservable, window->reserve_base, window->reserve_bytes))
        return weft_fail(err, WEFT_ENOMEM, "the soft device's tables: no memory");
    return weft_soft_foreign_open(&memory->foreign, err);
}

static void close_memory(struct weft_soft_driver *driver)
{
    struct weft_soft_memory *memory = driver->memory;
    close_pools(memory);
    driver->memory = NULL;
    for (size_t i = 0; i < WEFT_DEVICES_MAX; i++)
        weft_soft_ranges_finish(&memory->arenas[i].free);
    weft_soft_ranges_finish(&memory->host);
    weft_soft_ranges_finish(&memory->reservable);
    weft_soft_foreign_close(&memory->foreign);
    weft_soft_shadow_close(memory);
    weft_soft_shares_close(&memory->shares);
    weft_soft_reach_close(memory);
    weft_soft_window_close(&memory->window);
    weft_soft_texture_table_finish(&memory->textures);
    free(memory);
}

static int fill(struct weft_soft_driver *driver, struct weft_err *err)
{
    struct weft_soft_memory *memory = driver->memory;
    uint64_t arena_bytes = 0;
    for (size_t i = 0; i < driver->device_count; i++)
        arena_bytes += arena_extent(&driver->devices[i]);
    int error = weft_soft_window_open(&memory->window, arena_bytes, err);
    if (!error)
        error = open_spaces(memory, err);
    if (!error)
        error = weft_soft_shadow_open(memory, err);
    if (!error)
        error = open_arenas(driver, memory, err);
    return error ? error : open_pools(driver, err);
}

int weft_soft_memory_open(struct weft_soft_driver *driver, struct weft_err *err)
{
    driver->memory = calloc(1, sizeof(*driver->memory));
    if (!driver->memory)
        return weft_fail(err, WEFT_ENOMEM, "the soft device's tables: no memory");
    pthread_mutex_init(&driver->memory->lock, NULL);
    pthread_mutex_init(&driver->memory->textures.lock, NULL);
    pthread_mutex_init(&driver->memory->reference_lock, NULL);
    weft_soft_shares_open(&driver->memory->shares);
    int error = fill(driver, err);
    if (error == 0) {
        set_view(driver, driver->memory);
        error = weft_soft_reach_open(driver, err);
    }
    if (error)
        close_memory(driver);
    return error;
}

void weft_soft_memory_drop_after_fork(struct weft_soft_driver *driver)
{
    if (!driver->memory)
        return;
    close_memory(driver);
    for (size_t i = 0; i < driver->device_count; i++) {
        driver->devices[i].memory = NULL;
        driver->devices[i].view = NULL;
    }
    driver->view = (struct weft_exec_memory){0};
}

CUresult weft_soft_memory_context_create(struct weft_soft_context *context)
{
    struct weft_soft_holdings *holdings = calloc(1, sizeof(*holdings));
    if (!holdings)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->memory = holdings;
    return CUDA_SUCCESS;
}

static struct weft_soft_allocation *claim_first(struct weft_soft_holdings *holdings)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    struct weft_soft_allocation *allocation = holdings->first;
    if (allocation)
        weft_soft_allocation_unlink(allocation);
    pthread_mutex_unlock(&memory->lock);
    return allocation;
}

void weft_soft_memory_context_destroy(struct weft_soft_context *context)
{
    struct weft_soft_holdings *holdings = context->memory;
    if (!holdings)
        return;
    weft_soft_reach_end_context(context);
    weft_soft_texture_end_all(context->handle);
    weft_soft_held_close_all(holdings);
    for (struct weft_soft_allocation *allocation; (allocation = claim_first(holdings)) != NULL;)
        weft_soft_allocation_release(allocation);
    context->memory = NULL;
    free(holdings);
    weft_soft_memory_synchronised(context);
    weft_soft_arena_drop_loose(context->device);
}

void weft_soft_memory_synchronised(struct weft_soft_context *context)
{
    weft_soft_pools_trim(context->device, true);
}

/* The record that has taken the address, its unused end counted; NULL for a piece that goes back to
 * its pool in its turn, which what comes before that turn may still use. Memory lock. */
static const struct weft_soft_allocation *find_taken(uint64_t address)
{
    const struct weft_soft_node *node =
        weft_soft_tree_floor(weft_soft.memory->allocations, address, UINT64_MAX);
    const struct weft_soft_allocation *allocation =
        node ? WEFT_CONTAINER_OF(node, struct weft_soft_allocation, by_address) : NULL;
    return allocation && address - node->key < allocation->extent ? allocation : NULL;
}

/* Whether live bytes lie in one allocation, or in mappings side by side: what a program maps there
 * is one run to it. Memory lock. */
static bool is_one_run(uint64_t address, uint64_t bytes)
{
    const struct weft_soft_allocation *allocation = find_taken(address);
    if (!allocation)
        return true;
    bool mapped = allocation->kind == WEFT_SOFT_MAPPED;
    uint64_t at = address, end = address + bytes;
    while (allocation && at < end && (at == address || allocation->kind == WEFT_SOFT_MAPPED)) {
        at = weft_soft_allocation_address(allocation) + allocation->bytes;
        allocation = mapped ? find_taken(at) : NULL;
    }
    return at >= end;
}

void *weft_soft_memory_reach(uint64_t address, uint64_t bytes)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    if (!weft_soft_window_holds(&memory->window, address))
        return weft_soft_foreign_reach(&memory->foreign, address, bytes);
    if (!weft_soft_window_is_live(&memory->window, address, bytes))
        return NULL;
    /* The live bits know whole blocks, and not where one allocation ends and the next begins. */
    pthread_mutex_lock(&memory->lock);
    bool whole = bytes == 0 || is_one_run(address, bytes);
    pthread_mutex_unlock(&memory->lock);
    return whole ? weft_soft_window_alias(&memory->window, address) : NULL;
}

bool weft_soft_memory_is_managed(uint64_t address)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    const struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    bool managed = allocation && allocation->kind == WEFT_SOFT_MANAGED;
    pthread_mutex_unlock(&memory->lock);
    return managed;
}

void weft_soft_memory_install(struct weft_cuda *table)
{
    weft_soft_device_install(table);
    weft_soft_linear_install(table);
    weft_soft_host_install(table);
    weft_soft_managed_install(table);
    weft_soft_pool_install(table);
    weft_soft_graph_memory_install(table);
    weft_soft_async_install(table);
    weft_soft_vmm_install(table);
    weft_soft_ipc_install(table);
    weft_soft_copy_install(table);
    weft_soft_batch_install(table);
    weft_soft_shape_install(table);
    weft_soft_set_install(table);
    weft_soft_pointer_install(table);
    weft_soft_array_install(table);
    weft_soft_array_copy_install(table);
    weft_soft_texture_install(table);
    weft_soft_reference_install(table);
    weft_soft_narrow_install(table);
}

/* Which device's kernels may reach which memory: their own device's, the host's and managed memory
 * always, another device's where a context or the memory's own access list allows it. Each device
 * has live bits of its own; where there is only one, they are the window's. */
#include <stdlib.h>
#include <sys/mman.h>

#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "util/util.h"

static void lock(void)
{
    pthread_mutex_lock(&weft_soft.memory->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&weft_soft.memory->lock);
}

int weft_soft_reach_open(struct weft_soft_driver *driver, struct weft_err *err)
{
    struct weft_soft_memory *memory = driver->memory;
    for (size_t i = 0; i < driver->device_count; i++) {
        struct weft_soft_arena *arena = &memory->arenas[i];
        arena->live = driver->device_count == 1 ? memory->window.live
                                                : weft_soft_window_new_live(&memory->window);
        if (!arena->live)
            return weft_fail(err, WEFT_ENOMEM, "device %zu: no address space for its tables", i);
        arena->view = driver->view;
        arena->view.live = arena->live;
        driver->devices[i].view = &arena->view;
    }
    return 0;
}

void weft_soft_reach_close(struct weft_soft_memory *memory)
{
    for (size_t i = 0; i < WEFT_DEVICES_MAX; i++) {
        uint64_t *live = weft_steal(memory->arenas[i].live);
        if (live && live != memory->window.live)
            munmap(live, memory->window.live_bytes);
    }
}

static bool may_reach(const struct weft_soft_allocation *allocation, uint32_t ordinal)
{
    const struct weft_soft_device *owner = allocation->device;
    const struct weft_soft_arena *arena = &weft_soft.memory->arenas[ordinal];
    switch (allocation->kind) {
    case WEFT_SOFT_HOST:
    case WEFT_SOFT_REGISTERED:
    case WEFT_SOFT_MANAGED:
        return true;
    case WEFT_SOFT_POOLED:
        return allocation->pool->access[ordinal] != CU_MEM_ACCESS_FLAGS_PROT_NONE;
    case WEFT_SOFT_MAPPED:
        return allocation->access[ordinal] != CU_MEM_ACCESS_FLAGS_PROT_NONE;
    case WEFT_SOFT_IMPORTED:
        if (allocation->context && allocation->context->device->ordinal == ordinal)
            return true;
        break;
    case WEFT_SOFT_LINEAR:
    case WEFT_SOFT_OWN:
    case WEFT_SOFT_GRAPHED:
        break;
    }
    return owner->ordinal == ordinal || arena->peers[owner->ordinal] > 0;
}

void weft_soft_reach_set(const struct weft_soft_allocation *allocation, uint64_t address,
                         uint64_t bytes)
{
    struct weft_soft_window *window = &weft_soft.memory->window;
    weft_soft_window_set_live(window, address, bytes, true);
    for (uint32_t i = 0; weft_soft.device_count > 1 && i < weft_soft.device_count; i++)
        weft_soft_window_mark(window, weft_soft.memory->arenas[i].live, address, bytes,
                              may_reach(allocation, i));
}

void weft_soft_reach_clear(uint64_t address, uint64_t bytes)
{
    struct weft_soft_window *window = &weft_soft.memory->window;
    for (uint32_t i = 0; weft_soft.device_count > 1 && i < weft_soft.device_count; i++)
        weft_soft_window_mark(window, weft_soft.memory->arenas[i].live, address, bytes, false);
    weft_soft_window_set_live(window, address, bytes, false);
}

/* Says anew who may reach each allocation of a device or a pool; memory lock. */
static void refresh(const struct weft_soft_device *device, const struct weft_soft_pool *pool)
{
    struct weft_soft_node *root = weft_soft.memory->allocations;
    struct weft_soft_node *node = weft_soft_tree_ceiling(root, 0, 0);
    for (; node; node = weft_soft_tree_ceiling(root, node->key + 1, 0)) {
        struct weft_soft_allocation *allocation =
            WEFT_CONTAINER_OF(node, struct weft_soft_allocation, by_address);
        if (pool ? allocation->pool == pool : allocation->device == device)
            weft_soft_allocation_refresh(allocation);
    }
}

void weft_soft_reach_pool_changed(const struct weft_soft_pool *pool)
{
    if (weft_soft.device_count > 1)
        refresh(pool->device, pool);
}

/* -- peers */

static struct weft_soft_peer *find_peer(struct weft_soft_holdings *holdings, CUcontext handle)
{
    for (uint32_t i = 0; i < holdings->peer_count; i++) {
        if (holdings->peers[i].context == handle)
            return &holdings->peers[i];
    }
    return NULL;
}

/* Memory lock. The other device's memory may be reached as soon as one context wants that. */
static void count_peer(const struct weft_soft_device *device, uint32_t ordinal, int change)
{
    struct weft_soft_arena *arena = device->memory;
    bool before = arena->peers[ordinal] > 0;
    arena->peers[ordinal] += (uint32_t)change;
    if (before != (arena->peers[ordinal] > 0))
        refresh(&weft_soft.devices[ordinal], NULL);
}

static void remove_peer(struct weft_soft_context *context, struct weft_soft_peer *peer)
{
    struct weft_soft_holdings *holdings = context->memory;
    uint32_t ordinal = peer->ordinal;
    *peer = holdings->peers[--holdings->peer_count];
    count_peer(context->device, ordinal, -1);
}

CUresult weft_soft_memory_enable_peer(struct weft_soft_context *context,
                                      const struct weft_soft_context *other)
{
    struct weft_soft_holdings *holdings = context->memory;
    CUresult result = CUDA_SUCCESS;
    if (context->device == other->device)
        return CUDA_ERROR_INVALID_DEVICE;
    lock();
    if (find_peer(holdings, other->handle))
        result = CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
    else if (holdings->peer_count == WEFT_SOFT_PEERS_MAX)
        result = CUDA_ERROR_TOO_MANY_PEERS;
    if (result == CUDA_SUCCESS) {
        holdings->peers[holdings->peer_count++] =
            (struct weft_soft_peer){other->handle, other->device->ordinal};
        count_peer(context->device, other->device->ordinal, 1);
    }
    unlock();
    return result;
}

CUresult weft_soft_memory_disable_peer(struct weft_soft_context *context,
                                       const struct weft_soft_context *other)
{
    lock();
    struct weft_soft_peer *peer = find_peer(context->memory, other->handle);
    if (peer)
        remove_peer(context, peer);
    unlock();
    return peer ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}

void weft_soft_reach_end_context(struct weft_soft_context *context)
{
    struct weft_soft_holdings *holdings = context->memory;
    lock();
    while (holdings->peer_count > 0)
        remove_peer(context, &holdings->peers[0]);
    unlock();
}

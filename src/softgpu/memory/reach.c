/* Which kernels may reach which memory: that of their own device, of the host and managed memory
 * always, that of another context of another device where their context has it for a peer, what is
 * mapped or comes from a pool as its own access list says. Each device has live bits of its own,
 * and so has each context that has had peers; where there is only one device, its are the window's.
 */
#include <stdlib.h>

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

/* -- views */

/* Copies the bits of `like`, which are the window's or another view's; NULL starts with none. */
static bool view_open(struct weft_soft_memory *memory, struct weft_soft_view *view,
                      const struct weft_soft_view *like)
{
    const struct weft_soft_window *window = &memory->window;
    view->seen = weft_soft.view;
    view->live = weft_soft_window_copy_live(window, like ? like->live : NULL);
    if (view->live && like && like->writable)
        view->writable = weft_soft_window_copy_live(window, like->writable);
    if (!view->live || (like && like->writable && !view->writable)) {
        weft_soft_window_drop_live(window, weft_steal(view->live));
        return false;
    }
    view->seen.live = view->live;
    atomic_init(&view->seen.writable, view->writable);
    view->next = memory->views;
    memory->views = view;
    return true;
}

static void view_drop_bits(const struct weft_soft_memory *memory, struct weft_soft_view *view)
{
    uint64_t *live = weft_steal(view->live);
    if (live != memory->window.live)
        weft_soft_window_drop_live(&memory->window, live);
    weft_soft_window_drop_live(&memory->window, weft_steal(view->writable));
}

/* Memory lock. */
static void view_close(struct weft_soft_memory *memory, struct weft_soft_view *view)
{
    struct weft_soft_view **place = &memory->views;
    while (*place && *place != view)
        place = &(*place)->next;
    if (*place)
        *place = view->next;
    view_drop_bits(memory, view);
}

/* The only device's view has the window's own bits. */
static void open_only(struct weft_soft_driver *driver, struct weft_soft_view *view)
{
    view->seen = driver->view;
    view->live = driver->memory->window.live;
    driver->memory->views = view;
}

int weft_soft_reach_open(struct weft_soft_driver *driver, struct weft_err *err)
{
    for (size_t i = 0; i < driver->device_count; i++) {
        struct weft_soft_view *view = &driver->memory->arenas[i].view;
        view->ordinal = (uint32_t)i;
        if (driver->device_count == 1)
            open_only(driver, view);
        else if (!view_open(driver->memory, view, NULL))
            return weft_fail(err, WEFT_ENOMEM, "device %zu: no address space for its tables", i);
        driver->devices[i].view = &view->seen;
    }
    return 0;
}

void weft_soft_reach_close(struct weft_soft_memory *memory)
{
    while (memory->views) {
        struct weft_soft_view *view = memory->views;
        memory->views = view->next;
        view_drop_bits(memory, view);
    }
}

CUresult weft_soft_reach_prepare_read_only(uint32_t ordinal)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    for (struct weft_soft_view *view = memory->views; view; view = view->next) {
        if (view->ordinal != ordinal || view->writable)
            continue;
        view->writable = weft_soft_window_copy_live(&memory->window, view->live);
        if (!view->writable)
            return CUDA_ERROR_OUT_OF_MEMORY;
        atomic_store_explicit(&view->seen.writable, view->writable, memory_order_release);
    }
    return CUDA_SUCCESS;
}

/* -- what a view shows */

static const struct weft_soft_peer *find_peer(const struct weft_soft_holdings *holdings,
                                              CUcontext handle)
{
    for (uint32_t i = 0; i < holdings->peer_count; i++) {
        if (holdings->peers[i].context == handle)
            return &holdings->peers[i];
    }
    return NULL;
}

/* What no context has to itself (a graph's memory) is for who has any peer on its device. */
static bool is_of_a_peer(const struct weft_soft_allocation *allocation,
                         const struct weft_soft_holdings *holdings)
{
    if (allocation->context_handle && allocation->kind != WEFT_SOFT_GRAPHED)
        return find_peer(holdings, allocation->context_handle) != NULL;
    for (uint32_t i = 0; i < holdings->peer_count; i++) {
        if (holdings->peers[i].ordinal == allocation->device->ordinal)
            return true;
    }
    return false;
}

static CUmemAccess_flags right_of(const struct weft_soft_allocation *allocation,
                                  const struct weft_soft_view *view)
{
    bool may = allocation->device && allocation->device->ordinal == view->ordinal;
    switch (allocation->kind) {
    case WEFT_SOFT_HOST:
    case WEFT_SOFT_REGISTERED:
    case WEFT_SOFT_MANAGED:
        may = true;
        break;
    case WEFT_SOFT_POOLED:
        return allocation->pool->access[view->ordinal];
    case WEFT_SOFT_MAPPED:
        return allocation->access[view->ordinal];
    case WEFT_SOFT_IMPORTED:
        may |= allocation->context && allocation->context->device->ordinal == view->ordinal;
        break;
    case WEFT_SOFT_LINEAR:
    case WEFT_SOFT_OWN:
    case WEFT_SOFT_GRAPHED:
        break;
    }
    may = may || (view->holdings && is_of_a_peer(allocation, view->holdings));
    return may ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
}

static void show(const struct weft_soft_view *view, uint64_t address, uint64_t bytes,
                 CUmemAccess_flags right)
{
    const struct weft_soft_window *window = &weft_soft.memory->window;
    if (view->live != window->live)
        weft_soft_window_mark(window, view->live, address, bytes,
                              right != CU_MEM_ACCESS_FLAGS_PROT_NONE);
    if (view->writable)
        weft_soft_window_mark(window, view->writable, address, bytes,
                              right == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
}

void weft_soft_reach_set(const struct weft_soft_allocation *allocation, uint64_t address,
                         uint64_t bytes)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    weft_soft_window_set_live(&memory->window, address, bytes, true);
    for (const struct weft_soft_view *view = memory->views; view; view = view->next)
        show(view, address, bytes, right_of(allocation, view));
}

void weft_soft_reach_clear(uint64_t address, uint64_t bytes)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    for (const struct weft_soft_view *view = memory->views; view; view = view->next)
        show(view, address, bytes, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    weft_soft_window_set_live(&memory->window, address, bytes, false);
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

/* Memory lock. Its memory is shown, or no more. */
static void remove_peer(struct weft_soft_holdings *holdings, CUcontext handle)
{
    for (uint32_t i = 0; i < holdings->peer_count; i++) {
        if (holdings->peers[i].context != handle)
            continue;
        uint32_t ordinal = holdings->peers[i].ordinal;
        holdings->peers[i] = holdings->peers[--holdings->peer_count];
        refresh(&weft_soft.devices[ordinal], NULL);
        return;
    }
}

/* A view of its own, which shows what its device's does. Memory lock. OUT_OF_MEMORY. */
static CUresult open_own(struct weft_soft_context *context)
{
    struct weft_soft_holdings *holdings = context->memory;
    const struct weft_soft_arena *arena = context->device->memory;
    if (holdings->view)
        return CUDA_SUCCESS;
    struct weft_soft_view *view = calloc(1, sizeof(*view));
    if (!view)
        return CUDA_ERROR_OUT_OF_MEMORY;
    view->ordinal = context->device->ordinal;
    view->holdings = holdings;
    if (!view_open(weft_soft.memory, view, &arena->view)) {
        free(view);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    holdings->view = view;
    atomic_store(&context->view, &view->seen);
    return CUDA_SUCCESS;
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
    if (result == CUDA_SUCCESS)
        result = open_own(context);
    if (result == CUDA_SUCCESS) {
        holdings->peers[holdings->peer_count++] =
            (struct weft_soft_peer){other->handle, other->device->ordinal};
        refresh(other->device, NULL);
    }
    unlock();
    return result;
}

CUresult weft_soft_memory_disable_peer(struct weft_soft_context *context,
                                       const struct weft_soft_context *other)
{
    lock();
    bool had = find_peer(context->memory, other->handle);
    if (had)
        remove_peer(context->memory, other->handle);
    unlock();
    return had ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}

void weft_soft_reach_end_context(struct weft_soft_context *context)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    struct weft_soft_holdings *holdings = context->memory;
    lock();
    if (holdings->view)
        view_close(memory, holdings->view);
    free(weft_steal(holdings->view));
    holdings->peer_count = 0;
    for (struct weft_soft_view *view = memory->views; view; view = view->next) {
        if (view->holdings)
            remove_peer(view->holdings, context->handle);
    }
    unlock();
}

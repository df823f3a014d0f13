/* The records of what is allocated, by address, and how each kind ends. */
#include <stdlib.h>

#include "softgpu/memory/ipc.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "softgpu/memory/shadow.h"
#include "softgpu/memory/vmm.h"
#include "util/util.h"

static struct weft_soft_allocation *of_node(struct weft_soft_node *node)
{
    return node ? WEFT_CONTAINER_OF(node, struct weft_soft_allocation, by_address) : NULL;
}

static void link_into(struct weft_soft_holdings *holdings, struct weft_soft_allocation *allocation)
{
    allocation->previous = NULL;
    allocation->next = holdings->first;
    if (holdings->first)
        holdings->first->previous = allocation;
    holdings->first = allocation;
}

/* How much of the window lives and dies with the record. A pool's piece is alive as a whole: it may
 * be handed out again in its stream while a kernel that ran before still uses all of it. What is
 * mapped lives by cuMemSetAccess. */
static uint64_t live_bytes(const struct weft_soft_allocation *allocation)
{
    switch (allocation->kind) {
    case WEFT_SOFT_LINEAR:
    case WEFT_SOFT_MANAGED:
    case WEFT_SOFT_HOST:
    case WEFT_SOFT_OWN:
    case WEFT_SOFT_IMPORTED:
        return allocation->bytes;
    case WEFT_SOFT_POOLED: /* the checker keeps pieces apart until each has its turn */
        return weft_soft_shadow_is_on() && !allocation->used_again ? allocation->bytes
                                                                   : allocation->extent;
    case WEFT_SOFT_GRAPHED:
        return allocation->bytes;
    case WEFT_SOFT_REGISTERED:
    case WEFT_SOFT_MAPPED:
        break;
    }
    return 0;
}

static void set_live(struct weft_soft_allocation *allocation, bool live)
{
    uint64_t address = weft_soft_allocation_address(allocation);
    if (live_bytes(allocation) == 0)
        return;
    if (live)
        weft_soft_reach_set(allocation, address, live_bytes(allocation));
    else
        weft_soft_reach_clear(address, live_bytes(allocation));
}

void weft_soft_allocation_refresh(struct weft_soft_allocation *allocation)
{
    set_live(allocation, true);
}

void weft_soft_allocation_publish(struct weft_soft_allocation *allocation,
                                  struct weft_soft_context *context)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    allocation->context = context;
    allocation->context_handle = context ? context->handle : NULL;
    pthread_mutex_lock(&memory->lock);
    allocation->id = ++memory->last_id;
    weft_soft_tree_insert(&memory->allocations, &allocation->by_address);
    if (context && context->memory)
        link_into(context->memory, allocation);
    set_live(allocation, true);
    weft_soft_shadow_begin(allocation);
    pthread_mutex_unlock(&memory->lock);
}

struct weft_soft_allocation *weft_soft_allocation_find(uint64_t address)
{
    struct weft_soft_allocation *allocation =
        of_node(weft_soft_tree_floor(weft_soft.memory->allocations, address, UINT64_MAX));
    if (!allocation || address - weft_soft_allocation_address(allocation) >= allocation->bytes)
        return NULL;
    return allocation;
}

void weft_soft_allocation_unlink(struct weft_soft_allocation *allocation)
{
    weft_soft_tree_remove(&weft_soft.memory->allocations, &allocation->by_address);
    if (allocation->next)
        allocation->next->previous = allocation->previous;
    if (allocation->previous)
        allocation->previous->next = allocation->next;
    else if (allocation->context && allocation->context->memory)
        ((struct weft_soft_holdings *)allocation->context->memory)->first = allocation->next;
    allocation->previous = allocation->next = NULL;
}

struct weft_soft_allocation *weft_soft_allocation_claim(uint64_t address, uint32_t kinds)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    struct weft_soft_allocation *allocation =
        of_node(weft_soft_tree_floor(memory->allocations, address, UINT64_MAX));
    if (allocation && weft_soft_allocation_address(allocation) == address &&
        (allocation->kind & kinds))
        weft_soft_allocation_unlink(allocation);
    else
        allocation = NULL;
    pthread_mutex_unlock(&memory->lock);
    return allocation;
}

static void end_life(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    set_live(allocation, false);
    weft_soft_shadow_end(allocation);
    pthread_mutex_unlock(&memory->lock);
}

static void release_registered(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    weft_soft_foreign_remove(&memory->foreign, weft_soft_allocation_address(allocation));
    pthread_mutex_unlock(&memory->lock);
}

/* What was taken of the arena. */
static void give_back(const struct weft_soft_allocation *allocation)
{
    uint64_t address = weft_soft_allocation_address(allocation);
    if (allocation->own)
        weft_soft_arena_give_own(allocation->device, allocation->charged, allocation->extent,
                                 address);
    else
        weft_soft_arena_give(allocation->device, allocation->charged, allocation->extent, address);
}

void weft_soft_allocation_release(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    uint64_t address = weft_soft_allocation_address(allocation);
    weft_soft_ipc_revoke(allocation);
    end_life(allocation);
    switch (allocation->kind) {
    case WEFT_SOFT_MANAGED:
        weft_soft_window_hide(&memory->window, address, allocation->extent);
        give_back(allocation);
        break;
    case WEFT_SOFT_LINEAR:
    case WEFT_SOFT_OWN:
        give_back(allocation);
        break;
    case WEFT_SOFT_POOLED:
        weft_soft_pool_give(allocation->pool, address, allocation->extent);
        weft_soft_pool_put(allocation->pool);
        break;
    case WEFT_SOFT_GRAPHED:
        weft_soft_graph_piece_put(allocation->piece);
        break;
    case WEFT_SOFT_HOST:
        weft_soft_host_release(allocation);
        break;
    case WEFT_SOFT_REGISTERED:
        release_registered(allocation);
        break;
    case WEFT_SOFT_MAPPED:
        weft_soft_vmm_unmap(allocation);
        break;
    case WEFT_SOFT_IMPORTED:
        weft_soft_ipc_unmap(allocation);
        break;
    }
    free(allocation);
}

CUresult weft_soft_allocation_free(uint64_t address, uint32_t kinds)
{
    struct weft_soft_allocation *allocation = weft_soft_allocation_claim(address, kinds);
    if (!allocation)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_context *context = NULL;
    CUresult result = CUDA_SUCCESS;
    if (weft_soft_context_get(allocation->context_handle, &context) == CUDA_SUCCESS) {
        result = weft_soft_context_wait(context);
        weft_soft_context_put(context);
    }
    weft_soft_allocation_release(allocation);
    return result;
}

/* Operations and fences, as memory: where they come from and who gives them back. */
#include "softgpu/engine/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/shared_event.h"
#include "softgpu/handle.h"

/* Launches come at a high rate, and an operation is too large for the allocator's fast path. */
static struct {
    pthread_mutex_t lock;
    struct weft_soft_op *first; /* lock; linked by `next` */
    uint32_t count;             /* lock */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct weft_soft_op *take_pooled(void)
{
    pthread_mutex_lock(&pool.lock);
    struct weft_soft_op *op = pool.first;
    if (op) {
        pool.first = op->next;
        pool.count--;
    }
    pthread_mutex_unlock(&pool.lock);
    return op;
}

struct weft_soft_op *weft_soft_op_create(enum weft_soft_op_kind kind)
{
    struct weft_soft_op *op = take_pooled();
    if (!op)
        op = aligned_alloc(_Alignof(struct weft_soft_op), sizeof(*op));
    if (!op)
        return NULL;
    /* All but the parameters' bytes, which a launch writes itself. */
    memset(op, 0, offsetof(struct weft_soft_op, grid.params));
    op->kind = kind;
    return op;
}

static void release_parts(struct weft_soft_op *op)
{
    if (op->kind == WEFT_SOFT_OP_GRID)
        weft_soft_grid_release(&op->grid);
    if (op->task.release)
        op->task.release(op->task.argument);
    if (op->fence)
        weft_soft_fence_put(op->fence);
    if (op->stream)
        weft_soft_handle_put(op->stream->handle);
}

void weft_soft_op_destroy(struct weft_soft_op *op)
{
    release_parts(op);
    pthread_mutex_lock(&pool.lock);
    bool keep = pool.count < WEFT_SOFT_POOLED_OPS_MAX;
    if (keep) {
        op->next = pool.first;
        pool.first = op;
        pool.count++;
    }
    pthread_mutex_unlock(&pool.lock);
    if (!keep)
        free(op);
}

struct weft_soft_fence *weft_soft_fence_create(void)
{
    struct weft_soft_fence *fence = calloc(1, sizeof(*fence));
    if (!fence)
        return NULL;
    atomic_init(&fence->references, 1);
    pthread_cond_init(&fence->reached, NULL);
    return fence;
}

void weft_soft_fence_get(struct weft_soft_fence *fence)
{
    atomic_fetch_add(&fence->references, 1);
}

void weft_soft_fence_put(struct weft_soft_fence *fence)
{
    if (!fence || atomic_fetch_sub(&fence->references, 1) != 1)
        return;
    weft_soft_shared_event_put(fence->shared);
    pthread_cond_destroy(&fence->reached);
    free(fence);
}

void weft_soft_fence_wait(struct weft_soft_fence *fence)
{
    weft_soft_scheduler_lock();
    fence->sleepers++;
    while (!atomic_load(&fence->done))
        weft_soft_scheduler_sleep(&fence->reached, 0);
    fence->sleepers--;
    weft_soft_scheduler_unlock();
}

#include "softgpu/engine/schedule.h"

#include <errno.h>
#include <time.h>

#include "softgpu/engine/engine.h"
#include "softgpu/engine/injected.h"
#include "softgpu/engine/shared_event.h"
#include "softgpu/handle.h"

struct weft_soft_scheduler weft_soft_scheduler = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .ready = {&weft_soft_scheduler.ready, &weft_soft_scheduler.ready},
    .host_work = PTHREAD_COND_INITIALIZER,
};

static void release_completed(struct weft_soft_op *first);

void weft_soft_scheduler_lock(void)
{
    pthread_mutex_lock(&weft_soft_scheduler.lock);
}

void weft_soft_scheduler_unlock(void)
{
    weft_soft_scheduler_settle();
    struct weft_soft_op *completed = weft_steal(weft_soft_scheduler.completed);
    bool serve = weft_soft_host_needs_thread();
    pthread_mutex_unlock(&weft_soft_scheduler.lock);
    if (serve)
        weft_soft_host_serve();
    if (completed)
        release_completed(completed);
}

bool weft_soft_scheduler_sleep(pthread_cond_t *condition, uint64_t timeout_ns)
{
    weft_soft_scheduler_settle();
    if (weft_soft_scheduler.completed) {
        /* What is to be released may not lie here while we sleep. */
        weft_soft_scheduler_unlock();
        weft_soft_scheduler_lock();
        return true;
    }
    if (timeout_ns == 0)
        return pthread_cond_wait(condition, &weft_soft_scheduler.lock) == 0;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + timeout_ns;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    return pthread_cond_timedwait(condition, &weft_soft_scheduler.lock, &until) != ETIMEDOUT;
}

uint64_t weft_soft_scheduler_new_id(void)
{
    pthread_mutex_lock(&weft_soft_scheduler.lock);
    uint64_t id = ++weft_soft_scheduler.next_id;
    pthread_mutex_unlock(&weft_soft_scheduler.lock);
    return id;
}

static void mark_unsettled(struct weft_soft_stream *stream)
{
    if (stream->unsettled)
        return;
    stream->unsettled = true;
    stream->next_unsettled = weft_soft_scheduler.unsettled;
    weft_soft_scheduler.unsettled = stream;
}

static struct weft_soft_stream *stream_of_busy(struct weft_soft_link *link)
{
    return WEFT_CONTAINER_OF(link, struct weft_soft_stream, busy);
}

static void wait_for_room(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    engine->room_waiters++;
    while (engine->pending_count >= WEFT_SOFT_PENDING_OPS_MAX &&
           !weft_soft_context_is_dropping(context))
        weft_soft_scheduler_sleep(&engine->room, 0);
    engine->room_waiters--;
}

/* Notes that the stream waits for a place in another one; the one known longest makes room. */
static void follow(struct weft_soft_stream *stream, const struct weft_soft_point *point)
{
    struct weft_soft_point *place = &stream->followed[0];
    for (uint32_t i = 0; i < WEFT_SOFT_FOLLOWED_MAX; i++) {
        if (stream->followed[i].stream == point->stream) {
            place = &stream->followed[i];
            break;
        }
        if (stream->followed[i].order < place->order)
            place = &stream->followed[i];
    }
    if (place->stream != point->stream || place->order < point->order)
        *place = *point;
}

struct weft_soft_point weft_soft_stream_end(struct weft_soft_stream *stream)
{
    weft_soft_scheduler_lock();
    uint64_t order = stream->last ? stream->last->order : atomic_load(&stream->completed_order);
    weft_soft_scheduler_unlock();
    return (struct weft_soft_point){stream->id, order};
}

uint32_t weft_soft_stream_followed(struct weft_soft_stream *stream,
                                   struct weft_soft_point points[WEFT_SOFT_FOLLOWED_MAX])
{
    uint32_t count = 0;
    weft_soft_scheduler_lock();
    for (uint32_t i = 0; i < WEFT_SOFT_FOLLOWED_MAX; i++) {
        if (stream->followed[i].stream)
            points[count++] = stream->followed[i];
    }
    weft_soft_scheduler_unlock();
    return count;
}

CUresult weft_soft_op_submit(struct weft_soft_stream *stream, struct weft_soft_op *op)
{
    struct weft_soft_context *context = stream->context;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    weft_soft_scheduler_lock();
    if (engine->pending_count >= WEFT_SOFT_PENDING_OPS_MAX)
        wait_for_room(context);
    CUresult status = weft_soft_context_status(context);
    if (status) {
        weft_soft_scheduler_unlock();
        weft_soft_op_destroy(op);
        return status;
    }
    if (engine->pending_count == 0)
        weft_soft_injected_begin_work(context);
    weft_soft_handle_retain(stream->handle);
    op->stream = stream;
    op->order = ++engine->order;
    op->grid.launch.grid_id = ++weft_soft_scheduler.next_id;
    engine->pending_count++;
    if (op->kind == WEFT_SOFT_OP_RECORD)
        op->fence->point = (struct weft_soft_point){stream->id, op->order};
    if (op->kind == WEFT_SOFT_OP_WAIT && op->fence->point.stream)
        follow(stream, &op->fence->point);
    if (stream->last) {
        stream->last->next = op;
    } else {
        stream->first = op;
        weft_soft_list_append(&engine->busy, &stream->busy);
        mark_unsettled(stream);
    }
    stream->last = op;
    weft_soft_scheduler_unlock();
    return CUDA_SUCCESS;
}

static bool stands_before(const struct weft_soft_op *first, const struct weft_soft_op *op)
{
    return first && first->order < op->order;
}

static bool waits_for_other_streams(const struct weft_soft_stream *stream,
                                    const struct weft_soft_op *op)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(stream->context);
    bool whole = stream == engine->whole_records;
    if (stream == engine->whole_waits)
        return false;
    if (stands_before(engine->whole_waits->first, op))
        return true;
    if (!stream->legacy && !whole)
        return stream->blocking && stands_before(engine->legacy->first, op);
    for (struct weft_soft_link *link = engine->busy.next; link != &engine->busy;
         link = link->next) {
        const struct weft_soft_stream *other = stream_of_busy(link);
        if ((whole || other->blocking) && other->first->order < op->order)
            return true;
    }
    return false;
}

void weft_soft_fence_reach(struct weft_soft_fence *fence)
{
    fence->time_ns = weft_clock_ns();
    atomic_store(&fence->done, true);
    if (fence->shared)
        weft_soft_shared_event_reach(fence->shared, fence->number);
    for (struct weft_soft_op *op = fence->waiting; op; op = op->next_other)
        mark_unsettled(op->stream);
    fence->waiting = NULL;
    if (fence->sleepers)
        pthread_cond_broadcast(&fence->reached);
}

/* The operation will never run: undoes what it has begun to wait for. */
static void stop_waiting(struct weft_soft_op *op)
{
    struct weft_soft_op **place = &op->fence->waiting;
    while (*place && *place != op)
        place = &(*place)->next_other;
    if (*place)
        *place = op->next_other;
}

/* True where the operation is complete already. */
static bool start_op(struct weft_soft_op *op)
{
    op->started = true;
    switch (op->kind) {
    case WEFT_SOFT_OP_TASK:
        weft_soft_host_push(op);
        return false;
    case WEFT_SOFT_OP_GRID:
        weft_soft_grid_start(&op->grid);
        return false;
    case WEFT_SOFT_OP_RECORD:
        weft_soft_fence_reach(op->fence);
        return true;
    case WEFT_SOFT_OP_WAIT:
        if (atomic_load(&op->fence->done))
            return true;
        op->next_other = op->fence->waiting;
        op->fence->waiting = op;
        return false;
    case WEFT_SOFT_OP_POLL:
        return weft_soft_poll_begin(op);
    }
    return true;
}

/* True where the operation is complete: its context drops it, or its fence was reached. */
static bool drop_op(struct weft_soft_op *op)
{
    if (op->kind == WEFT_SOFT_OP_RECORD)
        weft_soft_fence_reach(op->fence);
    if (op->kind == WEFT_SOFT_OP_WAIT && op->started)
        stop_waiting(op);
    if (op->kind == WEFT_SOFT_OP_POLL && op->started)
        weft_soft_poll_stop(op);
    bool elsewhere = op->kind == WEFT_SOFT_OP_TASK || op->kind == WEFT_SOFT_OP_GRID;
    bool runs = (op->started && elsewhere) || op->always_run;
    if (runs && !op->started)
        start_op(op);
    return !runs;
}

static void settle_stream(struct weft_soft_stream *stream)
{
    for (;;) {
        struct weft_soft_op *op = stream->first;
        if (!op)
            return;
        if (weft_soft_context_is_dropping(stream->context)) {
            if (!drop_op(op))
                return;
        } else if (op->started) {
            if (op->kind != WEFT_SOFT_OP_WAIT || !atomic_load(&op->fence->done))
                return;
        } else if (waits_for_other_streams(stream, op) || !start_op(op)) {
            return;
        }
        weft_soft_op_complete(op);
    }
}

void weft_soft_scheduler_settle(void)
{
    while (weft_soft_scheduler.unsettled) {
        struct weft_soft_stream *stream = weft_soft_scheduler.unsettled;
        weft_soft_scheduler.unsettled = stream->next_unsettled;
        stream->unsettled = false;
        settle_stream(stream);
    }
}

/* Those that the rules of the legacy stream and of the whole context held back behind `stream` may
 * start. */
static void unsettle_followers(struct weft_soft_stream *stream)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(stream->context);
    if (stream->blocking && engine->legacy->first)
        mark_unsettled(engine->legacy);
    if (engine->whole_records->first)
        mark_unsettled(engine->whole_records);
    bool whole = stream == engine->whole_waits;
    if (!stream->legacy && !whole)
        return;
    for (struct weft_soft_link *link = engine->busy.next; link != &engine->busy;
         link = link->next) {
        if (whole || stream_of_busy(link)->blocking)
            mark_unsettled(stream_of_busy(link));
    }
}

void weft_soft_op_complete(struct weft_soft_op *op)
{
    struct weft_soft_stream *stream = op->stream;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(stream->context);
    stream->first = op->next;
    atomic_store_explicit(&stream->completed_order, op->order, memory_order_relaxed);
    if (stream->first) {
        mark_unsettled(stream);
    } else {
        stream->last = NULL;
        weft_soft_list_remove(&stream->busy);
    }
    unsettle_followers(stream);
    engine->pending_count--;
    if (engine->room_waiters)
        pthread_cond_broadcast(&engine->room);
    if (!stream->first || stream->first->order > stream->wake_order) {
        if (stream->wake_order != UINT64_MAX)
            pthread_cond_broadcast(&stream->progressed);
        stream->wake_order = UINT64_MAX;
    }
    if (weft_soft_list_is_empty(&engine->busy))
        pthread_cond_broadcast(&engine->idle);
    if (weft_soft_context_is_dropping(stream->context)) {
        op->is_dropped = true;
        engine->dropped_count++;
    }
    op->next = weft_soft_scheduler.completed;
    weft_soft_scheduler.completed = op;
}

/* Who destroys the context waits until nothing of its work holds memory any more. */
static void release_dropped(struct weft_soft_op *op)
{
    struct weft_soft_context *context = op->stream->context;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    weft_soft_context_retain(context);
    weft_soft_op_destroy(op);
    pthread_mutex_lock(&weft_soft_scheduler.lock);
    if (--engine->dropped_count == 0)
        pthread_cond_broadcast(&engine->idle);
    pthread_mutex_unlock(&weft_soft_scheduler.lock);
    weft_soft_context_put(context);
}

static void release_completed(struct weft_soft_op *first)
{
    while (first) {
        struct weft_soft_op *op = first;
        first = op->next;
        if (op->is_dropped)
            release_dropped(op);
        else
            weft_soft_op_destroy(op);
    }
}

void weft_soft_context_drop_work(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    for (struct weft_soft_link *link = engine->busy.next, *next; link != &engine->busy;
         link = next) {
        next = link->next;
        struct weft_soft_stream *stream = stream_of_busy(link);
        mark_unsettled(stream);
        if (stream->first->started && stream->first->kind == WEFT_SOFT_OP_GRID)
            weft_soft_grid_abort(&stream->first->grid);
    }
}

void weft_soft_context_fail(struct weft_soft_context *context, CUresult error)
{
    int none = 0;
    CUresult injected = weft_soft_injected_error(context);
    if (injected)
        error = injected; /* who asked before may have been told so already */
    if (atomic_compare_exchange_strong(&context->error, &none, (int)error))
        weft_soft_context_drop_work(context);
}

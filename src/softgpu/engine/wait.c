/* Waiting for streams, and asking whether there is anything to wait for. */
#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

#define SPIN_ROUNDS 1000

/* Streams that count: this one, with the legacy stream also all that block on it; NULL: all. */
static bool counts(const struct weft_soft_stream *asked, const struct weft_soft_stream *stream)
{
    return !asked || stream == asked || (asked->legacy && stream->blocking);
}

/* Lock held: a stream that counts and has unfinished work numbered `order` or less, or NULL. */
static struct weft_soft_stream *find_unfinished(struct weft_soft_context *context,
                                                const struct weft_soft_stream *asked,
                                                uint64_t order)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    for (struct weft_soft_link *link = engine->busy.next; link != &engine->busy;
         link = link->next) {
        struct weft_soft_stream *stream = WEFT_CONTAINER_OF(link, struct weft_soft_stream, busy);
        if (counts(asked, stream) && stream->first->order <= order)
            return stream;
    }
    return NULL;
}

static void sleep_for_progress(struct weft_soft_stream *stream, uint64_t order)
{
    if (order < stream->wake_order)
        stream->wake_order = order;
    weft_soft_handle_retain(stream->handle);
    weft_soft_scheduler_sleep(&stream->progressed, 0);
    weft_soft_scheduler_unlock();
    weft_soft_handle_put(stream->handle);
    weft_soft_scheduler_lock();
}

/* Most kernels that are waited for end within microseconds, less than a sleep and a wake cost. */
static void spin_for_progress(struct weft_soft_stream *stream, uint64_t order)
{
    weft_soft_handle_retain(stream->handle);
    weft_soft_scheduler_unlock();
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        if (atomic_load_explicit(&stream->completed_order, memory_order_relaxed) >= order)
            break;
        __builtin_ia32_pause();
    }
    weft_soft_handle_put(stream->handle);
    weft_soft_scheduler_lock();
}

static CUresult wait_until_done(struct weft_soft_context *context,
                                const struct weft_soft_stream *asked)
{
    weft_soft_scheduler_lock();
    uint64_t order = weft_soft_engine_of(context)->order;
    struct weft_soft_stream *stream = find_unfinished(context, asked, order);
    if (stream && weft_soft_scheduler.worker_count > 1)
        spin_for_progress(stream, stream->last->order);
    while ((stream = find_unfinished(context, asked, order)))
        sleep_for_progress(stream, order);
    weft_soft_scheduler_unlock();
    return weft_soft_context_status(context);
}

CUresult weft_soft_stream_wait(struct weft_soft_stream *stream)
{
    return wait_until_done(stream->context, stream);
}

CUresult weft_soft_context_wait(struct weft_soft_context *context)
{
    return wait_until_done(context, NULL);
}

CUresult weft_soft_stream_query(struct weft_soft_stream *stream)
{
    struct weft_soft_context *context = stream->context;
    weft_soft_scheduler_lock();
    bool busy = find_unfinished(context, stream, UINT64_MAX);
    weft_soft_scheduler_unlock();
    CUresult status = weft_soft_context_status(context);
    return status || !busy ? status : CUDA_ERROR_NOT_READY;
}

bool weft_soft_stream_idle(struct weft_soft_stream *stream)
{
    struct weft_soft_context *context = stream->context;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    weft_soft_scheduler_lock();
    bool busy = find_unfinished(context, stream, UINT64_MAX) || engine->whole_waits->first ||
                (stream->blocking && engine->legacy->first);
    weft_soft_scheduler_unlock();
    return !busy;
}

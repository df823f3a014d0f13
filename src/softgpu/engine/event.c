/* Events, their calls with them. An event stands for the fence of its last record, so recording it
 * again does not disturb who waits for the record before. */
#include <stdlib.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"
#include "softgpu/engine/shared_event.h"

#define EVENT_FLAGS (CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)

struct event {
    struct weft_soft_context *context; /* referenced */
    uint64_t handle;
    unsigned int flags;
    struct weft_soft_child child;
    struct weft_soft_shared_event *shared; /* referenced; of an INTERPROCESS event, else NULL */
    pthread_mutex_t lock;
    struct weft_soft_fence *fence; /* lock; referenced; NULL: never recorded */
    /* lock, and the graph lock before it for what it points to; owned; NULL: the last record was
     * not captured */
    struct weft_soft_capture_point *_Atomic mark;
};

static void release_event(void *object)
{
    struct event *event = object;
    weft_soft_fence_put(event->fence);
    weft_soft_capture_mark_destroy(event->mark);
    weft_soft_shared_event_put(event->shared);
    pthread_mutex_destroy(&event->lock);
    weft_soft_context_put(event->context);
    free(event);
}

/* `shared` is taken over, also on failure. */
static CUresult create_in(struct weft_soft_context *context, unsigned int flags,
                          struct weft_soft_shared_event *shared, CUevent *out)
{
    struct event *event = calloc(1, sizeof(*event));
    if (!event) {
        weft_soft_shared_event_put(shared);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    event->context = context;
    event->flags = flags;
    event->shared = shared;
    pthread_mutex_init(&event->lock, NULL);
    weft_soft_context_retain(context);
    event->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_EVENT, event, release_event);
    if (!event->handle) {
        release_event(event);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    CUresult result =
        weft_soft_child_adopt(context, &event->child, WEFT_SOFT_HANDLE_EVENT, event->handle);
    if (result) {
        weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, event->handle);
        return result;
    }
    *out = (CUevent)(uintptr_t)event->handle;
    return CUDA_SUCCESS;
}

static CUresult create(CUevent *out, unsigned int flags)
{
    struct weft_soft_context *context;
    struct weft_soft_shared_event *shared = NULL;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    bool interprocess = flags & CU_EVENT_INTERPROCESS;
    if (!out || (flags & ~(unsigned int)EVENT_FLAGS) ||
        (interprocess && !(flags & CU_EVENT_DISABLE_TIMING)))
        return CUDA_ERROR_INVALID_VALUE;
    if (interprocess)
        result = weft_soft_shared_event_create(&shared);
    return result ? result : create_in(context, flags, shared, out);
}

/* Under a new reference. An event says nothing of a context that failed but its error. */
static CUresult enter(CUevent handle, struct event **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    struct event *event = weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, (uint64_t)(uintptr_t)handle);
    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    result = weft_soft_context_status(event->context);
    if (result)
        weft_soft_handle_put(event->handle);
    else
        *out = event;
    return result;
}

static void leave(struct event *event)
{
    weft_soft_handle_put(event->handle);
}

static CUresult destroy(CUevent handle)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    uint64_t number = (uint64_t)(uintptr_t)handle;
    struct event *event = weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, number);
    if (!event)
        return CUDA_ERROR_INVALID_HANDLE;
    weft_soft_child_leave(event->context, &event->child);
    bool closed = weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, number);
    leave(event);
    return closed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static bool is_marked(struct event *event)
{
    return __builtin_expect(atomic_load_explicit(&event->mark, memory_order_relaxed) != NULL, 0);
}

/* An event that was recorded in a capture has nothing to say of work. */
static CUresult check_answers(struct event *event)
{
    if (!is_marked(event))
        return CUDA_SUCCESS;
    weft_soft_graph_lock();
    pthread_mutex_lock(&event->lock);
    CUresult result = weft_soft_capture_ask(event->mark);
    pthread_mutex_unlock(&event->lock);
    weft_soft_graph_unlock();
    return result;
}

static CUresult enter_waitable(CUevent handle, struct event **out)
{
    CUresult result = enter(handle, out);
    if (result)
        return result;
    result = check_answers(*out);
    if (result == CUDA_SUCCESS)
        result = weft_soft_capture_permit();
    if (result)
        leave(*out);
    return result;
}

/* What the event stands for now, under a new reference; NULL where it was never recorded. */
static struct weft_soft_fence *fence_of(struct event *event)
{
    pthread_mutex_lock(&event->lock);
    struct weft_soft_fence *fence = event->fence;
    if (fence)
        weft_soft_fence_get(fence);
    pthread_mutex_unlock(&event->lock);
    return fence;
}

static CUresult record_in_stream(struct event *event, struct weft_soft_stream *stream)
{
    if (stream->context != event->context)
        return CUDA_ERROR_INVALID_HANDLE;
    struct weft_soft_fence *fence = weft_soft_fence_create();
    struct weft_soft_op *op = fence ? weft_soft_op_create(WEFT_SOFT_OP_RECORD) : NULL;
    if (!op) {
        weft_soft_fence_put(fence);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    weft_soft_fence_get(fence);
    op->fence = fence;
    if (event->shared) {
        fence->shared = weft_soft_shared_event_get(event->shared);
        fence->number = weft_soft_shared_event_announce(event->shared);
    }
    /* Under the event's lock, so that of two records the later in the streams is the one kept. */
    pthread_mutex_lock(&event->lock);
    CUresult result = weft_soft_op_submit(stream, op);
    struct weft_soft_fence *before = fence;
    struct weft_soft_capture_point *mark = NULL;
    if (result == CUDA_SUCCESS) {
        before = event->fence;
        event->fence = fence;
        mark = atomic_exchange(&event->mark, NULL);
    } else if (event->shared) {
        weft_soft_shared_event_reach(event->shared, fence->number);
    }
    pthread_mutex_unlock(&event->lock);
    weft_soft_fence_put(before);
    weft_soft_capture_mark_destroy(mark);
    return result;
}

CUresult weft_soft_event_record(CUevent handle, struct weft_soft_stream *stream)
{
    struct event *event;
    CUresult result = enter(handle, &event);
    if (result)
        return result;
    result = record_in_stream(event, stream);
    leave(event);
    return result;
}

void weft_soft_event_context(CUevent handle, CUcontext *out)
{
    struct event *event = weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, (uint64_t)(uintptr_t)handle);
    if (!event)
        return;
    *out = event->context->handle;
    leave(event);
}

CUresult weft_soft_event_check(CUevent handle)
{
    struct event *event;
    CUresult result = enter(handle, &event);
    if (result == CUDA_SUCCESS)
        leave(event);
    return result;
}

/* An external record is a node; any other marks where the capture stands. */
static CUresult capture_record(CUevent handle, struct weft_soft_stream *stream, unsigned int flags)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_EVENT_RECORD, .eventRecord.event = handle};
    if (flags & CU_EVENT_RECORD_EXTERNAL)
        return weft_soft_capture_add(stream, &node);
    struct event *event;
    struct weft_soft_capture_point *mark;
    CUresult result = enter(handle, &event);
    if (result)
        return result;
    result = stream->context == event->context ? weft_soft_capture_mark(stream, &mark)
                                               : CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS) {
        pthread_mutex_lock(&event->lock);
        mark = atomic_exchange(&event->mark, mark);
        pthread_mutex_unlock(&event->lock);
        weft_soft_capture_mark_destroy(mark);
    }
    leave(event);
    return result;
}

static CUresult record(CUevent handle, CUstream stream_handle, unsigned int flags, bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(stream_handle, per_thread, &stream);
    if (result)
        return result;
    if (flags & ~(unsigned int)CU_EVENT_RECORD_EXTERNAL)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (weft_soft_stream_captures(stream))
        result = capture_record(handle, stream, flags);
    else if (flags & CU_EVENT_RECORD_EXTERNAL)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = weft_soft_event_record(handle, stream);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult record_legacy(CUevent handle, CUstream stream)
{
    return record(handle, stream, CU_EVENT_RECORD_DEFAULT, false);
}

static CUresult record_ptsz(CUevent handle, CUstream stream)
{
    return record(handle, stream, CU_EVENT_RECORD_DEFAULT, true);
}

static CUresult record_flags_legacy(CUevent handle, CUstream stream, unsigned int flags)
{
    return record(handle, stream, flags, false);
}

static CUresult record_flags_ptsz(CUevent handle, CUstream stream, unsigned int flags)
{
    return record(handle, stream, flags, true);
}

static CUresult submit_wait(struct weft_soft_stream *stream, struct weft_soft_fence *fence)
{
    struct weft_soft_op *op = weft_soft_op_create(WEFT_SOFT_OP_WAIT);
    if (!op) {
        weft_soft_fence_put(fence);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    op->fence = fence;
    return weft_soft_op_submit(stream, op);
}

CUresult weft_soft_event_wait(CUevent handle, struct weft_soft_stream *stream)
{
    struct event *event;
    CUresult result = enter(handle, &event);
    if (result)
        return result;
    struct weft_soft_fence *fence = event->shared ? NULL : fence_of(event);
    if (fence)
        result = submit_wait(stream, fence);
    if (event->shared)
        result = weft_soft_shared_event_hold(event->shared, stream);
    leave(event);
    return result;
}

static CUresult capture_wait(struct weft_soft_stream *stream, struct event *event,
                             unsigned int flags)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_WAIT_EVENT,
                              .eventWait.event = (CUevent)(uintptr_t)event->handle};
    if (flags & CU_EVENT_WAIT_EXTERNAL)
        return weft_soft_capture_add(stream, &node);
    weft_soft_graph_lock();
    pthread_mutex_lock(&event->lock);
    CUresult result = weft_soft_capture_wait(stream, event->mark);
    pthread_mutex_unlock(&event->lock);
    weft_soft_graph_unlock();
    return result;
}

static CUresult wait_for(struct weft_soft_stream *stream, CUevent handle, unsigned int flags)
{
    struct event *event;
    CUresult result = enter(handle, &event);
    if (result)
        return result;
    bool captures = weft_soft_stream_captures(stream);
    bool external = flags & CU_EVENT_WAIT_EXTERNAL;
    if (captures || (is_marked(event) && !external))
        result = capture_wait(stream, event, flags);
    else if (external)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = weft_soft_event_wait(handle, stream);
    leave(event);
    return result;
}

static CUresult wait_event(CUstream stream_handle, CUevent handle, unsigned int flags,
                           bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(stream_handle, per_thread, &stream);
    if (result)
        return result;
    if (flags & ~(unsigned int)CU_EVENT_WAIT_EXTERNAL)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = wait_for(stream, handle, flags);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult wait_event_legacy(CUstream stream, CUevent handle, unsigned int flags)
{
    return wait_event(stream, handle, flags, false);
}

static CUresult wait_event_ptsz(CUstream stream, CUevent handle, unsigned int flags)
{
    return wait_event(stream, handle, flags, true);
}

/* The order among streams that makes these two whole is waits_for_other_streams'. */
static CUresult record_of_context(CUcontext context_handle, CUevent handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_call_enter();
    if (result == CUDA_SUCCESS)
        result = weft_soft_context_get(context_handle, &context);
    if (result)
        return result;
    result = weft_soft_capture_forbid_context(context);
    if (result == CUDA_SUCCESS)
        result = weft_soft_event_record(handle, weft_soft_engine_of(context)->whole_records);
    weft_soft_context_put(context);
    return result;
}

static CUresult wait_of_context(CUcontext context_handle, CUevent handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_call_enter();
    if (result == CUDA_SUCCESS)
        result = weft_soft_context_get(context_handle, &context);
    if (result)
        return result;
    struct event *event = NULL;
    result = weft_soft_capture_forbid_context(context);
    if (result == CUDA_SUCCESS)
        result = enter(handle, &event);
    if (result == CUDA_SUCCESS && check_answers(event) != CUDA_SUCCESS)
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (result == CUDA_SUCCESS)
        result = weft_soft_event_wait(handle, weft_soft_engine_of(context)->whole_waits);
    if (event)
        leave(event);
    weft_soft_context_put(context);
    return result;
}

static CUresult query(CUevent handle)
{
    struct event *event;
    CUresult result = enter_waitable(handle, &event);
    if (result)
        return result;
    struct weft_soft_fence *fence = event->shared ? NULL : fence_of(event);
    if (event->shared)
        result = weft_soft_shared_event_query(event->shared);
    else if (fence && !atomic_load(&fence->done))
        result = CUDA_ERROR_NOT_READY;
    if (result == CUDA_SUCCESS)
        weft_soft_memory_synchronised(event->context);
    weft_soft_fence_put(fence);
    leave(event);
    return result;
}

static CUresult synchronize(CUevent handle)
{
    struct event *event;
    CUresult result = enter_waitable(handle, &event);
    if (result)
        return result;
    struct weft_soft_fence *fence = event->shared ? NULL : fence_of(event);
    if (event->shared)
        weft_soft_shared_event_wait(event->shared);
    else if (fence)
        weft_soft_fence_wait(fence);
    result = weft_soft_context_status(event->context);
    if (result == CUDA_SUCCESS)
        weft_soft_memory_synchronised(event->context);
    weft_soft_fence_put(fence);
    leave(event);
    return result;
}

static CUresult elapsed_between(struct event *start, struct event *end, float *out)
{
    if (start->context != end->context || ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_HANDLE;
    struct weft_soft_fence *from = fence_of(start), *to = fence_of(end);
    CUresult result = from && to ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS && (!atomic_load(&from->done) || !atomic_load(&to->done)))
        result = CUDA_ERROR_NOT_READY;
    if (result == CUDA_SUCCESS)
        *out = (float)((double)(int64_t)(to->time_ns - from->time_ns) / 1e6);
    weft_soft_fence_put(from);
    weft_soft_fence_put(to);
    return result;
}

static CUresult elapsed_time(float *out, CUevent start_handle, CUevent end_handle)
{
    struct event *start, *end;
    CUresult result = enter(start_handle, &start);
    if (result)
        return result;
    result = out ? enter(end_handle, &end) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS) {
        result = check_answers(start);
        if (result == CUDA_SUCCESS)
            result = check_answers(end);
        if (result == CUDA_SUCCESS)
            result = elapsed_between(start, end, out);
        leave(end);
    }
    leave(start);
    return result;
}

static CUresult get_handle(CUipcEventHandle *out, CUevent handle)
{
    struct event *event;
    CUresult result = enter(handle, &event);
    if (result)
        return result;
    if (!out)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (!event->shared)
        result = CUDA_ERROR_INVALID_HANDLE;
    else
        weft_soft_shared_event_name(event->shared, out->reserved);
    leave(event);
    return result;
}

static CUresult open_handle(CUevent *out, CUipcEventHandle handle)
{
    struct weft_soft_context *context;
    struct weft_soft_shared_event *shared;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    result = weft_soft_shared_event_open(handle.reserved, &shared);
    if (result)
        return result;
    return create_in(context, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING, shared, out);
}

void weft_soft_event_install(struct weft_cuda *table)
{
    table->cuIpcGetEventHandle = get_handle;
    table->cuIpcOpenEventHandle = open_handle;
    table->cuEventCreate = create;
    table->cuEventDestroy = destroy;
    table->cuEventDestroy_v2 = destroy;
    table->cuEventRecord = record_legacy;
    table->cuEventRecord_ptsz = record_ptsz;
    table->cuEventRecordWithFlags = record_flags_legacy;
    table->cuEventRecordWithFlags_ptsz = record_flags_ptsz;
    table->cuEventQuery = query;
    table->cuEventSynchronize = synchronize;
    table->cuEventElapsedTime = elapsed_time;
    table->cuEventElapsedTime_v2 = elapsed_time;
    table->cuCtxRecordEvent = record_of_context;
    table->cuCtxWaitEvent = wait_of_context;
    table->cuStreamWaitEvent = wait_event_legacy;
    table->cuStreamWaitEvent_ptsz = wait_event_ptsz;
}

/* A stream's life, and how a handle becomes a stream: the default streams are made when they are
 * first meant. */
#include <stdlib.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

/* A thread's own default streams, one a context. */
#define THREAD_STREAMS_MAX 64
struct thread_streams {
    uint32_t count;
    struct {
        CUcontext context;
        uint64_t stream;
    } entries[THREAD_STREAMS_MAX];
};
static __thread struct thread_streams *thread_streams;
static pthread_key_t thread_streams_key;
static pthread_once_t thread_streams_once = PTHREAD_ONCE_INIT;
static bool thread_streams_usable;

static void release_stream(void *object)
{
    struct weft_soft_stream *stream = object;
    struct weft_soft_context *context = stream->context;
    pthread_cond_destroy(&stream->progressed);
    free(stream);
    weft_soft_context_put(context);
}

CUresult weft_soft_stream_create(struct weft_soft_context *context, uint32_t flags, int priority,
                                 struct weft_soft_stream **out)
{
    struct weft_soft_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return CUDA_ERROR_OUT_OF_MEMORY;
    stream->context = context;
    stream->flags = flags;
    stream->blocking = !(flags & CU_STREAM_NON_BLOCKING);
    stream->priority = priority;
    stream->wake_order = UINT64_MAX;
    stream->id = weft_soft_scheduler_new_id();
    stream->synchronization_policy = CU_SYNC_POLICY_AUTO;
    pthread_cond_init(&stream->progressed, NULL);
    weft_soft_context_retain(context);
    stream->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_STREAM, stream, release_stream);
    if (!stream->handle) {
        release_stream(stream);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    CUresult result =
        weft_soft_child_adopt(context, &stream->child, WEFT_SOFT_HANDLE_STREAM, stream->handle);
    if (result) {
        weft_soft_handle_close(WEFT_SOFT_HANDLE_STREAM, stream->handle);
        return result;
    }
    *out = stream;
    return CUDA_SUCCESS;
}

/* At the end of a thread: its streams finish what they have, and go. */
static void drop_thread_streams(void *argument)
{
    struct thread_streams *streams = argument;
    for (uint32_t i = 0; i < streams->count; i++)
        weft_soft_stream_close(streams->entries[i].stream);
    free(streams);
}

static void make_thread_streams_key(void)
{
    thread_streams_usable = pthread_key_create(&thread_streams_key, drop_thread_streams) == 0;
}

static struct thread_streams *own_thread_streams(void)
{
    if (thread_streams)
        return thread_streams;
    pthread_once(&thread_streams_once, make_thread_streams_key);
    struct thread_streams *streams = calloc(1, sizeof(*streams));
    if (!streams || !thread_streams_usable || pthread_setspecific(thread_streams_key, streams)) {
        free(streams);
        return NULL;
    }
    thread_streams = streams;
    return streams;
}

/* Forgets the streams of contexts that are gone, so that the table does not fill up with them. */
static void forget_dead_streams(struct thread_streams *streams)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < streams->count; i++) {
        uint64_t handle = streams->entries[i].stream;
        if (!weft_soft_handle_get(WEFT_SOFT_HANDLE_STREAM, handle))
            continue;
        weft_soft_handle_put(handle);
        streams->entries[kept++] = streams->entries[i];
    }
    streams->count = kept;
}

static CUresult get_thread_stream(struct weft_soft_context *context, struct weft_soft_stream **out)
{
    struct thread_streams *streams = own_thread_streams();
    if (!streams)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < streams->count; i++) {
        if (streams->entries[i].context != context->handle)
            continue;
        *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_STREAM, streams->entries[i].stream);
        return *out ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
    }
    if (streams->count == THREAD_STREAMS_MAX)
        forget_dead_streams(streams);
    if (streams->count == THREAD_STREAMS_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_create(context, CU_STREAM_DEFAULT, 0, &stream);
    if (result)
        return result;
    streams->entries[streams->count].context = context->handle;
    streams->entries[streams->count++].stream = stream->handle;
    weft_soft_handle_retain(stream->handle);
    *out = stream;
    return CUDA_SUCCESS;
}

bool weft_soft_stream_close(uint64_t handle)
{
    struct weft_soft_stream *stream = weft_soft_handle_get(WEFT_SOFT_HANDLE_STREAM, handle);
    if (!stream)
        return false;
    weft_soft_capture_forget(stream);
    weft_soft_child_leave(stream->context, &stream->child);
    bool closed = weft_soft_handle_close(WEFT_SOFT_HANDLE_STREAM, handle);
    weft_soft_handle_put(handle);
    return closed;
}

CUresult weft_soft_stream_get(struct weft_soft_context *context, CUstream handle, bool per_thread,
                              struct weft_soft_stream **out)
{
    if (handle == CU_STREAM_PER_THREAD || (!handle && per_thread))
        return get_thread_stream(context, out);
    if (!handle || handle == CU_STREAM_LEGACY) {
        struct weft_soft_stream *legacy = weft_soft_engine_of(context)->legacy;
        weft_soft_handle_retain(legacy->handle);
        *out = legacy;
        return CUDA_SUCCESS;
    }
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_STREAM, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void weft_soft_stream_put(struct weft_soft_stream *stream)
{
    if (stream)
        weft_soft_handle_put(stream->handle);
}

struct weft_soft_context *weft_soft_stream_context(struct weft_soft_stream *stream)
{
    return stream->context;
}

CUresult weft_soft_stream_submit(struct weft_soft_stream *stream, const struct weft_soft_task *task)
{
    CUresult result = weft_soft_capture_refuse(stream);
    struct weft_soft_op *op = result ? NULL : weft_soft_op_create(WEFT_SOFT_OP_TASK);
    if (!op) {
        if (task->release)
            task->release(task->argument);
        return result ? result : CUDA_ERROR_OUT_OF_MEMORY;
    }
    op->task = *task;
    return weft_soft_op_submit(stream, op);
}

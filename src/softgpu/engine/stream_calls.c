/* The calls that make streams, end them, wait for them, and have the host called back. */
#include <stdlib.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

CUresult weft_soft_stream_enter(CUstream handle, bool per_thread, struct weft_soft_stream **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    struct weft_soft_context *context = NULL;
    bool named = handle && handle != CU_STREAM_LEGACY && handle != CU_STREAM_PER_THREAD;
    if (!named && (result = weft_soft_context_current(&context)))
        return result;
    result = weft_soft_stream_get(context, handle, per_thread, out);
    if (result || !named)
        return result;
    result = weft_soft_context_status((*out)->context);
    if (result)
        weft_soft_stream_put(*out);
    return result;
}

static CUresult create_with_priority(CUstream *out, unsigned int flags, int priority)
{
    struct weft_soft_context *context;
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    if (flags & ~(unsigned int)CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    int clamped =
        WEFT_MAX(WEFT_SOFT_PRIORITY_GREATEST, WEFT_MIN(priority, WEFT_SOFT_PRIORITY_LEAST));
    result = weft_soft_stream_create(context, flags, clamped, &stream);
    if (result == CUDA_SUCCESS)
        *out = (CUstream)(uintptr_t)stream->handle;
    return result;
}

static CUresult create(CUstream *out, unsigned int flags)
{
    return create_with_priority(out, flags, WEFT_SOFT_PRIORITY_LEAST);
}

static CUresult destroy(CUstream handle)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    return weft_soft_stream_close((uint64_t)(uintptr_t)handle) ? CUDA_SUCCESS
                                                               : CUDA_ERROR_INVALID_HANDLE;
}

/* Neither may be asked of a stream that captures, nor while a capture forbids to wait. */
static CUresult check_waitable(struct weft_soft_stream *stream)
{
    CUresult result = weft_soft_capture_refuse(stream);
    return result ? result : weft_soft_capture_permit();
}

static CUresult query(CUstream handle, bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(handle, per_thread, &stream);
    if (result)
        return result;
    result = check_waitable(stream);
    if (result == CUDA_SUCCESS)
        result = weft_soft_stream_query(stream);
    if (result == CUDA_SUCCESS)
        weft_soft_memory_synchronised(stream->context);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult query_legacy(CUstream handle)
{
    return query(handle, false);
}

static CUresult query_ptsz(CUstream handle)
{
    return query(handle, true);
}

static CUresult synchronize(CUstream handle, bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(handle, per_thread, &stream);
    if (result)
        return result;
    result = check_waitable(stream);
    if (result == CUDA_SUCCESS)
        result = weft_soft_stream_wait(stream);
    if (result == CUDA_SUCCESS)
        weft_soft_memory_synchronised(stream->context);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult synchronize_legacy(CUstream handle)
{
    return synchronize(handle, false);
}

static CUresult synchronize_ptsz(CUstream handle)
{
    return synchronize(handle, true);
}

struct callback {
    CUstream handle;
    struct weft_soft_context *context; /* referenced */
    CUhostFn host;                     /* one of the two */
    CUstreamCallback stream;
    void *user_data;
};

static void call_back(void *argument)
{
    struct callback *callback = argument;
    if (callback->host)
        callback->host(callback->user_data);
    else
        callback->stream(callback->handle, weft_soft_context_status(callback->context),
                         callback->user_data);
}

static CUresult run_callback(void *argument)
{
    weft_soft_host_call(call_back, argument);
    return CUDA_SUCCESS;
}

static void release_callback(void *argument)
{
    struct callback *callback = argument;
    weft_soft_context_put(callback->context);
    free(callback);
}

static CUresult submit_to(struct weft_soft_stream *stream, CUstream handle,
                          const struct callback *wanted)
{
    struct callback *callback = malloc(sizeof(*callback));
    struct weft_soft_op *op = weft_soft_op_create(WEFT_SOFT_OP_TASK);
    if (!callback || !op) {
        free(callback);
        if (op)
            weft_soft_op_destroy(op);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *callback = *wanted;
    callback->handle = handle;
    callback->context = stream->context;
    weft_soft_context_retain(stream->context);
    op->task = (struct weft_soft_task){run_callback, release_callback, callback};
    op->is_callback = true;
    /* CUDA promises that a stream callback is called, with the error, when the context failed. */
    op->always_run = wanted->stream != NULL;
    return weft_soft_op_submit(stream, op);
}

CUresult weft_soft_stream_call_host(struct weft_soft_stream *stream, CUhostFn function,
                                    void *user_data)
{
    struct callback callback = {.host = function, .user_data = user_data};
    return submit_to(stream, NULL, &callback);
}

static CUresult capture_host(struct weft_soft_stream *stream, const struct callback *wanted)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_HOST,
                                .host = {.fn = wanted->host, .userData = wanted->user_data}};
    return weft_soft_capture_add(stream, &params);
}

static CUresult submit_callback(CUstream handle, bool per_thread, const struct callback *wanted)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(handle, per_thread, &stream);
    if (result)
        return result;
    if (!weft_soft_stream_captures(stream))
        result = submit_to(stream, handle, wanted);
    else if (wanted->host)
        result = capture_host(stream, wanted);
    else
        result = weft_soft_capture_refuse(stream);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult launch_host(CUstream handle, bool per_thread, CUhostFn function, void *user_data)
{
    if (!function)
        return CUDA_ERROR_INVALID_VALUE;
    struct callback callback = {.host = function, .user_data = user_data};
    return submit_callback(handle, per_thread, &callback);
}

static CUresult launch_host_legacy(CUstream handle, CUhostFn function, void *user_data)
{
    return launch_host(handle, false, function, user_data);
}

static CUresult launch_host_ptsz(CUstream handle, CUhostFn function, void *user_data)
{
    return launch_host(handle, true, function, user_data);
}

static CUresult add_callback(CUstream handle, bool per_thread, CUstreamCallback function,
                             void *user_data, unsigned int flags)
{
    if (!function || flags)
        return CUDA_ERROR_INVALID_VALUE;
    struct callback callback = {.stream = function, .user_data = user_data};
    return submit_callback(handle, per_thread, &callback);
}

static CUresult add_callback_legacy(CUstream handle, CUstreamCallback function, void *user_data,
                                    unsigned int flags)
{
    return add_callback(handle, false, function, user_data, flags);
}

static CUresult add_callback_ptsz(CUstream handle, CUstreamCallback function, void *user_data,
                                  unsigned int flags)
{
    return add_callback(handle, true, function, user_data, flags);
}

void weft_soft_stream_install(struct weft_cuda *table)
{
    table->cuStreamCreate = create;
    table->cuStreamCreateWithPriority = create_with_priority;
    table->cuStreamDestroy = destroy;
    table->cuStreamDestroy_v2 = destroy;
    table->cuStreamQuery = query_legacy;
    table->cuStreamQuery_ptsz = query_ptsz;
    table->cuStreamSynchronize = synchronize_legacy;
    table->cuStreamSynchronize_ptsz = synchronize_ptsz;
    table->cuLaunchHostFunc = launch_host_legacy;
    table->cuLaunchHostFunc_ptsz = launch_host_ptsz;
    table->cuStreamAddCallback = add_callback_legacy;
    table->cuStreamAddCallback_ptsz = add_callback_ptsz;
    weft_soft_stream_info_install(table);
}

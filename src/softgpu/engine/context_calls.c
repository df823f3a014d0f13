/* The calls on contexts, and cuInit. */
#include <string.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

#define API_VERSION_BEFORE_V2 3010

static CUresult init(unsigned int flags)
{
    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (weft_soft.device_count == 0)
        return CUDA_ERROR_NO_DEVICE;
    atomic_store_explicit(&weft_soft.initialised, true, memory_order_release);
    return CUDA_SUCCESS;
}

bool weft_soft_context_flags_valid(unsigned int flags)
{
    unsigned int schedule = flags & CU_CTX_SCHED_MASK;
    return !(flags & ~(unsigned int)CU_CTX_FLAGS_MASK) && (schedule & (schedule - 1)) == 0;
}

static CUresult create(CUcontext *out, unsigned int flags, CUdevice ordinal, uint32_t api_version)
{
    struct weft_soft_device *device;
    struct weft_soft_context *context;
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (!out || !weft_soft_context_flags_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    if ((result = weft_soft_device_get(ordinal, &device)) ||
        (result = weft_soft_context_create(device, flags, false, &context)))
        return result;
    weft_soft_engine_of(context)->api_version = api_version;
    result = weft_soft_current_push(context);
    if (result) {
        weft_soft_context_destroy(context);
        return result;
    }
    *out = context->handle;
    return CUDA_SUCCESS;
}

static CUresult create_v1(CUcontext *out, unsigned int flags, CUdevice ordinal)
{
    return create(out, flags, ordinal, API_VERSION_BEFORE_V2);
}

static CUresult create_v2(CUcontext *out, unsigned int flags, CUdevice ordinal)
{
    return create(out, flags, ordinal, WEFT_SOFT_API_VERSION);
}

static CUresult create_v3(CUcontext *out, CUexecAffinityParam *params, int count,
                          unsigned int flags, CUdevice ordinal)
{
    /* A share of the SMs is what --sm is for; the device has no other kind of affinity. */
    if (params || count)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    return create(out, flags, ordinal, WEFT_SOFT_API_VERSION);
}

static CUresult create_v4(CUcontext *out, CUctxCreateParams *params, unsigned int flags,
                          CUdevice ordinal)
{
    if (params && params->cigParams)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (params)
        return create_v3(out, params->execAffinityParams, params->numExecAffinityParams, flags,
                         ordinal);
    return create(out, flags, ordinal, WEFT_SOFT_API_VERSION);
}

static void pop_if_current(struct weft_soft_context *context)
{
    if (weft_soft_current_peek() == context)
        weft_soft_context_put(weft_soft_current_pop());
}

static CUresult destroy(CUcontext handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_call_enter();
    if (result || (result = weft_soft_context_get(handle, &context)))
        return result;
    /* The primary context is not the program's to destroy: cuDevicePrimaryCtxRelease is. */
    result = context->primary ? CUDA_ERROR_INVALID_CONTEXT : weft_soft_context_destroy(context);
    if (result == CUDA_SUCCESS)
        pop_if_current(context);
    weft_soft_context_put(context);
    return result;
}

static CUresult push_current(CUcontext handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_call_enter();
    if (result || (result = weft_soft_context_get(handle, &context)))
        return result;
    result = weft_soft_current_push(context);
    weft_soft_context_put(context);
    return result;
}

static CUresult pop_current(CUcontext *out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    struct weft_soft_context *context = weft_soft_current_pop();
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (out)
        *out = context->handle;
    weft_soft_context_put(context);
    return CUDA_SUCCESS;
}

/* Replaces the top of the stack; NULL takes it away. */
static CUresult set_current(CUcontext handle)
{
    CUresult result = weft_soft_call_enter();
    struct weft_soft_context *context = NULL;
    if (result || (handle && (result = weft_soft_context_get(handle, &context))))
        return result;
    if (context && context == weft_soft_current_peek()) {
        weft_soft_context_put(context);
        return CUDA_SUCCESS;
    }
    weft_soft_context_put(weft_soft_current_pop());
    if (context)
        result = weft_soft_current_push(context);
    weft_soft_context_put(context);
    return result;
}

static CUresult get_current(CUcontext *out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_context *context = weft_soft_current_peek();
    *out = context ? context->handle : NULL;
    return CUDA_SUCCESS;
}

/* The context behind a handle, or the current one for NULL; under a new reference. */
static CUresult get_or_current(CUcontext handle, struct weft_soft_context **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (handle)
        return weft_soft_context_get(handle, out);
    result = weft_soft_context_current(out);
    if (result == CUDA_SUCCESS)
        weft_soft_context_retain(*out);
    return result;
}

static CUresult get_device_v2(CUdevice *out, CUcontext handle)
{
    struct weft_soft_context *context;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = get_or_current(handle, &context);
    if (result)
        return result;
    *out = (CUdevice)context->device->ordinal;
    weft_soft_context_put(context);
    return CUDA_SUCCESS;
}

static CUresult get_device(CUdevice *out)
{
    return get_device_v2(out, NULL);
}

static CUresult get_flags(unsigned int *out)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    pthread_mutex_lock(&context->lock);
    *out = context->flags;
    pthread_mutex_unlock(&context->lock);
    return CUDA_SUCCESS;
}

static CUresult set_flags(unsigned int flags)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    if (!weft_soft_context_flags_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&context->lock);
    context->flags = flags;
    pthread_mutex_unlock(&context->lock);
    return CUDA_SUCCESS;
}

static CUresult get_id(CUcontext handle, unsigned long long *out)
{
    struct weft_soft_context *context;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = get_or_current(handle, &context);
    if (result)
        return result;
    *out = weft_soft_engine_of(context)->id;
    weft_soft_context_put(context);
    return CUDA_SUCCESS;
}

static CUresult synchronize_v2(CUcontext handle)
{
    struct weft_soft_context *context;
    CUresult result = get_or_current(handle, &context);
    if (result)
        return result;
    result = weft_soft_capture_forbid_context(context);
    if (result == CUDA_SUCCESS)
        result = weft_soft_context_wait(context);
    if (result == CUDA_SUCCESS)
        weft_soft_memory_synchronised(context);
    weft_soft_context_put(context);
    return result;
}

static CUresult synchronize(void)
{
    return synchronize_v2(NULL);
}

static CUresult get_api_version(CUcontext handle, unsigned int *out)
{
    struct weft_soft_context *context;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = get_or_current(handle, &context);
    if (result)
        return result;
    *out = weft_soft_engine_of(context)->api_version;
    weft_soft_context_put(context);
    return CUDA_SUCCESS;
}

static CUresult get_stream_priority_range(int *least, int *greatest)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    if (least)
        *least = WEFT_SOFT_PRIORITY_LEAST;
    if (greatest)
        *greatest = WEFT_SOFT_PRIORITY_GREATEST;
    return CUDA_SUCCESS;
}

static CUresult get_exec_affinity(CUexecAffinityParam *out, CUexecAffinityType type)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    if (type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    out->type = type;
    out->param.smCount.val = context->device->sm_count;
    return CUDA_SUCCESS;
}

/* The old usage count: a context that is attached as often again is
 * destroyed by the last detach. */
static CUresult attach(CUcontext *out, unsigned int flags)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&context->lock);
    weft_soft_engine_of(context)->attached++;
    pthread_mutex_unlock(&context->lock);
    *out = context->handle;
    return CUDA_SUCCESS;
}

static CUresult detach(CUcontext handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_call_enter();
    if (result || (result = weft_soft_context_get(handle, &context)))
        return result;
    pthread_mutex_lock(&context->lock);
    uint32_t *attached = &weft_soft_engine_of(context)->attached;
    bool last = *attached == 0;
    if (!last)
        --*attached;
    pthread_mutex_unlock(&context->lock);
    weft_soft_context_put(context);
    return last ? destroy(handle) : CUDA_SUCCESS;
}

static CUresult enable_peer_access(CUcontext peer, unsigned int flags)
{
    struct weft_soft_context *context, *other;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    if ((result = weft_soft_context_get(peer, &other)))
        return result;
    result = other == context ? CUDA_ERROR_INVALID_CONTEXT
                              : weft_soft_memory_enable_peer(context, other);
    weft_soft_context_put(other);
    return result;
}

static CUresult disable_peer_access(CUcontext peer)
{
    struct weft_soft_context *context, *other;
    CUresult result = weft_soft_context_current(&context);
    if (result || (result = weft_soft_context_get(peer, &other)))
        return result;
    result = weft_soft_memory_disable_peer(context, other);
    weft_soft_context_put(other);
    return result;
}

/* There is no profiler to start or stop, and so nothing to refuse. */
static CUresult profile(void)
{
    struct weft_soft_context *context;
    return weft_soft_context_current(&context);
}

static CUresult profile_into(const char *config, const char *output, CUoutput_mode mode)
{
    (void)config;
    (void)output;
    bool known = mode == CU_OUT_KEY_VALUE_PAIR || mode == CU_OUT_CSV;
    return known ? profile() : CUDA_ERROR_INVALID_VALUE;
}

void weft_soft_context_install(struct weft_cuda *table)
{
    table->cuInit = init;
    table->cuCtxCreate = create_v1;
    table->cuCtxCreate_v2 = create_v2;
    table->cuCtxCreate_v3 = create_v3;
    table->cuCtxCreate_v4 = create_v4;
    table->cuCtxDestroy = destroy;
    table->cuCtxDestroy_v2 = destroy;
    table->cuCtxPushCurrent = push_current;
    table->cuCtxPushCurrent_v2 = push_current;
    table->cuCtxPopCurrent = pop_current;
    table->cuCtxPopCurrent_v2 = pop_current;
    table->cuCtxSetCurrent = set_current;
    table->cuCtxGetCurrent = get_current;
    table->cuCtxGetDevice = get_device;
    table->cuCtxGetDevice_v2 = get_device_v2;
    table->cuCtxGetFlags = get_flags;
    table->cuCtxSetFlags = set_flags;
    table->cuCtxGetId = get_id;
    table->cuCtxSynchronize = synchronize;
    table->cuCtxSynchronize_v2 = synchronize_v2;
    table->cuCtxGetApiVersion = get_api_version;
    table->cuCtxGetStreamPriorityRange = get_stream_priority_range;
    table->cuCtxGetExecAffinity = get_exec_affinity;
    table->cuCtxAttach = attach;
    table->cuCtxDetach = detach;
    table->cuCtxEnablePeerAccess = enable_peer_access;
    table->cuCtxDisablePeerAccess = disable_peer_access;
    table->cuProfilerStart = profile;
    table->cuProfilerStop = profile;
    table->cuProfilerInitialize = profile_into;
    weft_soft_limit_install(table);
}

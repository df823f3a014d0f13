/* The primary context: one a device, made when first retained, gone with the last release. */
#include "softgpu/engine/engine.h"

static CUresult enter(CUdevice ordinal, struct weft_soft_device **device)
{
    CUresult result = weft_soft_call_enter();
    return result ? result : weft_soft_device_get(ordinal, device);
}

static CUresult retain(CUcontext *out, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, &device);
    if (result)
        return result;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&weft_soft.lock);
    if (!device->primary)
        result = weft_soft_context_create(device, device->primary_flags, true, &device->primary);
    if (result == CUDA_SUCCESS) {
        weft_soft_engine_of(device->primary)->api_version = WEFT_SOFT_API_VERSION;
        device->primary_references++;
        *out = device->primary->handle;
    }
    pthread_mutex_unlock(&weft_soft.lock);
    return result;
}

/* Takes the context away from the device; the caller destroys it without the lock. */
static struct weft_soft_context *detach_primary(struct weft_soft_device *device)
{
    struct weft_soft_context *context = device->primary;
    device->primary = NULL;
    return context;
}

static CUresult release(CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, &device);
    if (result)
        return result;
    struct weft_soft_context *context = NULL;
    pthread_mutex_lock(&weft_soft.lock);
    if (device->primary_references == 0)
        result = CUDA_ERROR_INVALID_CONTEXT;
    else if (--device->primary_references == 0)
        context = detach_primary(device);
    pthread_mutex_unlock(&weft_soft.lock);
    if (context)
        weft_soft_context_destroy(context);
    return result;
}

/* Who retained it keeps what it retained; the next to retain makes a new one. */
static CUresult reset(CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, &device);
    if (result)
        return result;
    pthread_mutex_lock(&weft_soft.lock);
    struct weft_soft_context *context = detach_primary(device);
    pthread_mutex_unlock(&weft_soft.lock);
    if (context)
        weft_soft_context_destroy(context);
    return CUDA_SUCCESS;
}

static CUresult set_flags(CUdevice ordinal, unsigned int flags)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, &device);
    if (result)
        return result;
    if (!weft_soft_context_flags_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&weft_soft.lock);
    device->primary_flags = flags;
    if (device->primary) {
        pthread_mutex_lock(&device->primary->lock);
        device->primary->flags = flags;
        pthread_mutex_unlock(&device->primary->lock);
    }
    pthread_mutex_unlock(&weft_soft.lock);
    return CUDA_SUCCESS;
}

static CUresult get_state(CUdevice ordinal, unsigned int *flags, int *active)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, &device);
    if (result)
        return result;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&weft_soft.lock);
    *flags = device->primary_flags;
    *active = device->primary != NULL;
    pthread_mutex_unlock(&weft_soft.lock);
    return CUDA_SUCCESS;
}

void weft_soft_primary_install(struct weft_cuda *table)
{
    table->cuDevicePrimaryCtxRetain = retain;
    table->cuDevicePrimaryCtxRelease = release;
    table->cuDevicePrimaryCtxRelease_v2 = release;
    table->cuDevicePrimaryCtxReset = reset;
    table->cuDevicePrimaryCtxReset_v2 = reset;
    table->cuDevicePrimaryCtxSetFlags = set_flags;
    table->cuDevicePrimaryCtxSetFlags_v2 = set_flags;
    table->cuDevicePrimaryCtxGetState = get_state;
}

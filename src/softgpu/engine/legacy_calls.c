/* How kernels were launched before CUDA 4.0: shape, shared memory and parameters are set on the
 * function, one call each, and stay there. And the launch of one kernel on several devices. */
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/launch.h"

#define PARAMETER_BYTES_MAX 4096

/* The function's lock is its module's; both are given back by leave(). */
static CUresult enter(CUfunction handle, struct weft_soft_function **out)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    result = weft_soft_function_get(handle, context, out);
    if (result == CUDA_SUCCESS)
        pthread_mutex_lock(&(*out)->module->lock);
    return result;
}

static CUresult leave(struct weft_soft_function *function, CUresult result)
{
    pthread_mutex_unlock(&function->module->lock);
    weft_soft_function_put(function);
    return result;
}

static CUresult set_block_shape(CUfunction handle, int x, int y, int z)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    const struct weft_soft_profile *profile = function->module->context->device->profile;
    const int shape[3] = {x, y, z};
    uint64_t threads = 1;
    for (int i = 0; i < 3; i++) {
        if (shape[i] <= 0 || (uint32_t)shape[i] > profile->max_block_dim[i])
            return leave(function, CUDA_ERROR_INVALID_VALUE);
        threads *= (uint32_t)shape[i];
    }
    if (threads > profile->max_threads_per_block)
        return leave(function, CUDA_ERROR_INVALID_VALUE);
    for (int i = 0; i < 3; i++)
        function->settings.block[i] = (unsigned int)shape[i];
    return leave(function, CUDA_SUCCESS);
}

static CUresult set_shared_size(CUfunction handle, unsigned int bytes)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    if (bytes > atomic_load(&function->dynamic_shared_max))
        return leave(function, CUDA_ERROR_INVALID_VALUE);
    function->settings.shared_bytes = bytes;
    return leave(function, CUDA_SUCCESS);
}

static CUresult set_parameter_size(CUfunction handle, unsigned int bytes)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    if (bytes > PARAMETER_BYTES_MAX)
        return leave(function, CUDA_ERROR_INVALID_VALUE);
    function->settings.param_bytes = bytes;
    return leave(function, CUDA_SUCCESS);
}

static CUresult set_parameter(CUfunction handle, int offset, const void *value, unsigned int bytes)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    if (!value || offset < 0 || offset > PARAMETER_BYTES_MAX ||
        bytes > PARAMETER_BYTES_MAX - (unsigned int)offset)
        return leave(function, CUDA_ERROR_INVALID_VALUE);
    if (!function->settings.params)
        function->settings.params = calloc(1, PARAMETER_BYTES_MAX);
    if (!function->settings.params)
        return leave(function, CUDA_ERROR_OUT_OF_MEMORY);
    memcpy(function->settings.params + offset, value, bytes);
    return leave(function, CUDA_SUCCESS);
}

static CUresult set_integer(CUfunction handle, int offset, unsigned int value)
{
    return set_parameter(handle, offset, &value, sizeof(value));
}

static CUresult set_float(CUfunction handle, int offset, float value)
{
    return set_parameter(handle, offset, &value, sizeof(value));
}

static CUresult set_bytes(CUfunction handle, int offset, void *value, unsigned int bytes)
{
    return set_parameter(handle, offset, value, bytes);
}

/* The settings as they are now: another thread may change them while the launch is under way. */
static CUresult copy_settings(CUfunction handle, struct weft_soft_packed_launch *packed,
                              unsigned char *params)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    const struct weft_soft_settings *settings = &function->settings;
    memcpy(packed->block, settings->block, sizeof(packed->block));
    packed->shared_bytes = settings->shared_bytes;
    packed->param_bytes = settings->param_bytes;
    if (settings->params)
        memcpy(params, settings->params, settings->param_bytes);
    return leave(function, CUDA_SUCCESS);
}

static CUresult launch_into(CUfunction handle, int width, int height, CUstream stream)
{
    struct weft_soft_stream *found;
    unsigned char params[PARAMETER_BYTES_MAX] = {0};
    if (width <= 0 || height <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_packed_launch packed = {
        .function = handle,
        .grid = {(unsigned int)width, (unsigned int)height, 1},
        .params = params,
    };
    CUresult result = copy_settings(handle, &packed, params);
    if (result == CUDA_SUCCESS)
        result = weft_soft_stream_enter(stream, false, &found);
    if (result)
        return result;
    result = weft_soft_launch_packed(found, &packed);
    weft_soft_stream_put(found);
    return result;
}

static CUresult launch(CUfunction handle)
{
    return launch_into(handle, 1, 1, NULL);
}

static CUresult launch_grid(CUfunction handle, int width, int height)
{
    return launch_into(handle, width, height, NULL);
}

/* The same kernel in the same shape, on devices that differ, each in a stream of its own. */
static CUresult check_several(const CUDA_LAUNCH_PARAMS *list, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        const CUDA_LAUNCH_PARAMS *one = &list[i], *first = &list[0];
        if (!one->hStream || one->hStream == CU_STREAM_LEGACY ||
            one->hStream == CU_STREAM_PER_THREAD)
            return CUDA_ERROR_INVALID_VALUE;
        if (one->gridDimX != first->gridDimX || one->gridDimY != first->gridDimY ||
            one->gridDimZ != first->gridDimZ || one->blockDimX != first->blockDimX ||
            one->blockDimY != first->blockDimY || one->blockDimZ != first->blockDimZ ||
            one->sharedMemBytes != first->sharedMemBytes)
            return CUDA_ERROR_INVALID_VALUE;
        for (unsigned int j = 0; j < i; j++)
            if (list[j].hStream == one->hStream)
                return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

#define KNOWN_FLAGS                                            \
    (CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC | \
     CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC)

static CUresult launch_several(CUDA_LAUNCH_PARAMS *list, unsigned int count, unsigned int flags)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    if (!list || count == 0 || count > weft_soft.device_count || flags & ~(unsigned int)KNOWN_FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    result = check_several(list, count);
    for (unsigned int i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = weft_soft_launch_cooperative(
            list[i].function,
            (const unsigned int[3]){list[i].gridDimX, list[i].gridDimY, list[i].gridDimZ},
            (const unsigned int[3]){list[i].blockDimX, list[i].blockDimY, list[i].blockDimZ},
            list[i].sharedMemBytes, list[i].hStream, list[i].kernelParams);
    return result;
}

void weft_soft_legacy_install(struct weft_cuda *table)
{
    table->cuFuncSetBlockShape = set_block_shape;
    table->cuFuncSetSharedSize = set_shared_size;
    table->cuParamSetSize = set_parameter_size;
    table->cuParamSeti = set_integer;
    table->cuParamSetf = set_float;
    table->cuParamSetv = set_bytes;
    table->cuLaunch = launch;
    table->cuLaunchGrid = launch_grid;
    table->cuLaunchGridAsync = launch_into;
    table->cuLaunchCooperativeKernelMultiDevice = launch_several;
}

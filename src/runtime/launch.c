/* Launches, both ways: by the stub of a kernel, and by the kernel that CUDA 13's stubs keep. */
#include <string.h>

#include "runtime/register.h"

#define CONFIGURATIONS_MAX 16 /* launches inside the arguments of launches */
#define ATTRIBUTES_MAX 64

/* kernel<<<grid, block, bytes, stream>>> is pushed, and popped by the stub. */
static _Thread_local struct {
    struct {
        dim3 grid, block;
        size_t shared_bytes;
        void *stream;
    } stack[CONFIGURATIONS_MAX];
    unsigned int depth;
} configurations;

__attribute__((visibility("default"))) unsigned int
__cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, void *stream)
{
    if (configurations.depth == CONFIGURATIONS_MAX)
        return 1; /* the stub is not called then */
    unsigned int top = configurations.depth++;
    configurations.stack[top].grid = grid;
    configurations.stack[top].block = block;
    configurations.stack[top].shared_bytes = shared_bytes;
    configurations.stack[top].stream = stream;
    return 0;
}

__attribute__((visibility("default"))) cudaError_t
__cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes, void *stream)
{
    if (configurations.depth == 0)
        return weft_cudart_leave("cudaLaunchKernel", cudaErrorMissingConfiguration);
    unsigned int top = --configurations.depth;
    *grid = configurations.stack[top].grid;
    *block = configurations.stack[top].block;
    *shared_bytes = configurations.stack[top].shared_bytes;
    memcpy(stream, &configurations.stack[top].stream, sizeof(void *));
    return cudaSuccess;
}

/* The driver launches a kernel where its stream is; the runtime refuses a stream elsewhere. */
static bool is_elsewhere(CUstream stream)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUcontext current, of_stream;
    if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD)
        return false;
    return driver->cuStreamGetCtx(stream, &of_stream) == CUDA_SUCCESS &&
           driver->cuCtxGetCurrent(&current) == CUDA_SUCCESS && current != of_stream;
}

/* The runtime calls a grid or block that the device cannot have by another name. */
static cudaError_t why_invalid(CUfunction function, size_t shared_bytes)
{
    int most_bytes = 0;
    CUresult result = weft_cudart_driver()->cuFuncGetAttribute(
        &most_bytes, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function);
    return result == CUDA_SUCCESS && shared_bytes > (size_t)most_bytes
               ? cudaErrorInvalidValue
               : cudaErrorInvalidConfiguration;
}

static cudaError_t launch(CUfunction function, dim3 grid, dim3 block, void **arguments,
                          size_t shared_bytes, cudaStream_t stream, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    if (shared_bytes > UINT32_MAX)
        return cudaErrorInvalidValue;
    if (is_elsewhere(stream))
        return cudaErrorInvalidResourceHandle;
    CUresult result = (per_thread ? driver->cuLaunchKernel_ptsz : driver->cuLaunchKernel)(
        function, grid.x, grid.y, grid.z, block.x, block.y, block.z, (unsigned int)shared_bytes,
        stream, arguments, NULL);
    return result == CUDA_ERROR_INVALID_VALUE ? why_invalid(function, shared_bytes)
                                              : weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaLaunchKernel(const void *host, dim3 grid, dim3 block, void **arguments,
                                         size_t shared_bytes, cudaStream_t stream, bool per_thread)
{
    CUfunction function;
    cudaError_t result = weft_cudart_function_of(host, &function);
    return result ? result
                  : launch(function, grid, block, arguments, shared_bytes, stream, per_thread);
}

cudaError_t weft_cudart_cudaLaunchCooperativeKernel(const void *host, dim3 grid, dim3 block,
                                                    void **arguments, size_t shared_bytes,
                                                    cudaStream_t stream, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUfunction function;
    cudaError_t result = weft_cudart_function_of(host, &function);
    if (result)
        return result;
    if (shared_bytes > UINT32_MAX)
        return cudaErrorInvalidValue;
    if (is_elsewhere(stream))
        return cudaErrorInvalidResourceHandle;
    return weft_cudart_error(
        (per_thread ? driver->cuLaunchCooperativeKernel_ptsz : driver->cuLaunchCooperativeKernel)(
            function, grid.x, grid.y, grid.z, block.x, block.y, block.z, (unsigned int)shared_bytes,
            stream, arguments));
}

/* Attributes have the same numbers and layouts in both APIs. */
_Static_assert(sizeof(struct cudaLaunchAttribute_st) == sizeof(CUlaunchAttribute),
               "attributes are handed on as they are");

cudaError_t weft_cudart_cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *host,
                                            void **arguments, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUlaunchConfig same;
    CUfunction function;
    cudaError_t result = weft_cudart_launch_config(config, &same);
    if (!result)
        result = weft_cudart_function_of(host, &function);
    if (!result && is_elsewhere(same.hStream))
        result = cudaErrorInvalidResourceHandle;
    if (result)
        return result;
    return weft_cudart_error((per_thread
                                  ? driver->cuLaunchKernelEx_ptsz
                                  : driver->cuLaunchKernelEx)(&same, function, arguments, NULL));
}

cudaError_t weft_cudart_launch_config(const cudaLaunchConfig_t *config, CUlaunchConfig *out)
{
    if (!config || config->dynamicSmemBytes > UINT32_MAX || config->numAttrs > ATTRIBUTES_MAX)
        return cudaErrorInvalidValue;
    *out = (CUlaunchConfig){
        .gridDimX = config->gridDim.x,
        .gridDimY = config->gridDim.y,
        .gridDimZ = config->gridDim.z,
        .blockDimX = config->blockDim.x,
        .blockDimY = config->blockDim.y,
        .blockDimZ = config->blockDim.z,
        .sharedMemBytes = (unsigned int)config->dynamicSmemBytes,
        .hStream = config->stream,
        .attrs = (CUlaunchAttribute *)config->attrs,
        .numAttrs = config->numAttrs,
    };
    return cudaSuccess;
}

#if WEFT_CUDART_MAJOR <= 11
/* The kernel in the context of the stream, each of which is on a device of its own. */
static cudaError_t launch_params(const struct cudaLaunchParams *params, CUDA_LAUNCH_PARAMS *out)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUcontext context, before;
    CUfunction function;
    if (params->sharedMem > UINT32_MAX)
        return cudaErrorInvalidValue;
    CUresult switched = driver->cuStreamGetCtx(params->stream, &context);
    if (!switched)
        switched = driver->cuCtxPushCurrent_v2(context);
    if (switched)
        return weft_cudart_error(switched);
    cudaError_t result = weft_cudart_cudaGetFuncBySymbol(&function, params->func);
    driver->cuCtxPopCurrent_v2(&before);
    if (!result)
        *out = (CUDA_LAUNCH_PARAMS){.function = function,
                                    .gridDimX = params->gridDim.x,
                                    .gridDimY = params->gridDim.y,
                                    .gridDimZ = params->gridDim.z,
                                    .blockDimX = params->blockDim.x,
                                    .blockDimY = params->blockDim.y,
                                    .blockDimZ = params->blockDim.z,
                                    .sharedMemBytes = (unsigned int)params->sharedMem,
                                    .hStream = params->stream,
                                    .kernelParams = params->args};
    return result;
}

cudaError_t weft_cudart_cudaLaunchCooperativeKernelMultiDevice(struct cudaLaunchParams *params,
                                                               unsigned int count,
                                                               unsigned int flags)
{
    CUDA_LAUNCH_PARAMS launches[WEFT_CUDART_DEVICES_MAX];
    if (!params || !count || count > WEFT_CUDART_DEVICES_MAX)
        return cudaErrorInvalidValue;
    for (unsigned int i = 0; i < count; i++) {
        cudaError_t result = launch_params(&params[i], &launches[i]);
        if (result)
            return result;
    }
    return weft_cudart_error(
        weft_cudart_driver()->cuLaunchCooperativeKernelMultiDevice(launches, count, flags));
}
#endif

/* Why the thread's stub has no kernel: it does not look at what it is told, and launches NULL. */
static _Thread_local cudaError_t missing;

__attribute__((visibility("default"))) cudaError_t __cudaGetKernel(cudaKernel_t *kernel,
                                                                   const void *host)
{
    CUkernel found;
    cudaError_t result = weft_cudart_enter_context();
    if (!result)
        result = weft_cudart_kernel_of(host, &found);
    if (!result)
        *kernel = found;
    else
        missing = result;
    return weft_cudart_leave("cudaLaunchKernel", result);
}

static cudaError_t launch_kernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                                 size_t shared_bytes, cudaStream_t stream, bool per_thread)
{
    cudaError_t result = weft_cudart_enter_context();
    if (!result && !kernel)
        result = missing ? missing : cudaErrorInvalidDeviceFunction;
    if (!result)
        result =
            launch((CUfunction)kernel, grid, block, arguments, shared_bytes, stream, per_thread);
    return weft_cudart_leave("cudaLaunchKernel", result);
}

__attribute__((visibility("default"))) cudaError_t
__cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                   size_t shared_bytes, cudaStream_t stream)
{
    return launch_kernel(kernel, grid, block, arguments, shared_bytes, stream, false);
}

__attribute__((visibility("default"))) cudaError_t
__cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                        size_t shared_bytes, cudaStream_t stream)
{
    return launch_kernel(kernel, grid, block, arguments, shared_bytes, stream, true);
}

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
        return weft_cudart_leave(cudaErrorMissingConfiguration);
    unsigned int top = --configurations.depth;
    *grid = configurations.stack[top].grid;
    *block = configurations.stack[top].block;
    *shared_bytes = configurations.stack[top].shared_bytes;
    memcpy(stream, &configurations.stack[top].stream, sizeof(void *));
    return cudaSuccess;
}

static cudaError_t launch(CUfunction function, dim3 grid, dim3 block, void **arguments,
                          size_t shared_bytes, cudaStream_t stream, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    if (shared_bytes > UINT32_MAX)
        return cudaErrorInvalidValue;
    CUresult result = (per_thread ? driver->cuLaunchKernel_ptsz : driver->cuLaunchKernel)(
        function, grid.x, grid.y, grid.z, block.x, block.y, block.z, (unsigned int)shared_bytes,
        stream, arguments, NULL);
    /* The runtime calls a grid or block that the device cannot have by another name. */
    return result == CUDA_ERROR_INVALID_VALUE ? cudaErrorInvalidConfiguration
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
    CUfunction function;
    if (!config || config->dynamicSmemBytes > UINT32_MAX || config->numAttrs > ATTRIBUTES_MAX)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_function_of(host, &function);
    if (result)
        return result;
    CUlaunchConfig same = {
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
    return weft_cudart_error((per_thread
                                  ? driver->cuLaunchKernelEx_ptsz
                                  : driver->cuLaunchKernelEx)(&same, function, arguments, NULL));
}

__attribute__((visibility("default"))) cudaError_t __cudaGetKernel(cudaKernel_t *kernel,
                                                                   const void *host)
{
    CUkernel found;
    cudaError_t result = weft_cudart_enter_context();
    if (!result)
        result = weft_cudart_kernel_of(host, &found);
    if (!result)
        *kernel = found;
    return weft_cudart_leave(result);
}

static cudaError_t launch_kernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                                 size_t shared_bytes, cudaStream_t stream, bool per_thread)
{
    cudaError_t result = weft_cudart_enter_context();
    if (!result && !kernel)
        result = cudaErrorInvalidDeviceFunction; /* why was told when it was looked for */
    if (!result)
        result =
            launch((CUfunction)kernel, grid, block, arguments, shared_bytes, stream, per_thread);
    return weft_cudart_leave(result);
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

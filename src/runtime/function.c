/* Kernels: handles, attributes, occupancy. */
#include "runtime/runtime.h"

cudaError_t weft_cudart_function_of(const void *host, CUfunction *out)
{
    CUkernel kernel;
    cudaError_t result = weft_cudart_kernel_of(host, &kernel);
    if (result == cudaSuccess)
        *out = (CUfunction)kernel;
    if (result != cudaErrorInvalidDeviceFunction || !host)
        return result;
    /* A cudaKernel_t or cudaFunction_t may stand for the stub: the driver knows its own handles. */
    CUmodule module;
    if (weft_cudart_driver()->cuFuncGetModule(&module, (CUfunction)(uintptr_t)host))
        return cudaErrorInvalidDeviceFunction;
    *out = (CUfunction)(uintptr_t)host;
    return cudaSuccess;
}

/* The function in the current context, which not every call takes a kernel for. */
static cudaError_t in_context(const void *host, CUfunction *out)
{
    CUkernel kernel;
    cudaError_t result = weft_cudart_kernel_of(host, &kernel);
    if (result)
        return weft_cudart_function_of(host, out);
    return weft_cudart_error(weft_cudart_driver()->cuKernelGetFunction(out, kernel));
}

cudaError_t weft_cudart_cudaGetFuncBySymbol(cudaFunction_t *function, const void *host)
{
    return function ? in_context(host, function) : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaGetKernel(cudaKernel_t *kernel, const void *host)
{
    return kernel ? weft_cudart_kernel_of(host, kernel) : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaFuncGetName(const char **name, const void *host)
{
    CUfunction function;
    if (!name)
        return cudaErrorInvalidValue;
    cudaError_t result = in_context(host, &function);
    return result ? result : weft_cudart_error(weft_cudart_driver()->cuFuncGetName(name, function));
}

cudaError_t weft_cudart_cudaFuncGetParamInfo(const void *host, size_t index, size_t *offset,
                                             size_t *bytes)
{
    CUfunction function;
    cudaError_t result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuFuncGetParamInfo(function, index, offset, bytes));
}

cudaError_t weft_cudart_cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *host)
{
    CUfunction function;
    if (!out)
        return cudaErrorInvalidValue;
    cudaError_t result = in_context(host, &function);
    if (result)
        return result;
    static const CUfunction_attribute wanted[] = {
        CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
        CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES,
        CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES,
        CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
        CU_FUNC_ATTRIBUTE_NUM_REGS,
        CU_FUNC_ATTRIBUTE_PTX_VERSION,
        CU_FUNC_ATTRIBUTE_BINARY_VERSION,
        CU_FUNC_ATTRIBUTE_CACHE_MODE_CA,
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
        CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT};
    enum { COUNT = sizeof(wanted) / sizeof(wanted[0]) };
    int values[COUNT];
    for (int i = 0; i < COUNT; i++) {
        CUresult got = weft_cudart_driver()->cuFuncGetAttribute(&values[i], wanted[i], function);
        if (got)
            return weft_cudart_error(got);
    }
    *out = (struct cudaFuncAttributes){.sharedSizeBytes = (size_t)values[0],
                                       .constSizeBytes = (size_t)values[1],
                                       .localSizeBytes = (size_t)values[2],
                                       .maxThreadsPerBlock = values[3],
                                       .numRegs = values[4],
                                       .ptxVersion = values[5],
                                       .binaryVersion = values[6],
                                       .cacheModeCA = values[7],
                                       .maxDynamicSharedSizeBytes = values[8],
                                       .preferredShmemCarveout = values[9]};
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaFuncSetAttribute(const void *host, enum cudaFuncAttribute attribute,
                                             int value)
{
    CUfunction function;
    cudaError_t result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuFuncSetAttribute(
                        function, (CUfunction_attribute)attribute, value));
}

cudaError_t weft_cudart_cudaFuncSetCacheConfig(const void *host, enum cudaFuncCache config)
{
    CUfunction function;
    cudaError_t result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuFuncSetCacheConfig(function, (CUfunc_cache)config));
}

cudaError_t weft_cudart_cudaFuncSetSharedMemConfig(const void *host,
                                                   enum cudaSharedMemConfig config)
{
    CUfunction function;
    cudaError_t result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuFuncSetSharedMemConfig(
                        function, (CUsharedconfig)config));
}

cudaError_t weft_cudart_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *blocks, const void *host, int threads, size_t shared_bytes, unsigned int flags)
{
    CUfunction function;
    cudaError_t result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
                            blocks, function, threads, shared_bytes, flags));
}

cudaError_t weft_cudart_cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *host,
                                                                      int threads,
                                                                      size_t shared_bytes)
{
    return weft_cudart_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, host, threads,
                                                                              shared_bytes, 0);
}

cudaError_t weft_cudart_cudaOccupancyAvailableDynamicSMemPerBlock(size_t *bytes, const void *host,
                                                                  int blocks, int threads)
{
    CUfunction function;
    cudaError_t result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuOccupancyAvailableDynamicSMemPerBlock(
                        bytes, function, blocks, threads));
}

cudaError_t weft_cudart_cudaOccupancyMaxActiveClusters(int *clusters, const void *host,
                                                       const cudaLaunchConfig_t *config)
{
    CUfunction function;
    CUlaunchConfig same;
    cudaError_t result = weft_cudart_launch_config(config, &same);
    if (!result)
        result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuOccupancyMaxActiveClusters(
                        clusters, function, &same));
}

cudaError_t weft_cudart_cudaOccupancyMaxPotentialClusterSize(int *blocks, const void *host,
                                                             const cudaLaunchConfig_t *config)
{
    CUfunction function;
    CUlaunchConfig same;
    cudaError_t result = weft_cudart_launch_config(config, &same);
    if (!result)
        result = in_context(host, &function);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuOccupancyMaxPotentialClusterSize(
                        blocks, function, &same));
}

cudaError_t weft_cudart_cudaKernelSetAttributeForDevice(cudaKernel_t kernel,
                                                        enum cudaFuncAttribute attribute, int value,
                                                        int device)
{
    return weft_cudart_error(weft_cudart_driver()->cuKernelSetAttribute(
        (CUfunction_attribute)attribute, value, kernel, device));
}

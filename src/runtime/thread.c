/* Calls that CUDA 11 still had under their first names. */
#include "runtime/runtime.h"

#if WEFT_CUDART_MAJOR <= 11
cudaError_t weft_cudart_cudaThreadExit(void)
{
    return weft_cudart_cudaDeviceReset();
}

cudaError_t weft_cudart_cudaThreadSynchronize(void)
{
    return weft_cudart_error(weft_cudart_driver()->cuCtxSynchronize());
}

cudaError_t weft_cudart_cudaThreadSetLimit(enum cudaLimit limit, size_t value)
{
    return weft_cudart_error(weft_cudart_driver()->cuCtxSetLimit((CUlimit)limit, value));
}

cudaError_t weft_cudart_cudaThreadGetLimit(size_t *value, enum cudaLimit limit)
{
    return weft_cudart_error(weft_cudart_driver()->cuCtxGetLimit(value, (CUlimit)limit));
}

cudaError_t weft_cudart_cudaThreadGetCacheConfig(enum cudaFuncCache *config)
{
    return weft_cudart_error(weft_cudart_driver()->cuCtxGetCacheConfig((CUfunc_cache *)config));
}

cudaError_t weft_cudart_cudaThreadSetCacheConfig(enum cudaFuncCache config)
{
    return weft_cudart_error(weft_cudart_driver()->cuCtxSetCacheConfig((CUfunc_cache)config));
}

/* For devices that had no doubles: every one has. */
cudaError_t weft_cudart_cudaSetDoubleForDevice(double *value)
{
    return value ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaSetDoubleForHost(double *value)
{
    return value ? cudaSuccess : cudaErrorInvalidValue;
}
#endif

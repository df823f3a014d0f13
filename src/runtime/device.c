/* Devices: which there are, which the thread uses, how it waits for them. */
#include "runtime/runtime.h"

cudaError_t weft_cudart_cudaGetDeviceCount(int *count)
{
    if (!count)
        return cudaErrorInvalidValue;
    *count = weft_cudart_device_count();
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaGetDevice(int *device)
{
    if (!device)
        return cudaErrorInvalidValue;
    *device = weft_cudart_device();
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaSetDevice(int device)
{
    return weft_cudart_device_set(device);
}

/* The first device that has what is asked for; the first one if none has all of it. */
static bool has_all(const struct cudaDeviceProp *device, const struct cudaDeviceProp *wanted)
{
    bool is_new_enough = device->major > wanted->major ||
                         (device->major == wanted->major && device->minor >= wanted->minor);
    return is_new_enough && device->totalGlobalMem >= wanted->totalGlobalMem &&
           device->multiProcessorCount >= wanted->multiProcessorCount &&
           device->sharedMemPerBlock >= wanted->sharedMemPerBlock &&
           device->maxThreadsPerBlock >= wanted->maxThreadsPerBlock;
}

cudaError_t weft_cudart_cudaChooseDevice(int *device, const struct cudaDeviceProp *wanted)
{
    if (!device || !wanted)
        return cudaErrorInvalidValue;
    for (int i = 0; i < weft_cudart_device_count(); i++) {
        struct cudaDeviceProp properties;
        cudaError_t result = weft_cudart_cudaGetDeviceProperties(&properties, i);
        if (result)
            return result;
        if (has_all(&properties, wanted)) {
            *device = i;
            return cudaSuccess;
        }
    }
    *device = 0;
    return cudaSuccess;
}

/* Which devices a thread that has chosen none may get: any of ours works, so it is the first. */
cudaError_t weft_cudart_cudaSetValidDevices(int *devices, int count)
{
    if (count < 0 || count > weft_cudart_device_count() || (count && !devices))
        return cudaErrorInvalidValue;
    for (int i = 0; i < count; i++)
        if (devices[i] < 0 || devices[i] >= weft_cudart_device_count())
            return cudaErrorInvalidDevice;
    weft_cudart_device_prefer(count ? devices[0] : 0);
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaInitDevice(int device, unsigned int device_flags, unsigned int flags)
{
    if (device < 0 || device >= weft_cudart_device_count())
        return cudaErrorInvalidDevice;
    if (flags & ~(unsigned int)cudaInitDeviceFlagsAreValid)
        return cudaErrorInvalidValue;
    if (!(flags & cudaInitDeviceFlagsAreValid))
        return cudaSuccess;
    return weft_cudart_error(
        weft_cudart_driver()->cuDevicePrimaryCtxSetFlags_v2(device, device_flags));
}

cudaError_t weft_cudart_cudaSetDeviceFlags(unsigned int flags)
{
    return weft_cudart_error(weft_cudart_driver()->cuDevicePrimaryCtxSetFlags_v2(
        weft_cudart_device(), flags & ~(unsigned int)cudaDeviceMapHost));
}

/* Mapping of host memory is always there, and is always told. */
cudaError_t weft_cudart_cudaGetDeviceFlags(unsigned int *flags)
{
    int active;
    if (!flags)
        return cudaErrorInvalidValue;
    CUresult result =
        weft_cudart_driver()->cuDevicePrimaryCtxGetState(weft_cudart_device(), flags, &active);
    *flags |= cudaDeviceMapHost;
    return weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaDeviceReset(void)
{
    int device = weft_cudart_device();
    CUresult result = weft_cudart_driver()->cuDevicePrimaryCtxReset_v2(device);
    weft_cudart_device_unbind(device);
    return weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaDriverGetVersion(int *version)
{
    return version ? weft_cudart_error(weft_cudart_driver()->cuDriverGetVersion(version))
                   : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaRuntimeGetVersion(int *version)
{
    static const int versions[] = {[11] = 11080, [12] = 12090, [13] = 13000};
    if (!version)
        return cudaErrorInvalidValue;
    *version = versions[WEFT_CUDART_MAJOR];
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
    CUcontext own, theirs;
    const struct weft_cuda *driver = weft_cudart_driver();
    if (peer < 0 || peer >= weft_cudart_device_count())
        return cudaErrorInvalidDevice;
    int device = weft_cudart_device();
    if (peer == device)
        return cudaErrorInvalidDevice;
    if (driver->cuCtxGetCurrent(&own))
        return cudaErrorDeviceUninitialized;
    cudaError_t result = weft_cudart_device_set(peer);
    if (!result)
        result = weft_cudart_error(driver->cuCtxGetCurrent(&theirs));
    weft_cudart_device_set(device);
    driver->cuCtxSetCurrent(own);
    return result ? result : weft_cudart_error(driver->cuCtxEnablePeerAccess(theirs, flags));
}

cudaError_t weft_cudart_cudaDeviceDisablePeerAccess(int peer)
{
    CUcontext theirs;
    const struct weft_cuda *driver = weft_cudart_driver();
    if (peer < 0 || peer >= weft_cudart_device_count())
        return cudaErrorInvalidDevice;
    CUresult result = driver->cuDevicePrimaryCtxRetain(&theirs, peer);
    if (result)
        return weft_cudart_error(result);
    result = driver->cuCtxDisablePeerAccess(theirs);
    driver->cuDevicePrimaryCtxRelease_v2(peer);
    return weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaGetDriverEntryPoint(const char *symbol, void **function,
                                                unsigned long long flags,
#if WEFT_CUDART_MAJOR >= 12
                                                enum cudaDriverEntryPointQueryResult *status,
#endif
                                                bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUdriverProcAddressQueryResult found;
    if (!symbol || !function)
        return cudaErrorInvalidValue;
    if (per_thread && flags == CU_GET_PROC_ADDRESS_DEFAULT)
        flags = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    int version;
    weft_cudart_cudaRuntimeGetVersion(&version);
    CUresult result = driver->cuGetProcAddress_v2(symbol, function, version, flags, &found);
#if WEFT_CUDART_MAJOR >= 12
    if (status)
        *status = (enum cudaDriverEntryPointQueryResult)found;
    if (result == CUDA_ERROR_NOT_FOUND)
        result = CUDA_SUCCESS; /* the status says it */
#endif
    return weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaGetDriverEntryPointByVersion(
    const char *symbol, void **function, unsigned int version, unsigned long long flags,
    enum cudaDriverEntryPointQueryResult *status, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUdriverProcAddressQueryResult found;
    if (!symbol || !function)
        return cudaErrorInvalidValue;
    if (per_thread && flags == CU_GET_PROC_ADDRESS_DEFAULT)
        flags = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    CUresult result = driver->cuGetProcAddress_v2(symbol, function, (int)version, flags, &found);
    if (status)
        *status = (enum cudaDriverEntryPointQueryResult)found;
    return result == CUDA_ERROR_NOT_FOUND ? cudaSuccess : weft_cudart_error(result);
}

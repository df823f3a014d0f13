/* Allocation, sets, and what a pointer is. */
#include "runtime/runtime.h"

cudaError_t weft_cudart_cudaMalloc(void **out, size_t bytes)
{
    if (!out)
        return cudaErrorInvalidValue;
    if (bytes == 0) {
        *out = NULL; /* unlike the driver, the runtime allows it */
        return cudaSuccess;
    }
    CUdeviceptr address;
    CUresult result = weft_cudart_driver()->cuMemAlloc_v2(&address, bytes);
    if (result == CUDA_SUCCESS)
        *out = (void *)(uintptr_t)address;
    return weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaFree(void *pointer)
{
    return weft_cudart_error(weft_cudart_driver()->cuMemFree_v2((CUdeviceptr)(uintptr_t)pointer));
}

cudaError_t weft_cudart_cudaMallocHost(void **out, size_t bytes)
{
    return weft_cudart_error(weft_cudart_driver()->cuMemAllocHost_v2(out, bytes));
}

cudaError_t weft_cudart_cudaMallocManaged(void **out, size_t bytes, unsigned int flags)
{
    CUdeviceptr address;
    if (!out)
        return cudaErrorInvalidValue;
    CUresult result = weft_cudart_driver()->cuMemAllocManaged(&address, bytes, flags);
    if (result == CUDA_SUCCESS)
        *out = (void *)(uintptr_t)address;
    return weft_cudart_error(result);
}

/* Pitched allocations take the widest element, 16 bytes, which decides nothing but coalescing. */
cudaError_t weft_cudart_cudaMallocPitch(void **out, size_t *pitch, size_t width, size_t height)
{
    CUdeviceptr address;
    if (!out || !pitch)
        return cudaErrorInvalidValue;
    if (width == 0 || height == 0) {
        *out = NULL;
        *pitch = 0;
        return cudaSuccess;
    }
    CUresult result = weft_cudart_driver()->cuMemAllocPitch_v2(&address, pitch, width, height, 16);
    if (result == CUDA_SUCCESS)
        *out = (void *)(uintptr_t)address;
    return weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaMalloc3D(struct cudaPitchedPtr *out, struct cudaExtent extent)
{
    size_t rows;
    if (!out || __builtin_mul_overflow(extent.height, extent.depth, &rows))
        return cudaErrorInvalidValue;
    void *pointer;
    size_t pitch;
    cudaError_t result = weft_cudart_cudaMallocPitch(&pointer, &pitch, extent.width, rows);
    if (result == cudaSuccess)
        *out = (struct cudaPitchedPtr){
            .ptr = pointer, .pitch = pitch, .xsize = extent.width, .ysize = extent.height};
    return result;
}

cudaError_t weft_cudart_cudaMemset(void *to, int value, size_t bytes, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    return weft_cudart_error((per_thread ? driver->cuMemsetD8_v2_ptds : driver->cuMemsetD8_v2)(
        (CUdeviceptr)(uintptr_t)to, (unsigned char)value, bytes));
}

cudaError_t weft_cudart_cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream,
                                        bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    return weft_cudart_error((per_thread ? driver->cuMemsetD8Async_ptsz : driver->cuMemsetD8Async)(
        (CUdeviceptr)(uintptr_t)to, (unsigned char)value, bytes, stream));
}

cudaError_t weft_cudart_cudaMemset2D(void *to, size_t pitch, int value, size_t width, size_t height,
                                     bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    return weft_cudart_error((per_thread ? driver->cuMemsetD2D8_v2_ptds : driver->cuMemsetD2D8_v2)(
        (CUdeviceptr)(uintptr_t)to, pitch, (unsigned char)value, width, height));
}

cudaError_t weft_cudart_cudaMemset2DAsync(void *to, size_t pitch, int value, size_t width,
                                          size_t height, cudaStream_t stream, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    return weft_cudart_error(
        (per_thread ? driver->cuMemsetD2D8Async_ptsz : driver->cuMemsetD2D8Async)(
            (CUdeviceptr)(uintptr_t)to, pitch, (unsigned char)value, width, height, stream));
}

/* A volume is so many slices of ysize rows; where its extent fills the rows it is one rectangle. */
static cudaError_t set_slices(struct cudaPitchedPtr to, int value, struct cudaExtent extent,
                              cudaStream_t stream, bool per_thread)
{
    size_t slice = to.pitch * to.ysize;
    cudaError_t result = cudaSuccess;
    for (size_t z = 0; z < extent.depth && !result; z++)
        result = weft_cudart_cudaMemset2DAsync((char *)to.ptr + z * slice, to.pitch, value,
                                               extent.width, extent.height, stream, per_thread);
    return result;
}

cudaError_t weft_cudart_cudaMemset3DAsync(struct cudaPitchedPtr to, int value,
                                          struct cudaExtent extent, cudaStream_t stream,
                                          bool per_thread)
{
    return set_slices(to, value, extent, stream, per_thread);
}

cudaError_t weft_cudart_cudaMemset3D(struct cudaPitchedPtr to, int value, struct cudaExtent extent,
                                     bool per_thread)
{
    return set_slices(to, value, extent, NULL, per_thread);
}

cudaError_t weft_cudart_cudaPointerGetAttributes(struct cudaPointerAttributes *out,
                                                 const void *pointer)
{
    if (!out || !pointer)
        return cudaErrorInvalidValue;
    const struct weft_cuda *driver = weft_cudart_driver();
    int kind = 0, managed = 0, device = 0;
    CUdeviceptr on_device = 0;
    void *on_host = NULL;
    CUpointer_attribute wanted[] = {
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
        CU_POINTER_ATTRIBUTE_HOST_POINTER};
    void *places[] = {&kind, &managed, &device, &on_device, &on_host};
    CUresult result = driver->cuPointerGetAttributes(sizeof(wanted) / sizeof(wanted[0]), wanted,
                                                     places, (CUdeviceptr)(uintptr_t)pointer);
    if (result)
        return weft_cudart_error(result);
    *out = (struct cudaPointerAttributes){.type = cudaMemoryTypeUnregistered, .device = -2};
    if (kind == 0) {
        out->hostPointer = (void *)(uintptr_t)pointer;
        return cudaSuccess;
    }
    out->type = managed                        ? cudaMemoryTypeManaged
                : kind == CU_MEMORYTYPE_DEVICE ? cudaMemoryTypeDevice
                                               : cudaMemoryTypeHost;
    out->device = device;
    out->devicePointer = (void *)(uintptr_t)on_device;
    out->hostPointer = on_host;
    return cudaSuccess;
}

/* Copies of one run of bytes and of rows. Every kind goes by the pointers: addresses are unified,
 * so what a pointer is need not be said; what is said wrong is still refused. */
#include "runtime/runtime.h"

static bool is_kind(enum cudaMemcpyKind kind)
{
    return (unsigned int)kind <= cudaMemcpyDefault;
}

cudaError_t weft_cudart_cudaMemcpy(void *to, const void *from, size_t bytes,
                                   enum cudaMemcpyKind kind, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    if (!is_kind(kind))
        return cudaErrorInvalidMemcpyDirection;
    CUdeviceptr target = (CUdeviceptr)(uintptr_t)to, source = (CUdeviceptr)(uintptr_t)from;
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return weft_cudart_error((per_thread ? driver->cuMemcpyHtoD_v2_ptds
                                             : driver->cuMemcpyHtoD_v2)(target, from, bytes));
    case cudaMemcpyDeviceToHost:
        return weft_cudart_error((per_thread ? driver->cuMemcpyDtoH_v2_ptds
                                             : driver->cuMemcpyDtoH_v2)(to, source, bytes));
    case cudaMemcpyDeviceToDevice:
        return weft_cudart_error((per_thread ? driver->cuMemcpyDtoD_v2_ptds
                                             : driver->cuMemcpyDtoD_v2)(target, source, bytes));
    default:
        return weft_cudart_error(
            (per_thread ? driver->cuMemcpy_ptds : driver->cuMemcpy)(target, source, bytes));
    }
}

cudaError_t weft_cudart_cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                                        enum cudaMemcpyKind kind, cudaStream_t stream,
                                        bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    if (!is_kind(kind))
        return cudaErrorInvalidMemcpyDirection;
    CUdeviceptr target = (CUdeviceptr)(uintptr_t)to, source = (CUdeviceptr)(uintptr_t)from;
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return weft_cudart_error((per_thread
                                      ? driver->cuMemcpyHtoDAsync_v2_ptsz
                                      : driver->cuMemcpyHtoDAsync_v2)(target, from, bytes, stream));
    case cudaMemcpyDeviceToHost:
        return weft_cudart_error((per_thread
                                      ? driver->cuMemcpyDtoHAsync_v2_ptsz
                                      : driver->cuMemcpyDtoHAsync_v2)(to, source, bytes, stream));
    case cudaMemcpyDeviceToDevice:
        return weft_cudart_error(
            (per_thread ? driver->cuMemcpyDtoDAsync_v2_ptsz
                        : driver->cuMemcpyDtoDAsync_v2)(target, source, bytes, stream));
    default:
        return weft_cudart_error((per_thread ? driver->cuMemcpyAsync_ptsz : driver->cuMemcpyAsync)(
            target, source, bytes, stream));
    }
}

/* Rows of memory: kind UNIFIED lets the driver find out what each side is. */
static cudaError_t rows(CUDA_MEMCPY2D *out, void *to, size_t to_pitch, const void *from,
                        size_t from_pitch, size_t width, size_t height, enum cudaMemcpyKind kind)
{
    if (!is_kind(kind))
        return cudaErrorInvalidMemcpyDirection;
    if (width > to_pitch || width > from_pitch)
        return cudaErrorInvalidPitchValue;
    bool from_host = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyHostToHost;
    bool to_host = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyHostToHost;
    *out = (CUDA_MEMCPY2D){
        .srcMemoryType = from_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_UNIFIED,
        .srcHost = from,
        .srcDevice = (CUdeviceptr)(uintptr_t)from,
        .srcPitch = from_pitch,
        .dstMemoryType = to_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_UNIFIED,
        .dstHost = to,
        .dstDevice = (CUdeviceptr)(uintptr_t)to,
        .dstPitch = to_pitch,
        .WidthInBytes = width,
        .Height = height,
    };
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                                     size_t width, size_t height, enum cudaMemcpyKind kind,
                                     bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUDA_MEMCPY2D copy;
    cudaError_t result = rows(&copy, to, to_pitch, from, from_pitch, width, height, kind);
    if (result || width == 0 || height == 0)
        return result;
    return weft_cudart_error(
        (per_thread ? driver->cuMemcpy2DUnaligned_v2_ptds : driver->cuMemcpy2DUnaligned_v2)(&copy));
}

cudaError_t weft_cudart_cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from,
                                          size_t from_pitch, size_t width, size_t height,
                                          enum cudaMemcpyKind kind, cudaStream_t stream,
                                          bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUDA_MEMCPY2D copy;
    cudaError_t result = rows(&copy, to, to_pitch, from, from_pitch, width, height, kind);
    if (result || width == 0 || height == 0)
        return result;
    return weft_cudart_error(
        (per_thread ? driver->cuMemcpy2DAsync_v2_ptsz : driver->cuMemcpy2DAsync_v2)(&copy, stream));
}

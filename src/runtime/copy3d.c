/* Copies of boxes and those with arrays: all of them are one copy of three dimensions. */
#include "runtime/copy_shape.h"
#include "runtime/format.h"

static bool is_empty(const CUDA_MEMCPY3D *copy)
{
    return copy->WidthInBytes == 0 || copy->Height == 0 || copy->Depth == 0;
}

static cudaError_t copy_now(const struct cudaMemcpy3DParms *parameters, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUDA_MEMCPY3D copy;
    cudaError_t result = weft_cudart_copy_shape(parameters, &copy);
    if (result || is_empty(&copy))
        return result;
    return weft_cudart_error(
        (per_thread ? driver->cuMemcpy3D_v2_ptds : driver->cuMemcpy3D_v2)(&copy));
}

static cudaError_t copy_later(const struct cudaMemcpy3DParms *parameters, cudaStream_t stream,
                              bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    CUDA_MEMCPY3D copy;
    cudaError_t result = weft_cudart_copy_shape(parameters, &copy);
    if (result || is_empty(&copy))
        return result;
    return weft_cudart_error(
        (per_thread ? driver->cuMemcpy3DAsync_v2_ptsz : driver->cuMemcpy3DAsync_v2)(&copy, stream));
}

cudaError_t weft_cudart_cudaMemcpy3D(const struct cudaMemcpy3DParms *p, bool per_thread)
{
    return p ? copy_now(p, per_thread) : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaMemcpy3DAsync(const struct cudaMemcpy3DParms *p, cudaStream_t stream,
                                          bool per_thread)
{
    return p ? copy_later(p, stream, per_thread) : cudaErrorInvalidValue;
}

/* Addresses are unified, so the devices of a peer copy need not be told. */
static struct cudaMemcpy3DParms between_peers(const struct cudaMemcpy3DPeerParms *p)
{
    return (struct cudaMemcpy3DParms){.srcArray = p->srcArray,
                                      .srcPos = p->srcPos,
                                      .srcPtr = p->srcPtr,
                                      .dstArray = p->dstArray,
                                      .dstPos = p->dstPos,
                                      .dstPtr = p->dstPtr,
                                      .extent = p->extent,
                                      .kind = cudaMemcpyDefault};
}

cudaError_t weft_cudart_cudaMemcpy3DPeer(const struct cudaMemcpy3DPeerParms *p, bool per_thread)
{
    if (!p)
        return cudaErrorInvalidValue;
    struct cudaMemcpy3DParms same = between_peers(p);
    return copy_now(&same, per_thread);
}

cudaError_t weft_cudart_cudaMemcpy3DPeerAsync(const struct cudaMemcpy3DPeerParms *p,
                                              cudaStream_t stream, bool per_thread)
{
    if (!p)
        return cudaErrorInvalidValue;
    struct cudaMemcpy3DParms same = between_peers(p);
    return copy_later(&same, stream, per_thread);
}

static cudaError_t check_peers(int to, int from)
{
    int count = weft_cudart_device_count();
    return to < 0 || to >= count || from < 0 || from >= count ? cudaErrorInvalidDevice
                                                              : cudaSuccess;
}

/* cudaMemcpyPeer orders itself with both devices; a copy by unified addresses does too. */
cudaError_t weft_cudart_cudaMemcpyPeer(void *to, int to_device, const void *from, int from_device,
                                       size_t bytes)
{
    cudaError_t result = check_peers(to_device, from_device);
    return result ? result : weft_cudart_cudaMemcpy(to, from, bytes, cudaMemcpyDefault, false);
}

cudaError_t weft_cudart_cudaMemcpyPeerAsync(void *to, int to_device, const void *from,
                                            int from_device, size_t bytes, cudaStream_t stream)
{
    cudaError_t result = check_peers(to_device, from_device);
    return result ? result
                  : weft_cudart_cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream, false);
}

/* A rectangle of `width` bytes at (x bytes, y) of an array. */
static cudaError_t to_array(struct cudaMemcpy3DParms *out, cudaArray_t array, size_t x, size_t y,
                            const void *from, size_t pitch, size_t width, size_t height,
                            enum cudaMemcpyKind kind)
{
    unsigned int texel = weft_cudart_array_texel_bytes(array);
    if (!texel)
        return cudaErrorInvalidResourceHandle;
    if (width > pitch)
        return cudaErrorInvalidPitchValue;
    if (x % texel || width % texel)
        return cudaErrorInvalidValue;
    *out = (struct cudaMemcpy3DParms){.srcPtr = {(void *)(uintptr_t)from, pitch, width, height},
                                      .dstArray = array,
                                      .dstPos = {x / texel, y, 0},
                                      .extent = {width / texel, height, 1},
                                      .kind = kind};
    return cudaSuccess;
}

static cudaError_t from_array(struct cudaMemcpy3DParms *out, void *to, size_t pitch,
                              cudaArray_const_t array, size_t x, size_t y, size_t width,
                              size_t height, enum cudaMemcpyKind kind)
{
    cudaError_t result =
        to_array(out, (cudaArray_t)(uintptr_t)array, x, y, to, pitch, width, height, kind);
    if (result)
        return result;
    struct cudaMemcpy3DParms turned = *out;
    out->srcArray = turned.dstArray;
    out->srcPos = turned.dstPos;
    out->srcPtr = (struct cudaPitchedPtr){0};
    out->dstArray = NULL;
    out->dstPos = (struct cudaPos){0};
    out->dstPtr = turned.srcPtr;
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaMemcpy2DToArray(cudaArray_t to, size_t x, size_t y, const void *from,
                                            size_t pitch, size_t width, size_t height,
                                            enum cudaMemcpyKind kind, bool per_thread)
{
    struct cudaMemcpy3DParms copy;
    cudaError_t result = to_array(&copy, to, x, y, from, pitch, width, height, kind);
    return result ? result : copy_now(&copy, per_thread);
}

cudaError_t weft_cudart_cudaMemcpy2DToArrayAsync(cudaArray_t to, size_t x, size_t y,
                                                 const void *from, size_t pitch, size_t width,
                                                 size_t height, enum cudaMemcpyKind kind,
                                                 cudaStream_t stream, bool per_thread)
{
    struct cudaMemcpy3DParms copy;
    cudaError_t result = to_array(&copy, to, x, y, from, pitch, width, height, kind);
    return result ? result : copy_later(&copy, stream, per_thread);
}

cudaError_t weft_cudart_cudaMemcpy2DFromArray(void *to, size_t pitch, cudaArray_const_t from,
                                              size_t x, size_t y, size_t width, size_t height,
                                              enum cudaMemcpyKind kind, bool per_thread)
{
    struct cudaMemcpy3DParms copy;
    cudaError_t result = from_array(&copy, to, pitch, from, x, y, width, height, kind);
    return result ? result : copy_now(&copy, per_thread);
}

cudaError_t weft_cudart_cudaMemcpy2DFromArrayAsync(void *to, size_t pitch, cudaArray_const_t from,
                                                   size_t x, size_t y, size_t width, size_t height,
                                                   enum cudaMemcpyKind kind, cudaStream_t stream,
                                                   bool per_thread)
{
    struct cudaMemcpy3DParms copy;
    cudaError_t result = from_array(&copy, to, pitch, from, x, y, width, height, kind);
    return result ? result : copy_later(&copy, stream, per_thread);
}

cudaError_t weft_cudart_cudaMemcpy2DArrayToArray(cudaArray_t to, size_t to_x, size_t to_y,
                                                 cudaArray_const_t from, size_t from_x,
                                                 size_t from_y, size_t width, size_t height,
                                                 enum cudaMemcpyKind kind, bool per_thread)
{
    unsigned int texel = weft_cudart_array_texel_bytes(to);
    if (!texel)
        return cudaErrorInvalidResourceHandle;
    if (to_x % texel || from_x % texel || width % texel)
        return cudaErrorInvalidValue;
    struct cudaMemcpy3DParms copy = {.srcArray = (cudaArray_t)(uintptr_t)from,
                                     .srcPos = {from_x / texel, from_y, 0},
                                     .dstArray = to,
                                     .dstPos = {to_x / texel, to_y, 0},
                                     .extent = {width / texel, height, 1},
                                     .kind = kind};
    return copy_now(&copy, per_thread);
}

/* Runs of bytes into arrays are rows that wrap around; the usual case is whole rows. */
static cudaError_t whole_rows(cudaArray_const_t array, size_t x, size_t bytes, size_t *width,
                              size_t *height)
{
    struct cudaExtent extent;
    unsigned int texel = weft_cudart_array_texel_bytes(array);
    cudaError_t result =
        weft_cudart_cudaArrayGetInfo(NULL, &extent, NULL, (cudaArray_t)(uintptr_t)array);
    if (result)
        return result;
    size_t row = extent.width * texel;
    if (x + bytes <= row) {
        *width = bytes;
        *height = 1;
        return cudaSuccess;
    }
    if (x || bytes % row)
        return weft_cudart_refuse("a copy of a part of an array's rows");
    *width = row;
    *height = bytes / row;
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaMemcpyToArray(cudaArray_t to, size_t x, size_t y, const void *from,
                                          size_t bytes, enum cudaMemcpyKind kind, bool per_thread)
{
    size_t width, height;
    cudaError_t result = whole_rows(to, x, bytes, &width, &height);
    return result ? result
                  : weft_cudart_cudaMemcpy2DToArray(to, x, y, from, width, width, height, kind,
                                                    per_thread);
}

cudaError_t weft_cudart_cudaMemcpyToArrayAsync(cudaArray_t to, size_t x, size_t y, const void *from,
                                               size_t bytes, enum cudaMemcpyKind kind,
                                               cudaStream_t stream, bool per_thread)
{
    size_t width, height;
    cudaError_t result = whole_rows(to, x, bytes, &width, &height);
    return result ? result
                  : weft_cudart_cudaMemcpy2DToArrayAsync(to, x, y, from, width, width, height, kind,
                                                         stream, per_thread);
}

cudaError_t weft_cudart_cudaMemcpyFromArray(void *to, cudaArray_const_t from, size_t x, size_t y,
                                            size_t bytes, enum cudaMemcpyKind kind, bool per_thread)
{
    size_t width, height;
    cudaError_t result = whole_rows(from, x, bytes, &width, &height);
    return result ? result
                  : weft_cudart_cudaMemcpy2DFromArray(to, width, from, x, y, width, height, kind,
                                                      per_thread);
}

cudaError_t weft_cudart_cudaMemcpyFromArrayAsync(void *to, cudaArray_const_t from, size_t x,
                                                 size_t y, size_t bytes, enum cudaMemcpyKind kind,
                                                 cudaStream_t stream, bool per_thread)
{
    size_t width, height;
    cudaError_t result = whole_rows(from, x, bytes, &width, &height);
    return result ? result
                  : weft_cudart_cudaMemcpy2DFromArrayAsync(to, width, from, x, y, width, height,
                                                           kind, stream, per_thread);
}

cudaError_t weft_cudart_cudaMemcpyArrayToArray(cudaArray_t to, size_t to_x, size_t to_y,
                                               cudaArray_const_t from, size_t from_x, size_t from_y,
                                               size_t bytes, enum cudaMemcpyKind kind,
                                               bool per_thread)
{
    size_t width, height, from_width, from_height;
    cudaError_t result = whole_rows(to, to_x, bytes, &width, &height);
    if (!result)
        result = whole_rows(from, from_x, bytes, &from_width, &from_height);
    if (!result && width != from_width)
        result = weft_cudart_refuse("a copy between arrays with rows of different lengths");
    return result ? result
                  : weft_cudart_cudaMemcpy2DArrayToArray(to, to_x, to_y, from, from_x, from_y,
                                                         width, height, kind, per_thread);
}

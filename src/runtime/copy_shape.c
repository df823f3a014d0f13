#include "runtime/copy_shape.h"

#include "runtime/format.h"

/* One side of a copy: an array, or memory of whatever kind. */
struct side {
    CUarray array;
    struct cudaPos position; /* texels of an array, else bytes */
    struct cudaPitchedPtr memory;
    bool is_host;
};

static cudaError_t check_side(const struct side *side)
{
    return !side->array == !side->memory.ptr ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t weft_cudart_copy_shape(const struct cudaMemcpy3DParms *p, CUDA_MEMCPY3D *out)
{
    if ((unsigned int)p->kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    struct side from = {(CUarray)p->srcArray, p->srcPos, p->srcPtr,
                        p->kind == cudaMemcpyHostToDevice || p->kind == cudaMemcpyHostToHost};
    struct side to = {(CUarray)p->dstArray, p->dstPos, p->dstPtr,
                      p->kind == cudaMemcpyDeviceToHost || p->kind == cudaMemcpyHostToHost};
    if (check_side(&from) || check_side(&to))
        return cudaErrorInvalidValue;
    unsigned int from_texel = from.array ? weft_cudart_array_texel_bytes(p->srcArray) : 1;
    unsigned int to_texel = to.array ? weft_cudart_array_texel_bytes(p->dstArray) : 1;
    if (!from_texel || !to_texel)
        return cudaErrorInvalidResourceHandle;
    /* The width is in texels where an array takes part, and both must agree where two do. */
    unsigned int texel = from.array ? from_texel : to_texel;
    if (from.array && to.array && from_texel != to_texel)
        return cudaErrorInvalidValue;
    *out = (CUDA_MEMCPY3D){
        .srcXInBytes = from.position.x * from_texel,
        .srcY = from.position.y,
        .srcZ = from.position.z,
        .srcMemoryType = from.array     ? CU_MEMORYTYPE_ARRAY
                         : from.is_host ? CU_MEMORYTYPE_HOST
                                        : CU_MEMORYTYPE_UNIFIED,
        .srcHost = from.memory.ptr,
        .srcDevice = (CUdeviceptr)(uintptr_t)from.memory.ptr,
        .srcArray = from.array,
        .srcPitch = from.memory.pitch,
        .srcHeight = from.memory.ysize,
        .dstXInBytes = to.position.x * to_texel,
        .dstY = to.position.y,
        .dstZ = to.position.z,
        .dstMemoryType = to.array     ? CU_MEMORYTYPE_ARRAY
                         : to.is_host ? CU_MEMORYTYPE_HOST
                                      : CU_MEMORYTYPE_UNIFIED,
        .dstHost = to.memory.ptr,
        .dstDevice = (CUdeviceptr)(uintptr_t)to.memory.ptr,
        .dstArray = to.array,
        .dstPitch = to.memory.pitch,
        .dstHeight = to.memory.ysize,
        .WidthInBytes = p->extent.width * texel,
        .Height = p->extent.height,
        .Depth = p->extent.depth,
    };
    return cudaSuccess;
}

static enum cudaMemcpyKind kind_of(const CUDA_MEMCPY3D *copy)
{
    bool from_host = copy->srcMemoryType == CU_MEMORYTYPE_HOST;
    bool to_host = copy->dstMemoryType == CU_MEMORYTYPE_HOST;
    bool unified = copy->srcMemoryType == CU_MEMORYTYPE_UNIFIED ||
                   copy->dstMemoryType == CU_MEMORYTYPE_UNIFIED;
    if (from_host)
        return to_host ? cudaMemcpyHostToHost : cudaMemcpyHostToDevice;
    if (to_host)
        return cudaMemcpyDeviceToHost;
    return unified ? cudaMemcpyDefault : cudaMemcpyDeviceToDevice;
}

/* Where a side's memory lies; arrays have none. */
static struct cudaPitchedPtr memory_of(CUmemorytype type, const void *host, CUdeviceptr device,
                                       size_t pitch, size_t width, size_t height)
{
    if (type == CU_MEMORYTYPE_ARRAY)
        return (struct cudaPitchedPtr){0};
    void *pointer =
        type == CU_MEMORYTYPE_HOST ? (void *)(uintptr_t)host : (void *)(uintptr_t)device;
    return (struct cudaPitchedPtr){pointer, pitch, width, height};
}

cudaError_t weft_cudart_copy_back(const CUDA_MEMCPY3D *copy, struct cudaMemcpy3DParms *out)
{
    cudaArray_t from =
        copy->srcMemoryType == CU_MEMORYTYPE_ARRAY ? (cudaArray_t)copy->srcArray : NULL;
    cudaArray_t to =
        copy->dstMemoryType == CU_MEMORYTYPE_ARRAY ? (cudaArray_t)copy->dstArray : NULL;
    unsigned int from_texel = from ? weft_cudart_array_texel_bytes(from) : 1;
    unsigned int to_texel = to ? weft_cudart_array_texel_bytes(to) : 1;
    if (!from_texel || !to_texel)
        return cudaErrorInvalidResourceHandle;
    *out = (struct cudaMemcpy3DParms){
        .srcArray = from,
        .srcPos = {copy->srcXInBytes / from_texel, copy->srcY, copy->srcZ},
        .srcPtr = memory_of(copy->srcMemoryType, copy->srcHost, copy->srcDevice, copy->srcPitch,
                            copy->WidthInBytes, copy->srcHeight),
        .dstArray = to,
        .dstPos = {copy->dstXInBytes / to_texel, copy->dstY, copy->dstZ},
        .dstPtr = memory_of(copy->dstMemoryType, copy->dstHost, copy->dstDevice, copy->dstPitch,
                            copy->WidthInBytes, copy->dstHeight),
        .extent = {copy->WidthInBytes / (from ? from_texel : to_texel), copy->Height, copy->Depth},
        .kind = kind_of(copy)};
    return cudaSuccess;
}

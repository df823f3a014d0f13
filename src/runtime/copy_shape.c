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

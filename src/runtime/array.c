/* Arrays and mipmaps. */
#include "runtime/format.h"

/* Handles of arrays are the driver's under another name. */
static CUarray array_of(cudaArray_const_t array)
{
    return (CUarray)(uintptr_t)array;
}

static cudaError_t shape_of(const struct cudaChannelFormatDesc *desc, struct cudaExtent extent,
                            unsigned int flags, CUDA_ARRAY3D_DESCRIPTOR *out)
{
    struct weft_cudart_format format;
    if (!desc)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_format_of(desc, &format);
    if (result == cudaSuccess)
        *out = (CUDA_ARRAY3D_DESCRIPTOR){.Width = extent.width,
                                         .Height = extent.height,
                                         .Depth = extent.depth,
                                         .Format = format.format,
                                         .NumChannels = format.channels,
                                         .Flags = flags};
    return result;
}

cudaError_t weft_cudart_cudaMalloc3DArray(cudaArray_t *out,
                                          const struct cudaChannelFormatDesc *desc,
                                          struct cudaExtent extent, unsigned int flags)
{
    CUDA_ARRAY3D_DESCRIPTOR shape;
    cudaError_t result = shape_of(desc, extent, flags, &shape);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuArray3DCreate_v2((CUarray *)out, &shape));
}

cudaError_t weft_cudart_cudaMallocArray(cudaArray_t *out, const struct cudaChannelFormatDesc *desc,
                                        size_t width, size_t height, unsigned int flags)
{
    struct cudaExtent extent = {.width = width, .height = height};
    return weft_cudart_cudaMalloc3DArray(out, desc, extent, flags);
}

cudaError_t weft_cudart_cudaFreeArray(cudaArray_t array)
{
    return array ? weft_cudart_error(weft_cudart_driver()->cuArrayDestroy(array_of(array)))
                 : cudaSuccess;
}

cudaError_t weft_cudart_cudaMallocMipmappedArray(cudaMipmappedArray_t *out,
                                                 const struct cudaChannelFormatDesc *desc,
                                                 struct cudaExtent extent, unsigned int levels,
                                                 unsigned int flags)
{
    CUDA_ARRAY3D_DESCRIPTOR shape;
    cudaError_t result = shape_of(desc, extent, flags, &shape);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuMipmappedArrayCreate(
                        (CUmipmappedArray *)out, &shape, levels));
}

cudaError_t weft_cudart_cudaFreeMipmappedArray(cudaMipmappedArray_t mipmap)
{
    return mipmap ? weft_cudart_error(
                        weft_cudart_driver()->cuMipmappedArrayDestroy((CUmipmappedArray)mipmap))
                  : cudaSuccess;
}

cudaError_t weft_cudart_cudaGetMipmappedArrayLevel(cudaArray_t *out,
                                                   cudaMipmappedArray_const_t mipmap,
                                                   unsigned int level)
{
    return weft_cudart_error(weft_cudart_driver()->cuMipmappedArrayGetLevel(
        (CUarray *)out, (CUmipmappedArray)(uintptr_t)mipmap, level));
}

cudaError_t weft_cudart_cudaArrayGetInfo(struct cudaChannelFormatDesc *desc,
                                         struct cudaExtent *extent, unsigned int *flags,
                                         cudaArray_t array)
{
    CUDA_ARRAY3D_DESCRIPTOR shape;
    CUresult result = weft_cudart_driver()->cuArray3DGetDescriptor_v2(&shape, array_of(array));
    if (result)
        return weft_cudart_error(result);
    if (desc)
        *desc = weft_cudart_desc_of(shape.Format, shape.NumChannels);
    if (extent)
        *extent =
            (struct cudaExtent){.width = shape.Width, .height = shape.Height, .depth = shape.Depth};
    if (flags)
        *flags = shape.Flags;
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaGetChannelDesc(struct cudaChannelFormatDesc *desc,
                                           cudaArray_const_t array)
{
    return desc ? weft_cudart_cudaArrayGetInfo(desc, NULL, NULL, (cudaArray_t)(uintptr_t)array)
                : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaArrayGetMemoryRequirements(struct cudaArrayMemoryRequirements *out,
                                                       cudaArray_t array, int device)
{
    return weft_cudart_error(weft_cudart_driver()->cuArrayGetMemoryRequirements(
        (CUDA_ARRAY_MEMORY_REQUIREMENTS *)out, array_of(array), device));
}

cudaError_t
weft_cudart_cudaMipmappedArrayGetMemoryRequirements(struct cudaArrayMemoryRequirements *out,
                                                    cudaMipmappedArray_t mipmap, int device)
{
    return weft_cudart_error(weft_cudart_driver()->cuMipmappedArrayGetMemoryRequirements(
        (CUDA_ARRAY_MEMORY_REQUIREMENTS *)out, (CUmipmappedArray)mipmap, device));
}

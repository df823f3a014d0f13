/* Texture and surface objects. */
#include <string.h>

#include "runtime/format.h"

struct cudaChannelFormatDesc weft_cudart_cudaCreateChannelDesc(int x, int y, int z, int w,
                                                               enum cudaChannelFormatKind kind)
{
    return (struct cudaChannelFormatDesc){.x = x, .y = y, .z = z, .w = w, .f = kind};
}

/* The resource as the driver describes it. */
static cudaError_t resource_of(const struct cudaResourceDesc *desc, CUDA_RESOURCE_DESC *out)
{
    struct weft_cudart_format format;
    cudaError_t result = cudaSuccess;
    memset(out, 0, sizeof(*out));
    out->resType = (CUresourcetype)desc->resType;
    switch (desc->resType) {
    case cudaResourceTypeArray:
        out->res.array.hArray = (CUarray)desc->res.array.array;
        return cudaSuccess;
    case cudaResourceTypeMipmappedArray:
        out->res.mipmap.hMipmappedArray = (CUmipmappedArray)desc->res.mipmap.mipmap;
        return cudaSuccess;
    case cudaResourceTypeLinear:
        result = weft_cudart_format_of(&desc->res.linear.desc, &format);
        if (result)
            return result;
        out->res.linear.devPtr = (CUdeviceptr)(uintptr_t)desc->res.linear.devPtr;
        out->res.linear.format = format.format;
        out->res.linear.numChannels = format.channels;
        out->res.linear.sizeInBytes = desc->res.linear.sizeInBytes;
        return cudaSuccess;
    case cudaResourceTypePitch2D:
        result = weft_cudart_format_of(&desc->res.pitch2D.desc, &format);
        if (result)
            return result;
        out->res.pitch2D.devPtr = (CUdeviceptr)(uintptr_t)desc->res.pitch2D.devPtr;
        out->res.pitch2D.format = format.format;
        out->res.pitch2D.numChannels = format.channels;
        out->res.pitch2D.width = desc->res.pitch2D.width;
        out->res.pitch2D.height = desc->res.pitch2D.height;
        out->res.pitch2D.pitchInBytes = desc->res.pitch2D.pitchInBytes;
        return cudaSuccess;
    default:
        return cudaErrorInvalidValue;
    }
}

static void resource_back(const CUDA_RESOURCE_DESC *desc, struct cudaResourceDesc *out)
{
    memset(out, 0, sizeof(*out));
    out->resType = (enum cudaResourceType)desc->resType;
    switch (out->resType) {
    case cudaResourceTypeArray:
        out->res.array.array = (cudaArray_t)desc->res.array.hArray;
        break;
    case cudaResourceTypeMipmappedArray:
        out->res.mipmap.mipmap = (cudaMipmappedArray_t)desc->res.mipmap.hMipmappedArray;
        break;
    case cudaResourceTypeLinear:
        out->res.linear.devPtr = (void *)(uintptr_t)desc->res.linear.devPtr;
        out->res.linear.desc =
            weft_cudart_desc_of(desc->res.linear.format, desc->res.linear.numChannels);
        out->res.linear.sizeInBytes = desc->res.linear.sizeInBytes;
        break;
    default:
        out->res.pitch2D.devPtr = (void *)(uintptr_t)desc->res.pitch2D.devPtr;
        out->res.pitch2D.desc =
            weft_cudart_desc_of(desc->res.pitch2D.format, desc->res.pitch2D.numChannels);
        out->res.pitch2D.width = desc->res.pitch2D.width;
        out->res.pitch2D.height = desc->res.pitch2D.height;
        out->res.pitch2D.pitchInBytes = desc->res.pitch2D.pitchInBytes;
    }
}

static CUDA_TEXTURE_DESC sampling_of(const struct cudaTextureDesc *desc)
{
    CUDA_TEXTURE_DESC out = {.filterMode = (CUfilter_mode)desc->filterMode,
                             .maxAnisotropy = desc->maxAnisotropy,
                             .mipmapFilterMode = (CUfilter_mode)desc->mipmapFilterMode,
                             .mipmapLevelBias = desc->mipmapLevelBias,
                             .minMipmapLevelClamp = desc->minMipmapLevelClamp,
                             .maxMipmapLevelClamp = desc->maxMipmapLevelClamp};
    for (int i = 0; i < 3; i++)
        out.addressMode[i] = (CUaddress_mode)desc->addressMode[i];
    memcpy(out.borderColor, desc->borderColor, sizeof(out.borderColor));
    out.flags = (desc->readMode == cudaReadModeElementType ? CU_TRSF_READ_AS_INTEGER : 0) |
                (desc->normalizedCoords ? CU_TRSF_NORMALIZED_COORDINATES : 0) |
                (desc->sRGB ? CU_TRSF_SRGB : 0) |
                (desc->disableTrilinearOptimization ? CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION : 0);
#if WEFT_CUDART_MAJOR >= 12
    out.flags |= desc->seamlessCubemap ? CU_TRSF_SEAMLESS_CUBEMAP : 0;
#endif
    return out;
}

static bool reads_floats(const CUDA_RESOURCE_DESC *resource)
{
    CUarray_format format = resource->res.linear.format;
    if (resource->resType == CU_RESOURCE_TYPE_PITCH2D)
        format = resource->res.pitch2D.format;
    return format == CU_AD_FORMAT_FLOAT || format == CU_AD_FORMAT_HALF;
}

cudaError_t weft_cudart_cudaCreateTextureObject(cudaTextureObject_t *out,
                                                const struct cudaResourceDesc *resource,
                                                const struct cudaTextureDesc *texture,
                                                const struct cudaResourceViewDesc *view)
{
    CUDA_RESOURCE_DESC same_resource;
    if (!out || !resource || !texture)
        return cudaErrorInvalidValue;
    cudaError_t result = resource_of(resource, &same_resource);
    if (result)
        return result;
    CUDA_TEXTURE_DESC sampling = sampling_of(texture);
    /* Floats are read as what they are in either mode. */
    if (same_resource.resType >= CU_RESOURCE_TYPE_LINEAR && reads_floats(&same_resource))
        sampling.flags &= ~(unsigned int)CU_TRSF_READ_AS_INTEGER;
    CUDA_RESOURCE_VIEW_DESC same_view = {0};
    if (view)
        same_view = (CUDA_RESOURCE_VIEW_DESC){.format = (CUresourceViewFormat)view->format,
                                              .width = view->width,
                                              .height = view->height,
                                              .depth = view->depth,
                                              .firstMipmapLevel = view->firstMipmapLevel,
                                              .lastMipmapLevel = view->lastMipmapLevel,
                                              .firstLayer = view->firstLayer,
                                              .lastLayer = view->lastLayer};
    return weft_cudart_error(weft_cudart_driver()->cuTexObjectCreate(
        (CUtexObject *)out, &same_resource, &sampling, view ? &same_view : NULL));
}

cudaError_t weft_cudart_cudaCreateSurfaceObject(cudaSurfaceObject_t *out,
                                                const struct cudaResourceDesc *resource)
{
    CUDA_RESOURCE_DESC same;
    if (!out || !resource)
        return cudaErrorInvalidValue;
    cudaError_t result = resource_of(resource, &same);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuSurfObjectCreate((CUsurfObject *)out, &same));
}

cudaError_t weft_cudart_cudaGetTextureObjectResourceDesc(struct cudaResourceDesc *out,
                                                         cudaTextureObject_t object)
{
    CUDA_RESOURCE_DESC same;
    CUresult result = weft_cudart_driver()->cuTexObjectGetResourceDesc(&same, object);
    if (result == CUDA_SUCCESS && out)
        resource_back(&same, out);
    return out ? weft_cudart_error(result) : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaGetSurfaceObjectResourceDesc(struct cudaResourceDesc *out,
                                                         cudaSurfaceObject_t object)
{
    CUDA_RESOURCE_DESC same;
    CUresult result = weft_cudart_driver()->cuSurfObjectGetResourceDesc(&same, object);
    if (result == CUDA_SUCCESS && out)
        resource_back(&same, out);
    return out ? weft_cudart_error(result) : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_cudaGetTextureObjectTextureDesc(struct cudaTextureDesc *out,
                                                        cudaTextureObject_t object)
{
    CUDA_TEXTURE_DESC same;
    if (!out)
        return cudaErrorInvalidValue;
    CUresult result = weft_cudart_driver()->cuTexObjectGetTextureDesc(&same, object);
    if (result)
        return weft_cudart_error(result);
    *out = (struct cudaTextureDesc){
        .filterMode = (enum cudaTextureFilterMode)same.filterMode,
        .readMode = same.flags & CU_TRSF_READ_AS_INTEGER ? cudaReadModeElementType
                                                         : cudaReadModeNormalizedFloat,
        .sRGB = !!(same.flags & CU_TRSF_SRGB),
        .normalizedCoords = !!(same.flags & CU_TRSF_NORMALIZED_COORDINATES),
        .maxAnisotropy = same.maxAnisotropy,
        .mipmapFilterMode = (enum cudaTextureFilterMode)same.mipmapFilterMode,
        .mipmapLevelBias = same.mipmapLevelBias,
        .minMipmapLevelClamp = same.minMipmapLevelClamp,
        .maxMipmapLevelClamp = same.maxMipmapLevelClamp,
        .disableTrilinearOptimization = !!(same.flags & CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION)};
    for (int i = 0; i < 3; i++)
        out->addressMode[i] = (enum cudaTextureAddressMode)same.addressMode[i];
    memcpy(out->borderColor, same.borderColor, sizeof(out->borderColor));
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaGetTextureObjectResourceViewDesc(struct cudaResourceViewDesc *out,
                                                             cudaTextureObject_t object)
{
    CUDA_RESOURCE_VIEW_DESC same;
    if (!out)
        return cudaErrorInvalidValue;
    CUresult result = weft_cudart_driver()->cuTexObjectGetResourceViewDesc(&same, object);
    if (result == CUDA_SUCCESS)
        *out = (struct cudaResourceViewDesc){.format = (enum cudaResourceViewFormat)same.format,
                                             .width = same.width,
                                             .height = same.height,
                                             .depth = same.depth,
                                             .firstMipmapLevel = same.firstMipmapLevel,
                                             .lastMipmapLevel = same.lastMipmapLevel,
                                             .firstLayer = same.firstLayer,
                                             .lastLayer = same.lastLayer};
    return weft_cudart_error(result);
}

cudaError_t weft_cudart_cudaDeviceGetTexture1DLinearMaxWidth(
    size_t *out, const struct cudaChannelFormatDesc *desc, int device)
{
    struct weft_cudart_format format;
    if (!out || !desc)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_format_of(desc, &format);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuDeviceGetTexture1DLinearMaxWidth(
                        out, format.format, format.channels, device));
}

/* Texture and surface references, which CUDA 11 was the last to have: the program sets fields of a
 * variable of its own, and they hold from the next time that something is bound to it. */
#include "runtime/format.h"
#include "runtime/register.h"

#if WEFT_CUDART_MAJOR <= 11
static unsigned int flags_of(const struct textureReference *texture, bool reads_floats,
                             enum cudaChannelFormatKind kind)
{
    bool as_integer = !reads_floats && kind != cudaChannelFormatKindFloat;
    return (as_integer ? CU_TRSF_READ_AS_INTEGER : 0) |
           (texture->normalized ? CU_TRSF_NORMALIZED_COORDINATES : 0) |
           (texture->sRGB ? CU_TRSF_SRGB : 0) |
           (texture->disableTrilinearOptimization ? CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION : 0);
}

/* The program's settings, handed to the driver; INVALID_TEXTURE for what was not registered. */
static cudaError_t set_up(const struct textureReference *texture,
                          const struct cudaChannelFormatDesc *desc, CUtexref *out,
                          struct weft_cudart_format *format)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    bool reads_floats;
    if (!texture || !desc)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_texture_of(texture, out, &reads_floats);
    if (!result)
        result = weft_cudart_format_of(desc, format);
    if (result)
        return result;
    CUresult set = driver->cuTexRefSetFormat(*out, format->format, (int)format->channels);
    for (int i = 0; i < 3 && !set; i++)
        set = driver->cuTexRefSetAddressMode(*out, i, (CUaddress_mode)texture->addressMode[i]);
    if (!set)
        set = driver->cuTexRefSetFilterMode(*out, (CUfilter_mode)texture->filterMode);
    if (!set)
        set = driver->cuTexRefSetMaxAnisotropy(*out,
                                               texture->maxAnisotropy ? texture->maxAnisotropy : 1);
    if (!set)
        set = driver->cuTexRefSetMipmapFilterMode(*out, (CUfilter_mode)texture->mipmapFilterMode);
    if (!set)
        set = driver->cuTexRefSetMipmapLevelBias(*out, texture->mipmapLevelBias);
    if (!set)
        set = driver->cuTexRefSetMipmapLevelClamp(*out, texture->minMipmapLevelClamp,
                                                  texture->maxMipmapLevelClamp);
    if (!set)
        set = driver->cuTexRefSetFlags(*out, flags_of(texture, reads_floats, desc->f));
    return weft_cudart_error(set);
}

/* Memory that is not aligned enough is bound from the aligned address before it; a program that
 * takes no offset cannot know. */
static cudaError_t tell_offset(const struct textureReference *texture, size_t *offset, size_t found)
{
    if (offset)
        *offset = found;
    else if (found)
        return cudaErrorInvalidValue;
    weft_cudart_texture_offset(texture, &found, true);
    return cudaSuccess;
}

cudaError_t weft_cudart_cudaBindTexture(size_t *offset, const struct textureReference *texture,
                                        const void *pointer,
                                        const struct cudaChannelFormatDesc *desc, size_t bytes)
{
    CUtexref reference;
    struct weft_cudart_format format;
    size_t found = 0, most = 0;
    cudaError_t result = set_up(texture, desc, &reference, &format);
    if (!result)
        result =
            weft_cudart_cudaDeviceGetTexture1DLinearMaxWidth(&most, desc, weft_cudart_device());
    if (result && result != cudaErrorNotSupported)
        return result;
    CUdeviceptr address = (CUdeviceptr)(uintptr_t)pointer, base;
    size_t room;
    CUresult bound = weft_cudart_driver()->cuMemGetAddressRange_v2(&base, &room, address);
    if (bound)
        return weft_cudart_error(bound);
    /* The size is what the caller says, and by default more than there is. */
    if (bytes > room - (size_t)(address - base))
        bytes = room - (size_t)(address - base);
    bound = weft_cudart_driver()->cuTexRefSetAddress_v2(&found, reference, address, bytes);
    return bound ? weft_cudart_error(bound) : tell_offset(texture, offset, found);
}

cudaError_t weft_cudart_cudaBindTexture2D(size_t *offset, const struct textureReference *texture,
                                          const void *pointer,
                                          const struct cudaChannelFormatDesc *desc, size_t width,
                                          size_t height, size_t pitch)
{
    CUtexref reference;
    struct weft_cudart_format format;
    cudaError_t result = set_up(texture, desc, &reference, &format);
    if (result)
        return result;
    CUDA_ARRAY_DESCRIPTOR shape = {
        .Width = width, .Height = height, .Format = format.format, .NumChannels = format.channels};
    result = weft_cudart_error(weft_cudart_driver()->cuTexRefSetAddress2D_v3(
        reference, &shape, (CUdeviceptr)(uintptr_t)pointer, pitch));
    return result ? result : tell_offset(texture, offset, 0);
}

cudaError_t weft_cudart_cudaBindTextureToArray(const struct textureReference *texture,
                                               cudaArray_const_t array,
                                               const struct cudaChannelFormatDesc *desc)
{
    CUtexref reference;
    struct weft_cudart_format format;
    cudaError_t result = set_up(texture, desc, &reference, &format);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuTexRefSetArray(
                        reference, (CUarray)(uintptr_t)array, CU_TRSA_OVERRIDE_FORMAT));
}

cudaError_t weft_cudart_cudaBindTextureToMipmappedArray(const struct textureReference *texture,
                                                        cudaMipmappedArray_const_t mipmap,
                                                        const struct cudaChannelFormatDesc *desc)
{
    CUtexref reference;
    struct weft_cudart_format format;
    cudaError_t result = set_up(texture, desc, &reference, &format);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuTexRefSetMipmappedArray(
                        reference, (CUmipmappedArray)(uintptr_t)mipmap, CU_TRSA_OVERRIDE_FORMAT));
}

cudaError_t weft_cudart_cudaUnbindTexture(const struct textureReference *texture)
{
    CUtexref reference;
    bool reads_floats;
    cudaError_t result = weft_cudart_texture_of(texture, &reference, &reads_floats);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuTexRefSetAddress_v2(NULL, reference, 0, 0));
}

cudaError_t weft_cudart_cudaGetTextureAlignmentOffset(size_t *offset,
                                                      const struct textureReference *texture)
{
    return offset ? weft_cudart_texture_offset(texture, offset, false) : cudaErrorInvalidValue;
}

/* The variable is its own reference. */
cudaError_t weft_cudart_cudaGetTextureReference(const struct textureReference **texture,
                                                const void *symbol)
{
    size_t offset;
    if (!texture)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_texture_offset(symbol, &offset, false);
    if (!result)
        *texture = symbol;
    return result;
}

cudaError_t weft_cudart_cudaBindSurfaceToArray(const struct surfaceReference *surface,
                                               cudaArray_const_t array,
                                               const struct cudaChannelFormatDesc *desc)
{
    CUsurfref reference;
    if (!desc)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_surface_of(surface, &reference);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuSurfRefSetArray(
                        reference, (CUarray)(uintptr_t)array, 0));
}

cudaError_t weft_cudart_cudaGetSurfaceReference(const struct surfaceReference **surface,
                                                const void *symbol)
{
    CUsurfref reference;
    if (!surface)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_surface_of(symbol, &reference);
    if (!result)
        *surface = symbol;
    return result;
}
#endif

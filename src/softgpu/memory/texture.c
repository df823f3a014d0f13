#include "softgpu/memory/texture.h"

#include <string.h>

#include "softgpu/memory/array.h"
#include "softgpu/memory/format.h"
#include "util/util.h"

#define TEXTURE_FLAGS                                                          \
    (CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB | \
     CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION | CU_TRSF_SEAMLESS_CUBEMAP)

static bool modes_exist(const CUDA_TEXTURE_DESC *texture)
{
    for (int i = 0; i < 3; i++) {
        if ((unsigned int)texture->addressMode[i] > CU_TR_ADDRESS_MODE_BORDER)
            return false;
    }
    return (unsigned int)texture->filterMode <= CU_TR_FILTER_MODE_LINEAR &&
           (unsigned int)texture->mipmapFilterMode <= CU_TR_FILTER_MODE_LINEAR &&
           !(texture->flags & ~(unsigned int)TEXTURE_FLAGS);
}

/* Integers of 32 bits are never made floats. */
static bool gives_integers(const struct weft_soft_format *format, unsigned int flags)
{
    return format->is_integer && (format->channel_bytes == 4 || (flags & CU_TRSF_READ_AS_INTEGER));
}

/* Only texels of 8 bits that are read as 0…1 can hold sRGB. */
static bool decodes_srgb(const struct weft_soft_format *format, const CUDA_TEXTURE_DESC *texture)
{
    bool is_unsigned = format->format == CU_AD_FORMAT_UNSIGNED_INT8 ||
                       (format->is_normalised && format->format <= CU_AD_FORMAT_UNORM_INT8X4);
    return (texture->flags & CU_TRSF_SRGB) && format->channel_bytes == 1 && is_unsigned &&
           !gives_integers(format, texture->flags);
}

/* Coordinates in texels can neither wrap nor mirror: a card clamps them. */
static CUaddress_mode address_mode(CUaddress_mode mode, bool normalised)
{
    bool repeats = mode == CU_TR_ADDRESS_MODE_WRAP || mode == CU_TR_ADDRESS_MODE_MIRROR;
    return repeats && !normalised ? CU_TR_ADDRESS_MODE_CLAMP : mode;
}

static void set_sampling(struct weft_exec_texture *out, const CUDA_TEXTURE_DESC *texture)
{
    const struct weft_soft_format *format = weft_soft_format_find(out->image.format);
    out->normalised_coordinates = texture->flags & CU_TRSF_NORMALIZED_COORDINATES;
    for (int i = 0; i < 3; i++)
        out->address_mode[i] = address_mode(texture->addressMode[i], out->normalised_coordinates);
    out->filter = texture->filterMode;
    out->mipmap_filter = texture->mipmapFilterMode;
    out->mipmap_bias = texture->mipmapLevelBias;
    out->mipmap_clamp_min = texture->minMipmapLevelClamp;
    out->mipmap_clamp_max = texture->maxMipmapLevelClamp;
    memcpy(out->border, texture->borderColor, sizeof(out->border));
    out->max_anisotropy = WEFT_MIN(WEFT_MAX(texture->maxAnisotropy, 1u), WEFT_SOFT_ANISOTROPY_MAX);
    out->read_as_integer = gives_integers(format, texture->flags);
    out->srgb = decodes_srgb(format, texture);
    out->seamless_cube = texture->flags & CU_TRSF_SEAMLESS_CUBEMAP;
}

/* Filters mix texels, which integers cannot be. Linear memory is read by index and never filtered.
 */
static bool can_filter(const struct weft_exec_texture *texture)
{
    if (!texture->read_as_integer || texture->image.shape == WEFT_EXEC_IMAGE_LINEAR)
        return true;
    return texture->filter == CU_TR_FILTER_MODE_POINT &&
           (texture->image.level_count == 1 || texture->mipmap_filter == CU_TR_FILTER_MODE_POINT);
}

CUresult weft_soft_texture_describe(const struct weft_soft_device *device,
                                    const CUDA_RESOURCE_DESC *resource,
                                    const CUDA_TEXTURE_DESC *texture,
                                    const CUDA_RESOURCE_VIEW_DESC *view,
                                    struct weft_exec_texture *out)
{
    *out = (struct weft_exec_texture){0};
    CUresult result = weft_soft_resource_describe(device, resource, &out->image);
    if (result == CUDA_SUCCESS && view)
        result = weft_soft_resource_view(resource, view, &out->image);
    if (result == CUDA_SUCCESS && !modes_exist(texture))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return result;
    set_sampling(out, texture);
    return can_filter(out) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult weft_soft_surface_describe(const struct weft_soft_device *device,
                                    const CUDA_RESOURCE_DESC *resource,
                                    struct weft_exec_texture *out)
{
    if (resource->resType != CU_RESOURCE_TYPE_ARRAY)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_array *array = weft_soft_array_get(resource->res.array.hArray);
    if (!array)
        return CUDA_ERROR_INVALID_HANDLE;
    bool can_store = array->descriptor.Flags & CUDA_ARRAY3D_SURFACE_LDST;
    weft_soft_array_put(array);
    if (!can_store)
        return CUDA_ERROR_INVALID_VALUE;
    *out = (struct weft_exec_texture){.is_surface = true};
    return weft_soft_resource_describe(device, resource, &out->image);
}

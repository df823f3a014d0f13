/* Where the texels of a texture's resource lie, and which of them a view shows. */
#include "softgpu/memory/array.h"
#include "softgpu/memory/format.h"
#include "softgpu/memory/texture.h"
#include "util/util.h"

#define F(name) CU_AD_FORMAT_##name

static CUresult of_array(const struct weft_soft_device *device, struct weft_soft_array *array,
                         struct weft_exec_image *image)
{
    if (!array)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = CUDA_ERROR_INVALID_VALUE;
    if (array->device == device) {
        *image = array->image;
        result = CUDA_SUCCESS;
    }
    weft_soft_array_put(array);
    return result;
}

/* An image of one level over memory of the program. */
static struct weft_exec_image flat_image(enum weft_exec_image_shape shape, CUarray_format format,
                                         unsigned int channels)
{
    return (struct weft_exec_image){.shape = shape,
                                    .format = format,
                                    .channels = channels,
                                    .texel_bytes = weft_soft_format_texel_bytes(format, channels),
                                    .level_count = 1};
}

static bool is_aligned(uint64_t value, uint64_t alignment)
{
    return value % alignment == 0;
}

static CUresult of_linear(const struct weft_soft_device *device, const CUDA_RESOURCE_DESC *resource,
                          struct weft_exec_image *image)
{
    CUarray_format format = resource->res.linear.format;
    unsigned int channels = resource->res.linear.numChannels;
    CUdeviceptr address = resource->res.linear.devPtr;
    CUresult result = weft_soft_format_check(format, channels);
    if (result != CUDA_SUCCESS)
        return result;
    *image = flat_image(WEFT_EXEC_IMAGE_LINEAR, format, channels);
    uint64_t width = resource->res.linear.sizeInBytes / image->texel_bytes;
    struct weft_soft_extent max =
        weft_soft_extent_max(device, WEFT_EXEC_IMAGE_LINEAR, WEFT_SOFT_USE_TEXTURE);
    if (address == 0 || !is_aligned(address, WEFT_SOFT_TEXTURE_ALIGNMENT) || width == 0 ||
        width > (uint64_t)max.width)
        return CUDA_ERROR_INVALID_VALUE;
    image->levels[0] = (struct weft_exec_image_level){.address = address,
                                                      .row_bytes = width * image->texel_bytes,
                                                      .slice_bytes = width * image->texel_bytes,
                                                      .width = (uint32_t)width,
                                                      .height = 1,
                                                      .depth = 1};
    return CUDA_SUCCESS;
}

static CUresult of_pitched(const struct weft_soft_device *device,
                           const CUDA_RESOURCE_DESC *resource, struct weft_exec_image *image)
{
    CUarray_format format = resource->res.pitch2D.format;
    unsigned int channels = resource->res.pitch2D.numChannels;
    uint64_t address = resource->res.pitch2D.devPtr, pitch = resource->res.pitch2D.pitchInBytes;
    uint64_t width = resource->res.pitch2D.width, height = resource->res.pitch2D.height;
    CUresult result = weft_soft_format_check(format, channels);
    if (result != CUDA_SUCCESS)
        return result;
    *image = flat_image(WEFT_EXEC_IMAGE_2D, format, channels);
    struct weft_soft_pitched_max max = weft_soft_pitched_max(device);
    bool placed = address != 0 && is_aligned(address, WEFT_SOFT_TEXTURE_ALIGNMENT) &&
                  is_aligned(pitch, WEFT_SOFT_TEXTURE_PITCH_ALIGNMENT) && pitch <= max.pitch;
    if (!placed || width == 0 || height == 0 || width > max.width || height > max.height ||
        width * image->texel_bytes > pitch)
        return CUDA_ERROR_INVALID_VALUE;
    image->levels[0] = (struct weft_exec_image_level){.address = address,
                                                      .row_bytes = pitch,
                                                      .slice_bytes = pitch * height,
                                                      .width = (uint32_t)width,
                                                      .height = (uint32_t)height,
                                                      .depth = 1};
    return CUDA_SUCCESS;
}

CUresult weft_soft_resource_describe(const struct weft_soft_device *device,
                                     const CUDA_RESOURCE_DESC *resource,
                                     struct weft_exec_image *image)
{
    if (resource->flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    switch (resource->resType) {
    case CU_RESOURCE_TYPE_ARRAY:
        return of_array(device, weft_soft_array_get(resource->res.array.hArray), image);
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
        return of_array(device, weft_soft_array_get_mipmapped(resource->res.mipmap.hMipmappedArray),
                        image);
    case CU_RESOURCE_TYPE_LINEAR:
        return of_linear(device, resource, image);
    case CU_RESOURCE_TYPE_PITCH2D:
        return of_pitched(device, resource, image);
    }
    return CUDA_ERROR_INVALID_VALUE;
}

/* The formats of views come in threes, of 1, 2 and 4 channels, in this order. */
static const CUarray_format view_formats[] = {
    F(UNSIGNED_INT8),  F(SIGNED_INT8),  F(UNSIGNED_INT16), F(SIGNED_INT16),
    F(UNSIGNED_INT32), F(SIGNED_INT32), F(HALF),           F(FLOAT),
};

static CUresult view_format(CUresourceViewFormat format, struct weft_exec_image *image)
{
    static const unsigned int channels[] = {1, 2, 4};
    if (format == CU_RES_VIEW_FORMAT_NONE)
        return CUDA_SUCCESS;
    if ((unsigned int)format > CU_RES_VIEW_FORMAT_UNSIGNED_BC7)
        return CUDA_ERROR_INVALID_VALUE;
    unsigned int index = (unsigned int)format - 1;
    if (index / 3 >= WEFT_ARRAY_COUNT(view_formats))
        return CUDA_ERROR_NOT_SUPPORTED;
    image->format = view_formats[index / 3];
    image->channels = channels[index % 3];
    return weft_soft_format_texel_bytes(image->format, image->channels) == image->texel_bytes
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_VALUE;
}

static bool is_layered(const struct weft_exec_image *image)
{
    return image->shape >= WEFT_EXEC_IMAGE_1D_LAYERED;
}

static bool view_sides(const CUDA_RESOURCE_VIEW_DESC *view, const struct weft_exec_image *image)
{
    const struct weft_exec_image_level *level = &image->levels[0];
    return view->width == level->width && WEFT_MAX(view->height, (size_t)1) == level->height &&
           (is_layered(image) || image->shape == WEFT_EXEC_IMAGE_CUBE ||
            WEFT_MAX(view->depth, (size_t)1) == level->depth);
}

/* Layers of a layered cube count faces. */
static bool view_layers(const CUDA_RESOURCE_VIEW_DESC *view, struct weft_exec_image *image)
{
    if (!is_layered(image))
        return view->firstLayer == 0 && view->lastLayer == 0;
    if (view->firstLayer > view->lastLayer || view->lastLayer >= image->levels[0].depth)
        return false;
    uint32_t count = view->lastLayer - view->firstLayer + 1;
    if (image->shape == WEFT_EXEC_IMAGE_CUBE_LAYERED && count % 6 != 0)
        return false;
    for (uint32_t i = 0; i < image->level_count; i++) {
        image->levels[i].address += view->firstLayer * image->levels[i].slice_bytes;
        image->levels[i].depth = count;
    }
    return true;
}

static bool view_levels(const CUDA_RESOURCE_VIEW_DESC *view, struct weft_exec_image *image)
{
    if (view->firstMipmapLevel > view->lastMipmapLevel ||
        view->lastMipmapLevel >= image->level_count)
        return false;
    image->level_count = view->lastMipmapLevel - view->firstMipmapLevel + 1;
    for (uint32_t i = 0; i < image->level_count; i++)
        image->levels[i] = image->levels[view->firstMipmapLevel + i];
    return true;
}

CUresult weft_soft_resource_view(const CUDA_RESOURCE_DESC *resource,
                                 const CUDA_RESOURCE_VIEW_DESC *view, struct weft_exec_image *image)
{
    if (resource->resType != CU_RESOURCE_TYPE_ARRAY &&
        resource->resType != CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = view_format(view->format, image);
    if (result != CUDA_SUCCESS)
        return result;
    bool valid = view_sides(view, image) && view_layers(view, image) && view_levels(view, image);
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

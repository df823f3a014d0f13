/* Which arrays there can be, and where in its memory each level of one lies. */
#include "softgpu/memory/array.h"
#include "softgpu/memory/attributes.h"
#include "softgpu/memory/format.h"
#include "util/util.h"

#define SHAPE_COUNT (WEFT_EXEC_IMAGE_CUBE_LAYERED + 1)
#define FLAGS_SERVED                                                           \
    (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | \
     CUDA_ARRAY3D_TEXTURE_GATHER)
#define FLAGS_REFUSED                                                                   \
    (CUDA_ARRAY3D_DEPTH_TEXTURE | CUDA_ARRAY3D_COLOR_ATTACHMENT | CUDA_ARRAY3D_SPARSE | \
     CUDA_ARRAY3D_DEFERRED_MAPPING | CUDA_ARRAY3D_VIDEO_ENCODE_DECODE)
#define CUBE_FACES 6

#define A(name) CU_DEVICE_ATTRIBUTE_MAXIMUM_##name

/* Which attributes of the device say how large an image may be. 0: no such side. */
struct limit {
    CUdevice_attribute width, height, depth;
};

static const struct limit texture_limits[SHAPE_COUNT] = {
    [WEFT_EXEC_IMAGE_LINEAR] = {A(TEXTURE1D_LINEAR_WIDTH), 0, 0},
    [WEFT_EXEC_IMAGE_1D] = {A(TEXTURE1D_WIDTH), 0, 0},
    [WEFT_EXEC_IMAGE_2D] = {A(TEXTURE2D_WIDTH), A(TEXTURE2D_HEIGHT), 0},
    [WEFT_EXEC_IMAGE_3D] = {A(TEXTURE3D_WIDTH), A(TEXTURE3D_HEIGHT), A(TEXTURE3D_DEPTH)},
    [WEFT_EXEC_IMAGE_CUBE] = {A(TEXTURECUBEMAP_WIDTH), A(TEXTURECUBEMAP_WIDTH), 0},
    [WEFT_EXEC_IMAGE_1D_LAYERED] = {A(TEXTURE1D_LAYERED_WIDTH), 0, A(TEXTURE1D_LAYERED_LAYERS)},
    [WEFT_EXEC_IMAGE_2D_LAYERED] = {A(TEXTURE2D_LAYERED_WIDTH), A(TEXTURE2D_LAYERED_HEIGHT),
                                    A(TEXTURE2D_LAYERED_LAYERS)},
    [WEFT_EXEC_IMAGE_CUBE_LAYERED] = {A(TEXTURECUBEMAP_LAYERED_WIDTH),
                                      A(TEXTURECUBEMAP_LAYERED_WIDTH),
                                      A(TEXTURECUBEMAP_LAYERED_LAYERS)},
};

static const struct limit surface_limits[SHAPE_COUNT] = {
    [WEFT_EXEC_IMAGE_1D] = {A(SURFACE1D_WIDTH), 0, 0},
    [WEFT_EXEC_IMAGE_2D] = {A(SURFACE2D_WIDTH), A(SURFACE2D_HEIGHT), 0},
    [WEFT_EXEC_IMAGE_3D] = {A(SURFACE3D_WIDTH), A(SURFACE3D_HEIGHT), A(SURFACE3D_DEPTH)},
    [WEFT_EXEC_IMAGE_CUBE] = {A(SURFACECUBEMAP_WIDTH), A(SURFACECUBEMAP_WIDTH), 0},
    [WEFT_EXEC_IMAGE_1D_LAYERED] = {A(SURFACE1D_LAYERED_WIDTH), 0, A(SURFACE1D_LAYERED_LAYERS)},
    [WEFT_EXEC_IMAGE_2D_LAYERED] = {A(SURFACE2D_LAYERED_WIDTH), A(SURFACE2D_LAYERED_HEIGHT),
                                    A(SURFACE2D_LAYERED_LAYERS)},
    [WEFT_EXEC_IMAGE_CUBE_LAYERED] = {A(SURFACECUBEMAP_LAYERED_WIDTH),
                                      A(SURFACECUBEMAP_LAYERED_WIDTH),
                                      A(SURFACECUBEMAP_LAYERED_LAYERS)},
};

/* Where they differ from those of the same image without a mipmap. */
static const struct limit mipmap_limits[SHAPE_COUNT] = {
    [WEFT_EXEC_IMAGE_1D] = {A(TEXTURE1D_MIPMAPPED_WIDTH), 0, 0},
    [WEFT_EXEC_IMAGE_2D] = {A(TEXTURE2D_MIPMAPPED_WIDTH), A(TEXTURE2D_MIPMAPPED_HEIGHT), 0},
};

static const struct limit gather_limit = {A(TEXTURE2D_GATHER_WIDTH), A(TEXTURE2D_GATHER_HEIGHT), 0};
/* Another form that a volume may have. */
static const struct limit alternate_limit = {
    A(TEXTURE3D_WIDTH_ALTERNATE), A(TEXTURE3D_HEIGHT_ALTERNATE), A(TEXTURE3D_DEPTH_ALTERNATE)};

static int ask(const struct weft_soft_device *device, CUdevice_attribute attribute)
{
    int value = 0;
    if (attribute)
        weft_soft_attribute_get(device, attribute, &value);
    return value;
}

static struct weft_soft_extent extent_of(const struct weft_soft_device *device,
                                         const struct limit *limit)
{
    return (struct weft_soft_extent){ask(device, limit->width), ask(device, limit->height),
                                     ask(device, limit->depth)};
}

struct weft_soft_extent weft_soft_extent_max(const struct weft_soft_device *device,
                                             enum weft_exec_image_shape shape,
                                             enum weft_soft_image_use use)
{
    const struct limit *limit = &texture_limits[shape];
    if (use == WEFT_SOFT_USE_SURFACE)
        limit = &surface_limits[shape];
    else if (use == WEFT_SOFT_USE_MIPMAPPED && mipmap_limits[shape].width)
        limit = &mipmap_limits[shape];
    return extent_of(device, limit);
}

struct weft_soft_pitched_max weft_soft_pitched_max(const struct weft_soft_device *device)
{
    return (struct weft_soft_pitched_max){(uint64_t)ask(device, A(TEXTURE2D_LINEAR_WIDTH)),
                                          (uint64_t)ask(device, A(TEXTURE2D_LINEAR_HEIGHT)),
                                          (uint64_t)ask(device, A(TEXTURE2D_LINEAR_PITCH))};
}

static enum weft_exec_image_shape shape_of(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    bool layered = descriptor->Flags & CUDA_ARRAY3D_LAYERED;
    if (descriptor->Flags & CUDA_ARRAY3D_CUBEMAP)
        return layered ? WEFT_EXEC_IMAGE_CUBE_LAYERED : WEFT_EXEC_IMAGE_CUBE;
    if (layered)
        return descriptor->Height ? WEFT_EXEC_IMAGE_2D_LAYERED : WEFT_EXEC_IMAGE_1D_LAYERED;
    if (descriptor->Depth)
        return WEFT_EXEC_IMAGE_3D;
    return descriptor->Height ? WEFT_EXEC_IMAGE_2D : WEFT_EXEC_IMAGE_1D;
}

static bool fits(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, struct weft_soft_extent max)
{
    return descriptor->Width <= (size_t)max.width &&
           (!max.height || descriptor->Height <= (size_t)max.height) &&
           (!max.depth || descriptor->Depth <= (size_t)max.depth);
}

/* Whether the sides are those that the shape has. */
static bool has_sides(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, enum weft_exec_image_shape shape)
{
    if (descriptor->Width == 0)
        return false;
    switch (shape) {
    case WEFT_EXEC_IMAGE_3D:
    case WEFT_EXEC_IMAGE_2D_LAYERED:
        return descriptor->Height > 0 && descriptor->Depth > 0;
    case WEFT_EXEC_IMAGE_1D_LAYERED:
        return descriptor->Depth > 0;
    case WEFT_EXEC_IMAGE_CUBE:
        return descriptor->Width == descriptor->Height && descriptor->Depth == CUBE_FACES;
    case WEFT_EXEC_IMAGE_CUBE_LAYERED:
        return descriptor->Width == descriptor->Height && descriptor->Depth > 0 &&
               descriptor->Depth % CUBE_FACES == 0;
    case WEFT_EXEC_IMAGE_LINEAR:
    case WEFT_EXEC_IMAGE_1D:
    case WEFT_EXEC_IMAGE_2D:
        break;
    }
    return true;
}

static bool is_in_limits(const struct weft_soft_device *device,
                         const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                         enum weft_exec_image_shape shape, bool mipmapped)
{
    enum weft_soft_image_use use = mipmapped ? WEFT_SOFT_USE_MIPMAPPED : WEFT_SOFT_USE_TEXTURE;
    bool texture =
        fits(descriptor, weft_soft_extent_max(device, shape, use)) ||
        (shape == WEFT_EXEC_IMAGE_3D && fits(descriptor, extent_of(device, &alternate_limit)));
    bool surface = !(descriptor->Flags & CUDA_ARRAY3D_SURFACE_LDST) ||
                   fits(descriptor, weft_soft_extent_max(device, shape, WEFT_SOFT_USE_SURFACE));
    bool gather =
        !(descriptor->Flags & CUDA_ARRAY3D_TEXTURE_GATHER) ||
        (shape == WEFT_EXEC_IMAGE_2D && fits(descriptor, extent_of(device, &gather_limit)));
    return texture && surface && gather;
}

static CUresult check(const struct weft_soft_device *device,
                      const CUDA_ARRAY3D_DESCRIPTOR *descriptor, enum weft_exec_image_shape shape,
                      bool mipmapped)
{
    if (descriptor->Flags & ~(unsigned int)(FLAGS_SERVED | FLAGS_REFUSED))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = weft_soft_format_check(descriptor->Format, descriptor->NumChannels);
    if (result == CUDA_SUCCESS &&
        !(has_sides(descriptor, shape) && is_in_limits(device, descriptor, shape, mipmapped)))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && (descriptor->Flags & FLAGS_REFUSED))
        result = CUDA_ERROR_NOT_SUPPORTED;
    return result;
}

static uint32_t half(uint32_t side, uint32_t level)
{
    return WEFT_MAX(side >> level, 1u);
}

static uint32_t count_levels(const struct weft_exec_image *image, uint32_t asked)
{
    const struct weft_exec_image_level *first = &image->levels[0];
    uint32_t side = WEFT_MAX(first->width, first->height);
    if (image->shape == WEFT_EXEC_IMAGE_3D)
        side = WEFT_MAX(side, first->depth);
    uint32_t most = 32 - (uint32_t)__builtin_clz(side);
    return WEFT_MIN(WEFT_MAX(asked, 1u), WEFT_MIN(most, (uint32_t)WEFT_EXEC_IMAGE_LEVELS_MAX));
}

static void lay_out_level(struct weft_exec_image *image, uint32_t index, uint64_t address)
{
    const struct weft_exec_image_level *first = &image->levels[0];
    uint32_t depth = image->shape == WEFT_EXEC_IMAGE_3D ? half(first->depth, index) : first->depth;
    struct weft_exec_image_level level = {.address = address,
                                          .width = half(first->width, index),
                                          .height = half(first->height, index),
                                          .depth = depth};
    level.row_bytes = (uint64_t)level.width * image->texel_bytes;
    level.slice_bytes = level.row_bytes * level.height;
    image->levels[index] = level;
}

CUresult weft_soft_array_lay_out(const struct weft_soft_device *device,
                                 const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                                 unsigned int level_count, struct weft_exec_image *image,
                                 uint64_t *bytes)
{
    enum weft_exec_image_shape shape = shape_of(descriptor);
    CUresult result = check(device, descriptor, shape, level_count > 0);
    if (result != CUDA_SUCCESS)
        return result;
    *image = (struct weft_exec_image){
        .shape = shape,
        .format = descriptor->Format,
        .channels = descriptor->NumChannels,
        .texel_bytes = weft_soft_format_texel_bytes(descriptor->Format, descriptor->NumChannels),
        .levels[0] = {.width = (uint32_t)descriptor->Width,
                      .height = (uint32_t)WEFT_MAX(descriptor->Height, (size_t)1),
                      .depth = (uint32_t)WEFT_MAX(descriptor->Depth, (size_t)1)}};
    image->level_count = count_levels(image, level_count);
    *bytes = 0;
    for (uint32_t i = 0; i < image->level_count; i++) {
        lay_out_level(image, i, *bytes);
        *bytes += image->levels[i].slice_bytes * image->levels[i].depth;
    }
    return CUDA_SUCCESS;
}

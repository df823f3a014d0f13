#include "images.h"

#include <stdlib.h>
#include <string.h>

struct weft_exec_texture image_textures[IMAGES_MAX];
unsigned image_count;

static const struct weft_exec_texture *find(uint64_t handle)
{
    uint64_t index = handle - IMAGE_HANDLE(0);
    return index < image_count ? &image_textures[index] : NULL;
}

static uint32_t channel_bytes(CUarray_format format)
{
    switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
    case CU_AD_FORMAT_UNORM_INT8X1:
    case CU_AD_FORMAT_UNORM_INT8X2:
    case CU_AD_FORMAT_UNORM_INT8X4:
    case CU_AD_FORMAT_SNORM_INT8X4:
        return 1;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
        return 4;
    default:
        return 2;
    }
}

uint32_t image_texel_bytes(CUarray_format format, uint32_t channels)
{
    return format == CU_AD_FORMAT_UNORM_INT_101010_2 ? 4 : channels * channel_bytes(format);
}

/* Random bits, but floats that differ from each other by little. */
static void fill_channel(CUarray_format format, struct dice *dice, uint8_t *at)
{
    uint64_t bits = dice_roll(dice);
    if (format == CU_AD_FORMAT_FLOAT) {
        float value = (float)((int64_t)(bits % 20001) - 10000) / 64;
        memcpy(at, &value, 4);
    } else if (format == CU_AD_FORMAT_HALF) {
        uint16_t half = (uint16_t)(bits & 0xbfff); /* finite: below 2 */
        memcpy(at, &half, 2);
    } else {
        memcpy(at, &bits, channel_bytes(format));
    }
}

static void fill(struct rig *rig, const struct image_spec *spec, uint64_t address, uint64_t bytes,
                 struct dice *dice)
{
    uint8_t *host = rig_host(rig, address);
    uint32_t step = channel_bytes(spec->format);
    for (uint64_t at = 0; at + step <= bytes; at += step)
        fill_channel(spec->format, dice, host + at);
}

static uint32_t halved(uint32_t size, uint32_t level)
{
    return size >> level ? size >> level : 1;
}

static bool is_layered(enum weft_exec_image_shape shape)
{
    return shape >= WEFT_EXEC_IMAGE_CUBE;
}

unsigned image_add(struct rig *rig, const struct image_spec *spec, struct dice *dice)
{
    if (image_count == IMAGES_MAX)
        abort();
    struct weft_exec_texture *texture = &image_textures[image_count];
    uint32_t texel = image_texel_bytes(spec->format, spec->channels);
    *texture = (struct weft_exec_texture){.image = {.shape = spec->shape,
                                                    .format = spec->format,
                                                    .channels = spec->channels,
                                                    .texel_bytes = texel,
                                                    .level_count = spec->level_count}};
    for (uint32_t i = 0; i < spec->level_count && i < WEFT_EXEC_IMAGE_LEVELS_MAX; i++) {
        struct weft_exec_image_level *level = &texture->image.levels[i];
        level->width = halved(spec->width, i);
        level->height = halved(spec->height, i);
        level->depth = is_layered(spec->shape) ? spec->depth : halved(spec->depth, i);
        level->row_bytes = (uint64_t)level->width * texel + 32; /* padded rows */
        level->slice_bytes = level->row_bytes * level->height + 64;
        uint64_t bytes = level->slice_bytes * level->depth;
        level->address = rig_alloc(rig, bytes);
        fill(rig, spec, level->address, bytes, dice);
    }
    rig->memory.texture = find;
    return image_count++;
}

void *image_texel(struct rig *rig, unsigned image, uint32_t level, uint32_t i, uint32_t j,
                  uint32_t k)
{
    const struct weft_exec_image_level *at = &image_textures[image].image.levels[level];
    return rig_host(rig, at->address + (uint64_t)i * image_textures[image].image.texel_bytes +
                             j * at->row_bytes + k * at->slice_bytes);
}

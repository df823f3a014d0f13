/* What texture handles name, the way to the memory of texels, and the instructions that ask about
 * textures and surfaces. */
#include "softgpu/exec/sample.h"

#include <string.h>

#include "util/util.h"

#define SPAN_BYTES_MAX (1u << 20) /* of texels looked at together */
#define SIZE_MAX_TEXELS (1u << 30)
#define STEP_BYTES (63 * WEFT_EXEC_LIVE_BLOCK_BYTES)

struct format_row {
    CUarray_format format;
    struct weft_exec_format is;
};

#define UNSIGNED(channel)                                   \
    {                                                       \
        WEFT_EXEC_CHANNEL_##channel, 0, false, false, false \
    }
#define SIGNED(channel)                                    \
    {                                                      \
        WEFT_EXEC_CHANNEL_##channel, 0, true, false, false \
    }
#define FLOATING(channel)                                 \
    {                                                     \
        WEFT_EXEC_CHANNEL_##channel, 0, true, true, false \
    }
#define UNORM(channel, count)                                  \
    {                                                          \
        WEFT_EXEC_CHANNEL_##channel, count, false, false, true \
    }
#define SNORM(channel, count)                                 \
    {                                                         \
        WEFT_EXEC_CHANNEL_##channel, count, true, false, true \
    }

static const struct format_row formats[] = {
    {CU_AD_FORMAT_UNSIGNED_INT8, UNSIGNED(U8)},
    {CU_AD_FORMAT_UNSIGNED_INT16, UNSIGNED(U16)},
    {CU_AD_FORMAT_UNSIGNED_INT32, UNSIGNED(B32)},
    {CU_AD_FORMAT_SIGNED_INT8, SIGNED(S8)},
    {CU_AD_FORMAT_SIGNED_INT16, SIGNED(S16)},
    {CU_AD_FORMAT_SIGNED_INT32, SIGNED(B32)},
    {CU_AD_FORMAT_HALF, FLOATING(HALF)},
    {CU_AD_FORMAT_FLOAT, FLOATING(B32)},
    {CU_AD_FORMAT_UNORM_INT8X1, UNORM(U8, 1)},
    {CU_AD_FORMAT_UNORM_INT8X2, UNORM(U8, 2)},
    {CU_AD_FORMAT_UNORM_INT8X4, UNORM(U8, 4)},
    {CU_AD_FORMAT_UNORM_INT16X1, UNORM(U16, 1)},
    {CU_AD_FORMAT_UNORM_INT16X2, UNORM(U16, 2)},
    {CU_AD_FORMAT_UNORM_INT16X4, UNORM(U16, 4)},
    {CU_AD_FORMAT_SNORM_INT8X1, SNORM(S8, 1)},
    {CU_AD_FORMAT_SNORM_INT8X2, SNORM(S8, 2)},
    {CU_AD_FORMAT_SNORM_INT8X4, SNORM(S8, 4)},
    {CU_AD_FORMAT_SNORM_INT16X1, SNORM(S16, 1)},
    {CU_AD_FORMAT_SNORM_INT16X2, SNORM(S16, 2)},
    {CU_AD_FORMAT_SNORM_INT16X4, SNORM(S16, 4)},
    {CU_AD_FORMAT_UNORM_INT_101010_2, UNORM(PACKED10, 4)},
};

struct weft_exec_format weft_exec_format_describe(CUarray_format format)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(formats); i++)
        if (formats[i].format == format)
            return formats[i].is;
    return (struct weft_exec_format){.channel = WEFT_EXEC_CHANNEL_UNKNOWN};
}

uint32_t weft_exec_channel_bytes(enum weft_exec_channel channel)
{
    switch (channel) {
    case WEFT_EXEC_CHANNEL_U8:
    case WEFT_EXEC_CHANNEL_S8:
        return 1;
    case WEFT_EXEC_CHANNEL_U16:
    case WEFT_EXEC_CHANNEL_S16:
    case WEFT_EXEC_CHANNEL_HALF:
        return 2;
    default:
        return 4;
    }
}

/* The 64 bits at a device address, which may be none; 0 there. */
static uint64_t read_word(const struct weft_exec_run *run, uint64_t address)
{
    uint64_t bits = 0;
    const struct weft_exec_touch touch = {WEFT_PTX_GLOBAL, WEFT_EXEC_ACCESS_READ, 0, sizeof(bits),
                                          address};
    const char *host = address % sizeof(bits) == 0 ? weft_exec_host_pointer(run, &touch) : NULL;
    if (host)
        memcpy(&bits, host, sizeof(bits));
    return bits;
}

const struct weft_exec_texture *weft_exec_texture_find(const struct weft_exec_run *run,
                                                       uint64_t handle)
{
    const struct weft_exec_memory *memory = run->block->launch->memory;
    if (memory->texture == NULL)
        return NULL;
    const struct weft_exec_texture *texture = memory->texture(handle);
    return texture ? texture : memory->texture(read_word(run, handle));
}

static uint32_t sane_size(uint32_t size)
{
    return size == 0 ? 1 : WEFT_MIN(size, SIZE_MAX_TEXELS);
}

static bool copy_levels(const struct weft_exec_image *image, struct weft_exec_sampling *sampling)
{
    sampling->level_count = WEFT_MIN(image->level_count, (uint32_t)WEFT_EXEC_IMAGE_LEVELS_MAX);
    if (sampling->level_count == 0)
        return false;
    for (uint32_t i = 0; i < sampling->level_count; i++) {
        struct weft_exec_image_level level = image->levels[i];
        level.width = sane_size(level.width);
        level.height = sane_size(level.height);
        level.depth = sane_size(level.depth);
        sampling->levels[i] = level;
    }
    return true;
}

static bool describe_texels(const struct weft_exec_texture *texture,
                            struct weft_exec_sampling *sampling)
{
    struct weft_exec_format format = weft_exec_format_describe(texture->image.format);
    uint32_t channels = format.channels ? format.channels : texture->image.channels;
    if (format.channel == WEFT_EXEC_CHANNEL_UNKNOWN)
        return false;
    sampling->channels = WEFT_MIN(WEFT_MAX(channels, 1u), (uint32_t)WEFT_EXEC_CHANNELS);
    sampling->channel = format.channel;
    sampling->texel_bytes = format.channel == WEFT_EXEC_CHANNEL_PACKED10
                                ? 4
                                : sampling->channels * weft_exec_channel_bytes(format.channel);
    bool small = weft_exec_channel_bytes(format.channel) < 4;
    bool normalised = format.is_normalised || (small && !texture->read_as_integer);
    sampling->is_integer = !format.is_float && !normalised;
    sampling->decoding = format.is_float || !normalised ? WEFT_EXEC_DECODE_NOTHING
                         : texture->srgb && format.channel == WEFT_EXEC_CHANNEL_U8
                             ? WEFT_EXEC_DECODE_SRGB
                             : WEFT_EXEC_DECODE_NORMALISED;
    return true;
}

static void copy_sampler(const struct weft_exec_texture *texture,
                         struct weft_exec_sampling *sampling)
{
    for (int axis = 0; axis < WEFT_EXEC_AXES; axis++)
        sampling->address_mode[axis] = (uint8_t)texture->address_mode[axis];
    sampling->linear = texture->filter == CU_TR_FILTER_MODE_LINEAR;
    sampling->mipmap_linear = texture->mipmap_filter == CU_TR_FILTER_MODE_LINEAR;
    sampling->normalised = texture->normalised_coordinates;
    sampling->bias = texture->mipmap_bias;
    sampling->least_level = texture->mipmap_clamp_min;
    sampling->most_level = texture->mipmap_clamp_max;
    memcpy(sampling->border, texture->border, sizeof(sampling->border));
}

static uint8_t address_mode(uint64_t mode)
{
    switch (mode) {
    case WEFT_PTX_ADDRESS_WRAP:
        return CU_TR_ADDRESS_MODE_WRAP;
    case WEFT_PTX_ADDRESS_MIRROR:
        return CU_TR_ADDRESS_MODE_MIRROR;
    case WEFT_PTX_ADDRESS_CLAMP_TO_BORDER:
        return CU_TR_ADDRESS_MODE_BORDER;
    default:
        return CU_TR_ADDRESS_MODE_CLAMP;
    }
}

/* A sampler of its own: the bits of its initialiser, or another texture's handle. */
static void apply_sampler(const struct weft_exec_run *run, uint64_t sampler,
                          struct weft_exec_sampling *sampling)
{
    const struct weft_exec_texture *texture = weft_exec_texture_find(run, sampler);
    if (texture) {
        copy_sampler(texture, sampling);
        return;
    }
    if ((sampler & WEFT_PTX_SAMPLER_TAG_MASK) != WEFT_PTX_SAMPLER_TAG)
        sampler = read_word(run, sampler);
    if ((sampler & WEFT_PTX_SAMPLER_TAG_MASK) != WEFT_PTX_SAMPLER_TAG)
        return;
    for (int axis = 0; axis < WEFT_EXEC_AXES; axis++)
        sampling->address_mode[axis] =
            address_mode(sampler >> WEFT_PTX_SAMPLER_ADDRESS_SHIFT(axis) & 15);
    sampling->linear = sampler & WEFT_PTX_SAMPLER_LINEAR;
    if (sampler & WEFT_PTX_SAMPLER_UNNORMALISED)
        sampling->normalised = false;
}

bool weft_exec_sampling_init(const struct weft_exec_run *run, uint64_t handle, uint64_t sampler,
                             struct weft_exec_sampling *sampling)
{
    const struct weft_exec_texture *texture = weft_exec_texture_find(run, handle);
    if (texture == NULL || texture->is_surface || !copy_levels(&texture->image, sampling) ||
        !describe_texels(texture, sampling))
        return false;
    sampling->is_buffer = texture->image.shape == WEFT_EXEC_IMAGE_LINEAR;
    sampling->seamless = texture->seamless_cube;
    copy_sampler(texture, sampling);
    if (sampler)
        apply_sampler(run, sampler, sampling);
    sampling->linear = sampling->linear && !sampling->is_integer && !sampling->is_buffer;
    sampling->mipmap_linear = sampling->mipmap_linear && !sampling->is_integer;
    return true;
}

/* The least and the greatest address of the lanes in `mask` for one tap. */
static void find_range(const struct weft_exec_footprint *footprint, uint32_t tap, uint32_t mask,
                       uint64_t *low, uint64_t *high)
{
    for (uint32_t left = mask & ~footprint->border[tap]; left; left &= left - 1) {
        uint64_t place = footprint->place[tap][__builtin_ctz(left)];
        *low = WEFT_MIN(*low, place);
        *high = WEFT_MAX(*high, place);
    }
}

bool weft_exec_texels_are_live(const struct weft_exec_run *run, uint64_t low, uint64_t high,
                               uint32_t bytes)
{
    uint64_t first = low - run->window_base, last = high - run->window_base;
    if (low < run->window_base || high < low || last >= run->window_bytes ||
        bytes > run->window_bytes - last || last - first > SPAN_BYTES_MAX)
        return false;
    uint64_t end = last + bytes;
    while (first < end) {
        uint64_t step = WEFT_MIN(end - first, (uint64_t)STEP_BYTES);
        if (!weft_exec_is_live(run->live, first, step))
            return false;
        first += step;
    }
    return true;
}

/* Whether all texels lie in live device memory: all at once where they are near each other, else
 * tap by tap, else lane by lane. */
static bool is_all_live(const struct weft_exec_run *run, uint32_t mask, uint32_t bytes,
                        const struct weft_exec_footprint *footprint)
{
    uint64_t low[WEFT_EXEC_TAPS], high[WEFT_EXEC_TAPS], least = UINT64_MAX, most = 0;
    for (uint32_t tap = 0; tap < footprint->count; tap++) {
        low[tap] = UINT64_MAX;
        high[tap] = 0;
        find_range(footprint, tap, mask, &low[tap], &high[tap]);
        least = WEFT_MIN(least, low[tap]);
        most = WEFT_MAX(most, high[tap]);
    }
    if (least > most || weft_exec_texels_are_live(run, least, most, bytes))
        return true;
    for (uint32_t tap = 0; tap < footprint->count; tap++) {
        if (low[tap] > high[tap] || weft_exec_texels_are_live(run, low[tap], high[tap], bytes))
            continue;
        for (uint32_t left = mask & ~footprint->border[tap]; left; left &= left - 1) {
            uint64_t place = footprint->place[tap][__builtin_ctz(left)];
            if (!weft_exec_texels_are_live(run, place, place, bytes))
                return false;
        }
    }
    return true;
}

/* Texels in registered host memory too; places become host addresses. */
static bool resolve_slowly(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                           uint32_t mask, uint32_t bytes, struct weft_exec_footprint *footprint)
{
    for (uint32_t left = mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        for (uint32_t tap = 0; tap < footprint->count; tap++) {
            uint64_t *place = &footprint->place[tap][lane];
            if (footprint->border[tap] >> lane & 1)
                continue;
            const struct weft_exec_touch touch = {WEFT_PTX_GLOBAL, WEFT_EXEC_ACCESS_READ, lane,
                                                  bytes, *place};
            char *host = weft_exec_host_pointer(run, &touch);
            if (host == NULL) {
                weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, *place);
                return false;
            }
            *place = (uint64_t)(uintptr_t)host;
        }
    }
    footprint->base = 0;
    return true;
}

/* Lanes that take no part, or that read the border, get the place of one that does; where all read
 * the border, one that holds zeros. */
static void fill_places(uint32_t mask, struct weft_exec_footprint *footprint)
{
    static const uint64_t zeros[2];
    for (uint32_t tap = 0; tap < footprint->count; tap++) {
        uint32_t reads = mask & ~footprint->border[tap];
        if (reads == WEFT_EXEC_ALL_LANES)
            continue;
        uint64_t *place = footprint->place[tap];
        uint64_t common =
            reads ? place[__builtin_ctz(reads)] : (uint64_t)(uintptr_t)zeros - footprint->base;
        LANES(lane) place[lane] = reads >> lane & 1 ? place[lane] : common;
    }
}

bool weft_exec_footprint_resolve(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                                 uint32_t mask, uint32_t bytes,
                                 struct weft_exec_footprint *footprint)
{
    footprint->base = (uint64_t)run->alias_delta;
    if (!is_all_live(run, mask, bytes, footprint) &&
        !resolve_slowly(run, insn, mask, bytes, footprint))
        return false;
    fill_places(mask, footprint);
    return true;
}

/* The numbers that OpenCL gives to kinds of channels, which the ISA's queries answer with. */
static uint32_t channel_type_number(CUarray_format format)
{
    struct weft_exec_format is = weft_exec_format_describe(format);
    switch (is.channel) {
    case WEFT_EXEC_CHANNEL_S8:
        return is.is_normalised ? 0x10d0 : 0x10d7;
    case WEFT_EXEC_CHANNEL_S16:
        return is.is_normalised ? 0x10d1 : 0x10d8;
    case WEFT_EXEC_CHANNEL_U8:
        return is.is_normalised ? 0x10d2 : 0x10da;
    case WEFT_EXEC_CHANNEL_U16:
        return is.is_normalised ? 0x10d3 : 0x10db;
    case WEFT_EXEC_CHANNEL_PACKED10:
        return 0x10d6;
    case WEFT_EXEC_CHANNEL_HALF:
        return 0x10dd;
    default:
        return is.is_float ? 0x10de : is.is_signed ? 0x10d9 : 0x10dc;
    }
}

/* R, RG or RGBA, as OpenCL numbers them. */
static uint32_t channel_order_number(const struct weft_exec_image *image)
{
    struct weft_exec_format is = weft_exec_format_describe(image->format);
    uint32_t channels = is.channels ? is.channels : image->channels;
    return channels == 1 ? 0x10b0 : channels == 2 ? 0x10b2 : 0x10b5;
}

static uint32_t address_mode_number(CUaddress_mode mode)
{
    switch (mode) {
    case CU_TR_ADDRESS_MODE_WRAP:
        return WEFT_PTX_ADDRESS_WRAP;
    case CU_TR_ADDRESS_MODE_MIRROR:
        return WEFT_PTX_ADDRESS_MIRROR;
    case CU_TR_ADDRESS_MODE_BORDER:
        return WEFT_PTX_ADDRESS_CLAMP_TO_BORDER;
    default:
        return WEFT_PTX_ADDRESS_CLAMP_TO_EDGE;
    }
}

static uint32_t array_size(const struct weft_exec_image *image)
{
    switch (image->shape) {
    case WEFT_EXEC_IMAGE_1D_LAYERED:
    case WEFT_EXEC_IMAGE_2D_LAYERED:
        return image->levels[0].depth;
    case WEFT_EXEC_IMAGE_CUBE_LAYERED:
        return image->levels[0].depth / 6;
    default:
        return 0;
    }
}

static uint32_t has_rows(const struct weft_exec_image *image)
{
    return image->shape != WEFT_EXEC_IMAGE_LINEAR && image->shape != WEFT_EXEC_IMAGE_1D &&
           image->shape != WEFT_EXEC_IMAGE_1D_LAYERED;
}

/* A dimension that the image's shape lacks is 0. */
static uint32_t image_attribute(const struct weft_exec_image *image, uint8_t query, uint32_t lod)
{
    uint32_t most = WEFT_MIN(image->level_count, (uint32_t)WEFT_EXEC_IMAGE_LEVELS_MAX);
    const struct weft_exec_image_level *level = &image->levels[lod < most ? lod : 0];
    switch (query) {
    case WEFT_PTX_QUERY_WIDTH:
        return level->width;
    case WEFT_PTX_QUERY_HEIGHT:
        return has_rows(image) ? level->height : 0;
    case WEFT_PTX_QUERY_DEPTH:
        return image->shape == WEFT_EXEC_IMAGE_3D ? level->depth : 0;
    case WEFT_PTX_QUERY_CHANNEL_DATA_TYPE:
        return channel_type_number(image->format);
    case WEFT_PTX_QUERY_CHANNEL_ORDER:
        return channel_order_number(image);
    case WEFT_PTX_QUERY_ARRAY_SIZE:
        return array_size(image);
    case WEFT_PTX_QUERY_MIPMAP_LEVELS:
        return image->level_count > 1 ? image->level_count : 0;
    case WEFT_PTX_QUERY_MEMORY_LAYOUT:
        return image->shape == WEFT_EXEC_IMAGE_LINEAR;
    default: /* there are no samples */
        return 0;
    }
}

static uint32_t texture_attribute(const struct weft_exec_texture *texture, uint8_t query,
                                  uint32_t lod)
{
    switch (query) {
    case WEFT_PTX_QUERY_NORMALIZED_COORDS:
        return texture->normalised_coordinates;
    case WEFT_PTX_QUERY_FORCE_UNNORMALIZED_COORDS:
        return !texture->normalised_coordinates;
    case WEFT_PTX_QUERY_FILTER_MODE:
        return texture->filter == CU_TR_FILTER_MODE_LINEAR;
    case WEFT_PTX_QUERY_ADDRESS_MODE_0:
    case WEFT_PTX_QUERY_ADDRESS_MODE_1:
    case WEFT_PTX_QUERY_ADDRESS_MODE_2:
        return address_mode_number(texture->address_mode[query - WEFT_PTX_QUERY_ADDRESS_MODE_0]);
    default:
        return image_attribute(&texture->image, query, lod);
    }
}

/* The same of a sampler that is no texture: the bits of its initialiser. */
static uint32_t sampler_attribute(uint64_t bits, uint8_t query)
{
    switch (query) {
    case WEFT_PTX_QUERY_FORCE_UNNORMALIZED_COORDS:
        return (bits & WEFT_PTX_SAMPLER_UNNORMALISED) != 0;
    case WEFT_PTX_QUERY_FILTER_MODE:
        return (bits & WEFT_PTX_SAMPLER_LINEAR) != 0;
    case WEFT_PTX_QUERY_ADDRESS_MODE_0:
    case WEFT_PTX_QUERY_ADDRESS_MODE_1:
    case WEFT_PTX_QUERY_ADDRESS_MODE_2:
        return bits >> WEFT_PTX_SAMPLER_ADDRESS_SHIFT(query - WEFT_PTX_QUERY_ADDRESS_MODE_0) & 15;
    default:
        return 0;
    }
}

static bool is_sampler(uint64_t bits)
{
    return (bits & WEFT_PTX_SAMPLER_TAG_MASK) == WEFT_PTX_SAMPLER_TAG;
}

/* kind: enum weft_ptx_mode, the attribute. */
COMMON_HANDLER(txq)
{
    const struct weft_exec_sample *sample = &run->kernel->samples[insn->immediate];
    const uint64_t *handles = weft_exec_source(run, sample->image);
    const uint32_t *lods =
        sample->level == WEFT_EXEC_NO_ROW ? NULL : weft_exec_source(run, sample->level);
    uint32_t *d = weft_exec_row(run, sample->data[0]);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint64_t handle = handles[lane];
        const struct weft_exec_texture *texture = weft_exec_texture_find(run, handle);
        uint64_t bits = is_sampler(handle) ? handle : read_word(run, handle);
        if (texture == NULL && !is_sampler(bits)) {
            weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, handle);
            return;
        }
        d[lane] = texture ? texture_attribute(texture, insn->kind, lods ? lods[lane] : 0)
                          : sampler_attribute(bits, insn->kind);
    }
}

COMMON_HANDLER(istypep)
{
    const struct weft_exec_sample *sample = &run->kernel->samples[insn->immediate];
    const uint64_t *handles = weft_exec_source(run, sample->image);
    uint32_t bits = 0;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint64_t handle = handles[lane];
        const struct weft_exec_texture *texture = weft_exec_texture_find(run, handle);
        bool is = sample->type == WEFT_PTX_SAMPLERREF
                      ? is_sampler(handle) || is_sampler(read_word(run, handle))
                      : texture && texture->is_surface == (sample->type == WEFT_PTX_SURFREF);
        bits |= (uint32_t)is << lane;
    }
    weft_exec_set_predicate(run, sample->resident, bits);
}

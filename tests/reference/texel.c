/* One texel: its formats. */
#include <math.h>
#include <string.h>

#include "machine.h"

#include "real.h"

enum number {
    NUMBER_UNSIGNED,
    NUMBER_SIGNED,
    NUMBER_REAL,
    NUMBER_FRACTION,
    NUMBER_SIGNED_FRACTION
};

struct layout {
    CUarray_format format;
    unsigned bits;     /* of a channel; 0: 10, 10, 10 and 2 */
    unsigned channels; /* 0: the image says it */
    enum number number;
    uint32_t opencl;
};

static const struct layout layouts[] = {
    {CU_AD_FORMAT_UNSIGNED_INT8, 8, 0, NUMBER_UNSIGNED, 0x10da},
    {CU_AD_FORMAT_UNSIGNED_INT16, 16, 0, NUMBER_UNSIGNED, 0x10db},
    {CU_AD_FORMAT_UNSIGNED_INT32, 32, 0, NUMBER_UNSIGNED, 0x10dc},
    {CU_AD_FORMAT_SIGNED_INT8, 8, 0, NUMBER_SIGNED, 0x10d7},
    {CU_AD_FORMAT_SIGNED_INT16, 16, 0, NUMBER_SIGNED, 0x10d8},
    {CU_AD_FORMAT_SIGNED_INT32, 32, 0, NUMBER_SIGNED, 0x10d9},
    {CU_AD_FORMAT_HALF, 16, 0, NUMBER_REAL, 0x10dd},
    {CU_AD_FORMAT_FLOAT, 32, 0, NUMBER_REAL, 0x10de},
    {CU_AD_FORMAT_UNORM_INT8X1, 8, 1, NUMBER_FRACTION, 0x10d2},
    {CU_AD_FORMAT_UNORM_INT8X2, 8, 2, NUMBER_FRACTION, 0x10d2},
    {CU_AD_FORMAT_UNORM_INT8X4, 8, 4, NUMBER_FRACTION, 0x10d2},
    {CU_AD_FORMAT_UNORM_INT16X1, 16, 1, NUMBER_FRACTION, 0x10d3},
    {CU_AD_FORMAT_UNORM_INT16X2, 16, 2, NUMBER_FRACTION, 0x10d3},
    {CU_AD_FORMAT_UNORM_INT16X4, 16, 4, NUMBER_FRACTION, 0x10d3},
    {CU_AD_FORMAT_SNORM_INT8X1, 8, 1, NUMBER_SIGNED_FRACTION, 0x10d0},
    {CU_AD_FORMAT_SNORM_INT8X2, 8, 2, NUMBER_SIGNED_FRACTION, 0x10d0},
    {CU_AD_FORMAT_SNORM_INT8X4, 8, 4, NUMBER_SIGNED_FRACTION, 0x10d0},
    {CU_AD_FORMAT_SNORM_INT16X1, 16, 1, NUMBER_SIGNED_FRACTION, 0x10d1},
    {CU_AD_FORMAT_SNORM_INT16X2, 16, 2, NUMBER_SIGNED_FRACTION, 0x10d1},
    {CU_AD_FORMAT_SNORM_INT16X4, 16, 4, NUMBER_SIGNED_FRACTION, 0x10d1},
    {CU_AD_FORMAT_UNORM_INT_101010_2, 0, 4, NUMBER_FRACTION, 0x10d6},
};

static struct layout find_layout(const struct weft_exec_image *image)
{
    struct layout layout = layouts[0];
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].format == image->format)
            layout = layouts[i];
    if (!layout.channels)
        layout.channels = image->channels;
    return layout;
}

static unsigned bits_of(const struct layout *layout, unsigned channel)
{
    return layout->bits ? layout->bits : channel == 3 ? 2 : 10;
}

static unsigned start_of(const struct layout *layout, unsigned channel)
{
    return (layout->bits ? layout->bits : 10) * channel;
}

uint32_t texel_channels(const struct weft_exec_image *image)
{
    return find_layout(image).channels;
}

uint32_t texel_bytes(const struct weft_exec_image *image)
{
    struct layout layout = find_layout(image);
    return layout.bits ? layout.channels * layout.bits / 8 : 4;
}

uint32_t texel_type_number(const struct weft_exec_image *image)
{
    return find_layout(image).opencl;
}

uint32_t texel_order_number(const struct weft_exec_image *image)
{
    static const uint32_t numbers[] = {0, 0x10b0, 0x10b2, 0, 0x10b5};
    return numbers[find_layout(image).channels];
}

bool texel_is_signed(const struct weft_exec_image *image)
{
    return find_layout(image).number == NUMBER_SIGNED;
}

static uint32_t raw_channel(const struct layout *layout, const uint8_t *bytes, unsigned channel)
{
    uint32_t value = 0;
    for (unsigned bit = 0; bit < bits_of(layout, channel); bit++) {
        unsigned at = start_of(layout, channel) + bit;
        value |= (uint32_t)(bytes[at / 8] >> at % 8 & 1) << bit;
    }
    return value;
}

static int64_t number_of(const struct layout *layout, uint32_t raw, unsigned bits)
{
    bool negative = (layout->number == NUMBER_SIGNED || layout->number == NUMBER_SIGNED_FRACTION) &&
                    raw >> (bits - 1);
    return negative ? (int64_t)raw - (1ll << bits) : (int64_t)raw;
}

static float real_channel(uint32_t raw, unsigned bits)
{
    float value;
    if (bits == 16)
        raw = (uint32_t)real_pack(real_format_of(WEFT_PTX_F32),
                                  real_unpack(real_format_of(WEFT_PTX_F16), raw), WEFT_PTX_RN);
    memcpy(&value, &raw, sizeof value);
    return value;
}

static float fraction_of(const struct layout *layout, int64_t number, unsigned bits)
{
    bool is_signed = layout->number == NUMBER_SIGNED || layout->number == NUMBER_SIGNED_FRACTION;
    float most = (float)((1 << (bits - is_signed)) - 1);
    return fmaxf((float)number / most, -1);
}

static float decode_srgb(float value)
{
    double x = value;
    return (float)(x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4));
}

static bool stays_whole(const struct weft_exec_texture *texture, const struct layout *layout)
{
    return (layout->number == NUMBER_UNSIGNED || layout->number == NUMBER_SIGNED) &&
           (texture->read_as_integer || layout->bits == 32);
}

bool texel_is_whole(const struct weft_exec_texture *texture)
{
    struct layout layout = find_layout(&texture->image);
    return stays_whole(texture, &layout);
}

static void fill_absent(struct texel *texel, unsigned from)
{
    for (unsigned channel = from; channel < 4; channel++) {
        texel->real[channel] = channel == 3;
        texel->integer[channel] = channel == 3;
    }
}

struct texel texel_decode(const struct weft_exec_texture *texture, const uint8_t *bytes)
{
    struct layout layout = find_layout(&texture->image);
    struct texel texel = {.whole = stays_whole(texture, &layout)};
    for (unsigned channel = 0; channel < layout.channels; channel++) {
        unsigned bits = bits_of(&layout, channel);
        uint32_t raw = raw_channel(&layout, bytes, channel);
        int64_t number = number_of(&layout, raw, bits);
        texel.integer[channel] = (uint32_t)number;
        if (layout.number == NUMBER_REAL)
            texel.real[channel] = real_channel(raw, bits);
        else if (!texel.whole)
            texel.real[channel] = fraction_of(&layout, number, bits);
        bool unsigned_byte =
            bits == 8 && (layout.number == NUMBER_UNSIGNED || layout.number == NUMBER_FRACTION);
        if (texture->srgb && unsigned_byte && !texel.whole && channel < 3)
            texel.real[channel] = decode_srgb(texel.real[channel]);
    }
    fill_absent(&texel, layout.channels);
    return texel;
}

struct texel texel_border(const struct weft_exec_texture *texture, const float border[4])
{
    struct layout layout = find_layout(&texture->image);
    struct texel texel = {.whole = stays_whole(texture, &layout)};
    for (unsigned channel = 0; channel < layout.channels; channel++) {
        bool buffer = texture->image.shape == WEFT_EXEC_IMAGE_LINEAR;
        texel.real[channel] = buffer ? 0 : border[channel];
        double cut = trunc(fmin(fmax(texel.real[channel], -0x1p31), 0xffffffff));
        texel.integer[channel] = (uint32_t)(int64_t)cut;
    }
    fill_absent(&texel, layout.channels);
    return texel;
}

static uint32_t encode_number(const struct layout *layout, uint32_t data, unsigned bits)
{
    float value;
    memcpy(&value, &data, sizeof value);
    int64_t most = (1ll << (bits - 1)) - 1;
    switch (layout->number) {
    case NUMBER_REAL:
        return bits == 32 ? data
                          : (uint32_t)real_pack(real_format_of(WEFT_PTX_F16),
                                                real_unpack(real_format_of(WEFT_PTX_F32), data),
                                                WEFT_PTX_RN);
    case NUMBER_UNSIGNED:
        return (uint32_t)fmin(data, (double)((1ll << bits) - 1));
    case NUMBER_SIGNED:
        return (uint32_t)(int64_t)fmin(fmax((int32_t)data, -(double)most - 1), (double)most);
    case NUMBER_FRACTION:
        return (uint32_t)rint(fmin(fmax(isnan(value) ? 0 : value, 0), 1) *
                              (double)((1ll << bits) - 1));
    default:
        return (uint32_t)(int64_t)rint(fmin(fmax(isnan(value) ? -1 : value, -1), 1) * (double)most);
    }
}

void texel_encode(const struct weft_exec_image *image, const uint32_t data[4], unsigned count,
                  uint8_t *bytes)
{
    struct layout layout = find_layout(image);
    memset(bytes, 0, texel_bytes(image));
    for (unsigned channel = 0; channel < layout.channels && channel < count; channel++) {
        unsigned bits = bits_of(&layout, channel);
        uint32_t value = encode_number(&layout, data[channel], bits);
        for (unsigned bit = 0; bit < bits; bit++) {
            unsigned at = start_of(&layout, channel) + bit;
            bytes[at / 8] |= (uint8_t)((value >> bit & 1) << at % 8);
        }
    }
}

/* From texels in memory to values, 32 lanes at a time. Part of vector_sample.c. */
#ifndef WEFT_SOFTGPU_EXEC_VECTOR_TEXEL_H
#define WEFT_SOFTGPU_EXEC_VECTOR_TEXEL_H

#include <math.h>

#include "softgpu/exec/half.h"
#include "softgpu/exec/sample.h"
#include "softgpu/exec/vector.h"

static inline const void *texel_at(uint64_t base, uint64_t place)
{
    return (const void *)(uintptr_t)(base + place);
}

/* Four words a lane, turned so that each row has one word of every lane. */
static inline void load_quads(uint64_t base, const uint64_t *place, weft_exec_texels words)
{
    for (unsigned lane = 0; lane < WEFT_EXEC_LANES; lane += 4) {
        __m128 a = _mm_loadu_ps(texel_at(base, place[lane]));
        __m128 b = _mm_loadu_ps(texel_at(base, place[lane + 1]));
        __m128 c = _mm_loadu_ps(texel_at(base, place[lane + 2]));
        __m128 d = _mm_loadu_ps(texel_at(base, place[lane + 3]));
        _MM_TRANSPOSE4_PS(a, b, c, d);
        _mm_store_ps((float *)&words[0][lane], a);
        _mm_store_ps((float *)&words[1][lane], b);
        _mm_store_ps((float *)&words[2][lane], c);
        _mm_store_ps((float *)&words[3][lane], d);
    }
}

/* The texels as words of 32 bits; smaller ones are zero-extended. */
static void load_words(uint32_t texel_bytes, uint64_t base, const uint64_t *place,
                       weft_exec_texels words)
{
    switch (texel_bytes) {
    case 1:
        LANES(lane) words[0][lane] = *(const uint8_t *)texel_at(base, place[lane]);
        break;
    case 2:
        LANES(lane)
        {
            uint16_t word;
            memcpy(&word, texel_at(base, place[lane]), sizeof(word));
            words[0][lane] = word;
        }
        break;
    case 4:
        LANES(lane) memcpy(&words[0][lane], texel_at(base, place[lane]), 4);
        break;
    case 16:
        load_quads(base, place, words);
        break;
    default:
        for (uint32_t word = 0; word < texel_bytes / 4; word++)
            LANES(lane) memcpy(&words[word][lane], texel_at(base, place[lane] + 4 * word), 4);
    }
}

static inline uint32_t half_to_bits(uint32_t half)
{
    uint32_t exponent = half >> 10 & 31, fraction = half & 1023;
    uint32_t normal = (exponent + 112) << 23 | fraction << 13;
    uint32_t special = 0x7f800000 | fraction << 13;
    uint32_t small = to_bits_f32((float)(int32_t)fraction * 0x1p-24f);
    return (half & 0x8000) << 16 | (exponent == 0 ? small : exponent == 31 ? special : normal);
}

/* One channel out of the words of its texel, as a whole number or the bits of a float. */
static void extract(const struct weft_exec_sampling *sampling, uint32_t channel,
                    const weft_exec_texels words, uint32_t *values)
{
    const uint32_t *bytes = words[0], *pair = words[channel / 2];
    const uint32_t at8 = 8 * channel, at16 = 16 * (channel & 1), at10 = 10 * channel;
    switch (sampling->channel) {
    case WEFT_EXEC_CHANNEL_U8:
        LANES(lane) values[lane] = bytes[lane] >> at8 & 0xff;
        break;
    case WEFT_EXEC_CHANNEL_S8:
        LANES(lane) values[lane] = (uint32_t)((int32_t)(bytes[lane] >> at8 << 24) >> 24);
        break;
    case WEFT_EXEC_CHANNEL_U16:
        LANES(lane) values[lane] = pair[lane] >> at16 & 0xffff;
        break;
    case WEFT_EXEC_CHANNEL_S16:
        LANES(lane) values[lane] = (uint32_t)((int32_t)(pair[lane] >> at16 << 16) >> 16);
        break;
    case WEFT_EXEC_CHANNEL_HALF:
        LANES(lane) values[lane] = half_to_bits(pair[lane] >> at16 & 0xffff);
        break;
    case WEFT_EXEC_CHANNEL_PACKED10:
        LANES(lane) values[lane] = bytes[lane] >> at10 & 0x3ff;
        break;
    default:
        memcpy(values, words[channel], WEFT_EXEC_LANES * sizeof(*values));
    }
}

/* The whole number that stands for 1. */
static inline float channel_scale(const struct weft_exec_sampling *sampling, uint32_t channel)
{
    switch (sampling->channel) {
    case WEFT_EXEC_CHANNEL_U8:
        return 255.0f;
    case WEFT_EXEC_CHANNEL_S8:
        return 127.0f;
    case WEFT_EXEC_CHANNEL_U16:
        return 65535.0f;
    case WEFT_EXEC_CHANNEL_S16:
        return 32767.0f;
    default:
        return channel == 3 ? 3.0f : 1023.0f;
    }
}

/* The transfer function of IEC 61966-2-1. */
static inline float from_srgb(float value)
{
    double x = (double)value;
    return (float)(x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4));
}

static void normalise(const struct weft_exec_sampling *sampling, uint32_t channel, uint32_t *values)
{
    const float scale = channel_scale(sampling, channel);
    LANES(lane)
    {
        float value = (float)(int32_t)values[lane] / scale;
        values[lane] = to_bits_f32(value < -1.0f ? -1.0f : value);
    }
    if (sampling->decoding == WEFT_EXEC_DECODE_SRGB && channel < 3)
        LANES(lane) values[lane] = to_bits_f32(from_srgb(from_bits_f32(values[lane])));
}

/* What a lane reads outside of the image. Whole numbers are the border's values cut. */
static inline uint32_t border_value(const struct weft_exec_sampling *sampling, uint32_t channel)
{
    float value = sampling->is_buffer ? 0.0f : sampling->border[channel];
    if (!sampling->is_integer)
        return to_bits_f32(value);
    return value >= 0         ? value < 0x1p32f ? (uint32_t)value : UINT32_MAX
           : value > -0x1p31f ? (uint32_t)(int32_t)value
                              : 1u << 31;
}

/* The values of one tap; channels that the image lacks are 0, 0 and 1. */
static void fetch_tap(const struct weft_exec_sampling *sampling,
                      const struct weft_exec_footprint *footprint, uint32_t tap,
                      weft_exec_texels values)
{
    weft_exec_texels words;
    load_words(sampling->texel_bytes, footprint->base, footprint->place[tap], words);
    const uint32_t border = footprint->border[tap];
    for (uint32_t channel = 0; channel < sampling->channels; channel++) {
        uint32_t *row = values[channel];
        extract(sampling, channel, words, row);
        if (sampling->decoding != WEFT_EXEC_DECODE_NOTHING)
            normalise(sampling, channel, row);
        if (border) {
            const uint32_t outside = border_value(sampling, channel);
            LANES(lane) row[lane] = border >> lane & 1 ? outside : row[lane];
        }
    }
    const uint32_t one = sampling->is_integer ? 1 : to_bits_f32(1.0f);
    for (uint32_t channel = sampling->channels; channel < WEFT_EXEC_CHANNELS; channel++)
        LANES(lane) values[channel][lane] = channel == 3 ? one : 0;
}

#endif

/* Formats of eight bits, and halves to float in loops that vectorise. */
#ifndef WEFT_SOFTGPU_EXEC_SMALL_FLOAT_H
#define WEFT_SOFTGPU_EXEC_SMALL_FLOAT_H

#include "softgpu/exec/half.h"

/* Exact. Subnormal halves are built as a normal float less its hidden bit. */
static inline float half_to_float(uint32_t half)
{
    uint32_t sign = (half & 0x8000) << 16, exponent = half & 0x7c00;
    uint32_t magnitude = (half & 0x7fff) << 13;
    uint32_t normal = magnitude + (exponent == 0x7c00 ? 224u << 23 : 112u << 23);
    float small = from_bits_f32(magnitude + (113u << 23)) - 0x1p-14f;
    return from_bits_f32(sign | (exponent ? normal : to_bits_f32(small)));
}

/* Rounds to nearest even; NaN becomes 0x7fff. What is below the least normal half is rounded by
 * adding a number whose last place is the least half. */
static inline uint32_t float_to_half(float value)
{
    uint32_t bits = to_bits_f32(value), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    uint32_t odd = size >> 13 & 1;
    uint32_t normal = (size - (112u << 23) + 0xfff + odd) >> 13;
    uint32_t small = to_bits_f32(from_bits_f32(size) + 0.5f) - 0x3f000000;
    uint32_t finite = size < 0x38800000 ? small : normal;
    uint32_t result = size >= 0x477ff000 ? 0x7c00 : finite;
    return size > 0x7f800000 ? 0x7fff : sign | result;
}

/* e5m2 is the upper half of a half. e4m3 has no infinity; its bits in a half's places give the
 * value divided by 2^8. */
static inline float e5m2_to_float(uint32_t bits)
{
    return half_to_float(bits << 8);
}

static inline float e4m3_to_float(uint32_t bits)
{
    float value = half_to_float((bits & 0x80) << 8 | (bits & 0x7f) << 7) * 0x1p8f;
    return (bits & 0x7f) == 0x7f ? from_bits_f32(0x7fffffff) : value;
}

#endif

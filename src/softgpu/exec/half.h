/* The bits of floating-point values, and the 16-bit formats that C does not have. */
#ifndef WEFT_SOFTGPU_EXEC_HALF_H
#define WEFT_SOFTGPU_EXEC_HALF_H

#include <stdbool.h>
#include <stdint.h>

union weft_exec_f32 {
    float value;
    uint32_t bits;
};
union weft_exec_f64 {
    double value;
    uint64_t bits;
};

static inline float from_bits_f32(uint32_t bits)
{
    return (union weft_exec_f32){.bits = bits}.value;
}
static inline uint32_t to_bits_f32(float value)
{
    return (union weft_exec_f32){.value = value}.bits;
}
static inline double from_bits_f64(uint64_t bits)
{
    return (union weft_exec_f64){.bits = bits}.value;
}
static inline uint64_t to_bits_f64(double value)
{
    return (union weft_exec_f64){.value = value}.bits;
}

/* f16 and bf16 by whole numbers: exact, and rounded to nearest even or as MXCSR's two bits say. */
static inline double from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31;
    uint32_t fraction = half & 1023;
    float small = (float)fraction * 0x1p-24f;
    uint32_t normal = (exponent + 112) << 23 | fraction << 13;
    uint32_t special = 0x7f800000 | fraction << 13;
    uint32_t bits = exponent == 0 ? to_bits_f32(small) : exponent == 31 ? special : normal;
    return (double)from_bits_f32(bits | sign);
}
static inline double from_bfloat(uint16_t bits)
{
    return (double)from_bits_f32((uint32_t)bits << 16);
}

/* Rounds a double to a format of `fraction_bits` and the least normal exponent `least`; `rounding`
 * is MXCSR's. NaN becomes 0x7fff, which is canonical in both. */
static inline uint16_t round_to_16(double x, unsigned fraction_bits, int least, uint32_t rounding)
{
    uint64_t bits = to_bits_f64(x);
    uint32_t sign = (uint32_t)(bits >> 63);
    bits &= INT64_MAX;
    uint32_t infinity = 0x7fffu & ~((1u << fraction_bits) - 1);
    if (bits > 0x7ff0000000000000)
        return 0x7fff;
    int exponent = (int)(bits >> 52) - 1023;
    uint64_t significand = bits >> 52 ? (bits & 0xfffffffffffff) | 1ull << 52 : 0;
    int shift = 52 - (int)fraction_bits + (exponent < least ? least - exponent : 0);
    uint64_t result, rest, half;
    if (exponent == 1024) {
        return (uint16_t)(sign << 15 | infinity);
    } else if (shift > 54) { /* far below half of the least */
        result = 0;
        rest = bits != 0;
        half = 2;
    } else {
        result = significand >> shift;
        rest = significand & ((1ull << shift) - 1);
        half = 1ull << (shift - 1);
    }
    if (exponent >= least)
        result += (uint64_t)(exponent - least) << fraction_bits;
    bool up = rounding == 0   ? rest > half || (rest == half && (result & 1))
              : rounding == 1 ? sign && rest
              : rounding == 2 ? !sign && rest
                              : false;
    result += up;
    if (result >= infinity) {
        bool to_infinity = rounding == 0 || (rounding == 1 && sign) || (rounding == 2 && !sign);
        result = to_infinity ? infinity : infinity - 1;
    }
    return (uint16_t)(sign << 15 | result);
}
static inline uint16_t to_half(double x, uint32_t rounding)
{
    return round_to_16(x, 10, -14, rounding);
}
static inline uint16_t to_bfloat(double x, uint32_t rounding)
{
    return round_to_16(x, 7, -126, rounding);
}

#endif

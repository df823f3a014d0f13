/* What the reference asks about PTX types. */
#ifndef WEFT_TESTS_REFERENCE_TYPES_H
#define WEFT_TESTS_REFERENCE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "softgpu/ptx/ptx.h"

static inline unsigned type_bits(uint8_t type)
{
    return type == WEFT_PTX_PRED ? 1 : 8 * weft_ptx_type_bytes(type);
}

static inline bool type_is_signed(uint8_t type)
{
    return type == WEFT_PTX_S8 || type == WEFT_PTX_S16 || type == WEFT_PTX_S32 ||
           type == WEFT_PTX_S64;
}

static inline bool type_is_float(uint8_t type)
{
    return type == WEFT_PTX_F16 || type == WEFT_PTX_BF16 || type == WEFT_PTX_F32 ||
           type == WEFT_PTX_F64;
}

/* The element type of a packed pair, or NOTYPE. */
static inline uint8_t type_half(uint8_t type)
{
    switch (type) {
    case WEFT_PTX_F16X2:
        return WEFT_PTX_F16;
    case WEFT_PTX_BF16X2:
        return WEFT_PTX_BF16;
    case WEFT_PTX_U16X2:
        return WEFT_PTX_U16;
    case WEFT_PTX_S16X2:
        return WEFT_PTX_S16;
    default:
        return WEFT_PTX_NOTYPE;
    }
}

static inline uint64_t mask_bits(unsigned bits)
{
    return bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
}

static inline uint64_t low_bits(uint64_t value, unsigned bits)
{
    return value & mask_bits(bits);
}

static inline int64_t sign_extend(uint64_t value, unsigned bits)
{
    return bits >= 64 ? (int64_t)value : (int64_t)(value << (64 - bits)) >> (64 - bits);
}

/* The number that `value` stands for as an integer of that type. */
static inline __int128 integer_value(uint64_t value, uint8_t type)
{
    unsigned bits = type_bits(type);
    return type_is_signed(type) ? (__int128)sign_extend(value, bits)
                                : (__int128)low_bits(value, bits);
}

#endif

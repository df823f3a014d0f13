/* Logic, shifts, fields of bits, and moves. */
#include "softgpu/exec/vector.h"

#define B_BINARY(name, type, signed_type, ...) BINARY(name, type, type, __VA_ARGS__)
#define B_UNARY(name, type, signed_type, ...) UNARY(name, type, type, __VA_ARGS__)

FOR_B3(B_BINARY, and, a &b)
FOR_B3(B_BINARY, or, a | b)
FOR_B3(B_BINARY, xor, a ^ b)
FOR_B3(B_UNARY, not, ~a)
FOR_B3(B_UNARY, cnot, a == 0)

/* Shifts by the width or more leave nothing but the sign. */
BINARY2(shl_b16, uint16_t, uint16_t, uint32_t, b > 15 ? 0 : (uint32_t)a << (b & 15))
BINARY2(shl_b32, uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a << (b & 31))
BINARY2(shl_b64, uint64_t, uint64_t, uint32_t, b > 63 ? 0 : a << (b & 63))
BINARY2(shr_u16, uint16_t, uint16_t, uint32_t, b > 15 ? 0 : a >> (b & 15))
BINARY2(shr_u32, uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a >> (b & 31))
BINARY2(shr_u64, uint64_t, uint64_t, uint32_t, b > 63 ? 0 : a >> (b & 63))
BINARY2(shr_s16, int16_t, int16_t, uint32_t, a >> (b > 15 ? 15 : b))
BINARY2(shr_s32, int32_t, int32_t, uint32_t, a >> (b > 31 ? 31 : b))
BINARY2(shr_s64, int64_t, int64_t, uint32_t, a >> (b > 63 ? 63 : b))

UNARY(popc_b32, uint32_t, uint32_t, __builtin_popcount(a))
UNARY(popc_b64, uint32_t, uint64_t, __builtin_popcountll(a))
UNARY(clz_b32, uint32_t, uint32_t, a ? __builtin_clz(a) : 32)
UNARY(clz_b64, uint32_t, uint64_t, a ? __builtin_clzll(a) : 64)

static inline uint32_t reverse32(uint32_t x)
{
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(x);
}
UNARY(brev_b32, uint32_t, uint32_t, reverse32(a))
UNARY(brev_b64, uint64_t, uint64_t,
      (uint64_t)reverse32((uint32_t)a) << 32 | reverse32((uint32_t)(a >> 32)))

/* The highest bit that differs from the sign; HIGH counts it from the top. */
static inline uint32_t find32(uint32_t x, bool from_top)
{
    uint32_t zeros = x ? (uint32_t)__builtin_clz(x) : 0;
    return x == 0 ? UINT32_MAX : from_top ? zeros : 31 - zeros;
}
static inline uint32_t find64(uint64_t x, bool from_top)
{
    uint32_t zeros = x ? (uint32_t)__builtin_clzll(x) : 0;
    return x == 0 ? UINT32_MAX : from_top ? zeros : 63 - zeros;
}
UNARY(bfind_u32, uint32_t, uint32_t, find32(a, insn->modifiers &WEFT_EXEC_HIGH))
UNARY(bfind_s32, uint32_t, int32_t,
      find32((uint32_t)(a < 0 ? ~a : a), insn->modifiers &WEFT_EXEC_HIGH))
UNARY(bfind_u64, uint32_t, uint64_t, find64(a, insn->modifiers &WEFT_EXEC_HIGH))
UNARY(bfind_s64, uint32_t, int64_t,
      find64((uint64_t)(a < 0 ? ~a : a), insn->modifiers &WEFT_EXEC_HIGH))

/* A field that reaches over the top is filled up with zeros, or with the sign: the field's last
 * bit, or the value's where it lies beyond. */
static inline uint64_t field(uint64_t value, uint32_t position, uint32_t length, unsigned width,
                             bool is_signed)
{
    position &= 255;
    length &= 255;
    if (length == 0)
        return 0;
    uint32_t last = position + length - 1 < width - 1 ? position + length - 1 : width - 1;
    uint64_t sign = is_signed && value >> last & 1 ? UINT64_MAX : 0;
    if (position >= width)
        return sign;
    uint32_t taken = last - position + 1;
    uint64_t low = taken >= 64 ? UINT64_MAX : (1ull << taken) - 1;
    return (value >> position & low) | (sign & ~low);
}
#define FIELD(suffix, type, is_signed)                     \
    TERNARY2(bfe_##suffix, type, type, uint32_t, uint32_t, \
             field(a, b, c, 8 * sizeof(type), is_signed))
FIELD(u32, uint32_t, false)
FIELD(s32, uint32_t, true)
FIELD(u64, uint64_t, false)
FIELD(s64, uint64_t, true)

static inline uint64_t insert(uint64_t a, uint64_t b, uint32_t position, uint32_t length,
                              unsigned width)
{
    position &= 255;
    length &= 255;
    if (position >= width || length == 0)
        return b;
    uint64_t low = length >= 64 ? UINT64_MAX : (1ull << length) - 1;
    return (b & ~(low << position)) | (a & low) << position;
}
#define INSERT(name, type)                                                                      \
    HANDLER(name)                                                                               \
    {                                                                                           \
        type *d = ROW(type, insn->d);                                                           \
        const type *a = SOURCE(type, insn->a);                                                  \
        const type *b = SOURCE(type, insn->b);                                                  \
        const uint32_t *position = SOURCE(uint32_t, insn->c);                                   \
        const uint32_t *length = SOURCE(uint32_t, insn->more[0]);                               \
        WRITE_LANES(                                                                            \
            d, (type)insert(a[lane], b[lane], position[lane], length[lane], 8 * sizeof(type))); \
    }
INSERT(bfi_b32, uint32_t)
INSERT(bfi_b64, uint64_t)

/* Which of the eight bytes of b:a the result's byte i takes; bit 3 replicates its sign. */
static inline uint32_t selector(uint8_t mode, uint32_t i, uint32_t c)
{
    uint32_t low = c & 3;
    switch (mode) {
    case WEFT_PTX_F4E:
        return low + i;
    case WEFT_PTX_B4E:
        return (low - i) & 7;
    case WEFT_PTX_RC8:
        return low;
    case WEFT_PTX_ECL:
        return i < low ? low : i;
    case WEFT_PTX_ECR:
        return i < low ? i : low;
    case WEFT_PTX_RC16:
        return (i & 1) + 2 * (c & 1);
    default:
        return c >> (4 * i) & 15;
    }
}
static inline uint32_t permute(uint8_t mode, uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t chosen = selector(mode, i, c);
        uint32_t byte = bytes >> (8 * (chosen & 7)) & 255;
        if (chosen & 8)
            byte = byte & 128 ? 255 : 0;
        result |= byte << (8 * i);
    }
    return result;
}
TERNARY(prmt, uint32_t, uint32_t, uint32_t, permute(insn->kind, a, b, c))

static inline uint32_t funnel(uint8_t mode, uint32_t low, uint32_t high, uint32_t amount)
{
    bool clamp = mode == WEFT_PTX_LEFT_CLAMP || mode == WEFT_PTX_RIGHT_CLAMP;
    bool left = mode == WEFT_PTX_LEFT_CLAMP || mode == WEFT_PTX_LEFT_WRAP;
    amount = clamp ? (amount > 32 ? 32 : amount) : amount & 31;
    uint64_t both = (uint64_t)high << 32 | low;
    return (uint32_t)(left ? both << amount >> 32 : both >> amount);
}
TERNARY(shf, uint32_t, uint32_t, uint32_t, funnel(insn->kind, a, b, c))

static inline uint32_t mask_of(uint32_t position, uint32_t width, bool clamp)
{
    if (!clamp) {
        position &= 31;
        width &= 31;
    }
    if (position > 31)
        return 0;
    uint32_t ones = width > 31 ? UINT32_MAX : (1u << width) - 1;
    return ones << position;
}
BINARY(bmsk, uint32_t, uint32_t, mask_of(a, b, insn->kind == WEFT_PTX_CLAMP))

/* count: 1 for signed. */
static inline uint32_t extend_from(uint32_t value, uint32_t bits, bool clamp, bool is_signed)
{
    bits = clamp ? bits : bits & 31;
    if (bits == 0)
        return 0;
    if (bits > 31)
        return value;
    uint32_t up = value << (32 - bits);
    return is_signed ? (uint32_t)((int32_t)up >> (32 - bits)) : up >> (32 - bits);
}
BINARY(szext, uint32_t, uint32_t, extend_from(a, b, insn->kind == WEFT_PTX_CLAMP, insn->count))

/* immediate: the table of eight answers. */
static inline uint32_t lookup(uint32_t a, uint32_t b, uint32_t c, uint32_t table)
{
    uint32_t result = 0;
    for (uint32_t row = 0; row < 8; row++) {
        uint32_t hit = (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
        result |= table >> row & 1 ? hit : 0;
    }
    return result;
}
TERNARY(lop3, uint32_t, uint32_t, uint32_t, lookup(a, b, c, (uint32_t)insn->immediate))

/* The n-th set bit from `base`, upwards or, where n is negative, downwards. */
static inline uint32_t nth_set(uint32_t mask, uint32_t base, int32_t n)
{
    base &= 31;
    if (n == 0)
        return mask >> base & 1 ? base : UINT32_MAX;
    int64_t wanted = n > 0 ? n : -(int64_t)n;
    for (int32_t i = (int32_t)base; i >= 0 && i<32; i += n> 0 ? 1 : -1)
        if (mask >> i & 1 && --wanted == 0)
            return (uint32_t)i;
    return UINT32_MAX;
}
TERNARY(fns, uint32_t, uint32_t, uint32_t, nth_set(a, b, (int32_t)c))

FOR_B3(B_UNARY, mov, a)

/* c: the predicate; NEGATE takes its complement. */
#define SELECT(name, type, signed_type, ...)                                       \
    HANDLER(name)                                                                  \
    {                                                                              \
        type *d = ROW(type, insn->d);                                              \
        const type *a = SOURCE(type, insn->a);                                     \
        const type *b = SOURCE(type, insn->b);                                     \
        const uint32_t flip = insn->modifiers & WEFT_EXEC_NEGATE ? UINT32_MAX : 0; \
        const uint32_t choice = weft_exec_predicate(run, insn->c) ^ flip;          \
        WRITE_LANES(d, choice &(1u << lane) ? a[lane] : b[lane]);                  \
    }
FOR_B3(SELECT, selp, )

UNARY(extend_u16_b32, uint32_t, uint16_t, a)
UNARY(extend_s16_b32, int32_t, int16_t, a)
UNARY(extend_u16_b64, uint64_t, uint16_t, a)
UNARY(extend_s16_b64, int64_t, int16_t, a)
UNARY(extend_u32_b64, uint64_t, uint32_t, a)
UNARY(extend_s32_b64, int64_t, int32_t, a)
UNARY(cut_b32_b16, uint16_t, uint32_t, a)
UNARY(cut_b64_b16, uint16_t, uint64_t, a)
UNARY(cut_b64_b32, uint32_t, uint64_t, a)

/* One element of a mov between a scalar and a vector. kind: bytes of the scalar's row, count: of
 * the element's row; immediate: the element's place in bits; modifiers: the element's own bits. */
#define PACK(type, element)                                                            \
    {                                                                                  \
        type *d = ROW(type, insn->d);                                                  \
        const element *a = SOURCE(element, insn->a);                                   \
        const type keep = insn->immediate ? (type)((1ull << insn->immediate) - 1) : 0; \
        const type low = (type)((1ull << insn->modifiers) - 1);                        \
        const unsigned shift = (unsigned)insn->immediate;                              \
        WRITE_LANES(d, (type)((d[lane] & keep) | ((type)a[lane] & low) << shift));     \
    }
HANDLER(pack)
{
    switch (insn->kind << 4 | insn->count) {
    case 2 << 4 | 2:
        PACK(uint16_t, uint16_t)
        break;
    case 4 << 4 | 2:
        PACK(uint32_t, uint16_t)
        break;
    case 8 << 4 | 2:
        PACK(uint64_t, uint16_t)
        break;
    default:
        PACK(uint64_t, uint32_t)
    }
}

#define UNPACK(type, element)                                   \
    {                                                           \
        element *d = ROW(element, insn->d);                     \
        const type *a = SOURCE(type, insn->a);                  \
        const type low = (type)((1ull << insn->modifiers) - 1); \
        const unsigned shift = (unsigned)insn->immediate;       \
        WRITE_LANES(d, (element)(a[lane] >> shift & low));      \
    }
HANDLER(unpack)
{
    switch (insn->kind << 4 | insn->count) {
    case 2 << 4 | 2:
        UNPACK(uint16_t, uint16_t)
        break;
    case 4 << 4 | 2:
        UNPACK(uint32_t, uint16_t)
        break;
    case 8 << 4 | 2:
        UNPACK(uint64_t, uint16_t)
        break;
    default:
        UNPACK(uint64_t, uint32_t)
    }
}

/* Whole-number arithmetic and comparisons. Sums and products are taken in unsigned types, where
 * they wrap. */
#include "softgpu/exec/vector.h"

#define B_BINARY(name, type, signed_type, ...) BINARY(name, type, type, __VA_ARGS__)
#define B_UNARY(name, type, signed_type, ...) UNARY(name, type, type, __VA_ARGS__)
#define B_TERNARY(name, type, signed_type, ...) TERNARY(name, type, type, type, __VA_ARGS__)
#define B_SIGNED_UNARY(name, type, signed_type, ...) UNARY(name, type, signed_type, __VA_ARGS__)
#define I_BINARY(name, type, ...) BINARY(name, type, type, __VA_ARGS__)

FOR_B3(B_BINARY, add, 1u * a + b)
FOR_B3(B_BINARY, sub, 1u * a - b)
FOR_B3(B_BINARY, mul, 1u * a * b)
FOR_B3(B_TERNARY, mad, 1u * a * b + c)
FOR_B3(B_UNARY, neg, 0u - a)
FOR_B3(B_UNARY, abs, a >> (8 * sizeof(a) - 1) ? 0u - a : a)
FOR_I6(I_BINARY, min, a < b ? a : b)
FOR_I6(I_BINARY, max, a > b ? a : b)

/* The high half by a product of twice the width. */
#define HIGH(suffix, type, wide)                                               \
    BINARY(mulhi_##suffix, type, type, (wide)a *(wide)b >> (8 * sizeof(type))) \
    TERNARY(madhi_##suffix, type, type, type,                                  \
            1u * (type)((wide)a * (wide)b >> (8 * sizeof(type))) + (uint64_t)c)
HIGH(u16, uint16_t, uint32_t)
HIGH(s16, int16_t, int32_t)
HIGH(u32, uint32_t, uint64_t)
HIGH(s32, int32_t, int64_t)
HIGH(u64, uint64_t, unsigned __int128)
HIGH(s64, int64_t, __int128)

#define WIDE(suffix, type, wide, unsigned_wide)                   \
    BINARY(mulwide_##suffix, wide, type, (wide)a *(wide)b)        \
    TERNARY(madwide_##suffix, unsigned_wide, type, unsigned_wide, \
            (unsigned_wide)((wide)a * (wide)b) + c)
WIDE(u16, uint16_t, uint32_t, uint32_t)
WIDE(s16, int16_t, int32_t, uint32_t)
WIDE(u32, uint32_t, uint64_t, uint64_t)
WIDE(s32, int32_t, int64_t, uint64_t)

#define SAD(suffix, type, unsigned_type)                          \
    TERNARY(sad_##suffix, unsigned_type, type, unsigned_type,     \
            c + (a > b ? 1u * (unsigned_type)a - (unsigned_type)b \
                       : 1u * (unsigned_type)b - (unsigned_type)a))
SAD(u16, uint16_t, uint16_t)
SAD(s16, int16_t, uint16_t)
SAD(u32, uint32_t, uint32_t)
SAD(s32, int32_t, uint32_t)
SAD(u64, uint64_t, uint64_t)
SAD(s64, int64_t, uint64_t)

/* Division up to 32 bits by way of double: both operands and the quotient's 53 bits are exact
 * enough that cutting gives the integer quotient. Zero divides to all ones, as devices answer; the
 * remainder follows from the quotient. */
#define NARROW_DIVISION(suffix, type)                                                        \
    BINARY(div_##suffix, type, type, b == 0 ? (type)-1 : (int64_t)((double)a / (b ? b : 1))) \
    BINARY(rem_##suffix, type, type,                                                         \
           b == 0 ? a : a - (int64_t)((double)a / (b ? b : 1)) * (int64_t)b)
NARROW_DIVISION(u16, uint16_t)
NARROW_DIVISION(s16, int16_t)
NARROW_DIVISION(u32, uint32_t)
NARROW_DIVISION(s32, int32_t)

BINARY(div_u64, uint64_t, uint64_t, b == 0 ? UINT64_MAX : a / (b ? b : 1))
BINARY(rem_u64, uint64_t, uint64_t, b == 0 ? a : a % (b ? b : 1))
BINARY(div_s64, int64_t, int64_t,
       b == 0    ? -1
       : b == -1 ? (int64_t)(0 - (uint64_t)a)
                 : a / (b ? b : 1))
BINARY(rem_s64, int64_t, int64_t, b == 0 ? a : b == -1 ? 0 : a % (b ? b : 1))

static inline int32_t clamp32(int64_t value)
{
    return value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}
BINARY(add_sat, int32_t, int32_t, clamp32((int64_t)a + b))
BINARY(sub_sat, int32_t, int32_t, clamp32((int64_t)a - b))
TERNARY(madhi_sat, int32_t, int32_t, int32_t, clamp32(((int64_t)a * b >> 32) + c))

/* mul24 and mad24: the product of 24-bit values has 48 bits, of which the low or, with HIGH, the
 * upper 32 are taken. kind: signed. */
static inline uint32_t product24(uint32_t a, uint32_t b, bool is_signed, unsigned shift)
{
    int64_t x = is_signed ? (int32_t)(a << 8) >> 8 : (int32_t)(a & 0xffffff);
    int64_t y = is_signed ? (int32_t)(b << 8) >> 8 : (int32_t)(b & 0xffffff);
    return (uint32_t)((uint64_t)(x * y) >> shift);
}
HANDLER(mul24)
{
    uint32_t *d = ROW(uint32_t, insn->d);
    const uint32_t *a = SOURCE(uint32_t, insn->a);
    const uint32_t *b = SOURCE(uint32_t, insn->b);
    const bool is_signed = insn->kind;
    const unsigned shift = insn->modifiers & WEFT_EXEC_HIGH ? 16 : 0;
    WRITE_LANES(d, product24(a[lane], b[lane], is_signed, shift));
}

/* add.cc, addc, sub.cc, subc: with CC.CF, one bit a lane. A subtraction adds the complement, as
 * hardware does, so that it leaves 1 where it borrowed nothing: what compilers emit for 128-bit
 * division reads the flag of sub.cc with addc. `none`: the flag where an instruction reads none. */
#define CARRY(name, type, wide, none, summand)                                              \
    HANDLER(name)                                                                           \
    {                                                                                       \
        type *d = ROW(type, insn->d);                                                       \
        const type *a = SOURCE(type, insn->a);                                              \
        const type *b = SOURCE(type, insn->b);                                              \
        const uint32_t in = insn->modifiers & WEFT_EXEC_CARRY_IN ? run->warp->carry : none; \
        uint32_t out = 0;                                                                   \
        LANES(lane)                                                                         \
        {                                                                                   \
            const wide total = (wide)a[lane] + (type)(summand) + (in >> lane & 1);          \
            out |= (uint32_t)(total >> (8 * sizeof(type))) << lane;                         \
            if (run->mask >> lane & 1)                                                      \
                d[lane] = (type)total;                                                      \
        }                                                                                   \
        if (insn->modifiers & WEFT_EXEC_CARRY_OUT)                                          \
            run->warp->carry = (run->warp->carry & ~run->mask) | (out & run->mask);         \
    }
CARRY(addc_b32, uint32_t, uint64_t, 0, b[lane])
CARRY(addc_b64, uint64_t, unsigned __int128, 0, b[lane])
CARRY(subc_b32, uint32_t, uint64_t, UINT32_MAX, ~b[lane])
CARRY(subc_b64, uint64_t, unsigned __int128, UINT32_MAX, ~b[lane])

/* add, min and max on pairs of 16-bit values. kind: enum weft_ptx_opcode's low byte; count: 1 for
 * signed. */
static inline uint16_t pair_half(uint16_t opcode, bool is_signed, uint16_t a, uint16_t b)
{
    bool less = is_signed ? (int16_t)a < (int16_t)b : a < b;
    if (opcode == WEFT_PTX_ADD)
        return (uint16_t)(a + b);
    return less == (opcode == WEFT_PTX_MIN) ? a : b;
}
HANDLER(pair16)
{
    uint32_t *d = ROW(uint32_t, insn->d);
    const uint32_t *a = SOURCE(uint32_t, insn->a);
    const uint32_t *b = SOURCE(uint32_t, insn->b);
    const uint16_t opcode = insn->source->opcode;
    const bool is_signed = insn->kind;
    WRITE_LANES(
        d,
        (uint32_t)pair_half(opcode, is_signed, (uint16_t)(a[lane] >> 16), (uint16_t)(b[lane] >> 16))
                << 16 |
            pair_half(opcode, is_signed, (uint16_t)a[lane], (uint16_t)b[lane]));
}

UNARY(relu_s32, int32_t, int32_t, a > 0 ? a : 0)
UNARY(relu_s16x2, uint32_t, uint32_t, a & ~((a >> 15 & 0x10001) * 0xffff))

/* kind: bit 0 for a signed first source, bit 1 for a signed second one. */
static inline uint32_t part_of(uint32_t word, unsigned shift, unsigned bits, bool is_signed)
{
    uint32_t up = word << (32 - bits - shift);
    return is_signed ? (uint32_t)((int32_t)up >> (32 - bits)) : up >> (32 - bits);
}
static inline uint32_t dot(uint32_t a, uint32_t b, uint32_t c, uint8_t kind)
{
    for (unsigned i = 0; i < 32; i += 8)
        c += part_of(a, i, 8, kind & 1) * part_of(b, i, 8, kind & 2);
    return c;
}
static inline uint32_t dot2(uint32_t a, uint32_t b, uint32_t c, uint8_t kind)
{
    for (unsigned i = 0; i < 2; i++)
        c += part_of(a, 16 * i, 16, kind & 1) * part_of(b, 8 * i, 8, kind & 2);
    return c;
}
TERNARY(dp4a, uint32_t, uint32_t, uint32_t, dot(a, b, c, insn->kind))
TERNARY(dp2a, uint32_t, uint32_t, uint32_t,
        dot2(a, insn->modifiers &WEFT_EXEC_HIGH ? b >> 16 : b, c, insn->kind))

/* vabsdiff4 of unsigned bytes. kind: 1 where they are added to c. */
static inline uint32_t byte_difference(uint32_t a, uint32_t b, unsigned shift)
{
    uint32_t x = a >> shift & 255, y = b >> shift & 255;
    return x > y ? x - y : y - x;
}
HANDLER(absdiff4)
{
    uint32_t *d = ROW(uint32_t, insn->d);
    const uint32_t *a = SOURCE(uint32_t, insn->a);
    const uint32_t *b = SOURCE(uint32_t, insn->b);
    const uint32_t *c = SOURCE(uint32_t, insn->c);
    const unsigned apart = insn->kind ? 0 : 8;
    const uint32_t keep = insn->kind ? UINT32_MAX : 0;
    WRITE_LANES(d, (c[lane] & keep) + byte_difference(a[lane], b[lane], 0) +
                       (byte_difference(a[lane], b[lane], 8) << apart) +
                       (byte_difference(a[lane], b[lane], 16) << 2 * apart) +
                       (byte_difference(a[lane], b[lane], 24) << 3 * apart));
}

#define B_COMPARE(name, type, signed_type, ...) COMPARE(name, type, __VA_ARGS__)
FOR_B3(B_COMPARE, eq, a == b)
FOR_I6(COMPARE, lt, a < b)

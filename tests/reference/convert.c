/* cvt, by the kinds of its two types. */
#include "alu.h"

#include "real.h"
#include "types.h"

static __int128 clamped(__int128 value, uint8_t type)
{
    unsigned bits = type_bits(type);
    __int128 low = type_is_signed(type) ? -((__int128)1 << (bits - 1)) : 0;
    __int128 high = low + ((__int128)1 << bits) - 1;
    return value < low ? low : value > high ? high : value;
}

static struct real float_source(const struct alu *alu)
{
    uint8_t type = alu->insn->types[1];
    return real_unpack(real_format_of(type), alu_flush(alu->insn, type, alu->source[0]));
}

static uint64_t float_to_integer(const struct alu *alu)
{
    uint8_t to = alu->insn->types[0];
    struct real value = float_source(alu);
    if (value.class == REAL_NAN) {
        bool wide = alu->insn->types[1] == WEFT_PTX_F64 || type_bits(to) == 64;
        return wide ? 1ull << (type_bits(to) - 1) : 0;
    }
    return (uint64_t)clamped(real_to_integer(real_round_integral(value, alu->insn->rounding)), to);
}

static uint64_t integer_to_integer(const struct alu *alu)
{
    __int128 value = integer_value(alu->source[0], alu->insn->types[1]);
    bool saturates = alu->insn->flags & WEFT_PTX_SAT;
    return (uint64_t)(saturates ? clamped(value, alu->insn->types[0]) : value);
}

/* .satfinite: the largest number of its sign for an infinity. */
static uint64_t made_finite(uint8_t type, uint64_t bits)
{
    struct real_format format = real_format_of(type);
    return real_unpack(format, bits).class == REAL_INFINITE ? bits - 1 : bits;
}

static uint64_t to_float(const struct alu *alu, struct real value)
{
    const struct weft_ptx_insn *insn = alu->insn;
    uint8_t to = insn->types[0];
    if (insn->rounding >= WEFT_PTX_RNI)
        value = real_round_integral(value, insn->rounding);
    uint64_t bits = real_pack(real_format_of(to), value, insn->rounding);
    bits = alu_flush(insn, to, bits);
    if (insn->flags & WEFT_PTX_SATFINITE)
        bits = made_finite(to, bits);
    if (insn->flags & WEFT_PTX_RELU && value.class != REAL_NAN && value.negative)
        bits = 0;
    return insn->flags & WEFT_PTX_SAT ? alu_saturate(to, bits) : bits;
}

/* cvt.rn.f16x2.f32 d, a, b: a gives the upper half. */
static uint64_t to_pair(struct alu *alu, uint8_t half)
{
    struct weft_ptx_insn insn = *alu->insn;
    insn.types[0] = half;
    struct alu upper = {.insn = &insn, .source = {alu->source[0]}};
    struct alu lower = {.insn = &insn, .source = {alu->source[1]}};
    return to_float(&upper, float_source(&upper)) << 16 | to_float(&lower, float_source(&lower));
}

/* One value of eight bits. e4m3 has no infinity: its largest number is below its one NaN. */
static uint64_t to_small(const struct weft_ptx_insn *insn, struct real value)
{
    bool e4m3 = insn->types[0] == WEFT_PTX_E4M3X2;
    if (value.class == REAL_NAN)
        return 0x7f;
    if (insn->flags & WEFT_PTX_RELU && value.negative)
        return 0;
    uint64_t sign = value.negative ? 0x80 : 0;
    uint64_t most = e4m3 ? 0x7e : 0x7b;
    value.negative = false;
    if (value.class == REAL_INFINITE)
        return sign | most;
    int fraction = e4m3 ? 3 : 2;
    int bias = e4m3 ? 7 : 15;
    struct real least = {.class = REAL_FINITE, .significand = 1, .exponent = 1 - bias};
    uint64_t bits;
    if (real_compare(value, least) < 0) /* subnormal, or rounded up to the least normal one */
        bits = real_pack((struct real_format){e4m3 ? 4 : 5, fraction}, value, WEFT_PTX_RN);
    else /* in a format with room for larger exponents, then with the right bias */
        bits = real_pack((struct real_format){8, fraction}, value, WEFT_PTX_RN) -
               ((127u - (unsigned)bias) << fraction);
    return sign | (bits > most ? most : bits);
}

static struct real from_small(uint8_t type, uint64_t bits)
{
    if (type == WEFT_PTX_E5M2X2)
        return real_unpack((struct real_format){5, 2}, bits);
    unsigned exponent = bits >> 3 & 15;
    struct real value = {.class = REAL_FINITE,
                         .negative = bits >> 7 & 1,
                         .significand = (bits & 7) | (exponent ? 8 : 0),
                         .exponent = (int)(exponent ? exponent : 1) - 10};
    if ((bits & 0x7f) == 0x7f)
        value.class = REAL_NAN;
    else if (value.significand == 0)
        value.class = REAL_ZERO;
    return value;
}

static bool is_small(uint8_t type)
{
    return type == WEFT_PTX_E4M3X2 || type == WEFT_PTX_E5M2X2;
}

static uint64_t convert_small(const struct alu *alu)
{
    const struct weft_ptx_insn *insn = alu->insn;
    struct real_format half = real_format_of(WEFT_PTX_F16);
    struct real_format single = real_format_of(WEFT_PTX_F32);
    uint64_t result = 0;
    for (unsigned part = 0; part < 2; part++) {
        uint64_t source = alu->source[0];
        if (insn->types[1] == WEFT_PTX_F32) {
            struct real value = real_unpack(single, alu->source[part ? 0 : 1]);
            result |= to_small(insn, value) << (8 * part);
        } else if (is_small(insn->types[0])) {
            struct real value = real_unpack(half, source >> (16 * part) & 0xffff);
            result |= to_small(insn, value) << (8 * part);
        } else {
            struct real value = from_small(insn->types[1], source >> (8 * part) & 0xff);
            bool zero = insn->flags & WEFT_PTX_RELU && value.negative && value.class != REAL_NAN;
            uint64_t bits = zero ? 0 : real_pack(half, value, WEFT_PTX_RN);
            result |= bits << (16 * part);
        }
    }
    return result;
}

/* cvt.rna.tf32.f32: eleven bits of significand, in place. */
static uint64_t to_tf32(const struct alu *alu)
{
    struct real value = float_source(alu);
    bool finite = alu->insn->flags & WEFT_PTX_SATFINITE;
    if (alu->insn->flags & WEFT_PTX_RELU && value.class != REAL_NAN && value.negative)
        return 0;
    if (value.class == REAL_NAN)
        return real_pack(real_format_of(WEFT_PTX_F32), value, WEFT_PTX_RN);
    uint64_t bits = real_pack((struct real_format){8, 10}, value, alu->insn->rounding) << 13;
    bool infinite = low_bits(bits, 31) == 0x7f800000;
    return finite && infinite ? bits - (1u << 13) : bits;
}

/* cvt.pack: a above b, and what is left of c above both. */
static uint64_t pack(const struct alu *alu)
{
    uint8_t type = alu->insn->types[0];
    bool is_signed =
        type == WEFT_PTX_S16 || type == WEFT_PTX_S8 || type == WEFT_PTX_S4 || type == WEFT_PTX_S2;
    unsigned bits = type == WEFT_PTX_S4 || type == WEFT_PTX_U4   ? 4
                    : type == WEFT_PTX_S2 || type == WEFT_PTX_U2 ? 2
                                                                 : type_bits(type);
    int64_t low = is_signed ? -(1ll << (bits - 1)) : 0;
    int64_t high = low + (1ll << bits) - 1;
    uint64_t result = alu->insn->operand_count > 3 ? alu->source[2] : 0;
    for (unsigned i = 0; i < 2; i++) {
        int64_t value = sign_extend(alu->source[i], 32);
        value = value < low ? low : value > high ? high : value;
        result = result << bits | low_bits((uint64_t)value, bits);
    }
    return result;
}

bool alu_convert(struct alu *alu)
{
    const struct weft_ptx_insn *insn = alu->insn;
    if (insn->opcode == WEFT_PTX_CVT_PACK) {
        alu->result = pack(alu);
        return true;
    }
    if (insn->opcode != WEFT_PTX_CVT)
        return false;
    uint8_t to = insn->types[0];
    uint8_t from = insn->types[1];
    uint8_t half = type_half(to);
    if (is_small(to) || is_small(from))
        alu->result = convert_small(alu);
    else if (half && from == WEFT_PTX_F32)
        alu->result = to_pair(alu, half);
    else if (to == WEFT_PTX_TF32)
        alu->result = to_tf32(alu);
    else if (type_is_float(to) && type_is_float(from))
        alu->result = to_float(alu, float_source(alu));
    else if (type_is_float(to))
        alu->result = to_float(alu, real_from_integer(integer_value(alu->source[0], from)));
    else if (type_is_float(from))
        alu->result = float_to_integer(alu);
    else
        alu->result = integer_to_integer(alu);
    return true;
}

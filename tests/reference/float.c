/* Floating-point arithmetic. The .approx functions give the correctly rounded value of libm's long
 * double: tests compare them within the error that the PTX ISA allows. */
#include <math.h>

#include "alu.h"

#include "real.h"
#include "types.h"

static bool is_below_normal(uint8_t type, uint64_t bits)
{
    struct real_format format = real_format_of(type);
    return low_bits(bits >> format.fraction_bits, (unsigned)format.exponent_bits) == 0;
}

uint64_t alu_flush(const struct weft_ptx_insn *insn, uint8_t type, uint64_t bits)
{
    bool approximate = insn->opcode == WEFT_PTX_RCP || insn->opcode == WEFT_PTX_RSQRT;
    bool halves = (type == WEFT_PTX_F16 && insn->opcode != WEFT_PTX_CVT) ||
                  (type == WEFT_PTX_BF16 && insn->opcode == WEFT_PTX_EX2);
    bool flushes = insn->flags & WEFT_PTX_FTZ &&
                   (type == WEFT_PTX_F32 || halves || (type == WEFT_PTX_F64 && approximate));
    uint64_t sign = 1ull << (type_bits(type) - 1);
    return flushes && is_below_normal(type, bits) ? bits & sign : bits;
}

uint64_t alu_saturate(uint8_t type, uint64_t bits)
{
    struct real_format format = real_format_of(type);
    struct real value = real_unpack(format, bits);
    struct real one = real_from_integer(1);
    if (value.class == REAL_NAN || value.negative || value.class == REAL_ZERO)
        return 0;
    return real_compare(value, one) > 0 ? real_pack(format, one, WEFT_PTX_RN) : bits;
}

static struct real operand(const struct alu *alu, unsigned index)
{
    uint8_t type = alu_source_type(alu->insn, index);
    bool small = type != alu->insn->types[0]; /* only an .f32 source is flushed then */
    uint64_t bits = alu->source[index];
    return real_unpack(real_format_of(type), small ? bits : alu_flush(alu->insn, type, bits));
}

static uint64_t finished(const struct alu *alu, struct real value)
{
    const struct weft_ptx_insn *insn = alu->insn;
    uint8_t type = insn->types[0];
    uint64_t bits = real_pack(real_format_of(type), value, insn->rounding);
    bits = alu_flush(insn, type, bits);
    if (insn->flags & WEFT_PTX_RELU && (value.class == REAL_NAN ? false : value.negative))
        bits = 0;
    return insn->flags & WEFT_PTX_SAT ? alu_saturate(type, bits) : bits;
}

static struct real negated(struct real a)
{
    a.negative = !a.negative;
    return a;
}

static uint64_t sign_bit(const struct alu *alu)
{
    return 1ull << (type_bits(alu->insn->types[0]) - 1);
}

/* min and max: a number beats NaN, unless .NaN asks for it, and -0 lies below +0. */
static uint64_t extreme(const struct alu *alu, bool want_max)
{
    uint8_t type = alu->insn->types[0];
    if (alu->insn->operand_count == 4) { /* of three: of the first two, then with the third */
        struct weft_ptx_insn insn = *alu->insn;
        insn.operand_count = 3;
        uint64_t keep = insn.flags & WEFT_PTX_ABS_RESULT ? sign_bit(alu) - 1 : UINT64_MAX;
        struct alu part = {.insn = &insn, .source = {alu->source[0] & keep, alu->source[1] & keep}};
        part.source[0] = extreme(&part, want_max);
        part.source[1] = alu->source[2] & keep;
        return extreme(&part, want_max);
    }
    uint64_t flip = 0;
    uint64_t sign = sign_bit(alu);
    uint64_t a = alu_flush(alu->insn, type, alu->source[0]);
    uint64_t b = alu_flush(alu->insn, type, alu->source[1]);
    if (alu->insn->flags & WEFT_PTX_XORSIGN) {
        flip = (a ^ b) & sign;
        a &= ~sign;
        b &= ~sign;
    }
    struct real_format format = real_format_of(type);
    struct real x = real_unpack(format, a);
    struct real y = real_unpack(format, b);
    bool a_nan = x.class == REAL_NAN;
    bool b_nan = y.class == REAL_NAN;
    if ((a_nan && b_nan) || (alu->insn->flags & WEFT_PTX_NAN_RESULT && (a_nan || b_nan)))
        return real_pack(format, (struct real){.class = REAL_NAN}, WEFT_PTX_RN);
    if (a_nan || b_nan)
        return (a_nan ? b : a) | flip;
    int order = real_compare(x, y);
    bool a_smaller = order < 0 || (order == 0 && x.negative);
    return (a_smaller != want_max ? a : b) | flip;
}

static struct real from_long_double(long double value)
{
    if (isnan(value))
        return (struct real){.class = REAL_NAN};
    if (isinf(value))
        return (struct real){.class = REAL_INFINITE, .negative = value < 0};
    if (value == 0)
        return (struct real){.class = REAL_ZERO, .negative = signbit(value)};
    int exponent;
    long double fraction = frexpl(fabsl(value), &exponent);
    return (struct real){.class = REAL_FINITE,
                         .negative = value < 0,
                         .significand = (uint64_t)ldexpl(fraction, 64),
                         .exponent = exponent - 64};
}

static long double to_long_double(struct real value)
{
    long double sign = value.negative ? -1 : 1;
    switch (value.class) {
    case REAL_NAN:
        return NAN;
    case REAL_INFINITE:
        return sign * INFINITY;
    case REAL_ZERO:
        return sign * 0.0L;
    default:
        return sign * ldexpl((long double)(uint64_t)value.significand, value.exponent);
    }
}

static bool function_value(struct alu *alu)
{
    long double x = to_long_double(operand(alu, 0));
    long double y;
    switch (alu->insn->opcode) {
    case WEFT_PTX_SIN:
        y = sinl(x);
        break;
    case WEFT_PTX_COS:
        y = cosl(x);
        break;
    case WEFT_PTX_LG2:
        y = log2l(x);
        break;
    case WEFT_PTX_EX2:
        y = exp2l(x);
        break;
    case WEFT_PTX_TANH:
        y = tanhl(x);
        break;
    case WEFT_PTX_RSQRT:
        y = x == 0 ? copysignl(INFINITY, x) : 1 / sqrtl(x);
        break;
    default:
        return false;
    }
    alu->result = finished(alu, from_long_double(y));
    return true;
}

static uint64_t with_sign(const struct alu *alu, bool clear)
{
    uint64_t bits = alu_flush(alu->insn, alu->insn->types[0], alu->source[0]);
    return clear ? bits & ~sign_bit(alu) : bits ^ sign_bit(alu);
}

static struct real product(const struct alu *alu)
{
    return real_multiply(operand(alu, 0), operand(alu, 1));
}

/* .oob: a factor that a tensor copy filled in for an element out of bounds makes the result +0. */
static bool is_out_of_bounds(const struct alu *alu)
{
    return alu->insn->flags & WEFT_PTX_OOB &&
           (low_bits(alu->source[0], 15) == 0x7ff7 || low_bits(alu->source[1], 15) == 0x7ff7);
}

static bool sums(struct alu *alu)
{
    uint8_t rounding = alu->insn->rounding;
    switch (alu->insn->opcode) {
    case WEFT_PTX_ADD:
        alu->result = finished(alu, real_add(operand(alu, 0), operand(alu, 1), rounding));
        return true;
    case WEFT_PTX_SUB:
        alu->result = finished(alu, real_add(operand(alu, 0), negated(operand(alu, 1)), rounding));
        return true;
    case WEFT_PTX_MUL:
        alu->result = finished(alu, product(alu));
        return true;
    case WEFT_PTX_FMA:
    case WEFT_PTX_MAD:
        if (is_out_of_bounds(alu)) {
            alu->result = 0;
            return true;
        }
        alu->result = finished(alu, real_add(product(alu), operand(alu, 2), rounding));
        return true;
    default:
        return false;
    }
}

/* div.approx: for 2^126 < |b| < 2^128 the ISA wants NaN of an infinite dividend, else zero. */
static struct real quotient(const struct alu *alu)
{
    struct real a = operand(alu, 0);
    struct real b = operand(alu, 1);
    struct real most = {.class = REAL_FINITE, .significand = 1, .exponent = 126};
    struct real size = b;
    size.negative = false;
    if (!(alu->insn->flags & WEFT_PTX_APPROX) || b.class != REAL_FINITE ||
        real_compare(size, most) <= 0 || a.class == REAL_NAN)
        return real_divide(a, b);
    bool infinite = a.class == REAL_INFINITE;
    return (struct real){.class = infinite ? REAL_NAN : REAL_ZERO,
                         .negative = a.negative != b.negative};
}

bool alu_float(struct alu *alu)
{
    if (sums(alu))
        return true;
    switch (alu->insn->opcode) {
    case WEFT_PTX_DIV:
        alu->result = finished(alu, quotient(alu));
        return true;
    case WEFT_PTX_RCP:
        alu->result = finished(alu, real_divide(real_from_integer(1), operand(alu, 0)));
        return true;
    case WEFT_PTX_SQRT:
        alu->result = finished(alu, real_square_root(operand(alu, 0)));
        return true;
    case WEFT_PTX_NEG:
    case WEFT_PTX_ABS:
        alu->result = with_sign(alu, alu->insn->opcode == WEFT_PTX_ABS);
        return true;
    case WEFT_PTX_MIN:
    case WEFT_PTX_MAX:
        alu->result = extreme(alu, alu->insn->opcode == WEFT_PTX_MAX);
        return true;
    case WEFT_PTX_COPYSIGN:
        alu->result = (alu->source[0] & sign_bit(alu)) | (alu->source[1] & ~sign_bit(alu));
        return true;
    default:
        return function_value(alu);
    }
}

#include "real.h"

static int top_bit(wide_uint value)
{
    uint64_t high = (uint64_t)(value >> 64);
    return high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)value);
}

static struct real special(enum real_class class, bool negative)
{
    return (struct real){.class = class, .negative = negative};
}

/* Moves the highest set bit to `bit`. Only ever called with room to do it without loss. */
static struct real with_top_bit(struct real a, int bit)
{
    int shift = bit - top_bit(a.significand);
    a.significand = shift >= 0 ? a.significand << shift : a.significand >> -shift;
    a.exponent -= shift;
    return a;
}

struct real_format real_format_of(enum weft_ptx_type type)
{
    switch (type) {
    case WEFT_PTX_F16:
        return (struct real_format){5, 10};
    case WEFT_PTX_BF16:
        return (struct real_format){8, 7};
    case WEFT_PTX_F32:
        return (struct real_format){8, 23};
    default:
        return (struct real_format){11, 52};
    }
}

static int lowest_exponent(struct real_format format)
{
    return 2 - (1 << (format.exponent_bits - 1)) - format.fraction_bits;
}

struct real real_unpack(struct real_format format, uint64_t bits)
{
    int all_ones = (1 << format.exponent_bits) - 1;
    int field = (int)(bits >> format.fraction_bits) & all_ones;
    uint64_t fraction = bits & ((1ull << format.fraction_bits) - 1);
    bool negative = bits >> (format.exponent_bits + format.fraction_bits) & 1;
    if (field == all_ones)
        return special(fraction ? REAL_NAN : REAL_INFINITE, negative);
    if (field == 0 && fraction == 0)
        return special(REAL_ZERO, negative);
    struct real value = special(REAL_FINITE, negative);
    value.significand = field ? fraction | 1ull << format.fraction_bits : fraction;
    value.exponent = lowest_exponent(format) + (field ? field - 1 : 0);
    return value;
}

/* What is cut off, against half a unit of what is kept. */
enum tail { TAIL_NONE, TAIL_BELOW_HALF, TAIL_HALF, TAIL_ABOVE_HALF };

/* Cuts the lowest `shift` bits (at least 1). */
static wide_uint cut(struct real a, int shift, enum tail *tail)
{
    if (shift > 127) {
        *tail = TAIL_BELOW_HALF;
        return 0;
    }
    wide_uint half = (wide_uint)1 << (shift - 1);
    wide_uint rest = a.significand & (half * 2 - 1);
    if (rest == 0)
        *tail = a.sticky ? TAIL_BELOW_HALF : TAIL_NONE;
    else if (rest < half)
        *tail = TAIL_BELOW_HALF;
    else
        *tail = rest == half && !a.sticky ? TAIL_HALF : TAIL_ABOVE_HALF;
    return a.significand >> shift;
}

static bool away_from_zero(bool negative, bool odd, enum tail tail, enum weft_ptx_rounding rounding)
{
    switch (rounding) {
    case WEFT_PTX_RZ:
    case WEFT_PTX_RZI:
        return false;
    case WEFT_PTX_RM:
    case WEFT_PTX_RMI:
        return negative && tail != TAIL_NONE;
    case WEFT_PTX_RP:
    case WEFT_PTX_RPI:
        return !negative && tail != TAIL_NONE;
    case WEFT_PTX_RNA:
        return tail >= TAIL_HALF;
    default:
        return tail == TAIL_ABOVE_HALF || (tail == TAIL_HALF && odd);
    }
}

static uint64_t overflow(uint64_t infinity, bool negative, enum weft_ptx_rounding rounding)
{
    bool to_largest = rounding == WEFT_PTX_RZ || (rounding == WEFT_PTX_RM && !negative) ||
                      (rounding == WEFT_PTX_RP && negative);
    return to_largest ? infinity - 1 : infinity;
}

static uint64_t pack_finite(struct real_format format, struct real value,
                            enum weft_ptx_rounding rounding)
{
    uint64_t infinity = ((1ull << format.exponent_bits) - 1) << format.fraction_bits;
    int lowest = lowest_exponent(format);
    int unit = value.exponent + top_bit(value.significand) - format.fraction_bits;
    if (unit < lowest)
        unit = lowest;
    uint64_t kept;
    if (unit <= value.exponent) {
        kept = (uint64_t)(value.significand << (value.exponent - unit));
    } else {
        enum tail tail;
        kept = (uint64_t)cut(value, unit - value.exponent, &tail);
        kept += away_from_zero(value.negative, kept & 1, tail, rounding);
    }
    if (unit - lowest >= 1 << format.exponent_bits)
        return overflow(infinity, value.negative, rounding);
    /* The leading one of a normal number adds itself to the exponent's field, and so does a carry.
     */
    uint64_t bits = ((uint64_t)(unit - lowest) << format.fraction_bits) + kept;
    return bits >= infinity ? overflow(infinity, value.negative, rounding) : bits;
}

uint64_t real_pack(struct real_format format, struct real value, enum weft_ptx_rounding rounding)
{
    uint64_t sign = (uint64_t)value.negative << (format.exponent_bits + format.fraction_bits);
    uint64_t infinity = ((1ull << format.exponent_bits) - 1) << format.fraction_bits;
    switch (value.class) {
    case REAL_ZERO:
        return sign;
    case REAL_INFINITE:
        return sign | infinity;
    case REAL_NAN:
        return infinity | ((1ull << format.fraction_bits) - 1);
    default:
        return sign | pack_finite(format, value, rounding);
    }
}

/* Both finite. The larger is left with 126 bits, so that what the smaller loses in its shift is far
 * below rounding. */
static struct real add_finite(struct real a, struct real b, enum weft_ptx_rounding rounding)
{
    a = with_top_bit(a, 125);
    b = with_top_bit(b, 125);
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand)) {
        struct real swap = a;
        a = b;
        b = swap;
    }
    int shift = a.exponent - b.exponent;
    enum tail tail = TAIL_NONE;
    wide_uint small = shift ? cut(b, shift, &tail) : b.significand;
    if (a.negative == b.negative) {
        a.significand += small;
    } else {
        a.significand -= small + (tail != TAIL_NONE);
        if (a.significand == 0 && tail == TAIL_NONE)
            return special(REAL_ZERO, rounding == WEFT_PTX_RM);
    }
    a.sticky = tail != TAIL_NONE;
    return a;
}

struct real real_add(struct real a, struct real b, enum weft_ptx_rounding rounding)
{
    if (a.class == REAL_NAN || b.class == REAL_NAN)
        return special(REAL_NAN, false);
    if (a.class == REAL_INFINITE && b.class == REAL_INFINITE)
        return a.negative == b.negative ? a : special(REAL_NAN, false);
    if (a.class == REAL_INFINITE || b.class == REAL_INFINITE)
        return a.class == REAL_INFINITE ? a : b;
    if (a.class == REAL_ZERO && b.class == REAL_ZERO)
        return a.negative == b.negative ? a : special(REAL_ZERO, rounding == WEFT_PTX_RM);
    if (a.class == REAL_ZERO || b.class == REAL_ZERO)
        return a.class == REAL_ZERO ? b : a;
    return add_finite(a, b, rounding);
}

struct real real_multiply(struct real a, struct real b)
{
    bool negative = a.negative != b.negative;
    if (a.class == REAL_NAN || b.class == REAL_NAN)
        return special(REAL_NAN, false);
    bool zero = a.class == REAL_ZERO || b.class == REAL_ZERO;
    if (a.class == REAL_INFINITE || b.class == REAL_INFINITE)
        return special(zero ? REAL_NAN : REAL_INFINITE, negative);
    if (zero)
        return special(REAL_ZERO, negative);
    struct real product = special(REAL_FINITE, negative);
    product.significand = a.significand * b.significand;
    product.exponent = a.exponent + b.exponent;
    return product;
}

struct real real_divide(struct real a, struct real b)
{
    bool negative = a.negative != b.negative;
    if (a.class == REAL_NAN || b.class == REAL_NAN ||
        (a.class == b.class && a.class != REAL_FINITE))
        return special(REAL_NAN, false);
    if (a.class == REAL_INFINITE || b.class == REAL_ZERO)
        return special(REAL_INFINITE, negative);
    if (a.class == REAL_ZERO || b.class == REAL_INFINITE)
        return special(REAL_ZERO, negative);
    a = with_top_bit(a, 127);
    struct real quotient = special(REAL_FINITE, negative);
    quotient.significand = a.significand / b.significand;
    quotient.sticky = a.significand % b.significand != 0;
    quotient.exponent = a.exponent - b.exponent;
    return quotient;
}

struct real real_square_root(struct real a)
{
    if (a.class == REAL_ZERO || a.class == REAL_NAN)
        return a;
    if (a.negative)
        return special(REAL_NAN, false);
    if (a.class == REAL_INFINITE)
        return a;
    a = with_top_bit(a, 125);
    if (a.exponent % 2) {
        a.significand <<= 1;
        a.exponent--;
    }
    wide_uint root = 0;
    for (int bit = 63; bit >= 0; bit--) {
        wide_uint trial = root | (wide_uint)1 << bit;
        if (trial * trial <= a.significand)
            root = trial;
    }
    struct real result = special(REAL_FINITE, false);
    result.significand = root;
    result.sticky = root * root != a.significand;
    result.exponent = a.exponent / 2;
    return result;
}

static int compare_magnitude(struct real a, struct real b)
{
    if (a.class != REAL_FINITE || b.class != REAL_FINITE)
        return (int)a.class - (int)b.class; /* zero, finite, infinite stand in that order */
    a = with_top_bit(a, 125);
    b = with_top_bit(b, 125);
    if (a.exponent != b.exponent)
        return a.exponent < b.exponent ? -1 : 1;
    return a.significand < b.significand ? -1 : a.significand > b.significand;
}

int real_compare(struct real a, struct real b)
{
    if (a.class == REAL_NAN || b.class == REAL_NAN)
        return 2;
    if (a.class == REAL_ZERO && b.class == REAL_ZERO)
        return 0;
    bool a_below = a.negative && a.class != REAL_ZERO;
    bool b_below = b.negative && b.class != REAL_ZERO;
    if (a_below != b_below)
        return a_below ? -1 : 1;
    int magnitude = compare_magnitude(a, b);
    int order = magnitude < 0 ? -1 : magnitude > 0;
    return a_below ? -order : order;
}

struct real real_from_integer(wide_int value)
{
    if (value == 0)
        return special(REAL_ZERO, false);
    struct real result = special(REAL_FINITE, value < 0);
    result.significand = value < 0 ? -(wide_uint)value : (wide_uint)value;
    return result;
}

struct real real_round_integral(struct real a, enum weft_ptx_rounding rounding)
{
    if (a.class != REAL_FINITE || a.exponent >= 0)
        return a;
    enum tail tail;
    wide_uint kept = cut(a, -a.exponent, &tail);
    kept += away_from_zero(a.negative, kept & 1, tail, rounding);
    if (kept == 0)
        return special(REAL_ZERO, a.negative);
    a.significand = kept;
    a.exponent = 0;
    a.sticky = false;
    return a;
}

wide_int real_to_integer(struct real a)
{
    wide_int limit = (wide_int)1 << 100;
    if (a.class == REAL_ZERO)
        return 0;
    if (a.class == REAL_INFINITE || a.exponent + top_bit(a.significand) >= 100)
        return a.negative ? -limit : limit;
    wide_int magnitude = a.exponent >= 0 ? (wide_int)(a.significand << a.exponent)
                                         : (wide_int)(a.significand >> -a.exponent);
    return a.negative ? -magnitude : magnitude;
}

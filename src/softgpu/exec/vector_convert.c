/* cvt. One handler does all of it by way of a wide integer or a double; the common forms have their
 * own. */
#include "softgpu/exec/small_float.h"
#include "softgpu/exec/vector_float.h"

UNARY(cvt_f32_s32, float, int32_t, a)
UNARY(cvt_f32_u32, float, uint32_t, a)
UNARY(cvt_f64_s32, double, int32_t, a)
UNARY(cvt_f64_u32, double, uint32_t, a)
UNARY(cvt_f64_f32, double, float, canonical_f64((double)a))
UNARY(cvt_f32_f64, float, double, canonical_f32((float)a))
/* What does not fit is clamped, NaN is 0. `whole` is what a is rounded to. */
#define TO_S32(name, whole)                                                     \
    UNARY(name, int32_t, float, ({                                              \
              const float w = whole;                                            \
              w != w         ? 0                                                \
              : w >= 0x1p31f ? INT32_MAX                                        \
              : w < -0x1p31f ? INT32_MIN                                        \
                             : (int32_t)(w >= -0x1p31f && w < 0x1p31f ? w : 0); \
          }))
TO_S32(cvt_s32_f32, a)
TO_S32(cvt_s32_rni_f32, __builtin_rintf(a))
TO_S32(cvt_s32_rmi_f32, __builtin_floorf(a))
TO_S32(cvt_s32_rpi_f32, __builtin_ceilf(a))
UNARY(cvt_u32_f32, uint32_t, float,
      !(a > 0)       ? 0
      : a >= 0x1p32f ? UINT32_MAX
                     : (uint32_t)(a > 0 && a < 0x1p32f ? a : 0))

/* To whole numbers that stay floats. */
UNARY(cvt_rni_f32, float, float, canonical_f32(__builtin_rintf(a)))
UNARY(cvt_rmi_f32, float, float, canonical_f32(__builtin_floorf(a)))
UNARY(cvt_rpi_f32, float, float, canonical_f32(__builtin_ceilf(a)))
UNARY(cvt_rzi_f32, float, float, canonical_f32(__builtin_truncf(a)))

static inline uint32_t float_to_bfloat(float value)
{
    uint32_t bits = to_bits_f32(value);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return value != value ? 0x7fff : rounded;
}

/* Half away from zero. */
static inline uint32_t float_to_tf32(uint32_t bits)
{
    uint32_t rounded = (bits + 0x1000) & ~0x1fffu;
    uint32_t finite = (bits & 0x7f800000) == 0x7f800000 ? bits : rounded;
    return (bits & INT32_MAX) > 0x7f800000 ? 0x7fffffff : finite;
}

UNARY(cvt_f32_f16, float, uint16_t, canonical_f32(half_to_float(a)))
UNARY(cvt_f32_bf16, float, uint16_t, canonical_f32(from_bits_f32((uint32_t)a << 16)))
UNARY(cvt_f16_f32, uint16_t, float, float_to_half(a))
UNARY(cvt_bf16_f32, uint16_t, float, float_to_bfloat(a))
UNARY(cvt_tf32_f32, uint32_t, uint32_t, float_to_tf32(a))
/* a becomes the upper half. */
BINARY(cvt_f16x2_f32, uint32_t, float, float_to_half(a) << 16 | float_to_half(b))
BINARY(cvt_bf16x2_f32, uint32_t, float, float_to_bfloat(a) << 16 | float_to_bfloat(b))

/* What cvt carries between source and destination. A float is exact in double; an integer beyond 53
 * bits is not, and keeps its own form. */
struct value {
    double real;
    int64_t whole;
    bool is_unsigned; /* whole is to be read as uint64_t */
};

static bool is_signed(uint8_t type)
{
    return type >= WEFT_PTX_S8 && type <= WEFT_PTX_S64;
}
static bool is_float(uint8_t type)
{
    return type >= WEFT_PTX_F16 && type <= WEFT_PTX_TF32;
}
static unsigned width_of(uint8_t type)
{
    switch (type) {
    case WEFT_PTX_U8:
    case WEFT_PTX_S8:
    case WEFT_PTX_B8:
        return 8;
    case WEFT_PTX_U16:
    case WEFT_PTX_S16:
    case WEFT_PTX_B16:
        return 16;
    case WEFT_PTX_U64:
    case WEFT_PTX_S64:
    case WEFT_PTX_B64:
        return 64;
    default:
        return 32;
    }
}

static double source_real(uint8_t type, uint64_t bits, uint32_t keep)
{
    switch (type) {
    case WEFT_PTX_F16:
        return from_half((uint16_t)bits);
    case WEFT_PTX_BF16:
        return from_bfloat((uint16_t)bits);
    case WEFT_PTX_F64:
        return from_bits_f64(bits);
    default:
        return flushed_f32(from_bits_f32((uint32_t)bits), keep);
    }
}

static int64_t source_whole(uint8_t type, uint64_t bits)
{
    unsigned up = 64 - width_of(type);
    return is_signed(type) ? (int64_t)(bits << up) >> up : (int64_t)(bits << up >> up);
}

/* A double that rounds to 16 bits or f32 as the integer itself would: where it is longer than 53
 * bits, what is cut off is kept as a set last bit. */
static double sticky_real(int64_t whole, bool is_unsigned)
{
    bool negative = !is_unsigned && whole < 0;
    uint64_t magnitude = negative ? 0 - (uint64_t)whole : (uint64_t)whole;
    if (magnitude >> 53)
        magnitude = (magnitude & ~2047ull) | ((magnitude & 2047) ? 2048 : 0);
    double real = (double)magnitude;
    return negative ? -real : real;
}

static double rounded_whole(double x, uint8_t rounding)
{
    switch (rounding) {
    case WEFT_PTX_RNI:
    case WEFT_PTX_RN:
        return __builtin_rint(x);
    case WEFT_PTX_RMI:
    case WEFT_PTX_RM:
        return __builtin_floor(x);
    case WEFT_PTX_RPI:
    case WEFT_PTX_RP:
        return __builtin_ceil(x);
    default:
        return __builtin_trunc(x);
    }
}

static uint64_t clamp_real(double x, uint8_t type, bool from_f64)
{
    unsigned width = width_of(type);
    if (x != x)
        return from_f64 || width == 64 ? 1ull << (width - 1) : 0;
    double limit = __builtin_ldexp(1, (int)(is_signed(type) ? width - 1 : width));
    uint64_t high = is_signed(type) ? (1ull << (width - 1)) - 1 : UINT64_MAX >> (64 - width);
    if (x >= limit)
        return high;
    if (is_signed(type))
        return x < -limit ? ~high : (uint64_t)(int64_t)x;
    return x < 0 ? 0 : (uint64_t)x;
}

static uint64_t clamp_whole(int64_t x, bool from_unsigned, uint8_t type)
{
    unsigned width = width_of(type);
    if (is_signed(type)) {
        int64_t high = (int64_t)(UINT64_MAX >> (65 - width));
        if (from_unsigned && x < 0)
            return (uint64_t)high;
        return (uint64_t)(x > high ? high : x < ~high ? ~high : x);
    }
    if (!from_unsigned && x < 0)
        return 0;
    uint64_t high = UINT64_MAX >> (64 - width);
    return (uint64_t)x > high ? high : (uint64_t)x;
}

/* NaN stays. */
static double within(double x, double limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

/* In MXCSR's rounding. */
static uint64_t to_float_bits(const struct weft_exec_insn *insn, uint8_t type, struct value value,
                              bool from_float)
{
    uint32_t rounding = insn->modifiers >> WEFT_EXEC_ROUNDING_SHIFT & 3;
    bool saturate = insn->modifiers & WEFT_EXEC_SAT;
    bool relu = insn->modifiers & WEFT_EXEC_RELU;
    double real = from_float ? value.real : sticky_real(value.whole, value.is_unsigned);
    if (saturate)
        real = saturated_f64(real, true);
    if (relu && real <= 0)
        real = 0; /* -0 too */
    bool finite = insn->modifiers & WEFT_EXEC_FINITE;
    switch (type) {
    case WEFT_PTX_F16:
        return to_half(finite ? within(real, 65504) : real, rounding);
    case WEFT_PTX_BF16:
        return to_bfloat(finite ? within(real, 0x1.fep127) : real, rounding);
    case WEFT_PTX_F32: {
        float result = from_float          ? (float)real
                       : value.is_unsigned ? (float)(uint64_t)value.whole
                                           : (float)value.whole;
        result = flushed_f32(canonical_f32(result), flush_mask(insn));
        return to_bits_f32(saturated_f32(result, saturate));
    }
    default: {
        double result = from_float          ? real
                        : value.is_unsigned ? (double)(uint64_t)value.whole
                                            : (double)value.whole;
        return to_bits_f64(saturated_f64(canonical_f64(result), saturate));
    }
    }
}

/* tf32 keeps 11 bits of significand; ties go away from zero (.rna) or to even. */
static uint64_t to_tf32(uint64_t bits, uint8_t rounding, uint32_t modifiers)
{
    const uint32_t largest = 0x7f7fe000;
    uint32_t word = (uint32_t)bits;
    if ((word & INT32_MAX) > 0x7f800000)
        return 0x7fffffff;
    if (modifiers & WEFT_EXEC_RELU && word >> 31)
        return 0;
    if (modifiers & WEFT_EXEC_FINITE && (word & INT32_MAX) > largest)
        return (word & ~(uint32_t)INT32_MAX) | largest;
    if ((word & 0x7f800000) == 0x7f800000)
        return word;
    uint32_t rest = word & 0x1fff;
    uint32_t up = rounding == WEFT_PTX_RNA  ? rest >= 0x1000
                  : rounding == WEFT_PTX_RN ? rest + (word >> 13 & 1) > 0x1000
                                            : 0;
    return (word & ~0x1fffu) + (up << 13);
}

static uint64_t convert(const struct weft_exec_insn *insn, uint8_t to, uint8_t from, uint64_t bits)
{
    uint8_t rounding = insn->order;
    if (to == WEFT_PTX_TF32)
        return to_tf32(bits, rounding, insn->modifiers);
    struct value value = {0};
    if (is_float(from)) {
        value.real = source_real(from, bits, flush_mask(insn));
        if (rounding >= WEFT_PTX_RNI || !is_float(to))
            value.real = rounded_whole(value.real, rounding);
        return is_float(to) ? to_float_bits(insn, to, value, true)
                            : clamp_real(value.real, to, from == WEFT_PTX_F64);
    }
    value.whole = source_whole(from, bits);
    value.is_unsigned = !is_signed(from);
    if (is_float(to))
        return to_float_bits(insn, to, value, false);
    return insn->modifiers & WEFT_EXEC_SAT ? clamp_whole(value.whole, value.is_unsigned, to)
                                           : (uint64_t)value.whole;
}

/* An integer narrower than its register fills it by its sign or with zeros. */
static uint64_t fill(uint64_t bits, uint8_t type)
{
    unsigned up = 64 - width_of(type);
    return is_signed(type) ? (uint64_t)((int64_t)(bits << up) >> up) : bits << up >> up;
}

/* kind, count: destination and source type; b, c: bytes of a lane in their rows; order: enum
 * weft_ptx_rounding. */
HANDLER(cvt)
{
    void *d = ROW(char, insn->d);
    const void *a = SOURCE(char, insn->a);
    uint8_t to = insn->kind;
    const uint32_t saved = weft_exec_enter_rounding(insn);
    LANES(lane)
    {
        if (!(run->mask >> lane & 1))
            continue;
        uint64_t bits =
            convert(insn, to, insn->count, weft_exec_lane_read(a, (unsigned)insn->c, lane));
        weft_exec_lane_write(d, (unsigned)insn->b, lane, is_float(to) ? bits : fill(bits, to));
    }
    weft_exec_leave_rounding(saved);
}

/* cvt.rn.f16x2.f32 d, a, b: a becomes the upper half. kind: type of a half. */
HANDLER(cvt_pack_half)
{
    uint32_t *d = ROW(uint32_t, insn->d);
    const uint32_t *a = SOURCE(uint32_t, insn->a);
    const uint32_t *b = SOURCE(uint32_t, insn->b);
    LANES(lane)
    {
        if (!(run->mask >> lane & 1))
            continue;
        uint64_t upper = convert(insn, insn->kind, WEFT_PTX_F32, a[lane]);
        uint64_t lower = convert(insn, insn->kind, WEFT_PTX_F32, b[lane]);
        d[lane] = (uint32_t)(upper << 16 | lower);
    }
}

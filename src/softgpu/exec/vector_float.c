/* Floating-point arithmetic of f32 and f64: exactly rounded, with PTX's NaN. */
#include "softgpu/exec/vector_float.h"

static inline float multiply_add_f32(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}
static inline double multiply_add_f64(double a, double b, double c)
{
    return __builtin_fma(a, b, c);
}

/* Round to nearest, subnormals kept: what most code asks for. */
#define PLAIN(suffix, type)                                      \
    BINARY(fadd_##suffix, type, type, canonical_##suffix(a + b)) \
    BINARY(fsub_##suffix, type, type, canonical_##suffix(a - b)) \
    BINARY(fmul_##suffix, type, type, canonical_##suffix(a *b))  \
    BINARY(fdiv_##suffix, type, type, canonical_##suffix(a / b)) \
    TERNARY(ffma_##suffix, type, type, type, canonical_##suffix(multiply_add_##suffix(a, b, c)))
PLAIN(f32, float)
PLAIN(f64, double)

/* The same with every modifier. Sources that an operation does not have are read, but not used. */
#define EXTENDED(name, suffix, type, ...)                                          \
    HANDLER(name##_##suffix)                                                       \
    {                                                                              \
        type *d = ROW(type, insn->d);                                              \
        const type *a_row = SOURCE(type, insn->a);                                 \
        const type *b_row = SOURCE(type, insn->b);                                 \
        const type *c_row = SOURCE(type, insn->c);                                 \
        const uint32_t keep = flush_mask(insn);                                    \
        const bool saturate = insn->modifiers & WEFT_EXEC_SAT;                     \
        const uint32_t saved = weft_exec_enter_rounding(insn);                     \
        WRITE_LANES(d, ({                                                          \
                        const type a = flushed_##suffix(a_row[lane], keep);        \
                        const type b = flushed_##suffix(b_row[lane], keep);        \
                        const type c = flushed_##suffix(c_row[lane], keep);        \
                        (void)b;                                                   \
                        (void)c;                                                   \
                        const type raw = canonical_##suffix(__VA_ARGS__);          \
                        saturated_##suffix(flushed_##suffix(raw, keep), saturate); \
                    }));                                                           \
        weft_exec_leave_rounding(saved);                                           \
    }
#define EXTENDED_ALL(suffix, type)      \
    EXTENDED(xadd, suffix, type, a + b) \
    EXTENDED(xsub, suffix, type, a - b) \
    EXTENDED(xmul, suffix, type, a *b)  \
    EXTENDED(xdiv, suffix, type, a / b) \
    EXTENDED(xfma, suffix, type, multiply_add_##suffix(a, b, c))
EXTENDED_ALL(f32, float)
EXTENDED_ALL(f64, double)
/* div.approx multiplies by the reciprocal, which is lost where it would be subnormal. */
static inline float approximate_quotient(float a, float b)
{
    const float size = __builtin_fabsf(b);
    const bool lost = size > 0x1p126f && size < INFINITY;
    return lost ? a * __builtin_copysignf(0, b) : a / b;
}
EXTENDED(quotient, f32, float, approximate_quotient(a, b))
EXTENDED(xsqrt, f32, float, __builtin_sqrtf(a))
EXTENDED(xsqrt, f64, double, __builtin_sqrt(a))

/* min and max: a number beats NaN unless .NaN is written, and -0 lies below +0. */
#define EXTREME(name, suffix, type, word, sign_bit, want_max)                                      \
    HANDLER(name##_##suffix)                                                                       \
    {                                                                                              \
        type *d = ROW(type, insn->d);                                                              \
        const type *a_row = SOURCE(type, insn->a);                                                 \
        const type *b_row = SOURCE(type, insn->b);                                                 \
        const uint32_t keep = flush_mask(insn);                                                    \
        const word sign = insn->modifiers & WEFT_EXEC_XORSIGN ? sign_bit : 0;                      \
        const bool nan_wins = insn->modifiers & WEFT_EXEC_NAN;                                     \
        WRITE_LANES(d, ({                                                                          \
                        const word a_bits = to_bits_##suffix(flushed_##suffix(a_row[lane], keep)); \
                        const word b_bits = to_bits_##suffix(flushed_##suffix(b_row[lane], keep)); \
                        const type a = from_bits_##suffix(a_bits & ~sign);                         \
                        const type b = from_bits_##suffix(b_bits & ~sign);                         \
                        const bool a_nan = a != a;                                                 \
                        const bool b_nan = b != b;                                                 \
                        const bool below = a < b || (a == b && (a_bits & ~sign & sign_bit));       \
                        const type number = a_nan ? b : b_nan ? a : below != want_max ? a : b;     \
                        const bool nan = nan_wins ? a_nan | b_nan : a_nan & b_nan;                 \
                        const word flip = (a_bits ^ b_bits) & sign;                                \
                        nan ? canonical_##suffix(NAN)                                              \
                            : from_bits_##suffix(to_bits_##suffix(number) ^ flip);                 \
                    }));                                                                           \
    }
EXTREME(fmin, f32, float, uint32_t, 0x80000000u, false)
EXTREME(fmax, f32, float, uint32_t, 0x80000000u, true)
EXTREME(fmin, f64, double, uint64_t, 1ull << 63, false)
EXTREME(fmax, f64, double, uint64_t, 1ull << 63, true)

#define SIGNS(suffix, type, word, sign_bit)                                    \
    UNARY(fneg_##suffix, word, type,                                           \
          to_bits_##suffix(flushed_##suffix(a, flush_mask(insn))) ^ sign_bit)  \
    UNARY(fabs_##suffix, word, type,                                           \
          to_bits_##suffix(flushed_##suffix(a, flush_mask(insn))) & ~sign_bit) \
    BINARY(copysign_##suffix, word, word, (a & sign_bit) | (b & ~sign_bit))
SIGNS(f32, float, uint32_t, 0x80000000u)
SIGNS(f64, double, uint64_t, (1ull << 63))

#define COMPARE_FLOAT(name, suffix, type, ...)                             \
    HANDLER(name##_##suffix)                                               \
    {                                                                      \
        const type *a_row = SOURCE(type, insn->a);                         \
        const type *b_row = SOURCE(type, insn->b);                         \
        const uint32_t keep = flush_mask(insn);                            \
        int32_t flags[WEFT_EXEC_LANES] __attribute__((aligned(64)));       \
        INDEPENDENT                                                        \
        LANES(lane)                                                        \
        {                                                                  \
            const type a = flushed_##suffix(a_row[lane], keep);            \
            const type b = flushed_##suffix(b_row[lane], keep);            \
            flags[lane] = -(int32_t)(__VA_ARGS__);                         \
        }                                                                  \
        weft_exec_finish_compare(run, insn, weft_exec_gather_bits(flags)); \
    }
#define COMPARE_FLOATS(suffix, type)                                  \
    COMPARE_FLOAT(feq, suffix, type, a == b)                          \
    COMPARE_FLOAT(flt, suffix, type, a < b)                           \
    COMPARE_FLOAT(fle, suffix, type, a <= b)                          \
    COMPARE_FLOAT(fequ, suffix, type, (a == b) | (a != a) | (b != b)) \
    COMPARE_FLOAT(fnum, suffix, type, (a == a) & (b == b))
COMPARE_FLOATS(f32, float)
COMPARE_FLOATS(f64, double)

/* kind: enum weft_ptx_mode. Works on bits: exponent and fraction say it all. Zero counts as normal.
 */
static inline bool property(uint8_t mode, uint64_t exponent, uint64_t top, uint64_t fraction)
{
    switch (mode) {
    case WEFT_PTX_TESTP_FINITE:
        return exponent != top;
    case WEFT_PTX_TESTP_INFINITE:
        return exponent == top && fraction == 0;
    case WEFT_PTX_TESTP_NUMBER:
        return exponent != top || fraction == 0;
    case WEFT_PTX_TESTP_NOTANUMBER:
        return exponent == top && fraction != 0;
    case WEFT_PTX_TESTP_NORMAL:
        return exponent != top && (exponent != 0 || fraction == 0);
    default:
        return exponent == 0 && fraction != 0;
    }
}
COMPARE(testp_f32, uint32_t, property(insn->kind, a >> 23 & 255, 255, a & 0x7fffff) & (b == b))
COMPARE(testp_f64, uint64_t,
        property(insn->kind, a >> 52 & 2047, 2047, a & 0xfffffffffffff) & (b == b))

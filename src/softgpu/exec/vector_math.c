/* The approximate functions, for 32 lanes at a time: Taylor polynomials in double on reduced
 * arguments (errors below 1e-10, where PTX asks for 2^-20 or so), rounded to float once. Arguments
 * that the reduction is not good for go to libm. */
#include "softgpu/exec/vector_float.h"

#define REDUCIBLE_MAX \
    0x1p18f /* of sin and cos: quotients by π/2 stay short enough to multiply exactly */

/* 2^x. Beyond ±1020, which is far outside of float, the result only has to be as large or small. */
static inline double power_of_two(double x)
{
    x = x > 1020 ? 1020 : x < -1020 ? -1020 : x;
    const double whole = __builtin_rint(x);
    const double t = (x - whole) * 0x1.62e42fefa39efp-1; /* ln 2 */
    double p = 1.0 / 362880;
    p = p * t + 1.0 / 40320;
    p = p * t + 1.0 / 5040;
    p = p * t + 1.0 / 720;
    p = p * t + 1.0 / 120;
    p = p * t + 1.0 / 24;
    p = p * t + 1.0 / 6;
    p = p * t + 1.0 / 2;
    p = p * t + 1;
    p = p * t + 1;
    /* The exponent's bits, by way of a sum that leaves the whole number in the low bits. */
    const uint64_t bits = to_bits_f64(whole + (0x1.8p52 + 1023));
    return p * from_bits_f64(bits << 52);
}

static inline float ex2(float x)
{
    const float result = (float)power_of_two((double)x);
    return x != x ? x : result;
}

/* log2 of m · 2^e as e + log2 m, √½ < m <= √2, by the series of the inverse hyperbolic tangent. */
static inline float lg2(float x)
{
    const uint64_t bits = to_bits_f64((double)x);
    const uint64_t shifted = bits - 0x3fe6a09e667f3bcd; /* the bits of √½ */
    const uint64_t exponent = shifted & 0xfff0000000000000;
    const double m = from_bits_f64(bits - exponent);
    /* The exponent, still in place and signed, as a double: its high word is small enough to
     * convert exactly. */
    const double e = (double)((int32_t)(exponent >> 32) >> 20);
    const double s = (m - 1) / (m + 1);
    const double z = s * s;
    double p = 1.0 / 15;
    p = p * z + 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    p = p * z + 1;
    const float result = (float)(e + s * p * 0x1.71547652b82fep+1); /* 2 / ln 2 */
    const float infinite = x == 0 ? -INFINITY : x;
    return x > 0 && x < INFINITY ? result : x < 0 ? NAN : infinite;
}

static inline double sine(double r)
{
    const double z = r * r;
    double p = -1.0 / 39916800;
    p = p * z + 1.0 / 362880;
    p = p * z - 1.0 / 5040;
    p = p * z + 1.0 / 120;
    p = p * z - 1.0 / 6;
    return r + r * z * p;
}

static inline double cosine(double r)
{
    const double z = r * r;
    double p = 1.0 / 479001600;
    p = p * z - 1.0 / 3628800;
    p = p * z + 1.0 / 40320;
    p = p * z - 1.0 / 720;
    p = p * z + 1.0 / 24;
    p = p * z - 1.0 / 2;
    return 1 + z * p;
}

/* sin(x + quarter · π/2). */
static inline float sine_from(float x, double quarter)
{
    const double q = __builtin_rint((double)x * 0x1.45f306dc9c883p-1);
    const double r = ((double)x - q * 0x1.921fb544p+0) - q * 0x1.0b4611a626331p-34;
    const double turns = (q + quarter) - 4 * __builtin_floor((q + quarter) * 0.25);
    const double value = turns == 1 || turns == 3 ? cosine(r) : sine(r);
    return (float)(turns >= 2 ? -value : value);
}

static inline float tanh_of(float x)
{
    const double power = power_of_two((double)x * -0x1.71547652b82fep+1);
    const double large = (1 - power) / (1 + power);
    const double small = (double)x * (1 - (double)x * (double)x / 3);
    const float result = (float)(__builtin_fabsf(x) < 0x1p-7f ? small : large);
    return x != x ? x : result;
}

static inline float rsqrt(float x)
{
    return (float)(1 / __builtin_sqrt((double)x));
}

/* Lanes whose argument is too large for the reduction. */
static void redo_large(struct weft_exec_run *run, const struct weft_exec_insn *insn, const float *x,
                       float *d)
{
    for (uint32_t left = run->mask; left; left &= left - 1) {
        unsigned lane = (unsigned)__builtin_ctz(left);
        if (!(__builtin_fabsf(x[lane]) < REDUCIBLE_MAX))
            d[lane] =
                canonical_f32(insn->source->opcode == WEFT_PTX_SIN ? sinf(x[lane]) : cosf(x[lane]));
    }
}

static bool any_large(const float *x)
{
    int large = 0;
    LANES(lane) large |= !(__builtin_fabsf(x[lane]) < REDUCIBLE_MAX);
    return large;
}

#define APPLY(function) WRITE_LANES(d, flushed_f32(canonical_f32(function), keep))

/* Which function it is says the source's opcode. */
HANDLER(math_f32)
{
    float *d = ROW(float, insn->d);
    const float *a = SOURCE(float, insn->a);
    const uint32_t keep = flush_mask(insn);
    float x[WEFT_EXEC_LANES] __attribute__((aligned(64)));
    LANES(lane) x[lane] = flushed_f32(a[lane], keep);
    switch (insn->source->opcode) {
    case WEFT_PTX_EX2:
        APPLY(ex2(x[lane]));
        return;
    case WEFT_PTX_LG2:
        APPLY(lg2(x[lane]));
        return;
    case WEFT_PTX_TANH:
        APPLY(tanh_of(x[lane]));
        return;
    case WEFT_PTX_RSQRT:
        APPLY(rsqrt(x[lane]));
        return;
    case WEFT_PTX_SIN:
        APPLY(x[lane] == 0 ? x[lane] : sine_from(x[lane], 0));
        break;
    default:
        APPLY(sine_from(x[lane], 1));
    }
    if (any_large(x))
        redo_large(run, insn, x, d);
}

/* rcp and rsqrt of f64. With .ftz only the upper words of source and result count. */
static double function_f64(uint16_t opcode, double x, bool gross)
{
    if (!gross)
        return canonical_f64(opcode == WEFT_PTX_RCP ? 1 / x : 1 / sqrt(x));
    uint64_t upper = 0xffffffff00000000;
    uint64_t bits = to_bits_f64(x) & upper;
    if ((bits & 0x7ff0000000000000) == 0)
        bits &= 1ull << 63;
    double given = from_bits_f64(bits);
    double exact = x != x ? x : opcode == WEFT_PTX_RCP ? 1 / given : 1 / sqrt(given);
    if (exact != exact)
        return from_bits_f64(0x7fffffff00000000);
    uint64_t result = to_bits_f64(exact) & upper;
    return from_bits_f64(result & 0x7ff0000000000000 ? result : result & 1ull << 63);
}

HANDLER(math_f64)
{
    double *d = ROW(double, insn->d);
    const double *a = SOURCE(double, insn->a);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        unsigned lane = (unsigned)__builtin_ctz(left);
        d[lane] = function_f64(insn->source->opcode, a[lane], insn->modifiers & WEFT_EXEC_FTZ);
    }
}

static float function_half(uint16_t opcode, float x)
{
    switch (opcode) {
    case WEFT_PTX_EX2:
        return ex2(x);
    case WEFT_PTX_TANH:
        return tanh_of(x);
    case WEFT_PTX_LG2:
        return lg2(x);
    case WEFT_PTX_SIN:
        return sinf(x);
    case WEFT_PTX_COS:
        return cosf(x);
    default:
        return rsqrt(x);
    }
}

/* kind: 1 for bf16. count: 2 for pairs. */
HANDLER(math_half)
{
    uint16_t *d = ROW(uint16_t, insn->d);
    const uint16_t *a = SOURCE(uint16_t, insn->a);
    const uint16_t exponent = insn->kind ? 0x7f80 : 0x7c00;
    bool ftz = insn->modifiers & WEFT_EXEC_FTZ;
    for (unsigned i = 0; i < (unsigned)insn->count * WEFT_EXEC_LANES; i++) {
        if (!(run->mask >> (i / insn->count) & 1))
            continue;
        uint16_t bits = ftz && !(a[i] & exponent) ? a[i] & 0x8000 : a[i];
        double x = insn->kind ? from_bfloat(bits) : from_half(bits);
        double y = (double)function_half(insn->source->opcode, (float)x);
        uint16_t result = insn->kind ? to_bfloat(y, 0) : to_half(y, 0);
        d[i] = ftz && !(result & exponent) ? result & 0x8000 : result;
    }
}

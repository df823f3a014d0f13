/* The approximate functions. libm is closer than PTX asks for: its float functions err by less than
 * one unit in the last place. */
#include "softgpu/exec/vector_float.h"

static float function_f32(uint16_t opcode, float x)
{
    switch (opcode) {
    case WEFT_PTX_SIN:
        return sinf(x);
    case WEFT_PTX_COS:
        return cosf(x);
    case WEFT_PTX_EX2:
        return exp2f(x);
    case WEFT_PTX_LG2:
        return log2f(x);
    case WEFT_PTX_TANH:
        return tanhf(x);
    default:
        return (float)(1 / sqrt((double)x));
    }
}

/* Which function it is says the source's opcode. */
HANDLER(math_f32)
{
    float *d = ROW(float, insn->d);
    const float *a = SOURCE(float, insn->a);
    const uint32_t keep = flush_mask(insn);
    const uint16_t opcode = insn->source->opcode;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        unsigned lane = (unsigned)__builtin_ctz(left);
        float result = function_f32(opcode, flushed_f32(a[lane], keep));
        d[lane] = flushed_f32(canonical_f32(result), keep);
    }
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

/* kind: 1 for bf16. count: 2 for pairs. */
HANDLER(math_half)
{
    uint16_t *d = ROW(uint16_t, insn->d);
    const uint16_t *a = SOURCE(uint16_t, insn->a);
    bool ftz = insn->modifiers & WEFT_EXEC_FTZ;
    for (unsigned i = 0; i < (unsigned)insn->count * WEFT_EXEC_LANES; i++) {
        if (!(run->mask >> (i / insn->count) & 1))
            continue;
        uint16_t bits = ftz && !(a[i] & (insn->kind ? 0x7f80 : 0x7c00)) ? a[i] & 0x8000 : a[i];
        double x = insn->kind ? from_bfloat(bits) : from_half(bits);
        float y = function_f32(insn->source->opcode, (float)x);
        uint16_t result = insn->kind ? to_bfloat((double)y, 0) : to_half((double)y, 0);
        d[i] = ftz && !(result & (insn->kind ? 0x7f80 : 0x7c00)) ? result & 0x8000 : result;
    }
}

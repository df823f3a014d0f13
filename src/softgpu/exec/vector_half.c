/* f16 and bf16, single and in pairs. Each value is widened to double, in which one operation of
 * 16-bit values is exact or close enough that rounding once more gives the right answer; fma of
 * bf16 is the exception and says so. */
#include "softgpu/exec/small_float.h"
#include "softgpu/exec/vector_float.h"

enum { HALVES_MAX = 2 * WEFT_EXEC_LANES };

/* The NaN that a tensor copy fills in for elements out of bounds, of f16 and bf16, with any sign.
 */
#define OUT_OF_BOUNDS 0x7ff7

static double widen(uint16_t bits, bool bfloat)
{
    return bfloat ? from_bfloat(bits) : from_half(bits);
}
static uint16_t narrow(double value, bool bfloat)
{
    return bfloat ? to_bfloat(value, 0) : to_half(value, 0);
}

/* a * b + c with the last bit set where the sum is not exact, so that the next rounding sees which
 * side it lies on. */
static double fused(double a, double b, double c)
{
    double product = a * b;
    double sum = product + c;
    double back = sum - product;
    double error = (product - (sum - back)) + (c - back);
    uint64_t bits = to_bits_f64(sum);
    if (error != 0 && isfinite(sum) && !(bits & 1)) {
        bool away = (error > 0) == (sum > 0);
        bits = away ? bits | 1 : bits - 1;
    }
    return from_bits_f64(bits);
}

static uint16_t extreme(uint16_t a, uint16_t b, const struct weft_exec_insn *insn, bool bfloat)
{
    uint16_t flip = 0;
    if (insn->modifiers & WEFT_EXEC_XORSIGN) {
        flip = (a ^ b) & 0x8000;
        a &= 0x7fff;
        b &= 0x7fff;
    }
    double x = widen(a, bfloat);
    double y = widen(b, bfloat);
    bool a_nan = x != x;
    bool b_nan = y != y;
    if ((a_nan && b_nan) || (insn->modifiers & WEFT_EXEC_NAN && (a_nan || b_nan)))
        return 0x7fff;
    if (a_nan || b_nan)
        return (a_nan ? b : a) ^ flip;
    bool below = x < y || (x == y && (a & 0x8000));
    return (below != (insn->source->opcode == WEFT_PTX_MAX) ? a : b) ^ flip;
}

static uint16_t compute(uint16_t a, uint16_t b, uint16_t c, const struct weft_exec_insn *insn,
                        bool bfloat)
{
    double x = widen(a, bfloat);
    double y = widen(b, bfloat);
    switch (insn->source->opcode) {
    case WEFT_PTX_ADD:
        return narrow(x + y, bfloat);
    case WEFT_PTX_SUB:
        return narrow(x - y, bfloat);
    case WEFT_PTX_MUL:
        return narrow(x * y, bfloat);
    case WEFT_PTX_FMA:
        if (insn->modifiers & WEFT_EXEC_OOB &&
            ((a & 0x7fff) == OUT_OF_BOUNDS || (b & 0x7fff) == OUT_OF_BOUNDS))
            return 0;
        return narrow(fused(x, y, widen(c, bfloat)), bfloat);
    case WEFT_PTX_NEG:
        return a ^ 0x8000;
    case WEFT_PTX_ABS:
        return a & 0x7fff;
    default:
        return extreme(a, b, insn, bfloat);
    }
}

/* .ftz of f16; .sat and .relu of the result. */
static uint16_t flushed(uint16_t bits, bool wanted)
{
    return wanted && !(bits & 0x7c00) ? bits & 0x8000 : bits;
}
static uint16_t finished(uint16_t bits, const struct weft_exec_insn *insn, bool bfloat)
{
    bool ftz = insn->modifiers & WEFT_EXEC_FTZ;
    bits = flushed(bits, ftz);
    bool nan = (bits & 0x7fff) > (bfloat ? 0x7f80 : 0x7c00);
    uint16_t one = bfloat ? 0x3f80 : 0x3c00;
    if (insn->modifiers & WEFT_EXEC_SAT) {
        if (nan || bits & 0x8000)
            return 0;
        return bits > one ? one : bits;
    }
    return insn->modifiers & WEFT_EXEC_RELU && !nan && bits & 0x8000 ? 0 : bits;
}

/* a * b + c of halves: the product is exact in float, and the sum's last bit is set where it is not
 * exact, as in fused() above. */
static inline uint32_t fused_halves(float a, float b, float c)
{
    float product = a * b;
    float sum = product + c;
    float back = sum - product;
    float error = (product - (sum - back)) + (c - back);
    uint32_t bits = to_bits_f32(sum);
    uint32_t odd = (error > 0) == (sum > 0) ? bits | 1 : bits - 1;
    bool adjusts = error != 0 && (bits & 0x7f800000) != 0x7f800000 && !(bits & 1);
    return float_to_half(from_bits_f32(adjusts ? odd : bits));
}

#define EACH_HALF(...)                            \
    {                                             \
        INDEPENDENT                               \
        for (unsigned i = 0; i < HALVES_MAX; i++) \
            out[i] = (uint16_t)(__VA_ARGS__);     \
        break;                                    \
    }

/* In float, which has more than twice the digits, so that rounding twice is rounding once. All are
 * HALVES_MAX long. */
static void compute_plain(uint16_t opcode, const uint16_t *a, const uint16_t *b, const uint16_t *c,
                          uint16_t *out)
{
    switch (opcode) {
    case WEFT_PTX_ADD:
        EACH_HALF(float_to_half(half_to_float(a[i]) + half_to_float(b[i])))
    case WEFT_PTX_SUB:
        EACH_HALF(float_to_half(half_to_float(a[i]) - half_to_float(b[i])))
    case WEFT_PTX_MUL:
        EACH_HALF(float_to_half(half_to_float(a[i]) * half_to_float(b[i])))
    default:
        EACH_HALF(fused_halves(half_to_float(a[i]), half_to_float(b[i]), half_to_float(c[i])))
    }
}

/* Arithmetic on f16 without modifiers. */
static bool is_plain(const struct weft_exec_insn *insn)
{
    const uint32_t special = WEFT_EXEC_FTZ | WEFT_EXEC_SAT | WEFT_EXEC_RELU | WEFT_EXEC_OOB;
    const uint16_t opcode = insn->source->opcode;
    return !insn->kind && !(insn->modifiers & special) &&
           (opcode == WEFT_PTX_ADD || opcode == WEFT_PTX_SUB || opcode == WEFT_PTX_MUL ||
            opcode == WEFT_PTX_FMA);
}

/* Rows of single values are half as long: what lies behind them is computed and dropped. */
static void perform_plain(struct weft_exec_run *run, const struct weft_exec_insn *insn)
{
    uint16_t a[HALVES_MAX] __attribute__((aligned(64))), b[HALVES_MAX] __attribute__((aligned(64)));
    uint16_t c[HALVES_MAX] __attribute__((aligned(64)));
    uint16_t out[HALVES_MAX] __attribute__((aligned(64)));
    const size_t bytes = (size_t)insn->count * WEFT_EXEC_LANES * sizeof(*a);
    memcpy(a, weft_exec_source(run, insn->a), bytes);
    memcpy(b, weft_exec_source(run, insn->b), bytes);
    memcpy(c, weft_exec_source(run, insn->c), bytes);
    memset(a + bytes / 2, 0, sizeof(a) - bytes);
    memset(b + bytes / 2, 0, sizeof(b) - bytes);
    memset(c + bytes / 2, 0, sizeof(c) - bytes);
    compute_plain(insn->source->opcode, a, b, c, out);
    if (insn->count == 1) {
        uint16_t *d = ROW(uint16_t, insn->d);
        WRITE_LANES(d, out[lane]);
    } else {
        uint32_t *d = ROW(uint32_t, insn->d);
        const uint32_t *pairs = (const uint32_t *)out;
        WRITE_LANES(d, pairs[lane]);
    }
}

/* kind: 1 for bf16. count: 2 for pairs. The operation is the source's opcode. */
HANDLER(half)
{
    if (is_plain(insn)) {
        perform_plain(run, insn);
        return;
    }
    unsigned per_lane = insn->count;
    bool bfloat = insn->kind;
    bool ftz = insn->modifiers & WEFT_EXEC_FTZ;
    uint16_t *d = ROW(uint16_t, insn->d);
    const uint16_t *a = SOURCE(uint16_t, insn->a);
    const uint16_t *b = SOURCE(uint16_t, insn->b);
    const uint16_t *c = SOURCE(uint16_t, insn->c);
    for (unsigned i = 0; i < per_lane * WEFT_EXEC_LANES; i++) {
        if (!(run->mask >> (i / per_lane) & 1))
            continue;
        uint16_t raw =
            compute(flushed(a[i], ftz), flushed(b[i], ftz), flushed(c[i], ftz), insn, bfloat);
        d[i] = finished(raw, insn, bfloat);
    }
}

static bool holds(uint8_t compare, double a, double b)
{
    bool unordered = a != a || b != b;
    switch (compare) {
    case WEFT_PTX_EQ:
        return a == b;
    case WEFT_PTX_NE:
        return !unordered && a != b;
    case WEFT_PTX_LT:
        return a < b;
    case WEFT_PTX_LE:
        return a <= b;
    case WEFT_PTX_GT:
        return a > b;
    case WEFT_PTX_GE:
        return a >= b;
    case WEFT_PTX_EQU:
        return unordered || a == b;
    case WEFT_PTX_NEU:
        return unordered || a != b;
    case WEFT_PTX_LTU:
        return unordered || a < b;
    case WEFT_PTX_LEU:
        return unordered || a <= b;
    case WEFT_PTX_GTU:
        return unordered || a > b;
    case WEFT_PTX_GEU:
        return unordered || a >= b;
    case WEFT_PTX_NUM:
        return !unordered;
    default:
        return unordered;
    }
}

/* kind: 1 for bf16. count: 2 for pairs, whose halves' answers go to d and more[0]. order: enum
 * weft_ptx_compare. */
HANDLER(half_compare)
{
    unsigned per_lane = insn->count;
    bool ftz = insn->modifiers & WEFT_EXEC_FTZ;
    const uint16_t *a = SOURCE(uint16_t, insn->a);
    const uint16_t *b = SOURCE(uint16_t, insn->b);
    uint32_t bits[2] = {0, 0};
    for (unsigned i = 0; i < per_lane * WEFT_EXEC_LANES; i++) {
        double x = widen(flushed(a[i], ftz), insn->kind);
        double y = widen(flushed(b[i], ftz), insn->kind);
        bits[i % per_lane] |= (uint32_t)holds(insn->order, x, y) << (i / per_lane);
    }
    if (per_lane == 1) {
        weft_exec_finish_compare(run, insn, bits[0]);
        return;
    }
    uint32_t second = weft_exec_combine(run, insn, bits[1]);
    weft_exec_set_predicate(run, insn->d, weft_exec_combine(run, insn, bits[0]));
    if (insn->more[0] != WEFT_EXEC_NO_ROW)
        weft_exec_set_predicate(run, insn->more[0], second);
}

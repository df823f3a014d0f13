/* cvt between formats of eight bits and halves or floats, two at a time. */
#include "softgpu/exec/ops.h"
#include "softgpu/exec/small_float.h"

#define E4M3_MAX 0x7e
#define E5M2_MAX 0x7b
#define SMALL_NAN 0x7f

/* To nearest even, and .satfinite: what is too large becomes the largest. */
static uint32_t to_small(float value, bool e4m3, bool relu)
{
    if (value != value)
        return SMALL_NAN;
    if (relu && !(value > 0))
        return 0;
    uint32_t rounded = round_to_16((double)value, e4m3 ? 3 : 2, e4m3 ? -6 : -14, 0);
    uint32_t most = e4m3 ? E4M3_MAX : E5M2_MAX, size = rounded & 0x7fff;
    return (rounded >> 8 & 0x80) | (size > most ? most : size);
}

static uint32_t to_half_of(uint32_t bits, bool e4m3, bool relu)
{
    float value = e4m3 ? e4m3_to_float(bits) : e5m2_to_float(bits);
    return relu && value <= 0 ? 0 : float_to_half(value);
}

/* kind: destination type, count: source type; b: a's lower partner where the source is f32.
 * modifiers: WEFT_EXEC_RELU. */
COMMON_HANDLER(cvt_small)
{
    bool relu = insn->modifiers & WEFT_EXEC_RELU;
    if (insn->kind == WEFT_PTX_F16X2) {
        bool e4m3 = insn->count == WEFT_PTX_E4M3X2;
        const uint16_t *a = weft_exec_source(run, insn->a);
        uint32_t *d = weft_exec_row(run, insn->d);
        LANES(lane)
        {
            if (run->mask >> lane & 1)
                d[lane] = to_half_of(a[lane] & 0xff, e4m3, relu) |
                          to_half_of(a[lane] >> 8, e4m3, relu) << 16;
        }
        return;
    }
    bool e4m3 = insn->kind == WEFT_PTX_E4M3X2, floats = insn->count == WEFT_PTX_F32;
    const uint32_t *a = weft_exec_source(run, insn->a);
    const uint32_t *b = weft_exec_source(run, insn->b);
    uint16_t *d = weft_exec_row(run, insn->d);
    LANES(lane)
    {
        if (!(run->mask >> lane & 1))
            continue;
        float upper = floats ? from_bits_f32(a[lane]) : half_to_float(a[lane] >> 16);
        float lower = floats ? from_bits_f32(b[lane]) : half_to_float(a[lane] & 0xffff);
        d[lane] = (uint16_t)(to_small(upper, e4m3, relu) << 8 | to_small(lower, e4m3, relu));
    }
}

/* Video instructions: one operation on parts of words, or on all bytes or halves of two words at
 * once, saturated, and then combined with a third word. As the PTX ISA's pseudocode has it. And
 * cvt.pack, which saturates and combines alike. */
#include "softgpu/exec/ops.h"

/* Wide enough for a product of two words with a third word on top. */
typedef __int128 wide_int;

static bool is_signed(uint8_t type)
{
    return type == WEFT_PTX_S32;
}

/* `width` bits of a word from `shift` on, extended by the sign of the type. */
static wide_int extended(uint64_t word, uint32_t shift, uint32_t width, uint8_t type)
{
    uint64_t up = word << (64 - width - shift);
    return is_signed(type) ? (wide_int)((int64_t)up >> (64 - width))
                           : (wide_int)(up >> (64 - width));
}

/* Where the part of a word lies that a selector names. */
static uint32_t part_width(uint8_t selector)
{
    if (selector == WEFT_PTX_SELECT_NONE)
        return 32;
    return selector >= WEFT_PTX_SELECT_H0 ? 16 : 8;
}
static uint32_t part_shift(uint8_t selector)
{
    if (selector == WEFT_PTX_SELECT_NONE)
        return 0;
    return selector >= WEFT_PTX_SELECT_H0 ? 16u * (selector - WEFT_PTX_SELECT_H0)
                                          : 8u * (selector - WEFT_PTX_SELECT_B0);
}
static wide_int part_of(uint32_t word, const struct weft_ptx_operand *operand, uint8_t type)
{
    return extended(word, part_shift(operand->selector), part_width(operand->selector), type);
}

static wide_int least(wide_int a, wide_int b)
{
    return a < b ? a : b;
}
static wide_int most(wide_int a, wide_int b)
{
    return a > b ? a : b;
}

static wide_int saturated(wide_int value, uint32_t width, bool with_sign)
{
    wide_int low = with_sign ? -((wide_int)1 << (width - 1)) : 0;
    wide_int high = low + ((wide_int)1 << width) - 1;
    return least(most(value, low), high);
}

static wide_int average(wide_int sum)
{
    return sum >= 0 ? (sum + 1) >> 1 : sum >> 1;
}

static wide_int shifted(const struct weft_ptx_insn *source, wide_int a, wide_int b, bool left)
{
    uint32_t by = source->mode == WEFT_PTX_WRAP ? (uint32_t)b & 31 : (uint32_t)least(b, 32);
    return left ? (wide_int)((unsigned __int128)a << by) : a >> by;
}

static wide_int compared(uint8_t compare, wide_int a, wide_int b)
{
    switch (compare) {
    case WEFT_PTX_EQ:
        return a == b;
    case WEFT_PTX_NE:
        return a != b;
    case WEFT_PTX_LT:
        return a < b;
    case WEFT_PTX_LE:
        return a <= b;
    case WEFT_PTX_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static wide_int operated(const struct weft_ptx_insn *source, wide_int a, wide_int b)
{
    switch (source->opcode) {
    case WEFT_PTX_VADD:
    case WEFT_PTX_VADD2:
    case WEFT_PTX_VADD4:
        return a + b;
    case WEFT_PTX_VSUB:
    case WEFT_PTX_VSUB2:
    case WEFT_PTX_VSUB4:
        return a - b;
    case WEFT_PTX_VABSDIFF:
    case WEFT_PTX_VABSDIFF2:
    case WEFT_PTX_VABSDIFF4:
        return a < b ? b - a : a - b;
    case WEFT_PTX_VAVRG2:
    case WEFT_PTX_VAVRG4:
        return average(a + b);
    case WEFT_PTX_VMIN:
    case WEFT_PTX_VMIN2:
    case WEFT_PTX_VMIN4:
        return least(a, b);
    case WEFT_PTX_VMAX:
    case WEFT_PTX_VMAX2:
    case WEFT_PTX_VMAX4:
        return most(a, b);
    case WEFT_PTX_VSHL:
    case WEFT_PTX_VSHR:
        return shifted(source, a, b, source->opcode == WEFT_PTX_VSHL);
    default:
        return compared(source->compare, a, b);
    }
}

/* vset has no type of its result, which is unsigned. */
static bool is_set(const struct weft_ptx_insn *source)
{
    return source->type_count == 2;
}
static uint8_t result_type(const struct weft_ptx_insn *source)
{
    return is_set(source) ? WEFT_PTX_U32 : source->types[0];
}
static uint8_t source_type(const struct weft_ptx_insn *source, uint32_t index)
{
    return source->types[is_set(source) ? index : index + 1];
}

static uint32_t merged(uint32_t value, uint32_t into, uint8_t selector)
{
    uint32_t ones = part_width(selector) == 32 ? UINT32_MAX : (1u << part_width(selector)) - 1;
    uint32_t shift = part_shift(selector);
    return (into & ~(ones << shift)) | (value & ones) << shift;
}

static uint32_t scalar(const struct weft_ptx_insn *source, uint32_t a, uint32_t b, uint32_t c)
{
    const struct weft_ptx_operand *operands = source->operands;
    uint8_t type = result_type(source);
    uint8_t selector = operands[0].selector;
    wide_int value = operated(source, part_of(a, &operands[1], source_type(source, 0)),
                              part_of(b, &operands[2], source_type(source, 1)));
    wide_int third = extended(c, 0, 32, type);
    if (source->flags & WEFT_PTX_SAT)
        value = saturated(value, part_width(selector), is_signed(type));
    switch (source->operation) {
    case WEFT_PTX_OP_ADD:
        return (uint32_t)(value + third);
    case WEFT_PTX_OP_MIN:
        return (uint32_t)least(value, third);
    case WEFT_PTX_OP_MAX:
        return (uint32_t)most(value, third);
    default:
        return merged((uint32_t)value, c, selector);
    }
}

/* ±(a × b) ± c, or a × b + c + 1, shifted down. */
static uint32_t product(const struct weft_ptx_insn *source, uint32_t a, uint32_t b, uint32_t c)
{
    const struct weft_ptx_operand *operands = source->operands;
    bool negate = operands[1].minus != operands[2].minus;
    bool with_sign =
        is_signed(source->types[1]) || is_signed(source->types[2]) || negate || operands[3].minus;
    wide_int value =
        part_of(a, &operands[1], source->types[1]) * part_of(b, &operands[2], source->types[2]);
    wide_int third = extended(c, 0, 32, with_sign ? WEFT_PTX_S32 : WEFT_PTX_U32);
    value = (negate ? -value : value) + (operands[3].minus ? -third : third);
    if (source->flags & WEFT_PTX_PLUS_ONE)
        value++;
    if (source->mode)
        value >>= source->mode == WEFT_PTX_SHR7 ? 7 : 15;
    return (uint32_t)(source->flags & WEFT_PTX_SAT ? saturated(value, 32, with_sign) : value);
}

/* Element `index` of the words b:a as the operand's digits choose it; without digits those of the
 * operand's own word. */
static wide_int chosen(const struct weft_ptx_operand *operand, uint64_t words, uint32_t index,
                       uint32_t own, uint32_t width, uint8_t type)
{
    uint32_t number = operand->selector ? (uint32_t)(operand->bits >> 4 * index & 15) : own + index;
    return extended(words, number * width, width, type);
}

static bool is_written(const struct weft_ptx_operand *operand, uint32_t index)
{
    if (operand->selector == WEFT_PTX_SELECT_NONE)
        return true;
    for (uint32_t i = 0; i < operand->element_count; i++)
        if ((operand->bits >> 4 * i & 15) == index)
            return true;
    return false;
}

static uint32_t simd(const struct weft_ptx_insn *source, uint32_t count, uint32_t a, uint32_t b,
                     uint32_t c)
{
    const struct weft_ptx_operand *operands = source->operands;
    const uint64_t words = (uint64_t)b << 32 | a;
    const uint32_t width = 32 / count;
    const bool adds = source->operation == WEFT_PTX_OP_ADD;
    uint32_t result = c;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_written(&operands[0], i))
            continue;
        wide_int value =
            operated(source, chosen(&operands[1], words, i, 0, width, source_type(source, 0)),
                     chosen(&operands[2], words, i, count, width, source_type(source, 1)));
        if (source->flags & WEFT_PTX_SAT)
            value = saturated(value, width, is_signed(result_type(source)));
        uint32_t ones = (uint32_t)((1u << width) - 1) << (i * width);
        result = adds ? result + (uint32_t)value
                      : (result & ~ones) | ((uint32_t)value << (i * width) & ones);
    }
    return result;
}

/* kind: how many parts of a word: 1, 2, 4; 0 for vmad. The rest stands in the source. */
COMMON_HANDLER(video)
{
    const struct weft_ptx_insn *source = insn->source;
    uint32_t *d = weft_exec_row(run, insn->d);
    const uint32_t *a = weft_exec_source(run, insn->a);
    const uint32_t *b = weft_exec_source(run, insn->b);
    const uint32_t *c = weft_exec_source(run, insn->c);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        d[lane] = insn->kind == 0   ? product(source, a[lane], b[lane], c[lane])
                  : insn->kind == 1 ? scalar(source, a[lane], b[lane], c[lane])
                                    : simd(source, insn->kind, a[lane], b[lane], c[lane]);
    }
}

/* kind: bits of a part; count: 1 for signed ones. The rest of c comes above them. */
COMMON_HANDLER(cvt_pack)
{
    uint32_t *d = weft_exec_row(run, insn->d);
    const uint32_t *a = weft_exec_source(run, insn->a);
    const uint32_t *b = weft_exec_source(run, insn->b);
    const uint32_t *c = weft_exec_source(run, insn->c);
    const uint32_t width = insn->kind;
    const uint32_t ones = (1u << width) - 1;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint32_t upper = (uint32_t)saturated((int32_t)a[lane], width, insn->count) & ones;
        uint32_t lower = (uint32_t)saturated((int32_t)b[lane], width, insn->count) & ones;
        d[lane] = (uint32_t)((uint64_t)c[lane] << 2 * width) | upper << width | lower;
    }
}

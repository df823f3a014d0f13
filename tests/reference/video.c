/* Video instructions, part by part, in 128 bits. */
#include "alu.h"

#include "types.h"

/* The name of an opcode tells how many parts it has: vadd, vadd2, vadd4. */
static unsigned part_count(const struct weft_ptx_insn *insn)
{
    const char *name = weft_ptx_opcode_name(insn->opcode);
    while (name[1])
        name++;
    return *name == '2' ? 2 : *name == '4' ? 4 : 1;
}

static bool has_result_type(const struct weft_ptx_insn *insn)
{
    return insn->type_count == 3;
}

static uint8_t type_of_source(const struct weft_ptx_insn *insn, unsigned index)
{
    return insn->types[index + (has_result_type(insn) ? 1 : 0)];
}

static __int128 as_number(uint64_t bits, unsigned width, bool is_signed)
{
    return is_signed ? (__int128)sign_extend(low_bits(bits, width), width)
                     : (__int128)low_bits(bits, width);
}

/* Bits of the part that .b0 … .h1 names; the whole word without one. */
static void locate(uint8_t selector, unsigned *first, unsigned *width)
{
    static const struct {
        unsigned first, width;
    } places[] = {[WEFT_PTX_SELECT_NONE] = {0, 32}, [WEFT_PTX_SELECT_B0] = {0, 8},
                  [WEFT_PTX_SELECT_B1] = {8, 8},    [WEFT_PTX_SELECT_B2] = {16, 8},
                  [WEFT_PTX_SELECT_B3] = {24, 8},   [WEFT_PTX_SELECT_H0] = {0, 16},
                  [WEFT_PTX_SELECT_H1] = {16, 16}};
    *first = places[selector].first;
    *width = places[selector].width;
}

static __int128 scalar_source(const struct alu *alu, unsigned index)
{
    unsigned first, width;
    locate(alu->insn->operands[index + 1].selector, &first, &width);
    return as_number(alu->source[index] >> first, width,
                     type_is_signed(type_of_source(alu->insn, index)));
}

static __int128 clamp(__int128 value, unsigned width, bool is_signed)
{
    __int128 low = is_signed ? -(__int128)(1ull << (width - 1)) : 0;
    __int128 high = is_signed ? (__int128)(1ull << (width - 1)) - 1 : (__int128)mask_bits(width);
    return value < low ? low : value > high ? high : value;
}

static bool operate(const struct weft_ptx_insn *insn, __int128 a, __int128 b, __int128 *out)
{
    bool wraps = insn->mode == WEFT_PTX_WRAP;
    int amount = wraps ? (int)(b & 31) : b > 32 ? 32 : (int)b;
    switch (insn->opcode) {
    case WEFT_PTX_VADD:
    case WEFT_PTX_VADD2:
    case WEFT_PTX_VADD4:
        *out = a + b;
        return true;
    case WEFT_PTX_VSUB:
    case WEFT_PTX_VSUB2:
    case WEFT_PTX_VSUB4:
        *out = a - b;
        return true;
    case WEFT_PTX_VABSDIFF:
    case WEFT_PTX_VABSDIFF2:
    case WEFT_PTX_VABSDIFF4:
        *out = a > b ? a - b : b - a;
        return true;
    case WEFT_PTX_VAVRG2:
    case WEFT_PTX_VAVRG4: /* halves go up where the sum is not negative, else down */
        *out = (a + b + (a + b >= 0)) >> 1;
        return true;
    case WEFT_PTX_VMIN:
    case WEFT_PTX_VMIN2:
    case WEFT_PTX_VMIN4:
        *out = a < b ? a : b;
        return true;
    case WEFT_PTX_VMAX:
    case WEFT_PTX_VMAX2:
    case WEFT_PTX_VMAX4:
        *out = a < b ? b : a;
        return true;
    case WEFT_PTX_VSHL:
        *out = a * ((__int128)1 << amount);
        return true;
    case WEFT_PTX_VSHR:
        *out = a >> amount;
        return true;
    case WEFT_PTX_VSET:
    case WEFT_PTX_VSET2:
    case WEFT_PTX_VSET4:
        *out = alu_holds(insn->compare, WEFT_PTX_S64, (uint64_t)a, (uint64_t)b);
        return true;
    default:
        return false;
    }
}

static bool scalar(struct alu *alu)
{
    const struct weft_ptx_insn *insn = alu->insn;
    bool is_signed = has_result_type(insn) && type_is_signed(insn->types[0]);
    __int128 c = as_number(alu->source[2], 32, is_signed);
    __int128 value;
    if (!operate(insn, scalar_source(alu, 0), scalar_source(alu, 1), &value))
        return false;
    unsigned first, width;
    locate(insn->operands[0].selector, &first, &width);
    if (insn->flags & WEFT_PTX_SAT)
        value = clamp(value, width, is_signed);
    if (insn->operation == WEFT_PTX_OP_ADD)
        value += c;
    else if (insn->operation == WEFT_PTX_OP_MIN)
        value = c < value ? c : value;
    else if (insn->operation == WEFT_PTX_OP_MAX)
        value = c > value ? c : value;
    uint64_t place = mask_bits(width) << first;
    alu->result = ((uint64_t)value << first & place) | (alu->source[2] & ~place);
    return true;
}

static bool multiply(struct alu *alu)
{
    const struct weft_ptx_insn *insn = alu->insn;
    bool negated = insn->operands[1].minus ^ insn->operands[2].minus;
    bool is_signed = type_is_signed(insn->types[1]) || type_is_signed(insn->types[2]) || negated ||
                     insn->operands[3].minus;
    __int128 value = scalar_source(alu, 0) * scalar_source(alu, 1);
    __int128 c = as_number(alu->source[2], 32, is_signed);
    if (negated)
        value = -value;
    value += insn->operands[3].minus ? -c : c;
    value += insn->flags & WEFT_PTX_PLUS_ONE ? 1 : 0;
    value >>= insn->mode == WEFT_PTX_SHR7 ? 7 : insn->mode == WEFT_PTX_SHR15 ? 15 : 0;
    if (insn->flags & WEFT_PTX_SAT)
        value = clamp(value, 32, is_signed);
    alu->result = (uint64_t)value;
    return true;
}

/* The bits of one part of a or b: which one, its digit in the operand's selector says; the parts of
 * a come before those of b. */
static uint64_t take_part(const struct alu *alu, unsigned index, unsigned i, unsigned count)
{
    const struct weft_ptx_operand *operand = &alu->insn->operands[index + 1];
    uint64_t number = operand->selector ? operand->bits >> (4 * i) & 15 : index * count + i;
    return alu->source[number / count] >> (number % count * (32 / count));
}

static bool is_masked(const struct weft_ptx_operand *operand, unsigned i)
{
    bool found = operand->selector == WEFT_PTX_SELECT_NONE;
    for (unsigned digit = 0; digit < operand->element_count; digit++)
        found |= (operand->bits >> (4 * digit) & 15) == i;
    return found;
}

static bool parallel(struct alu *alu, unsigned count)
{
    const struct weft_ptx_insn *insn = alu->insn;
    unsigned width = 32 / count;
    uint64_t merged = 0, total = alu->source[2];
    for (unsigned i = 0; i < count; i++) {
        __int128 value;
        if (!operate(insn,
                     as_number(take_part(alu, 0, i, count), width,
                               type_is_signed(type_of_source(insn, 0))),
                     as_number(take_part(alu, 1, i, count), width,
                               type_is_signed(type_of_source(insn, 1))),
                     &value))
            return false;
        if (insn->flags & WEFT_PTX_SAT)
            value = clamp(value, width, type_is_signed(insn->types[0]));
        bool masked = is_masked(&insn->operands[0], i);
        uint64_t kept = alu->source[2] >> (i * width);
        merged |= low_bits(masked ? (uint64_t)value : kept, width) << (i * width);
        total += masked ? (uint64_t)value : 0;
    }
    alu->result = insn->operation == WEFT_PTX_OP_ADD ? total : merged;
    return true;
}

bool alu_video(struct alu *alu)
{
    if (weft_ptx_opcode_name(alu->insn->opcode)[0] != 'v')
        return false;
    if (alu->insn->opcode == WEFT_PTX_VMAD)
        return multiply(alu);
    unsigned count = part_count(alu->insn);
    return count == 1 ? scalar(alu) : parallel(alu, count);
}

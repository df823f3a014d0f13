#include "alu.h"

#include "types.h"

static uint8_t doubled(uint8_t type)
{
    switch (type) {
    case WEFT_PTX_U16:
        return WEFT_PTX_U32;
    case WEFT_PTX_S16:
        return WEFT_PTX_S32;
    case WEFT_PTX_U32:
        return WEFT_PTX_U64;
    default:
        return WEFT_PTX_S64;
    }
}

static uint8_t wide_type(const struct weft_ptx_insn *insn)
{
    return insn->flags & WEFT_PTX_WIDE ? doubled(insn->types[0]) : insn->types[0];
}

static uint8_t dot_product_type(const struct weft_ptx_insn *insn)
{
    bool is_signed = insn->types[0] == WEFT_PTX_S32 || insn->types[1] == WEFT_PTX_S32;
    return is_signed ? WEFT_PTX_S32 : WEFT_PTX_U32;
}

uint8_t alu_source_type(const struct weft_ptx_insn *insn, unsigned index)
{
    uint8_t first = insn->types[0];
    switch (insn->opcode) {
    case WEFT_PTX_MAD:
    case WEFT_PTX_MADC:
    case WEFT_PTX_MAD24:
        return index == 2 ? wide_type(insn) : first;
    case WEFT_PTX_SHL:
    case WEFT_PTX_SHR:
        return index == 1 ? WEFT_PTX_U32 : first;
    case WEFT_PTX_BFE:
        return index >= 1 ? WEFT_PTX_U32 : first;
    case WEFT_PTX_BFI:
        return index >= 2 ? WEFT_PTX_U32 : first;
    case WEFT_PTX_SELP:
    case WEFT_PTX_SETP:
        return index == 2 ? WEFT_PTX_PRED : first;
    case WEFT_PTX_SET:
        return index == 2 ? WEFT_PTX_PRED : insn->types[1];
    case WEFT_PTX_ADD:
    case WEFT_PTX_SUB:
    case WEFT_PTX_FMA: { /* add.f32.f16: all sources but the last are small */
        unsigned last = insn->opcode == WEFT_PTX_FMA ? 2 : 1;
        return insn->types[1] && index < last ? insn->types[1] : first;
    }
    case WEFT_PTX_CVT_PACK:
        return WEFT_PTX_S32;
    case WEFT_PTX_LOP3:
        return index == 4 ? WEFT_PTX_PRED : index == 3 ? WEFT_PTX_U32 : first;
    case WEFT_PTX_SLCT:
        return index == 2 ? insn->types[1] : first;
    case WEFT_PTX_CVT:
        return insn->types[1];
    case WEFT_PTX_DP4A:
    case WEFT_PTX_DP2A:
        return index == 2 ? dot_product_type(insn) : insn->types[index];
    default:
        return weft_ptx_opcode_name(insn->opcode)[0] == 'v' ? WEFT_PTX_B32 : first;
    }
}

uint8_t alu_result_type(const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_MUL:
    case WEFT_PTX_MAD:
    case WEFT_PTX_MUL24:
    case WEFT_PTX_MAD24:
        return wide_type(insn);
    case WEFT_PTX_SETP:
    case WEFT_PTX_TESTP:
        return WEFT_PTX_PRED;
    case WEFT_PTX_POPC:
    case WEFT_PTX_CLZ:
    case WEFT_PTX_BFIND:
        return WEFT_PTX_U32;
    case WEFT_PTX_DP4A:
    case WEFT_PTX_DP2A:
        return dot_product_type(insn);
    case WEFT_PTX_CVT_PACK:
        return WEFT_PTX_U32;
    default:
        return insn->types[0];
    }
}

static bool evaluate_one(struct alu *alu)
{
    return alu_compare(alu) || alu_convert(alu) || alu_bits(alu) || alu_video(alu) ||
           (type_is_float(alu->insn->types[0]) ? alu_float(alu) : alu_integer(alu));
}

/* A packed pair is two instructions on halves. */
static bool evaluate_pair(struct alu *alu, uint8_t half)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 32; shift += 16) {
        struct weft_ptx_insn insn = *alu->insn;
        insn.types[0] = half;
        struct alu one = {.insn = &insn};
        for (int i = 0; i < ALU_SOURCES_MAX; i++)
            one.source[i] = alu->source[i] >> shift & 0xffff;
        if (!evaluate_one(&one))
            return false;
        result |= low_bits(one.result, 16) << shift;
    }
    alu->result = result;
    return true;
}

/* A comparison of pairs: of each half, with the one predicate. */
static bool compare_pair(struct alu *alu, uint8_t half)
{
    bool sets = alu->insn->opcode == WEFT_PTX_SET;
    uint64_t results[2];
    for (unsigned i = 0; i < 2; i++) {
        struct weft_ptx_insn insn = *alu->insn;
        uint8_t to = type_half(insn.types[0]);
        insn.types[0] = !sets ? half : to ? to : WEFT_PTX_U16;
        insn.types[1] = sets ? half : WEFT_PTX_NOTYPE;
        struct alu one = {.insn = &insn,
                          .source = {alu->source[0] >> (16 * i) & 0xffff,
                                     alu->source[1] >> (16 * i) & 0xffff, alu->source[2]}};
        if (!alu_compare(&one))
            return false;
        results[i] = low_bits(one.result, sets ? 16 : 1);
    }
    alu->result = sets ? results[1] << 16 | results[0] : results[0];
    alu->second = results[1];
    return true;
}

static bool splits_into_halves(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_ADD:
    case WEFT_PTX_SUB:
    case WEFT_PTX_MUL:
    case WEFT_PTX_FMA:
    case WEFT_PTX_NEG:
    case WEFT_PTX_ABS:
    case WEFT_PTX_MIN:
    case WEFT_PTX_MAX:
    case WEFT_PTX_EX2:
    case WEFT_PTX_TANH:
        return true;
    default:
        return false;
    }
}

bool alu_evaluate(struct alu *alu)
{
    uint8_t half = type_half(alu->insn->types[0]);
    uint8_t second_half = type_half(alu->insn->types[1]);
    if (alu->insn->opcode == WEFT_PTX_SET && second_half)
        return compare_pair(alu, second_half);
    if (alu->insn->opcode == WEFT_PTX_SETP && half)
        return compare_pair(alu, half);
    if (second_half && alu->insn->opcode != WEFT_PTX_CVT)
        return false;
    if (half && alu->insn->opcode != WEFT_PTX_CVT)
        return splits_into_halves(alu->insn->opcode) && evaluate_pair(alu, half);
    if (!evaluate_one(alu))
        return false;
    alu->result = low_bits(alu->result, type_bits(alu_result_type(alu->insn)));
    return true;
}

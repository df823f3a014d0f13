/* Comparisons and the selections that hang on them. */
#include "alu.h"

#include "real.h"
#include "types.h"

static int float_order(uint8_t type, uint64_t a, uint64_t b)
{
    struct real_format format = real_format_of(type);
    return real_compare(real_unpack(format, a), real_unpack(format, b));
}

static bool ordered_holds(uint8_t compare, int order)
{
    switch (compare) {
    case WEFT_PTX_EQ:
    case WEFT_PTX_EQU:
        return order == 0;
    case WEFT_PTX_NE:
    case WEFT_PTX_NEU:
        return order != 0;
    case WEFT_PTX_LT:
    case WEFT_PTX_LO:
    case WEFT_PTX_LTU:
        return order < 0;
    case WEFT_PTX_LE:
    case WEFT_PTX_LS:
    case WEFT_PTX_LEU:
        return order <= 0;
    case WEFT_PTX_GT:
    case WEFT_PTX_HI:
    case WEFT_PTX_GTU:
        return order > 0;
    case WEFT_PTX_GE:
    case WEFT_PTX_HS:
    case WEFT_PTX_GEU:
        return order >= 0;
    default:
        return compare == WEFT_PTX_NUM;
    }
}

bool alu_holds(uint8_t compare, uint8_t type, uint64_t a, uint64_t b)
{
    if (!type_is_float(type)) {
        __int128 x = integer_value(a, type);
        __int128 y = integer_value(b, type);
        return ordered_holds(compare, x < y ? -1 : x > y);
    }
    int order = float_order(type, a, b);
    if (order == 2)
        return compare >= WEFT_PTX_EQU && compare != WEFT_PTX_NUM;
    return ordered_holds(compare, order);
}

static bool combined(const struct alu *alu, bool holds)
{
    bool c = alu->source[2] & 1;
    switch (alu->insn->operation) {
    case WEFT_PTX_OP_AND:
        return holds && c;
    case WEFT_PTX_OP_OR:
        return holds || c;
    case WEFT_PTX_OP_XOR:
        return holds != c;
    default:
        return holds;
    }
}

static bool comparison(const struct alu *alu)
{
    const struct weft_ptx_insn *insn = alu->insn;
    uint8_t type = alu_source_type(insn, 0);
    return alu_holds(insn->compare, type, alu_flush(insn, type, alu->source[0]),
                     alu_flush(insn, type, alu->source[1]));
}

static uint64_t set_value(uint8_t type, bool holds)
{
    if (!holds)
        return 0;
    return type_is_float(type) ? real_pack(real_format_of(type), real_from_integer(1), WEFT_PTX_RN)
                               : UINT64_MAX;
}

static uint64_t select_by_sign(const struct alu *alu)
{
    uint8_t type = alu->insn->types[1];
    uint64_t c = alu_flush(alu->insn, type, alu->source[2]);
    bool first = alu_holds(WEFT_PTX_GE, type, c, 0);
    return alu->source[first ? 0 : 1];
}

static bool property(const struct alu *alu)
{
    uint8_t type = alu->insn->types[0];
    struct real_format format = real_format_of(type);
    struct real value = real_unpack(format, alu->source[0]);
    uint64_t exponent =
        low_bits(alu->source[0] >> format.fraction_bits, (unsigned)format.exponent_bits);
    switch (alu->insn->mode) {
    case WEFT_PTX_TESTP_FINITE:
        return value.class == REAL_FINITE || value.class == REAL_ZERO;
    case WEFT_PTX_TESTP_INFINITE:
        return value.class == REAL_INFINITE;
    case WEFT_PTX_TESTP_NUMBER:
        return value.class != REAL_NAN;
    case WEFT_PTX_TESTP_NOTANUMBER:
        return value.class == REAL_NAN;
    case WEFT_PTX_TESTP_NORMAL:
        return value.class == REAL_ZERO || (value.class == REAL_FINITE && exponent != 0);
    default:
        return value.class == REAL_FINITE && exponent == 0;
    }
}

bool alu_compare(struct alu *alu)
{
    const struct weft_ptx_insn *insn = alu->insn;
    switch (insn->opcode) {
    case WEFT_PTX_SETP:
        alu->result = combined(alu, comparison(alu));
        alu->second = combined(alu, !comparison(alu));
        return true;
    case WEFT_PTX_SET:
        alu->result = set_value(insn->types[0], combined(alu, comparison(alu)));
        return true;
    case WEFT_PTX_SELP:
        alu->result = alu->source[alu->source[2] & 1 ? 0 : 1];
        return true;
    case WEFT_PTX_SLCT:
        alu->result = select_by_sign(alu);
        return true;
    case WEFT_PTX_TESTP:
        alu->result = property(alu);
        return true;
    default:
        return false;
    }
}

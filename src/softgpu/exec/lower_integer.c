/* Whole-number arithmetic, bits and comparisons; where an instruction exists for floats too, its
 * float form is handed on. */
#include "softgpu/exec/lower.h"
#include "util/util.h"

/* How the members of a family stand in ops.def. */
enum family { SINGLE, B3, B2, I6, I4, W4 };

/* -1 where the family has no member for the type. */
static int member(enum family family, uint8_t type)
{
    bool is_signed = weft_exec_type_is_signed(type);
    bool is_float = weft_exec_type_is_float(type) || weft_exec_type_is_half(type);
    int width = 0; /* 16, 32, 64 bits: 0, 1, 2 */
    switch (weft_exec_row_bytes(type)) {
    case 2:
        width = 0;
        break;
    case 4:
        width = 1;
        break;
    case 8:
        width = 2;
        break;
    default:
        return -1;
    }
    switch (family) {
    case B3:
        return width;
    case B2:
        return width - 1;
    case I6:
        return is_float ? -1 : 2 * width + is_signed;
    case I4:
        return is_float ? -1 : 2 * (width - 1) + is_signed;
    case W4:
        return is_float || width == 2 ? -1 : 2 * width + is_signed;
    default:
        return 0;
    }
}

/* One row for what needs no more than its family and its operands' types: t the instruction's, u
 * u32, b b32. */
struct rule {
    uint16_t opcode, op;
    uint8_t family;
    const char *operands; /* the destination first */
};
static const struct rule rules[] = {
    {WEFT_PTX_DIV, WEFT_EXEC_OP_div_u16, I6, "ttt"},
    {WEFT_PTX_REM, WEFT_EXEC_OP_rem_u16, I6, "ttt"},
    {WEFT_PTX_MIN, WEFT_EXEC_OP_min_u16, I6, "ttt"},
    {WEFT_PTX_MAX, WEFT_EXEC_OP_max_u16, I6, "ttt"},
    {WEFT_PTX_SAD, WEFT_EXEC_OP_sad_u16, I6, "tttt"},
    {WEFT_PTX_NEG, WEFT_EXEC_OP_neg_b16, B3, "tt"},
    {WEFT_PTX_ABS, WEFT_EXEC_OP_abs_b16, B3, "tt"},
    {WEFT_PTX_AND, WEFT_EXEC_OP_and_b16, B3, "ttt"},
    {WEFT_PTX_OR, WEFT_EXEC_OP_or_b16, B3, "ttt"},
    {WEFT_PTX_XOR, WEFT_EXEC_OP_xor_b16, B3, "ttt"},
    {WEFT_PTX_NOT, WEFT_EXEC_OP_not_b16, B3, "tt"},
    {WEFT_PTX_CNOT, WEFT_EXEC_OP_cnot_b16, B3, "tt"},
    {WEFT_PTX_SHL, WEFT_EXEC_OP_shl_b16, B3, "ttu"},
    {WEFT_PTX_SHR, WEFT_EXEC_OP_shr_u16, I6, "ttu"},
    {WEFT_PTX_POPC, WEFT_EXEC_OP_popc_b32, B2, "ut"},
    {WEFT_PTX_CLZ, WEFT_EXEC_OP_clz_b32, B2, "ut"},
    {WEFT_PTX_BREV, WEFT_EXEC_OP_brev_b32, B2, "tt"},
    {WEFT_PTX_BFIND, WEFT_EXEC_OP_bfind_u32, I4, "ut"},
    {WEFT_PTX_BFE, WEFT_EXEC_OP_bfe_u32, I4, "ttuu"},
    {WEFT_PTX_BFI, WEFT_EXEC_OP_bfi_b32, B2, "tttuu"},
    {WEFT_PTX_PRMT, WEFT_EXEC_OP_prmt, SINGLE, "uuuu"},
    {WEFT_PTX_SHF, WEFT_EXEC_OP_shf, SINGLE, "uuuu"},
    {WEFT_PTX_BMSK, WEFT_EXEC_OP_bmsk, SINGLE, "uuu"},
    {WEFT_PTX_SZEXT, WEFT_EXEC_OP_szext, SINGLE, "uuu"},
    {WEFT_PTX_FNS, WEFT_EXEC_OP_fns, SINGLE, "uuuu"},
    {WEFT_PTX_DP4A, WEFT_EXEC_OP_dp4a, SINGLE, "uuuu"},
    {WEFT_PTX_DP2A, WEFT_EXEC_OP_dp2a, SINGLE, "uuuu"},
};

static const struct rule *find_rule(uint16_t opcode)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(rules); i++)
        if (rules[i].opcode == opcode)
            return &rules[i];
    return NULL;
}

static uint8_t operand_type(char letter, uint8_t type)
{
    return letter == 'u' ? WEFT_PTX_U32 : type;
}

/* Sources first: a special register among them takes an instruction of its own. */
static struct weft_exec_insn *emit_with(struct weft_exec_lowering *lowering, uint32_t op,
                                        const char *operands, uint8_t type)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t rows[5] = {WEFT_EXEC_NO_ROW, WEFT_EXEC_NO_ROW, WEFT_EXEC_NO_ROW, WEFT_EXEC_NO_ROW,
                       WEFT_EXEC_NO_ROW};
    for (uint32_t i = 0; operands[i]; i++) {
        uint8_t wanted = operand_type(operands[i], type);
        if (i >= source->operand_count)
            weft_exec_malformed(lowering, "so few operands");
        else if (i == 0)
            rows[0] = weft_exec_operand_destination(lowering, &source->operands[0], wanted);
        else
            rows[i] = weft_exec_operand_source(lowering, &source->operands[i], wanted);
    }
    struct weft_exec_insn *insn = weft_exec_emit(lowering, op);
    insn->d = rows[0];
    insn->a = rows[1];
    insn->b = rows[2];
    insn->c = rows[3];
    insn->more[0] = rows[4];
    return insn;
}

static void lower_by_rule(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct rule *rule = find_rule(source->opcode);
    uint8_t type = source->types[0];
    int index = member(rule->family, type);
    if (index < 0 || weft_exec_type_is_half(type)) {
        weft_exec_unsupported(lowering);
        return;
    }
    struct weft_exec_insn *insn =
        emit_with(lowering, rule->op + (uint32_t)index, rule->operands, type);
    insn->kind = source->mode;
    insn->count = weft_exec_type_is_signed(type);
    if (source->flags & (WEFT_PTX_SHIFTAMT | WEFT_PTX_HI_HALF))
        insn->modifiers |= WEFT_EXEC_HIGH;
    if (source->opcode == WEFT_PTX_DP4A || source->opcode == WEFT_PTX_DP2A)
        insn->kind = (uint8_t)(weft_exec_type_is_signed(source->types[0]) |
                               weft_exec_type_is_signed(source->types[1]) << 1);
}

/* lop3 d, a, b, c, table; with .and or .or d|p, a, b, c, table, q: p is (d != 0), combined with q.
 */
static void lower_lop3(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *rest = &source->operands[source->paired ? 2 : 1];
    bool combines = source->operation != WEFT_PTX_OP_NONE;
    bool flip = false;
    if (source->paired != combines || source->operand_count != (combines ? 7 : 5)) {
        weft_exec_malformed(lowering, "so many operands");
        return;
    }
    int32_t rows[3];
    for (int i = 0; i < 3; i++)
        rows[i] = weft_exec_operand_source(lowering, &rest[i], WEFT_PTX_U32);
    int32_t d = source->operands[0].kind == WEFT_PTX_OPERAND_SINK
                    ? weft_exec_temporary(lowering)
                    : weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_U32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_lop3);
    insn->d = d;
    insn->a = rows[0];
    insn->b = rows[1];
    insn->c = rows[2];
    insn->immediate = (int64_t)(rest[3].bits & 255);
    if (!combines)
        return;
    int32_t p = weft_exec_operand_predicate(lowering, &source->operands[1], NULL);
    int32_t q = weft_exec_operand_predicate(lowering, &rest[4], &flip);
    int32_t zero = weft_exec_constant(lowering, 0, 4);
    insn = weft_exec_emit(lowering, WEFT_EXEC_OP_eq_b32);
    insn->d = p;
    insn->a = d;
    insn->b = zero;
    insn->c = q;
    insn->modifiers = WEFT_EXEC_NEGATE | (uint32_t)source->operation << WEFT_EXEC_COMBINE_SHIFT |
                      (flip ? WEFT_EXEC_COMBINE_FLIP : 0);
}

static bool hand_to_float(struct weft_exec_lowering *lowering)
{
    uint8_t type = lowering->insn->types[0];
    bool is_float =
        weft_exec_type_is_float(type) || weft_exec_type_is_half(type) || type == WEFT_PTX_F32X2;
    if (!is_float)
        return false;
    weft_exec_lower_fn lower = weft_exec_lower_float(lowering->insn->opcode);
    (lower ? lower : weft_exec_unsupported)(lowering);
    return true;
}

/* min and max of pairs of 16 bits. */
static void lower_pairs(struct weft_exec_lowering *lowering)
{
    uint8_t type = lowering->insn->types[0];
    emit_with(lowering, WEFT_EXEC_OP_pair16, "ttt", type)->kind = type == WEFT_PTX_S16X2;
}

/* Negative results, or halves of one, become 0. */
static void emit_relu(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32);
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, source->types[0] == WEFT_PTX_S32 ? WEFT_EXEC_OP_relu_s32
                                                                  : WEFT_EXEC_OP_relu_s16x2);
    insn->d = insn->a = d;
}

/* Forms that floats share: the rule is for the others. */
static void lower_shared_form(struct weft_exec_lowering *lowering)
{
    uint8_t type = lowering->insn->types[0];
    if (hand_to_float(lowering))
        return;
    if (lowering->insn->operand_count > 3)
        weft_exec_unsupported(lowering);
    if (type == WEFT_PTX_S16X2 || type == WEFT_PTX_U16X2)
        lower_pairs(lowering);
    else
        lower_by_rule(lowering);
    if (lowering->insn->flags & WEFT_PTX_RELU)
        emit_relu(lowering);
}

static void lower_logic(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (source->types[0] != WEFT_PTX_PRED) {
        lower_by_rule(lowering);
        return;
    }
    bool a_flip = false, b_flip = false;
    uint32_t last = source->opcode == WEFT_PTX_NOT ? 1 : 2;
    int32_t d = weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    int32_t a = weft_exec_operand_predicate(lowering, &source->operands[1], &a_flip);
    int32_t b = weft_exec_operand_predicate(lowering, &source->operands[last], &b_flip);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_predicate);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->kind = source->opcode == WEFT_PTX_AND   ? WEFT_PTX_OP_AND
                 : source->opcode == WEFT_PTX_OR  ? WEFT_PTX_OP_OR
                 : source->opcode == WEFT_PTX_XOR ? WEFT_PTX_OP_XOR
                                                  : WEFT_PTX_OP_NONE;
    if (a_flip != (source->opcode == WEFT_PTX_NOT))
        insn->modifiers |= WEFT_EXEC_NEGATE;
    if (b_flip)
        insn->modifiers |= WEFT_EXEC_COMBINE_FLIP;
}

static uint32_t carry_modifiers(const struct weft_ptx_insn *source)
{
    bool in = source->opcode == WEFT_PTX_ADDC || source->opcode == WEFT_PTX_SUBC ||
              source->opcode == WEFT_PTX_MADC;
    return (in ? WEFT_EXEC_CARRY_IN : 0) | (source->flags & WEFT_PTX_CC ? WEFT_EXEC_CARRY_OUT : 0);
}

static void lower_sum(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool subtracts = source->opcode == WEFT_PTX_SUB || source->opcode == WEFT_PTX_SUBC;
    uint32_t carry = carry_modifiers(source);
    if (hand_to_float(lowering))
        return;
    if (type == WEFT_PTX_S16X2 || type == WEFT_PTX_U16X2) {
        if (subtracts)
            weft_exec_unsupported(lowering);
        emit_with(lowering, WEFT_EXEC_OP_pair16, "ttt", type);
        return;
    }
    uint32_t op;
    if (source->flags & WEFT_PTX_SAT)
        op = subtracts ? WEFT_EXEC_OP_sub_sat : WEFT_EXEC_OP_add_sat;
    else if (carry)
        op = (subtracts ? WEFT_EXEC_OP_subc_b32 : WEFT_EXEC_OP_addc_b32) +
             (uint32_t)(weft_exec_row_bytes(type) == 8);
    else
        op = (subtracts ? WEFT_EXEC_OP_sub_b16 : WEFT_EXEC_OP_add_b16) + (uint32_t)member(B3, type);
    emit_with(lowering, op, "ttt", type)->modifiers = carry;
}

static uint8_t doubled(uint8_t type)
{
    bool is_signed = weft_exec_type_is_signed(type);
    if (weft_exec_row_bytes(type) == 2)
        return is_signed ? WEFT_PTX_S32 : WEFT_PTX_U32;
    return is_signed ? WEFT_PTX_S64 : WEFT_PTX_U64;
}

/* mad.cc and madc: the product into a temporary, then the sum with its carry. */
static void lower_product_with_carry(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool high = source->flags & WEFT_PTX_HI_HALF;
    uint32_t op = high ? WEFT_EXEC_OP_mulhi_u16 + (uint32_t)member(I6, type)
                       : WEFT_EXEC_OP_mul_b16 + (uint32_t)member(B3, type);
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], type);
    int32_t c = weft_exec_operand_source(lowering, &source->operands[3], type);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], type);
    int32_t product = weft_exec_temporary(lowering);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, op);
    insn->d = product;
    insn->a = a;
    insn->b = b;
    insn = weft_exec_emit(lowering,
                          WEFT_EXEC_OP_addc_b32 + (uint32_t)(weft_exec_row_bytes(type) == 8));
    insn->d = d;
    insn->a = product;
    insn->b = c;
    insn->modifiers = carry_modifiers(source);
}

static void lower_wide_product(struct weft_exec_lowering *lowering, bool adds)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    int index = member(W4, type);
    if (index < 0) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], type);
    int32_t c = WEFT_EXEC_NO_ROW;
    if (adds)
        c = weft_exec_operand_source(lowering, &source->operands[3], doubled(type));
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], doubled(type));
    struct weft_exec_insn *insn = weft_exec_emit(
        lowering, (adds ? WEFT_EXEC_OP_madwide_u16 : WEFT_EXEC_OP_mulwide_u16) + (uint32_t)index);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->c = c;
}

static void lower_product(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool adds = source->opcode != WEFT_PTX_MUL;
    const char *operands = adds ? "tttt" : "ttt";
    if (hand_to_float(lowering))
        return;
    if (carry_modifiers(source)) {
        lower_product_with_carry(lowering);
    } else if (source->flags & WEFT_PTX_WIDE) {
        lower_wide_product(lowering, adds);
    } else if (source->flags & WEFT_PTX_SAT) {
        emit_with(lowering, WEFT_EXEC_OP_madhi_sat, operands, type);
    } else if (source->flags & WEFT_PTX_HI_HALF) {
        uint32_t op = adds ? WEFT_EXEC_OP_madhi_u16 : WEFT_EXEC_OP_mulhi_u16;
        emit_with(lowering, op + (uint32_t)member(I6, type), operands, type);
    } else {
        uint32_t op = adds ? WEFT_EXEC_OP_mad_b16 : WEFT_EXEC_OP_mul_b16;
        emit_with(lowering, op + (uint32_t)member(B3, type), operands, type);
    }
}

static void lower_product24(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool adds = source->opcode == WEFT_PTX_MAD24;
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], type);
    int32_t c = adds ? weft_exec_operand_source(lowering, &source->operands[3], type) : 0;
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], type);
    int32_t product = adds ? weft_exec_temporary(lowering) : d;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_mul24);
    insn->d = product;
    insn->a = a;
    insn->b = b;
    insn->kind = weft_exec_type_is_signed(type);
    insn->modifiers = source->flags & WEFT_PTX_HI_HALF ? WEFT_EXEC_HIGH : 0;
    if (!adds)
        return;
    bool saturates = source->flags & WEFT_PTX_SAT;
    insn = weft_exec_emit(lowering, saturates ? WEFT_EXEC_OP_add_sat : WEFT_EXEC_OP_add_b32);
    insn->d = d;
    insn->a = product;
    insn->b = c;
}

weft_exec_lower_fn weft_exec_lower_integer(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_ADD:
    case WEFT_PTX_SUB:
    case WEFT_PTX_ADDC:
    case WEFT_PTX_SUBC:
        return lower_sum;
    case WEFT_PTX_MUL:
    case WEFT_PTX_MAD:
    case WEFT_PTX_MADC:
        return lower_product;
    case WEFT_PTX_MUL24:
    case WEFT_PTX_MAD24:
        return lower_product24;
    case WEFT_PTX_DIV:
    case WEFT_PTX_MIN:
    case WEFT_PTX_MAX:
    case WEFT_PTX_NEG:
    case WEFT_PTX_ABS:
        return lower_shared_form;
    case WEFT_PTX_AND:
    case WEFT_PTX_OR:
    case WEFT_PTX_XOR:
    case WEFT_PTX_NOT:
        return lower_logic;
    case WEFT_PTX_LOP3:
        return lower_lop3;
    default:
        return find_rule(opcode) ? lower_by_rule : NULL;
    }
}

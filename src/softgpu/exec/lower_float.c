/* Floating-point arithmetic and functions, and all comparisons. */
#include "softgpu/exec/lower.h"
#include "util/util.h"

static uint32_t rounding_control(uint8_t rounding)
{
    switch (rounding) {
    case WEFT_PTX_RM:
        return 1;
    case WEFT_PTX_RP:
        return 2;
    case WEFT_PTX_RZ:
        return 3;
    default:
        return 0;
    }
}

uint32_t weft_exec_float_modifiers(const struct weft_ptx_insn *insn)
{
    uint32_t modifiers = rounding_control(insn->rounding) << WEFT_EXEC_ROUNDING_SHIFT;
    modifiers |= insn->flags & WEFT_PTX_FTZ ? WEFT_EXEC_FTZ : 0;
    modifiers |= insn->flags & WEFT_PTX_SAT ? WEFT_EXEC_SAT : 0;
    modifiers |= insn->flags & WEFT_PTX_NAN_RESULT ? WEFT_EXEC_NAN : 0;
    modifiers |= insn->flags & WEFT_PTX_XORSIGN ? WEFT_EXEC_XORSIGN : 0;
    modifiers |= insn->flags & WEFT_PTX_RELU ? WEFT_EXEC_RELU : 0;
    modifiers |= insn->flags & WEFT_PTX_OOB ? WEFT_EXEC_OOB : 0;
    modifiers |= insn->flags & WEFT_PTX_SATFINITE ? WEFT_EXEC_FINITE : 0;
    return modifiers;
}

/* The op of f32; f64 comes after it. A missing plain op is the extended one. */
struct rule {
    uint16_t opcode, plain, extended;
    uint8_t sources;
};
static const struct rule rules[] = {
    {WEFT_PTX_ADD, WEFT_EXEC_OP_fadd_f32, WEFT_EXEC_OP_xadd_f32, 2},
    {WEFT_PTX_SUB, WEFT_EXEC_OP_fsub_f32, WEFT_EXEC_OP_xsub_f32, 2},
    {WEFT_PTX_MUL, WEFT_EXEC_OP_fmul_f32, WEFT_EXEC_OP_xmul_f32, 2},
    {WEFT_PTX_FMA, WEFT_EXEC_OP_ffma_f32, WEFT_EXEC_OP_xfma_f32, 3},
    {WEFT_PTX_MAD, WEFT_EXEC_OP_ffma_f32, WEFT_EXEC_OP_xfma_f32, 3},
    {WEFT_PTX_DIV, WEFT_EXEC_OP_fdiv_f32, WEFT_EXEC_OP_xdiv_f32, 2},
    {WEFT_PTX_SQRT, WEFT_EXEC_OP_xsqrt_f32, WEFT_EXEC_OP_xsqrt_f32, 1},
    {WEFT_PTX_MIN, WEFT_EXEC_OP_fmin_f32, WEFT_EXEC_OP_fmin_f32, 2},
    {WEFT_PTX_MAX, WEFT_EXEC_OP_fmax_f32, WEFT_EXEC_OP_fmax_f32, 2},
    {WEFT_PTX_NEG, WEFT_EXEC_OP_fneg_f32, WEFT_EXEC_OP_fneg_f32, 1},
    {WEFT_PTX_ABS, WEFT_EXEC_OP_fabs_f32, WEFT_EXEC_OP_fabs_f32, 1},
    {WEFT_PTX_COPYSIGN, WEFT_EXEC_OP_copysign_f32, WEFT_EXEC_OP_copysign_f32, 2},
};

static const struct rule *find_rule(uint16_t opcode)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(rules); i++)
        if (rules[i].opcode == opcode)
            return &rules[i];
    return NULL;
}

static bool is_pair(uint8_t type)
{
    return type == WEFT_PTX_F16X2 || type == WEFT_PTX_BF16X2;
}

static uint8_t is_bfloat(uint8_t type)
{
    return type == WEFT_PTX_BF16 || type == WEFT_PTX_BF16X2;
}

/* Sources that the operation does not have are given as `a`, so that the handler may read them. */
static struct weft_exec_insn *emit_sources(struct weft_exec_lowering *lowering, uint32_t op,
                                           uint32_t sources, uint8_t type)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t rows[3] = {0, 0, 0};
    if (source->operand_count < sources + 1) {
        weft_exec_malformed(lowering, "so few operands");
        return weft_exec_emit(lowering, op);
    }
    for (uint32_t i = 0; i < 3; i++)
        rows[i] = i < sources ? weft_exec_operand_source(lowering, &source->operands[i + 1], type)
                              : rows[0];
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], type);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, op);
    insn->d = d;
    insn->a = rows[0];
    insn->b = rows[1];
    insn->c = rows[2];
    insn->modifiers = weft_exec_float_modifiers(source);
    return insn;
}

static void lower_half(struct weft_exec_lowering *lowering, const struct rule *rule)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    if (source->operand_count != rule->sources + 1u || source->opcode == WEFT_PTX_DIV ||
        source->opcode == WEFT_PTX_SQRT || source->opcode == WEFT_PTX_COPYSIGN) {
        weft_exec_unsupported(lowering);
        return;
    }
    struct weft_exec_insn *insn = emit_sources(lowering, WEFT_EXEC_OP_half, rule->sources, type);
    insn->kind = is_bfloat(type);
    insn->count = is_pair(type) ? 2 : 1;
}

/* A source of f16 or bf16 as f32, which is exact. */
static int32_t widened_source(struct weft_exec_lowering *lowering, uint32_t operand, uint8_t type)
{
    int32_t a = weft_exec_operand_source(lowering, &lowering->insn->operands[operand], type);
    int32_t d = weft_exec_temporary(lowering);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_cvt);
    insn->d = d;
    insn->a = a;
    insn->b = 4;
    insn->c = 2;
    insn->kind = WEFT_PTX_F32;
    insn->count = type;
    return d;
}

/* add.f32.f16: all sources but the last are small. */
static void lower_mixture(struct weft_exec_lowering *lowering, const struct rule *rule)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t rows[3];
    for (uint32_t i = 0; i + 1 < rule->sources; i++)
        rows[i] = widened_source(lowering, i + 1, source->types[1]);
    rows[rule->sources - 1] =
        weft_exec_operand_source(lowering, &source->operands[rule->sources], WEFT_PTX_F32);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_F32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, rule->extended);
    insn->d = d;
    insn->a = rows[0];
    insn->b = rows[1];
    insn->c = rows[rule->sources - 1];
    insn->modifiers = weft_exec_float_modifiers(source);
}

/* min and max of three: of the first two, then with the third. .abs: of their magnitudes. */
static void lower_extreme_of_three(struct weft_exec_lowering *lowering, const struct rule *rule)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t rows[3];
    for (uint32_t i = 0; i < 3; i++) {
        rows[i] = weft_exec_operand_source(lowering, &source->operands[i + 1], WEFT_PTX_F32);
        if (!(source->flags & WEFT_PTX_ABS_RESULT))
            continue;
        struct weft_exec_insn *magnitude = weft_exec_emit(lowering, WEFT_EXEC_OP_fabs_f32);
        magnitude->a = rows[i];
        magnitude->d = rows[i] = weft_exec_temporary(lowering);
    }
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_F32);
    int32_t first = weft_exec_temporary(lowering);
    for (uint32_t i = 0; i < 2; i++) {
        struct weft_exec_insn *insn = weft_exec_emit(lowering, rule->plain);
        insn->d = i ? d : first;
        insn->a = i ? first : rows[0];
        insn->b = rows[i + 1];
        insn->c = insn->a;
        insn->modifiers = weft_exec_float_modifiers(source);
    }
}

static void lower_by_rule(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct rule *rule = find_rule(source->opcode);
    uint8_t type = source->types[0];
    bool extreme = source->opcode == WEFT_PTX_MIN || source->opcode == WEFT_PTX_MAX;
    if (weft_exec_type_is_half(type)) {
        lower_half(lowering, rule);
    } else if (source->type_count == 2) {
        lower_mixture(lowering, rule);
    } else if (extreme && type == WEFT_PTX_F32 && source->operand_count == 4) {
        lower_extreme_of_three(lowering, rule);
    } else if (!weft_exec_type_is_float(type) || source->operand_count != rule->sources + 1u) {
        weft_exec_unsupported(lowering);
    } else {
        bool plain = weft_exec_float_modifiers(source) == 0;
        bool quotient = source->opcode == WEFT_PTX_DIV && source->flags & WEFT_PTX_APPROX;
        uint32_t op = quotient ? WEFT_EXEC_OP_quotient_f32 : plain ? rule->plain : rule->extended;
        emit_sources(lowering, op + (type == WEFT_PTX_F64), rule->sources, type);
    }
}

/* rcp: 1 / x; the gross approximation of f64 is a function of its own. */
static void lower_rcp(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool wide = type == WEFT_PTX_F64;
    if (wide && source->flags & WEFT_PTX_APPROX) {
        emit_sources(lowering, WEFT_EXEC_OP_math_f64, 1, type);
        return;
    }
    struct weft_exec_insn *insn =
        emit_sources(lowering, wide ? WEFT_EXEC_OP_xdiv_f64 : WEFT_EXEC_OP_xdiv_f32, 1, type);
    insn->b = insn->a;
    insn->a = wide ? weft_exec_constant(lowering, 0x3ff0000000000000, 8)
                   : weft_exec_constant(lowering, 0x3f800000, 4);
}

static void lower_function(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    if (type == WEFT_PTX_F32) {
        emit_sources(lowering, WEFT_EXEC_OP_math_f32, 1, type);
    } else if (type == WEFT_PTX_F64 && source->opcode == WEFT_PTX_RSQRT) {
        emit_sources(lowering, WEFT_EXEC_OP_math_f64, 1, type);
    } else if (weft_exec_type_is_half(type)) {
        struct weft_exec_insn *insn = emit_sources(lowering, WEFT_EXEC_OP_math_half, 1, type);
        insn->kind = is_bfloat(type);
        insn->count = is_pair(type) ? 2 : 1;
    } else {
        weft_exec_unsupported(lowering);
    }
}

static void lower_testp(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t d = weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    struct weft_exec_insn *insn = weft_exec_emit(
        lowering, type == WEFT_PTX_F64 ? WEFT_EXEC_OP_testp_f64 : WEFT_EXEC_OP_testp_f32);
    insn->d = d;
    insn->a = insn->b = a;
    insn->kind = source->mode;
}

/* A comparison as one of few, with its operands exchanged or its answer turned round. */
struct comparison {
    uint16_t op;
    bool swapped, negated;
};

static struct comparison integer_comparison(uint8_t compare, uint8_t type)
{
    uint32_t width = weft_exec_row_bytes(type) / 4; /* 0, 1, 2 for 2, 4, 8 bytes */
    uint32_t pair = 2 * width + weft_exec_type_is_signed(type);
    uint16_t equal = (uint16_t)(WEFT_EXEC_OP_eq_b16 + width);
    uint16_t less = (uint16_t)(WEFT_EXEC_OP_lt_u16 + pair);
    switch (compare) {
    case WEFT_PTX_EQ:
        return (struct comparison){equal, false, false};
    case WEFT_PTX_NE:
        return (struct comparison){equal, false, true};
    case WEFT_PTX_LT:
    case WEFT_PTX_LO:
        return (struct comparison){less, false, false};
    case WEFT_PTX_LE:
    case WEFT_PTX_LS:
        return (struct comparison){less, true, true};
    case WEFT_PTX_GT:
    case WEFT_PTX_HI:
        return (struct comparison){less, true, false};
    case WEFT_PTX_GE:
    case WEFT_PTX_HS:
        return (struct comparison){less, false, true};
    default:
        return (struct comparison){WEFT_EXEC_OP_COUNT, false, false};
    }
}

/* The unordered ones are the opposite of the opposite: a LTU b is !(a >= b). */
static struct comparison float_comparison(uint8_t compare, bool wide)
{
    static const struct comparison table[] = {
        [WEFT_PTX_EQ] = {WEFT_EXEC_OP_feq_f32, false, false},
        [WEFT_PTX_NE] = {WEFT_EXEC_OP_fequ_f32, false, true},
        [WEFT_PTX_LT] = {WEFT_EXEC_OP_flt_f32, false, false},
        [WEFT_PTX_LE] = {WEFT_EXEC_OP_fle_f32, false, false},
        [WEFT_PTX_GT] = {WEFT_EXEC_OP_flt_f32, true, false},
        [WEFT_PTX_GE] = {WEFT_EXEC_OP_fle_f32, true, false},
        [WEFT_PTX_EQU] = {WEFT_EXEC_OP_fequ_f32, false, false},
        [WEFT_PTX_NEU] = {WEFT_EXEC_OP_feq_f32, false, true},
        [WEFT_PTX_LTU] = {WEFT_EXEC_OP_fle_f32, true, true},
        [WEFT_PTX_LEU] = {WEFT_EXEC_OP_flt_f32, true, true},
        [WEFT_PTX_GTU] = {WEFT_EXEC_OP_fle_f32, false, true},
        [WEFT_PTX_GEU] = {WEFT_EXEC_OP_flt_f32, false, true},
        [WEFT_PTX_NUM] = {WEFT_EXEC_OP_fnum_f32, false, false},
        [WEFT_PTX_NAN] = {WEFT_EXEC_OP_fnum_f32, false, true},
    };
    if (compare >= WEFT_ARRAY_COUNT(table) || table[compare].op == 0)
        return (struct comparison){WEFT_EXEC_OP_COUNT, false, false};
    struct comparison found = table[compare];
    found.op += wide;
    return found;
}

/* Compares sources `a` and `b`, and leaves the answer, combined with `combined` where that is not
 * NULL, in `d` and `second`. */
static void emit_comparison(struct weft_exec_lowering *lowering, uint8_t compare, uint8_t type,
                            int32_t a, int32_t b, const struct weft_ptx_operand *combined,
                            int32_t d, int32_t second)
{
    const struct weft_ptx_insn *source = lowering->insn;
    bool half = weft_exec_type_is_half(type);
    struct comparison found = half ? (struct comparison){WEFT_EXEC_OP_half_compare, false, false}
                              : weft_exec_type_is_float(type)
                                  ? float_comparison(compare, type == WEFT_PTX_F64)
                                  : integer_comparison(compare, type);
    if (found.op == WEFT_EXEC_OP_COUNT) {
        weft_exec_unsupported(lowering);
        return;
    }
    bool flip = false;
    int32_t c = combined ? weft_exec_operand_predicate(lowering, combined, &flip) : 0;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, found.op);
    insn->d = d;
    insn->more[0] = second;
    insn->a = found.swapped ? b : a;
    insn->b = found.swapped ? a : b;
    insn->modifiers = found.negated ? WEFT_EXEC_NEGATE : 0;
    insn->modifiers |= source->flags & WEFT_PTX_FTZ ? WEFT_EXEC_FTZ : 0;
    if (half) {
        insn->kind = is_bfloat(type);
        insn->count = is_pair(type) ? 2 : 1;
        insn->order = compare;
    }
    if (combined) {
        insn->c = c;
        insn->modifiers |= (uint32_t)source->operation << WEFT_EXEC_COMBINE_SHIFT;
        insn->modifiers |= flip ? WEFT_EXEC_COMBINE_FLIP : 0;
    }
}

/* setp d[|q], a, b[, c] */
static void lower_setp(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    uint32_t first = source->paired ? 2 : 1;
    if (source->operand_count < first + 2) {
        weft_exec_malformed(lowering, "so few operands");
        return;
    }
    int32_t a = weft_exec_operand_source(lowering, &source->operands[first], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[first + 1], type);
    int32_t d = weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    int32_t second = source->paired
                         ? weft_exec_operand_predicate(lowering, &source->operands[1], NULL)
                         : WEFT_EXEC_NO_ROW;
    const struct weft_ptx_operand *combined =
        source->operand_count > first + 2 ? &source->operands[first + 2] : NULL;
    emit_comparison(lowering, source->compare, type, a, b, combined, d, second);
}

static void emit_select(struct weft_exec_lowering *lowering, uint8_t type, int32_t a, int32_t b,
                        int32_t predicate, bool negated)
{
    int32_t d = weft_exec_operand_destination(lowering, &lowering->insn->operands[0], type);
    uint32_t width = weft_exec_row_bytes(type) / 4;
    if (width > 2) {
        weft_exec_unsupported(lowering);
        return;
    }
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_selp_b16 + width);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->c = predicate;
    insn->modifiers = negated ? WEFT_EXEC_NEGATE : 0;
}

static uint64_t truth(uint8_t type)
{
    switch (type) {
    case WEFT_PTX_F16X2:
        return 0x3c003c00;
    case WEFT_PTX_BF16X2:
        return 0x3f803f80;
    case WEFT_PTX_F16:
        return 0x3c00;
    case WEFT_PTX_BF16:
        return 0x3f80;
    case WEFT_PTX_F32:
        return 0x3f800000;
    default:
        return UINT64_MAX;
    }
}

/* Of pairs: `low` and `high` say whether the lower and the upper half hold. */
static void emit_set_halves(struct weft_exec_lowering *lowering, int32_t low, int32_t high)
{
    uint64_t whole = truth(lowering->insn->types[0]) & UINT32_MAX;
    int32_t zero = weft_exec_constant(lowering, 0, 4);
    int32_t halves[2] = {weft_exec_constant(lowering, whole & 0xffff, 4),
                         weft_exec_constant(lowering, whole & 0xffff0000, 4)};
    int32_t rows[2] = {weft_exec_temporary(lowering), weft_exec_temporary(lowering)};
    for (int i = 0; i < 2; i++) {
        struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_selp_b32);
        insn->d = rows[i];
        insn->a = halves[i];
        insn->b = zero;
        insn->c = i ? high : low;
    }
    int32_t d = weft_exec_operand_destination(lowering, &lowering->insn->operands[0], WEFT_PTX_B32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_or_b32);
    insn->d = d;
    insn->a = rows[0];
    insn->b = rows[1];
}

/* set d, a, b[, c]: the comparison into a temporary, then all ones, or 1.0, where it holds. */
static void lower_set(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[1];
    uint8_t to = source->types[0];
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], type);
    int32_t holds = weft_exec_temporary(lowering);
    int32_t second = is_pair(type) ? weft_exec_temporary(lowering) : WEFT_EXEC_NO_ROW;
    const struct weft_ptx_operand *combined =
        source->operand_count > 3 ? &source->operands[3] : NULL;
    emit_comparison(lowering, source->compare, type, a, b, combined, holds, second);
    if (is_pair(type)) {
        emit_set_halves(lowering, holds, second);
        return;
    }
    uint32_t row_bytes = weft_exec_row_bytes(to);
    emit_select(lowering, to, weft_exec_constant(lowering, truth(to), row_bytes),
                weft_exec_constant(lowering, 0, row_bytes), holds, false);
}

static void lower_selp(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool negated = false;
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], type);
    int32_t predicate = weft_exec_operand_predicate(lowering, &source->operands[3], &negated);
    emit_select(lowering, type, a, b, predicate, negated);
}

/* slct d, a, b, c: a where c >= 0. */
static void lower_slct(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    uint8_t sign_type = source->types[1];
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], type);
    int32_t c = weft_exec_operand_source(lowering, &source->operands[3], sign_type);
    int32_t holds = weft_exec_temporary(lowering);
    int32_t zero = weft_exec_constant(lowering, 0, weft_exec_row_bytes(sign_type));
    emit_comparison(lowering, WEFT_PTX_GE, sign_type, c, zero, NULL, holds, WEFT_EXEC_NO_ROW);
    emit_select(lowering, type, a, b, holds, false);
}

weft_exec_lower_fn weft_exec_lower_float(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_RCP:
        return lower_rcp;
    case WEFT_PTX_RSQRT:
    case WEFT_PTX_SIN:
    case WEFT_PTX_COS:
    case WEFT_PTX_EX2:
    case WEFT_PTX_LG2:
    case WEFT_PTX_TANH:
        return lower_function;
    case WEFT_PTX_TESTP:
        return lower_testp;
    case WEFT_PTX_SETP:
        return lower_setp;
    case WEFT_PTX_SET:
        return lower_set;
    case WEFT_PTX_SELP:
        return lower_selp;
    case WEFT_PTX_SLCT:
        return lower_slct;
    default:
        return find_rule(opcode) ? lower_by_rule : NULL;
    }
}

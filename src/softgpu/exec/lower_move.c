/* mov in all its forms, and cvt. */
#include "softgpu/exec/lower.h"
#include "util/util.h"

static void emit_mov(struct weft_exec_lowering *lowering, int32_t d, int32_t a, uint32_t row_bytes)
{
    if (row_bytes > 8) {
        weft_exec_unsupported(lowering);
        return;
    }
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_mov_b16 + row_bytes / 4);
    insn->d = d;
    insn->a = a;
}

static void mov_predicate(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    bool negated = false;
    int32_t d = weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    int32_t a = weft_exec_operand_predicate(lowering, &source->operands[1], &negated);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_predicate);
    insn->d = d;
    insn->a = insn->b = a;
    insn->kind = WEFT_PTX_OP_NONE;
    insn->modifiers = negated ? WEFT_EXEC_NEGATE : 0;
}

/* The bits of one element of a vector that makes up a scalar, and whether the forms are known. */
static uint32_t element_bits(struct weft_exec_lowering *lowering,
                             const struct weft_ptx_operand *vector, uint32_t scalar_bytes)
{
    uint32_t count = vector->element_count;
    if (count == 0 || scalar_bytes > 8 || 8 * scalar_bytes % count) {
        weft_exec_unsupported(lowering);
        return 0;
    }
    return 8 * scalar_bytes / count;
}

static void fill_part(struct weft_exec_insn *insn, uint32_t scalar_bytes, uint32_t bits,
                      uint32_t index)
{
    insn->kind = (uint8_t)scalar_bytes;
    insn->count = bits <= 16 ? 2 : 4;
    insn->immediate = (int64_t)index * bits;
    insn->modifiers = bits;
}

/* mov.b64 d, {a, b}: packed in a temporary, since d may be among the elements. */
static void pack(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *vector = &source->operands[1];
    uint32_t bytes = weft_exec_row_bytes(source->types[0]);
    uint32_t bits = element_bits(lowering, vector, bytes);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], source->types[0]);
    int32_t packed = weft_exec_temporary(lowering);
    for (uint32_t i = 0; bits && i < vector->element_count; i++) {
        int32_t a = weft_exec_operand_row(lowering, &vector->elements[i], bits <= 16 ? 2 : 4);
        struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_pack);
        insn->d = packed;
        insn->a = a;
        fill_part(insn, bytes, bits, i);
    }
    emit_mov(lowering, d, packed, bytes);
}

/* mov.b64 {d, e}, a: from a copy, since a may be among the destinations. */
static void unpack(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *vector = &source->operands[0];
    uint32_t bytes = weft_exec_row_bytes(source->types[0]);
    uint32_t bits = element_bits(lowering, vector, bytes);
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], source->types[0]);
    for (uint32_t i = 0; bits && i < vector->element_count; i++) {
        if (vector->elements[i].kind == WEFT_PTX_OPERAND_SINK)
            continue;
        int32_t d = weft_exec_operand_row(lowering, &vector->elements[i], bits <= 16 ? 2 : 4);
        struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_unpack);
        insn->d = d;
        insn->a = a;
        fill_part(insn, bytes, bits, i);
    }
}

/* mov.v2.u32 {a, b}, {c, d} */
static void mov_elements(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *to = &source->operands[0];
    const struct weft_ptx_operand *from = &source->operands[1];
    uint32_t bytes = weft_exec_row_bytes(source->types[0]);
    int32_t held[WEFT_EXEC_VECTOR_MAX];
    if (to->element_count != from->element_count || to->element_count > WEFT_EXEC_VECTOR_MAX) {
        weft_exec_unsupported(lowering);
        return;
    }
    for (uint32_t i = 0; i < to->element_count; i++) {
        held[i] = weft_exec_temporary(lowering);
        emit_mov(lowering, held[i], weft_exec_operand_row(lowering, &from->elements[i], bytes),
                 bytes);
    }
    for (uint32_t i = 0; i < to->element_count; i++)
        emit_mov(lowering, weft_exec_operand_row(lowering, &to->elements[i], bytes), held[i],
                 bytes);
}

/* By way of temporaries, since {b, a} may be made of {a, b}. */
static void mov_wide(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t from[2], to[2], held[2];
    weft_exec_operand_wide(lowering, &source->operands[1], from);
    weft_exec_operand_wide(lowering, &source->operands[0], to);
    for (int i = 0; i < 2; i++) {
        held[i] = weft_exec_temporary(lowering);
        emit_mov(lowering, held[i], from[i], 8);
    }
    for (int i = 0; i < 2; i++)
        emit_mov(lowering, to[i], held[i], 8);
}

static void lower_mov(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (source->operand_count != 2) {
        weft_exec_unsupported(lowering);
        return;
    }
    const struct weft_ptx_operand *to = &source->operands[0];
    const struct weft_ptx_operand *from = &source->operands[1];
    bool to_vector = to->kind == WEFT_PTX_OPERAND_VECTOR;
    bool from_vector = from->kind == WEFT_PTX_OPERAND_VECTOR;
    uint8_t type = source->types[0];
    if (type == WEFT_PTX_PRED) {
        mov_predicate(lowering);
    } else if (type == WEFT_PTX_B128) {
        mov_wide(lowering);
    } else if (to_vector && from_vector) {
        mov_elements(lowering);
    } else if (to_vector) {
        unpack(lowering);
    } else if (from_vector) {
        pack(lowering);
    } else if (from->kind == WEFT_PTX_OPERAND_SPECIAL && weft_exec_row_bytes(type) != 2) {
        int32_t d = weft_exec_operand_destination(lowering, to, type);
        struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_special);
        insn->d = d;
        insn->kind = (uint8_t)from->index;
        insn->count = from->component;
        insn->b = weft_exec_row_bytes(type) == 8 ? 8 : 4;
    } else {
        int32_t a = weft_exec_operand_source(lowering, from, type);
        emit_mov(lowering, weft_exec_operand_destination(lowering, to, type), a,
                 weft_exec_row_bytes(type));
    }
}

/* Conversions that a loop of their own does, where registers are as wide as the types. */
struct shortcut {
    uint8_t to, from, rounding;
    uint16_t op;
};
static const struct shortcut shortcuts[] = {
    {WEFT_PTX_F32, WEFT_PTX_S32, WEFT_PTX_RN, WEFT_EXEC_OP_cvt_f32_s32},
    {WEFT_PTX_F32, WEFT_PTX_U32, WEFT_PTX_RN, WEFT_EXEC_OP_cvt_f32_u32},
    {WEFT_PTX_F64, WEFT_PTX_S32, WEFT_PTX_RN, WEFT_EXEC_OP_cvt_f64_s32},
    {WEFT_PTX_F64, WEFT_PTX_U32, WEFT_PTX_RN, WEFT_EXEC_OP_cvt_f64_u32},
    {WEFT_PTX_F64, WEFT_PTX_F32, WEFT_PTX_ROUND_NONE, WEFT_EXEC_OP_cvt_f64_f32},
    {WEFT_PTX_F32, WEFT_PTX_F64, WEFT_PTX_RN, WEFT_EXEC_OP_cvt_f32_f64},
    {WEFT_PTX_S32, WEFT_PTX_F32, WEFT_PTX_RZI, WEFT_EXEC_OP_cvt_s32_f32},
    {WEFT_PTX_S32, WEFT_PTX_F32, WEFT_PTX_RNI, WEFT_EXEC_OP_cvt_s32_rni_f32},
    {WEFT_PTX_S32, WEFT_PTX_F32, WEFT_PTX_RMI, WEFT_EXEC_OP_cvt_s32_rmi_f32},
    {WEFT_PTX_S32, WEFT_PTX_F32, WEFT_PTX_RPI, WEFT_EXEC_OP_cvt_s32_rpi_f32},
    {WEFT_PTX_U32, WEFT_PTX_F32, WEFT_PTX_RZI, WEFT_EXEC_OP_cvt_u32_f32},
    {WEFT_PTX_F32, WEFT_PTX_F32, WEFT_PTX_RNI, WEFT_EXEC_OP_cvt_rni_f32},
    {WEFT_PTX_F32, WEFT_PTX_F32, WEFT_PTX_RMI, WEFT_EXEC_OP_cvt_rmi_f32},
    {WEFT_PTX_F32, WEFT_PTX_F32, WEFT_PTX_RPI, WEFT_EXEC_OP_cvt_rpi_f32},
    {WEFT_PTX_F32, WEFT_PTX_F32, WEFT_PTX_RZI, WEFT_EXEC_OP_cvt_rzi_f32},
    {WEFT_PTX_F32, WEFT_PTX_F16, WEFT_PTX_ROUND_NONE, WEFT_EXEC_OP_cvt_f32_f16},
    {WEFT_PTX_F32, WEFT_PTX_BF16, WEFT_PTX_ROUND_NONE, WEFT_EXEC_OP_cvt_f32_bf16},
    {WEFT_PTX_F16, WEFT_PTX_F32, WEFT_PTX_RN, WEFT_EXEC_OP_cvt_f16_f32},
    {WEFT_PTX_BF16, WEFT_PTX_F32, WEFT_PTX_RN, WEFT_EXEC_OP_cvt_bf16_f32},
    {WEFT_PTX_TF32, WEFT_PTX_F32, WEFT_PTX_RNA, WEFT_EXEC_OP_cvt_tf32_f32},
};

static bool is_integer(uint8_t type)
{
    return type >= WEFT_PTX_U8 && type <= WEFT_PTX_B64;
}

/* Between integers only widths and the source's sign count. 0: no shortcut. */
static uint32_t integer_shortcut(uint8_t to, uint8_t from)
{
    bool is_signed = weft_exec_type_is_signed(from);
    uint32_t to_bytes = weft_ptx_type_bytes(to);
    uint32_t from_bytes = weft_ptx_type_bytes(from);
    if (!is_integer(to) || !is_integer(from) || to_bytes < 2 || from_bytes < 2)
        return 0;
    switch (from_bytes << 4 | to_bytes) {
    case 2 << 4 | 2:
        return WEFT_EXEC_OP_mov_b16;
    case 4 << 4 | 4:
        return WEFT_EXEC_OP_mov_b32;
    case 8 << 4 | 8:
        return WEFT_EXEC_OP_mov_b64;
    case 2 << 4 | 4:
        return is_signed ? WEFT_EXEC_OP_extend_s16_b32 : WEFT_EXEC_OP_extend_u16_b32;
    case 2 << 4 | 8:
        return is_signed ? WEFT_EXEC_OP_extend_s16_b64 : WEFT_EXEC_OP_extend_u16_b64;
    case 4 << 4 | 8:
        return is_signed ? WEFT_EXEC_OP_extend_s32_b64 : WEFT_EXEC_OP_extend_u32_b64;
    case 4 << 4 | 2:
        return WEFT_EXEC_OP_cut_b32_b16;
    case 8 << 4 | 2:
        return WEFT_EXEC_OP_cut_b64_b16;
    default:
        return WEFT_EXEC_OP_cut_b64_b32;
    }
}

static uint32_t find_shortcut(const struct weft_ptx_insn *source)
{
    uint8_t to = source->types[0];
    uint8_t from = source->types[1];
    if (source->flags & (WEFT_PTX_FTZ | WEFT_PTX_SAT | WEFT_PTX_RELU | WEFT_PTX_SATFINITE))
        return 0;
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(shortcuts); i++)
        if (shortcuts[i].to == to && shortcuts[i].from == from &&
            shortcuts[i].rounding == source->rounding)
            return shortcuts[i].op;
    return integer_shortcut(to, from);
}

static bool converts(uint8_t type)
{
    switch (type) {
    case WEFT_PTX_F16:
    case WEFT_PTX_BF16:
    case WEFT_PTX_F32:
    case WEFT_PTX_F64:
    case WEFT_PTX_TF32:
        return true;
    default:
        return type >= WEFT_PTX_U8 && type <= WEFT_PTX_S64;
    }
}

static void cvt_to_pair(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t half = source->types[0] == WEFT_PTX_F16X2 ? WEFT_PTX_F16 : WEFT_PTX_BF16;
    if (source->types[1] != WEFT_PTX_F32 || source->operand_count != 3 ||
        source->rounding == WEFT_PTX_RS) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], WEFT_PTX_F32);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], WEFT_PTX_F32);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32);
    bool plain =
        source->rounding == WEFT_PTX_RN &&
        !(source->flags & (WEFT_PTX_FTZ | WEFT_PTX_SAT | WEFT_PTX_RELU | WEFT_PTX_SATFINITE));
    uint32_t pair = half == WEFT_PTX_F16 ? WEFT_EXEC_OP_cvt_f16x2_f32 : WEFT_EXEC_OP_cvt_bf16x2_f32;
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, plain ? pair : WEFT_EXEC_OP_cvt_pack_half);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->kind = half;
    insn->order = source->rounding;
    insn->modifiers = weft_exec_float_modifiers(source);
}

static bool is_small(uint8_t type)
{
    return type == WEFT_PTX_E4M3X2 || type == WEFT_PTX_E5M2X2;
}

/* cvt.rn.satfinite.e4m3x2.f32 d, a, b; .e4m3x2.f16x2 d, a; .f16x2.e4m3x2 d, a */
static void cvt_small(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t to = source->types[0], from = source->types[1];
    bool narrows = is_small(to), floats = from == WEFT_PTX_F32;
    bool known = narrows
                     ? (floats || from == WEFT_PTX_F16X2) && (source->flags & WEFT_PTX_SATFINITE)
                     : to == WEFT_PTX_F16X2;
    if (!known || source->rounding != WEFT_PTX_RN || source->operand_count != (floats ? 3u : 2u)) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t a = weft_exec_operand_row(lowering, &source->operands[1], narrows ? 4 : 2);
    int32_t b = floats ? weft_exec_operand_row(lowering, &source->operands[2], 4) : a;
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0],
                                              narrows ? WEFT_PTX_B16 : WEFT_PTX_B32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_cvt_small);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->kind = to;
    insn->count = from;
    insn->modifiers = weft_exec_float_modifiers(source);
}

static void lower_cvt(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t to = source->types[0];
    uint8_t from = source->types[1];
    if ((to == WEFT_PTX_F16X2 || to == WEFT_PTX_BF16X2) && !is_small(from)) {
        cvt_to_pair(lowering);
        return;
    }
    if (is_small(to) || is_small(from)) {
        cvt_small(lowering);
        return;
    }
    bool finite = to == WEFT_PTX_F16 || to == WEFT_PTX_BF16 || to == WEFT_PTX_TF32;
    if (!converts(to) || !converts(from) || source->operand_count != 2 ||
        (source->flags & WEFT_PTX_SATFINITE && !finite)) {
        weft_exec_unsupported(lowering);
        return;
    }
    uint32_t to_bytes =
        weft_exec_operand_row_bytes(lowering, &source->operands[0], weft_exec_row_bytes(to));
    uint32_t from_bytes =
        weft_exec_operand_row_bytes(lowering, &source->operands[1], weft_exec_row_bytes(from));
    if (to_bytes < weft_exec_row_bytes(to) || from_bytes < weft_exec_row_bytes(from))
        weft_exec_malformed(lowering, "a register narrower than its type");
    int32_t a = weft_exec_operand_row(lowering, &source->operands[1], from_bytes);
    int32_t d = weft_exec_operand_row(lowering, &source->operands[0], to_bytes);
    uint32_t op = find_shortcut(source);
    bool exact_width =
        to_bytes == weft_ptx_type_bytes(to) && from_bytes == weft_ptx_type_bytes(from);
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, op && exact_width ? op : WEFT_EXEC_OP_cvt);
    insn->d = d;
    insn->a = a;
    insn->b = (int32_t)to_bytes;
    insn->c = (int32_t)from_bytes;
    insn->kind = to;
    insn->count = from;
    insn->order = source->rounding;
    insn->modifiers = weft_exec_float_modifiers(source);
}

/* cvt.pack.sat d, a, b[, c]: whole numbers cut to few bits and put behind each other. */
static void lower_cvt_pack(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    static const struct {
        uint8_t type, bits;
        bool is_signed;
    } widths[] = {{WEFT_PTX_U16, 16, false}, {WEFT_PTX_S16, 16, true}, {WEFT_PTX_U8, 8, false},
                  {WEFT_PTX_S8, 8, true},    {WEFT_PTX_U4, 4, false},  {WEFT_PTX_S4, 4, true},
                  {WEFT_PTX_U2, 2, false},   {WEFT_PTX_S2, 2, true}};
    uint32_t found = 0;
    while (found < WEFT_ARRAY_COUNT(widths) && widths[found].type != source->types[0])
        found++;
    if (found == WEFT_ARRAY_COUNT(widths) || source->types[1] != WEFT_PTX_S32 ||
        source->operand_count != (widths[found].bits == 16 ? 3 : 4)) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], WEFT_PTX_B32);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[2], WEFT_PTX_B32);
    int32_t c = source->operand_count == 4
                    ? weft_exec_operand_source(lowering, &source->operands[3], WEFT_PTX_B32)
                    : weft_exec_constant(lowering, 0, 4);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_cvt_pack);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->c = c;
    insn->kind = widths[found].bits;
    insn->count = widths[found].is_signed;
}

weft_exec_lower_fn weft_exec_lower_move(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_MOV:
        return lower_mov;
    case WEFT_PTX_CVT:
        return lower_cvt;
    case WEFT_PTX_CVT_PACK:
        return lower_cvt_pack;
    default:
        return NULL;
    }
}

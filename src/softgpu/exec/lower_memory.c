/* Loads, stores, atomic operations, and instructions about address spaces. */
#include "softgpu/exec/lower.h"
#include "util/util.h"

#define WEFT_EXEC_CACHE_POLICY 1

/* Bytes of a lane in the registers of a vector: those of its first register, else of the type. */
static uint32_t elements_row_bytes(const struct weft_exec_lowering *lowering,
                                   const struct weft_ptx_operand *operand, uint8_t type)
{
    uint32_t bytes = weft_exec_row_bytes(type);
    if (operand->kind != WEFT_PTX_OPERAND_VECTOR)
        return weft_exec_operand_row_bytes(lowering, operand, bytes);
    for (uint32_t i = 0; i < operand->element_count; i++)
        if (operand->elements[i].kind == WEFT_PTX_OPERAND_REGISTER)
            return weft_exec_operand_row_bytes(lowering, &operand->elements[i], bytes);
    return bytes;
}

/* The rows of a scalar or a vector, in rows[]; their count, 0 after a failure. */
static uint8_t element_rows(struct weft_exec_lowering *lowering,
                            const struct weft_ptx_operand *operand, uint32_t row_bytes,
                            int32_t *rows)
{
    bool is_vector = operand->kind == WEFT_PTX_OPERAND_VECTOR;
    uint32_t count = is_vector ? operand->element_count : 1;
    if (count == 0 || count > WEFT_EXEC_VECTOR_MAX || count == 3) {
        weft_exec_unsupported(lowering);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++)
        rows[i] =
            weft_exec_operand_row(lowering, is_vector ? &operand->elements[i] : operand, row_bytes);
    return (uint8_t)count;
}

/* First of three ops, for rows of 16, 32 and 64 bits; 0 where the type cannot be loaded. */
static uint32_t load_op(uint8_t type)
{
    bool is_signed = weft_exec_type_is_signed(type);
    switch (weft_ptx_type_bytes(type)) {
    case 1:
        return is_signed ? WEFT_EXEC_OP_ld_s8_b16 : WEFT_EXEC_OP_ld_u8_b16;
    case 2:
        return is_signed ? WEFT_EXEC_OP_ld_s16_b16 : WEFT_EXEC_OP_ld_u16_b16;
    case 4:
        return is_signed ? WEFT_EXEC_OP_ld_s32_b16 : WEFT_EXEC_OP_ld_u32_b16;
    case 8:
        return WEFT_EXEC_OP_ld_u64_b16;
    default:
        return 0;
    }
}

static uint32_t store_op(uint8_t type)
{
    switch (weft_ptx_type_bytes(type)) {
    case 1:
        return WEFT_EXEC_OP_st_u8_b16;
    case 2:
        return WEFT_EXEC_OP_st_u16_b16;
    case 4:
        return WEFT_EXEC_OP_st_u32_b16;
    case 8:
        return WEFT_EXEC_OP_st_u64_b16;
    default:
        return 0;
    }
}

/* Memory that only the lane itself sees needs no order. */
static bool is_ordered(const struct weft_ptx_insn *source)
{
    return source->order != WEFT_PTX_WEAK && source->space != WEFT_PTX_LOCAL &&
           source->space != WEFT_PTX_PARAM && source->space != WEFT_PTX_CONST;
}

/* ld and st: `address` and `data` are the indices of their operands. */
static void lower_access(struct weft_exec_lowering *lowering, uint32_t first_op, uint32_t address,
                         uint32_t data)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    if (type == WEFT_PTX_B128) {
        weft_exec_lower_wide_access(lowering, data == 1);
        return;
    }
    if (first_op == 0 || source->operand_count < 2) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t rows[WEFT_EXEC_VECTOR_MAX] = {0};
    uint32_t row_bytes = elements_row_bytes(lowering, &source->operands[data], type);
    if (row_bytes < weft_ptx_type_bytes(type) || row_bytes > 8) {
        weft_exec_malformed(lowering, "a register narrower than its type");
        return;
    }
    uint8_t count = element_rows(lowering, &source->operands[data], row_bytes, rows);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, first_op + row_bytes / 4);
    weft_exec_operand_address(lowering, &source->operands[address], insn);
    insn->count = count;
    insn->kind = type;
    insn->order = is_ordered(source) ? source->order : WEFT_PTX_WEAK;
    insn->d = rows[0];
    for (uint32_t i = 1; i < count; i++)
        insn->more[i - 1] = rows[i];
}

static void lower_ld(struct weft_exec_lowering *lowering)
{
    lower_access(lowering, load_op(lowering->insn->types[0]), 1, 0);
}

static void lower_st(struct weft_exec_lowering *lowering)
{
    lower_access(lowering, store_op(lowering->insn->types[0]), 0, 1);
}

static uint32_t address_bytes(const struct weft_exec_lowering *lowering,
                              const struct weft_ptx_operand *operand)
{
    return weft_exec_operand_row_bytes(lowering, operand, 8);
}

static void lower_cvta(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], type);
    /* Global and constant memory is where generic addresses say. */
    bool same = source->space == WEFT_PTX_GLOBAL || source->space == WEFT_PTX_CONST;
    uint32_t op = !same                            ? WEFT_EXEC_OP_cvta
                  : weft_exec_row_bytes(type) == 8 ? WEFT_EXEC_OP_mov_b64
                                                   : WEFT_EXEC_OP_mov_b32;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, op);
    insn->d = d;
    insn->a = a;
    insn->space = source->space == WEFT_PTX_SHARED_CLUSTER ? WEFT_PTX_SHARED : source->space;
    if (insn->space == WEFT_PTX_PARAM && !lowering->function->entry)
        insn->space = WEFT_PTX_LOCAL;
    insn->kind = source->flags & WEFT_PTX_TO ? 1 : 0;
    insn->wide_address = weft_exec_row_bytes(type) == 8;
}

static void lower_isspacep(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint32_t bytes = address_bytes(lowering, &source->operands[1]);
    int32_t a = weft_exec_operand_row(lowering, &source->operands[1], bytes);
    int32_t d = weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_isspacep);
    insn->kind = source->space == WEFT_PTX_SHARED;
    insn->d = d;
    insn->a = a;
    insn->space = source->space == WEFT_PTX_SHARED_CLUSTER ? WEFT_PTX_SHARED : source->space;
    insn->wide_address = bytes == 8;
}

void weft_exec_emit_stack(struct weft_exec_lowering *lowering, bool restores)
{
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, restores ? WEFT_EXEC_OP_stack_set : WEFT_EXEC_OP_stack_read);
    if (restores)
        insn->a = WEFT_EXEC_ROW_STACK_TOP;
    else
        insn->d = WEFT_EXEC_ROW_STACK_TOP;
}

/* alloca d, bytes[, alignment] */
static void lower_alloca(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    uint64_t align = source->operand_count > 2 ? source->operands[2].bits : 8;
    if (align == 0 || align & (align - 1) || align > WEFT_EXEC_LOCAL_WINDOW_BYTES) {
        weft_exec_malformed(lowering, "an alignment that is no power of two");
        return;
    }
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], type);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_stack_take);
    insn->d = d;
    insn->a = a;
    insn->b = (int32_t)lowering->layout->local_bytes;
    insn->immediate = (int64_t)align;
    insn->wide_address = weft_exec_row_bytes(type) == 8;
}

static void lower_stack(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool saves = source->opcode == WEFT_PTX_STACKSAVE;
    int32_t row = saves ? weft_exec_operand_destination(lowering, &source->operands[0], type)
                        : weft_exec_operand_source(lowering, &source->operands[0], type);
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, saves ? WEFT_EXEC_OP_stack_read : WEFT_EXEC_OP_stack_set);
    insn->d = insn->a = row;
    insn->wide_address = weft_exec_row_bytes(type) == 8;
}

/* A cache policy means nothing where there is no cache: each is the same number, and one that is
 * converted stays what it was. */
static void lower_createpolicy(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (source->operand_count == 0) {
        weft_exec_malformed(lowering, "no operands");
        return;
    }
    int32_t a = weft_exec_constant(lowering, WEFT_EXEC_CACHE_POLICY, 8);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B64);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_mov_b64);
    insn->d = d;
    insn->a = a;
}

weft_exec_lower_fn weft_exec_lower_memory(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_ATOM:
    case WEFT_PTX_RED:
        return weft_exec_lower_atomic;
    case WEFT_PTX_CREATEPOLICY:
        return lower_createpolicy;
    case WEFT_PTX_ALLOCA:
        return lower_alloca;
    case WEFT_PTX_STACKSAVE:
    case WEFT_PTX_STACKRESTORE:
        return lower_stack;
    case WEFT_PTX_LD:
    case WEFT_PTX_LDU:
        return lower_ld;
    case WEFT_PTX_ST:
        return lower_st;
    case WEFT_PTX_CVTA:
        return lower_cvta;
    case WEFT_PTX_ISSPACEP:
        return lower_isspacep;
    default:
        return NULL;
    }
}

/* atom and red, of one value, of vectors, and of 128 bits; and plain accesses of 128 bits. */
#include "softgpu/exec/lower.h"
#include "util/util.h"

#define ELEMENTS_MAX 8 /* .v8 */

static bool knows_atomic(const struct weft_ptx_insn *source)
{
    uint32_t bytes = weft_ptx_type_bytes(source->types[0]);
    bool extreme = source->operation == WEFT_PTX_OP_MIN || source->operation == WEFT_PTX_OP_MAX;
    bool small = bytes == 2 &&
                 (source->operation == WEFT_PTX_OP_CAS || source->operation == WEFT_PTX_OP_ADD ||
                  (extreme && weft_exec_type_is_half(source->types[0])));
    return (small || bytes == 4 || bytes == 8) && source->type_count == 1;
}

/* One atomic operation, `offset` bytes behind the address. */
static void emit_atomic(struct weft_exec_lowering *lowering, uint32_t offset, int32_t d, int32_t b,
                        int32_t c)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint32_t address = source->opcode == WEFT_PTX_ATOM ? 1 : 0;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_atom);
    weft_exec_operand_address(lowering, &source->operands[address], insn);
    insn->immediate += offset;
    insn->d = d;
    insn->b = b;
    insn->c = c;
    insn->kind = source->operation;
    insn->count = source->types[0];
}

static const struct weft_ptx_operand *element(const struct weft_ptx_operand *operand,
                                              uint32_t index)
{
    return operand->kind == WEFT_PTX_OPERAND_VECTOR ? &operand->elements[index] : operand;
}

/* The elements one after the other, each atomic by itself, as the ISA has it. The results come
 * last, since one may be the address. */
static void lower_vector(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    uint32_t bytes = weft_ptx_type_bytes(type);
    uint32_t address = source->opcode == WEFT_PTX_ATOM ? 1 : 0;
    int32_t held[ELEMENTS_MAX];
    if (source->vector > ELEMENTS_MAX) {
        weft_exec_unsupported(lowering);
        return;
    }
    struct weft_exec_insn *check = weft_exec_emit(lowering, WEFT_EXEC_OP_check_address);
    weft_exec_operand_address(lowering, &source->operands[address], check);
    check->b = (int32_t)(bytes * source->vector);
    for (uint32_t i = 0; i < source->vector; i++) {
        held[i] = address ? weft_exec_temporary(lowering) : WEFT_EXEC_NO_ROW;
        int32_t b =
            weft_exec_operand_source(lowering, element(&source->operands[address + 1], i), type);
        emit_atomic(lowering, i * bytes, held[i], b, WEFT_EXEC_NO_ROW);
    }
    for (uint32_t i = 0; address && i < source->vector; i++) {
        const struct weft_ptx_operand *to = element(&source->operands[0], i);
        if (to->kind == WEFT_PTX_OPERAND_SINK)
            continue;
        int32_t d = weft_exec_operand_destination(lowering, to, type);
        struct weft_exec_insn *insn =
            weft_exec_emit(lowering, WEFT_EXEC_OP_mov_b16 + weft_exec_row_bytes(type) / 4);
        insn->d = d;
        insn->a = held[i];
    }
}

/* Of 128 bits at once. rows: the result's, the operand's, and of cas the new value's. */
static void emit_wide(struct weft_exec_lowering *lowering, uint32_t address, uint8_t operation,
                      const int32_t *d, const int32_t *b, const int32_t *c)
{
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_atom_wide);
    weft_exec_operand_address(lowering, &lowering->insn->operands[address], insn);
    insn->kind = operation;
    insn->d = d ? d[0] : WEFT_EXEC_ROW_SINK;
    insn->more[0] = d ? d[1] : WEFT_EXEC_ROW_SINK;
    insn->b = b ? b[0] : WEFT_EXEC_ROW_SINK;
    insn->more[1] = b ? b[1] : WEFT_EXEC_ROW_SINK;
    insn->c = c ? c[0] : WEFT_EXEC_ROW_SINK;
    insn->more[2] = c ? c[1] : WEFT_EXEC_ROW_SINK;
}

static void lower_wide_atomic(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    bool compares = source->operation == WEFT_PTX_OP_CAS;
    int32_t d[2], b[2], c[2] = {WEFT_EXEC_ROW_SINK, WEFT_EXEC_ROW_SINK};
    if (source->opcode != WEFT_PTX_ATOM || source->operand_count < 3u + compares) {
        weft_exec_unsupported(lowering);
        return;
    }
    weft_exec_operand_wide(lowering, &source->operands[0], d);
    weft_exec_operand_wide(lowering, &source->operands[2], b);
    if (compares)
        weft_exec_operand_wide(lowering, &source->operands[3], c);
    emit_wide(lowering, 1, source->operation, d, b, c);
}

void weft_exec_lower_wide_access(struct weft_exec_lowering *lowering, bool stores)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t rows[2];
    if (source->vector > 1) {
        weft_exec_unsupported(lowering);
        return;
    }
    weft_exec_operand_wide(lowering, &source->operands[stores ? 1 : 0], rows);
    bool shared_order = source->order != WEFT_PTX_WEAK && source->space != WEFT_PTX_LOCAL &&
                        source->space != WEFT_PTX_PARAM && source->space != WEFT_PTX_CONST;
    if (shared_order) {
        emit_wide(lowering, stores ? 0 : 1, stores ? WEFT_PTX_OP_EXCH : WEFT_PTX_OP_NONE,
                  stores ? NULL : rows, stores ? rows : NULL, NULL);
        return;
    }
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, stores ? WEFT_EXEC_OP_st_u64_b64 : WEFT_EXEC_OP_ld_u64_b64);
    weft_exec_operand_address(lowering, &source->operands[stores ? 0 : 1], insn);
    insn->count = 2;
    insn->kind = WEFT_PTX_B64;
    insn->order = source->order;
    insn->b = 8;
    insn->d = rows[0];
    insn->more[0] = rows[1];
}

/* atom d, [a], b[, c] and red [a], b */
void weft_exec_lower_atomic(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool returns = source->opcode == WEFT_PTX_ATOM;
    uint32_t address = returns ? 1 : 0;
    bool compares = source->operation == WEFT_PTX_OP_CAS;
    if (type == WEFT_PTX_B128) {
        lower_wide_atomic(lowering);
        return;
    }
    if (!knows_atomic(source) || source->operand_count < address + 2u + compares) {
        weft_exec_unsupported(lowering);
        return;
    }
    if (source->vector > 1) {
        lower_vector(lowering);
        return;
    }
    int32_t d = WEFT_EXEC_NO_ROW;
    if (returns && source->operands[0].kind != WEFT_PTX_OPERAND_SINK)
        d = weft_exec_operand_destination(lowering, &source->operands[0], type);
    int32_t b = weft_exec_operand_source(lowering, &source->operands[address + 1], type);
    int32_t c = WEFT_EXEC_NO_ROW;
    if (compares)
        c = weft_exec_operand_source(lowering, &source->operands[address + 2], type);
    emit_atomic(lowering, 0, d, b, c);
}

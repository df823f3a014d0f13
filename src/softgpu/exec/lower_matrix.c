/* Matrix instructions: the rows of their fragments, kept beside the code. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "softgpu/exec/matrix.h"
#include "util/util.h"

static struct weft_exec_tiling tiling_of(const struct weft_ptx_matrix *form, uint8_t which)
{
    uint32_t wide = weft_ptx_matrix_bits(form->a) == 64 ? 32 : 16;
    switch (which) {
    case WEFT_PTX_MATRIX_A: {
        uint32_t stored = form->sparse ? form->k / 2u : form->k;
        return (struct weft_exec_tiling){form->m, stored * weft_ptx_matrix_bits(form->a) / 8, wide,
                                         false};
    }
    case WEFT_PTX_MATRIX_B:
        return (struct weft_exec_tiling){form->n, form->k * weft_ptx_matrix_bits(form->b) / 8, wide,
                                         true};
    default: {
        uint32_t bytes = weft_ptx_matrix_bits(form->d) / 8;
        return (struct weft_exec_tiling){form->m, form->n * bytes, 8 * bytes, false};
    }
    }
}

/* Appends to the kernel's matrices; its index, or -1 after a failure. */
static int32_t add_matrix(struct weft_exec_lowering *lowering,
                          const struct weft_exec_matrix *matrix)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    struct weft_exec_matrix *grown =
        realloc(kernel->matrices, (kernel->matrix_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        if (!lowering->failed)
            lowering->failed = weft_fail(lowering->err, WEFT_ENOMEM, "a matrix instruction");
        return -1;
    }
    kernel->matrices = grown;
    grown[kernel->matrix_count] = *matrix;
    return (int32_t)kernel->matrix_count++;
}

static bool begin(struct weft_exec_lowering *lowering, struct weft_exec_matrix *matrix)
{
    memset(matrix, 0, sizeof(*matrix));
    const char *broken = weft_ptx_matrix_decode(lowering->insn, &matrix->form);
    if (!broken && matrix->form.is_newer) {
        weft_exec_unsupported(lowering);
        return false;
    }
    if (!broken)
        broken = weft_ptx_matrix_operands(lowering->insn, &matrix->form);
    if (broken)
        weft_exec_malformed(lowering, broken);
    return broken == NULL;
}

static void fragment_rows(struct weft_exec_lowering *lowering,
                          const struct weft_ptx_operand *operand, uint8_t type, bool written,
                          int32_t *rows)
{
    uint32_t row_bytes = weft_ptx_matrix_bits(type) == 64 ? 8 : 4;
    uint8_t as = row_bytes == 8 ? WEFT_PTX_B64 : WEFT_PTX_B32;
    bool is_vector = operand->kind == WEFT_PTX_OPERAND_VECTOR;
    uint32_t count = is_vector ? operand->element_count : 1;
    for (uint32_t i = 0; i < count && i < WEFT_EXEC_FRAGMENT_MAX; i++) {
        const struct weft_ptx_operand *element = is_vector ? &operand->elements[i] : operand;
        rows[i] = written ? weft_exec_operand_destination(lowering, element, as)
                          : weft_exec_operand_row(lowering, element, row_bytes);
    }
}

static struct weft_exec_insn *emit(struct weft_exec_lowering *lowering, uint32_t op,
                                   const struct weft_exec_matrix *matrix,
                                   const struct weft_ptx_operand *address, int32_t stride)
{
    struct weft_exec_insn *insn = weft_exec_emit(lowering, op);
    insn->b = add_matrix(lowering, matrix);
    insn->c = stride;
    if (address)
        weft_exec_operand_address(lowering, address, insn);
    return insn;
}

/* wmma.load r, [p]{, stride}; wmma.store [p], r{, stride}; ldmatrix r, [p]; stmatrix [p], r */
static void lower_transfer(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    bool stores = source->opcode == WEFT_PTX_WMMA_STORE || source->opcode == WEFT_PTX_STMATRIX;
    bool tiles = source->opcode == WEFT_PTX_LDMATRIX || source->opcode == WEFT_PTX_STMATRIX;
    struct weft_exec_matrix matrix;
    if (!begin(lowering, &matrix))
        return;
    matrix.tiling = tiling_of(&matrix.form, matrix.form.which);
    int32_t stride = WEFT_EXEC_NO_ROW;
    if (source->operand_count == 3)
        stride = weft_exec_operand_row(lowering, &source->operands[2], 4);
    fragment_rows(lowering, &source->operands[stores ? 1 : 0], matrix.form.a, !stores, matrix.d);
    uint32_t op = tiles ? (stores ? WEFT_EXEC_OP_stmatrix : WEFT_EXEC_OP_ldmatrix)
                        : (stores ? WEFT_EXEC_OP_wmma_store : WEFT_EXEC_OP_wmma_load);
    emit(lowering, op, &matrix, &source->operands[stores ? 0 : 1], stride);
}

static void lower_movmatrix(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], WEFT_PTX_B32);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_movmatrix);
    insn->d = d;
    insn->a = a;
}

/* mma d, a, b, c{, metadata, selector} */
static void lower_product(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *operands = source->operands;
    struct weft_exec_matrix matrix;
    if (!begin(lowering, &matrix))
        return;
    const struct weft_ptx_matrix *form = &matrix.form;
    matrix.a_tiling = tiling_of(form, WEFT_PTX_MATRIX_A);
    matrix.b_tiling = tiling_of(form, WEFT_PTX_MATRIX_B);
    fragment_rows(lowering, &operands[1], form->a, false, matrix.a);
    fragment_rows(lowering, &operands[2], form->b, false, matrix.b);
    fragment_rows(lowering, &operands[3], form->c, false, matrix.c);
    fragment_rows(lowering, &operands[0], form->d, true, matrix.d);
    if (form->sparse) {
        matrix.metadata = weft_exec_operand_row(lowering, &operands[4], 4);
        matrix.selector = (uint32_t)operands[5].bits;
    }
    matrix.saturates = source->flags & WEFT_PTX_SATFINITE;
    emit(lowering, WEFT_EXEC_OP_mma, &matrix, NULL, WEFT_EXEC_NO_ROW)->modifiers =
        weft_exec_float_modifiers(source);
}

weft_exec_lower_fn weft_exec_lower_matrix(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_WMMA_LOAD:
    case WEFT_PTX_WMMA_STORE:
    case WEFT_PTX_LDMATRIX:
    case WEFT_PTX_STMATRIX:
        return lower_transfer;
    case WEFT_PTX_MOVMATRIX:
        return lower_movmatrix;
    case WEFT_PTX_WMMA_MMA:
    case WEFT_PTX_MMA:
        return lower_product;
    default:
        return NULL;
    }
}

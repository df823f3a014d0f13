/* What blocks of a cluster do together. */
#include "softgpu/exec/lower.h"

static void lower_arrive(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_cluster_arrive);
}

static void lower_wait(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_cluster_wait);
}

/* mapa d, a, rank; getctarank d, a */
static void lower_address(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    bool maps = source->opcode == WEFT_PTX_MAPA;
    bool window = source->space == WEFT_PTX_SHARED_CLUSTER;
    uint8_t type = source->types[0];
    if ((source->space && !window) || source->operand_count != (maps ? 3 : 2)) {
        weft_exec_malformed(lowering, "these operands");
        return;
    }
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], type);
    int32_t b = maps ? weft_exec_operand_source(lowering, &source->operands[2], WEFT_PTX_U32)
                     : WEFT_EXEC_NO_ROW;
    int32_t d =
        weft_exec_operand_destination(lowering, &source->operands[0], maps ? type : WEFT_PTX_U32);
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, maps ? WEFT_EXEC_OP_mapa : WEFT_EXEC_OP_getctarank);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->kind = !window;
    insn->wide_address = weft_exec_row_bytes(type) == 8;
}

weft_exec_lower_fn weft_exec_lower_cluster(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_BARRIER_CLUSTER_ARRIVE:
        return lower_arrive;
    case WEFT_PTX_BARRIER_CLUSTER_WAIT:
        return lower_wait;
    case WEFT_PTX_MAPA:
    case WEFT_PTX_GETCTARANK:
        return lower_address;
    default:
        return NULL;
    }
}

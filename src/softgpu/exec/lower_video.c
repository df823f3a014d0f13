/* Video instructions: one handler does them all, by what stands in the instruction. */
#include "softgpu/exec/lower.h"

/* How many parts of a word the opcode computes with; 0 for vmad, -1 for other opcodes. */
static int parts_of(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_VMAD:
        return 0;
    case WEFT_PTX_VADD:
    case WEFT_PTX_VSUB:
    case WEFT_PTX_VABSDIFF:
    case WEFT_PTX_VMIN:
    case WEFT_PTX_VMAX:
    case WEFT_PTX_VSHL:
    case WEFT_PTX_VSHR:
    case WEFT_PTX_VSET:
        return 1;
    case WEFT_PTX_VADD2:
    case WEFT_PTX_VSUB2:
    case WEFT_PTX_VAVRG2:
    case WEFT_PTX_VABSDIFF2:
    case WEFT_PTX_VMIN2:
    case WEFT_PTX_VMAX2:
    case WEFT_PTX_VSET2:
        return 2;
    case WEFT_PTX_VADD4:
    case WEFT_PTX_VSUB4:
    case WEFT_PTX_VAVRG4:
    case WEFT_PTX_VABSDIFF4:
    case WEFT_PTX_VMIN4:
    case WEFT_PTX_VMAX4:
    case WEFT_PTX_VSET4:
        return 4;
    default:
        return -1;
    }
}

/* The sum or the word of four unsigned differences, whole words in their own order. */
static bool is_plain_difference(const struct weft_ptx_insn *source)
{
    bool whole = true;
    for (uint32_t i = 0; i < 3; i++)
        whole &= source->operands[i].selector == WEFT_PTX_SELECT_NONE;
    for (uint32_t i = 0; i < 3; i++)
        whole &= source->types[i] == WEFT_PTX_U32;
    return whole && source->opcode == WEFT_PTX_VABSDIFF4 && source->type_count == 3 &&
           !(source->flags & WEFT_PTX_SAT);
}

static void lower_video(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *operands = source->operands;
    int32_t a = weft_exec_operand_source(lowering, &operands[1], WEFT_PTX_B32);
    int32_t b = weft_exec_operand_source(lowering, &operands[2], WEFT_PTX_B32);
    int32_t c = source->operand_count > 3
                    ? weft_exec_operand_source(lowering, &operands[3], WEFT_PTX_B32)
                    : a;
    int32_t d = weft_exec_operand_destination(lowering, &operands[0], WEFT_PTX_B32);
    bool plain = is_plain_difference(source);
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, plain ? WEFT_EXEC_OP_absdiff4 : WEFT_EXEC_OP_video);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->c = c;
    insn->kind = plain ? source->operation == WEFT_PTX_OP_ADD : (uint8_t)parts_of(source->opcode);
}

weft_exec_lower_fn weft_exec_lower_video(uint16_t opcode)
{
    return parts_of(opcode) < 0 ? NULL : lower_video;
}

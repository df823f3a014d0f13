/* One thread, one instruction at a time. */
#include <string.h>

#include "machine.h"

#include "alu.h"
#include "async.h"
#include "softgpu/ptx/matrix.h"
#include "types.h"

enum step thread_fault(struct thread *thread, enum weft_exec_fault_kind kind, uint64_t address)
{
    struct weft_exec_fault *fault = &thread->block->fault;
    const struct weft_ptx_insn *insn = thread_insn(thread);
    *fault = (struct weft_exec_fault){.kind = kind,
                                      .function = thread_frame(thread)->function->name,
                                      .insn = insn->text,
                                      .line = insn->line,
                                      .address = address};
    memcpy(fault->thread, thread->tid, sizeof fault->thread);
    memcpy(fault->block, thread->block->ctaid, sizeof fault->block);
    return STEP_FAULT;
}

static enum step compute(struct thread *thread, const struct weft_ptx_insn *insn)
{
    unsigned first = insn->paired ? 2 : 1;
    if (insn->paired && insn->opcode != WEFT_PTX_SETP && insn->opcode != WEFT_PTX_LOP3)
        return STEP_UNKNOWN;
    struct alu alu = {.insn = insn, .carry = thread->carry};
    for (unsigned i = first; i < insn->operand_count; i++)
        alu.source[i - first] =
            operand_read(thread, &insn->operands[i], alu_source_type(insn, i - first));
    if (!alu_evaluate(&alu))
        return STEP_UNKNOWN;
    thread->carry = alu.carry;
    operand_write(thread, &insn->operands[0], alu_result_type(insn), alu.result);
    if (insn->paired)
        operand_write(thread, &insn->operands[1], WEFT_PTX_PRED, alu.second);
    return STEP_NEXT;
}

static enum step move_vector(struct thread *thread, const struct weft_ptx_insn *insn)
{
    for (unsigned i = 0; i < insn->vector; i++) {
        struct weft_ptx_operand to = operand_element(&insn->operands[0], i);
        struct weft_ptx_operand from = operand_element(&insn->operands[1], i);
        operand_write(thread, &to, insn->types[0], operand_read(thread, &from, insn->types[0]));
    }
    return STEP_NEXT;
}

static enum step jump(struct thread *thread, uint32_t target)
{
    thread_frame(thread)->pc = target;
    return STEP_JUMPED;
}

static enum step jump_by_table(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t index = operand_read(thread, &insn->operands[0], WEFT_PTX_U32);
    if (index >= insn->table->count)
        return thread_fault(thread, WEFT_EXEC_FAULT_INVALID_PC, 0);
    return jump(thread, insn->table->targets[index]);
}

/* A barrier waits, unless it only announces its arrival. */
static enum step meet(struct thread *thread, const struct weft_ptx_insn *insn)
{
    if (insn->opcode != WEFT_PTX_BAR || insn->mode != WEFT_PTX_BAR_ARRIVE)
        return STEP_WAIT;
    uint64_t barrier = operand_read(thread, &insn->operands[0], WEFT_PTX_U32);
    thread->block->arrived[barrier % MACHINE_BARRIERS]++;
    return STEP_NEXT;
}

static enum step move_wide(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t bits[2];
    operand_read_wide(thread, &insn->operands[1], bits);
    operand_write_wide(thread, &insn->operands[0], bits);
    return STEP_NEXT;
}

/* Images, and what only computes. */
static enum step execute_alone(struct thread *thread, const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_TEX:
    case WEFT_PTX_TLD4:
        return image_sample(thread, insn);
    case WEFT_PTX_TXQ:
    case WEFT_PTX_SUQ:
        return image_query(thread, insn);
    case WEFT_PTX_ISTYPEP:
        return image_is_type(thread, insn);
    case WEFT_PTX_SULD:
    case WEFT_PTX_SUST:
    case WEFT_PTX_SURED:
        return image_surface(thread, insn);
    default:
        if (insn->opcode == WEFT_PTX_MOV && insn->types[0] == WEFT_PTX_B128)
            return move_wide(thread, insn);
        return insn->opcode == WEFT_PTX_MOV && insn->vector > 1 ? move_vector(thread, insn)
                                                                : compute(thread, insn);
    }
}

static enum step execute(struct thread *thread, const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_LD:
    case WEFT_PTX_LDU:
        return memory_load(thread, insn);
    case WEFT_PTX_ST:
        return memory_store(thread, insn);
    case WEFT_PTX_ATOM:
    case WEFT_PTX_RED:
        return memory_atomic(thread, insn);
    case WEFT_PTX_CVTA:
        return memory_convert_address(thread, insn);
    case WEFT_PTX_ALLOCA:
        return memory_take_stack(thread, insn);
    case WEFT_PTX_STACKSAVE:
        operand_write(thread, &insn->operands[0], insn->types[0], thread_frame(thread)->local_end);
        return STEP_NEXT;
    case WEFT_PTX_STACKRESTORE:
        thread_frame(thread)->local_end = operand_read(thread, &insn->operands[0], insn->types[0]);
        return STEP_NEXT;
    case WEFT_PTX_ISSPACEP:
        return memory_is_space(thread, insn);
    case WEFT_PTX_BRA:
        return jump(thread, insn->operands[0].index);
    case WEFT_PTX_BRX:
        return jump_by_table(thread, insn);
    case WEFT_PTX_CALL:
        return control_call(thread, insn);
    case WEFT_PTX_RET:
        return control_return(thread);
    case WEFT_PTX_EXIT:
        return STEP_EXIT;
    case WEFT_PTX_TRAP:
    case WEFT_PTX_BRKPT:
        return thread_fault(thread, WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, 0);
    case WEFT_PTX_BAR:
    case WEFT_PTX_SHFL:
    case WEFT_PTX_VOTE:
    case WEFT_PTX_MATCH:
    case WEFT_PTX_REDUX:
    case WEFT_PTX_ACTIVEMASK:
    case WEFT_PTX_ELECT:
        return meet(thread, insn);
    case WEFT_PTX_MEMBAR:
    case WEFT_PTX_FENCE:
    case WEFT_PTX_NANOSLEEP:
    case WEFT_PTX_PREFETCH:
    case WEFT_PTX_PREFETCHU:
    case WEFT_PTX_PMEVENT:
        return STEP_NEXT;
    case WEFT_PTX_BARRIER_CLUSTER_ARRIVE:
    case WEFT_PTX_BARRIER_CLUSTER_WAIT:
    case WEFT_PTX_MAPA:
    case WEFT_PTX_GETCTARANK:
        return cluster_perform(thread, insn);
    case WEFT_PTX_CREATEPOLICY:
        operand_write(thread, &insn->operands[0], WEFT_PTX_B64, 1);
        return STEP_NEXT;
    case WEFT_PTX_APPLYPRIORITY:
    case WEFT_PTX_DISCARD:
        return STEP_NEXT;
    default:
        if (weft_ptx_is_matrix(insn->opcode))
            return meet(thread, insn);
        if (async_knows(insn->opcode))
            return async_perform(thread, insn);
        return execute_alone(thread, insn);
    }
}

static bool is_guarded_off(struct thread *thread, const struct weft_ptx_insn *insn)
{
    if (insn->guard == WEFT_PTX_NONE)
        return false;
    bool guard = thread_frame(thread)->registers[insn->guard][0] & 1;
    return guard == insn->guard_negated;
}

/* Behind its last instruction a function returns. */
static enum step step(struct thread *thread)
{
    struct frame *frame = thread_frame(thread);
    if (frame->pc >= frame->function->insn_count)
        return control_return(thread);
    const struct weft_ptx_insn *insn = thread_insn(thread);
    enum step result = is_guarded_off(thread, insn) ? STEP_NEXT : execute(thread, insn);
    if (result == STEP_NEXT)
        thread_frame(thread)->pc++;
    if (result == STEP_UNKNOWN)
        weft_fail(thread->block->err, WEFT_ENOSYS, "ptx:%u: %s is not in the reference", insn->line,
                  insn->text);
    return result;
}

enum step thread_run(struct thread *thread, uint64_t steps)
{
    enum step result = STEP_NEXT;
    for (uint64_t i = 0; i < steps && result <= STEP_JUMPED; i++)
        result = step(thread);
    thread->steps += steps;
    if (result == STEP_WAIT)
        thread->state = THREAD_WAITING;
    if (result == STEP_EXIT) {
        control_leave_all(thread);
        thread->state = THREAD_EXITED;
    }
    return result;
}

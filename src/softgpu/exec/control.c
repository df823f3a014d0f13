/* Instructions that decide where lanes go on: branches, calls, returns, and the ends of a thread.
 */
#include <string.h>

#include "softgpu/exec/ops.h"
#include "util/util.h"

static void push_at(struct weft_exec_run *run, uint32_t pc, uint32_t frame, uint32_t lanes)
{
    weft_exec_push(run->warp, (struct weft_exec_group){
                                  .pc = pc, .frame = frame, .mask = lanes, .stamp = run->stamp});
}

static void go_to(struct weft_exec_run *run, uint32_t pc)
{
    if (pc < run->pc && --run->backward_left <= 0)
        run->stop = WEFT_EXEC_STOP_ROTATE;
    run->pc = pc;
    if (run->warp->best_key != UINT64_MAX)
        weft_exec_yield_to_better(run);
}

/* Where code that falls through comes to a place at which lanes may wait. It is no PTX instruction
 * and costs nothing. */
COMMON_HANDLER(join)
{
    (void)insn;
    run->left++;
    if (run->warp->best_key != UINT64_MAX)
        weft_exec_yield_to_better(run);
}

COMMON_HANDLER(bra)
{
    uint32_t target = (uint32_t)insn->immediate;
    uint32_t others = run->active & ~run->mask;
    if (run->mask == 0) {
        if (run->warp->best_key != UINT64_MAX)
            weft_exec_yield_to_better(run);
        return;
    }
    if (others && target < run->pc) {
        push_at(run, run->pc, run->frame_offset, others);
        run->active = run->mask;
    } else if (others) {
        push_at(run, target, run->frame_offset, run->mask);
        run->active = others;
        target = run->pc;
    }
    go_to(run, target);
}

/* brx.idx: each lane goes to its own entry of the table. */
COMMON_HANDLER(brx)
{
    const uint32_t *index = weft_exec_source(run, insn->a);
    const uint64_t *table = run->kernel->tables + insn->immediate;
    uint32_t count = (uint32_t)insn->b;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        if (index[lane] >= count) {
            weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_INVALID_PC, index[lane]);
            return;
        }
        push_at(run, (uint32_t)table[index[lane]], run->frame_offset, 1u << lane);
    }
    run->active &= ~run->mask;
    push_at(run, run->pc, run->frame_offset, run->active);
    run->active = 0;
    weft_exec_pick(run);
    if (--run->backward_left <= 0 && run->stop == WEFT_EXEC_GO)
        run->stop = WEFT_EXEC_STOP_ROTATE;
}

/* Makes the warp's register file reach `bytes`; it moves. */
static bool grow_registers(struct weft_exec_run *run, uint64_t bytes)
{
    struct weft_exec_warp *warp = run->warp;
    if (bytes <= warp->register_bytes)
        return true;
    if (bytes > WEFT_EXEC_REGISTER_FILE_MAX_BYTES)
        return false;
    uint64_t wanted = WEFT_MIN(2 * bytes, (uint64_t)WEFT_EXEC_REGISTER_FILE_MAX_BYTES);
    char *grown = weft_exec_zeros_create(wanted);
    if (grown == NULL)
        return false;
    memcpy(grown, warp->registers, warp->register_bytes);
    weft_exec_zeros_destroy(warp->registers, warp->register_bytes);
    warp->registers = grown;
    warp->register_bytes = wanted;
    run->frame = grown + run->frame_offset;
    return true;
}

/* The lanes in `lanes` enter `callee` in a new frame above the running one, which has `frame_bytes`
 * of registers. */
static bool enter(struct weft_exec_run *run, const struct weft_exec_insn *insn, uint32_t lanes,
                  const struct weft_exec_part *callee)
{
    uint32_t frame_bytes = insn->modifiers;
    uint32_t frame = run->frame_offset + frame_bytes;
    const uint32_t *base = weft_exec_row(run, WEFT_EXEC_ROW_LOCAL_BASE);
    uint32_t over = 0;
    LANES(lane)
    {
        uint64_t end = (uint64_t)base[lane] + (uint32_t)insn->b + callee->local_bytes;
        over |= (uint32_t)(end > run->warp->stack_top[lane]) << lane;
    }
    if (!grow_registers(run, (uint64_t)frame + callee->frame_bytes + run->kernel->argument_bytes))
        over = lanes;
    if (over & lanes) {
        weft_exec_raise(run, insn, over & lanes, WEFT_EXEC_FAULT_STACK_OVERFLOW, 0);
        return false;
    }
    base = weft_exec_row(run, WEFT_EXEC_ROW_LOCAL_BASE);
    char *rows = run->warp->registers + frame;
    uint32_t *return_pc = (uint32_t *)(rows + WEFT_EXEC_ROW_RETURN_PC);
    uint32_t *return_frame = (uint32_t *)(rows + WEFT_EXEC_ROW_RETURN_FRAME);
    uint32_t *local_base = (uint32_t *)(rows + WEFT_EXEC_ROW_LOCAL_BASE);
    LANES(lane)
    {
        bool mine = lanes >> lane & 1;
        return_pc[lane] = mine ? run->pc : return_pc[lane];
        return_frame[lane] = mine ? run->frame_offset : return_frame[lane];
        local_base[lane] = mine ? base[lane] + (uint32_t)insn->b : local_base[lane];
    }
    push_at(run, callee->first_pc, frame, lanes);
    return true;
}

static void go_on_after_call(struct weft_exec_run *run)
{
    run->active &= ~run->mask;
    push_at(run, run->pc, run->frame_offset, run->active);
    run->active = 0;
    weft_exec_pick(run);
    if (--run->backward_left <= 0 && run->stop == WEFT_EXEC_GO)
        run->stop = WEFT_EXEC_STOP_ROTATE;
}

COMMON_HANDLER(call)
{
    if (enter(run, insn, run->mask, &run->kernel->parts[insn->immediate]))
        go_on_after_call(run);
}

/* The target is a function's address; lanes may call different ones. */
COMMON_HANDLER(call_indirect)
{
    const uint64_t *target = weft_exec_source(run, insn->a);
    for (uint32_t left = run->mask; left;) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint32_t same = 0;
        LANES(other) same |= (uint32_t)(target[other] == target[lane]) << other;
        same &= left;
        left &= ~same;
        uint64_t index = (target[lane] - WEFT_EXEC_FUNCTION_ADDRESS(0)) / 16;
        bool known = target[lane] % 16 == 0 && index < run->kernel->module->function_count &&
                     run->kernel->part_of[index] != WEFT_PTX_NONE;
        if (!known) {
            weft_exec_raise(run, insn, same, WEFT_EXEC_FAULT_INVALID_PC, target[lane]);
            return;
        }
        if (!enter(run, insn, same, &run->kernel->parts[run->kernel->part_of[index]]))
            return;
        target = weft_exec_source(run, insn->a);
    }
    go_on_after_call(run);
}

COMMON_HANDLER(ret)
{
    (void)insn;
    const uint32_t *return_pc = weft_exec_row(run, WEFT_EXEC_ROW_RETURN_PC);
    const uint32_t *return_frame = weft_exec_row(run, WEFT_EXEC_ROW_RETURN_FRAME);
    for (uint32_t left = run->mask; left;) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint32_t same = 0;
        LANES(other)
        {
            bool equal =
                return_pc[other] == return_pc[lane] && return_frame[other] == return_frame[lane];
            same |= (uint32_t)equal << other;
        }
        same &= left;
        left &= ~same;
        push_at(run, return_pc[lane], return_frame[lane], same);
    }
    run->active &= ~run->mask;
    push_at(run, run->pc, run->frame_offset, run->active);
    run->active = 0;
    weft_exec_pick(run);
}

void weft_exec_leave(struct weft_exec_run *run, uint32_t lanes)
{
    run->warp->live &= ~lanes;
    run->active &= ~lanes;
    if (run->warp->live == 0)
        run->block->live_warps--;
    weft_exec_barriers_recheck(run);
    weft_exec_exchange_recheck(run);
    weft_exec_waiting_recheck(run->warp);
    weft_exec_cluster_recheck(run);
    if (run->active == 0)
        weft_exec_pick(run);
    else
        weft_exec_yield_to_better(run);
}

COMMON_HANDLER(exit)
{
    (void)insn;
    weft_exec_leave(run, run->mask);
}

COMMON_HANDLER(trap)
{
    weft_exec_raise(run, insn, run->mask, WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, 0);
}

COMMON_HANDLER(nanosleep)
{
    (void)insn;
    run->stop = WEFT_EXEC_STOP_SLEEP;
}

COMMON_HANDLER(nop)
{
    (void)run;
    (void)insn;
}

COMMON_HANDLER(fence)
{
    (void)insn;
    (void)run;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* bar and barrier: threads of a block wait for one another.
 *
 * A barrier keeps which lanes of which warp have arrived. Without a thread count it completes when
 * every thread that has not left the kernel has arrived; with one, when so many threads have, where
 * a warp whose lanes are all there counts as 32, as the ISA counts a warp that is not full. */
#include <string.h>

#include "softgpu/exec/ops.h"

enum { RESULT_ANY = 1, RESULT_ALL = 2, RESULT_COUNT_SHIFT = 2 };

static bool is_complete(const struct weft_exec_block *block,
                        const struct weft_exec_barrier *barrier)
{
    uint32_t threads = 0;
    bool everybody = true;
    for (uint32_t w = 0; w < block->warp_count; w++) {
        bool whole = (block->warps[w].live & ~barrier->arrived[w]) == 0;
        everybody = everybody && whole;
        if (barrier->arrived[w])
            threads += whole ? WEFT_EXEC_LANES : (uint32_t)__builtin_popcount(barrier->arrived[w]);
    }
    return barrier->expected ? threads >= barrier->expected : everybody;
}

static void reset(struct weft_exec_barrier *barrier)
{
    memset(barrier, 0, sizeof(*barrier));
    barrier->all = 1;
}

static void release(struct weft_exec_block *block, uint32_t id)
{
    struct weft_exec_barrier *barrier = &block->barriers[id];
    uint32_t result = (barrier->any ? RESULT_ANY : 0) | (barrier->all ? RESULT_ALL : 0) |
                      barrier->count << RESULT_COUNT_SHIFT;
    for (uint32_t w = 0; w < block->warp_count; w++) {
        struct weft_exec_warp *warp = &block->warps[w];
        if (barrier->arrived[w] == 0)
            continue;
        warp->barrier_result = result;
        for (uint32_t i = 0; i < warp->group_count; i++) {
            struct weft_exec_group *group = &warp->groups[i];
            if (group->state == WEFT_EXEC_GROUP_AT_BARRIER && group->waits_for == id) {
                group->state = WEFT_EXEC_GROUP_READY;
                group->waits_for = 0;
            }
        }
        weft_exec_refresh(warp);
    }
    reset(barrier);
}

void weft_exec_barriers_reset(struct weft_exec_block *block)
{
    for (uint32_t id = 0; id < WEFT_EXEC_BARRIERS; id++)
        reset(&block->barriers[id]);
}

void weft_exec_barriers_recheck(struct weft_exec_run *run)
{
    struct weft_exec_block *block = run->block;
    for (uint32_t id = 0; id < WEFT_EXEC_BARRIERS; id++)
        if (block->barriers[id].touched && is_complete(block, &block->barriers[id]))
            release(block, id);
}

static uint32_t first_lane_value(const struct weft_exec_run *run, int32_t row)
{
    return ((const uint32_t *)weft_exec_source(run, row))[__builtin_ctz(run->mask)];
}

/* kind: enum weft_ptx_mode. a: number; b: count or none; c: predicate of bar.red. */
COMMON_HANDLER(bar)
{
    uint32_t id = first_lane_value(run, insn->a);
    if (id >= WEFT_EXEC_BARRIERS) {
        weft_exec_raise(run, insn, run->mask, WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, 0);
        return;
    }
    struct weft_exec_barrier *barrier = &run->block->barriers[id];
    barrier->touched = 1;
    barrier->expected = insn->b == WEFT_EXEC_NO_ROW ? 0 : first_lane_value(run, insn->b);
    barrier->arrived[run->warp->index] |= run->mask;
    if (insn->kind == WEFT_PTX_BAR_RED) {
        uint32_t flip = insn->modifiers & WEFT_EXEC_NEGATE ? UINT32_MAX : 0;
        uint32_t votes = (weft_exec_predicate(run, insn->c) ^ flip) & run->mask;
        barrier->any |= votes != 0;
        barrier->all &= votes == run->mask;
        barrier->count += (uint32_t)__builtin_popcount(votes);
    }
    if (is_complete(run->block, barrier)) {
        release(run->block, id);
        weft_exec_yield_to_better(run);
    } else if (insn->kind != WEFT_PTX_BAR_ARRIVE) {
        weft_exec_park(run, run->pc, WEFT_EXEC_GROUP_AT_BARRIER, id);
    }
}

/* The second half of bar.red, where the lanes go on. kind: enum weft_ptx_operation. */
COMMON_HANDLER(bar_result)
{
    uint32_t result = run->warp->barrier_result;
    if (insn->kind != WEFT_PTX_OP_POPC) {
        uint32_t bit = insn->kind == WEFT_PTX_OP_AND ? RESULT_ALL : RESULT_ANY;
        weft_exec_set_predicate(run, insn->d, result & bit ? UINT32_MAX : 0);
        return;
    }
    uint32_t *d = weft_exec_row(run, insn->d);
    LANES(lane)
    {
        if (run->mask >> lane & 1)
            d[lane] = result >> RESULT_COUNT_SHIFT;
    }
}

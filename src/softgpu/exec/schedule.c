/* Which lanes of a warp run.
 *
 * Lanes at the same instruction of the same frame form a group. One group runs, the others wait in
 * warp->groups. The group in the deepest frame goes first, and among those the one at the lowest
 * PC: lanes that fell behind catch up, and groups that reach the same instruction become one. That
 * alone would let lanes that spin at a low PC starve the lane they wait for. So after a bounded
 * number of backward branches the group that ran longest ago is boosted: it runs for a while
 * whatever its PC. Correctness never rests on lanes meeting: instructions that need several lanes
 * wait for them. */
#include "softgpu/exec/run.h"

static uint64_t key_of(uint32_t frame, uint32_t pc)
{
    return (uint64_t)(UINT32_MAX - frame) << 32 | pc;
}

void weft_exec_refresh(struct weft_exec_warp *warp)
{
    warp->best_key = UINT64_MAX;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        const struct weft_exec_group *group = &warp->groups[i];
        uint64_t key = key_of(group->frame, group->pc);
        if (group->state == WEFT_EXEC_GROUP_READY && key < warp->best_key)
            warp->best_key = key;
    }
}

static bool same_place(const struct weft_exec_group *a, const struct weft_exec_group *b)
{
    return a->pc == b->pc && a->frame == b->frame && a->state == b->state &&
           a->waits_for == b->waits_for;
}

/* Groups are disjoint and not empty, so there are never more than lanes. */
void weft_exec_push(struct weft_exec_warp *warp, struct weft_exec_group group)
{
    if (group.mask == 0)
        return;
    uint64_t key = key_of(group.frame, group.pc);
    if (group.state == WEFT_EXEC_GROUP_READY && key < warp->best_key)
        warp->best_key = key;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        if (same_place(&warp->groups[i], &group)) {
            warp->groups[i].mask |= group.mask;
            return;
        }
    }
    warp->groups[warp->group_count++] = group;
}

static void push_running(struct weft_exec_run *run)
{
    weft_exec_push(run->warp, (struct weft_exec_group){.pc = run->pc,
                                                       .frame = run->frame_offset,
                                                       .mask = run->active,
                                                       .stamp = run->stamp});
    run->active = 0;
}

/* Makes a waiting group the running one, together with all that stand at the same place. */
static void load(struct weft_exec_run *run, uint32_t index)
{
    struct weft_exec_warp *warp = run->warp;
    struct weft_exec_group chosen = warp->groups[index];
    uint32_t kept = 0;
    run->active = 0;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        if (same_place(&warp->groups[i], &chosen))
            run->active |= warp->groups[i].mask;
        else
            warp->groups[kept++] = warp->groups[i];
    }
    warp->group_count = kept;
    run->pc = chosen.pc;
    run->frame_offset = chosen.frame;
    run->frame = warp->registers + chosen.frame;
    run->stamp = chosen.stamp;
    weft_exec_refresh(warp);
}

void weft_exec_pick(struct weft_exec_run *run)
{
    struct weft_exec_warp *warp = run->warp;
    warp->boost_left = 0;
    weft_exec_refresh(warp);
    for (uint32_t i = 0; i < warp->group_count; i++) {
        const struct weft_exec_group *group = &warp->groups[i];
        if (group->state == WEFT_EXEC_GROUP_READY &&
            key_of(group->frame, group->pc) == warp->best_key) {
            load(run, i);
            return;
        }
    }
    run->active = 0;
    if (run->stop != WEFT_EXEC_STOP_FAULT)
        run->stop = WEFT_EXEC_STOP_BLOCKED;
}

void weft_exec_yield_to_better(struct weft_exec_run *run)
{
    if (run->warp->best_key > key_of(run->frame_offset, run->pc))
        return;
    push_running(run);
    weft_exec_pick(run);
}

void weft_exec_park(struct weft_exec_run *run, uint32_t pc, uint32_t state, uint32_t waits_for)
{
    weft_exec_push(run->warp, (struct weft_exec_group){.pc = pc,
                                                       .frame = run->frame_offset,
                                                       .mask = run->mask,
                                                       .state = state,
                                                       .waits_for = waits_for,
                                                       .stamp = run->stamp});
    run->active &= ~run->mask;
    if (run->active)
        weft_exec_yield_to_better(run);
    else
        weft_exec_pick(run);
}

uint32_t weft_exec_waiting(const struct weft_exec_warp *warp, uint32_t pc, uint32_t frame)
{
    uint32_t lanes = 0;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        const struct weft_exec_group *group = &warp->groups[i];
        if (group->state == WEFT_EXEC_GROUP_AT_MATRIX && group->pc == pc && group->frame == frame)
            lanes |= group->mask;
    }
    return lanes;
}

void weft_exec_join_waiting(struct weft_exec_run *run, uint32_t pc)
{
    struct weft_exec_warp *warp = run->warp;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        const struct weft_exec_group *group = &warp->groups[i];
        if (group->state == WEFT_EXEC_GROUP_AT_MATRIX && group->pc == pc &&
            group->frame == run->frame_offset)
            run->mask |= group->mask;
        else
            warp->groups[kept++] = warp->groups[i];
    }
    warp->group_count = kept;
    run->active |= run->mask;
}

void weft_exec_waiting_recheck(struct weft_exec_warp *warp)
{
    for (uint32_t i = 0; i < warp->group_count; i++) {
        struct weft_exec_group *group = &warp->groups[i];
        if (group->state != WEFT_EXEC_GROUP_AT_MATRIX || group->mask != warp->live)
            continue;
        group->state = WEFT_EXEC_GROUP_READY;
        weft_exec_refresh(warp);
    }
}

/* Lets the group that ran longest ago go on in place of the running one. False where there is no
 * other. */
static bool rotate(struct weft_exec_run *run)
{
    struct weft_exec_warp *warp = run->warp;
    run->stamp = ++warp->clock;
    run->backward_left = WEFT_EXEC_BACKWARD_MAX;
    warp->boost_left = 0;
    push_running(run);
    uint32_t oldest = 0, ready = 0;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        if (warp->groups[i].state != WEFT_EXEC_GROUP_READY)
            continue;
        if (ready++ == 0 || warp->groups[i].stamp < warp->groups[oldest].stamp)
            oldest = i;
    }
    if (ready < 2)
        return false;
    load(run, oldest);
    warp->boost_left = WEFT_EXEC_BOOST;
    warp->best_key = UINT64_MAX; /* nobody overtakes a boosted group */
    return true;
}

/* The group that was boosted when the warp's last turn ended, wherever the lowest PC is now; else
 * the lowest. */
static void resume(struct weft_exec_run *run)
{
    struct weft_exec_warp *warp = run->warp;
    int32_t boost_left = warp->boost_left;
    run->stop = WEFT_EXEC_GO;
    run->backward_left = warp->backward_left;
    for (uint32_t i = 0; boost_left > 0 && i < warp->group_count; i++) {
        const struct weft_exec_group *group = &warp->groups[i];
        if (group->state == WEFT_EXEC_GROUP_READY && group->pc == warp->boost_pc &&
            group->frame == warp->boost_frame) {
            load(run, i);
            warp->best_key = UINT64_MAX;
            return;
        }
    }
    weft_exec_pick(run);
}

/* Ends a turn: everything goes back into the warp, so that the next turn goes on as if there had
 * been no end. */
static void suspend(struct weft_exec_run *run)
{
    struct weft_exec_warp *warp = run->warp;
    warp->boost_pc = run->pc;
    warp->boost_frame = run->frame_offset;
    warp->backward_left = run->backward_left;
    push_running(run);
    weft_exec_refresh(warp);
}

static void dispatch(struct weft_exec_run *run)
{
    const struct weft_exec_insn *code = run->kernel->code;
    const weft_exec_handler_fn *handlers = run->block->handlers;
    while (run->left > 0 && run->stop == WEFT_EXEC_GO) {
        const struct weft_exec_insn *insn = &code[run->pc++];
        run->left--;
        uint32_t mask = run->active;
        if (insn->guard != WEFT_EXEC_NO_GUARD) {
            mask &= *(const uint32_t *)(run->frame + insn->guard) ^ insn->guard_flip;
            if (mask == 0 && !insn->control)
                continue;
        }
        run->mask = mask;
        handlers[insn->op](run, insn);
    }
}

/* Runs the warp's groups for at most `quota` instructions. GO: the quota is used up. */
enum weft_exec_stop weft_exec_warp_run(struct weft_exec_run *run, int64_t quota)
{
    struct weft_exec_warp *warp = run->warp;
    resume(run);
    while (run->stop == WEFT_EXEC_GO && quota > 0) {
        bool boosted = warp->boost_left > 0;
        int64_t slice = boosted && quota > warp->boost_left ? warp->boost_left : quota;
        run->left = slice;
        dispatch(run);
        quota -= slice - run->left;
        if (warp->boost_left > 0)
            warp->boost_left -= (int32_t)(slice - run->left);
        if (run->stop == WEFT_EXEC_STOP_ROTATE || run->stop == WEFT_EXEC_STOP_SLEEP) {
            if (rotate(run))
                run->stop = WEFT_EXEC_GO;
        } else if (run->stop == WEFT_EXEC_GO && boosted && warp->boost_left <= 0) {
            push_running(run);
            weft_exec_pick(run);
            run->backward_left = WEFT_EXEC_BACKWARD_MAX;
        }
    }
    run->left = quota;
    suspend(run);
    return run->stop;
}

/* Instructions that threads do together: once all that are named have come to it, it is done for
 * all at once. */
#include "machine.h"

#include "matrix.h"
#include "softgpu/ptx/matrix.h"
#include "types.h"

#define LANES WEFT_EXEC_WARP_LANES

/* The lanes of one warp that do one thing together. */
struct meeting {
    const struct weft_ptx_insn *insn;
    struct thread *lanes[LANES]; /* NULL: not of it */
    uint32_t mask;
};

static struct thread *lane_of(struct block *block, uint32_t warp, uint32_t lane)
{
    uint32_t index = warp * LANES + lane;
    return index < block->thread_count ? &block->threads[index] : NULL;
}

static unsigned first_source(const struct weft_ptx_insn *insn)
{
    return insn->paired ? 2 : 1;
}

/* The lanes that an instruction names, among those that still live. */
static uint32_t named_lanes(struct thread *thread, uint32_t alive)
{
    const struct weft_ptx_insn *insn = thread_insn(thread);
    unsigned at;
    if (weft_ptx_is_matrix(insn->opcode))
        return alive;
    switch (insn->opcode) {
    case WEFT_PTX_BAR:
        at = 0;
        break;
    case WEFT_PTX_SHFL:
        at = first_source(insn) + 3;
        break;
    case WEFT_PTX_ACTIVEMASK:
        return alive;
    case WEFT_PTX_ELECT:
        at = first_source(insn);
        break;
    default:
        at = first_source(insn) + 1;
        break;
    }
    if (at >= insn->operand_count)
        return alive;
    return (uint32_t)operand_read(thread, &insn->operands[at], WEFT_PTX_B32) & alive;
}

static bool is_warp_level(const struct weft_ptx_insn *insn)
{
    return insn->opcode != WEFT_PTX_BAR || insn->mode == WEFT_PTX_BAR_WARP;
}

static uint32_t alive_lanes(struct block *block, uint32_t warp)
{
    uint32_t alive = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        struct thread *thread = lane_of(block, warp, lane);
        if (thread && thread->state != THREAD_EXITED)
            alive |= 1u << lane;
    }
    return alive;
}

/* Lanes may come to one meeting by different instructions, if these do the same. */
static bool same_meeting(const struct weft_ptx_insn *a, const struct weft_ptx_insn *b)
{
    return is_warp_level(a) && is_warp_level(b) && a->opcode == b->opcode && a->mode == b->mode &&
           a->types[0] == b->types[0] && a->operation == b->operation;
}

static bool gather(struct block *block, uint32_t warp, struct thread *starter, struct meeting *out)
{
    uint32_t alive = alive_lanes(block, warp);
    *out = (struct meeting){.insn = thread_insn(starter), .mask = named_lanes(starter, alive)};
    for (uint32_t lane = 0; lane < LANES; lane++) {
        if (!(out->mask >> lane & 1))
            continue;
        struct thread *thread = lane_of(block, warp, lane);
        if (thread->state != THREAD_WAITING || !same_meeting(thread_insn(thread), out->insn) ||
            named_lanes(thread, alive) != out->mask)
            return false;
        out->lanes[lane] = thread;
    }
    return out->mask >> starter->index % LANES & 1;
}

static uint64_t source(struct thread *thread, unsigned index, uint8_t type)
{
    const struct weft_ptx_insn *insn = thread_insn(thread);
    return operand_read(thread, &insn->operands[first_source(insn) + index], type);
}

/* Which lane a shfl reads from; the lane itself with `inside` false where that lies outside of the
 * segment. */
static int shuffle_source(uint8_t mode, int lane, uint32_t b, uint32_t c, bool *inside)
{
    int segment = (int)(c >> 8 & 31);
    int limit = (int)(c & 31);
    int offset = (int)(b & 31);
    int last = (lane & segment) | (limit & ~segment);
    int first = lane & segment;
    int from;
    switch (mode) {
    case WEFT_PTX_UP:
        from = lane - offset;
        *inside = from >= last;
        break;
    case WEFT_PTX_DOWN:
        from = lane + offset;
        *inside = from <= last;
        break;
    case WEFT_PTX_BFLY:
        from = lane ^ offset;
        *inside = from <= last;
        break;
    default:
        from = first | (offset & ~segment);
        *inside = from <= last;
        break;
    }
    return *inside ? from : lane;
}

static void write_one(struct meeting *meeting, int lane, unsigned operand, uint8_t type,
                      uint64_t value)
{
    struct thread *thread = meeting->lanes[lane];
    operand_write(thread, &thread_insn(thread)->operands[operand], type, value);
}

static void shuffle(struct meeting *meeting)
{
    uint64_t values[LANES] = {0};
    bool inside[LANES] = {false};
    for (int lane = 0; lane < LANES; lane++) {
        struct thread *thread = meeting->lanes[lane];
        if (!thread)
            continue;
        int from =
            shuffle_source(meeting->insn->mode, lane, (uint32_t)source(thread, 1, WEFT_PTX_B32),
                           (uint32_t)source(thread, 2, WEFT_PTX_B32), &inside[lane]);
        if (from >= 0 && from < LANES && meeting->lanes[from])
            values[lane] = source(meeting->lanes[from], 0, WEFT_PTX_B32);
    }
    for (int lane = 0; lane < LANES; lane++) {
        if (!meeting->lanes[lane])
            continue;
        write_one(meeting, lane, 0, WEFT_PTX_B32, values[lane]);
        if (thread_insn(meeting->lanes[lane])->paired)
            write_one(meeting, lane, 1, WEFT_PTX_PRED, inside[lane]);
    }
}

static void write_all(struct meeting *meeting, unsigned operand, uint8_t type, uint64_t value)
{
    for (int lane = 0; lane < LANES; lane++)
        if (meeting->lanes[lane])
            write_one(meeting, lane, operand, type, value);
}

static void vote(struct meeting *meeting)
{
    uint32_t ballot = 0;
    for (int lane = 0; lane < LANES; lane++)
        if (meeting->lanes[lane] && source(meeting->lanes[lane], 0, WEFT_PTX_PRED))
            ballot |= 1u << lane;
    switch (meeting->insn->mode) {
    case WEFT_PTX_BALLOT:
        write_all(meeting, 0, WEFT_PTX_B32, ballot);
        break;
    case WEFT_PTX_ALL:
        write_all(meeting, 0, WEFT_PTX_PRED, ballot == meeting->mask);
        break;
    case WEFT_PTX_ANY:
        write_all(meeting, 0, WEFT_PTX_PRED, ballot != 0);
        break;
    default:
        write_all(meeting, 0, WEFT_PTX_PRED, ballot == meeting->mask || ballot == 0);
        break;
    }
}

static void match(struct meeting *meeting)
{
    uint8_t type = meeting->insn->types[0];
    uint32_t equal[LANES] = {0};
    bool all = true;
    for (int lane = 0; lane < LANES; lane++)
        for (int other = 0; other < LANES; other++)
            if (meeting->lanes[lane] && meeting->lanes[other]) {
                bool same =
                    source(meeting->lanes[lane], 0, type) == source(meeting->lanes[other], 0, type);
                equal[lane] |= (uint32_t)same << other;
                all = all && same;
            }
    for (int lane = 0; lane < LANES; lane++) {
        bool of_all = meeting->insn->mode == WEFT_PTX_ALL;
        if (meeting->lanes[lane])
            write_one(meeting, lane, 0, WEFT_PTX_B32,
                      of_all ? (all ? meeting->mask : 0) : equal[lane]);
    }
    if (meeting->insn->paired)
        write_all(meeting, 1, WEFT_PTX_PRED, all);
}

static void reduce(struct meeting *meeting)
{
    uint8_t type = meeting->insn->types[0];
    bool begun = false;
    uint64_t total = 0;
    for (int lane = 0; lane < LANES; lane++) {
        if (!meeting->lanes[lane])
            continue;
        uint64_t value = source(meeting->lanes[lane], 0, type);
        if (begun)
            memory_combine(meeting->insn->operation, type, 0, total, value, &total);
        else
            total = value;
        begun = true;
    }
    write_all(meeting, 0, type, total);
}

/* One thread of the named leads: the ISA leaves open which, ours takes the lowest. */
static void elect(struct meeting *meeting)
{
    int leader = 0;
    while (!meeting->lanes[leader])
        leader++;
    for (int lane = 0; lane < LANES; lane++)
        if (meeting->lanes[lane])
            write_one(meeting, lane, 1, WEFT_PTX_PRED, lane == leader);
    write_all(meeting, 0, WEFT_PTX_B32, (uint64_t)leader);
}

static void perform(struct meeting *meeting)
{
    switch (meeting->insn->opcode) {
    case WEFT_PTX_SHFL:
        shuffle(meeting);
        break;
    case WEFT_PTX_VOTE:
        vote(meeting);
        break;
    case WEFT_PTX_MATCH:
        match(meeting);
        break;
    case WEFT_PTX_REDUX:
        reduce(meeting);
        break;
    case WEFT_PTX_ELECT:
        elect(meeting);
        break;
    case WEFT_PTX_ACTIVEMASK:
        write_all(meeting, 0, WEFT_PTX_B32, meeting->mask);
        break;
    default:
        if (weft_ptx_is_matrix(meeting->insn->opcode))
            matrix_perform(meeting->lanes, meeting->insn);
        break;
    }
}

static void let_go(struct thread *thread)
{
    thread_frame(thread)->pc++;
    thread->state = THREAD_READY;
}

static bool release_warp(struct block *block, uint32_t warp)
{
    bool released = false;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        struct thread *thread = lane_of(block, warp, lane);
        struct meeting meeting;
        if (!thread || thread->state != THREAD_WAITING || !is_warp_level(thread_insn(thread)) ||
            thread_insn(thread)->opcode == WEFT_PTX_BARRIER_CLUSTER_WAIT ||
            !gather(block, warp, thread, &meeting))
            continue;
        perform(&meeting);
        for (uint32_t i = 0; i < LANES; i++)
            if (meeting.lanes[i])
                let_go(meeting.lanes[i]);
        released = true;
    }
    return released;
}

/* bar.red has its destination first, and a predicate last. */
static unsigned barrier_operand(const struct weft_ptx_insn *insn)
{
    return insn->mode == WEFT_PTX_BAR_RED ? 1 : 0;
}

static bool waits_at(struct thread *thread, uint32_t barrier)
{
    if (thread->state != THREAD_WAITING || is_warp_level(thread_insn(thread)))
        return false;
    const struct weft_ptx_insn *insn = thread_insn(thread);
    return operand_read(thread, &insn->operands[barrier_operand(insn)], WEFT_PTX_U32) == barrier;
}

/* How many threads a barrier wants: its own operand, else all that still live. */
static uint64_t wanted_at(struct thread *thread, uint32_t alive)
{
    const struct weft_ptx_insn *insn = thread_insn(thread);
    unsigned at = barrier_operand(insn) + 1;
    unsigned end = insn->mode == WEFT_PTX_BAR_RED ? insn->operand_count - 1u : insn->operand_count;
    return at < end ? operand_read(thread, &insn->operands[at], WEFT_PTX_U32) : alive;
}

static uint64_t vote_of_block(const struct weft_ptx_insn *insn, uint32_t count, uint32_t votes)
{
    switch (insn->operation) {
    case WEFT_PTX_OP_AND:
        return votes == count;
    case WEFT_PTX_OP_OR:
        return votes != 0;
    default:
        return votes;
    }
}

static void finish_barrier(struct block *block, uint32_t barrier)
{
    uint32_t count = 0;
    uint32_t votes = 0;
    for (uint32_t i = 0; i < block->thread_count; i++) {
        struct thread *thread = &block->threads[i];
        if (!waits_at(thread, barrier))
            continue;
        const struct weft_ptx_insn *insn = thread_insn(thread);
        count++;
        if (insn->mode == WEFT_PTX_BAR_RED)
            votes += (uint32_t)operand_read(thread, &insn->operands[insn->operand_count - 1],
                                            WEFT_PTX_PRED);
    }
    for (uint32_t i = 0; i < block->thread_count; i++) {
        struct thread *thread = &block->threads[i];
        if (!waits_at(thread, barrier))
            continue;
        const struct weft_ptx_insn *insn = thread_insn(thread);
        if (insn->mode == WEFT_PTX_BAR_RED)
            operand_write(thread, &insn->operands[0], insn->types[0],
                          vote_of_block(insn, count, votes));
        let_go(thread);
    }
    block->arrived[barrier] = 0;
}

static bool release_barrier(struct block *block, uint32_t barrier)
{
    uint32_t alive = 0;
    uint32_t waiting = 0;
    struct thread *first = NULL;
    for (uint32_t i = 0; i < block->thread_count; i++) {
        alive += block->threads[i].state != THREAD_EXITED;
        if (!waits_at(&block->threads[i], barrier))
            continue;
        waiting++;
        first = first ? first : &block->threads[i];
    }
    if (!first || waiting + block->arrived[barrier] < wanted_at(first, alive))
        return false;
    finish_barrier(block, barrier);
    return true;
}

bool together_release(struct block *block)
{
    bool released = false;
    uint32_t warps = (block->thread_count + LANES - 1) / LANES;
    for (uint32_t warp = 0; warp < warps; warp++)
        released |= release_warp(block, warp);
    for (uint32_t barrier = 0; barrier < MACHINE_BARRIERS; barrier++)
        released |= release_barrier(block, barrier);
    return released;
}

/* Instructions that lanes of a warp execute together: shfl, vote, match, redux, elect and bar.warp.
 *
 * With .sync the instruction names its lanes. Where they all stand here it is computed at once.
 * Where some come by another way, possibly through another instruction of the same kind, those who
 * are there deposit what they bring and wait; the last to come completes the exchange, and each
 * then takes its own result from the values of all. */
#include <string.h>

#include "softgpu/exec/ops.h"

static struct weft_exec_meeting *free_meeting(struct weft_exec_exchange *exchange)
{
    struct weft_exec_meeting *meeting = exchange->meetings;
    while (meeting->unread)
        meeting++;
    return meeting;
}

/* Those in `present` go on at once; the others wake up and read later. */
static const struct weft_exec_meeting *complete(struct weft_exec_warp *warp, uint32_t members,
                                                uint32_t present)
{
    struct weft_exec_exchange *exchange = &warp->exchange;
    struct weft_exec_meeting *meeting = free_meeting(exchange);
    meeting->members = members;
    meeting->unread = members & ~present;
    memcpy(meeting->value, exchange->deposit, sizeof(meeting->value));
    exchange->deposited &= ~members;
    exchange->complete |= meeting->unread;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        struct weft_exec_group *group = &warp->groups[i];
        if (group->state == WEFT_EXEC_GROUP_AT_SYNC && (group->mask & members)) {
            group->state = WEFT_EXEC_GROUP_READY;
            group->waits_for = 0;
        }
    }
    weft_exec_refresh(warp);
    return meeting;
}

void weft_exec_exchange_recheck(struct weft_exec_run *run)
{
    struct weft_exec_warp *warp = run->warp;
    for (uint32_t i = 0; i < warp->group_count; i++) {
        const struct weft_exec_group *group = &warp->groups[i];
        uint32_t members = group->waits_for & warp->live;
        if (group->state == WEFT_EXEC_GROUP_AT_SYNC && (members & ~warp->exchange.deposited) == 0)
            complete(warp, members, 0);
    }
}

/* Lanes that have their exchange behind them go on; the others of the group come back to the
 * instruction later. */
static void keep_only(struct weft_exec_run *run, uint32_t lanes)
{
    uint32_t others = run->mask & ~lanes;
    weft_exec_push(run->warp, (struct weft_exec_group){.pc = run->pc - 1,
                                                       .frame = run->frame_offset,
                                                       .mask = others,
                                                       .stamp = run->stamp});
    run->active &= ~others;
    run->mask = lanes;
}

/* The meeting that the lowest of these lanes has not read yet. */
static struct weft_exec_meeting *unread_meeting(struct weft_exec_exchange *exchange, uint32_t lanes)
{
    struct weft_exec_meeting *meeting = exchange->meetings;
    while (!(meeting->unread & lanes & -lanes))
        meeting++;
    return meeting;
}

/* The values of all members, in lane order, once all of them are there; NULL while the lanes must
 * wait. *named comes as the lanes that the instruction names, and goes as those that took part:
 * some of them may have left since. */
static const uint64_t *meet(struct weft_exec_run *run, uint32_t *named, const uint64_t *mine)
{
    struct weft_exec_exchange *exchange = &run->warp->exchange;
    uint32_t ready = run->mask & exchange->complete;
    if (ready) {
        struct weft_exec_meeting *meeting = unread_meeting(exchange, ready);
        ready &= meeting->unread;
        keep_only(run, ready);
        meeting->unread &= ~ready;
        exchange->complete &= ~ready;
        *named = meeting->members;
        return meeting->value;
    }
    uint32_t members = (*named & run->warp->live) | run->mask;
    *named = members;
    if (members == run->mask)
        return mine;
    LANES(lane)
    {
        if (run->mask >> lane & 1)
            exchange->deposit[lane] = mine[lane];
    }
    exchange->deposited |= run->mask;
    if (members & ~exchange->deposited) {
        weft_exec_park(run, run->pc - 1, WEFT_EXEC_GROUP_AT_SYNC, members);
        return NULL;
    }
    return complete(run->warp, members, run->mask)->value;
}

/* The lanes that the instruction names. Where lanes of the group name different ones, those who
 * agree with the lowest go first and the others come back to the instruction. */
static uint32_t members_of(struct weft_exec_run *run, const struct weft_exec_insn *insn)
{
    if (insn->more[1] == WEFT_EXEC_NO_ROW)
        return run->mask;
    const uint32_t *row = weft_exec_source(run, insn->more[1]);
    uint32_t named = row[__builtin_ctz(run->mask)], agree = 0;
    LANES(lane) agree |= (uint32_t)(row[lane] == named) << lane;
    if (run->mask & ~agree)
        keep_only(run, run->mask & agree);
    return named;
}

/* The same for shfl. A lane reads from one lane that it names, so that lanes of several segments
 * can go at once where all whom they name stand here. */
static uint32_t sources_of(struct weft_exec_run *run, const struct weft_exec_insn *insn)
{
    if (insn->more[1] == WEFT_EXEC_NO_ROW)
        return run->mask;
    const uint32_t *row = weft_exec_source(run, insn->more[1]);
    uint32_t named = 0;
    LANES(lane) named |= run->mask >> lane & 1 ? row[lane] : 0;
    bool all_here = (named & run->warp->live & ~run->mask) == 0;
    bool none_waits = (run->mask & run->warp->exchange.complete) == 0;
    return all_here && none_waits ? run->mask : members_of(run, insn);
}

static void read_words(const struct weft_exec_run *run, int32_t offset, uint64_t *values)
{
    const uint32_t *row = weft_exec_source(run, offset);
    LANES(lane) values[lane] = row[lane];
}

static void read_bits(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                      uint64_t *values)
{
    uint32_t flip = insn->modifiers & WEFT_EXEC_NEGATE ? UINT32_MAX : 0;
    uint32_t bits = weft_exec_predicate(run, insn->a) ^ flip;
    LANES(lane) values[lane] = bits >> lane & 1;
}

static void write_words(struct weft_exec_run *run, int32_t offset, const uint32_t *values)
{
    uint32_t *row = weft_exec_row(run, offset);
    LANES(lane) row[lane] = run->mask >> lane & 1 ? values[lane] : row[lane];
}

static void write_word(struct weft_exec_run *run, int32_t offset, uint32_t value)
{
    uint32_t values[WEFT_EXEC_LANES];
    LANES(lane) values[lane] = value;
    write_words(run, offset, values);
}

/* The lane that shfl reads for `lane`, or -1 where it lies outside the segment. */
static int shuffle_source(uint8_t mode, int lane, int b, int clamp, int segment_mask)
{
    int max_lane = (lane & segment_mask) | (clamp & ~segment_mask & 31);
    switch (mode) {
    case WEFT_PTX_UP:
        return lane - b >= max_lane ? lane - b : -1;
    case WEFT_PTX_DOWN:
        return lane + b <= max_lane ? lane + b : -1;
    case WEFT_PTX_BFLY:
        return (lane ^ b) <= max_lane ? lane ^ b : -1;
    default: {
        int source = (lane & segment_mask) | (b & ~segment_mask & 31);
        return source <= max_lane ? source : -1;
    }
    }
}

/* kind: enum weft_ptx_mode. a: value, b: lane, c: clamp and mask; more[0]: second destination,
 * more[1]: members. */
COMMON_HANDLER(shfl)
{
    uint64_t mine[WEFT_EXEC_LANES];
    read_words(run, insn->a, mine);
    uint32_t members = sources_of(run, insn);
    const uint64_t *values = meet(run, &members, mine);
    if (values == NULL)
        return;
    const uint32_t *b = weft_exec_source(run, insn->b);
    const uint32_t *c = weft_exec_source(run, insn->c);
    uint32_t result[WEFT_EXEC_LANES], inside = 0;
    for (int lane = 0; lane < WEFT_EXEC_LANES; lane++) {
        int source =
            shuffle_source(insn->kind, lane, b[lane] & 31, c[lane] & 31, c[lane] >> 8 & 31);
        inside |= (uint32_t)(source >= 0) << lane;
        result[lane] = (uint32_t)values[source >= 0 ? source : lane];
    }
    write_words(run, insn->d, result);
    if (insn->more[0] != WEFT_EXEC_NO_ROW)
        weft_exec_set_predicate(run, insn->more[0], inside);
}

COMMON_HANDLER(vote)
{
    uint64_t mine[WEFT_EXEC_LANES];
    read_bits(run, insn, mine);
    uint32_t members = members_of(run, insn);
    const uint64_t *values = meet(run, &members, mine);
    if (values == NULL)
        return;
    uint32_t bits = 0;
    LANES(lane) bits |= (uint32_t)(values[lane] & 1) << lane;
    bits &= members;
    bool holds = insn->kind == WEFT_PTX_ALL   ? bits == members
                 : insn->kind == WEFT_PTX_ANY ? bits != 0
                                              : bits == 0 || bits == members;
    if (insn->kind == WEFT_PTX_BALLOT)
        write_word(run, insn->d, bits);
    else
        weft_exec_set_predicate(run, insn->d, holds ? UINT32_MAX : 0);
}

/* count: bytes of the value, 4 or 8. */
COMMON_HANDLER(match)
{
    uint64_t mine[WEFT_EXEC_LANES];
    if (insn->count == 8)
        memcpy(mine, weft_exec_source(run, insn->a), sizeof(mine));
    else
        read_words(run, insn->a, mine);
    uint32_t members = members_of(run, insn);
    const uint64_t *values = meet(run, &members, mine);
    if (values == NULL)
        return;
    uint32_t result[WEFT_EXEC_LANES], equal_to_all = 0;
    LANES(lane)
    {
        uint32_t same = 0;
        LANES(other) same |= (uint32_t)(values[other] == values[lane]) << other;
        result[lane] = same & members;
        equal_to_all |= (uint32_t)(result[lane] == members) << lane;
    }
    if (insn->kind == WEFT_PTX_ALL) {
        LANES(lane) result[lane] = equal_to_all >> lane & 1 ? members : 0;
        if (insn->more[0] != WEFT_EXEC_NO_ROW)
            weft_exec_set_predicate(run, insn->more[0], equal_to_all);
    }
    write_words(run, insn->d, result);
}

static uint32_t combine(uint8_t operation, bool is_signed, uint32_t a, uint32_t b)
{
    bool less = is_signed ? (int32_t)a < (int32_t)b : a < b;
    switch (operation) {
    case WEFT_PTX_OP_AND:
        return a & b;
    case WEFT_PTX_OP_OR:
        return a | b;
    case WEFT_PTX_OP_XOR:
        return a ^ b;
    case WEFT_PTX_OP_MIN:
        return less ? a : b;
    case WEFT_PTX_OP_MAX:
        return less ? b : a;
    default:
        return a + b;
    }
}

/* kind: enum weft_ptx_operation. count: 1 for a signed type. */
COMMON_HANDLER(redux)
{
    uint64_t mine[WEFT_EXEC_LANES];
    read_words(run, insn->a, mine);
    uint32_t members = members_of(run, insn);
    const uint64_t *values = meet(run, &members, mine);
    if (values == NULL)
        return;
    uint32_t result = (uint32_t)values[__builtin_ctz(members)];
    for (uint32_t left = members & (members - 1); left; left &= left - 1)
        result = combine(insn->kind, insn->count, result, (uint32_t)values[__builtin_ctz(left)]);
    write_word(run, insn->d, result);
}

/* bar.warp.sync: only the meeting. */
COMMON_HANDLER(bar_warp)
{
    static const uint64_t nothing[WEFT_EXEC_LANES];
    uint32_t members = members_of(run, insn);
    meet(run, &members, nothing);
}

/* The lowest member is elected. */
COMMON_HANDLER(elect)
{
    static const uint64_t nothing[WEFT_EXEC_LANES];
    uint32_t members = members_of(run, insn);
    if (meet(run, &members, nothing) == NULL)
        return;
    uint32_t leader = (uint32_t)__builtin_ctz(members);
    write_word(run, insn->d, leader);
    weft_exec_set_predicate(run, insn->more[0], 1u << leader);
}

COMMON_HANDLER(activemask)
{
    write_word(run, insn->d, run->mask);
}

/* mbarrier: a word of shared memory that counts a phase's arrivals and the bytes that copies still
 * owe. A phase is over when nothing of both is left; the next begins at once.
 *
 * The blocks of a cluster are run by one thread, so that a word needs no lock. The state that an
 * arrival gives back is the word as it was before. */
#include "softgpu/exec/mbarrier.h"

#include "softgpu/exec/memory.h"

#define COUNT_BITS 20
#define COUNT_MASK ((1ull << COUNT_BITS) - 1)
#define BYTES_SHIFT 40 /* of 22 bits: a signed number of bytes */
#define BYTES_MASK ((1ull << 22) - 1)
#define PHASE_BIT (1ull << 63)

static uint64_t expected_of(uint64_t word)
{
    return word & COUNT_MASK;
}

static uint64_t pending_of(uint64_t word)
{
    return word >> COUNT_BITS & COUNT_MASK;
}

static uint64_t bytes_of(uint64_t word)
{
    return word >> BYTES_SHIFT & BYTES_MASK;
}

static uint64_t word_of(uint64_t phase, uint64_t bytes, uint64_t pending, uint64_t expected)
{
    return phase | (bytes & BYTES_MASK) << BYTES_SHIFT | (pending & COUNT_MASK) << COUNT_BITS |
           (expected & COUNT_MASK);
}

/* The word after a change, in the next phase where this one is over. */
static uint64_t settled(uint64_t word, uint64_t bytes, uint64_t pending, uint64_t expected)
{
    uint64_t phase = word & PHASE_BIT;
    if (((bytes & BYTES_MASK) | (pending & COUNT_MASK)) == 0)
        return word_of(phase ^ PHASE_BIT, 0, expected, expected);
    return word_of(phase, bytes, pending, expected);
}

void weft_exec_mbarrier_complete(uint64_t *barrier, uint64_t bytes)
{
    uint64_t word = *barrier;
    *barrier = settled(word, bytes_of(word) - bytes, pending_of(word), expected_of(word));
}

static void arrive(uint64_t *barrier, uint64_t count, uint64_t bytes, bool drops)
{
    uint64_t word = *barrier;
    uint64_t expected = expected_of(word) - (drops ? count : 0);
    *barrier = settled(word, bytes_of(word) + bytes, pending_of(word) - count, expected);
}

static uint8_t access_of(uint8_t kind)
{
    switch (kind) {
    case WEFT_EXEC_MBARRIER_INIT:
    case WEFT_EXEC_MBARRIER_INVAL:
        return WEFT_EXEC_ACCESS_WRITE;
    case WEFT_EXEC_MBARRIER_STATE:
    case WEFT_EXEC_MBARRIER_PARITY:
        return WEFT_EXEC_ACCESS_READ;
    default:
        return WEFT_EXEC_ACCESS_UPDATE;
    }
}

/* The barrier of a lane; NULL after a fault. */
static uint64_t *find(struct weft_exec_run *run, const struct weft_exec_insn *insn, uint32_t lane,
                      uint64_t address)
{
    struct weft_exec_touch touch = {.space = insn->space,
                                    .kind = access_of(insn->kind),
                                    .lane = lane,
                                    .bytes = sizeof(uint64_t),
                                    .address = address};
    return (uint64_t *)weft_exec_reach_as(run, insn, &touch, sizeof(uint64_t));
}

static uint32_t word_at(const struct weft_exec_run *run, int32_t row, uint32_t lane)
{
    return row == WEFT_EXEC_NO_ROW ? 0 : ((const uint32_t *)weft_exec_source(run, row))[lane];
}

/* Whether the phase is over that the lane asks about. */
static bool is_over(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                    uint64_t word, uint32_t lane)
{
    bool odd = word & PHASE_BIT;
    if (insn->kind == WEFT_EXEC_MBARRIER_PARITY)
        return odd != (word_at(run, insn->b, lane) & 1);
    uint64_t state = ((const uint64_t *)weft_exec_source(run, insn->b))[lane];
    return odd != ((state & PHASE_BIT) != 0);
}

static void change(struct weft_exec_run *run, const struct weft_exec_insn *insn, uint64_t *barrier,
                   uint32_t lane)
{
    uint64_t word = *barrier;
    uint32_t value = word_at(run, insn->b, lane);
    switch (insn->kind) {
    case WEFT_EXEC_MBARRIER_INIT:
        *barrier = word_of(0, 0, value, value);
        break;
    case WEFT_EXEC_MBARRIER_INVAL:
        *barrier = 0;
        break;
    case WEFT_EXEC_MBARRIER_EXPECT:
        *barrier =
            word_of(word & PHASE_BIT, bytes_of(word) + value, pending_of(word), expected_of(word));
        break;
    case WEFT_EXEC_MBARRIER_COMPLETE:
        weft_exec_mbarrier_complete(barrier, value);
        break;
    default:
        arrive(barrier, value, word_at(run, insn->c, lane), insn->kind == WEFT_EXEC_MBARRIER_DROP);
        if (insn->d != WEFT_EXEC_NO_ROW)
            ((uint64_t *)weft_exec_row(run, insn->d))[lane] = word;
    }
}

/* kind: enum weft_exec_mbarrier. */
COMMON_HANDLER(mbarrier)
{
    bool waits = insn->kind == WEFT_EXEC_MBARRIER_STATE || insn->kind == WEFT_EXEC_MBARRIER_PARITY;
    uint64_t addresses[WEFT_EXEC_LANES];
    uint32_t over = 0;
    weft_exec_addresses(run, insn, addresses);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint64_t *barrier = find(run, insn, lane, addresses[lane]);
        if (barrier == NULL)
            return;
        if (waits)
            over |= (uint32_t)is_over(run, insn, *barrier, lane) << lane;
        else
            change(run, insn, barrier, lane);
    }
    if (!waits)
        return;
    weft_exec_spin_hint(run);
    weft_exec_set_predicate(run, insn->d, over);
}

/* The arrivals that a phase still lacked when the state was given. */
COMMON_HANDLER(mbarrier_pending)
{
    const uint64_t *states = weft_exec_source(run, insn->a);
    uint32_t *d = weft_exec_row(run, insn->d);
    LANES(lane) d[lane] = run->mask >> lane & 1 ? (uint32_t)pending_of(states[lane]) : d[lane];
}

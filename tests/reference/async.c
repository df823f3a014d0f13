/* Asynchronous copies, done at once, and barriers in memory. A barrier here is four numbers side by
 * side in its word; where its bits lie is nobody's business but its own. */
#include <string.h>

#include "async.h"

#include "types.h"

struct barrier {
    uint64_t phase, expected, pending;
    int64_t bytes;
};

static struct barrier unpack(uint64_t word)
{
    return (struct barrier){word & 1, word >> 1 & 0xfffff, word >> 21 & 0xfffff,
                            sign_extend(word >> 41 & 0x7fffff, 23)};
}

static uint64_t pack(struct barrier barrier)
{
    return barrier.phase | barrier.expected << 1 | barrier.pending << 21 |
           low_bits((uint64_t)barrier.bytes, 23) << 41;
}

static struct barrier settle(struct barrier barrier)
{
    if (barrier.pending == 0 && barrier.bytes == 0) {
        barrier.phase ^= 1;
        barrier.pending = barrier.expected;
    }
    return barrier;
}

static bool has_word(const struct weft_ptx_insn *insn, const char *word)
{
    return strstr(insn->text, word) != NULL;
}

static uint8_t space_of(uint8_t space)
{
    return space == WEFT_PTX_SHARED_CLUSTER ? WEFT_PTX_SHARED : space;
}

static uint64_t value(struct thread *thread, unsigned operand, uint8_t type)
{
    return operand_read(thread, &thread_insn(thread)->operands[operand], type);
}

static uint64_t *barrier_at(struct thread *thread, uint8_t space, unsigned operand)
{
    uint64_t address = operand_address(thread, &thread_insn(thread)->operands[operand]);
    return memory_find(thread, space_of(space), address, 8, 8);
}

static void complete_bytes(uint64_t *word, uint64_t bytes)
{
    struct barrier barrier = unpack(*word);
    barrier.bytes -= (int64_t)bytes;
    *word = pack(settle(barrier));
}

static enum step change(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t *word = barrier_at(thread, insn->space, 0);
    if (!word)
        return STEP_FAULT;
    uint64_t number = insn->operand_count > 1 ? value(thread, 1, WEFT_PTX_U32) : 0;
    struct barrier barrier = unpack(*word);
    switch (insn->opcode) {
    case WEFT_PTX_MBARRIER_INIT:
        *word = pack((struct barrier){0, number, number, 0});
        break;
    case WEFT_PTX_MBARRIER_INVAL:
        *word = 0;
        break;
    case WEFT_PTX_MBARRIER_EXPECT_TX:
        barrier.bytes += (int64_t)number;
        *word = pack(barrier);
        break;
    default:
        complete_bytes(word, number);
    }
    return STEP_NEXT;
}

static enum step arrive(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t *word = barrier_at(thread, insn->space, 1);
    if (!word)
        return STEP_FAULT;
    struct barrier barrier = unpack(*word);
    uint64_t number = insn->operand_count > 2 ? value(thread, 2, WEFT_PTX_U32) : 1;
    bool expects = has_word(insn, ".expect_tx");
    operand_write(thread, &insn->operands[0], WEFT_PTX_B64, *word);
    barrier.bytes += expects ? (int64_t)number : 0;
    barrier.pending -= expects ? 1 : number;
    if (has_word(insn, "arrive_drop"))
        barrier.expected -= expects ? 1 : number;
    *word = pack(settle(barrier));
    return STEP_NEXT;
}

static enum step test_wait(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t *word = barrier_at(thread, insn->space, 1);
    if (!word)
        return STEP_FAULT;
    uint64_t asked = has_word(insn, ".parity") ? value(thread, 2, WEFT_PTX_U32) & 1
                                               : unpack(value(thread, 2, WEFT_PTX_B64)).phase;
    operand_write(thread, &insn->operands[0], WEFT_PTX_PRED, unpack(*word).phase != asked);
    return STEP_NEXT;
}

/* cp.async: what is not read is zero. */
static enum step copy(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint32_t size = (uint32_t)insn->operands[2].bits;
    uint32_t read = size;
    bool policy = has_word(insn, "cache_hint");
    if (insn->operand_count > (policy ? 4 : 3)) {
        uint32_t index = insn->operands[3].index;
        const struct weft_ptx_function *function = thread_frame(thread)->function;
        bool predicate = insn->operands[3].kind == WEFT_PTX_OPERAND_REGISTER &&
                         function->registers[index].type == WEFT_PTX_PRED;
        read = predicate ? (value(thread, 3, WEFT_PTX_PRED) ? 0 : size)
                         : (uint32_t)value(thread, 3, WEFT_PTX_U32);
    }
    uint8_t *to = memory_find(thread, WEFT_PTX_SHARED, operand_address(thread, &insn->operands[0]),
                              size, size);
    if (!to)
        return STEP_FAULT;
    uint8_t bytes[16] = {0};
    for (uint32_t i = 0; i < read && i < size; i++) {
        const uint8_t *from = memory_find(thread, WEFT_PTX_GLOBAL,
                                          operand_address(thread, &insn->operands[1]) + i, 1, 1);
        if (!from)
            return STEP_FAULT;
        bytes[i] = *from;
    }
    memcpy(to, bytes, size);
    return STEP_NEXT;
}

static enum step combine(struct thread *thread, const struct weft_ptx_insn *insn, uint8_t space,
                         uint64_t address, uint64_t operand)
{
    uint8_t type = insn->types[0];
    uint32_t size = weft_ptx_type_bytes(type);
    void *cell = memory_find(thread, space_of(space), address, size, size);
    uint64_t old = 0;
    if (!cell)
        return STEP_FAULT;
    memcpy(&old, cell, size);
    uint32_t flags = space == WEFT_PTX_GLOBAL ? WEFT_PTX_FTZ : 0;
    if (!memory_combine(insn->operation, type, flags, old, operand, &old))
        return STEP_UNKNOWN;
    memcpy(cell, &old, size);
    return STEP_NEXT;
}

static enum step copy_bulk(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t to = operand_address(thread, &insn->operands[0]);
    uint64_t from = operand_address(thread, &insn->operands[1]);
    uint64_t bytes = value(thread, 2, WEFT_PTX_U32);
    bool reduces = insn->opcode == WEFT_PTX_CP_REDUCE_ASYNC_BULK;
    uint32_t each = reduces ? weft_ptx_type_bytes(insn->types[0]) : 1;
    if (has_word(insn, ".multicast"))
        return STEP_UNKNOWN;
    for (uint64_t at = 0; at < bytes; at += each) {
        const void *source = memory_find(thread, space_of(insn->space2), from + at, each, each);
        void *target =
            source ? memory_find(thread, space_of(insn->space), to + at, each, each) : NULL;
        if (!target)
            return STEP_FAULT;
        uint64_t word = 0;
        memcpy(&word, source, each);
        if (reduces && combine(thread, insn, insn->space, to + at, word) != STEP_NEXT)
            return STEP_UNKNOWN;
        if (!reduces)
            memcpy(target, &word, each);
    }
    if (!has_word(insn, ".mbarrier::complete_tx"))
        return STEP_NEXT;
    uint64_t *word = barrier_at(thread, WEFT_PTX_SHARED, 3);
    if (!word)
        return STEP_FAULT;
    complete_bytes(word, bytes);
    return STEP_NEXT;
}

static enum step store(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t address = operand_address(thread, &insn->operands[0]);
    uint32_t each = weft_ptx_type_bytes(insn->types[0]);
    uint32_t count = insn->vector ? insn->vector : 1;
    for (uint32_t i = 0; i < count; i++) {
        struct weft_ptx_operand element = operand_element(&insn->operands[1], i);
        uint64_t word = operand_read(thread, &element, insn->types[0]);
        if (insn->opcode == WEFT_PTX_RED_ASYNC) {
            enum step step = combine(thread, insn, insn->space, address, word);
            if (step != STEP_NEXT)
                return step;
            continue;
        }
        void *to = memory_find(thread, space_of(insn->space), address + i * each, each, each);
        if (!to)
            return STEP_FAULT;
        memcpy(to, &word, each);
    }
    uint64_t *word = barrier_at(thread, insn->space, 2);
    if (!word)
        return STEP_FAULT;
    complete_bytes(word, (uint64_t)each * count);
    return STEP_NEXT;
}

/* cp.async.mbarrier.arrive: one more is expected now and arrives at once, or only arrives. */
static enum step copies_arrive(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t *word = barrier_at(thread, insn->space, 0);
    if (!word)
        return STEP_FAULT;
    struct barrier barrier = unpack(*word);
    barrier.pending -= insn->flags & WEFT_PTX_NOINC ? 1 : 0;
    *word = pack(settle(barrier));
    return STEP_NEXT;
}

bool async_knows(uint16_t opcode)
{
    return (opcode >= WEFT_PTX_MBARRIER_ARRIVE && opcode <= WEFT_PTX_MBARRIER_TRY_WAIT) ||
           (opcode >= WEFT_PTX_CP_ASYNC && opcode <= WEFT_PTX_CP_REDUCE_ASYNC_BULK) ||
           opcode == WEFT_PTX_ST_ASYNC || opcode == WEFT_PTX_RED_ASYNC;
}

enum step async_perform(struct thread *thread, const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_CP_ASYNC:
        return copy(thread, insn);
    case WEFT_PTX_CP_ASYNC_BULK:
    case WEFT_PTX_CP_REDUCE_ASYNC_BULK:
        return copy_bulk(thread, insn);
    case WEFT_PTX_CP_ASYNC_MBARRIER_ARRIVE:
        return copies_arrive(thread, insn);
    case WEFT_PTX_CP_ASYNC_BULK_TENSOR:
    case WEFT_PTX_CP_ASYNC_BULK_PREFETCH_TENSOR:
        return STEP_UNKNOWN;
    case WEFT_PTX_ST_ASYNC:
    case WEFT_PTX_RED_ASYNC:
        return store(thread, insn);
    case WEFT_PTX_MBARRIER_INIT:
    case WEFT_PTX_MBARRIER_INVAL:
    case WEFT_PTX_MBARRIER_EXPECT_TX:
    case WEFT_PTX_MBARRIER_COMPLETE_TX:
        return change(thread, insn);
    case WEFT_PTX_MBARRIER_TEST_WAIT:
    case WEFT_PTX_MBARRIER_TRY_WAIT:
        return test_wait(thread, insn);
    case WEFT_PTX_MBARRIER_PENDING_COUNT:
        operand_write(thread, &insn->operands[0], WEFT_PTX_U32,
                      unpack(value(thread, 1, WEFT_PTX_B64)).pending);
        return STEP_NEXT;
    case WEFT_PTX_MBARRIER_ARRIVE:
    case WEFT_PTX_MBARRIER_ARRIVE_DROP:
    case WEFT_PTX_MBARRIER_ARRIVE_EXPECT_TX:
    case WEFT_PTX_MBARRIER_ARRIVE_DROP_EXPECT_TX:
        return arrive(thread, insn);
    default: /* groups: committed and waited for, with nothing left to do */
        return STEP_NEXT;
    }
}

/* Asynchronous copies and the barriers that count them. Their addresses are rows of 64 bits, since
 * one instruction has several. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "softgpu/exec/mbarrier.h"
#include "util/util.h"

static bool has_word(const struct weft_ptx_insn *source, const char *word)
{
    return strstr(source->text, word) != NULL;
}

/* A cache policy stands last, and is not needed. */
static uint32_t count_operands(const struct weft_ptx_insn *source)
{
    return source->operand_count - (has_word(source, ".L2::cache_hint") ? 1u : 0u);
}

static int32_t plus(struct weft_exec_lowering *lowering, int32_t row, int64_t offset)
{
    if (offset == 0)
        return row;
    int32_t b = weft_exec_constant(lowering, (uint64_t)offset, 8);
    int32_t d = weft_exec_temporary(lowering);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_add_b64);
    insn->d = d;
    insn->a = row;
    insn->b = b;
    return d;
}

/* [address] as a row of 64 bits. */
static int32_t address_row(struct weft_exec_lowering *lowering,
                           const struct weft_ptx_operand *operand)
{
    if (operand->kind != WEFT_PTX_OPERAND_ADDRESS) {
        weft_exec_malformed(lowering, "an operand without brackets for its address");
        return WEFT_EXEC_ROW_SINK;
    }
    if (!operand->register_base && operand->symbol == WEFT_PTX_SYMBOL_NONE)
        return weft_exec_constant(lowering, (uint64_t)operand->offset, 8);
    if (!operand->register_base)
        return weft_exec_operand_row(lowering, operand, 8);
    struct weft_ptx_operand base = {.kind = WEFT_PTX_OPERAND_REGISTER, .index = operand->index};
    uint32_t bytes = weft_exec_operand_row_bytes(lowering, &base, 8);
    int32_t row = weft_exec_operand_row(lowering, &base, bytes);
    if (bytes == 4) {
        int32_t wide = weft_exec_temporary(lowering);
        struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_extend_u32_b64);
        insn->d = wide;
        insn->a = row;
        row = wide;
    }
    return plus(lowering, row, operand->offset);
}

static uint8_t space_of(uint8_t space)
{
    return space == WEFT_PTX_SHARED_CLUSTER ? WEFT_PTX_SHARED : space;
}

/* Compilers write how much of a whole copy is to be read. */
static bool is_at_least(const struct weft_ptx_operand *operand, uint64_t bytes)
{
    return operand->kind == WEFT_PTX_OPERAND_INTEGER && (uint32_t)operand->bits >= bytes;
}

/* cp.async [shared], [global], bytes{, bytes to read or a predicate that reads none} */
static void lower_cp_async(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *operands = source->operands;
    uint32_t count = count_operands(source);
    if (count < 3 || count > 4 || operands[2].kind != WEFT_PTX_OPERAND_INTEGER) {
        weft_exec_malformed(lowering, "these operands");
        return;
    }
    uint64_t size = operands[2].bits;
    if (size != 16 && (has_word(source, ".cg") || (size != 4 && size != 8))) {
        weft_exec_malformed(lowering, "a copy of this size");
        return;
    }
    bool flip = false, ignores = false;
    int32_t d = address_row(lowering, &operands[0]), a = address_row(lowering, &operands[1]);
    int32_t last = WEFT_EXEC_NO_ROW;
    bool reads_all = count == 3 || is_at_least(&operands[3], size);
    if (!reads_all) {
        const struct weft_ptx_register *registers = lowering->function->registers;
        ignores = operands[3].kind == WEFT_PTX_OPERAND_REGISTER &&
                  registers[operands[3].index].type == WEFT_PTX_PRED;
        last = ignores ? weft_exec_operand_predicate(lowering, &operands[3], &flip)
                       : weft_exec_operand_row(lowering, &operands[3], 4);
    }
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_cp_async);
    insn->d = d;
    insn->a = a;
    insn->b = ignores ? WEFT_EXEC_NO_ROW : last;
    insn->c = ignores ? last : WEFT_EXEC_NO_ROW;
    insn->modifiers = flip ? WEFT_EXEC_NEGATE : 0;
    insn->immediate = (int64_t)size;
}

/* What a reduction in bulk combines. */
static bool knows_reduction(const struct weft_ptx_insn *source)
{
    uint8_t type = source->types[0];
    bool orders = source->operation == WEFT_PTX_OP_MIN || source->operation == WEFT_PTX_OP_MAX;
    bool floats = weft_exec_type_is_float(type);
    return source->type_count == 1 && source->operation && !(orders && floats) &&
           weft_ptx_type_bytes(type) >= 2 && weft_ptx_type_bytes(type) <= 8;
}

/* cp.async.bulk and cp.reduce.async.bulk [to], [from], bytes{, [barrier]}{, ranks} */
static void lower_bulk(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *operands = source->operands;
    bool reduces = source->opcode == WEFT_PTX_CP_REDUCE_ASYNC_BULK;
    bool signals = has_word(source, ".mbarrier::complete_tx::bytes");
    bool spreads = has_word(source, ".multicast::cluster");
    bool known = source->space && source->space2 && !has_word(source, ".cp_mask") &&
                 signals != has_word(source, ".bulk_group") &&
                 (!reduces || knows_reduction(source));
    if (!known || count_operands(source) != 3u + signals + spreads) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t d = address_row(lowering, &operands[0]), a = address_row(lowering, &operands[1]);
    int32_t b = weft_exec_operand_row(lowering, &operands[2], 4);
    int32_t c = signals ? address_row(lowering, &operands[3]) : WEFT_EXEC_NO_ROW;
    int32_t ranks = spreads ? weft_exec_operand_row(lowering, &operands[4], 2) : WEFT_EXEC_NO_ROW;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_bulk);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->c = c;
    insn->more[0] = ranks;
    insn->space = space_of(source->space);
    insn->order = space_of(source->space2);
    insn->kind = reduces ? source->operation : WEFT_PTX_OP_NONE;
    insn->count = source->types[0];
}

static struct weft_exec_insn *emit_mbarrier(struct weft_exec_lowering *lowering, uint8_t kind,
                                            const struct weft_ptx_operand *address, int32_t d,
                                            int32_t b, int32_t c)
{
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_mbarrier);
    weft_exec_operand_address(lowering, address, insn);
    insn->kind = kind;
    insn->d = d;
    insn->b = b;
    insn->c = c;
    return insn;
}

static bool has_operands(struct weft_exec_lowering *lowering, uint32_t least, uint32_t most)
{
    uint32_t count = lowering->insn->operand_count;
    if (count < least || count > most)
        weft_exec_malformed(lowering, "so many operands");
    return count >= least && count <= most;
}

/* mbarrier.init, .expect_tx, .complete_tx [a], n; .inval [a] */
static void lower_change(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    bool inval = source->opcode == WEFT_PTX_MBARRIER_INVAL;
    uint8_t kind = inval                                           ? WEFT_EXEC_MBARRIER_INVAL
                   : source->opcode == WEFT_PTX_MBARRIER_INIT      ? WEFT_EXEC_MBARRIER_INIT
                   : source->opcode == WEFT_PTX_MBARRIER_EXPECT_TX ? WEFT_EXEC_MBARRIER_EXPECT
                                                                   : WEFT_EXEC_MBARRIER_COMPLETE;
    if (!has_operands(lowering, inval ? 1 : 2, inval ? 1 : 2))
        return;
    int32_t b = inval ? WEFT_EXEC_NO_ROW : weft_exec_operand_row(lowering, &source->operands[1], 4);
    emit_mbarrier(lowering, kind, &source->operands[0], WEFT_EXEC_NO_ROW, b, WEFT_EXEC_NO_ROW);
}

/* mbarrier.arrive and .arrive_drop state, [a]{, n}; with .expect_tx n are bytes, and one arrives.
 */
static void lower_arrive(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *operands = source->operands;
    bool expects = source->opcode == WEFT_PTX_MBARRIER_ARRIVE_EXPECT_TX ||
                   source->opcode == WEFT_PTX_MBARRIER_ARRIVE_DROP_EXPECT_TX;
    bool drops = source->opcode == WEFT_PTX_MBARRIER_ARRIVE_DROP ||
                 source->opcode == WEFT_PTX_MBARRIER_ARRIVE_DROP_EXPECT_TX;
    if (!has_operands(lowering, expects || has_word(source, ".noComplete") ? 3 : 2, 3))
        return;
    int32_t number = operands[0].kind == WEFT_PTX_OPERAND_SINK
                         ? WEFT_EXEC_NO_ROW
                         : weft_exec_operand_destination(lowering, &operands[0], WEFT_PTX_B64);
    int32_t one = weft_exec_constant(lowering, 1, 4);
    int32_t given = source->operand_count == 3 ? weft_exec_operand_row(lowering, &operands[2], 4)
                                               : WEFT_EXEC_NO_ROW;
    bool counted = given != WEFT_EXEC_NO_ROW && !expects;
    emit_mbarrier(lowering, drops ? WEFT_EXEC_MBARRIER_DROP : WEFT_EXEC_MBARRIER_ARRIVE,
                  &operands[1], number, counted ? given : one, expects ? given : WEFT_EXEC_NO_ROW);
}

/* mbarrier.test_wait and .try_wait p, [a], state or parity{, a hint for how long} */
static void lower_wait(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    bool parity = has_word(source, ".parity");
    if (!has_operands(lowering, 3, source->opcode == WEFT_PTX_MBARRIER_TRY_WAIT ? 4 : 3))
        return;
    int32_t d = weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    int32_t b = weft_exec_operand_row(lowering, &source->operands[2], parity ? 4 : 8);
    emit_mbarrier(lowering, parity ? WEFT_EXEC_MBARRIER_PARITY : WEFT_EXEC_MBARRIER_STATE,
                  &source->operands[1], d, b, WEFT_EXEC_NO_ROW);
}

static void lower_pending(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (!has_operands(lowering, 2, 2))
        return;
    int32_t a = weft_exec_operand_source(lowering, &source->operands[1], WEFT_PTX_B64);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_U32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_mbarrier_pending);
    insn->d = d;
    insn->a = a;
}

/* cp.async.mbarrier.arrive [a]: an arrival once all copies are done, and they are. Without .noinc
 * the barrier is first told to expect one more, so that it is left as it was. */
static void lower_copies_arrive(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (!has_operands(lowering, 1, 1))
        return;
    int32_t count = weft_exec_constant(lowering, source->flags & WEFT_PTX_NOINC ? 1 : 0, 4);
    emit_mbarrier(lowering, WEFT_EXEC_MBARRIER_ARRIVE, &source->operands[0], WEFT_EXEC_NO_ROW,
                  count, WEFT_EXEC_NO_ROW);
}

/* First of three stores, for rows of 16, 32 and 64 bits. */
static void emit_store(struct weft_exec_lowering *lowering, const struct weft_ptx_operand *address,
                       const int32_t *rows, uint32_t count, uint32_t bytes)
{
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, bytes == 8 ? WEFT_EXEC_OP_st_u64_b64 : WEFT_EXEC_OP_st_u32_b32);
    weft_exec_operand_address(lowering, address, insn);
    insn->count = (uint8_t)count;
    insn->d = rows[0];
    for (uint32_t i = 1; i < count; i++)
        insn->more[i - 1] = rows[i];
}

/* st.async [a], b, [barrier] and red.async: a store or an operation, whose bytes have then come. */
static void lower_store_async(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *value = &source->operands[1];
    bool reduces = source->opcode == WEFT_PTX_RED_ASYNC;
    uint32_t bytes = weft_ptx_type_bytes(source->types[0]), count = 1;
    if (source->type_count != 1 || bytes < 4 || bytes > 8 ||
        (reduces && !knows_reduction(source)) ||
        !has_word(source, ".mbarrier::complete_tx::bytes") || source->operand_count != 3) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t rows[WEFT_EXEC_VECTOR_MAX] = {0};
    bool is_vector = value->kind == WEFT_PTX_OPERAND_VECTOR;
    count = is_vector ? value->element_count : 1;
    for (uint32_t i = 0; i < count && i < WEFT_EXEC_VECTOR_MAX; i++)
        rows[i] = weft_exec_operand_row(lowering, is_vector ? &value->elements[i] : value, bytes);
    if (reduces) {
        struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_atom);
        weft_exec_operand_address(lowering, &source->operands[0], insn);
        insn->b = rows[0];
        insn->kind = source->operation;
        insn->count = source->types[0];
    } else {
        emit_store(lowering, &source->operands[0], rows, count, bytes);
    }
    emit_mbarrier(lowering, WEFT_EXEC_MBARRIER_COMPLETE, &source->operands[2], WEFT_EXEC_NO_ROW,
                  weft_exec_constant(lowering, (uint64_t)count * bytes, 4), WEFT_EXEC_NO_ROW);
}

/* Waits for what is done already, and hints. */
static void lower_nothing(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_nop);
}

weft_exec_lower_fn weft_exec_lower_async(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_CP_ASYNC:
        return lower_cp_async;
    case WEFT_PTX_CP_ASYNC_BULK:
    case WEFT_PTX_CP_REDUCE_ASYNC_BULK:
        return lower_bulk;
    case WEFT_PTX_CP_ASYNC_MBARRIER_ARRIVE:
        return lower_copies_arrive;
    case WEFT_PTX_CP_ASYNC_COMMIT_GROUP:
    case WEFT_PTX_CP_ASYNC_WAIT_GROUP:
    case WEFT_PTX_CP_ASYNC_WAIT_ALL:
    case WEFT_PTX_CP_ASYNC_BULK_COMMIT_GROUP:
    case WEFT_PTX_CP_ASYNC_BULK_WAIT_GROUP:
    case WEFT_PTX_CP_ASYNC_BULK_PREFETCH:
        return lower_nothing;
    case WEFT_PTX_MBARRIER_INIT:
    case WEFT_PTX_MBARRIER_INVAL:
    case WEFT_PTX_MBARRIER_EXPECT_TX:
    case WEFT_PTX_MBARRIER_COMPLETE_TX:
        return lower_change;
    case WEFT_PTX_MBARRIER_ARRIVE:
    case WEFT_PTX_MBARRIER_ARRIVE_DROP:
    case WEFT_PTX_MBARRIER_ARRIVE_EXPECT_TX:
    case WEFT_PTX_MBARRIER_ARRIVE_DROP_EXPECT_TX:
        return lower_arrive;
    case WEFT_PTX_MBARRIER_TEST_WAIT:
    case WEFT_PTX_MBARRIER_TRY_WAIT:
        return lower_wait;
    case WEFT_PTX_MBARRIER_PENDING_COUNT:
        return lower_pending;
    case WEFT_PTX_ST_ASYNC:
    case WEFT_PTX_RED_ASYNC:
        return lower_store_async;
    default:
        return NULL;
    }
}

/* Which registers a kernel may read before it writes them.
 *
 * Registers start as zeros, but clearing all of them costs as much as a short kernel. So only those
 * are cleared that are live at the entry: the usual backward dataflow over basic blocks (Aho, Lam,
 * Sethi, Ullman, 9.2.5). What it does not know it takes for a read, and where it would cost too
 * much every register is cleared. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "util/util.h"

#define WORDS_MAX (1u << 22) /* of all sets together */
#define PASSES_MAX 100

struct flow {
    const struct weft_ptx_function *function;
    uint32_t words; /* of one set of registers */
    uint32_t block_count;
    uint32_t *first; /* owned; first instruction of each block, and the count of instructions at the
                        end */
    uint32_t *block_of; /* owned; by instruction, and one for the end */
    uint64_t *live; /* owned; at the beginning of each block, and of the end, where nothing lives */
    uint64_t *scratch; /* owned; one set */
};

static bool leaves(const struct weft_ptx_insn *insn)
{
    return insn->opcode == WEFT_PTX_RET || insn->opcode == WEFT_PTX_EXIT ||
           insn->opcode == WEFT_PTX_TRAP;
}

static bool branches(const struct weft_ptx_insn *insn)
{
    return insn->opcode == WEFT_PTX_BRA || insn->opcode == WEFT_PTX_BRX;
}

/* Whether the first operand is surely written, in every lane that runs the instruction. */
static bool writes_first(const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_LD:
    case WEFT_PTX_ATOM:
    case WEFT_PTX_CVTA:
    case WEFT_PTX_ISSPACEP:
    case WEFT_PTX_SHFL:
    case WEFT_PTX_VOTE:
    case WEFT_PTX_MATCH:
    case WEFT_PTX_REDUX:
    case WEFT_PTX_ACTIVEMASK:
    case WEFT_PTX_TEX:
    case WEFT_PTX_TLD4:
    case WEFT_PTX_TXQ:
    case WEFT_PTX_SUQ:
    case WEFT_PTX_ISTYPEP:
    case WEFT_PTX_SULD:
        return true;
    default:
        return weft_exec_lower_integer(insn->opcode) || weft_exec_lower_float(insn->opcode) ||
               weft_exec_lower_move(insn->opcode);
    }
}

static void mark(const struct flow *flow, uint64_t *set, const struct weft_ptx_operand *operand,
                 bool reads)
{
    for (uint32_t i = 0; i < operand->element_count && operand->elements; i++)
        mark(flow, set, &operand->elements[i], reads);
    bool is_register = operand->kind == WEFT_PTX_OPERAND_REGISTER ||
                       (operand->kind == WEFT_PTX_OPERAND_ADDRESS && operand->register_base);
    if (!is_register)
        return;
    uint64_t bit = 1ull << operand->index % 64;
    if (reads)
        set[operand->index / 64] |= bit;
    else if (operand->kind == WEFT_PTX_OPERAND_REGISTER &&
             flow->function->registers[operand->index].vector <= 1)
        set[operand->index / 64] &= ~bit;
}

/* From what is live after an instruction to what is live before it. */
static void transfer(const struct flow *flow, const struct weft_ptx_insn *insn, uint64_t *set)
{
    uint32_t written = writes_first(insn) ? (insn->paired ? 2 : 1) : 0;
    for (uint32_t i = 0; i < written && insn->guard == WEFT_PTX_NONE; i++)
        mark(flow, set, &insn->operands[i], false);
    for (uint32_t i = written; i < insn->operand_count; i++)
        mark(flow, set, &insn->operands[i], true);
    if (insn->guard != WEFT_PTX_NONE)
        set[insn->guard / 64] |= 1ull << insn->guard % 64;
    const struct weft_ptx_call *call = insn->call;
    if (call == NULL)
        return;
    for (uint32_t i = 0; i < call->return_count && insn->guard == WEFT_PTX_NONE; i++)
        mark(flow, set, &call->returns[i], false);
    for (uint32_t i = 0; i < call->argument_count; i++)
        mark(flow, set, &call->arguments[i], true);
    mark(flow, set, &call->target, true);
}

static void join(const struct flow *flow, uint64_t *set, uint32_t insn_index)
{
    const uint64_t *from = flow->live + (uint64_t)flow->block_of[insn_index] * flow->words;
    for (uint32_t w = 0; w < flow->words; w++)
        set[w] |= from[w];
}

/* True where what is live at the block's beginning has grown. */
static bool update(struct flow *flow, uint32_t block)
{
    uint32_t end = flow->first[block + 1];
    const struct weft_ptx_insn *last = &flow->function->insns[end - 1];
    uint64_t *set = flow->scratch;
    memset(set, 0, flow->words * sizeof(*set));
    bool falls_through = last->guard != WEFT_PTX_NONE || !(leaves(last) || branches(last));
    if (falls_through)
        join(flow, set, end);
    if (last->opcode == WEFT_PTX_BRA)
        join(flow, set, last->operands[0].index);
    for (uint32_t t = 0; last->table && t < last->table->count; t++)
        join(flow, set, last->table->targets[t]);
    for (uint32_t i = end; i > flow->first[block]; i--)
        transfer(flow, &flow->function->insns[i - 1], set);
    uint64_t *live = flow->live + (uint64_t)block * flow->words;
    bool grown = memcmp(live, set, flow->words * sizeof(*set)) != 0;
    memcpy(live, set, flow->words * sizeof(*set));
    return grown;
}

static void mark_leaders(const struct weft_ptx_function *function, uint32_t *is_leader)
{
    is_leader[0] = is_leader[function->insn_count] = 1;
    for (uint32_t i = 0; i < function->insn_count; i++) {
        const struct weft_ptx_insn *insn = &function->insns[i];
        if (insn->opcode == WEFT_PTX_BRA)
            is_leader[insn->operands[0].index] = 1;
        for (uint32_t t = 0; insn->table && t < insn->table->count; t++)
            is_leader[insn->table->targets[t]] = 1;
        if (branches(insn) || leaves(insn))
            is_leader[i + 1] = 1;
    }
}

static bool divide(struct flow *flow)
{
    uint32_t count = flow->function->insn_count;
    flow->block_of = calloc(count + 1, sizeof(*flow->block_of));
    flow->first = calloc(count + 2, sizeof(*flow->first));
    if (flow->block_of == NULL || flow->first == NULL)
        return false;
    mark_leaders(flow->function, flow->block_of);
    uint32_t blocks = 0;
    for (uint32_t i = 0; i <= count; i++) {
        if (flow->block_of[i])
            flow->first[blocks++] = i;
        flow->block_of[i] = blocks - 1;
    }
    flow->block_count = blocks - 1; /* the end is none */
    if ((uint64_t)blocks * flow->words > WORDS_MAX)
        return false;
    flow->live = calloc((uint64_t)blocks * flow->words, sizeof(*flow->live));
    flow->scratch = calloc(flow->words, sizeof(*flow->scratch));
    return flow->live && flow->scratch;
}

/* Registers live at the entry, in flow->live; false where it was not found out. */
static bool solve(struct flow *flow)
{
    if (!divide(flow))
        return false;
    for (uint32_t pass = 0; pass < PASSES_MAX; pass++) {
        bool grown = false;
        for (uint32_t block = flow->block_count; block > 0; block--)
            grown |= update(flow, block - 1);
        if (!grown)
            return true;
    }
    return false;
}

static uint32_t row_bytes(const struct weft_ptx_register *reg)
{
    uint32_t bytes = weft_exec_row_bytes(reg->type) * WEFT_EXEC_LANES;
    return bytes == 0 ? 4 : bytes * (reg->vector > 1 ? reg->vector : 1);
}

int weft_exec_find_cleared(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    const struct weft_ptx_function *function = kernel->function;
    struct flow flow = {.function = function, .words = function->register_count / 64 + 1};
    bool solved = solve(&flow);
    kernel->cleared = calloc(function->register_count + 1, sizeof(*kernel->cleared));
    for (uint32_t i = 0; kernel->cleared && i < function->register_count; i++) {
        bool live = !solved || (flow.live[i / 64] >> i % 64 & 1);
        if (live)
            kernel->cleared[kernel->cleared_count++] = (struct weft_exec_rows){
                (uint32_t)lowering->layouts[0].row_of[i], row_bytes(&function->registers[i])};
    }
    free(flow.first);
    free(flow.block_of);
    free(flow.live);
    free(flow.scratch);
    return kernel->cleared ? 0
                           : weft_fail(lowering->err, WEFT_ENOMEM, "lowering %s", function->name);
}

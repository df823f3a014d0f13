/* From where to where in a function each register is in use.
 *
 * Each register that a block reads before it writes it is followed backwards over the blocks that
 * lead there, up to those that write it: the blocks it lives through are visited once, and most
 * registers live in one. What is not known to write is taken for a read, and where it would cost
 * too much every register is in use everywhere. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "util/util.h"

#define STEPS_MAX (1u << 24) /* from one block to one before it, for all registers together */

/* Blocks, in a list. */
struct link {
    uint32_t block, next;
};

struct flow {
    const struct weft_ptx_function *function;
    struct weft_exec_lifetime *lifetimes; /* borrowed; by register */
    uint32_t block_count;
    uint32_t *first; /* owned; first instruction of each block, and the count of instructions at the
                        end */
    uint32_t *block_of; /* owned; by instruction, and one for the end */
    uint32_t *before;   /* owned; by block: list of those that lead to it */
    uint32_t
        *readers; /* owned; by register: list of the blocks that read it before they write it */
    uint32_t *writers;  /* owned; by register: list of the blocks that surely write it */
    struct link *links; /* owned */
    uint32_t link_count, link_capacity;
    uint32_t
        *mark; /* owned; by block: register + 1 that it writes or that is known to live there */
    uint32_t *stack; /* owned; of blocks */
    uint32_t depth, steps;
    /* The instruction at hand. */
    uint32_t at, block;
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
    case WEFT_PTX_MMA:
    case WEFT_PTX_WMMA_MMA:
    case WEFT_PTX_WMMA_LOAD:
    case WEFT_PTX_LDMATRIX:
    case WEFT_PTX_MOVMATRIX:
        return true;
    default:
        return weft_exec_lower_integer(insn->opcode) || weft_exec_lower_float(insn->opcode) ||
               weft_exec_lower_move(insn->opcode);
    }
}

/* False without memory. */
static bool add_link(struct flow *flow, uint32_t *head, uint32_t block)
{
    if (flow->link_count == flow->link_capacity) {
        uint32_t wanted = 2 * flow->link_capacity + 1024;
        struct link *grown = realloc(flow->links, wanted * sizeof(*grown));
        if (grown == NULL)
            return false;
        flow->links = grown;
        flow->link_capacity = wanted;
    }
    flow->links[flow->link_count] = (struct link){block, *head};
    *head = flow->link_count++;
    return true;
}

/* The newest of a list is the block at hand, if that is in it. */
static bool is_listed(const struct flow *flow, uint32_t head)
{
    return head != WEFT_PTX_NONE && flow->links[head].block == flow->block;
}

static void extend(struct flow *flow, uint32_t reg, uint32_t at)
{
    struct weft_exec_lifetime *lifetime = &flow->lifetimes[reg];
    if (!lifetime->is_used || at < lifetime->first)
        lifetime->first = at;
    if (!lifetime->is_used || at > lifetime->last)
        lifetime->last = at;
    lifetime->is_used = true;
}

static bool note_read(struct flow *flow, uint32_t reg)
{
    extend(flow, reg, flow->at);
    return is_listed(flow, flow->writers[reg]) || is_listed(flow, flow->readers[reg]) ||
           add_link(flow, &flow->readers[reg], flow->block);
}

static bool note_write(struct flow *flow, uint32_t reg)
{
    extend(flow, reg, flow->at);
    bool sure = flow->function->insns[flow->at].guard == WEFT_PTX_NONE &&
                flow->function->registers[reg].vector <= 1;
    if (!sure)
        return note_read(flow, reg);
    return is_listed(flow, flow->writers[reg]) || add_link(flow, &flow->writers[reg], flow->block);
}

static bool note(struct flow *flow, const struct weft_ptx_operand *operand, bool reads)
{
    bool fine = true;
    for (uint32_t i = 0; i < operand->element_count && operand->elements; i++)
        fine &= note(flow, &operand->elements[i], reads);
    if (operand->kind == WEFT_PTX_OPERAND_ADDRESS && operand->register_base)
        return fine && note_read(flow, operand->index);
    if (operand->kind != WEFT_PTX_OPERAND_REGISTER)
        return fine;
    return fine && (reads ? note_read(flow, operand->index) : note_write(flow, operand->index));
}

/* What the instruction reads, and then what it writes. */
static bool note_insn(struct flow *flow, const struct weft_ptx_insn *insn)
{
    const struct weft_ptx_call *call = insn->call;
    uint32_t written = writes_first(insn) ? (insn->paired ? 2 : 1) : 0;
    bool fine = insn->guard == WEFT_PTX_NONE || note_read(flow, insn->guard);
    for (uint32_t i = written; i < insn->operand_count; i++)
        fine &= note(flow, &insn->operands[i], true);
    for (uint32_t i = 0; call && i < call->argument_count; i++)
        fine &= note(flow, &call->arguments[i], true);
    if (call)
        fine &= note(flow, &call->target, true);
    for (uint32_t i = 0; i < written; i++)
        fine &= note(flow, &insn->operands[i], false);
    for (uint32_t i = 0; call && i < call->return_count; i++)
        fine &= note(flow, &call->returns[i], false);
    return fine;
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
    return true;
}

static bool lead(struct flow *flow, uint32_t block, uint32_t target)
{
    return add_link(flow, &flow->before[flow->block_of[target]], block);
}

/* The ways out of a block. */
static bool connect(struct flow *flow, uint32_t block)
{
    uint32_t end = flow->first[block + 1];
    const struct weft_ptx_insn *last = &flow->function->insns[end - 1];
    bool fine = true;
    if (last->guard != WEFT_PTX_NONE || !(leaves(last) || branches(last)))
        fine &= lead(flow, block, end);
    if (last->opcode == WEFT_PTX_BRA)
        fine &= lead(flow, block, last->operands[0].index);
    for (uint32_t t = 0; last->table && t < last->table->count; t++)
        fine &= lead(flow, block, last->table->targets[t]);
    return fine;
}

static bool read_blocks(struct flow *flow)
{
    bool fine = true;
    for (flow->block = 0; flow->block < flow->block_count && fine; flow->block++) {
        fine &= connect(flow, flow->block);
        uint32_t end = flow->first[flow->block + 1];
        for (flow->at = flow->first[flow->block]; flow->at < end && fine; flow->at++)
            fine &= note_insn(flow, &flow->function->insns[flow->at]);
    }
    return fine;
}

static void visit(struct flow *flow, uint32_t reg, uint32_t block)
{
    if (flow->mark[block] == reg + 1)
        return;
    flow->mark[block] = reg + 1;
    flow->stack[flow->depth++] = block;
}

/* Follows a register from the blocks that need it from before them. A block that does so and writes
 * it afterwards is visited too. */
static bool follow(struct flow *flow, uint32_t reg)
{
    flow->depth = 0;
    for (uint32_t i = flow->readers[reg]; i != WEFT_PTX_NONE; i = flow->links[i].next)
        visit(flow, reg, flow->links[i].block);
    for (uint32_t i = flow->writers[reg]; i != WEFT_PTX_NONE; i = flow->links[i].next)
        flow->mark[flow->links[i].block] = reg + 1;
    while (flow->depth > 0) {
        uint32_t block = flow->stack[--flow->depth];
        extend(flow, reg, flow->first[block]);
        flow->lifetimes[reg].at_entry |= block == 0;
        for (uint32_t i = flow->before[block]; i != WEFT_PTX_NONE; i = flow->links[i].next) {
            uint32_t from = flow->links[i].block;
            if (++flow->steps > STEPS_MAX)
                return false;
            extend(flow, reg, flow->first[from + 1] - 1);
            visit(flow, reg, from);
        }
    }
    return true;
}

static uint32_t *create_lists(uint32_t count)
{
    uint32_t *lists = malloc((count + 1) * sizeof(*lists));
    if (lists)
        memset(lists, 0xff, (count + 1) * sizeof(*lists)); /* WEFT_PTX_NONE */
    return lists;
}

static bool solve(struct flow *flow)
{
    uint32_t registers = flow->function->register_count;
    if (!divide(flow))
        return false;
    flow->before = create_lists(flow->block_count);
    flow->readers = create_lists(registers);
    flow->writers = create_lists(registers);
    flow->mark = calloc(flow->block_count + 1, sizeof(*flow->mark));
    flow->stack = calloc(flow->block_count + 1, sizeof(*flow->stack));
    if (!flow->before || !flow->readers || !flow->writers || !flow->mark || !flow->stack)
        return false;
    bool fine = read_blocks(flow);
    for (uint32_t reg = 0; reg < registers && fine; reg++)
        fine = follow(flow, reg);
    return fine;
}

struct weft_exec_lifetime *weft_exec_lifetimes_create(const struct weft_ptx_function *function)
{
    struct weft_exec_lifetime *lifetimes = calloc(function->register_count + 1, sizeof(*lifetimes));
    if (lifetimes == NULL)
        return NULL;
    struct flow flow = {.function = function, .lifetimes = lifetimes};
    if (!solve(&flow))
        for (uint32_t i = 0; i < function->register_count; i++)
            lifetimes[i] = (struct weft_exec_lifetime){0, function->insn_count, true, true};
    free(flow.first);
    free(flow.block_of);
    free(flow.before);
    free(flow.readers);
    free(flow.writers);
    free(flow.links);
    free(flow.mark);
    free(flow.stack);
    return lifetimes;
}

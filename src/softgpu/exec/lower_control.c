/* Branches, calls, barriers and what lanes of a warp do together. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "softgpu/ptx/link.h"
#include "util/util.h"

static void lower_bra(struct weft_exec_lowering *lowering)
{
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_bra);
    insn->immediate = lowering->insn->operands[0].index;
    insn->control = insn->guard != WEFT_EXEC_NO_GUARD;
}

static void lower_brx(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    const struct weft_ptx_branch_table *table = lowering->insn->table;
    if (table == NULL) {
        weft_exec_unsupported(lowering);
        return;
    }
    uint64_t *grown =
        realloc(kernel->tables, (kernel->table_count + table->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        lowering->failed = weft_fail(lowering->err, WEFT_ENOMEM, "a branch table");
        return;
    }
    kernel->tables = grown;
    for (uint32_t i = 0; i < table->count; i++)
        grown[kernel->table_count + i] = table->targets[i];
    int32_t a = weft_exec_operand_source(lowering, &lowering->insn->operands[0], WEFT_PTX_U32);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_brx);
    insn->a = a;
    insn->b = (int32_t)table->count;
    insn->immediate = kernel->table_count;
    kernel->table_count += table->count;
}

static void lower_ret(struct weft_exec_lowering *lowering)
{
    if (lowering->layout->moves_stack && !lowering->function->entry)
        weft_exec_emit_stack(lowering, true);
    weft_exec_emit(lowering, lowering->function->entry ? WEFT_EXEC_OP_exit : WEFT_EXEC_OP_ret);
}

static void lower_exit(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_exit);
}

static void lower_trap(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_trap);
}

/* Hints, and waits for what is always done already: copies are made at once, grids run one after
 * the other. */
static void lower_nop(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_nop);
}

static void lower_fence(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_fence);
}

static void lower_nanosleep(struct weft_exec_lowering *lowering)
{
    weft_exec_emit(lowering, WEFT_EXEC_OP_nanosleep);
}

/* Moves one argument or result between the caller's operand and its place in the callee: a register
 * slot in the frame that comes next, or a place in the local memory that comes next. */
static void move_register(struct weft_exec_lowering *lowering, int32_t d, int32_t a,
                          uint32_t row_bytes)
{
    if (row_bytes == 0 || row_bytes > 8) {
        weft_exec_unsupported(lowering);
        return;
    }
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_mov_b16 + row_bytes / 4);
    insn->d = d;
    insn->a = a;
}

static void access_place(struct weft_exec_lowering *lowering, bool stores, uint32_t place,
                         int32_t row, uint32_t bytes)
{
    uint32_t width = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
    uint32_t row_width = bytes <= 2 ? 0 : bytes == 4 ? 1 : 2;
    if (bytes > 8) {
        weft_exec_unsupported(lowering);
        return;
    }
    static const uint16_t loads[] = {WEFT_EXEC_OP_ld_u8_b16, WEFT_EXEC_OP_ld_u16_b16,
                                     WEFT_EXEC_OP_ld_u32_b16, WEFT_EXEC_OP_ld_u64_b16};
    static const uint16_t stores_of[] = {WEFT_EXEC_OP_st_u8_b16, WEFT_EXEC_OP_st_u16_b16,
                                         WEFT_EXEC_OP_st_u32_b16, WEFT_EXEC_OP_st_u64_b16};
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, (stores ? stores_of : loads)[width] + row_width);
    insn->d = row;
    insn->a = WEFT_EXEC_ROW_LOCAL_BASE;
    insn->immediate = place;
    insn->space = WEFT_PTX_LOCAL;
}

static void copy_place(struct weft_exec_lowering *lowering, uint64_t from, uint64_t to,
                       uint32_t bytes)
{
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_copy_local);
    insn->a = (int32_t)from;
    insn->b = (int32_t)to;
    insn->immediate = bytes;
}

static bool is_variable(const struct weft_ptx_operand *operand)
{
    return operand->kind == WEFT_PTX_OPERAND_SYMBOL || operand->kind == WEFT_PTX_OPERAND_ADDRESS;
}

/* A local place in the running frame that the operand names; other symbols are no arguments of
 * .param. */
static uint64_t variable_offset(struct weft_exec_lowering *lowering,
                                const struct weft_ptx_operand *operand)
{
    struct weft_exec_place place = weft_exec_symbol_place(lowering, operand);
    if (!place.is_local)
        weft_exec_unsupported(lowering);
    return place.address;
}

/* The bytes stay where they are: the callee's frame gets their place. */
static void pass_unsized(struct weft_exec_lowering *lowering,
                         const struct weft_ptx_operand *operand)
{
    if (!is_variable(operand)) {
        weft_exec_malformed(lowering, "a register for an unsized parameter");
        return;
    }
    struct weft_exec_place place = weft_exec_symbol_place(lowering, operand);
    if (!place.is_local)
        weft_exec_unsupported(lowering);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_local_address);
    insn->d = (int32_t)lowering->layout->frame_bytes + WEFT_EXEC_ROW_ARGUMENTS;
    insn->a = place.base;
    insn->b = 4;
    insn->immediate = (int64_t)place.address;
}

static void pass_argument(struct weft_exec_lowering *lowering,
                          const struct weft_ptx_operand *operand,
                          const struct weft_ptx_function *callee, uint32_t index)
{
    const struct weft_ptx_parameter *parameter = &callee->parameters[index];
    uint32_t row_bytes = weft_exec_row_bytes(parameter->type);
    if (parameter->space == WEFT_PTX_REG) {
        int32_t slot = (int32_t)(lowering->layout->frame_bytes +
                                 weft_exec_register_slot(callee, false, index));
        move_register(lowering, slot, weft_exec_operand_row(lowering, operand, row_bytes),
                      row_bytes);
        return;
    }
    if (weft_exec_parameter_is_unsized(parameter)) {
        pass_unsized(lowering, operand);
        return;
    }
    uint32_t place = lowering->layout->local_bytes + parameter->offset;
    if (is_variable(operand))
        copy_place(lowering, variable_offset(lowering, operand), place, parameter->bytes);
    else
        access_place(lowering, true, place, weft_exec_operand_row(lowering, operand, row_bytes),
                     parameter->bytes);
}

static void take_result(struct weft_exec_lowering *lowering, const struct weft_ptx_operand *operand,
                        const struct weft_ptx_function *callee, uint32_t index)
{
    const struct weft_ptx_parameter *result = &callee->returns[index];
    uint32_t row_bytes = weft_exec_row_bytes(result->type);
    if (operand->kind == WEFT_PTX_OPERAND_SINK)
        return;
    if (result->space == WEFT_PTX_REG) {
        int32_t slot =
            (int32_t)(lowering->layout->frame_bytes + weft_exec_register_slot(callee, true, index));
        move_register(lowering, weft_exec_operand_row(lowering, operand, row_bytes), slot,
                      row_bytes);
        return;
    }
    uint32_t place = lowering->layout->local_bytes +
                     (uint32_t)weft_round_up(callee->parameter_bytes, 16) + result->offset;
    if (is_variable(operand))
        copy_place(lowering, place, variable_offset(lowering, operand), result->bytes);
    else
        access_place(lowering, false, place, weft_exec_operand_row(lowering, operand, row_bytes),
                     result->bytes);
}

static bool signature_fits(const struct weft_ptx_call *call, const struct weft_ptx_function *callee)
{
    return call->argument_count == callee->parameter_count &&
           call->return_count == callee->return_count;
}

/* The value of an argument for a function that the system provides. */
static int32_t argument_row(struct weft_exec_lowering *lowering, uint32_t index, uint32_t bytes)
{
    const struct weft_ptx_call *call = lowering->insn->call;
    if (index >= call->argument_count) {
        weft_exec_malformed(lowering, "so few arguments");
        return WEFT_EXEC_ROW_SINK;
    }
    const struct weft_ptx_operand *operand = &call->arguments[index];
    if (!is_variable(operand))
        return weft_exec_operand_row(lowering, operand, bytes);
    int32_t row = weft_exec_temporary(lowering);
    access_place(lowering, false, (uint32_t)variable_offset(lowering, operand), row, bytes);
    return row;
}

/* The result of a function that the system provides. */
static void give_result(struct weft_exec_lowering *lowering, int32_t row, uint32_t bytes)
{
    const struct weft_ptx_call *call = lowering->insn->call;
    if (call->return_count == 0)
        return;
    const struct weft_ptx_operand *result = &call->returns[0];
    if (is_variable(result))
        access_place(lowering, true, (uint32_t)variable_offset(lowering, result), row, bytes);
    else
        move_register(lowering, weft_exec_operand_row(lowering, result, bytes), row, bytes);
}

static void lower_vprintf(struct weft_exec_lowering *lowering)
{
    int32_t format = argument_row(lowering, 0, 8);
    int32_t arguments = argument_row(lowering, 1, 8);
    int32_t count = weft_exec_temporary(lowering);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_vprintf);
    lowering->kernel->prints = true;
    insn->d = count;
    insn->a = format;
    insn->b = arguments;
    give_result(lowering, count, 4);
}

static void lower_malloc(struct weft_exec_lowering *lowering)
{
    int32_t bytes = argument_row(lowering, 0, 8);
    int32_t address = weft_exec_temporary(lowering);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_heap_allocate);
    insn->d = address;
    insn->a = bytes;
    lowering->kernel->allocates = true;
    give_result(lowering, address, 8);
}

static void lower_free(struct weft_exec_lowering *lowering)
{
    int32_t address = argument_row(lowering, 0, 8);
    weft_exec_emit(lowering, WEFT_EXEC_OP_heap_free)->a = address;
    lowering->kernel->allocates = true;
}

/* __assertfail(condition, file, line, function, size of a character) */
static void lower_assertfail(struct weft_exec_lowering *lowering)
{
    int32_t condition = argument_row(lowering, 0, 8);
    int32_t file = argument_row(lowering, 1, 8);
    int32_t line = argument_row(lowering, 2, 4);
    int32_t function = argument_row(lowering, 3, 8);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_assertfail);
    insn->a = condition;
    insn->b = file;
    insn->c = function;
    insn->more[0] = line;
}

/* A function without a body: device code that the system provides. */
static void lower_call_outside(struct weft_exec_lowering *lowering,
                               const struct weft_ptx_function *callee)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (strcmp(callee->name, "vprintf") == 0)
        lower_vprintf(lowering);
    else if (strcmp(callee->name, "__assertfail") == 0)
        lower_assertfail(lowering);
    else if (strcmp(callee->name, "malloc") == 0)
        lower_malloc(lowering);
    else if (strcmp(callee->name, "free") == 0)
        lower_free(lowering);
    else if (!lowering->failed && weft_ptx_is_device_runtime(callee->name))
        lowering->failed = weft_fail(lowering->err, WEFT_ENOSYS,
                                     "ptx:%u: %s of %s: the soft GPU has no CUDA runtime for "
                                     "kernels, which cannot launch kernels there",
                                     source->line, source->text, callee->name);
    else if (!lowering->failed)
        lowering->failed = weft_fail(lowering->err, WEFT_ENOSYS,
                                     "ptx:%u: %s of %s, which has no body, is not supported",
                                     source->line, source->text, callee->name);
}

static void lower_call(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_call *call = lowering->insn->call;
    bool indirect = call->target.kind == WEFT_PTX_OPERAND_REGISTER;
    uint32_t index = indirect ? call->prototype : call->target.index;
    if (index == WEFT_PTX_NONE) {
        weft_exec_malformed(lowering, "no prototype");
        return;
    }
    const struct weft_ptx_function *callee = &lowering->module->functions[index];
    if (!indirect && !callee->body) {
        lower_call_outside(lowering, callee);
        return;
    }
    if (!signature_fits(call, callee)) {
        weft_exec_malformed(lowering, "arguments other than the function's");
        return;
    }
    for (uint32_t i = 0; i < call->argument_count; i++) {
        lowering->temporaries_used = 0;
        pass_argument(lowering, &call->arguments[i], callee, i);
    }
    lowering->temporaries_used = 0;
    int32_t target = indirect ? weft_exec_operand_row(lowering, &call->target, 8) : 0;
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, indirect ? WEFT_EXEC_OP_call_indirect : WEFT_EXEC_OP_call);
    insn->a = target;
    insn->b = (int32_t)lowering->layout->local_bytes;
    insn->modifiers = lowering->layout->frame_bytes;
    insn->immediate = indirect ? 0 : lowering->kernel->part_of[index];
    for (uint32_t i = 0; i < call->return_count; i++)
        take_result(lowering, &call->returns[i], callee, i);
}

/* bar.sync a[, b]; bar.arrive a, b; bar.red d, a[, b], p; bar.warp.sync members */
static void lower_bar(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    const struct weft_ptx_operand *operands = source->operands;
    uint32_t count = source->operand_count;
    if (source->mode == WEFT_PTX_BAR_WARP) {
        int32_t members = weft_exec_operand_source(lowering, &operands[0], WEFT_PTX_U32);
        weft_exec_emit(lowering, WEFT_EXEC_OP_bar_warp)->more[1] = members;
        return;
    }
    bool reduces = source->mode == WEFT_PTX_BAR_RED;
    uint32_t first = reduces ? 1 : 0;
    if (count < first + 1u + reduces) {
        weft_exec_malformed(lowering, "so few operands");
        return;
    }
    bool flip = false, counted = count > first + 1 + (reduces ? 1 : 0);
    int32_t a = weft_exec_operand_source(lowering, &operands[first], WEFT_PTX_U32);
    int32_t b = counted ? weft_exec_operand_source(lowering, &operands[first + 1], WEFT_PTX_U32)
                        : WEFT_EXEC_NO_ROW;
    int32_t c = reduces ? weft_exec_operand_predicate(lowering, &operands[count - 1], &flip)
                        : WEFT_EXEC_NO_ROW;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_bar);
    insn->a = a;
    insn->b = b;
    insn->c = c;
    insn->kind = source->mode;
    insn->modifiers = flip ? WEFT_EXEC_NEGATE : 0;
    if (!reduces)
        return;
    bool counts = source->operation == WEFT_PTX_OP_POPC;
    int32_t d = counts ? weft_exec_operand_destination(lowering, &operands[0], WEFT_PTX_U32)
                       : weft_exec_operand_predicate(lowering, &operands[0], NULL);
    insn = weft_exec_emit(lowering, WEFT_EXEC_OP_bar_result);
    insn->d = d;
    insn->kind = source->operation;
}

/* The lanes named by the last operand of a .sync instruction; none where it is the older form. */
static int32_t members_row(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (!(source->flags & WEFT_PTX_SYNC))
        return WEFT_EXEC_NO_ROW;
    return weft_exec_operand_source(lowering, &source->operands[source->operand_count - 1],
                                    WEFT_PTX_U32);
}

static bool has_operands(struct weft_exec_lowering *lowering, uint32_t count)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint32_t wanted = count + (source->paired ? 1 : 0) + (source->flags & WEFT_PTX_SYNC ? 1 : 0);
    if (source->operand_count == wanted)
        return true;
    weft_exec_malformed(lowering, "so many operands");
    return false;
}

/* shfl d[|p], a, b, c[, members] */
static void lower_shfl(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (!has_operands(lowering, 4))
        return;
    const struct weft_ptx_operand *rest = &source->operands[source->paired ? 2 : 1];
    int32_t a = weft_exec_operand_source(lowering, &rest[0], WEFT_PTX_B32);
    int32_t b = weft_exec_operand_source(lowering, &rest[1], WEFT_PTX_B32);
    int32_t c = weft_exec_operand_source(lowering, &rest[2], WEFT_PTX_B32);
    int32_t members = members_row(lowering);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32);
    int32_t inside = source->paired
                         ? weft_exec_operand_predicate(lowering, &source->operands[1], NULL)
                         : WEFT_EXEC_NO_ROW;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_shfl);
    insn->d = d;
    insn->a = a;
    insn->b = b;
    insn->c = c;
    insn->more[0] = inside;
    insn->more[1] = members;
    insn->kind = source->mode;
}

/* vote d, p[, members] */
static void lower_vote(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (!has_operands(lowering, 2))
        return;
    bool flip = false, ballot = source->mode == WEFT_PTX_BALLOT;
    int32_t a = weft_exec_operand_predicate(lowering, &source->operands[1], &flip);
    int32_t members = members_row(lowering);
    int32_t d = ballot ? weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32)
                       : weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_vote);
    insn->d = d;
    insn->a = a;
    insn->more[1] = members;
    insn->kind = source->mode;
    insn->modifiers = flip ? WEFT_EXEC_NEGATE : 0;
}

/* match d[|p], a, members; redux d, a, members */
static void lower_match_or_redux(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    uint8_t type = source->types[0];
    bool matches = source->opcode == WEFT_PTX_MATCH;
    if (!has_operands(lowering, 2))
        return;
    if (!matches && weft_exec_type_is_float(type)) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t a = weft_exec_operand_source(lowering, &source->operands[source->paired ? 2 : 1], type);
    int32_t members = members_row(lowering);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32);
    int32_t second = source->paired
                         ? weft_exec_operand_predicate(lowering, &source->operands[1], NULL)
                         : WEFT_EXEC_NO_ROW;
    struct weft_exec_insn *insn =
        weft_exec_emit(lowering, matches ? WEFT_EXEC_OP_match : WEFT_EXEC_OP_redux);
    insn->d = d;
    insn->a = a;
    insn->more[0] = second;
    insn->more[1] = members;
    insn->kind = matches ? source->mode : source->operation;
    insn->count = (uint8_t)(matches ? weft_exec_row_bytes(type) : weft_exec_type_is_signed(type));
}

static void lower_elect(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (source->operand_count != 3) {
        weft_exec_unsupported(lowering);
        return;
    }
    int32_t members = weft_exec_operand_source(lowering, &source->operands[2], WEFT_PTX_B32);
    int32_t d = weft_exec_operand_destination(lowering, &source->operands[0], WEFT_PTX_B32);
    int32_t p = weft_exec_operand_predicate(lowering, &source->operands[1], NULL);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_elect);
    insn->d = d;
    insn->more[0] = p;
    insn->more[1] = members;
}

static void lower_activemask(struct weft_exec_lowering *lowering)
{
    int32_t d = weft_exec_operand_destination(lowering, &lowering->insn->operands[0], WEFT_PTX_B32);
    weft_exec_emit(lowering, WEFT_EXEC_OP_activemask)->d = d;
}

static weft_exec_lower_fn lower_together(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_BAR:
        return lower_bar;
    case WEFT_PTX_SHFL:
        return lower_shfl;
    case WEFT_PTX_VOTE:
        return lower_vote;
    case WEFT_PTX_MATCH:
    case WEFT_PTX_REDUX:
        return lower_match_or_redux;
    case WEFT_PTX_ELECT:
        return lower_elect;
    case WEFT_PTX_ACTIVEMASK:
        return lower_activemask;
    default:
        return NULL;
    }
}

weft_exec_lower_fn weft_exec_lower_control(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_BRA:
        return lower_bra;
    case WEFT_PTX_BRX:
        return lower_brx;
    case WEFT_PTX_CALL:
        return lower_call;
    case WEFT_PTX_RET:
        return lower_ret;
    case WEFT_PTX_EXIT:
        return lower_exit;
    case WEFT_PTX_TRAP:
    case WEFT_PTX_BRKPT:
        return lower_trap;
    case WEFT_PTX_MEMBAR:
    case WEFT_PTX_FENCE:
        return lower_fence;
    case WEFT_PTX_NANOSLEEP:
        return lower_nanosleep;
    case WEFT_PTX_PREFETCH:
    case WEFT_PTX_PREFETCHU:
    case WEFT_PTX_APPLYPRIORITY:
    case WEFT_PTX_DISCARD:
    case WEFT_PTX_PMEVENT:
    case WEFT_PTX_SETMAXNREG:
    case WEFT_PTX_GRIDDEPCONTROL_WAIT:
    case WEFT_PTX_GRIDDEPCONTROL_LAUNCH_DEPENDENTS:
        return lower_nop;
    default:
        return lower_together(opcode);
    }
}

/* Lowers a kernel with all that it calls into one array of code. */
#include "softgpu/exec/lower.h"

#include <string.h>

#include "util/util.h"

void weft_exec_unsupported(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *insn = lowering->insn;
    if (!lowering->failed)
        lowering->failed = weft_fail(lowering->err, WEFT_ENOSYS, "ptx:%u: %s is not supported",
                                     insn->line, insn->text);
}

void weft_exec_malformed(struct weft_exec_lowering *lowering, const char *what)
{
    const struct weft_ptx_insn *insn = lowering->insn;
    if (!lowering->failed)
        lowering->failed = weft_fail(lowering->err, WEFT_EINVAL, "ptx:%u:%u: %s cannot have %s",
                                     insn->line, insn->column, insn->text, what);
}

static struct weft_exec_insn *append(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    if (!lowering->failed && kernel->code_count == lowering->code_capacity) {
        uint32_t capacity = WEFT_MAX(64u, 2 * lowering->code_capacity);
        struct weft_exec_insn *grown = NULL;
        if (capacity <= WEFT_EXEC_CODE_MAX)
            grown = aligned_alloc(64, capacity * sizeof(*grown));
        if (grown == NULL) {
            lowering->failed = weft_fail(lowering->err, WEFT_ENOMEM, "%s: %u instructions",
                                         kernel->function->name, capacity);
        } else {
            if (kernel->code_count)
                memcpy(grown, kernel->code, kernel->code_count * sizeof(*grown));
            free(kernel->code);
            kernel->code = grown;
            lowering->code_capacity = capacity;
        }
    }
    return lowering->failed ? &lowering->discarded : &kernel->code[kernel->code_count++];
}

struct weft_exec_insn *weft_exec_emit(struct weft_exec_lowering *lowering, uint32_t op)
{
    struct weft_exec_insn *insn = append(lowering);
    const struct weft_ptx_insn *source = lowering->insn;
    *insn = (struct weft_exec_insn){
        .op = (uint16_t)op,
        .count = 1,
        .guard = WEFT_EXEC_NO_GUARD,
        .d = WEFT_EXEC_NO_ROW,
        .a = WEFT_EXEC_NO_ROW,
        .b = WEFT_EXEC_NO_ROW,
        .c = WEFT_EXEC_NO_ROW,
        .more = {WEFT_EXEC_NO_ROW, WEFT_EXEC_NO_ROW, WEFT_EXEC_NO_ROW},
        .source = source,
    };
    if (source && source->guard != WEFT_PTX_NONE) {
        insn->guard = (uint32_t)lowering->layout->row_of[source->guard];
        insn->guard_flip = source->guard_negated ? UINT32_MAX : 0;
    }
    return insn;
}

static weft_exec_lower_fn find_lowering(uint16_t opcode)
{
    weft_exec_lower_fn (*const tables[])(uint16_t) = {
        weft_exec_lower_async,   weft_exec_lower_cluster, weft_exec_lower_integer,
        weft_exec_lower_float,   weft_exec_lower_move,    weft_exec_lower_memory,
        weft_exec_lower_texture, weft_exec_lower_control, weft_exec_lower_video,
        weft_exec_lower_matrix};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(tables); i++) {
        weft_exec_lower_fn lower = tables[i](opcode);
        if (lower)
            return lower;
    }
    return weft_exec_unsupported;
}

/* Places where lanes may come together: targets of branches. */
static void mark_targets(const struct weft_ptx_function *function, bool *is_target)
{
    for (uint32_t i = 0; i < function->insn_count; i++) {
        const struct weft_ptx_insn *insn = &function->insns[i];
        if (insn->opcode == WEFT_PTX_BRA)
            is_target[insn->operands[0].index] = true;
        for (uint32_t t = 0; insn->table && t < insn->table->count; t++)
            is_target[insn->table->targets[t]] = true;
    }
}

static void lower_insns(struct weft_exec_lowering *lowering, const bool *is_target, uint32_t *pc_of)
{
    const struct weft_ptx_function *function = lowering->function;
    lowering->insn = NULL;
    if (lowering->layout->moves_stack && !function->entry)
        weft_exec_emit_stack(lowering, false);
    for (uint32_t i = 0; i <= function->insn_count && !lowering->failed; i++) {
        lowering->insn = NULL;
        if (is_target[i])
            weft_exec_emit(lowering, WEFT_EXEC_OP_join);
        pc_of[i] = lowering->kernel->code_count;
        if (i == function->insn_count)
            break;
        lowering->insn = &function->insns[i];
        lowering->temporaries_used = 0;
        find_lowering(lowering->insn->opcode)(lowering);
    }
    lowering->insn = NULL;
    if (lowering->layout->moves_stack && !function->entry)
        weft_exec_emit_stack(lowering, true);
    weft_exec_emit(lowering, function->entry ? WEFT_EXEC_OP_exit : WEFT_EXEC_OP_ret);
}

/* Branches hold instruction indices until the whole function stands. */
static void resolve_branches(struct weft_exec_lowering *lowering, uint32_t first_pc,
                             const uint32_t *pc_of)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    for (uint32_t pc = first_pc; pc < kernel->code_count; pc++) {
        struct weft_exec_insn *insn = &kernel->code[pc];
        if (insn->op == WEFT_EXEC_OP_bra)
            insn->immediate = pc_of[insn->immediate];
        for (int32_t t = 0; insn->op == WEFT_EXEC_OP_brx && t < insn->b; t++)
            kernel->tables[insn->immediate + t] = pc_of[kernel->tables[insn->immediate + t]];
    }
}

static int lower_part(struct weft_exec_lowering *lowering, uint32_t part)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    lowering->part = part;
    lowering->function = &lowering->module->functions[kernel->parts[part].function];
    lowering->layout = &lowering->layouts[part];
    uint32_t count = lowering->function->insn_count + 1;
    _cleanup_free_ bool *is_target = calloc(count, sizeof(*is_target));
    _cleanup_free_ uint32_t *pc_of = calloc(count, sizeof(*pc_of));
    if (is_target == NULL || pc_of == NULL)
        return weft_fail(lowering->err, WEFT_ENOMEM, "lowering %s", lowering->function->name);
    mark_targets(lowering->function, is_target);
    uint32_t first_pc = kernel->code_count;
    kernel->parts[part].first_pc = first_pc;
    lower_insns(lowering, is_target, pc_of);
    if (lowering->failed)
        return lowering->failed;
    kernel->parts[part].end_pc = kernel->code_count;
    resolve_branches(lowering, first_pc, pc_of);
    return 0;
}

static int fill_constants(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    kernel->constants = aligned_alloc(64, weft_round_up(kernel->constant_bytes + 64, 64));
    if (kernel->constants == NULL)
        return weft_fail(lowering->err, WEFT_ENOMEM, "constants of %s", kernel->function->name);
    for (uint32_t i = 0; i < lowering->constant_slots; i++) {
        const struct weft_exec_constant *constant = &lowering->constants[i];
        char *row = kernel->constants + constant->offset;
        for (uint32_t lane = 0; constant->row_bytes && lane < WEFT_EXEC_LANES; lane++)
            memcpy(row + lane * constant->row_bytes, &constant->bits, constant->row_bytes);
    }
    return 0;
}

struct chain {
    uint64_t frame_bytes, local_bytes;
    enum { UNSEEN, OPEN, KNOWN } state;
};

/* The deepest chain of direct calls from a part; depth is bounded by the number of parts. */
static void measure(struct weft_exec_kernel *kernel, struct chain *chains, uint32_t index)
{
    const struct weft_exec_part *part = &kernel->parts[index];
    struct chain *chain = &chains[index];
    uint64_t frame_bytes = 0, local_bytes = 0;
    chain->state = OPEN;
    for (uint32_t pc = part->first_pc; pc < part->end_pc; pc++) {
        const struct weft_exec_insn *insn = &kernel->code[pc];
        kernel->open_ended |= insn->op == WEFT_EXEC_OP_call_indirect;
        if (insn->op != WEFT_EXEC_OP_call)
            continue;
        const struct chain *callee = &chains[insn->immediate];
        if (callee->state == UNSEEN)
            measure(kernel, chains, (uint32_t)insn->immediate);
        kernel->open_ended |= callee->state == OPEN;
        frame_bytes = WEFT_MAX(frame_bytes, callee->frame_bytes);
        local_bytes = WEFT_MAX(local_bytes, callee->local_bytes);
    }
    chain->frame_bytes = part->frame_bytes + frame_bytes;
    chain->local_bytes = part->local_bytes + local_bytes;
    chain->state = KNOWN;
}

static int measure_calls(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    _cleanup_free_ struct chain *chains = calloc(kernel->part_count, sizeof(*chains));
    if (chains == NULL)
        return weft_fail(lowering->err, WEFT_ENOMEM, "calls of %s", kernel->function->name);
    measure(kernel, chains, 0);
    if (chains[0].frame_bytes > WEFT_EXEC_FRAME_BYTES_MAX ||
        chains[0].local_bytes > WEFT_EXEC_LOCAL_WINDOW_BYTES)
        return weft_fail(lowering->err, WEFT_ERANGE, "%s: calls need too much memory",
                         kernel->function->name);
    kernel->frame_bytes_max = (uint32_t)chains[0].frame_bytes;
    kernel->local_bytes_max = (uint32_t)chains[0].local_bytes;
    uint32_t slots = 0;
    for (uint32_t p = 0; p < kernel->part_count; p++)
        slots = WEFT_MAX(slots, kernel->parts[p].register_slots);
    kernel->argument_bytes = WEFT_EXEC_FRAME_HEAD_BYTES + slots * WEFT_EXEC_ROW_BYTES_MAX;
    return 0;
}

static int lower_all(struct weft_exec_lowering *lowering, uint32_t function)
{
    int rc = weft_exec_layout_kernel(lowering, function);
    for (uint32_t p = 0; rc == 0 && p < lowering->kernel->part_count; p++)
        rc = lower_part(lowering, p);
    if (rc == 0)
        rc = measure_calls(lowering);
    if (rc == 0)
        rc = weft_exec_find_cleared(lowering);
    if (rc == 0)
        rc = fill_constants(lowering);
    return rc;
}

void weft_exec_kernel_destroy(struct weft_exec_kernel *kernel)
{
    if (kernel == NULL)
        return;
    free(kernel->code);
    free(kernel->constants);
    free(kernel->parts);
    free(kernel->part_of);
    free(kernel->tables);
    free(kernel->matrices);
    free(kernel->samples);
    free(kernel->cleared);
    weft_exec_variables_finish(&kernel->shared_variables);
    weft_exec_variables_finish(&kernel->local_variables);
    weft_exec_variables_finish(&kernel->param_variables);
    free(kernel);
}

int weft_exec_lower_kernel(struct weft_exec_kernel **out, const struct weft_exec_program *program,
                           uint32_t function, struct weft_err *err)
{
    struct weft_exec_kernel *kernel = calloc(1, sizeof(*kernel));
    if (kernel == NULL)
        return weft_fail(err, WEFT_ENOMEM, "lowering a kernel");
    kernel->module = program->module;
    kernel->function = &program->module->functions[function];
    kernel->variable_addresses = program->variable_addresses;
    struct weft_exec_lowering lowering = {
        .program = program, .module = program->module, .kernel = kernel, .err = err};
    int rc = lower_all(&lowering, function);
    for (uint32_t p = 0; lowering.layouts && p < kernel->part_count; p++)
        weft_exec_layout_finish(&lowering.layouts[p]);
    free(lowering.layouts);
    free(lowering.shared_of);
    free(lowering.is_used_shared);
    free(lowering.constants);
    if (rc) {
        weft_exec_kernel_destroy(kernel);
        return rc;
    }
    *out = kernel;
    return 0;
}

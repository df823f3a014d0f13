/* Before lowering: which functions a kernel reaches, and where their registers, parameters and
 * variables lie. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "util/util.h"

void weft_exec_layout_finish(struct weft_exec_layout *layout)
{
    free(layout->row_of);
    free(layout->lifetimes);
    free(layout->local_offset);
    free(layout->shared_offset);
}

static int no_memory(struct weft_exec_lowering *lowering)
{
    return weft_fail(lowering->err, WEFT_ENOMEM, "lowering %s", lowering->kernel->function->name);
}

static void reach_function(struct weft_exec_lowering *lowering, uint32_t index)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    const struct weft_ptx_function *function = &lowering->module->functions[index];
    if (function->body && kernel->part_of[index] == WEFT_PTX_NONE && !lowering->failed) {
        lowering->failed = weft_ptx_read_body(lowering->module, index, lowering->err);
        kernel->part_of[index] = kernel->part_count;
        kernel->parts[kernel->part_count++].function = index;
    }
}

static void reach_variable(struct weft_exec_lowering *lowering, uint32_t index)
{
    uint8_t space = lowering->module->variables[index].space;
    if (space == WEFT_PTX_SHARED || space == WEFT_PTX_SHARED_CLUSTER)
        lowering->is_used_shared[index] = true;
}

static void reach_operand(struct weft_exec_lowering *lowering,
                          const struct weft_ptx_operand *operand)
{
    bool names_symbol =
        operand->kind == WEFT_PTX_OPERAND_SYMBOL || operand->kind == WEFT_PTX_OPERAND_ADDRESS;
    if (names_symbol && operand->symbol == WEFT_PTX_SYMBOL_FUNCTION)
        reach_function(lowering, operand->index);
    if (names_symbol && operand->symbol == WEFT_PTX_SYMBOL_VARIABLE)
        reach_variable(lowering, operand->index);
    for (uint32_t i = 0; i < operand->element_count && operand->elements; i++)
        reach_operand(lowering, &operand->elements[i]);
}

/* An indirect call may reach whatever stands in a table of the module. */
static void reach_tables(struct weft_exec_lowering *lowering)
{
    for (uint32_t v = 0; v < lowering->module->variable_count; v++) {
        const struct weft_ptx_variable *variable = &lowering->module->variables[v];
        for (uint32_t r = 0; r < variable->relocation_count; r++)
            if (variable->relocations[r].symbol == WEFT_PTX_SYMBOL_FUNCTION &&
                !lowering->module->functions[variable->relocations[r].index].entry)
                reach_function(lowering, variable->relocations[r].index);
    }
}

static void reach_from(struct weft_exec_lowering *lowering, const struct weft_ptx_insn *insn)
{
    for (uint32_t i = 0; i < insn->operand_count; i++)
        reach_operand(lowering, &insn->operands[i]);
    const struct weft_ptx_call *call = insn->call;
    if (call == NULL)
        return;
    reach_operand(lowering, &call->target);
    for (uint32_t i = 0; i < call->argument_count; i++)
        reach_operand(lowering, &call->arguments[i]);
    if (call->target.kind == WEFT_PTX_OPERAND_REGISTER) {
        lowering->kernel->calls_indirect = true;
        reach_tables(lowering);
    }
}

static bool moves_stack(const struct weft_ptx_function *function)
{
    for (uint32_t i = 0; i < function->insn_count; i++)
        if (function->insns[i].opcode == WEFT_PTX_ALLOCA ||
            function->insns[i].opcode == WEFT_PTX_STACKRESTORE)
            return true;
    return false;
}

static uint32_t results_bytes(const struct weft_ptx_function *function)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < function->return_count; i++)
        if (function->returns[i].space == WEFT_PTX_PARAM)
            bytes = WEFT_MAX(bytes, function->returns[i].offset + function->returns[i].bytes);
    return bytes;
}

static void note_variable(struct weft_exec_lowering *lowering,
                          struct weft_exec_variables *variables, const char *name, uint64_t offset,
                          uint64_t bytes)
{
    const struct weft_exec_variable variable = {name, offset, bytes};
    if (!weft_exec_variables_add(variables, &variable) && !lowering->failed)
        lowering->failed = no_memory(lowering);
}

static uint32_t place_shared(struct weft_exec_lowering *lowering,
                             const struct weft_ptx_variable *variable)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    uint32_t align = variable->align ? variable->align : 1;
    kernel->shared_align = WEFT_MAX(kernel->shared_align, align);
    uint64_t offset = weft_round_up(kernel->static_shared_bytes, align);
    if (variable->bytes > WEFT_EXEC_SHARED_WINDOW_BYTES - offset) {
        if (!lowering->failed)
            lowering->failed =
                weft_fail(lowering->err, WEFT_ERANGE, "ptx:%u: %s: %llu bytes of .shared",
                          variable->line, variable->name, (unsigned long long)variable->bytes);
        return 0;
    }
    kernel->static_shared_bytes = (uint32_t)(offset + variable->bytes);
    note_variable(lowering, &kernel->shared_variables, variable->name, offset, variable->bytes);
    return (uint32_t)offset;
}

static int lay_variables(struct weft_exec_lowering *lowering,
                         const struct weft_ptx_function *function, struct weft_exec_layout *layout)
{
    layout->local_offset = calloc(function->variable_count + 1, sizeof(uint32_t));
    layout->shared_offset = calloc(function->variable_count + 1, sizeof(uint32_t));
    if (layout->local_offset == NULL || layout->shared_offset == NULL)
        return no_memory(lowering);
    uint64_t next = 0;
    if (!function->entry) {
        layout->return_offset = (uint32_t)weft_round_up(function->parameter_bytes, 16);
        next = layout->return_offset + weft_round_up(results_bytes(function), 16) +
               WEFT_EXEC_CALL_BYTES;
    }
    for (uint32_t i = 0; i < function->variable_count; i++) {
        const struct weft_ptx_variable *variable = &function->variables[i];
        if (variable->space == WEFT_PTX_SHARED) {
            layout->shared_offset[i] = place_shared(lowering, variable);
        } else if (variable->space == WEFT_PTX_LOCAL || variable->space == WEFT_PTX_PARAM) {
            next = weft_round_up(next, variable->align ? variable->align : 1);
            layout->local_offset[i] = (uint32_t)next;
            if (variable->bytes > WEFT_EXEC_LOCAL_WINDOW_BYTES)
                return weft_fail(lowering->err, WEFT_ERANGE, "ptx:%u: %s: too large for .local",
                                 variable->line, variable->name);
            if (function == lowering->kernel->function)
                note_variable(lowering, &lowering->kernel->local_variables, variable->name, next,
                              variable->bytes);
            next += variable->bytes;
        }
        if (next > WEFT_EXEC_LOCAL_WINDOW_BYTES)
            return weft_fail(lowering->err, WEFT_ERANGE, "%s: too much .local", function->name);
    }
    layout->local_bytes = (uint32_t)weft_round_up(next, 16);
    return lowering->failed;
}

/* Sized variables first; all unsized ones begin where those end. */
static void lay_module_shared(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_module *module = lowering->module;
    uint32_t dynamic_align = 16;
    for (uint32_t i = 0; i < module->variable_count; i++) {
        const struct weft_ptx_variable *variable = &module->variables[i];
        if (lowering->is_used_shared[i] && variable->bytes)
            lowering->shared_of[i] = place_shared(lowering, variable);
        else if (lowering->is_used_shared[i])
            dynamic_align = WEFT_MAX(dynamic_align, variable->align);
    }
    bool dynamic = false;
    for (uint32_t i = 0; i < module->variable_count; i++)
        dynamic |= lowering->is_used_shared[i] && module->variables[i].bytes == 0;
    struct weft_exec_kernel *kernel = lowering->kernel;
    if (dynamic)
        kernel->static_shared_bytes =
            (uint32_t)weft_round_up(kernel->static_shared_bytes, dynamic_align);
    for (uint32_t i = 0; i < module->variable_count; i++)
        if (lowering->is_used_shared[i] && module->variables[i].bytes == 0)
            lowering->shared_of[i] = kernel->static_shared_bytes;
}

static int allocate(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    const struct weft_ptx_module *module = lowering->module;
    kernel->parts = calloc(module->function_count, sizeof(*kernel->parts));
    kernel->part_of = malloc(module->function_count * sizeof(*kernel->part_of));
    lowering->layouts = calloc(module->function_count, sizeof(*lowering->layouts));
    lowering->shared_of = calloc(module->variable_count + 1, sizeof(*lowering->shared_of));
    lowering->is_used_shared =
        calloc(module->variable_count + 1, sizeof(*lowering->is_used_shared));
    if (!kernel->parts || !kernel->part_of || !lowering->layouts || !lowering->shared_of ||
        !lowering->is_used_shared)
        return no_memory(lowering);
    memset(kernel->part_of, 0xff, module->function_count * sizeof(*kernel->part_of));
    return 0;
}

/* Names for the checker; what it does not know of it would refuse. */
static void note_parameters(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    for (uint32_t i = 0; i < kernel->function->parameter_count; i++) {
        const struct weft_ptx_parameter *parameter = &kernel->function->parameters[i];
        note_variable(lowering, &kernel->param_variables, parameter->name, parameter->offset,
                      parameter->bytes);
    }
}

int weft_exec_layout_kernel(struct weft_exec_lowering *lowering, uint32_t function)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    int rc = allocate(lowering);
    if (rc)
        return rc;
    reach_function(lowering, function);
    for (uint32_t p = 0; p < kernel->part_count && !lowering->failed; p++) {
        const struct weft_ptx_function *reached =
            &lowering->module->functions[kernel->parts[p].function];
        for (uint32_t i = 0; i < reached->insn_count; i++)
            reach_from(lowering, &reached->insns[i]);
    }
    for (uint32_t p = 0; p < kernel->part_count && !lowering->failed; p++) {
        struct weft_exec_part *part = &kernel->parts[p];
        struct weft_exec_layout *layout = &lowering->layouts[p];
        const struct weft_ptx_function *reached = &lowering->module->functions[part->function];
        rc = weft_exec_lay_registers(lowering, reached, layout);
        if (rc == 0)
            rc = lay_variables(lowering, reached, layout);
        if (rc)
            return rc;
        part->frame_bytes = layout->frame_bytes;
        part->local_bytes = layout->local_bytes;
        part->register_slots = weft_exec_register_slot_count(reached);
        layout->moves_stack = moves_stack(reached);
        kernel->open_ended |= layout->moves_stack;
    }
    lay_module_shared(lowering);
    note_parameters(lowering);
    return lowering->failed;
}

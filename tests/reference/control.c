/* Frames: calls, arguments, returns. */
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#include "types.h"

#define VALUE_BYTES_MAX 4096u

/* Parameters and returns have offsets of their own, each list from zero. */
static uint32_t list_bytes(const struct weft_ptx_parameter *list, uint32_t count)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        if (list[i].space == WEFT_PTX_PARAM && list[i].offset + list[i].bytes > bytes)
            bytes = list[i].offset + list[i].bytes;
    return (bytes + 15) & ~15u;
}

static void make_room(struct thread *thread)
{
    if (thread->frame_count < thread->frame_room)
        return;
    thread->frame_room = thread->frame_room ? 2 * thread->frame_room : 2;
    thread->frames = realloc(thread->frames, thread->frame_room * sizeof *thread->frames);
    if (!thread->frames)
        abort(); /* a test program: nothing sensible is left to do */
}

bool control_enter(struct thread *thread, const struct weft_ptx_function *function)
{
    uint64_t local = thread->frame_count ? thread_frame(thread)->local_end : 0;
    uint64_t stack = thread->block->launch->stack_bytes;
    uint64_t local_bytes = layout_frame_bytes(function, WEFT_PTX_LOCAL);
    if (thread->frame_count == MACHINE_FRAMES_MAX || local + local_bytes > stack)
        return false;
    struct frame frame = {.function = function, .local_start = local};
    frame.local_end = local + local_bytes;
    frame.return_start = list_bytes(function->parameters, function->parameter_count);
    frame.param_local_start =
        frame.return_start + list_bytes(function->returns, function->return_count);
    frame.param_bytes =
        frame.param_local_start + (uint32_t)layout_frame_bytes(function, WEFT_PTX_PARAM);
    frame.registers = calloc(function->register_count + 1, sizeof *frame.registers);
    frame.params = calloc(1, frame.param_bytes + 1);
    if (!frame.registers || !frame.params)
        abort();
    make_room(thread);
    thread->frames[thread->frame_count++] = frame;
    return true;
}

static void leave(struct thread *thread)
{
    struct frame *frame = thread_frame(thread);
    free(frame->registers);
    free(frame->params);
    thread->frame_count--;
}

void control_leave_all(struct thread *thread)
{
    while (thread->frame_count)
        leave(thread);
}

/* The bytes of a value in the frame on top: of a .param variable, or of a register or constant of
 * that type. */
static void get_value(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type,
                      uint32_t bytes, uint8_t *value)
{
    memset(value, 0, VALUE_BYTES_MAX);
    if (operand->kind == WEFT_PTX_OPERAND_SYMBOL && operand->symbol != WEFT_PTX_SYMBOL_FUNCTION &&
        operand->symbol != WEFT_PTX_SYMBOL_VARIABLE) {
        memcpy(value, thread_frame(thread)->params + operand_address(thread, operand), bytes);
        return;
    }
    uint64_t bits = operand_read(thread, operand, type);
    memcpy(value, &bits, sizeof bits);
}

static void put_value(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type,
                      uint32_t bytes, const uint8_t *value)
{
    if (operand->kind == WEFT_PTX_OPERAND_SYMBOL) {
        memcpy(thread_frame(thread)->params + operand_address(thread, operand), value, bytes);
        return;
    }
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    operand_write(thread, operand, type, bits);
}

/* The same for a parameter or a return of the function on top, whose list begins at `start`. */
static void get_own(struct thread *thread, const struct weft_ptx_parameter *own, uint32_t start,
                    uint8_t *value)
{
    struct frame *frame = thread_frame(thread);
    memset(value, 0, VALUE_BYTES_MAX);
    if (own->space == WEFT_PTX_PARAM)
        memcpy(value, frame->params + start + own->offset, own->bytes);
    else
        memcpy(value, &frame->registers[own->reg][0], sizeof(uint64_t));
}

static void put_own(struct thread *thread, const struct weft_ptx_parameter *own, uint32_t start,
                    const uint8_t *value)
{
    struct frame *frame = thread_frame(thread);
    if (own->space == WEFT_PTX_PARAM) {
        memcpy(frame->params + start + own->offset, value, own->bytes);
        return;
    }
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    frame->registers[own->reg][0] = low_bits(bits, type_bits(own->type));
}

static const struct weft_ptx_function *target_of(struct thread *thread,
                                                 const struct weft_ptx_operand *target)
{
    const struct weft_ptx_module *module = thread->block->launch->module;
    if (target->kind == WEFT_PTX_OPERAND_SYMBOL)
        return &module->functions[target->index];
    uint64_t address = operand_read(thread, target, WEFT_PTX_B64);
    for (uint32_t i = 0; i < module->function_count; i++)
        if (WEFT_EXEC_FUNCTION_ADDRESS(i) == address)
            return &module->functions[i];
    return NULL;
}

/* A declaration without a body stands for the function of that name that has one. */
static const struct weft_ptx_function *with_body(const struct weft_ptx_module *module,
                                                 const struct weft_ptx_function *function)
{
    for (uint32_t i = 0; !function->body && i < module->function_count; i++)
        if (module->functions[i].body && strcmp(module->functions[i].name, function->name) == 0)
            return &module->functions[i];
    return function;
}

/* Behind all other parameters of the frame on top comes what the frame below it passes. */
static void take_unsized(struct thread *thread, const struct weft_ptx_operand *operand)
{
    struct frame *frame = thread_frame(thread);
    struct frame *caller = frame - 1;
    uint32_t bytes = (uint32_t)caller->function->variables[operand->index].bytes;
    frame->unsized_start = frame->param_bytes;
    frame->param_bytes += bytes;
    frame->params = realloc(frame->params, frame->param_bytes + 1);
    if (!frame->params)
        abort();
    thread->frame_count--;
    uint64_t from = operand_address(thread, operand);
    thread->frame_count++;
    memcpy(frame->params + frame->unsized_start, caller->params + from, bytes);
}

enum step control_call(struct thread *thread, const struct weft_ptx_insn *insn)
{
    const struct weft_ptx_call *call = insn->call;
    const struct weft_ptx_function *function = target_of(thread, &call->target);
    if (!function)
        return thread_fault(thread, WEFT_EXEC_FAULT_INVALID_PC, 0);
    function = with_body(thread->block->launch->module, function);
    if (!function->body)
        return system_call(thread, insn, function->name);
    thread_frame(thread)->call = call;
    uint32_t caller = thread->frame_count - 1;
    if (!control_enter(thread, function))
        return thread_fault(thread, WEFT_EXEC_FAULT_STACK_OVERFLOW, 0);
    for (uint32_t i = 0; i < call->argument_count && i < function->parameter_count; i++) {
        const struct weft_ptx_parameter *parameter = &function->parameters[i];
        if (parameter->space == WEFT_PTX_PARAM && parameter->bytes == 0) {
            take_unsized(thread, &call->arguments[i]);
            continue;
        }
        uint8_t value[VALUE_BYTES_MAX];
        uint32_t top = thread->frame_count;
        thread->frame_count = caller + 1;
        get_value(thread, &call->arguments[i], parameter->type, parameter->bytes, value);
        thread->frame_count = top;
        put_own(thread, parameter, 0, value);
    }
    return STEP_JUMPED;
}

enum step control_return(struct thread *thread)
{
    if (thread->frame_count == 1)
        return STEP_EXIT;
    struct frame callee = *thread_frame(thread);
    const struct weft_ptx_function *function = callee.function;
    uint32_t top = thread->frame_count;
    const struct weft_ptx_call *call = thread->frames[top - 2].call;
    for (uint32_t i = 0; i < call->return_count && i < function->return_count; i++) {
        uint8_t value[VALUE_BYTES_MAX];
        get_own(thread, &function->returns[i], callee.return_start, value);
        thread->frame_count = top - 1;
        put_value(thread, &call->returns[i], function->returns[i].type, function->returns[i].bytes,
                  value);
        thread->frame_count = top;
    }
    leave(thread);
    thread_frame(thread)->pc++;
    return STEP_JUMPED;
}

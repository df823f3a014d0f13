/* Address spaces, loads, stores and atomics. */
#include <string.h>

#include "machine.h"

#include "alu.h"
#include "types.h"

static bool is_live(const struct weft_exec_memory *memory, uint64_t address, uint32_t bytes)
{
    uint64_t offset = address - memory->window_base;
    if (offset >= memory->window_bytes || memory->window_bytes - offset < bytes)
        return false;
    for (uint64_t at = offset; at < offset + bytes; at++) {
        uint64_t bit = at / WEFT_EXEC_LIVE_BLOCK_BYTES;
        if (!(memory->live[bit / 64] >> bit % 64 & 1))
            return false;
    }
    return true;
}

static void *find_global(const struct weft_exec_memory *memory, uint64_t address, uint32_t bytes)
{
    if (is_live(memory, address, bytes))
        return (void *)(address + (uint64_t)memory->alias_delta);
    return memory->foreign ? memory->foreign(memory->foreign_context, address, bytes) : NULL;
}

static void *inside(uint8_t *start, uint64_t size, uint64_t offset, uint32_t bytes)
{
    return offset <= size && size - offset >= bytes ? start + offset : NULL;
}

static void *find_generic(struct thread *thread, uint64_t address, uint32_t bytes)
{
    struct block *block = thread->block;
    const struct weft_exec_memory *memory = block->launch->memory;
    if (address - memory->shared_base < WEFT_EXEC_SHARED_WINDOW_BYTES)
        return cluster_shared(block, address - memory->shared_base, bytes);
    if (address - memory->local_base < WEFT_EXEC_LOCAL_WINDOW_BYTES)
        return inside(thread->local, block->launch->stack_bytes, address - memory->local_base,
                      bytes);
    if (address - memory->param_base < WEFT_EXEC_PARAM_WINDOW_BYTES)
        return inside(thread->frames[0].params, thread->frames[0].param_bytes,
                      address - memory->param_base, bytes);
    return find_global(memory, address, bytes);
}

void *memory_find(struct thread *thread, uint8_t space, uint64_t address, uint32_t bytes,
                  uint32_t align)
{
    struct block *block = thread->block;
    struct frame *frame = thread_frame(thread);
    void *found;
    if (address % align) {
        thread_fault(thread, WEFT_EXEC_FAULT_MISALIGNED, address);
        return NULL;
    }
    switch (space) {
    case WEFT_PTX_SHARED:
        found = cluster_shared(block, address, bytes);
        break;
    case WEFT_PTX_LOCAL:
        found = inside(thread->local, block->launch->stack_bytes, address, bytes);
        break;
    case WEFT_PTX_PARAM:
        found = inside(frame->params, frame->param_bytes, address, bytes);
        break;
    case WEFT_PTX_GENERIC:
        found = find_generic(thread, address, bytes);
        break;
    default:
        found = find_global(block->launch->memory, address, bytes);
        break;
    }
    if (!found)
        thread_fault(thread, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, address);
    return found;
}

/* A block is a cluster of its own. */
static uint8_t effective_space(const struct weft_ptx_insn *insn)
{
    return insn->space == WEFT_PTX_SHARED_CLUSTER ? WEFT_PTX_SHARED : insn->space;
}

static unsigned element_count(const struct weft_ptx_insn *insn)
{
    return insn->vector ? insn->vector : 1;
}

enum step memory_load(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint8_t type = insn->types[0];
    uint32_t size = weft_ptx_type_bytes(type);
    uint32_t bytes = size * element_count(insn);
    uint64_t address = operand_address(thread, &insn->operands[1]);
    const uint8_t *from = memory_find(thread, effective_space(insn), address, bytes, bytes);
    if (!from)
        return STEP_FAULT;
    if (size == 16) {
        uint64_t wide[2];
        memcpy(wide, from, sizeof wide);
        operand_write_wide(thread, &insn->operands[0], wide);
        return STEP_NEXT;
    }
    for (unsigned i = 0; i < element_count(insn); i++) {
        uint64_t value = 0;
        memcpy(&value, from + i * size, size);
        struct weft_ptx_operand to = operand_element(&insn->operands[0], i);
        operand_write(thread, &to, type, value);
    }
    return STEP_NEXT;
}

enum step memory_store(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint8_t type = insn->types[0];
    uint32_t size = weft_ptx_type_bytes(type);
    uint32_t bytes = size * element_count(insn);
    uint64_t address = operand_address(thread, &insn->operands[0]);
    uint8_t *to = memory_find(thread, effective_space(insn), address, bytes, bytes);
    if (!to)
        return STEP_FAULT;
    if (size == 16) {
        uint64_t wide[2];
        operand_read_wide(thread, &insn->operands[1], wide);
        memcpy(to, wide, sizeof wide);
        return STEP_NEXT;
    }
    for (unsigned i = 0; i < element_count(insn); i++) {
        struct weft_ptx_operand from = operand_element(&insn->operands[1], i);
        uint64_t value = operand_read(thread, &from, type);
        memcpy(to + i * size, &value, size);
    }
    return STEP_NEXT;
}

/* The operations that are instructions too. */
static uint16_t plain_opcode(uint8_t operation)
{
    switch (operation) {
    case WEFT_PTX_OP_AND:
        return WEFT_PTX_AND;
    case WEFT_PTX_OP_OR:
        return WEFT_PTX_OR;
    case WEFT_PTX_OP_XOR:
        return WEFT_PTX_XOR;
    case WEFT_PTX_OP_ADD:
        return WEFT_PTX_ADD;
    case WEFT_PTX_OP_MIN:
        return WEFT_PTX_MIN;
    default:
        return WEFT_PTX_MAX;
    }
}

bool memory_combine(uint8_t operation, uint8_t type, uint32_t flags, uint64_t old, uint64_t value,
                    uint64_t *out)
{
    switch (operation) {
    case WEFT_PTX_OP_EXCH:
        *out = value;
        return true;
    case WEFT_PTX_OP_INC:
        *out = old >= value ? 0 : old + 1;
        return true;
    case WEFT_PTX_OP_DEC:
        *out = old == 0 || old > value ? value : old - 1;
        return true;
    default:
        break;
    }
    struct weft_ptx_insn insn = {
        .opcode = plain_opcode(operation), .types = {type}, .flags = flags};
    struct alu alu = {.insn = &insn, .source = {old, value}};
    bool known = alu_evaluate(&alu);
    *out = alu.result;
    return known;
}

static bool is_in_shared(const struct block *block, const void *cell)
{
    uint64_t offset = (uint64_t)cell - (uint64_t)block->shared;
    return offset < block->shared_bytes;
}

/* One element of atom or red: what the cell held goes to *old. */
static bool change_cell(struct thread *thread, const struct weft_ptx_insn *insn, uint8_t *cell,
                        const struct weft_ptx_operand *sources, uint64_t *old)
{
    uint8_t type = insn->types[0];
    uint32_t size = weft_ptx_type_bytes(type);
    /* Outside of shared memory an F32 sum flushes subnormal numbers. */
    bool flushes = type == WEFT_PTX_F32 && !is_in_shared(thread->block, cell);
    uint32_t flags = flushes ? WEFT_PTX_FTZ : 0;
    *old = 0;
    memcpy(old, cell, size);
    uint64_t value = operand_read(thread, &sources[0], type);
    if (insn->operation == WEFT_PTX_OP_CAS)
        value = *old == value ? operand_read(thread, &sources[1], type) : *old;
    else if (!memory_combine(insn->operation, type, flags, *old, value, &value))
        return false;
    memcpy(cell, &value, size);
    return true;
}

/* b128: exch and cas. */
static enum step change_wide(struct thread *thread, const struct weft_ptx_insn *insn, uint8_t *cell)
{
    uint64_t old[2], value[2], wanted[2];
    bool compares = insn->operation == WEFT_PTX_OP_CAS;
    memcpy(old, cell, sizeof old);
    operand_read_wide(thread, &insn->operands[compares ? 3 : 2], value);
    operand_read_wide(thread, &insn->operands[2], wanted);
    if (!compares || memcmp(old, wanted, sizeof old) == 0)
        memcpy(cell, value, sizeof value);
    operand_write_wide(thread, &insn->operands[0], old);
    return STEP_NEXT;
}

#define ELEMENTS_MAX 8

enum step memory_atomic(struct thread *thread, const struct weft_ptx_insn *insn)
{
    bool returns = insn->opcode == WEFT_PTX_ATOM;
    const struct weft_ptx_operand *sources = &insn->operands[returns];
    uint8_t type = insn->types[0];
    uint32_t size = weft_ptx_type_bytes(type), count = element_count(insn);
    uint64_t address = operand_address(thread, &sources[0]), old[ELEMENTS_MAX];
    uint8_t *cell = memory_find(thread, effective_space(insn), address, size * count, size * count);
    if (!cell)
        return STEP_FAULT;
    if (size == 16)
        return change_wide(thread, insn, cell);
    for (uint32_t i = 0; i < count; i++) {
        struct weft_ptx_operand given[2] = {operand_element(&sources[1], i), sources[2]};
        if (!change_cell(thread, insn, cell + i * size, given, &old[i]))
            return STEP_UNKNOWN;
    }
    for (uint32_t i = 0; returns && i < count; i++) {
        struct weft_ptx_operand to = operand_element(&insn->operands[0], i);
        operand_write(thread, &to, type, old[i]);
    }
    return STEP_NEXT;
}

/* alloca: what it gives lies above the frame, and goes with it. */
enum step memory_take_stack(struct thread *thread, const struct weft_ptx_insn *insn)
{
    struct frame *frame = thread_frame(thread);
    uint64_t bytes = operand_read(thread, &insn->operands[1], insn->types[0]);
    uint64_t align = insn->operand_count > 2 ? insn->operands[2].bits : 8;
    uint64_t place = (frame->local_end + align - 1) / align * align;
    uint64_t stack = thread->block->launch->stack_bytes;
    if (place > stack || bytes > stack - place)
        return thread_fault(thread, WEFT_EXEC_FAULT_STACK_OVERFLOW, 0);
    frame->local_end = place + bytes;
    operand_write(thread, &insn->operands[0], insn->types[0], place);
    return STEP_NEXT;
}

static uint64_t window_of(const struct weft_exec_memory *memory, uint8_t space)
{
    switch (space) {
    case WEFT_PTX_SHARED:
        return memory->shared_base;
    case WEFT_PTX_LOCAL:
        return memory->local_base;
    case WEFT_PTX_PARAM:
        return memory->param_base;
    default:
        return 0;
    }
}

enum step memory_convert_address(struct thread *thread, const struct weft_ptx_insn *insn)
{
    uint64_t window = window_of(thread->block->launch->memory, effective_space(insn));
    uint64_t address = operand_read(thread, &insn->operands[1], insn->types[0]);
    address = insn->flags & WEFT_PTX_TO ? address - window : address + window;
    operand_write(thread, &insn->operands[0], insn->types[0], address);
    return STEP_NEXT;
}

static bool is_constant(const struct thread *thread, uint64_t address)
{
    const struct reference_launch *launch = thread->block->launch;
    bool found = false;
    for (uint32_t i = 0; i < launch->module->variable_count; i++) {
        const struct weft_ptx_variable *variable = &launch->module->variables[i];
        uint64_t start = launch->variable_addresses[i];
        found |= variable->space == WEFT_PTX_CONST && address >= start &&
                 address < start + variable->bytes;
    }
    return found;
}

enum step memory_is_space(struct thread *thread, const struct weft_ptx_insn *insn)
{
    const struct weft_exec_memory *memory = thread->block->launch->memory;
    uint64_t address = operand_read(thread, &insn->operands[1], WEFT_PTX_B64);
    bool shared = address - memory->shared_base < WEFT_EXEC_SHARED_WINDOW_BYTES;
    bool local = address - memory->local_base < WEFT_EXEC_LOCAL_WINDOW_BYTES;
    bool param = address - memory->param_base < WEFT_EXEC_PARAM_WINDOW_BYTES;
    bool result;
    switch (effective_space(insn)) {
    case WEFT_PTX_SHARED:
        result = shared;
        break;
    case WEFT_PTX_LOCAL:
        result = local;
        break;
    case WEFT_PTX_PARAM:
        result = param;
        break;
    case WEFT_PTX_GLOBAL:
        result = !shared && !local && !param && !is_constant(thread, address);
        break;
    case WEFT_PTX_CONST:
        result = is_constant(thread, address);
        break;
    default:
        return STEP_UNKNOWN;
    }
    operand_write(thread, &insn->operands[0], WEFT_PTX_PRED, result);
    return STEP_NEXT;
}

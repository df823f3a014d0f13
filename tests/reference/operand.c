/* Sources and destinations of an instruction. */
#include "machine.h"

#include "real.h"
#include "types.h"

static uint64_t lane_mask(const struct thread *thread, uint32_t special)
{
    uint32_t lane = thread->index % WEFT_EXEC_WARP_LANES;
    uint32_t equal = 1u << lane;
    uint32_t below = equal - 1;
    switch (special) {
    case WEFT_PTX_SPECIAL_LANEMASK_EQ:
        return equal;
    case WEFT_PTX_SPECIAL_LANEMASK_LT:
        return below;
    case WEFT_PTX_SPECIAL_LANEMASK_LE:
        return below | equal;
    case WEFT_PTX_SPECIAL_LANEMASK_GE:
        return ~below;
    default:
        return ~(below | equal);
    }
}

static uint64_t axis(const uint32_t values[3], uint8_t component, uint64_t fourth)
{
    return component < 3 ? values[component] : fourth;
}

/* What differs from run to run (clocks, the SM's number) is anything plausible: tests do not look
 * at it. */
static uint64_t special_value(struct thread *thread, uint32_t special, uint8_t component)
{
    const struct reference_launch *launch = thread->block->launch;
    switch (special) {
    case WEFT_PTX_SPECIAL_TID:
        return axis(thread->tid, component, 0);
    case WEFT_PTX_SPECIAL_NTID:
        return axis(launch->block, component, 0);
    case WEFT_PTX_SPECIAL_CTAID:
        return axis(thread->block->ctaid, component, 0);
    case WEFT_PTX_SPECIAL_NCTAID:
        return axis(launch->grid, component, 0);
    case WEFT_PTX_SPECIAL_LANEID:
        return thread->index % WEFT_EXEC_WARP_LANES;
    case WEFT_PTX_SPECIAL_WARPID:
        return thread->index / WEFT_EXEC_WARP_LANES;
    case WEFT_PTX_SPECIAL_NWARPID:
        return (thread->block->thread_count + WEFT_EXEC_WARP_LANES - 1) / WEFT_EXEC_WARP_LANES;
    case WEFT_PTX_SPECIAL_NSMID:
        return launch->sm_count;
    case WEFT_PTX_SPECIAL_GRIDID:
        return launch->grid_id;
    case WEFT_PTX_SPECIAL_LANEMASK_EQ:
    case WEFT_PTX_SPECIAL_LANEMASK_LT:
    case WEFT_PTX_SPECIAL_LANEMASK_LE:
    case WEFT_PTX_SPECIAL_LANEMASK_GE:
    case WEFT_PTX_SPECIAL_LANEMASK_GT:
        return lane_mask(thread, special);
    case WEFT_PTX_SPECIAL_CLOCK:
    case WEFT_PTX_SPECIAL_CLOCK64:
    case WEFT_PTX_SPECIAL_GLOBALTIMER:
        return thread->steps + 1;
    case WEFT_PTX_SPECIAL_DYNAMIC_SMEM_SIZE:
        return launch->dynamic_shared_bytes;
    default:
        return cluster_special(thread->block, special, component);
    }
}

static uint64_t symbol_address(struct thread *thread, const struct weft_ptx_operand *operand)
{
    const struct reference_launch *launch = thread->block->launch;
    struct frame *frame = thread_frame(thread);
    uint32_t index = operand->index;
    switch (operand->symbol) {
    case WEFT_PTX_SYMBOL_VARIABLE:
        if (launch->module->variables[index].space == WEFT_PTX_SHARED)
            return layout_shared_offset(launch->module, frame->function, index, true);
        return launch->variable_addresses[index];
    case WEFT_PTX_SYMBOL_PARAMETER:
        return frame->function->parameters[index].bytes ? frame->function->parameters[index].offset
                                                        : frame->unsized_start;
    case WEFT_PTX_SYMBOL_RETURN:
        return frame->return_start + frame->function->returns[index].offset;
    case WEFT_PTX_SYMBOL_FUNCTION:
        return WEFT_EXEC_FUNCTION_ADDRESS(index);
    default:
        break;
    }
    switch (frame->function->variables[index].space) {
    case WEFT_PTX_SHARED:
        return layout_shared_offset(launch->module, frame->function, index, false);
    case WEFT_PTX_PARAM:
        return frame->param_local_start + layout_frame_offset(frame->function, index);
    default:
        return frame->local_start + layout_frame_offset(frame->function, index);
    }
}

uint64_t operand_address(struct thread *thread, const struct weft_ptx_operand *operand)
{
    uint64_t base = 0;
    if (operand->register_base) {
        const struct frame *frame = thread_frame(thread);
        base = low_bits(frame->registers[operand->index][operand->component],
                        type_bits(frame->function->registers[operand->index].type));
    } else if (operand->symbol != WEFT_PTX_SYMBOL_NONE) {
        base = symbol_address(thread, operand);
    }
    return base + (uint64_t)operand->offset;
}

/* A floating-point literal in an instruction of another float type is that number, rounded. */
static uint64_t float_literal(const struct weft_ptx_operand *operand, uint8_t type)
{
    if (!type_is_float(type) || operand->type == type)
        return operand->bits;
    struct real value = real_unpack(real_format_of(operand->type), operand->bits);
    return real_pack(real_format_of(type), value, WEFT_PTX_RN);
}

/* {a, b}: the first element gives the lowest bits. */
static uint64_t packed(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type)
{
    unsigned bits = type_bits(type) / operand->element_count;
    uint64_t result = 0;
    for (unsigned i = 0; i < operand->element_count; i++) {
        const struct weft_ptx_operand *element = &operand->elements[i];
        uint8_t part = bits == 8 ? WEFT_PTX_B8 : bits == 16 ? WEFT_PTX_B16 : WEFT_PTX_B32;
        result |= low_bits(operand_read(thread, element, part), bits) << (i * bits);
    }
    return result;
}

uint64_t operand_read(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type)
{
    unsigned bits = type_bits(type);
    uint64_t value = 0;
    switch (operand->kind) {
    case WEFT_PTX_OPERAND_REGISTER:
        value = thread_frame(thread)->registers[operand->index][operand->component];
        break;
    case WEFT_PTX_OPERAND_SPECIAL:
        value = special_value(thread, operand->index, operand->component);
        break;
    case WEFT_PTX_OPERAND_INTEGER:
        value = type == WEFT_PTX_PRED ? operand->bits != 0 : operand->bits;
        break;
    case WEFT_PTX_OPERAND_FLOAT:
        value = float_literal(operand, type);
        break;
    case WEFT_PTX_OPERAND_SYMBOL:
        value = symbol_address(thread, operand) + (uint64_t)operand->offset;
        break;
    case WEFT_PTX_OPERAND_VECTOR:
        value = packed(thread, operand, type);
        break;
    default:
        break;
    }
    if (type == WEFT_PTX_PRED && operand->negated)
        value = !(value & 1);
    return low_bits(value, bits);
}

static void unpack(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type,
                   uint64_t value)
{
    unsigned bits = type_bits(type) / operand->element_count;
    uint8_t part = bits == 8 ? WEFT_PTX_B8 : bits == 16 ? WEFT_PTX_B16 : WEFT_PTX_B32;
    for (unsigned i = 0; i < operand->element_count; i++)
        operand_write(thread, &operand->elements[i], part, value >> (i * bits));
}

void operand_write(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type,
                   uint64_t value)
{
    if (operand->kind == WEFT_PTX_OPERAND_VECTOR)
        unpack(thread, operand, type, value);
    if (operand->kind != WEFT_PTX_OPERAND_REGISTER)
        return;
    struct frame *frame = thread_frame(thread);
    unsigned width = type_bits(frame->function->registers[operand->index].type);
    value = low_bits(value, type_bits(type));
    if (type_is_signed(type))
        value = (uint64_t)sign_extend(value, type_bits(type));
    frame->registers[operand->index][operand->component] = low_bits(value, width);
}

struct weft_ptx_operand operand_element(const struct weft_ptx_operand *operand, unsigned index)
{
    if (operand->kind == WEFT_PTX_OPERAND_VECTOR)
        return operand->elements[index];
    struct weft_ptx_operand element = *operand;
    element.component = (uint8_t)(element.component + index);
    return element;
}

void operand_read_wide(struct thread *thread, const struct weft_ptx_operand *operand,
                       uint64_t out[2])
{
    for (unsigned i = 0; i < 2; i++)
        out[i] = operand->kind == WEFT_PTX_OPERAND_VECTOR
                     ? operand_read(thread, &operand->elements[i], WEFT_PTX_B64)
                     : thread_frame(thread)->registers[operand->index][i];
}

void operand_write_wide(struct thread *thread, const struct weft_ptx_operand *operand,
                        const uint64_t bits[2])
{
    for (unsigned i = 0; i < 2; i++) {
        if (operand->kind == WEFT_PTX_OPERAND_VECTOR)
            operand_write(thread, &operand->elements[i], WEFT_PTX_B64, bits[i]);
        else if (operand->kind == WEFT_PTX_OPERAND_REGISTER)
            thread_frame(thread)->registers[operand->index][i] = bits[i];
    }
}

/* Operands of PTX instructions as rows, constants and addresses. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "util/util.h"

bool weft_exec_type_is_float(uint8_t type)
{
    return type == WEFT_PTX_F32 || type == WEFT_PTX_F64;
}

bool weft_exec_type_is_half(uint8_t type)
{
    return type == WEFT_PTX_F16 || type == WEFT_PTX_BF16 || type == WEFT_PTX_F16X2 ||
           type == WEFT_PTX_BF16X2;
}

bool weft_exec_type_is_signed(uint8_t type)
{
    return type >= WEFT_PTX_S8 && type <= WEFT_PTX_S64;
}

uint32_t weft_exec_row_bytes(uint8_t type)
{
    if (type == WEFT_PTX_PRED)
        return 0;
    uint32_t bytes = weft_ptx_type_bytes(type);
    return bytes < 2 ? 2 : bytes;
}

int32_t weft_exec_temporary(struct weft_exec_lowering *lowering)
{
    if (lowering->temporaries_used == WEFT_EXEC_TEMPORARIES) {
        weft_exec_unsupported(lowering);
        return WEFT_EXEC_ROW_SINK;
    }
    return (int32_t)(lowering->layout->temporaries +
                     lowering->temporaries_used++ * WEFT_EXEC_ROW_BYTES_MAX);
}

static uint64_t hash(uint64_t bits, uint32_t row_bytes)
{
    uint64_t mixed = (bits ^ row_bytes) * 0x9e3779b97f4a7c15;
    return mixed ^ mixed >> 29;
}

static struct weft_exec_constant *find_slot(struct weft_exec_constant *table, uint32_t slots,
                                            uint64_t bits, uint32_t row_bytes)
{
    uint64_t i = hash(bits, row_bytes) & (slots - 1);
    while (table[i].row_bytes && (table[i].bits != bits || table[i].row_bytes != row_bytes))
        i = (i + 1) & (slots - 1);
    return &table[i];
}

static bool grow_constants(struct weft_exec_lowering *lowering)
{
    uint32_t slots = lowering->constant_slots ? 2 * lowering->constant_slots : 64;
    struct weft_exec_constant *table = calloc(slots, sizeof(*table));
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < lowering->constant_slots; i++) {
        const struct weft_exec_constant *old = &lowering->constants[i];
        if (old->row_bytes)
            *find_slot(table, slots, old->bits, old->row_bytes) = *old;
    }
    free(lowering->constants);
    lowering->constants = table;
    lowering->constant_slots = slots;
    return true;
}

/* Equal constants share a row. Rows are filled when the kernel is complete. */
int32_t weft_exec_constant(struct weft_exec_lowering *lowering, uint64_t bits, uint32_t row_bytes)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    bool full = 2 * lowering->constant_count >= lowering->constant_slots;
    if (kernel->constant_bytes >= WEFT_EXEC_CONSTANT_BYTES_MAX ||
        (full && !grow_constants(lowering))) {
        if (!lowering->failed)
            lowering->failed = weft_fail(lowering->err, WEFT_ENOMEM, "constants of a kernel");
        return WEFT_EXEC_ROW_SINK;
    }
    if (row_bytes < 8)
        bits &= (1ull << 8 * row_bytes) - 1;
    struct weft_exec_constant *slot =
        find_slot(lowering->constants, lowering->constant_slots, bits, row_bytes);
    if (slot->row_bytes == 0) {
        *slot = (struct weft_exec_constant){bits, row_bytes, kernel->constant_bytes};
        kernel->constant_bytes += row_bytes * WEFT_EXEC_LANES;
        lowering->constant_count++;
    }
    return (int32_t)(slot->offset | WEFT_EXEC_CONSTANT);
}

uint32_t weft_exec_operand_row_bytes(const struct weft_exec_lowering *lowering,
                                     const struct weft_ptx_operand *operand, uint32_t otherwise)
{
    if (operand->kind != WEFT_PTX_OPERAND_REGISTER)
        return otherwise;
    return weft_exec_row_bytes(lowering->function->registers[operand->index].type);
}

static int32_t register_row(struct weft_exec_lowering *lowering,
                            const struct weft_ptx_operand *operand, uint32_t row_bytes)
{
    const struct weft_ptx_register *reg = &lowering->function->registers[operand->index];
    uint32_t own = weft_exec_row_bytes(reg->type);
    if (own != row_bytes || row_bytes > 8) {
        weft_exec_malformed(lowering, "a register of another width");
        return WEFT_EXEC_ROW_SINK;
    }
    return lowering->layout->row_of[operand->index] +
           (int32_t)(operand->component * own * WEFT_EXEC_LANES);
}

/* 0f… is stored as f32, 0d… as f64; the row wants what the instruction computes in. */
static uint64_t float_bits(const struct weft_ptx_operand *operand, uint32_t row_bytes)
{
    if (operand->type == WEFT_PTX_F64 && row_bytes == 4) {
        double wide;
        memcpy(&wide, &operand->bits, sizeof(wide));
        float narrow = (float)wide;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof(bits));
        return bits;
    }
    if (operand->type == WEFT_PTX_F32 && row_bytes == 8) {
        float narrow;
        memcpy(&narrow, &operand->bits, sizeof(narrow));
        double wide = (double)narrow;
        uint64_t bits;
        memcpy(&bits, &wide, sizeof(bits));
        return bits;
    }
    return operand->bits;
}

static int32_t special_row(struct weft_exec_lowering *lowering,
                           const struct weft_ptx_operand *operand, uint32_t row_bytes)
{
    int32_t row = weft_exec_temporary(lowering);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_special);
    insn->d = row;
    insn->kind = (uint8_t)operand->index;
    insn->count = operand->component;
    /* A 16-bit reader takes the low half: the row is written as 32-bit lanes and cut. */
    insn->b = row_bytes == 8 ? 8 : 4;
    if (row_bytes != 2)
        return row;
    insn = weft_exec_emit(lowering, WEFT_EXEC_OP_cut_b32_b16);
    insn->a = row;
    insn->d = weft_exec_temporary(lowering);
    return insn->d;
}

static const struct weft_ptx_variable *symbol_variable(const struct weft_exec_lowering *lowering,
                                                       const struct weft_ptx_operand *operand)
{
    return operand->symbol == WEFT_PTX_SYMBOL_VARIABLE
               ? &lowering->module->variables[operand->index]
               : &lowering->function->variables[operand->index];
}

static struct weft_exec_place variable_place(struct weft_exec_lowering *lowering,
                                             const struct weft_ptx_operand *operand)
{
    const struct weft_ptx_variable *variable = symbol_variable(lowering, operand);
    bool global = operand->symbol == WEFT_PTX_SYMBOL_VARIABLE;
    struct weft_exec_place place = {.space = variable->space, .base = WEFT_EXEC_ROW_LOCAL_BASE};
    switch (variable->space) {
    case WEFT_PTX_SHARED:
    case WEFT_PTX_SHARED_CLUSTER:
        place.space = WEFT_PTX_SHARED;
        place.address = global ? lowering->shared_of[operand->index]
                               : lowering->layout->shared_offset[operand->index];
        break;
    case WEFT_PTX_LOCAL:
    case WEFT_PTX_PARAM:
        if (global)
            weft_exec_unsupported(lowering);
        else
            place.address = lowering->layout->local_offset[operand->index];
        place.space = WEFT_PTX_LOCAL;
        place.is_local = true;
        break;
    default:
        if (global)
            place.address = lowering->program->variable_addresses[operand->index];
        else
            weft_exec_unsupported(lowering);
    }
    return place;
}

struct weft_exec_place weft_exec_symbol_place(struct weft_exec_lowering *lowering,
                                              const struct weft_ptx_operand *operand)
{
    const struct weft_ptx_function *function = lowering->function;
    struct weft_exec_place place = {.space = WEFT_PTX_GLOBAL, .base = WEFT_EXEC_ROW_LOCAL_BASE};
    switch (operand->symbol) {
    case WEFT_PTX_SYMBOL_FUNCTION:
        place.address = WEFT_EXEC_FUNCTION_ADDRESS(operand->index);
        break;
    case WEFT_PTX_SYMBOL_PARAMETER:
        place.address = function->parameters[operand->index].offset;
        place.is_local = !function->entry;
        place.space = function->entry ? WEFT_PTX_PARAM : WEFT_PTX_LOCAL;
        if (weft_exec_parameter_is_unsized(&function->parameters[operand->index])) {
            place.address = 0;
            place.base = WEFT_EXEC_ROW_ARGUMENTS;
        }
        break;
    case WEFT_PTX_SYMBOL_RETURN:
        place.address = lowering->layout->return_offset + function->returns[operand->index].offset;
        place.is_local = true;
        place.space = WEFT_PTX_LOCAL;
        break;
    default:
        place = variable_place(lowering, operand);
    }
    place.address += (uint64_t)operand->offset;
    return place;
}

static int32_t symbol_row(struct weft_exec_lowering *lowering,
                          const struct weft_ptx_operand *operand, uint32_t row_bytes)
{
    struct weft_exec_place place = weft_exec_symbol_place(lowering, operand);
    if (!place.is_local)
        return weft_exec_constant(lowering, place.address, row_bytes);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_local_address);
    insn->d = weft_exec_temporary(lowering);
    insn->a = place.base;
    insn->b = (int32_t)row_bytes;
    insn->immediate = (int64_t)place.address;
    return insn->d;
}

int32_t weft_exec_operand_row(struct weft_exec_lowering *lowering,
                              const struct weft_ptx_operand *operand, uint32_t row_bytes)
{
    switch (operand->kind) {
    case WEFT_PTX_OPERAND_REGISTER:
        return register_row(lowering, operand, row_bytes);
    case WEFT_PTX_OPERAND_INTEGER:
        return weft_exec_constant(lowering, operand->bits, row_bytes);
    case WEFT_PTX_OPERAND_FLOAT:
        return weft_exec_constant(lowering, float_bits(operand, row_bytes), row_bytes);
    case WEFT_PTX_OPERAND_SPECIAL:
        return special_row(lowering, operand, row_bytes);
    case WEFT_PTX_OPERAND_SYMBOL:
    case WEFT_PTX_OPERAND_ADDRESS:
        return symbol_row(lowering, operand, row_bytes);
    case WEFT_PTX_OPERAND_SINK:
        return WEFT_EXEC_ROW_SINK;
    default:
        weft_exec_malformed(lowering, "an operand of this kind");
        return WEFT_EXEC_ROW_SINK;
    }
}

/* A register of 128 bits is two rows, one behind the other. */
void weft_exec_operand_wide(struct weft_exec_lowering *lowering,
                            const struct weft_ptx_operand *operand, int32_t rows[2])
{
    bool is_wide = operand->kind == WEFT_PTX_OPERAND_REGISTER &&
                   lowering->function->registers[operand->index].type == WEFT_PTX_B128;
    rows[0] = rows[1] = WEFT_EXEC_ROW_SINK;
    if (is_wide) {
        rows[0] = lowering->layout->row_of[operand->index] +
                  (int32_t)(operand->component * 2 * WEFT_EXEC_ROW_BYTES_MAX);
        rows[1] = rows[0] + WEFT_EXEC_ROW_BYTES_MAX;
    } else if (operand->kind == WEFT_PTX_OPERAND_VECTOR && operand->element_count == 2) {
        rows[0] = weft_exec_operand_row(lowering, &operand->elements[0], 8);
        rows[1] = weft_exec_operand_row(lowering, &operand->elements[1], 8);
    } else if (operand->kind != WEFT_PTX_OPERAND_SINK) {
        weft_exec_malformed(lowering, "an operand that has not 128 bits");
    }
}

int32_t weft_exec_operand_source(struct weft_exec_lowering *lowering,
                                 const struct weft_ptx_operand *operand, uint8_t type)
{
    return weft_exec_operand_row(lowering, operand, weft_exec_row_bytes(type));
}

int32_t weft_exec_operand_destination(struct weft_exec_lowering *lowering,
                                      const struct weft_ptx_operand *operand, uint8_t type)
{
    bool writable =
        operand->kind == WEFT_PTX_OPERAND_REGISTER || operand->kind == WEFT_PTX_OPERAND_SINK;
    if (!writable) {
        weft_exec_malformed(lowering, "a destination that is no register");
        return WEFT_EXEC_ROW_SINK;
    }
    if (operand->kind == WEFT_PTX_OPERAND_SINK)
        return WEFT_EXEC_ROW_SINK;
    return register_row(lowering, operand, weft_exec_row_bytes(type));
}

int32_t weft_exec_operand_predicate(struct weft_exec_lowering *lowering,
                                    const struct weft_ptx_operand *operand, bool *negated)
{
    if (negated)
        *negated = operand->negated;
    if (operand->kind == WEFT_PTX_OPERAND_INTEGER)
        return weft_exec_constant(lowering, operand->bits ? UINT32_MAX : 0, 4);
    if (operand->kind == WEFT_PTX_OPERAND_SINK)
        return WEFT_EXEC_ROW_SINK;
    if (operand->kind == WEFT_PTX_OPERAND_SPECIAL &&
        operand->index == WEFT_PTX_SPECIAL_IS_EXPLICIT_CLUSTER)
        return special_row(lowering, operand, 4);
    bool is_predicate = operand->kind == WEFT_PTX_OPERAND_REGISTER &&
                        lowering->function->registers[operand->index].type == WEFT_PTX_PRED;
    if (!is_predicate) {
        weft_exec_malformed(lowering, "an operand that is no predicate");
        return WEFT_EXEC_ROW_SINK;
    }
    return lowering->layout->row_of[operand->index];
}

static uint8_t memory_space(const struct weft_exec_lowering *lowering, uint8_t space)
{
    switch (space) {
    case WEFT_PTX_SHARED_CLUSTER:
        return WEFT_PTX_SHARED;
    case WEFT_PTX_CONST:
        return WEFT_PTX_GLOBAL;
    case WEFT_PTX_PARAM:
        return lowering->function->entry ? WEFT_PTX_PARAM : WEFT_PTX_LOCAL;
    default:
        return space;
    }
}

void weft_exec_operand_address(struct weft_exec_lowering *lowering,
                               const struct weft_ptx_operand *operand, struct weft_exec_insn *insn)
{
    if (operand->kind != WEFT_PTX_OPERAND_ADDRESS)
        weft_exec_malformed(lowering, "an operand without brackets for its address");
    insn->space = memory_space(lowering, lowering->insn->space);
    insn->immediate = operand->offset;
    if (operand->kind == WEFT_PTX_OPERAND_ADDRESS && operand->register_base) {
        struct weft_ptx_operand base = {.kind = WEFT_PTX_OPERAND_REGISTER, .index = operand->index};
        uint32_t row_bytes = weft_exec_operand_row_bytes(lowering, &base, 8);
        if (row_bytes < 4)
            weft_exec_malformed(lowering, "an address of fewer than 32 bits");
        insn->wide_address = row_bytes == 8;
        insn->a = register_row(lowering, &base, row_bytes);
        return;
    }
    if (operand->symbol == WEFT_PTX_SYMBOL_NONE)
        return;
    struct weft_exec_place place = weft_exec_symbol_place(lowering, operand);
    insn->space = memory_space(lowering, place.space);
    if (place.is_local)
        insn->space = WEFT_PTX_LOCAL;
    insn->immediate = (int64_t)place.address;
    if (place.is_local)
        insn->a = place.base;
}

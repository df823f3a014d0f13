/* Texture and surface instructions: their operands gathered in one record each. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "softgpu/exec/sample.h"
#include "util/util.h"

static const struct weft_exec_sample blank_sample = {
    .image = WEFT_EXEC_NO_ROW,
    .sampler = WEFT_EXEC_NO_ROW,
    .layer = WEFT_EXEC_NO_ROW,
    .coordinate = {[0 ... WEFT_EXEC_AXES - 1] = WEFT_EXEC_NO_ROW},
    .level = WEFT_EXEC_NO_ROW,
    .gradient = {[0 ... 1] = {[0 ... WEFT_EXEC_AXES - 1] = WEFT_EXEC_NO_ROW}},
    .offset = {[0 ... WEFT_EXEC_AXES - 1] = WEFT_EXEC_NO_ROW},
    .compare = WEFT_EXEC_NO_ROW,
    .data = {[0 ... WEFT_EXEC_CHANNELS - 1] = WEFT_EXEC_NO_ROW},
    .resident = WEFT_EXEC_NO_ROW,
};

static bool is_array(uint8_t geometry)
{
    return geometry == WEFT_PTX_GEOMETRY_A1D || geometry == WEFT_PTX_GEOMETRY_A2D ||
           geometry == WEFT_PTX_GEOMETRY_ACUBE;
}

static bool is_cube(uint8_t geometry)
{
    return geometry == WEFT_PTX_GEOMETRY_CUBE || geometry == WEFT_PTX_GEOMETRY_ACUBE;
}

static uint8_t axes_of(uint8_t geometry)
{
    switch (geometry) {
    case WEFT_PTX_GEOMETRY_1D:
    case WEFT_PTX_GEOMETRY_A1D:
        return 1;
    case WEFT_PTX_GEOMETRY_2D:
    case WEFT_PTX_GEOMETRY_A2D:
        return 2;
    default:
        return 3;
    }
}

/* The 64 bits that a variable or a parameter holds, in a temporary. */
static int32_t load_handle(struct weft_exec_lowering *lowering,
                           const struct weft_ptx_operand *operand)
{
    struct weft_ptx_operand address = *operand;
    address.kind = WEFT_PTX_OPERAND_ADDRESS;
    address.elements = NULL;
    address.element_count = 0;
    struct weft_exec_place place = weft_exec_symbol_place(lowering, &address);
    struct weft_exec_insn *insn = weft_exec_emit(lowering, WEFT_EXEC_OP_ld_u64_b64);
    insn->space = place.is_local                  ? WEFT_PTX_LOCAL
                  : place.space == WEFT_PTX_PARAM ? WEFT_PTX_PARAM
                                                  : WEFT_PTX_GLOBAL;
    insn->a = place.is_local ? WEFT_EXEC_ROW_LOCAL_BASE : WEFT_EXEC_NO_ROW;
    insn->immediate = (int64_t)place.address;
    insn->d = weft_exec_temporary(lowering);
    return insn->d;
}

/* A handle in a register, a module's variable or a parameter. */
static int32_t handle_row(struct weft_exec_lowering *lowering,
                          const struct weft_ptx_operand *operand)
{
    if (operand->kind == WEFT_PTX_OPERAND_REGISTER || operand->register_base) {
        struct weft_ptx_operand reg = {.kind = WEFT_PTX_OPERAND_REGISTER,
                                       .index = operand->index,
                                       .component = operand->component};
        return weft_exec_operand_source(lowering, &reg, WEFT_PTX_B64);
    }
    return load_handle(lowering, operand);
}

/* Element `index` of {a, b}, or of a alone. */
static const struct weft_ptx_operand *element(const struct weft_ptx_operand *operand,
                                              uint32_t index)
{
    return operand->kind == WEFT_PTX_OPERAND_VECTOR ? &operand->elements[index] : operand;
}

static void tuple_rows(struct weft_exec_lowering *lowering, const struct weft_ptx_operand *operand,
                       uint32_t first, uint32_t count, uint8_t type, int32_t *rows)
{
    for (uint32_t i = 0; i < count; i++)
        rows[i] = weft_exec_operand_source(lowering, element(operand, first + i), type);
}

/* [image, sampler, {layer, x, y, z}] */
static void image_rows(struct weft_exec_lowering *lowering, const struct weft_ptx_operand *address,
                       struct weft_exec_sample *sample)
{
    uint32_t count = address->elements ? address->element_count : 0;
    sample->image = handle_row(lowering, address);
    if (count == 2)
        sample->sampler = handle_row(lowering, &address->elements[0]);
    if (count == 0)
        return;
    const struct weft_ptx_operand *tuple = &address->elements[count - 1];
    if (sample->is_array)
        tuple_rows(lowering, tuple, 0, 1, WEFT_PTX_B32, &sample->layer);
    tuple_rows(lowering, tuple, sample->is_array, sample->axes, WEFT_PTX_B32, sample->coordinate);
}

/* What follows the address, from operand `next` on. */
static void detail_rows(struct weft_exec_lowering *lowering, uint32_t next,
                        struct weft_exec_sample *sample)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (sample->detail == WEFT_PTX_DETAIL_LEVEL)
        tuple_rows(lowering, &source->operands[next++], 0, 1, WEFT_PTX_B32, &sample->level);
    for (int i = 0; sample->detail == WEFT_PTX_DETAIL_GRADIENT && i < 2; i++)
        tuple_rows(lowering, &source->operands[next++], 0, sample->axes, WEFT_PTX_F32,
                   sample->gradient[i]);
    if (next < source->operand_count && source->operands[next].kind == WEFT_PTX_OPERAND_VECTOR)
        tuple_rows(lowering, &source->operands[next++], 0, sample->axes, WEFT_PTX_S32,
                   sample->offset);
    if (next < source->operand_count)
        tuple_rows(lowering, &source->operands[next++], 0, 1, WEFT_PTX_F32, &sample->compare);
}

/* Appends the record, and the instruction that has it. */
static struct weft_exec_insn *emit_sample(struct weft_exec_lowering *lowering, uint32_t op,
                                          const struct weft_exec_sample *sample)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    size_t bytes = (kernel->sample_count + 1) * sizeof(*sample);
    struct weft_exec_sample *grown = realloc(kernel->samples, bytes);
    if (grown == NULL) {
        if (!lowering->failed)
            lowering->failed = weft_fail(lowering->err, WEFT_ENOMEM, "a texture instruction");
        return &lowering->discarded;
    }
    kernel->samples = grown;
    grown[kernel->sample_count] = *sample;
    struct weft_exec_insn *insn = weft_exec_emit(lowering, op);
    insn->immediate = kernel->sample_count++;
    insn->space = WEFT_PTX_GLOBAL;
    return insn;
}

static struct weft_exec_sample begin_sample(const struct weft_ptx_insn *source)
{
    struct weft_exec_sample sample = blank_sample;
    sample.axes = axes_of(source->geometry);
    sample.is_array = is_array(source->geometry);
    sample.is_cube = is_cube(source->geometry);
    sample.detail = source->detail;
    sample.type = source->types[0];
    sample.count = source->vector;
    return sample;
}

static void lower_tex(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    if (source->geometry == WEFT_PTX_GEOMETRY_2DMS || source->geometry == WEFT_PTX_GEOMETRY_A2DMS) {
        weft_exec_unsupported(lowering);
        return;
    }
    struct weft_exec_sample sample = begin_sample(source);
    sample.integer_coordinates = source->types[1] == WEFT_PTX_S32;
    if (source->opcode == WEFT_PTX_TLD4)
        sample.component = (uint8_t)(source->mode - WEFT_PTX_COMPONENT_R + 1);
    for (uint32_t i = 0; i < source->vector; i++)
        sample.data[i] = weft_exec_operand_destination(lowering, element(&source->operands[0], i),
                                                       source->types[0]);
    if (source->paired)
        sample.resident = weft_exec_operand_predicate(lowering, &source->operands[1], NULL);
    image_rows(lowering, &source->operands[1 + source->paired], &sample);
    detail_rows(lowering, 2 + source->paired, &sample);
    emit_sample(lowering, WEFT_EXEC_OP_tex, &sample);
}

/* txq and suq. The attribute is the instruction's kind. */
static void lower_query(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    struct weft_exec_sample sample = begin_sample(source);
    sample.data[0] =
        weft_exec_operand_destination(lowering, element(&source->operands[0], 0), WEFT_PTX_B32);
    sample.image = handle_row(lowering, &source->operands[1]);
    if (source->detail)
        tuple_rows(lowering, &source->operands[2], 0, 1, WEFT_PTX_B32, &sample.level);
    emit_sample(lowering, WEFT_EXEC_OP_txq, &sample)->kind = source->mode;
}

static void lower_istypep(struct weft_exec_lowering *lowering)
{
    const struct weft_ptx_insn *source = lowering->insn;
    struct weft_exec_sample sample = begin_sample(source);
    const struct weft_ptx_operand *operand = &source->operands[1];
    bool named = operand->kind == WEFT_PTX_OPERAND_REGISTER ||
                 operand->kind == WEFT_PTX_OPERAND_SYMBOL ||
                 operand->kind == WEFT_PTX_OPERAND_ADDRESS;
    if (!named) {
        weft_exec_malformed(lowering, "an operand of this kind");
        return;
    }
    sample.resident = weft_exec_operand_predicate(lowering, &source->operands[0], NULL);
    sample.image = handle_row(lowering, operand);
    emit_sample(lowering, WEFT_EXEC_OP_istypep, &sample);
}

/* Bytes of a lane in the registers of a tuple: a value may stand in a wider register. */
static uint32_t tuple_row_bytes(const struct weft_exec_lowering *lowering,
                                const struct weft_ptx_operand *operand, uint8_t type)
{
    uint32_t bytes = weft_exec_row_bytes(type);
    uint32_t count = operand->kind == WEFT_PTX_OPERAND_VECTOR ? operand->element_count : 1;
    for (uint32_t i = 0; i < count; i++)
        if (element(operand, i)->kind == WEFT_PTX_OPERAND_REGISTER)
            return weft_exec_operand_row_bytes(lowering, element(operand, i), bytes);
    return bytes;
}

/* suld, sust and sured: `data` and `address` are the indices of their operands. */
static void lower_surface(struct weft_exec_lowering *lowering, uint32_t op, uint32_t data,
                          uint32_t address)
{
    const struct weft_ptx_insn *source = lowering->insn;
    struct weft_exec_sample sample = begin_sample(source);
    sample.outside = source->outside;
    sample.formatted = source->mode == WEFT_PTX_SURFACE_SAMPLES;
    sample.operation = source->operation;
    uint32_t row_bytes = tuple_row_bytes(lowering, &source->operands[data], source->types[0]);
    sample.row_bytes = (uint8_t)row_bytes;
    for (uint32_t i = 0; i < source->vector; i++)
        sample.data[i] =
            weft_exec_operand_row(lowering, element(&source->operands[data], i), row_bytes);
    image_rows(lowering, &source->operands[address], &sample);
    emit_sample(lowering, op, &sample);
}

static void lower_suld(struct weft_exec_lowering *lowering)
{
    lower_surface(lowering, WEFT_EXEC_OP_suld, 0, 1);
}

static void lower_sust(struct weft_exec_lowering *lowering)
{
    lower_surface(lowering, WEFT_EXEC_OP_sust, 1, 0);
}

static void lower_sured(struct weft_exec_lowering *lowering)
{
    lower_surface(lowering, WEFT_EXEC_OP_sured, 1, 0);
}

weft_exec_lower_fn weft_exec_lower_texture(uint16_t opcode)
{
    switch (opcode) {
    case WEFT_PTX_TEX:
    case WEFT_PTX_TLD4:
        return lower_tex;
    case WEFT_PTX_TXQ:
    case WEFT_PTX_SUQ:
        return lower_query;
    case WEFT_PTX_ISTYPEP:
        return lower_istypep;
    case WEFT_PTX_SULD:
        return lower_suld;
    case WEFT_PTX_SUST:
        return lower_sust;
    case WEFT_PTX_SURED:
        return lower_sured;
    default:
        return NULL;
    }
}

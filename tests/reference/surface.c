/* Surfaces: one thread's access to the texels of an image's first level. */
#include <string.h>

#include "machine.h"

#include "types.h"

struct surface_access {
    struct thread *thread;
    const struct weft_ptx_insn *insn;
    const struct weft_exec_image *image;
    uint32_t bytes;
    bool texel;
    bool outside;
    uint64_t address;
};

static int64_t coordinate(const struct surface_access *access, const struct weft_ptx_operand *tuple,
                          unsigned index)
{
    const struct weft_ptx_operand *at =
        tuple->kind == WEFT_PTX_OPERAND_VECTOR ? &tuple->elements[index] : tuple;
    return sign_extend(operand_read(access->thread, at, WEFT_PTX_S32), 32);
}

static int64_t into(struct surface_access *access, int64_t at, int64_t last)
{
    access->outside |= at < 0 || at > last;
    return at < 0 || last < 0 ? 0 : at > last ? last : at;
}

static void find_place(struct surface_access *access, const struct weft_ptx_operand *tuple)
{
    const struct weft_exec_image_level *level = &access->image->levels[0];
    uint32_t texel = access->image->texel_bytes;
    int64_t x = 0, y = 0, z = 0;
    switch (access->insn->geometry) {
    case WEFT_PTX_GEOMETRY_1D:
        x = coordinate(access, tuple, 0);
        break;
    case WEFT_PTX_GEOMETRY_2D:
        x = coordinate(access, tuple, 0);
        y = coordinate(access, tuple, 1);
        break;
    case WEFT_PTX_GEOMETRY_3D:
        x = coordinate(access, tuple, 0);
        y = coordinate(access, tuple, 1);
        z = coordinate(access, tuple, 2);
        break;
    case WEFT_PTX_GEOMETRY_A1D:
        z = (uint32_t)coordinate(access, tuple, 0);
        x = coordinate(access, tuple, 1);
        break;
    default:
        z = (uint32_t)coordinate(access, tuple, 0);
        x = coordinate(access, tuple, 1);
        y = coordinate(access, tuple, 2);
        break;
    }
    if (access->insn->mode == WEFT_PTX_SURFACE_SAMPLES)
        x *= texel;
    x = into(access, x, (int64_t)level->width * texel - access->bytes);
    y = into(access, y, (int64_t)level->height - 1);
    z = into(access, z, (int64_t)level->depth - 1);
    access->address = level->address + (uint64_t)x + (uint64_t)y * level->row_bytes +
                      (uint64_t)z * level->slice_bytes;
}

static uint64_t reduced(const struct surface_access *access, uint64_t old, uint64_t value)
{
    uint8_t type = access->insn->types[0];
    if (access->insn->mode == WEFT_PTX_SURFACE_SAMPLES && texel_is_signed(access->image))
        type = type == WEFT_PTX_B64 ? WEFT_PTX_S64 : WEFT_PTX_S32;
    __int128 a = integer_value(old, type), b = integer_value(value, type);
    switch (access->insn->operation) {
    case WEFT_PTX_OP_ADD:
        return old + value;
    case WEFT_PTX_OP_MIN:
        return a < b ? old : value;
    case WEFT_PTX_OP_MAX:
        return a < b ? value : old;
    case WEFT_PTX_OP_AND:
        return old & value;
    default:
        return old | value;
    }
}

static void load(struct surface_access *access, const uint8_t *cell)
{
    uint32_t size = weft_ptx_type_bytes(access->insn->types[0]);
    for (unsigned i = 0; i < access->insn->vector; i++) {
        uint64_t value = 0;
        if (cell)
            memcpy(&value, cell + i * size, size);
        const struct weft_ptx_operand *to = &access->insn->operands[0];
        to = to->kind == WEFT_PTX_OPERAND_VECTOR ? &to->elements[i] : to;
        operand_write(access->thread, to, access->insn->types[0], value);
    }
}

static void store(struct surface_access *access, uint8_t *cell)
{
    const struct weft_ptx_insn *insn = access->insn;
    uint32_t size = weft_ptx_type_bytes(insn->types[0]), data[4] = {0};
    uint64_t value = 0;
    for (unsigned i = 0; i < insn->vector; i++) {
        const struct weft_ptx_operand *from = &insn->operands[1];
        from = from->kind == WEFT_PTX_OPERAND_VECTOR ? &from->elements[i] : from;
        value = operand_read(access->thread, from, insn->types[0]);
        data[i] = (uint32_t)value;
        if (insn->opcode == WEFT_PTX_SUST && !access->texel)
            memcpy(cell + i * size, &value, size);
    }
    if (insn->opcode == WEFT_PTX_SURED) {
        uint64_t old = 0;
        memcpy(&old, cell, size);
        value = reduced(access, old, value);
        memcpy(cell, &value, size);
    } else if (access->texel) {
        texel_encode(access->image, data, insn->vector, cell);
    }
}

enum step image_surface(struct thread *thread, const struct weft_ptx_insn *insn)
{
    bool loads = insn->opcode == WEFT_PTX_SULD;
    const struct weft_ptx_operand *place = &insn->operands[loads ? 1 : 0];
    uint64_t handle = image_handle(thread, place);
    const struct weft_exec_texture *texture = image_find(thread, handle);
    if (!texture || !texture->is_surface)
        return thread_fault(thread, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, handle);
    struct surface_access access = {.thread = thread, .insn = insn, .image = &texture->image};
    access.texel = insn->mode == WEFT_PTX_SURFACE_SAMPLES && insn->opcode == WEFT_PTX_SUST;
    access.bytes = access.texel ? texture->image.texel_bytes
                                : insn->vector * weft_ptx_type_bytes(insn->types[0]);
    find_place(&access, &place->elements[0]);
    if (access.outside && insn->outside == WEFT_PTX_OUTSIDE_TRAP)
        return thread_fault(thread, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, access.address);
    if (access.outside && insn->outside == WEFT_PTX_OUTSIDE_ZERO) {
        if (loads)
            load(&access, NULL);
        return STEP_NEXT;
    }
    uint32_t align = access.texel ? 1 : access.bytes < 16 ? access.bytes : 16;
    uint8_t *cell = memory_find(thread, WEFT_PTX_GLOBAL, access.address, access.bytes, align);
    if (!cell)
        return STEP_FAULT;
    if (loads)
        load(&access, cell);
    else
        store(&access, cell);
    return STEP_NEXT;
}

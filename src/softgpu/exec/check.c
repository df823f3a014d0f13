#include "softgpu/exec/check.h"

#include "softgpu/exec/cluster.h"
#include "softgpu/exec/run.h"

/* What an instruction does with memory. The 52 ops of plain loads stand together. What one that is
 * not known here may have written counts as written. */
static enum weft_exec_access_kind access_kind(const struct weft_exec_insn *insn)
{
    if (insn->op >= WEFT_EXEC_OP_ld_u8_b16 && insn->op <= WEFT_EXEC_OP_ld_u64_b64)
        return WEFT_EXEC_ACCESS_READ;
    switch (insn->op) {
    case WEFT_EXEC_OP_wmma_load:
    case WEFT_EXEC_OP_ldmatrix:
        return WEFT_EXEC_ACCESS_READ;
    case WEFT_EXEC_OP_atom:
        return WEFT_EXEC_ACCESS_UPDATE;
    case WEFT_EXEC_OP_atom_wide: /* a plain read, or an exchange */
        return insn->kind == WEFT_PTX_OP_NONE ? WEFT_EXEC_ACCESS_READ : WEFT_EXEC_ACCESS_UPDATE;
    case WEFT_EXEC_OP_check_address: /* the elements come one by one */
        return WEFT_EXEC_ACCESS_NONE;
    default:
        return WEFT_EXEC_ACCESS_WRITE;
    }
}

struct weft_exec_touch weft_exec_touch_of(const struct weft_exec_insn *insn, uint32_t lane,
                                          uint64_t address, uint32_t bytes)
{
    return (struct weft_exec_touch){.space = insn->space,
                                    .kind = (uint8_t)access_kind(insn),
                                    .lane = lane,
                                    .bytes = bytes,
                                    .address = address};
}

/* A place in a space; of device memory the address, of shared memory that of its block. */
struct place {
    uint8_t space;
    uint64_t offset;
    const struct weft_exec_block *block;
};

/* Shared memory of this block, or of one of its cluster. */
static struct place in_shared(const struct weft_exec_run *run, uint64_t offset)
{
    const struct weft_exec_block *block = run->block;
    uint64_t rank = offset / WEFT_EXEC_CLUSTER_STRIDE;
    if (rank > 0 && rank <= block->cluster->count)
        block = block->cluster->blocks[rank - 1];
    return (struct place){WEFT_PTX_SHARED, offset % WEFT_EXEC_CLUSTER_STRIDE, block};
}

static struct place place_of(const struct weft_exec_run *run, const struct weft_exec_touch *touch)
{
    const struct weft_exec_memory *memory = run->block->launch->memory;
    uint64_t address = touch->address;
    if (touch->space == WEFT_PTX_SHARED)
        return in_shared(run, address);
    if (touch->space != WEFT_PTX_GENERIC)
        return (struct place){touch->space, address, run->block};
    if (address - memory->shared_base < WEFT_EXEC_SHARED_WINDOW_BYTES)
        return in_shared(run, address - memory->shared_base);
    if (address - memory->local_base < WEFT_EXEC_LOCAL_WINDOW_BYTES)
        return (struct place){WEFT_PTX_LOCAL, address - memory->local_base, run->block};
    if (address - memory->param_base < WEFT_EXEC_PARAM_WINDOW_BYTES)
        return (struct place){WEFT_PTX_PARAM, address - memory->param_base, run->block};
    return (struct place){WEFT_PTX_GLOBAL, address, run->block};
}

/* The named memory of a space; NULL where it has none. */
static const struct weft_exec_variables *variables_of(const struct weft_exec_run *run,
                                                      uint8_t space)
{
    switch (space) {
    case WEFT_PTX_SHARED:
        return &run->kernel->shared_variables;
    case WEFT_PTX_LOCAL:
        return &run->kernel->local_variables;
    case WEFT_PTX_PARAM:
        return &run->kernel->param_variables;
    default:
        return NULL;
    }
}

/* What has no name: dynamic shared memory, and the frames of called functions. */
static bool is_unnamed(const struct weft_exec_run *run, struct place place, uint32_t bytes)
{
    if (place.space == WEFT_PTX_SHARED)
        return place.offset >= run->kernel->static_shared_bytes &&
               place.offset + bytes <= run->shared_bytes;
    return place.space == WEFT_PTX_LOCAL && place.offset >= run->kernel->parts[0].local_bytes;
}

static bool is_in_a_variable(const struct weft_exec_run *run, struct place place, uint32_t bytes)
{
    const struct weft_exec_variables *variables = variables_of(run, place.space);
    for (uint32_t i = 0; i < variables->count; i++) {
        const struct weft_exec_variable *variable = &variables->items[i];
        uint64_t inside = place.offset - variable->offset;
        if (inside < variable->bytes && bytes <= variable->bytes - inside)
            return true;
    }
    return is_unnamed(run, place, bytes);
}

/* The extent is kept while the block runs, so that one that stays in its memory asks once. */
static bool is_in_an_extent(struct weft_exec_run *run, uint64_t address, uint32_t bytes)
{
    struct weft_exec_block *block = run->block;
    struct weft_exec_extent *extent = &block->extent;
    if (address - extent->first >= extent->bytes) {
        *extent = (struct weft_exec_extent){0};
        if (!block->launch->check->find(address, extent)) {
            /* Registered memory was looked up already. */
            return address - run->window_base >= run->window_bytes;
        }
    }
    return bytes <= extent->bytes - (address - extent->first);
}

static bool all_written(const uint8_t *bits, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t byte = __atomic_load_n(&bits[(first + i) / 8], __ATOMIC_RELAXED);
        if (!(byte >> (first + i) % 8 & 1))
            return false;
    }
    return true;
}

static void set_written(uint8_t *bits, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count;) {
        uint32_t shift = (first + i) % 8;
        uint32_t part = count - i < 8 - shift ? count - i : 8 - shift;
        __atomic_fetch_or(&bits[(first + i) / 8], (uint8_t)(((1u << part) - 1) << shift),
                          __ATOMIC_RELAXED);
        i += part;
    }
}

static void tell_unwritten(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                           const struct weft_exec_touch *touch)
{
    struct weft_exec_block *block = run->block;
    struct weft_exec_fault fault;
    if (block->told_unwritten)
        return;
    block->told_unwritten = true;
    weft_exec_describe_fault(run, insn, touch->lane, WEFT_EXEC_FAULT_UNWRITTEN, touch->address,
                             &fault);
    weft_exec_check_explain(run, touch, &fault);
    if (block->launch->tell_unwritten)
        block->launch->tell_unwritten(block->launch->tell_context, &fault);
}

/* The bits that say what is written of device memory at `address`, in *first its place in them;
 * NULL where nobody keeps them. The extent was just looked up. */
static uint8_t *device_bits(const struct weft_exec_run *run, uint64_t address, uint64_t *first)
{
    const struct weft_exec_extent *extent = &run->block->extent;
    if (!extent->tracked || address - extent->first >= extent->bytes)
        return NULL;
    *first = address - run->window_base;
    return run->block->launch->check->written;
}

bool weft_exec_check_lane(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                          const struct weft_exec_touch *touch)
{
    struct place place = place_of(run, touch);
    bool named = variables_of(run, place.space) != NULL;
    bool inside = named ? is_in_a_variable(run, place, touch->bytes)
                        : is_in_an_extent(run, place.offset, touch->bytes);
    if (!inside)
        return false;
    uint8_t *bits = NULL;
    uint64_t first = place.offset;
    if (place.space == WEFT_PTX_SHARED)
        bits = place.block->shared_written;
    else if (!named)
        bits = device_bits(run, place.offset, &first);
    if (!bits)
        return true;
    if ((touch->kind & WEFT_EXEC_ACCESS_READ) && !all_written(bits, first, touch->bytes))
        tell_unwritten(run, insn, touch);
    if (touch->kind & WEFT_EXEC_ACCESS_WRITE)
        set_written(bits, first, touch->bytes);
    return true;
}

void weft_exec_check_note(struct weft_exec_run *run, uint64_t address, uint32_t bytes)
{
    uint64_t first = 0;
    uint8_t *bits = is_in_an_extent(run, address, bytes) ? device_bits(run, address, &first) : NULL;
    if (bits)
        set_written(bits, first, bytes);
}

/* The variable that ends nearest before the place, or holds its start. */
static const struct weft_exec_variable *nearest(const struct weft_exec_variables *variables,
                                                uint64_t offset)
{
    const struct weft_exec_variable *best = NULL;
    for (uint32_t i = 0; i < variables->count; i++) {
        const struct weft_exec_variable *variable = &variables->items[i];
        if (variable->offset <= offset && (!best || variable->offset >= best->offset))
            best = variable;
    }
    return best;
}

void weft_exec_check_explain(const struct weft_exec_run *run, const struct weft_exec_touch *touch,
                             struct weft_exec_fault *fault)
{
    struct place place = place_of(run, touch);
    const struct weft_exec_variables *variables = variables_of(run, place.space);
    fault->space = place.space == WEFT_PTX_CONST ? WEFT_PTX_GLOBAL : place.space;
    fault->bytes = touch->bytes;
    fault->is_write = touch->kind == WEFT_EXEC_ACCESS_WRITE;
    const struct weft_exec_variable *variable = variables ? nearest(variables, place.offset) : NULL;
    if (!variable)
        return;
    fault->variable = variable->name;
    fault->variable_bytes = variable->bytes;
    fault->variable_offset = place.offset - variable->offset;
}

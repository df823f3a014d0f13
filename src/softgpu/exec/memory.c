/* What the fast ways of memory.h leave: mixed address spaces, registered host memory, faults; and
 * instructions about addresses. */
#include <string.h>

#include "softgpu/exec/cluster.h"
#include "softgpu/exec/memory.h"
#include "util/util.h"

static char *in_shared(const struct weft_exec_run *run, uint64_t offset, uint32_t bytes)
{
    return weft_exec_cluster_shared(run->block, offset, bytes);
}

static char *in_local(const struct weft_exec_run *run, uint32_t lane, uint64_t offset,
                      uint32_t bytes)
{
    bool inside = bytes <= run->local_stride && offset <= run->local_stride - bytes;
    return inside ? run->local + lane * run->local_stride + offset : NULL;
}

static char *in_params(const struct weft_exec_run *run, uint64_t offset, uint32_t bytes)
{
    bool inside = bytes <= run->param_bytes && offset <= run->param_bytes - bytes;
    return inside ? (char *)(uintptr_t)run->params + offset : NULL;
}

static char *in_device(const struct weft_exec_run *run, const struct weft_exec_touch *touch)
{
    const struct weft_exec_memory *memory = run->block->launch->memory;
    const uint64_t *live = touch->kind & WEFT_EXEC_ACCESS_WRITE ? run->writable : run->live;
    uint64_t address = touch->address, offset = address - run->window_base;
    if (offset < run->window_bytes && touch->bytes <= run->window_bytes - offset)
        return weft_exec_is_live(live, offset, touch->bytes)
                   ? (char *)(uintptr_t)(address + (uint64_t)run->alias_delta)
                   : NULL;
    return memory->foreign ? memory->foreign(memory->foreign_context, address, touch->bytes) : NULL;
}

static char *in_generic(const struct weft_exec_run *run, const struct weft_exec_touch *touch)
{
    const struct weft_exec_memory *memory = run->block->launch->memory;
    uint64_t address = touch->address;
    uint32_t bytes = touch->bytes;
    if (address - memory->shared_base < WEFT_EXEC_SHARED_WINDOW_BYTES)
        return in_shared(run, address - memory->shared_base, bytes);
    if (address - memory->local_base < WEFT_EXEC_LOCAL_WINDOW_BYTES)
        return in_local(run, touch->lane, address - memory->local_base, bytes);
    if (address - memory->param_base < WEFT_EXEC_PARAM_WINDOW_BYTES)
        return in_params(run, address - memory->param_base, bytes);
    return in_device(run, touch);
}

char *weft_exec_host_pointer(const struct weft_exec_run *run, const struct weft_exec_touch *touch)
{
    switch (touch->space) {
    case WEFT_PTX_SHARED:
        return in_shared(run, touch->address, touch->bytes);
    case WEFT_PTX_LOCAL:
        return in_local(run, touch->lane, touch->address, touch->bytes);
    case WEFT_PTX_PARAM:
        return in_params(run, touch->address, touch->bytes);
    case WEFT_PTX_GENERIC:
        return in_generic(run, touch);
    default:
        return in_device(run, touch);
    }
}

static void raise_access(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                         const struct weft_exec_touch *touch, enum weft_exec_fault_kind kind)
{
    weft_exec_raise(run, insn, 1u << touch->lane, kind, touch->address);
    if (run->block->launch->check)
        weft_exec_check_explain(run, touch, &run->block->fault);
}

char *weft_exec_reach_as(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                         const struct weft_exec_touch *touch, uint32_t align)
{
    if (touch->address & (align - 1)) {
        raise_access(run, insn, touch, WEFT_EXEC_FAULT_MISALIGNED);
        return NULL;
    }
    char *host = weft_exec_host_pointer(run, touch);
    if (host == NULL || (run->block->launch->check && !weft_exec_check_lane(run, insn, touch))) {
        raise_access(run, insn, touch, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS);
        return NULL;
    }
    return host;
}

char *weft_exec_reach(struct weft_exec_run *run, const struct weft_exec_insn *insn, uint32_t lane,
                      uint64_t address, uint32_t bytes, uint32_t align)
{
    struct weft_exec_touch touch = weft_exec_touch_of(insn, lane, address, bytes);
    return weft_exec_reach_as(run, insn, &touch, align);
}

bool weft_exec_resolve_slowly(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                              uint32_t bytes, struct weft_exec_access *access)
{
    access->base = NULL;
    access->shape = WEFT_EXEC_SCATTERED;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        const char *host = weft_exec_reach(run, insn, lane, access->offset[lane], bytes, bytes);
        if (host == NULL)
            return false;
        access->offset[lane] = (uint64_t)(uintptr_t)host;
    }
    return true;
}

static uint64_t space_base(const struct weft_exec_run *run, uint8_t space)
{
    const struct weft_exec_memory *memory = run->block->launch->memory;
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

/* kind: 1 for cvta.to. wide_address: 64-bit rows. */
COMMON_HANDLER(cvta)
{
    uint64_t base = space_base(run, insn->space);
    uint64_t add = insn->kind ? 0 - base : base;
    LANES(lane)
    {
        if (!(run->mask >> lane & 1))
            continue;
        if (insn->wide_address)
            ((uint64_t *)weft_exec_row(run, insn->d))[lane] =
                ((const uint64_t *)weft_exec_source(run, insn->a))[lane] + add;
        else
            ((uint32_t *)weft_exec_row(run, insn->d))[lane] =
                ((const uint32_t *)weft_exec_source(run, insn->a))[lane] + (uint32_t)add;
    }
}

static bool is_constant(const struct weft_exec_kernel *kernel, uint64_t address)
{
    const struct weft_ptx_module *module = kernel->module;
    for (uint32_t i = 0; i < module->variable_count; i++)
        if (module->variables[i].space == WEFT_PTX_CONST &&
            address - kernel->variable_addresses[i] < module->variables[i].bytes)
            return true;
    return false;
}

static uint8_t space_of(const struct weft_exec_run *run, uint64_t address)
{
    const struct weft_exec_memory *memory = run->block->launch->memory;
    if (address - memory->shared_base < WEFT_EXEC_SHARED_WINDOW_BYTES)
        return WEFT_PTX_SHARED;
    if (address - memory->local_base < WEFT_EXEC_LOCAL_WINDOW_BYTES)
        return WEFT_PTX_LOCAL;
    if (address - memory->param_base < WEFT_EXEC_PARAM_WINDOW_BYTES)
        return WEFT_PTX_PARAM;
    return is_constant(run->kernel, address) ? WEFT_PTX_CONST : WEFT_PTX_GLOBAL;
}

/* kind: 1 for shared memory of the block itself. */
COMMON_HANDLER(isspacep)
{
    uint32_t bits = 0;
    LANES(lane)
    {
        uint64_t address = insn->wide_address
                               ? ((const uint64_t *)weft_exec_source(run, insn->a))[lane]
                               : ((const uint32_t *)weft_exec_source(run, insn->a))[lane];
        uint64_t offset = address - run->block->launch->memory->shared_base;
        bool is_own = !insn->kind || offset < WEFT_EXEC_CLUSTER_STRIDE;
        bits |= (uint32_t)(is_own && space_of(run, address) == insn->space) << lane;
    }
    weft_exec_set_predicate(run, insn->d, bits);
}

/* Where a .local or .param variable lies. a: the row of the frame's head that it is counted from;
 * b: bytes of a lane in the row. */
COMMON_HANDLER(local_address)
{
    const uint32_t *base = weft_exec_row(run, insn->a);
    LANES(lane)
    {
        if (!(run->mask >> lane & 1))
            continue;
        uint32_t address = base[lane] + (uint32_t)insn->immediate;
        if (insn->b == 8)
            ((uint64_t *)weft_exec_row(run, insn->d))[lane] = address;
        else
            ((uint32_t *)weft_exec_row(run, insn->d))[lane] = address;
    }
}

static uint64_t address_in(const struct weft_exec_run *run, int32_t row, bool wide, uint32_t lane)
{
    return weft_exec_lane_read(weft_exec_source(run, row), wide ? 8 : 4, lane);
}

/* alloca: a: how many bytes; b: of the frame's local memory, below which nothing can be taken;
 * immediate: alignment; wide_address: 64-bit rows. */
COMMON_HANDLER(stack_take)
{
    const uint32_t *base = weft_exec_row(run, WEFT_EXEC_ROW_LOCAL_BASE);
    uint32_t *top = run->warp->stack_top;
    uint32_t lane_bytes = insn->wide_address ? 8 : 4;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint64_t bytes = address_in(run, insn->a, insn->wide_address, lane);
        uint64_t floor = (uint64_t)base[lane] + (uint32_t)insn->b;
        uint64_t place =
            bytes <= top[lane] ? (top[lane] - bytes) & ~(uint64_t)(insn->immediate - 1) : 0;
        if (bytes > top[lane] || place < floor) {
            weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_STACK_OVERFLOW, 0);
            return;
        }
        top[lane] = (uint32_t)place;
        weft_exec_lane_write(weft_exec_row(run, insn->d), lane_bytes, lane, place);
    }
}

COMMON_HANDLER(stack_read)
{
    const uint32_t *top = run->warp->stack_top;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        weft_exec_lane_write(weft_exec_row(run, insn->d), insn->wide_address ? 8 : 4, lane,
                             top[lane]);
    }
}

/* What a program gives back may be anything: it never lets the stack reach beyond its end. */
COMMON_HANDLER(stack_set)
{
    uint32_t *top = run->warp->stack_top;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint64_t place = address_in(run, insn->a, insn->wide_address, lane);
        top[lane] = (uint32_t)WEFT_MIN(place, run->local_stride);
    }
}

/* An argument or a result of a call. a, b: where from and where to in the lane's local memory,
 * relative to the frame's own; immediate: bytes. */
COMMON_HANDLER(copy_local)
{
    const uint32_t *base = weft_exec_row(run, WEFT_EXEC_ROW_LOCAL_BASE);
    uint32_t furthest = (uint32_t)WEFT_MAX(insn->a, insn->b) + (uint32_t)insn->immediate;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        if ((uint64_t)base[lane] + furthest > run->local_stride) {
            weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_STACK_OVERFLOW, 0);
            return;
        }
        char *local = run->local + lane * run->local_stride + base[lane];
        memcpy(local + insn->b, local + insn->a, (size_t)insn->immediate);
    }
}

/* Special registers, and logic on predicates. */
#include <time.h>

#include "softgpu/exec/ops.h"
#include "util/util.h"

static uint64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t lane_mask(uint8_t special, uint32_t lane)
{
    uint32_t equal = 1u << lane;
    switch (special) {
    case WEFT_PTX_SPECIAL_LANEMASK_EQ:
        return equal;
    case WEFT_PTX_SPECIAL_LANEMASK_LE:
        return equal | (equal - 1);
    case WEFT_PTX_SPECIAL_LANEMASK_LT:
        return equal - 1;
    case WEFT_PTX_SPECIAL_LANEMASK_GE:
        return ~(equal - 1);
    default:
        return ~(equal | (equal - 1));
    }
}

/* A block is a cluster of its own. */
static uint64_t cluster(const struct weft_exec_run *run, uint8_t special, uint8_t component)
{
    switch (special) {
    case WEFT_PTX_SPECIAL_CLUSTERID:
        return component < 3 ? run->block->index[component] : 0;
    case WEFT_PTX_SPECIAL_NCLUSTERID:
        return component < 3 ? run->block->launch->grid[component] : 1;
    case WEFT_PTX_SPECIAL_CLUSTER_NCTAID:
    case WEFT_PTX_SPECIAL_CLUSTER_NCTARANK:
        return 1;
    default:
        return 0;
    }
}

static uint64_t time_value(uint8_t special)
{
    switch (special) {
    case WEFT_PTX_SPECIAL_CLOCK:
        return (uint32_t)weft_clock_ns();
    case WEFT_PTX_SPECIAL_CLOCK_HI:
        return weft_clock_ns() >> 32;
    case WEFT_PTX_SPECIAL_CLOCK64:
        return weft_clock_ns();
    case WEFT_PTX_SPECIAL_GLOBALTIMER_LO:
        return (uint32_t)wall_ns();
    case WEFT_PTX_SPECIAL_GLOBALTIMER_HI:
        return wall_ns() >> 32;
    default:
        return wall_ns();
    }
}

/* Values that are the same for all lanes. */
static uint64_t uniform_value(const struct weft_exec_run *run, uint8_t special, uint8_t component)
{
    const struct weft_exec_block *block = run->block;
    const struct weft_exec_launch *launch = block->launch;
    switch (special) {
    case WEFT_PTX_SPECIAL_NTID:
        return component < 3 ? launch->block[component] : 1;
    case WEFT_PTX_SPECIAL_CTAID:
        return component < 3 ? block->index[component] : 0;
    case WEFT_PTX_SPECIAL_NCTAID:
        return component < 3 ? launch->grid[component] : 1;
    case WEFT_PTX_SPECIAL_WARPID:
        return run->warp->index;
    case WEFT_PTX_SPECIAL_NWARPID:
        return block->warp_count;
    case WEFT_PTX_SPECIAL_SMID:
        return block->sm_id;
    case WEFT_PTX_SPECIAL_NSMID:
        return launch->sm_count;
    case WEFT_PTX_SPECIAL_GRIDID:
        return launch->grid_id;
    case WEFT_PTX_SPECIAL_TOTAL_SMEM_SIZE:
    case WEFT_PTX_SPECIAL_AGGR_SMEM_SIZE:
        return block->shared_bytes;
    case WEFT_PTX_SPECIAL_DYNAMIC_SMEM_SIZE:
        return launch->dynamic_shared_bytes;
    case WEFT_PTX_SPECIAL_CLOCK:
    case WEFT_PTX_SPECIAL_CLOCK_HI:
    case WEFT_PTX_SPECIAL_CLOCK64:
    case WEFT_PTX_SPECIAL_GLOBALTIMER:
    case WEFT_PTX_SPECIAL_GLOBALTIMER_LO:
    case WEFT_PTX_SPECIAL_GLOBALTIMER_HI:
        return time_value(special);
    default:
        return cluster(run, special, component);
    }
}

static bool reads_time(uint8_t special)
{
    return special >= WEFT_PTX_SPECIAL_CLOCK && special <= WEFT_PTX_SPECIAL_GLOBALTIMER_HI;
}

/* kind: enum weft_ptx_special; count: component; b: bytes of a lane in the row. */
COMMON_HANDLER(special)
{
    uint64_t values[WEFT_EXEC_LANES];
    const uint32_t *threads = run->block->thread_index + run->warp->index * 3 * WEFT_EXEC_LANES;
    if (reads_time(insn->kind))
        weft_exec_spin_hint(run);
    if (insn->kind == WEFT_PTX_SPECIAL_TID) {
        LANES(lane)
        values[lane] = insn->count < 3 ? threads[insn->count * WEFT_EXEC_LANES + lane] : 0;
    } else if (insn->kind == WEFT_PTX_SPECIAL_LANEID) {
        LANES(lane) values[lane] = lane;
    } else if (insn->kind >= WEFT_PTX_SPECIAL_LANEMASK_EQ &&
               insn->kind <= WEFT_PTX_SPECIAL_LANEMASK_GT) {
        LANES(lane) values[lane] = lane_mask(insn->kind, lane);
    } else {
        uint64_t value = uniform_value(run, insn->kind, insn->count);
        LANES(lane) values[lane] = value;
    }
    if (insn->b == 8) {
        uint64_t *d = weft_exec_row(run, insn->d);
        LANES(lane) d[lane] = run->mask >> lane & 1 ? values[lane] : d[lane];
    } else {
        uint32_t *d = weft_exec_row(run, insn->d);
        LANES(lane) d[lane] = run->mask >> lane & 1 ? (uint32_t)values[lane] : d[lane];
    }
}

/* kind: enum weft_ptx_operation, NONE for a copy. NEGATE and COMBINE_FLIP complement a and b. */
COMMON_HANDLER(predicate)
{
    uint32_t a = weft_exec_predicate(run, insn->a);
    uint32_t b = weft_exec_predicate(run, insn->b);
    a ^= insn->modifiers & WEFT_EXEC_NEGATE ? UINT32_MAX : 0;
    b ^= insn->modifiers & WEFT_EXEC_COMBINE_FLIP ? UINT32_MAX : 0;
    uint32_t bits = insn->kind == WEFT_PTX_OP_AND   ? a & b
                    : insn->kind == WEFT_PTX_OP_OR  ? a | b
                    : insn->kind == WEFT_PTX_OP_XOR ? a ^ b
                                                    : a;
    weft_exec_set_predicate(run, insn->d, bits);
}

/* Special registers, and logic on predicates. */
#include <string.h>
#include <time.h>

#include "softgpu/exec/cluster.h"
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

static uint64_t cluster(const struct weft_exec_run *run, uint8_t special, uint8_t component)
{
    const struct weft_exec_block *block = run->block;
    const struct weft_exec_launch *launch = block->launch;
    uint32_t size = component < 3 ? weft_exec_cluster_size(launch, component) : 1;
    switch (special) {
    case WEFT_PTX_SPECIAL_CLUSTERID:
        return component < 3 ? block->index[component] / size : 0;
    case WEFT_PTX_SPECIAL_NCLUSTERID:
        return component < 3 ? launch->grid[component] / size : 1;
    case WEFT_PTX_SPECIAL_CLUSTER_CTAID:
        return component < 3 ? block->index[component] % size : 0;
    case WEFT_PTX_SPECIAL_CLUSTER_NCTAID:
        return size;
    case WEFT_PTX_SPECIAL_CLUSTER_CTARANK:
        return block->rank;
    case WEFT_PTX_SPECIAL_CLUSTER_NCTARANK:
        return block->cluster->count;
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
    case WEFT_PTX_SPECIAL_ENVREG1:
        return launch->workspace >> 32;
    case WEFT_PTX_SPECIAL_ENVREG2:
        return (uint32_t)launch->workspace;
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

static bool differs_by_lane(uint8_t special)
{
    return special == WEFT_PTX_SPECIAL_LANEID ||
           (special >= WEFT_PTX_SPECIAL_LANEMASK_EQ && special <= WEFT_PTX_SPECIAL_LANEMASK_GT);
}

static void write_words(struct weft_exec_run *run, int32_t row, const uint32_t *values)
{
    uint32_t *d = weft_exec_row(run, row);
    if (run->mask == WEFT_EXEC_ALL_LANES)
        memcpy(d, values, WEFT_EXEC_LANES * sizeof(*d));
    else
        LANES(lane) d[lane] = run->mask >> lane & 1 ? values[lane] : d[lane];
}

/* kind: enum weft_ptx_special; count: component; b: bytes of a lane in the row. */
COMMON_HANDLER(special)
{
    const uint32_t *threads = run->block->thread_index + run->warp->index * 3 * WEFT_EXEC_LANES;
    bool is_thread = insn->kind == WEFT_PTX_SPECIAL_TID && insn->count < 3;
    if (insn->kind == WEFT_PTX_SPECIAL_IS_EXPLICIT_CLUSTER) { /* a predicate */
        weft_exec_set_predicate(run, insn->d, run->block->launch->cluster[0] ? UINT32_MAX : 0);
        return;
    }
    if (reads_time(insn->kind))
        weft_exec_spin_hint(run);
    if (is_thread && insn->b == 4) {
        write_words(run, insn->d, threads + insn->count * WEFT_EXEC_LANES);
        return;
    }
    bool by_lane = differs_by_lane(insn->kind);
    uint64_t same = by_lane || insn->kind == WEFT_PTX_SPECIAL_TID
                        ? 0
                        : uniform_value(run, insn->kind, insn->count);
    uint64_t values[WEFT_EXEC_LANES];
    uint32_t words[WEFT_EXEC_LANES];
    LANES(lane)
    {
        values[lane] =
            is_thread ? threads[insn->count * WEFT_EXEC_LANES + lane]
            : by_lane ? (insn->kind == WEFT_PTX_SPECIAL_LANEID ? lane : lane_mask(insn->kind, lane))
                      : same;
        words[lane] = (uint32_t)values[lane];
    }
    if (insn->b == 4) {
        write_words(run, insn->d, words);
        return;
    }
    uint64_t *d = weft_exec_row(run, insn->d);
    LANES(lane) d[lane] = run->mask >> lane & 1 ? values[lane] : d[lane];
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

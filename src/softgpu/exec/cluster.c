/* Blocks of a cluster: they are started and run together, by one thread, so that each reads and
 * writes the others' shared memory without a lock. */
#include "softgpu/exec/cluster.h"

#include <string.h>

#include "softgpu/exec/memory.h"
#include "util/util.h"

uint32_t weft_exec_cluster_size(const struct weft_exec_launch *launch, uint32_t axis)
{
    return WEFT_MAX(launch->cluster[axis], 1u);
}

char *weft_exec_cluster_shared(const struct weft_exec_block *block, uint64_t offset, uint32_t bytes)
{
    if (offset >= WEFT_EXEC_CLUSTER_STRIDE) {
        uint64_t rank = offset / WEFT_EXEC_CLUSTER_STRIDE - 1;
        if (rank >= block->cluster->count)
            return NULL;
        block = block->cluster->blocks[rank];
        offset %= WEFT_EXEC_CLUSTER_STRIDE;
    }
    bool inside = bytes <= block->shared_bytes && offset <= block->shared_bytes - bytes;
    return inside ? block->shared + offset : NULL;
}

static bool all_arrived(const struct weft_exec_cluster *cluster)
{
    for (uint32_t r = 0; r < cluster->count; r++) {
        const struct weft_exec_block *block = cluster->blocks[r];
        for (uint32_t w = 0; w < block->warp_count; w++)
            if (block->warps[w].live & ~block->cluster_arrived[w])
                return false;
    }
    return true;
}

static void release(struct weft_exec_cluster *cluster)
{
    cluster->touched = false;
    for (uint32_t r = 0; r < cluster->count; r++) {
        struct weft_exec_block *block = cluster->blocks[r];
        memset(block->cluster_arrived, 0, sizeof(block->cluster_arrived));
        for (uint32_t w = 0; w < block->warp_count; w++) {
            struct weft_exec_warp *warp = &block->warps[w];
            for (uint32_t i = 0; i < warp->group_count; i++) {
                struct weft_exec_group *group = &warp->groups[i];
                if (group->state != WEFT_EXEC_GROUP_AT_BARRIER ||
                    group->waits_for != WEFT_EXEC_BARRIER_CLUSTER)
                    continue;
                group->state = WEFT_EXEC_GROUP_READY;
                group->waits_for = 0;
                weft_exec_refresh(warp);
            }
        }
    }
}

void weft_exec_cluster_recheck(struct weft_exec_run *run)
{
    struct weft_exec_cluster *cluster = run->block->cluster;
    if (cluster->touched && all_arrived(cluster))
        release(cluster);
}

/* barrier.cluster.arrive: a lane's bit stands until all threads of the cluster have theirs. */
COMMON_HANDLER(cluster_arrive)
{
    (void)insn;
    run->block->cluster->touched = true;
    run->block->cluster_arrived[run->warp->index] |= run->mask;
    weft_exec_cluster_recheck(run);
    weft_exec_yield_to_better(run);
}

/* barrier.cluster.wait: the lanes whose bit still stands. */
COMMON_HANDLER(cluster_wait)
{
    (void)insn;
    run->mask &= run->block->cluster_arrived[run->warp->index];
    if (run->mask)
        weft_exec_park(run, run->pc, WEFT_EXEC_GROUP_AT_BARRIER, WEFT_EXEC_BARRIER_CLUSTER);
}

static uint64_t address_at(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                           uint32_t lane)
{
    const void *row = weft_exec_source(run, insn->a);
    return weft_exec_lane_read(row, insn->wide_address ? 8 : 4, lane);
}

/* d: the address of a at rank b. kind: the addresses are generic. */
COMMON_HANDLER(mapa)
{
    uint64_t base = insn->kind ? run->block->launch->memory->shared_base : 0;
    const uint32_t *ranks = weft_exec_source(run, insn->b);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint32_t rank = WEFT_MIN(ranks[lane], (uint32_t)WEFT_EXEC_CLUSTER_BLOCKS_MAX);
        uint64_t mapped = weft_exec_cluster_address(address_at(run, insn, lane) - base, rank);
        weft_exec_lane_write(weft_exec_row(run, insn->d), insn->wide_address ? 8 : 4, lane,
                             base + mapped);
    }
}

/* The rank whose shared memory an address is in. */
COMMON_HANDLER(getctarank)
{
    uint64_t base = insn->kind ? run->block->launch->memory->shared_base : 0;
    uint32_t *d = weft_exec_row(run, insn->d);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint64_t place = (address_at(run, insn, lane) - base) / WEFT_EXEC_CLUSTER_STRIDE;
        d[lane] = place ? (uint32_t)place - 1 : run->block->rank;
    }
}

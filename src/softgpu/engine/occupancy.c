/* How many blocks fit on an SM. */
#include "softgpu/engine/module.h"

/* Registers are handed out to a warp in units. */
#define REGISTER_UNIT 256

static uint32_t limit_by(uint64_t available, uint64_t wanted)
{
    return wanted ? (uint32_t)(available / wanted) : UINT32_MAX;
}

uint32_t weft_soft_occupancy(const struct weft_soft_profile *profile,
                             const struct weft_exec_kernel_info *info, uint32_t threads,
                             uint64_t dynamic_shared_bytes)
{
    uint32_t warps = (threads + profile->warp_lanes - 1) / profile->warp_lanes;
    uint64_t warp_registers =
        weft_round_up((uint64_t)info->registers * profile->warp_lanes, REGISTER_UNIT);
    uint64_t shared = info->static_shared_bytes + dynamic_shared_bytes;
    if (warps == 0 || shared > profile->shared_bytes_per_block_optin)
        return 0;
    uint32_t blocks = profile->max_blocks_per_sm;
    blocks = WEFT_MIN(blocks,
                      limit_by(profile->max_threads_per_sm, (uint64_t)warps * profile->warp_lanes));
    blocks = WEFT_MIN(blocks, limit_by(profile->registers_per_sm, warps * warp_registers));
    if (shared)
        blocks = WEFT_MIN(blocks, limit_by(profile->shared_bytes_per_sm,
                                           shared + profile->shared_bytes_reserved_per_block));
    return blocks;
}

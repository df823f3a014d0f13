/* The soft GPU's profiles: what each pretends to be. A pure table, known to the driver, to weftd
 * and to the command. */
#ifndef WEFT_SOFTGPU_PROFILES_H
#define WEFT_SOFTGPU_PROFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_SOFT_PROFILE_DEFAULT "small"

struct weft_soft_profile {
    const char *name; /* as in --gpu soft=NAME; shorter than WEFT_PROFILE_BYTES */
    uint64_t memory_bytes;
    uint64_t context_bytes; /* what one context costs, charged to the tenant */
    uint64_t l2_cache_bytes;
    uint32_t sm_count;
    uint32_t cc_major, cc_minor; /* compute capability */
    uint32_t lanes_per_sm;       /* FP32 lanes */
    uint32_t schedulers_per_sm;
    uint32_t clock_khz;
    uint32_t memory_clock_khz;
    uint32_t memory_bus_bits;
    uint32_t memory_bandwidth_mb_per_s; /* 10^6 bytes */
    uint32_t registers_per_sm;
    uint32_t registers_per_block;
    uint32_t shared_bytes_per_sm;
    uint32_t shared_bytes_per_block;          /* without asking */
    uint32_t shared_bytes_per_block_optin;    /* after cuFuncSetAttribute */
    uint32_t shared_bytes_reserved_per_block; /* the system's own */
    uint32_t warp_lanes;
    uint32_t max_threads_per_sm;
    uint32_t max_threads_per_block;
    uint32_t max_blocks_per_sm;
    uint32_t max_block_dim[3];
    uint32_t max_grid_dim[3];
    uint32_t copy_engines;
    uint32_t const_bytes;
    bool mig;
};

/* The device's rate: warp instructions that it issues in a millisecond, one a scheduler and clock
 * on all of its SMs together. */
static inline uint64_t weft_soft_profile_rate(const struct weft_soft_profile *profile)
{
    return (uint64_t)profile->sm_count * profile->schedulers_per_sm * profile->clock_khz;
}
/* Warp instructions that a worker runs between two looks at what else there is: about a tenth of a
 * millisecond of the host, and not much device time. */
uint32_t weft_soft_profile_slice(const struct weft_soft_profile *profile);
/* The same in device time. */
uint64_t weft_soft_profile_slice_ns(const struct weft_soft_profile *profile);
/* Device time that one tenant may be before another: some slices, so that the host's processors are
 * used side by side. */
uint64_t weft_soft_profile_slack_ns(const struct weft_soft_profile *profile);

/* The table, in the order in which it is shown; `count` entries. */
const struct weft_soft_profile *weft_soft_profiles(size_t *count);
/* By exact name; NULL where there is none. Any thread. */
const struct weft_soft_profile *weft_soft_profile_find(const char *name);

#endif

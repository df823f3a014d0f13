#include "softgpu/profiles.h"

#include <string.h>

#include "util/util.h"

#define KIB(count) ((count) << 10)
#define MIB(count) ((uint64_t)(count) << 20)
#define GIB(count) ((uint64_t)(count) << 30)

/* What every profile has in common. */
#define COMMON                                                                          \
    .schedulers_per_sm = 4, .registers_per_sm = 65536, .registers_per_block = 65536,    \
    .shared_bytes_per_block = KIB(48), .warp_lanes = 32, .max_threads_per_block = 1024, \
    .max_block_dim = {1024, 1024, 64}, .max_grid_dim = {2147483647, 65535, 65535},      \
    .copy_engines = 3, .const_bytes = KIB(64)

#define SLICE_INSTRUCTIONS_MIN 256
#define SLICE_INSTRUCTIONS_MAX 16384
#define SLICE_US 100   /* of device time, at most */
#define SLACK_SLICES 8 /* of the largest */
#define SLACK_US 2000  /* at most */

#define TURING                                                                                \
    COMMON, .cc_major = 7, .cc_minor = 5, .lanes_per_sm = 64, .shared_bytes_per_sm = KIB(64), \
            .shared_bytes_per_block_optin = KIB(64), .max_threads_per_sm = 1024,              \
            .max_blocks_per_sm = 16, .clock_khz = 1590000, .memory_clock_khz = 5001000

#define AMPERE                                                                                   \
    COMMON, .cc_major = 8, .cc_minor = 0, .lanes_per_sm = 64, .shared_bytes_per_sm = KIB(164),   \
            .shared_bytes_per_block_optin = KIB(163), .shared_bytes_reserved_per_block = KIB(1), \
            .max_threads_per_sm = 2048, .max_blocks_per_sm = 32, .clock_khz = 1410000,           \
            .sm_count = 108, .l2_cache_bytes = MIB(40), .memory_bus_bits = 5120,                 \
            .context_bytes = MIB(410), .mig = true

#define HOPPER                                                                                   \
    COMMON, .cc_major = 9, .cc_minor = 0, .lanes_per_sm = 128, .shared_bytes_per_sm = KIB(228),  \
            .shared_bytes_per_block_optin = KIB(227), .shared_bytes_reserved_per_block = KIB(1), \
            .max_threads_per_sm = 2048, .max_blocks_per_sm = 32, .clock_khz = 1980000,           \
            .sm_count = 132, .l2_cache_bytes = MIB(50), .memory_bus_bits = 5120,                 \
            .context_bytes = MIB(520), .mig = true

static const struct weft_soft_profile profiles[] = {
    {.name = "small",
     TURING,
     .memory_bytes = GIB(4),
     .sm_count = 8,
     .l2_cache_bytes = MIB(1),
     .memory_bus_bits = 64,
     .memory_bandwidth_mb_per_s = 80000},
    {.name = "t4",
     TURING,
     .memory_bytes = GIB(16),
     .context_bytes = MIB(104),
     .sm_count = 40,
     .l2_cache_bytes = MIB(4),
     .memory_bus_bits = 256,
     .memory_bandwidth_mb_per_s = 320000},
    {.name = "a100-40g",
     AMPERE,
     .memory_bytes = GIB(40),
     .memory_clock_khz = 1215000,
     .memory_bandwidth_mb_per_s = 1555000},
    {.name = "a100-80g",
     AMPERE,
     .memory_bytes = GIB(80),
     .memory_clock_khz = 1593000,
     .memory_bandwidth_mb_per_s = 2039000},
    {.name = "h100-80g",
     HOPPER,
     .memory_bytes = GIB(80),
     .memory_clock_khz = 2619000,
     .memory_bandwidth_mb_per_s = 3350000},
    /* As slow as the host emulates it, so that its seconds pass: for trying limits of time out. */
    {.name = "slow",
     COMMON,
     .cc_major = 7,
     .cc_minor = 5,
     .lanes_per_sm = 64,
     .shared_bytes_per_sm = KIB(64),
     .shared_bytes_per_block_optin = KIB(64),
     .max_threads_per_sm = 1024,
     .max_blocks_per_sm = 16,
     .clock_khz = 2500,
     .memory_clock_khz = 5001000,
     .memory_bytes = MIB(256),
     .sm_count = 2,
     .l2_cache_bytes = MIB(1),
     .memory_bus_bits = 64,
     .memory_bandwidth_mb_per_s = 80000},
};

const struct weft_soft_profile *weft_soft_profiles(size_t *count)
{
    *count = sizeof(profiles) / sizeof(profiles[0]);
    return profiles;
}

const struct weft_soft_profile *weft_soft_profile_find(const char *name)
{
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    }
    return NULL;
}

uint32_t weft_soft_profile_slice(const struct weft_soft_profile *profile)
{
    uint64_t instructions = weft_soft_profile_rate(profile) * SLICE_US / 1000;
    return (uint32_t)WEFT_MAX(SLICE_INSTRUCTIONS_MIN,
                              WEFT_MIN(instructions, SLICE_INSTRUCTIONS_MAX));
}

uint64_t weft_soft_profile_slice_ns(const struct weft_soft_profile *profile)
{
    uint64_t slice_ns = (uint64_t)weft_soft_profile_slice(profile) * 1000000;
    return WEFT_MAX(1u, slice_ns / weft_soft_profile_rate(profile));
}

uint64_t weft_soft_profile_slack_ns(const struct weft_soft_profile *profile)
{
    uint64_t slack_ns =
        (uint64_t)SLACK_SLICES * SLICE_INSTRUCTIONS_MAX * 1000000 / weft_soft_profile_rate(profile);
    return WEFT_MAX(1u, WEFT_MIN(slack_ns, SLACK_US * 1000u));
}

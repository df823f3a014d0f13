/* The policy page: what weftd grants a tenant, in memory that its processes map read-only. A reader
 * takes one word with acquire; several words that belong together are read under the sequence
 * number (odd while weftd writes). A new life of the daemon makes a new page, and clients swap to
 * it when they reconnect. */
#ifndef WEFT_POLICY_PAGE_H
#define WEFT_POLICY_PAGE_H

#include <stdint.h>

#include "policy/limits.h"

#define WEFT_POLICY_MAGIC 0x74666577u /* "weft" */
#define WEFT_POLICY_MAJOR 1
#define WEFT_POLICY_MINOR 1
#define WEFT_POLICY_DEVICES 16
#define WEFT_POLICY_UNLIMITED UINT64_MAX
#define WEFT_POLICY_READS_MAX 1000 /* a daemon that died while it wrote leaves the number odd */

struct weft_policy_device {
    uint64_t memory_limit_bytes;     /* WEFT_POLICY_UNLIMITED: the whole device */
    uint64_t memory_guarantee_bytes; /* since minor 1; 0: none */
    uint64_t reserved[6];
};

struct weft_policy_page {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t bytes; /* of this struct as the writer knew it */
    uint32_t device_count;
    uint32_t sequence;
    /* Since minor 1; of the tenant as a whole, in the units of struct weft_limits. */
    uint32_t weight; /* 0: of minor 0, or not written; the default */
    uint32_t class;
    uint32_t compute_cap_e4;
    uint32_t sm_percent;
    uint32_t kernel_timeout_us;
    uint32_t reserved[6];
    struct weft_policy_device devices[WEFT_POLICY_DEVICES];
};

_Static_assert(sizeof(struct weft_policy_page) == 64 + 64 * WEFT_POLICY_DEVICES,
               "shared with other processes");

static inline uint64_t weft_policy_memory_limit(const struct weft_policy_page *page,
                                                uint32_t device)
{
    return __atomic_load_n(&page->devices[device].memory_limit_bytes, __ATOMIC_ACQUIRE);
}

/* What a tenant's work is admitted under. */
struct weft_policy_time {
    uint32_t sequence; /* even; work that was admitted under another one is of an older policy */
    uint32_t weight;
    enum weft_class class;
    uint32_t compute_cap_e4;
    uint32_t sm_percent;
    uint32_t kernel_timeout_us;
};

/* The number alone: a policy that was read holds while this answers the same. */
static inline uint32_t weft_policy_sequence(const struct weft_policy_page *page)
{
    return __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
}

/* All of it as it was at one moment. Where a daemon died in the middle of writing, as it stands. */
static inline struct weft_policy_time weft_policy_time(const struct weft_policy_page *page)
{
    struct weft_policy_time time = {0};
    for (int i = 0; i < WEFT_POLICY_READS_MAX; i++) {
        time.sequence = weft_policy_sequence(page);
        time.weight = __atomic_load_n(&page->weight, __ATOMIC_RELAXED);
        time.class = (enum weft_class)__atomic_load_n(&page->class, __ATOMIC_RELAXED);
        time.compute_cap_e4 = __atomic_load_n(&page->compute_cap_e4, __ATOMIC_RELAXED);
        time.sm_percent = __atomic_load_n(&page->sm_percent, __ATOMIC_RELAXED);
        time.kernel_timeout_us = __atomic_load_n(&page->kernel_timeout_us, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (time.sequence % 2 == 0 &&
            __atomic_load_n(&page->sequence, __ATOMIC_RELAXED) == time.sequence)
            break;
    }
    if (page->minor >= 1 && time.weight)
        return time;
    return (struct weft_policy_time){.sequence = time.sequence,
                                     .weight = WEFT_WEIGHT_DEFAULT,
                                     .class = WEFT_CLASS_NORMAL,
                                     .compute_cap_e4 = WEFT_COMPUTE_WHOLE,
                                     .sm_percent = WEFT_SM_WHOLE};
}

#endif

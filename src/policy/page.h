/* The policy page: what weftd grants a tenant, in memory that its processes map read-only. A reader
 * takes one word with acquire; several words that belong together are read under the sequence
 * number (odd while weftd writes). A new life of the daemon makes a new page, and clients swap to
 * it when they reconnect. */
#ifndef WEFT_POLICY_PAGE_H
#define WEFT_POLICY_PAGE_H

#include <stdint.h>

#define WEFT_POLICY_MAGIC 0x74666577u /* "weft" */
#define WEFT_POLICY_MAJOR 1
#define WEFT_POLICY_MINOR 0
#define WEFT_POLICY_DEVICES 16
#define WEFT_POLICY_UNLIMITED UINT64_MAX

struct weft_policy_device {
    uint64_t memory_limit_bytes; /* WEFT_POLICY_UNLIMITED: the whole device */
    uint64_t reserved[7];
};

struct weft_policy_page {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t bytes; /* of this struct as the writer knew it */
    uint32_t device_count;
    uint32_t sequence;
    uint32_t reserved[11];
    struct weft_policy_device devices[WEFT_POLICY_DEVICES];
};

_Static_assert(sizeof(struct weft_policy_page) == 64 + 64 * WEFT_POLICY_DEVICES,
               "shared with other processes");

static inline uint64_t weft_policy_memory_limit(const struct weft_policy_page *page,
                                                uint32_t device)
{
    return __atomic_load_n(&page->devices[device].memory_limit_bytes, __ATOMIC_ACQUIRE);
}

#endif

/* The quota layer's inner header: its one state, and what its parts offer one another.
 *   quota.c          reserving and reporting      quota_map.c      the tables
 *   quota_linear.c   memory by address            quota_array.c    arrays and mipmaps
 *   quota_pool*.c    stream-ordered memory        quota_vmm*.c     handles and mappings
 *   quota_context.c  the end of contexts
 * Lock order: a primary context's lock > a pool's lock, or that of VMM memory > a map's shard. No
 * lock but a primary context's and a pool's is held while the backend is called. */
#ifndef WEFT_TENANT_QUOTA_LAYER_H
#define WEFT_TENANT_QUOTA_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/cuda_table.h>

#include "tenant/quota.h"
#include "tenant/quota_map.h"

#define WEFT_QUOTA_ROUND_BYTES 512
#define WEFT_QUOTA_GRANULE_BYTES (UINT64_C(2) << 20)

/* The CUDA ABI passes no context, so there is one state a process. */
struct weft_quota_state {
    struct weft_cuda next; /* the entries that the layer replaces, and all others */
    struct weft_ledger_account account;
    const struct weft_policy_page *policy; /* borrowed */
    uint32_t device_count;
    uint32_t places[WEFT_LEDGER_DEVICES]; /* the ledger's and policy's device of each ordinal */
    struct weft_room_seat seats[WEFT_LEDGER_DEVICES];
    uint32_t epoch;           /* atomic: goes up before and after a context ends */
    bool exports_are_counted; /* see struct weft_quota_config */
    uint64_t moved_ns;        /* atomic; when a charge last moved to this process */
    uint64_t device_bytes[WEFT_LEDGER_DEVICES]; /* atomic; its own total, 0 until asked for */
    struct weft_quota_map allocations;          /* addresses; owner: a CUcontext, or a pool */
};
extern struct weft_quota_state weft_quota;

enum weft_quota_kind {
    WEFT_QUOTA_LINEAR, /* charged by itself */
    WEFT_QUOTA_POOL,   /* charged with its pool, the owner */
};

/* Where the calling thread allocates. */
struct weft_quota_place {
    CUcontext context;
    uint32_t device;
    uint32_t epoch;
};
CUresult weft_quota_place_current(struct weft_quota_place *place);

/* The size as it is charged: rounded up, and never wrapped to something small. */
uint64_t weft_quota_round(uint64_t bytes, uint64_t power_of_two);
/* Charges, or CUDA_ERROR_OUT_OF_MEMORY. The first trims pools before it
 * refuses, and so takes their locks. */
CUresult weft_quota_reserve(uint32_t device, uint64_t bytes);
CUresult weft_quota_reserve_untrimmed(uint32_t device, uint64_t bytes);
void weft_quota_release(uint32_t device, uint64_t bytes);

/* Remembers an allocation that is charged by itself, until it is freed or its context ends; false
 * where there is no room. */
bool weft_quota_entry_put(const struct weft_quota_place *place, uint64_t key, uint64_t bytes);
/* Gives back what an entry that left the table stood for. */
void weft_quota_entry_forget(const struct weft_quota_entry *entry);

/* An address of a pool was freed; `now`: the backend has waited for it. */
void weft_quota_pool_freed(const struct weft_quota_entry *entry, bool now);
/* Has the device's pools give up what they do not use, and counts anew. */
void weft_quota_pools_trim(uint32_t device);
/* Counts pools anew that may have shrunk: after a wait (cheap where nothing was freed), or, with
 * `all`, every one. */
void weft_quota_pools_refresh(bool all);

/* Gives back VMM memory whose last trace was an export that is closed by now. */
void weft_quota_vmm_reap(void);

/* Each part puts its calls into the table and empties its own state. */
void weft_quota_linear_install(struct weft_cuda *table);
void weft_quota_array_install(struct weft_cuda *table);
void weft_quota_pool_install(struct weft_cuda *table);
void weft_quota_vmm_install(struct weft_cuda *table);
void weft_quota_context_install(struct weft_cuda *table);
void weft_quota_pool_reset(void);
void weft_quota_vmm_reset(void);
void weft_quota_context_reset(void);

#endif

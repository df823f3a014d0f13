/* The memory limit: replaces the table's calls that allocate, free, or tell how much memory there
 * is, on any backend. */
#ifndef WEFT_TENANT_QUOTA_H
#define WEFT_TENANT_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/ledger.h"
#include "policy/page.h"
#include "policy/room.h"
#include <weft/err.h>

struct weft_cuda;

struct weft_quota_config {
    struct weft_ledger *ledger;            /* the tenant's, borrowed */
    uint32_t slot;                         /* this process' slot in it */
    const struct weft_policy_page *policy; /* borrowed */
    uint32_t device_count;                 /* the program's ordinals are 0 … device_count - 1 */
    /* The ledger's and policy's device of each ordinal, borrowed for the call; NULL: the same
     * numbers. */
    const uint32_t *places;
    /* The tenant's in the room of each ordinal's device, borrowed for the call; NULL: none. */
    const struct weft_room_seat *seats;
    /* The backend calls weft_quota_charge_shared for what the program has exported and let go of.
     */
    bool exports_are_counted;
};

/* Keeps the entries that it replaces. Once a process, before the table is published. */
int weft_quota_install(struct weft_cuda *table, const struct weft_quota_config *config,
                       struct weft_err *err);
/* For struct weft_backend_config: memory of other processes that this one pays for. */
bool weft_quota_charge_shared(uint32_t ordinal, uint64_t bytes, bool over_limit);
void weft_quota_discharge_shared(uint32_t ordinal, uint64_t bytes);

/* In a child forked before cuInit. */
void weft_quota_drop_after_fork(void);

#endif

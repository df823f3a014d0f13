/* A pool as the quota layer sees it. quota_pool.c counts, quota_pool_alloc.c allocates and frees,
 * quota_pool_calls.c makes, ends and waits. */
#ifndef WEFT_TENANT_QUOTA_POOL_H
#define WEFT_TENANT_QUOTA_POOL_H

#include "tenant/quota_layer.h"

/* Places for pools are never freed, so that an entry of the table of allocations may point to one:
 * a place is used again only when its pool is destroyed and none of the pool's addresses is left.
 */
struct weft_quota_pool {
    pthread_mutex_t lock; /* guards the rest */
    bool taken;
    CUmemoryPool handle; /* atomic, for those who look for it; NULL once the pool is destroyed */
    bool charged_here;   /* it lies on one of our devices and belongs to this process */
    uint32_t device;
    uint64_t charged; /* what the ledger has of it */
    uint64_t live;    /* bytes handed out and not freed, as far as we can tell */
    uint32_t addresses;
    bool may_shrink; /* something was freed since it was last counted */
};

/* NULL where the handle was not entered, or is destroyed. */
struct weft_quota_pool *weft_quota_pool_find(CUmemoryPool handle);
/* Finds, or remembers a pool that is met for the first time. NULL where there is no room. */
struct weft_quota_pool *weft_quota_pool_enter(CUmemoryPool handle, uint32_t device,
                                              bool charged_here);

/* The rest want the pool's lock held. */

/* Brings the charge to `reserved`; false where that is refused. */
bool weft_quota_pool_charge(struct weft_quota_pool *pool, uint64_t reserved);
bool weft_quota_pool_attribute(struct weft_quota_pool *pool, CUmemPool_attribute attribute,
                               uint64_t *value);
/* Counts the pool anew; false where it reserves more than could be charged. */
bool weft_quota_pool_refresh(struct weft_quota_pool *pool);
/* Has the next wait count it anew. */
void weft_quota_pool_may_shrink(struct weft_quota_pool *pool);

/* Each file puts its calls into the table. */
void weft_quota_pool_alloc_install(struct weft_cuda *table);
void weft_quota_pool_calls_install(struct weft_cuda *table);

#endif

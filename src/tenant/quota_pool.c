/* Stream-ordered memory: a pool is charged with what it reserves, whoever uses it. How much that is
 * only the backend knows, so it is asked after each call that may change it. A pool's lock is held
 * across the allocating call: what the pool grew by is then that call's doing. */
#include "tenant/quota_pool.h"

#include <stddef.h>
#include <string.h>

#include "util/util.h"

#define POOLS_MAX 256

static struct {
    pthread_mutex_t lock; /* guards taking a place; the pools' locks come after it */
    uint32_t used;        /* atomic: places 0 … used - 1 were taken at least once */
    bool may_shrink;      /* atomic: some pool may */
    struct weft_quota_pool pools[POOLS_MAX];
} all;

void weft_quota_pool_may_shrink(struct weft_quota_pool *pool)
{
    pool->may_shrink = true;
    __atomic_store_n(&all.may_shrink, true, __ATOMIC_RELEASE);
}

struct weft_quota_pool *weft_quota_pool_find(CUmemoryPool handle)
{
    uint32_t used = __atomic_load_n(&all.used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used && handle; i++) {
        if (__atomic_load_n(&all.pools[i].handle, __ATOMIC_ACQUIRE) == handle)
            return &all.pools[i];
    }
    return NULL;
}

/* A free place, or NULL. all.lock is held. */
static struct weft_quota_pool *place_take(void)
{
    for (uint32_t i = 0; i < POOLS_MAX; i++) {
        struct weft_quota_pool *pool = &all.pools[i];
        pthread_mutex_lock(&pool->lock);
        bool free = !pool->taken;
        pool->taken = true;
        pthread_mutex_unlock(&pool->lock);
        if (!free)
            continue;
        if (i >= all.used)
            __atomic_store_n(&all.used, i + 1, __ATOMIC_RELEASE);
        return pool;
    }
    return NULL;
}

struct weft_quota_pool *weft_quota_pool_enter(CUmemoryPool handle, uint32_t device,
                                              bool charged_here)
{
    struct weft_quota_pool *pool = weft_quota_pool_find(handle);
    if (pool)
        return pool;
    pthread_mutex_lock(&all.lock);
    pool = weft_quota_pool_find(handle);
    if (!pool && (pool = place_take())) {
        pthread_mutex_lock(&pool->lock);
        pool->device = device;
        pool->charged_here = charged_here;
        pool->charged = pool->live = pool->addresses = 0;
        pool->may_shrink = false;
        __atomic_store_n(&pool->handle, handle, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&pool->lock);
    }
    pthread_mutex_unlock(&all.lock);
    return pool;
}

bool weft_quota_pool_charge(struct weft_quota_pool *pool, uint64_t reserved)
{
    if (reserved > pool->charged) {
        if (weft_quota_reserve_untrimmed(pool->device, reserved - pool->charged))
            return false;
    } else if (reserved < pool->charged) {
        weft_quota_release(pool->device, pool->charged - reserved);
    }
    pool->charged = reserved;
    return true;
}

bool weft_quota_pool_attribute(struct weft_quota_pool *pool, CUmemPool_attribute attribute,
                               uint64_t *value)
{
    cuuint64_t bytes = 0;
    if (weft_quota.next.cuMemPoolGetAttribute(pool->handle, attribute, &bytes))
        return false;
    *value = bytes;
    return true;
}

/* Counts the pool anew; false where it reserves more than could be
 * charged. The pool's lock is held. */
bool weft_quota_pool_refresh(struct weft_quota_pool *pool)
{
    uint64_t reserved = 0;
    if (!pool->charged_here)
        return true;
    if (!pool->handle) {
        /* Destroyed: the backend keeps its memory until the last address is freed. */
        if (pool->addresses > 0)
            return true;
        weft_quota_pool_charge(pool, 0);
        pool->taken = false;
        return true;
    }
    if (!weft_quota_pool_attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved))
        return true;
    pool->live = WEFT_MIN(pool->live, reserved);
    pool->may_shrink = reserved > pool->live;
    if (pool->may_shrink)
        weft_quota_pool_may_shrink(pool);
    return weft_quota_pool_charge(pool, reserved);
}

static void pool_trim(struct weft_quota_pool *pool)
{
    if (pool->handle && pool->charged_here && pool->charged) {
        weft_quota.next.cuMemPoolTrimTo(pool->handle, 0);
        weft_quota_pool_refresh(pool);
    }
}

void weft_quota_pools_trim(uint32_t device)
{
    uint32_t used = __atomic_load_n(&all.used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used; i++) {
        struct weft_quota_pool *pool = &all.pools[i];
        pthread_mutex_lock(&pool->lock);
        if (pool->taken && pool->device == device)
            pool_trim(pool);
        pthread_mutex_unlock(&pool->lock);
    }
}

void weft_quota_pools_refresh(bool every)
{
    if (!every && !__atomic_load_n(&all.may_shrink, __ATOMIC_ACQUIRE))
        return;
    __atomic_store_n(&all.may_shrink, false, __ATOMIC_RELEASE);
    uint32_t used = __atomic_load_n(&all.used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used; i++) {
        struct weft_quota_pool *pool = &all.pools[i];
        pthread_mutex_lock(&pool->lock);
        if (pool->taken && (every || pool->may_shrink))
            weft_quota_pool_refresh(pool);
        pthread_mutex_unlock(&pool->lock);
    }
}

void weft_quota_pool_freed(const struct weft_quota_entry *entry, bool now)
{
    struct weft_quota_pool *pool = entry->owner;
    pthread_mutex_lock(&pool->lock);
    pool->live -= WEFT_MIN(pool->live, entry->bytes);
    pool->addresses -= pool->addresses > 0;
    weft_quota_pool_may_shrink(pool);
    if (now)
        weft_quota_pool_refresh(pool);
    pthread_mutex_unlock(&pool->lock);
}

void weft_quota_pool_install(struct weft_cuda *table)
{
    weft_quota_pool_alloc_install(table);
    weft_quota_pool_calls_install(table);
}

void weft_quota_pool_reset(void)
{
    memset(&all, 0, sizeof(all));
    pthread_mutex_init(&all.lock, NULL);
    for (uint32_t i = 0; i < POOLS_MAX; i++)
        pthread_mutex_init(&all.pools[i].lock, NULL);
}

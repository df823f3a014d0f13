/* What the quota layer knows of each allocation, by address or handle: a hash map in shards, so
 * that threads which allocate at once seldom meet. Each call takes one shard's lock for a bounded,
 * short time. */
#ifndef WEFT_TENANT_QUOTA_MAP_H
#define WEFT_TENANT_QUOTA_MAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WEFT_QUOTA_SHARD_BITS 6
#define WEFT_QUOTA_SHARDS (1u << WEFT_QUOTA_SHARD_BITS)
#define WEFT_QUOTA_SHARD_ENTRIES_MAX (1u << 20)

struct weft_quota_entry {
    uint64_t key; /* address or handle, never 0 */
    uint64_t bytes;
    void *owner;    /* whose end ends the allocation too; borrowed, only compared or handed back */
    uint32_t epoch; /* when it was made: tells it from one of a later owner at the same address */
    uint16_t device;
    uint16_t kind; /* the user's own */
};

struct weft_quota_shard {
    pthread_mutex_t lock;             /* guards the rest */
    struct weft_quota_entry *entries; /* owned; key 0 is free */
    uint32_t capacity, count;         /* capacity is 0 or a power of two, at most two thirds full */
};

struct weft_quota_map {
    struct weft_quota_shard shards[WEFT_QUOTA_SHARDS];
};

void weft_quota_map_init(struct weft_quota_map *map);
/* Forgets all entries and frees the memory; the map may be initialised again. */
void weft_quota_map_finish(struct weft_quota_map *map);
/* Adds an entry. One with the same key is replaced and handed out, so that what it stood for can be
 * given back; replaced->key is 0 if there was none. 0, -WEFT_ENOMEM, -WEFT_EINVAL for key 0. */
int weft_quota_map_put(struct weft_quota_map *map, const struct weft_quota_entry *entry,
                       struct weft_quota_entry *replaced);
/* Removes and hands out; false where the key is not there. */
bool weft_quota_map_take(struct weft_quota_map *map, uint64_t key, struct weft_quota_entry *entry);
bool weft_quota_map_find(struct weft_quota_map *map, uint64_t key, struct weft_quota_entry *entry);
/* The entry for which `match` is true, looked for one by one; any of
 * them where there are several. */
bool weft_quota_map_search(struct weft_quota_map *map,
                           bool (*match)(const struct weft_quota_entry *entry,
                                         const void *argument),
                           const void *argument, struct weft_quota_entry *entry);
/* Removes all entries of `owner` that are not younger than `epoch` and hands each to `taken`, which
 * must not use the map. */
void weft_quota_map_take_owner(struct weft_quota_map *map, const void *owner, uint32_t epoch,
                               void (*taken)(const struct weft_quota_entry *entry, void *argument),
                               void *argument);

#endif

#include "tenant/quota_map.h"

#include <stdlib.h>
#include <string.h>

#include <weft/err.h>

#define CAPACITY_MIN 16

/* Addresses differ in their middle bits; the multiplication (Knuth's, by the golden ratio) brings
 * them to the top. */
static uint64_t hash(uint64_t key)
{
    return key * UINT64_C(0x9e3779b97f4a7c15);
}

static struct weft_quota_shard *shard_lock(struct weft_quota_map *map, uint64_t key)
{
    struct weft_quota_shard *shard = &map->shards[hash(key) >> (64 - WEFT_QUOTA_SHARD_BITS)];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

static uint32_t home(const struct weft_quota_shard *shard, uint64_t key)
{
    return (uint32_t)(hash(key) >> 20) & (shard->capacity - 1);
}

/* The place of the key, or the free one where it belongs. The shard has at least one free place. */
static struct weft_quota_entry *place_of(struct weft_quota_shard *shard, uint64_t key)
{
    uint32_t i = home(shard, key);
    while (shard->entries[i].key != 0 && shard->entries[i].key != key)
        i = (i + 1) & (shard->capacity - 1);
    return &shard->entries[i];
}

static struct weft_quota_entry *entry_find(struct weft_quota_shard *shard, uint64_t key)
{
    if (shard->count == 0 || key == 0)
        return NULL;
    struct weft_quota_entry *entry = place_of(shard, key);
    return entry->key ? entry : NULL;
}

/* Makes room for one more. */
static int shard_grow(struct weft_quota_shard *shard)
{
    if (3 * (shard->count + 1) <= 2 * shard->capacity)
        return 0;
    if (shard->capacity >= WEFT_QUOTA_SHARD_ENTRIES_MAX)
        return -WEFT_ENOMEM;
    struct weft_quota_shard grown = {.capacity =
                                         shard->capacity ? 2 * shard->capacity : CAPACITY_MIN};
    grown.entries = calloc(grown.capacity, sizeof(*grown.entries));
    if (!grown.entries)
        return -WEFT_ENOMEM;
    for (uint32_t i = 0; i < shard->capacity; i++) {
        if (shard->entries[i].key)
            *place_of(&grown, shard->entries[i].key) = shard->entries[i];
    }
    free(shard->entries);
    shard->entries = grown.entries;
    shard->capacity = grown.capacity;
    return 0;
}

/* Frees a place and moves the entries after it to where a search will look for them (Knuth, volume
 * 3, algorithm 6.4R). */
static void entry_remove(struct weft_quota_shard *shard, struct weft_quota_entry *entry)
{
    uint32_t mask = shard->capacity - 1;
    uint32_t hole = (uint32_t)(entry - shard->entries);
    for (uint32_t i = (hole + 1) & mask; shard->entries[i].key; i = (i + 1) & mask) {
        uint32_t wanted = home(shard, shard->entries[i].key);
        if (((i - wanted) & mask) >= ((i - hole) & mask)) {
            shard->entries[hole] = shard->entries[i];
            hole = i;
        }
    }
    shard->entries[hole].key = 0;
    shard->count--;
}

void weft_quota_map_init(struct weft_quota_map *map)
{
    memset(map, 0, sizeof(*map));
    for (uint32_t i = 0; i < WEFT_QUOTA_SHARDS; i++)
        pthread_mutex_init(&map->shards[i].lock, NULL);
}

void weft_quota_map_finish(struct weft_quota_map *map)
{
    for (uint32_t i = 0; i < WEFT_QUOTA_SHARDS; i++)
        free(map->shards[i].entries);
    weft_quota_map_init(map);
}

int weft_quota_map_put(struct weft_quota_map *map, const struct weft_quota_entry *entry,
                       struct weft_quota_entry *replaced)
{
    replaced->key = 0;
    if (entry->key == 0)
        return -WEFT_EINVAL;
    struct weft_quota_shard *shard = shard_lock(map, entry->key);
    int rc = shard_grow(shard);
    if (rc == 0) {
        struct weft_quota_entry *place = place_of(shard, entry->key);
        shard->count += place->key == 0;
        *replaced = *place;
        *place = *entry;
    }
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

static bool lookup(struct weft_quota_map *map, uint64_t key, struct weft_quota_entry *entry,
                   bool remove)
{
    struct weft_quota_shard *shard = shard_lock(map, key);
    struct weft_quota_entry *found = entry_find(shard, key);
    if (found) {
        *entry = *found;
        if (remove)
            entry_remove(shard, found);
    }
    pthread_mutex_unlock(&shard->lock);
    return found != NULL;
}

bool weft_quota_map_take(struct weft_quota_map *map, uint64_t key, struct weft_quota_entry *entry)
{
    return lookup(map, key, entry, true);
}

bool weft_quota_map_find(struct weft_quota_map *map, uint64_t key, struct weft_quota_entry *entry)
{
    return lookup(map, key, entry, false);
}

static bool shard_search(struct weft_quota_shard *shard,
                         bool (*match)(const struct weft_quota_entry *entry, const void *argument),
                         const void *argument, struct weft_quota_entry *entry)
{
    for (uint32_t i = 0; i < shard->capacity; i++) {
        if (shard->entries[i].key && match(&shard->entries[i], argument)) {
            *entry = shard->entries[i];
            return true;
        }
    }
    return false;
}

bool weft_quota_map_search(struct weft_quota_map *map,
                           bool (*match)(const struct weft_quota_entry *entry,
                                         const void *argument),
                           const void *argument, struct weft_quota_entry *entry)
{
    bool found = false;
    for (uint32_t i = 0; i < WEFT_QUOTA_SHARDS && !found; i++) {
        pthread_mutex_lock(&map->shards[i].lock);
        found = shard_search(&map->shards[i], match, argument, entry);
        pthread_mutex_unlock(&map->shards[i].lock);
    }
    return found;
}

/* A removal moves a later entry into the place, or one from the front to the back of the table: so
 * the place is looked at again, and a second pass sees what went round the end. */
static void shard_take_owner(struct weft_quota_shard *shard, const void *owner, uint32_t epoch,
                             void (*taken)(const struct weft_quota_entry *entry, void *argument),
                             void *argument)
{
    for (uint32_t i = 0; i < 2 * shard->capacity && shard->count; i++) {
        struct weft_quota_entry *place = &shard->entries[i & (shard->capacity - 1)];
        while (place->key && place->owner == owner && place->epoch <= epoch) {
            struct weft_quota_entry entry = *place;
            entry_remove(shard, place);
            taken(&entry, argument);
        }
    }
}

void weft_quota_map_take_owner(struct weft_quota_map *map, const void *owner, uint32_t epoch,
                               void (*taken)(const struct weft_quota_entry *entry, void *argument),
                               void *argument)
{
    for (uint32_t i = 0; i < WEFT_QUOTA_SHARDS; i++) {
        pthread_mutex_lock(&map->shards[i].lock);
        shard_take_owner(&map->shards[i], owner, epoch, taken, argument);
        pthread_mutex_unlock(&map->shards[i].lock);
    }
}

#include "softgpu/memory/texture_table.h"

#include <stdlib.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

/* A handle: a mark in bits 56…63, generation in bits 24…55, index in bits 0…23. The mark is never
 * 0, and not that of another kind of handle. */
#define INDEX_BITS 24
#define MARK_SHIFT 56
#define MARK 0x54ull

struct weft_soft_texture_entry {
    atomic_uint generation; /* odd while the place is open */
    uint32_t next_free;     /* lock; index + 1 */
    struct weft_exec_texture texture;
    struct weft_soft_texture_source source; /* lock */
};

static struct weft_soft_texture_entry *entry_at(const struct weft_soft_texture_table *table,
                                                uint32_t index)
{
    if (index >= WEFT_SOFT_TEXTURES_MAX)
        return NULL;
    struct weft_soft_texture_entry *chunk =
        atomic_load_explicit(&table->chunks[index / WEFT_SOFT_TEXTURE_CHUNK], memory_order_acquire);
    return chunk ? &chunk[index % WEFT_SOFT_TEXTURE_CHUNK] : NULL;
}

static struct weft_soft_texture_entry *entry_of(uint64_t handle)
{
    if (handle >> MARK_SHIFT != MARK)
        return NULL;
    struct weft_soft_texture_entry *entry =
        entry_at(&weft_soft.memory->textures, (uint32_t)(handle & ((1u << INDEX_BITS) - 1)));
    if (!entry)
        return NULL;
    uint32_t generation = atomic_load_explicit(&entry->generation, memory_order_acquire);
    return generation % 2 == 1 && generation == (uint32_t)(handle >> INDEX_BITS) ? entry : NULL;
}

const struct weft_exec_texture *weft_soft_texture_look_up(uint64_t handle)
{
    const struct weft_soft_texture_entry *entry = entry_of(handle);
    return entry ? &entry->texture : NULL;
}

/* The lock is held. */
static struct weft_soft_texture_entry *take_place(struct weft_soft_texture_table *table,
                                                  uint32_t *index)
{
    if (table->first_free) {
        *index = table->first_free - 1;
        struct weft_soft_texture_entry *entry = entry_at(table, *index);
        table->first_free = entry->next_free;
        return entry;
    }
    if (table->used == WEFT_SOFT_TEXTURES_MAX)
        return NULL;
    if (table->used % WEFT_SOFT_TEXTURE_CHUNK == 0) {
        struct weft_soft_texture_entry *fresh = calloc(WEFT_SOFT_TEXTURE_CHUNK, sizeof(*fresh));
        if (!fresh)
            return NULL;
        atomic_store_explicit(&table->chunks[table->used / WEFT_SOFT_TEXTURE_CHUNK], fresh,
                              memory_order_release);
    }
    *index = table->used++;
    return entry_at(table, *index);
}

uint64_t weft_soft_texture_open(const struct weft_exec_texture *texture,
                                const struct weft_soft_texture_source *source)
{
    struct weft_soft_texture_table *table = &weft_soft.memory->textures;
    uint64_t handle = 0;
    uint32_t index = 0;
    pthread_mutex_lock(&table->lock);
    struct weft_soft_texture_entry *entry = take_place(table, &index);
    if (entry) {
        entry->texture = *texture;
        entry->source = *source;
        uint32_t generation = atomic_load_explicit(&entry->generation, memory_order_relaxed) + 1;
        atomic_store_explicit(&entry->generation, generation, memory_order_release);
        handle = MARK << MARK_SHIFT | (uint64_t)generation << INDEX_BITS | index;
    }
    pthread_mutex_unlock(&table->lock);
    return handle;
}

void weft_soft_texture_change(uint64_t handle, const struct weft_exec_texture *texture)
{
    struct weft_soft_texture_table *table = &weft_soft.memory->textures;
    pthread_mutex_lock(&table->lock);
    struct weft_soft_texture_entry *entry = entry_of(handle);
    if (entry)
        entry->texture = *texture;
    pthread_mutex_unlock(&table->lock);
}

bool weft_soft_texture_source(uint64_t handle, bool is_surface,
                              struct weft_soft_texture_source *source)
{
    struct weft_soft_texture_table *table = &weft_soft.memory->textures;
    pthread_mutex_lock(&table->lock);
    const struct weft_soft_texture_entry *entry = entry_of(handle);
    bool found = entry && entry->texture.is_surface == is_surface;
    if (found)
        *source = entry->source;
    pthread_mutex_unlock(&table->lock);
    return found;
}

/* The lock is held; the place is open. */
static void close_place(struct weft_soft_texture_table *table,
                        struct weft_soft_texture_entry *entry, uint32_t index)
{
    atomic_fetch_add_explicit(&entry->generation, 1, memory_order_release);
    entry->next_free = table->first_free;
    table->first_free = index + 1;
}

bool weft_soft_texture_close(uint64_t handle, bool is_surface)
{
    struct weft_soft_texture_table *table = &weft_soft.memory->textures;
    pthread_mutex_lock(&table->lock);
    struct weft_soft_texture_entry *entry = entry_of(handle);
    bool found = entry && entry->texture.is_surface == is_surface;
    if (found)
        close_place(table, entry, (uint32_t)(handle & ((1u << INDEX_BITS) - 1)));
    pthread_mutex_unlock(&table->lock);
    return found;
}

void weft_soft_texture_end_all(CUcontext context)
{
    struct weft_soft_texture_table *table = &weft_soft.memory->textures;
    pthread_mutex_lock(&table->lock);
    for (uint32_t i = 0; i < table->used; i++) {
        struct weft_soft_texture_entry *entry = entry_at(table, i);
        bool open = atomic_load_explicit(&entry->generation, memory_order_relaxed) % 2 == 1;
        if (open && entry->source.context == context)
            close_place(table, entry, i);
    }
    pthread_mutex_unlock(&table->lock);
}

void weft_soft_texture_table_finish(struct weft_soft_texture_table *table)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(table->chunks); i++)
        free(atomic_load_explicit(&table->chunks[i], memory_order_relaxed));
}

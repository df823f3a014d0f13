#include "softgpu/handle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#define CHUNK_ENTRIES 1024u
#define CHUNKS_MAX (WEFT_SOFT_HANDLES_MAX / CHUNK_ENTRIES)

/* A handle: type in bits 56…63, generation in bits 24…55, index in bits 0…23. The type is never 0,
 * so no handle is 0, CU_STREAM_LEGACY or CU_STREAM_PER_THREAD. */
#define INDEX_BITS 24
#define TYPE_SHIFT 56

/* A place's state word: generation in the upper half, then the closed bit, then the references. */
#define STATE_CLOSED (1ull << 31)
#define STATE_REFERENCES (STATE_CLOSED - 1)

struct entry {
    atomic_uint_fast64_t state;
    atomic_uint type;
    uint32_t next_free; /* table.lock; index + 1, 0 ends the list */
    void *object;       /* written before the place opens, read under a reference */
    void (*release)(void *object);
};

static struct {
    pthread_mutex_t lock;
    _Atomic(struct entry *) chunks[CHUNKS_MAX]; /* set once, never freed: a stale handle may look */
    uint32_t used;                              /* lock; places handed out at least once */
    uint32_t first_free;                        /* lock; index + 1 */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct entry *entry_at(uint32_t index)
{
    if (index >= WEFT_SOFT_HANDLES_MAX)
        return NULL;
    struct entry *chunk =
        atomic_load_explicit(&table.chunks[index / CHUNK_ENTRIES], memory_order_acquire);
    return chunk ? &chunk[index % CHUNK_ENTRIES] : NULL;
}

static struct entry *entry_of(uint64_t handle)
{
    return entry_at((uint32_t)(handle & ((1u << INDEX_BITS) - 1)));
}

/* The place keeps its own word on the type: the one in the handle may be invented. */
static struct entry *typed_entry_of(enum weft_soft_handle_type type, uint64_t handle)
{
    if (handle >> TYPE_SHIFT != (uint64_t)type)
        return NULL;
    struct entry *entry = entry_of(handle);
    if (!entry || atomic_load_explicit(&entry->type, memory_order_relaxed) != (unsigned)type)
        return NULL;
    return entry;
}

static uint32_t generation_of(uint64_t handle)
{
    return (uint32_t)(handle >> INDEX_BITS);
}

static bool names_open_place(uint64_t state, uint64_t handle)
{
    return (uint32_t)(state >> 32) == generation_of(handle) && !(state & STATE_CLOSED) &&
           (state & STATE_REFERENCES) != 0;
}

/* The caller holds table.lock. */
static struct entry *take_place(uint32_t *index)
{
    if (table.first_free) {
        *index = table.first_free - 1;
        struct entry *entry = entry_at(*index);
        table.first_free = entry->next_free;
        return entry;
    }
    if (table.used == WEFT_SOFT_HANDLES_MAX)
        return NULL;
    _Atomic(struct entry *) *chunk = &table.chunks[table.used / CHUNK_ENTRIES];
    if (!atomic_load_explicit(chunk, memory_order_relaxed)) {
        struct entry *fresh = calloc(CHUNK_ENTRIES, sizeof(*fresh));
        if (!fresh)
            return NULL;
        atomic_store_explicit(chunk, fresh, memory_order_release);
    }
    *index = table.used++;
    return entry_at(*index);
}

uint64_t weft_soft_handle_open(enum weft_soft_handle_type type, void *object,
                               void (*release)(void *object))
{
    uint32_t index = 0;
    pthread_mutex_lock(&table.lock);
    struct entry *entry = take_place(&index);
    pthread_mutex_unlock(&table.lock);
    if (!entry)
        return 0;
    entry->object = object;
    entry->release = release;
    atomic_store_explicit(&entry->type, (unsigned)type, memory_order_relaxed);
    uint64_t generation = atomic_load_explicit(&entry->state, memory_order_relaxed) >> 32;
    atomic_store_explicit(&entry->state, generation << 32 | 1, memory_order_release);
    return (uint64_t)type << TYPE_SHIFT | generation << INDEX_BITS | index;
}

void *weft_soft_handle_get(enum weft_soft_handle_type type, uint64_t handle)
{
    struct entry *entry = typed_entry_of(type, handle);
    if (!entry)
        return NULL;
    uint64_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    do {
        if (!names_open_place(state, handle))
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&entry->state, &state, state + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return entry->object;
}

void weft_soft_handle_retain(uint64_t handle)
{
    atomic_fetch_add_explicit(&entry_of(handle)->state, 1, memory_order_relaxed);
}

static void give_back_place(struct entry *entry, uint64_t handle)
{
    void *object = entry->object;
    void (*release)(void *) = entry->release;
    /* The next generation starts closed and without references: nobody can get it before `open`. */
    uint64_t generation = (uint32_t)(generation_of(handle) + 1);
    atomic_store_explicit(&entry->state, generation << 32, memory_order_release);
    pthread_mutex_lock(&table.lock);
    entry->next_free = table.first_free;
    table.first_free = (uint32_t)(handle & ((1u << INDEX_BITS) - 1)) + 1;
    pthread_mutex_unlock(&table.lock);
    if (release)
        release(object);
}

void weft_soft_handle_put(uint64_t handle)
{
    struct entry *entry = entry_of(handle);
    uint64_t before = atomic_fetch_sub_explicit(&entry->state, 1, memory_order_acq_rel);
    if ((before & STATE_REFERENCES) == 1)
        give_back_place(entry, handle);
}

bool weft_soft_handle_close(enum weft_soft_handle_type type, uint64_t handle)
{
    struct entry *entry = typed_entry_of(type, handle);
    if (!entry)
        return false;
    uint64_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    do {
        if (!names_open_place(state, handle))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&entry->state, &state, state | STATE_CLOSED,
                                                    memory_order_acq_rel, memory_order_relaxed));
    weft_soft_handle_put(handle);
    return true;
}

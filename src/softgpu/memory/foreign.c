#include "softgpu/memory/foreign.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define TABLE_BYTES (sizeof(struct weft_soft_foreign_entry) * WEFT_SOFT_FOREIGN_MAX)
/* A writer needs microseconds; a reader that has met one so often gives up. */
#define READ_TRIES_MAX (1u << 20)

int weft_soft_foreign_open(struct weft_soft_foreign *foreign, struct weft_err *err)
{
    void *map = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "table of registered memory: %s", strerror(errno));
    *foreign = (struct weft_soft_foreign){.entries = map};
    return 0;
}

void weft_soft_foreign_close(struct weft_soft_foreign *foreign)
{
    if (foreign->entries)
        munmap(foreign->entries, TABLE_BYTES);
    *foreign = (struct weft_soft_foreign){0};
}

/* Entries are read while they change: every word is loaded and stored as one. */
static struct weft_soft_foreign_entry load(const struct weft_soft_foreign *foreign, uint32_t index)
{
    const struct weft_soft_foreign_entry *entry = &foreign->entries[index];
    return (struct weft_soft_foreign_entry){
        .start = __atomic_load_n(&entry->start, __ATOMIC_ACQUIRE),
        .end = __atomic_load_n(&entry->end, __ATOMIC_ACQUIRE),
    };
}

static void store(struct weft_soft_foreign *foreign, uint32_t index,
                  struct weft_soft_foreign_entry entry)
{
    __atomic_store_n(&foreign->entries[index].start, entry.start, __ATOMIC_RELEASE);
    __atomic_store_n(&foreign->entries[index].end, entry.end, __ATOMIC_RELEASE);
}

/* The number of entries that start at or below `address`. */
static uint32_t count_below(const struct weft_soft_foreign *foreign, uint64_t address)
{
    uint32_t low = 0, high = __atomic_load_n(&foreign->count, __ATOMIC_ACQUIRE);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (load(foreign, middle).start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void write_begin(struct weft_soft_foreign *foreign)
{
    __atomic_store_n(&foreign->sequence, foreign->sequence + 1, __ATOMIC_SEQ_CST);
}

static void write_end(struct weft_soft_foreign *foreign)
{
    __atomic_store_n(&foreign->sequence, foreign->sequence + 1, __ATOMIC_RELEASE);
}

bool weft_soft_foreign_overlaps(const struct weft_soft_foreign *foreign, uint64_t start,
                                uint64_t bytes)
{
    uint32_t index = count_below(foreign, start + bytes - 1);
    return index > 0 && load(foreign, index - 1).end > start;
}

bool weft_soft_foreign_add(struct weft_soft_foreign *foreign, uint64_t start, uint64_t bytes)
{
    if (foreign->count == WEFT_SOFT_FOREIGN_MAX ||
        weft_soft_foreign_overlaps(foreign, start, bytes))
        return false;
    uint32_t place = count_below(foreign, start);
    write_begin(foreign);
    for (uint32_t i = foreign->count; i > place; i--)
        store(foreign, i, load(foreign, i - 1));
    store(foreign, place, (struct weft_soft_foreign_entry){start, start + bytes});
    __atomic_store_n(&foreign->count, foreign->count + 1, __ATOMIC_RELEASE);
    write_end(foreign);
    return true;
}

void weft_soft_foreign_remove(struct weft_soft_foreign *foreign, uint64_t start)
{
    uint32_t place = count_below(foreign, start);
    if (place == 0 || load(foreign, place - 1).start != start)
        return;
    write_begin(foreign);
    for (uint32_t i = place; i < foreign->count; i++)
        store(foreign, i - 1, load(foreign, i));
    __atomic_store_n(&foreign->count, foreign->count - 1, __ATOMIC_RELEASE);
    write_end(foreign);
}

void *weft_soft_foreign_reach(void *context, uint64_t address, uint64_t bytes)
{
    const struct weft_soft_foreign *foreign = context;
    for (uint32_t tries = 0; tries < READ_TRIES_MAX; tries++) {
        uint32_t before = __atomic_load_n(&foreign->sequence, __ATOMIC_ACQUIRE);
        uint32_t index = count_below(foreign, address);
        uint64_t end = index > 0 ? load(foreign, index - 1).end : 0;
        uint32_t after = __atomic_load_n(&foreign->sequence, __ATOMIC_ACQUIRE);
        if (before == after && before % 2 == 0) {
            bool inside = end > address && bytes <= end - address;
            return inside ? (void *)(uintptr_t)address : NULL;
        }
        sched_yield();
    }
    return NULL;
}

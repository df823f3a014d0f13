#include "softgpu/exec/heap.h"

#include <pthread.h>
#include <stdlib.h>

#include "util/util.h"

#define IN_USE 0x80000000u
#define GRAINS_MAX (IN_USE - 1)

struct weft_exec_heap {
    pthread_mutex_t lock;
    uint64_t base;
    uint32_t grain_count;
    uint32_t cursor; /* lock; the first grain of a run */
    /* lock; at the first grain of each run its grains and IN_USE, elsewhere 0. The runs lie one
     * behind the other and cover the heap. */
    uint32_t *runs;
};

int weft_exec_heap_create(struct weft_exec_heap **out, uint64_t base, uint64_t bytes,
                          struct weft_err *err)
{
    uint64_t grains = WEFT_MIN(bytes / WEFT_EXEC_HEAP_GRAIN_BYTES, (uint64_t)GRAINS_MAX);
    struct weft_exec_heap *heap = calloc(1, sizeof(*heap));
    uint32_t *runs = calloc(grains + 1, sizeof(*runs));
    if (!heap || !runs) {
        free(heap);
        free(runs);
        return weft_fail(err, WEFT_ENOMEM, "no memory for the records of a heap");
    }
    pthread_mutex_init(&heap->lock, NULL);
    heap->base = base;
    heap->grain_count = (uint32_t)grains;
    heap->runs = runs;
    heap->runs[0] = heap->grain_count;
    *out = heap;
    return 0;
}

void weft_exec_heap_destroy(struct weft_exec_heap *heap)
{
    if (!heap)
        return;
    pthread_mutex_destroy(&heap->lock);
    free(heap->runs);
    free(heap);
}

/* Makes one run of a free run and the free ones behind it. */
static uint32_t join_free(struct weft_exec_heap *heap, uint32_t at)
{
    uint32_t grains = heap->runs[at];
    while (at + grains < heap->grain_count && !(heap->runs[at + grains] & IN_USE)) {
        uint32_t next = heap->runs[at + grains];
        heap->runs[at + grains] = 0;
        grains += next;
    }
    heap->runs[at] = grains;
    return grains;
}

/* The first free run of so many grains in [from, to); grain_count where there is none. A run that
 * starts before `to` may go on behind it. */
static uint32_t find(struct weft_exec_heap *heap, uint32_t from, uint32_t to, uint32_t grains)
{
    uint32_t at = from;
    while (at < to) {
        uint32_t run = heap->runs[at];
        if (!(run & IN_USE) && (run = join_free(heap, at)) >= grains)
            return at;
        at += run & ~IN_USE;
    }
    return heap->grain_count;
}

static void take(struct weft_exec_heap *heap, uint32_t at, uint32_t grains)
{
    uint32_t rest = heap->runs[at] - grains;
    heap->runs[at] = grains | IN_USE;
    if (rest)
        heap->runs[at + grains] = rest;
    heap->cursor = at + grains < heap->grain_count ? at + grains : 0;
}

uint64_t weft_exec_heap_allocate(struct weft_exec_heap *heap, uint64_t bytes)
{
    if (bytes == 0 || bytes > (uint64_t)heap->grain_count * WEFT_EXEC_HEAP_GRAIN_BYTES)
        return 0;
    uint32_t grains =
        (uint32_t)(weft_round_up(bytes, WEFT_EXEC_HEAP_GRAIN_BYTES) / WEFT_EXEC_HEAP_GRAIN_BYTES);
    pthread_mutex_lock(&heap->lock);
    uint32_t cursor = heap->cursor;
    uint32_t at = find(heap, cursor, heap->grain_count, grains);
    if (at == heap->grain_count) {
        /* Runs of before may be joined across the cursor: it must stay the start of one. */
        heap->cursor = 0;
        at = find(heap, 0, heap->grain_count, grains);
    }
    bool found = at < heap->grain_count;
    if (found)
        take(heap, at, grains);
    pthread_mutex_unlock(&heap->lock);
    return found ? heap->base + (uint64_t)at * WEFT_EXEC_HEAP_GRAIN_BYTES : 0;
}

bool weft_exec_heap_free(struct weft_exec_heap *heap, uint64_t address)
{
    uint64_t offset = address - heap->base;
    uint64_t at = offset / WEFT_EXEC_HEAP_GRAIN_BYTES;
    if (offset % WEFT_EXEC_HEAP_GRAIN_BYTES || at >= heap->grain_count)
        return false;
    pthread_mutex_lock(&heap->lock);
    bool used = heap->runs[at] & IN_USE;
    if (used)
        heap->runs[at] &= ~IN_USE;
    pthread_mutex_unlock(&heap->lock);
    return used;
}

#include "softgpu/memory/shadow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "softgpu/memory/pool.h"
#include "util/util.h"

/* More than so much of the map is given back to the host instead of being overwritten. */
#define CLEAR_BYTES_MAX (64u << 10)

/* Other processes write to the pools that they share behind the checker's back. */
static bool is_tracked(const struct weft_soft_allocation *allocation)
{
    bool pooled = allocation->kind == WEFT_SOFT_POOLED && !allocation->pool->shared;
    return allocation->kind == WEFT_SOFT_LINEAR || (pooled && !allocation->used_again);
}

static const struct weft_soft_allocation *floor_of(struct weft_soft_node *tree, uint64_t address)
{
    struct weft_soft_node *node = weft_soft_tree_floor(tree, address, UINT64_MAX);
    return node ? WEFT_CONTAINER_OF(node, struct weft_soft_allocation, by_address) : NULL;
}

/* Memory lock held: the record that begins nearest before the address, also of what is leaving, or
 * NULL. */
static const struct weft_soft_allocation *find_before(uint64_t address)
{
    const struct weft_soft_allocation *here = floor_of(weft_soft.memory->allocations, address);
    const struct weft_soft_allocation *leaving =
        floor_of(weft_soft.memory->shadow->leaving, address);
    if (!here || !leaving)
        return here ? here : leaving;
    bool later = weft_soft_allocation_address(leaving) > weft_soft_allocation_address(here);
    return later ? leaving : here;
}

/* Where the record and the block that its last byte is in say something of the address. What is
 * alive without that is a pool's, of a piece that had to be handed out again while a kernel that
 * came before may still use all that was there: it has no end that could be checked. */
static bool rules(const struct weft_soft_allocation *allocation, uint64_t address)
{
    if (!allocation || allocation->used_again)
        return false;
    return address - weft_soft_allocation_address(allocation) <
           weft_round_up(allocation->bytes, WEFT_SOFT_BLOCK_BYTES);
}

static bool find(uint64_t address, struct weft_exec_extent *extent)
{
    pthread_mutex_lock(&weft_soft.memory->lock);
    const struct weft_soft_allocation *allocation = find_before(address);
    bool ruled = rules(allocation, address);
    if (ruled)
        *extent = (struct weft_exec_extent){.first = weft_soft_allocation_address(allocation),
                                            .bytes = allocation->bytes,
                                            .tracked = is_tracked(allocation)};
    else
        *extent =
            (struct weft_exec_extent){.first = address & ~(uint64_t)(WEFT_SOFT_BLOCK_BYTES - 1),
                                      .bytes = WEFT_SOFT_BLOCK_BYTES};
    pthread_mutex_unlock(&weft_soft.memory->lock);
    return address - extent->first < extent->bytes;
}

int weft_soft_shadow_open(struct weft_soft_memory *memory, struct weft_err *err)
{
    const char *asked = getenv("WEFT_SOFT_CHECK");
    if (!asked || !*asked || strcmp(asked, "0") == 0)
        return 0;
    struct weft_soft_shadow *shadow = calloc(1, sizeof(*shadow));
    if (!shadow)
        return weft_fail(err, WEFT_ENOMEM, "WEFT_SOFT_CHECK: no memory");
    shadow->bytes = memory->window.bytes / 8;
    void *map = mmap(NULL, shadow->bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        free(shadow);
        return weft_fail(err, WEFT_ENOMEM, "WEFT_SOFT_CHECK: no address space: %s",
                         strerror(errno));
    }
    shadow->written = map;
    shadow->check = (struct weft_exec_check){.find = find, .written = map};
    memory->shadow = shadow;
    weft_soft.check = &shadow->check;
    return 0;
}

void weft_soft_shadow_close(struct weft_soft_memory *memory)
{
    if (!memory->shadow)
        return;
    weft_soft.check = NULL;
    munmap(memory->shadow->written, memory->shadow->bytes);
    free(weft_steal(memory->shadow));
}

/* Bits of whole bytes of the map; allocations begin and end at such. */
static void clear(uint8_t *bits, uint64_t bytes)
{
    uint64_t first = weft_round_up((uint64_t)(uintptr_t)bits, WEFT_SOFT_PAGE_BYTES);
    uint64_t end = (uint64_t)(uintptr_t)bits + bytes;
    uint64_t last = end & ~(uint64_t)(WEFT_SOFT_PAGE_BYTES - 1);
    if (bytes <= CLEAR_BYTES_MAX ||
        madvise((void *)(uintptr_t)first, last - first, MADV_DONTNEED)) {
        memset(bits, 0, bytes);
        return;
    }
    memset(bits, 0, first - (uint64_t)(uintptr_t)bits);
    memset((void *)(uintptr_t)last, 0, end - last);
}

void weft_soft_shadow_begin(const struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    if (!memory->shadow || !is_tracked(allocation))
        return;
    uint64_t offset = weft_soft_allocation_address(allocation) - memory->window.base;
    clear(memory->shadow->written + offset / 8, (allocation->bytes + 7) / 8);
}

void weft_soft_shadow_end(const struct weft_soft_allocation *allocation)
{
    struct weft_soft_shadow *shadow = weft_soft.memory->shadow;
    if (!shadow)
        return;
    uint64_t index = shadow->freed_count++ % WEFT_SOFT_FREED_MAX;
    shadow->freed[index].first = weft_soft_allocation_address(allocation);
    shadow->freed[index].bytes = allocation->bytes;
}

struct weft_soft_allocation *weft_soft_shadow_keep(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    if (!memory->shadow) {
        free(allocation);
        return NULL;
    }
    pthread_mutex_lock(&memory->lock);
    allocation->by_address.tie = allocation->id; /* one piece may be leaving several times */
    weft_soft_tree_insert(&memory->shadow->leaving, &allocation->by_address);
    pthread_mutex_unlock(&memory->lock);
    return allocation;
}

void weft_soft_shadow_leave(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    if (!allocation)
        return;
    pthread_mutex_lock(&memory->lock);
    weft_soft_tree_remove(&memory->shadow->leaving, &allocation->by_address);
    weft_soft_shadow_end(allocation);
    pthread_mutex_unlock(&memory->lock);
    free(allocation);
}

void weft_soft_shadow_written(const char *place, uint64_t bytes)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    uint64_t address = (uint64_t)(uintptr_t)place - (uint64_t)memory->window.alias_delta;
    if (!weft_soft_window_holds(&memory->window, address) || bytes == 0)
        return;
    uint8_t *bits = memory->shadow->written;
    uint64_t bit = address - memory->window.base, end = bit + bytes;
    for (; bit < end && bit % 8; bit++)
        __atomic_fetch_or(&bits[bit / 8], (uint8_t)(1u << bit % 8), __ATOMIC_RELAXED);
    if (end - bit >= 8)
        memset(bits + bit / 8, 0xff, (end - bit) / 8);
    for (bit = WEFT_MAX(bit, end & ~(uint64_t)7); bit < end; bit++)
        __atomic_fetch_or(&bits[bit / 8], (uint8_t)(1u << bit % 8), __ATOMIC_RELAXED);
}

/* Memory lock held: the latest freed allocation that held the address; its index, or -1. */
static int find_freed(const struct weft_soft_shadow *shadow, uint64_t address)
{
    uint64_t count = WEFT_MIN(shadow->freed_count, (uint64_t)WEFT_SOFT_FREED_MAX);
    for (uint64_t back = 1; back <= count; back++) {
        uint64_t index = (shadow->freed_count - back) % WEFT_SOFT_FREED_MAX;
        if (address - shadow->freed[index].first < shadow->freed[index].bytes)
            return (int)index;
    }
    return -1;
}

/* Memory lock held: against the allocation that begins nearest before the address. */
static void describe_nearest(uint64_t address, uint64_t bytes, char *text, size_t size)
{
    const struct weft_soft_allocation *allocation = find_before(address);
    if (!allocation) {
        snprintf(text, size, "before all allocations");
        return;
    }
    uint64_t first = weft_soft_allocation_address(allocation), end = first + allocation->bytes;
    if (address + bytes <= end)
        snprintf(text, size, "at byte %" PRIu64 " of the %" PRIu64 " bytes at 0x%" PRIx64,
                 address - first, allocation->bytes, first);
    else if (address < end)
        snprintf(text, size,
                 "the last %" PRIu64 " of them past the end of the %" PRIu64 " bytes at 0x%" PRIx64,
                 address + bytes - end, allocation->bytes, first);
    else
        snprintf(text, size,
                 "%" PRIu64 " bytes past the end of the %" PRIu64 " bytes at 0x%" PRIx64,
                 address - end, allocation->bytes, first);
}

void weft_soft_memory_written(uint64_t address, uint64_t bytes)
{
    if (weft_soft_shadow_is_on())
        weft_soft_shadow_written(weft_soft_window_alias(&weft_soft.memory->window, address), bytes);
}

void weft_soft_memory_explain(uint64_t address, uint64_t bytes, char *text, size_t size)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    int freed = weft_soft_allocation_find(address) ? -1 : find_freed(memory->shadow, address);
    if (freed >= 0)
        snprintf(text, size,
                 "at byte %" PRIu64 " of the %" PRIu64 " bytes at 0x%" PRIx64 " that were freed",
                 address - memory->shadow->freed[freed].first, memory->shadow->freed[freed].bytes,
                 memory->shadow->freed[freed].first);
    else
        describe_nearest(address, bytes, text, size);
    pthread_mutex_unlock(&memory->lock);
}

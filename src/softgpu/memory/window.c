#include "softgpu/memory/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

/* Room for the generic windows, and the least there must be for pinned memory and reservations. */
#define GENERIC_BYTES (64ull << 20)
#define SPACE_BYTES_MIN (1ull << 30)

#define CLOSED_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
/* Shared, so that it is not counted as the program's data, which may be limited. */
#define OPEN_FLAGS (MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE)

_Static_assert(GENERIC_BYTES >= 2 * (uint64_t)WEFT_EXEC_SHARED_WINDOW_BYTES +
                                    WEFT_EXEC_LOCAL_WINDOW_BYTES + WEFT_EXEC_PARAM_WINDOW_BYTES,
               "the generic windows fit");
_Static_assert(WEFT_SOFT_BLOCK_BYTES == WEFT_EXEC_LIVE_BLOCK_BYTES, "one live bit a block");

static void *reserve(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_NONE, CLOSED_FLAGS, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

/* Takes pages of the host only where it is used. */
static bool open_pages(void *place, uint64_t bytes)
{
    return mmap(place, bytes, PROT_READ | PROT_WRITE, OPEN_FLAGS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void unmap(void *map, size_t bytes)
{
    if (map)
        munmap(map, bytes);
}

static uint64_t align_map(const void *map)
{
    return weft_round_up((uint64_t)(uintptr_t)map, WEFT_SOFT_GRANULE_BYTES);
}

/* Pinned memory may take as much as the host has, as on a card. */
static uint64_t host_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0)
        return UINT64_MAX;
    return weft_round_up((uint64_t)pages * (uint64_t)page_bytes, WEFT_SOFT_GRANULE_BYTES);
}

static void lay_out(struct weft_soft_window *window, uint64_t arena_bytes)
{
    window->base = align_map(window->program_map);
    window->alias_delta = (int64_t)(align_map(window->alias_map) - window->base);
    window->live = window->live_map;
    window->arena_base = window->base + GENERIC_BYTES;
    window->host_base = window->arena_base + arena_bytes;
    uint64_t rest = window->base + window->bytes - window->host_base;
    window->host_bytes =
        WEFT_MIN(rest / 2 & ~(uint64_t)(WEFT_SOFT_GRANULE_BYTES - 1), host_memory_bytes());
    window->reserve_base = window->host_base + window->host_bytes;
    window->reserve_bytes = rest - window->host_bytes;
}

/* Pinned memory is shared memory of its own, as large as its part of the window. Reservations have
 * something behind them too, so that a kernel that races with an unmapping hits nothing. */
static bool back_spaces(const struct weft_soft_window *window)
{
    return open_pages(weft_soft_window_alias(window, window->host_base), window->host_bytes) &&
           open_pages(weft_soft_window_alias(window, window->reserve_base), window->reserve_bytes);
}

static bool try_open(struct weft_soft_window *window, uint64_t bytes, uint64_t arena_bytes)
{
    *window = (struct weft_soft_window){.bytes = bytes,
                                        .map_bytes = bytes + WEFT_SOFT_GRANULE_BYTES,
                                        .live_bytes = bytes / WEFT_SOFT_BLOCK_BYTES / 8};
    window->program_map = reserve(window->map_bytes);
    window->alias_map = reserve(window->map_bytes);
    window->live_map = reserve(window->live_bytes);
    window->used = calloc(window->live_bytes / WEFT_SOFT_PAGE_BYTES + 1, 1);
    if (window->used && window->program_map && window->alias_map && window->live_map) {
        lay_out(window, arena_bytes);
        if (open_pages(window->live_map, window->live_bytes) && back_spaces(window))
            return true;
    }
    weft_soft_window_close(window);
    return false;
}

/* Three quarters, in whole granules. */
static uint64_t smaller(uint64_t bytes)
{
    return bytes / 4 * 3 & ~(uint64_t)(WEFT_SOFT_GRANULE_BYTES - 1);
}

int weft_soft_window_open(struct weft_soft_window *window, uint64_t arena_bytes,
                          struct weft_err *err)
{
    uint64_t least = GENERIC_BYTES + arena_bytes + 2 * SPACE_BYTES_MIN;
    for (uint64_t bytes = WEFT_SOFT_WINDOW_BYTES; bytes >= least; bytes = smaller(bytes)) {
        if (try_open(window, bytes, arena_bytes))
            return 0;
    }
    char text[WEFT_SIZE_TEXT_BYTES];
    return weft_fail(err, WEFT_ENOMEM,
                     "no %s of address space for the soft device: raise `ulimit -v`",
                     weft_size_format(2 * least, text));
}

void weft_soft_window_close(struct weft_soft_window *window)
{
    unmap(window->program_map, window->map_bytes);
    unmap(window->alias_map, window->map_bytes);
    unmap(window->live_map, window->live_bytes);
    free(window->used);
    *window = (struct weft_soft_window){0};
}

int weft_soft_window_back(struct weft_soft_window *window, uint64_t address, uint64_t bytes, int fd,
                          struct weft_err *err)
{
    void *place = weft_soft_window_alias(window, address);
    if (mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) ==
        MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "map %llu bytes of device memory: %s",
                         (unsigned long long)bytes, strerror(errno));
    return 0;
}

/* A second view of shared pages. An old size of 0 asks mremap for exactly that, without a
 * descriptor, which the program might have closed or used for something else meanwhile. */
static bool duplicate(const struct weft_soft_window *window, uint64_t source, uint64_t bytes,
                      void *place)
{
    return mremap(weft_soft_window_alias(window, source), 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                  place) != MAP_FAILED;
}

bool weft_soft_window_show(struct weft_soft_window *window, uint64_t address, uint64_t bytes)
{
    return duplicate(window, address, bytes, (void *)(uintptr_t)address);
}

void weft_soft_window_hide(struct weft_soft_window *window, uint64_t address, uint64_t bytes)
{
    (void)window;
    mmap((void *)(uintptr_t)address, bytes, PROT_NONE, CLOSED_FLAGS | MAP_FIXED, -1, 0);
}

bool weft_soft_window_map(struct weft_soft_window *window, uint64_t address, uint64_t source,
                          uint64_t bytes)
{
    return duplicate(window, source, bytes, weft_soft_window_alias(window, address));
}

bool weft_soft_window_map_file(struct weft_soft_window *window, uint64_t address, uint64_t bytes,
                               int fd, uint64_t offset)
{
    return mmap(weft_soft_window_alias(window, address), bytes, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, (off_t)offset) != MAP_FAILED;
}

void weft_soft_window_unmap(struct weft_soft_window *window, uint64_t address, uint64_t bytes)
{
    open_pages(weft_soft_window_alias(window, address), bytes);
}

void weft_soft_window_clear(struct weft_soft_window *window, uint64_t address, uint64_t bytes)
{
    uint64_t end = address + bytes;
    uint64_t first = weft_round_up(address, WEFT_SOFT_PAGE_BYTES);
    uint64_t last = end & ~(uint64_t)(WEFT_SOFT_PAGE_BYTES - 1);
    bool pages = first < last &&
                 madvise(weft_soft_window_alias(window, first), last - first, MADV_REMOVE) == 0;
    if (!pages)
        first = last = end;
    memset(weft_soft_window_alias(window, address), 0, first - address);
    memset(weft_soft_window_alias(window, last), 0, end - last);
}

/* Sets or clears `count` bits from `bit` on, all in one word. */
static void change_bits(uint64_t *live, uint64_t bit, uint64_t count, bool on)
{
    uint64_t mask = (count == 64 ? UINT64_MAX : (1ull << count) - 1) << bit % 64;
    uint64_t word = __atomic_load_n(&live[bit / 64], __ATOMIC_RELAXED);
    __atomic_store_n(&live[bit / 64], on ? word | mask : word & ~mask, __ATOMIC_RELAXED);
}

/* Pages that were never used are left alone: to read one would take memory for it. */
static void copy_used(const struct weft_soft_window *window, char *to, const char *from)
{
    for (size_t page = 0; page * WEFT_SOFT_PAGE_BYTES < window->live_bytes; page++) {
        if (window->used[page])
            memcpy(to + page * WEFT_SOFT_PAGE_BYTES, from + page * WEFT_SOFT_PAGE_BYTES,
                   WEFT_SOFT_PAGE_BYTES);
    }
}

uint64_t *weft_soft_window_copy_live(const struct weft_soft_window *window, const uint64_t *live)
{
    void *map = reserve(window->live_bytes);
    if (!map || !open_pages(map, window->live_bytes)) {
        unmap(map, window->live_bytes);
        return NULL;
    }
    if (live)
        copy_used(window, map, (const char *)live);
    return map;
}

void weft_soft_window_drop_live(const struct weft_soft_window *window, uint64_t *live)
{
    unmap(live, window->live_bytes);
}

void weft_soft_window_set_live(struct weft_soft_window *window, uint64_t address, uint64_t bytes,
                               bool live)
{
    const uint64_t page = WEFT_SOFT_PAGE_BYTES * 8ull * WEFT_SOFT_BLOCK_BYTES;
    for (uint64_t i = (address - window->base) / page;
         live && bytes && i <= (address - window->base + bytes - 1) / page; i++)
        window->used[i] = 1;
    weft_soft_window_mark(window, window->live, address, bytes, live);
}

void weft_soft_window_mark(const struct weft_soft_window *window, uint64_t *bits, uint64_t address,
                           uint64_t bytes, bool live)
{
    uint64_t bit = (address - window->base) / WEFT_SOFT_BLOCK_BYTES;
    uint64_t end =
        (address + bytes - window->base + WEFT_SOFT_BLOCK_BYTES - 1) / WEFT_SOFT_BLOCK_BYTES;
    while (bit < end) {
        uint64_t count = WEFT_MIN(64 - bit % 64, end - bit);
        change_bits(bits, bit, count, live);
        bit += count;
    }
}

bool weft_soft_window_is_live(const struct weft_soft_window *window, uint64_t address,
                              uint64_t bytes)
{
    uint64_t offset = address - window->base;
    if (offset >= window->bytes || bytes > window->bytes - offset)
        return false;
    uint64_t bit = offset / WEFT_SOFT_BLOCK_BYTES;
    uint64_t end = (offset + bytes + WEFT_SOFT_BLOCK_BYTES - 1) / WEFT_SOFT_BLOCK_BYTES;
    while (bit < end) {
        uint64_t count = WEFT_MIN(64 - bit % 64, end - bit);
        uint64_t mask = (count == 64 ? UINT64_MAX : (1ull << count) - 1) << bit % 64;
        if ((__atomic_load_n(&window->live[bit / 64], __ATOMIC_RELAXED) & mask) != mask)
            return false;
        bit += count;
    }
    return true;
}

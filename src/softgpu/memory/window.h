/* The window: the one part of the process' address space in which every device address lies, and
 * the alias, an equally large part at a constant distance through which the driver and the executor
 * reach the same memory. The program's side is closed except where the program may look: pinned and
 * managed memory. What can be allocated is always mapped in the alias, so that a race between a
 * kernel and a free never touches memory that is not there; what is allocated is what the live bits
 * say.
 *
 *     window   shared, local, param | arena of device 0 | … | pinned host memory | reservations
 */
#ifndef WEFT_SOFTGPU_MEMORY_WINDOW_H
#define WEFT_SOFTGPU_MEMORY_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_SOFT_PAGE_BYTES 4096u
#define WEFT_SOFT_BLOCK_BYTES 512u         /* what an allocation is rounded up to */
#define WEFT_SOFT_GRANULE_BYTES (2u << 20) /* what VMM and pools deal in */
#if defined(__SANITIZE_THREAD__)
/* ThreadSanitizer leaves a program little more than this. */
#define WEFT_SOFT_WINDOW_BYTES (256ull << 30)
#else
#define WEFT_SOFT_WINDOW_BYTES (4ull << 40)
#endif

/* Immutable once open, but for the live bits: changed under the memory lock, read relaxed. */
struct weft_soft_window {
    uint64_t base, bytes;
    int64_t alias_delta;
    uint64_t *live;
    uint8_t *used; /* owned; memory lock; by page of the live bits: some were set ever */
    uint64_t arena_base;
    uint64_t host_base, host_bytes;
    uint64_t reserve_base, reserve_bytes;
    void *program_map, *alias_map, *live_map; /* owned */
    size_t map_bytes, live_bytes;
};

/* Reserves the window, the largest that the process' limits allow, with room for `arena_bytes` of
 * device memory. WEFT_ENOMEM. */
int weft_soft_window_open(struct weft_soft_window *window, uint64_t arena_bytes,
                          struct weft_err *err);
void weft_soft_window_close(struct weft_soft_window *window);

static inline char *weft_soft_window_alias(const struct weft_soft_window *window, uint64_t address)
{
    return (char *)(uintptr_t)(address + (uint64_t)window->alias_delta);
}

static inline bool weft_soft_window_holds(const struct weft_soft_window *window, uint64_t address)
{
    return address - window->base < window->bytes;
}

/* Backs device addresses by a file, from its start on. */
int weft_soft_window_back(struct weft_soft_window *window, uint64_t address, uint64_t bytes, int fd,
                          struct weft_err *err);
/* Opens whole pages to the program, and closes them again. False where the host refuses. */
bool weft_soft_window_show(struct weft_soft_window *window, uint64_t address, uint64_t bytes);
void weft_soft_window_hide(struct weft_soft_window *window, uint64_t address, uint64_t bytes);
/* Lets reserved addresses lead to the memory behind `source`, whole pages, and ends that. */
bool weft_soft_window_map(struct weft_soft_window *window, uint64_t address, uint64_t source,
                          uint64_t bytes);
/* The same for memory that is part of a file, from `offset` on. */
bool weft_soft_window_map_file(struct weft_soft_window *window, uint64_t address, uint64_t bytes,
                               int fd, uint64_t offset);
void weft_soft_window_unmap(struct weft_soft_window *window, uint64_t address, uint64_t bytes);
/* Makes shared memory all zeros and gives its whole pages back to the host. */
void weft_soft_window_clear(struct weft_soft_window *window, uint64_t address, uint64_t bytes);

/* Says of every block that [address, address + bytes) touches whether it is allocated. */
void weft_soft_window_set_live(struct weft_soft_window *window, uint64_t address, uint64_t bytes,
                               bool live);
/* The same in other bits. */
void weft_soft_window_mark(const struct weft_soft_window *window, uint64_t *bits, uint64_t address,
                           uint64_t bytes, bool live);
/* A copy of `live`, the window's bits or a part of them; all zeros of NULL. NULL where there is no
 * address space. Memory lock. */
uint64_t *weft_soft_window_copy_live(const struct weft_soft_window *window, const uint64_t *live);
void weft_soft_window_drop_live(const struct weft_soft_window *window, uint64_t *live);
bool weft_soft_window_is_live(const struct weft_soft_window *window, uint64_t address,
                              uint64_t bytes);

#endif

/* The small tools that every folder uses. Nothing here knows of GPUs, and nothing here needs more
 * than libc. */
#ifndef WEFT_UTIL_UTIL_H
#define WEFT_UTIL_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/err.h>

#define WEFT_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WEFT_SWAP(a, b)            \
    do {                           \
        __typeof__(a) swapped = a; \
        (a) = (b);                 \
        (b) = swapped;             \
    } while (0)
#define WEFT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define WEFT_MAX(a, b) ((a) > (b) ? (a) : (b))
#define WEFT_CONTAINER_OF(pointer, type, member) \
    ((type *)((char *)(pointer)-offsetof(type, member)))

/* Our own bug, in code that lives in somebody's program: becomes an error, never an abort. */
#define WEFT_CHECK(condition, err) \
    ((condition) ? 0 : weft_fail(err, WEFT_EBUG, "%s:%d: %s", __FILE__, __LINE__, #condition))

/* Scope cleanup. `_cleanup_free_ char *p`, `_cleanup_fd_ int fd = -1`. */
#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_free_ _cleanup_(weft_free_pointer)
#define _cleanup_fd_ _cleanup_(weft_close_pointer)
static inline void weft_free_pointer(void *pointer)
{
    free(*(void **)pointer);
}
static inline void weft_close_pointer(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
/* Hands an owned pointer on and leaves NULL behind. */
#define weft_steal(pointer)                          \
    ({                                               \
        __typeof__(pointer) weft_stolen = (pointer); \
        (pointer) = NULL;                            \
        weft_stolen;                                 \
    })
/* The same for a descriptor, which leaves -1 behind. */
static inline int weft_steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

static inline uint64_t weft_round_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

/* Monotonic clock. */
uint64_t weft_clock_ns(void);

/* "2", "0.5", "2s", "20ms", "500us": a time, to the microsecond; 0 is allowed. WEFT_EINVAL,
 * WEFT_ERANGE. */
int weft_seconds_parse(const char *text, uint32_t *time_us, struct weft_err *err);
/* "64M", "1.5GiB", "4096" into bytes, powers of 1024. The error quotes `text` and says which units
 * there are. */
int weft_size_parse(const char *text, uint64_t *bytes, struct weft_err *err);
/* Bytes as people read them: "64.0 MiB". `text` holds at least
 * WEFT_SIZE_TEXT_BYTES. Returns text. */
#define WEFT_SIZE_TEXT_BYTES 24
char *weft_size_format(uint64_t bytes, char *text);

/* Reads all of it unless the other side ends; EINTR is retried. Returns the bytes read, or a
 * negative error. */
int64_t weft_read_all(int fd, void *data, size_t size, struct weft_err *err);

/* A process' start time in clock ticks since boot (field 22 of /proc/PID/stat): with the pid it
 * names a process. */
int weft_process_start_time(int pid, uint64_t *ticks, struct weft_err *err);

#endif

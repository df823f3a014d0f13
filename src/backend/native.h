/* The native backend: the real libcuda of this machine, as it is, with
 * the devices that weftd granted. */
#ifndef WEFT_BACKEND_NATIVE_H
#define WEFT_BACKEND_NATIVE_H

#include <limits.h>
#include <stddef.h>

#include <weft/backend.h>

#define WEFT_NATIVE_CANDIDATES 8

const struct weft_backend *weft_native_describe(void);

/* A file that may be the real driver: an absolute path, or a file name
 * that the loader has to find. */
struct weft_native_candidate {
    char path[PATH_MAX];
};

/* Lists where the real driver may be, best first: WEFT_NATIVE_LIBCUDA alone where it is set; else
 * the loader's cache, then libcuda.so.VERSION of the kernel module. Returns how many. */
size_t weft_native_candidates(struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES]);
/* Adds what a loader cache's bytes know as libcuda.so.1 for x86-64. Any bytes are safe. Returns the
 * new count. */
size_t weft_native_read_cache(const void *data, size_t size,
                              struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES],
                              size_t count);

/* Opens the real driver, and never our own file again, under whatever
 * name. The handle is never closed. */
int weft_native_library_open(void **library, struct weft_err *err);

#endif

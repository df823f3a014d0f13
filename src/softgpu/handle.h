/* The handle table: what the soft driver gives a program instead of pointers. A handle is a number
 * that names a type, a place in the table and the generation of that place, so a stale or invented
 * one is refused. Look-up is O(1) and takes no lock; the table holds the reference counts.
 *
 * A handle holds one reference to its object from `open` to `close`; `get` adds one. When the
 * handle is closed and the last reference is put, `release` runs on the thread that put it, without
 * a lock of the table. Any thread. */
#ifndef WEFT_SOFTGPU_HANDLE_H
#define WEFT_SOFTGPU_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

enum weft_soft_handle_type {
    WEFT_SOFT_HANDLE_CONTEXT = 1,
    WEFT_SOFT_HANDLE_STREAM,
    WEFT_SOFT_HANDLE_EVENT,
    WEFT_SOFT_HANDLE_MODULE,
    WEFT_SOFT_HANDLE_FUNCTION,
    WEFT_SOFT_HANDLE_LIBRARY,
    WEFT_SOFT_HANDLE_KERNEL,
    WEFT_SOFT_HANDLE_POOL,
    WEFT_SOFT_HANDLE_ALLOCATION, /* cuMemCreate */
    WEFT_SOFT_HANDLE_ARRAY,
    WEFT_SOFT_HANDLE_MIPMAPPED_ARRAY,
    WEFT_SOFT_HANDLE_TEXTURE_REFERENCE,
    WEFT_SOFT_HANDLE_LINK,
    WEFT_SOFT_HANDLE_GRAPH,
    WEFT_SOFT_HANDLE_GRAPH_NODE,
    WEFT_SOFT_HANDLE_GRAPH_EXEC,
    WEFT_SOFT_HANDLE_USER_OBJECT,
    WEFT_SOFT_HANDLE_TYPE_COUNT
};

#define WEFT_SOFT_HANDLES_MAX (1u << 20)

/* A handle that names `object`, or 0 where memory or places have run out (release is not called
 * then). `release` may be NULL. */
uint64_t weft_soft_handle_open(enum weft_soft_handle_type type, void *object,
                               void (*release)(void *object));
/* The object under a new reference; NULL for anything but an open handle of that type. */
void *weft_soft_handle_get(enum weft_soft_handle_type type, uint64_t handle);
/* One more reference for who holds one already; the handle itself may be closed by now. */
void weft_soft_handle_retain(uint64_t handle);
void weft_soft_handle_put(uint64_t handle);
/* Ends the handle: no `get` finds it from now on. False where it is not an open handle of that
 * type, so of two threads that close one handle exactly one succeeds. */
bool weft_soft_handle_close(enum weft_soft_handle_type type, uint64_t handle);

#endif

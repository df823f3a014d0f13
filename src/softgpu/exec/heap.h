/* The heap behind the device's malloc and free: a part of device memory, cut into pieces by records
 * that the host keeps, so that a kernel which writes past its piece harms other pieces alone.
 *
 * Any thread; the heap's own lock is held for the time of one call and takes no other. */
#ifndef WEFT_SOFTGPU_EXEC_HEAP_H
#define WEFT_SOFTGPU_EXEC_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/err.h>

/* Pieces start at multiples of it. */
#define WEFT_EXEC_HEAP_GRAIN_BYTES 32

struct weft_exec_heap;

/* `base` is the device address of `bytes` that are allocated and stay the caller's. WEFT_ENOMEM. */
int weft_exec_heap_create(struct weft_exec_heap **out, uint64_t base, uint64_t bytes,
                          struct weft_err *err);
void weft_exec_heap_destroy(struct weft_exec_heap *heap);
/* An address, or 0 where no free run is long enough or `bytes` is 0. First fit from where the last
 * search ended. */
uint64_t weft_exec_heap_allocate(struct weft_exec_heap *heap, uint64_t bytes);
/* False for anything but the address of a piece in use. */
bool weft_exec_heap_free(struct weft_exec_heap *heap, uint64_t address);

#endif

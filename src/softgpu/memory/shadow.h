/* What the checker (WEFT_SOFT_CHECK=1) knows of device memory: who allocated which bytes, which of
 * them were ever written, and what was freed lately. One bit a byte of the window; pages of it
 * exist where something was written. */
#ifndef WEFT_SOFTGPU_MEMORY_SHADOW_H
#define WEFT_SOFTGPU_MEMORY_SHADOW_H

#include "softgpu/exec/check.h"
#include "softgpu/memory/memory.h"

#define WEFT_SOFT_FREED_MAX 256
/* Nothing lies so far behind an allocation, so that a step past its end meets nobody else. */
#define WEFT_SOFT_REDZONE_BYTES 512

struct weft_soft_shadow {
    uint8_t *written; /* owned; one bit a byte of the window */
    size_t bytes;
    /* The last allocations that ended; memory lock. */
    struct {
        uint64_t first, bytes;
    } freed[WEFT_SOFT_FREED_MAX];
    uint64_t freed_count;
    struct weft_soft_node *leaving; /* records of pieces whose free waits; memory lock */
    struct weft_exec_check check;
};

/* Where the environment asks for it; memory->shadow stays NULL else. WEFT_ENOMEM. */
int weft_soft_shadow_open(struct weft_soft_memory *memory, struct weft_err *err);
void weft_soft_shadow_close(struct weft_soft_memory *memory);
/* An allocation begins, its bytes unwritten, and ends. Memory lock held. */
void weft_soft_shadow_begin(const struct weft_soft_allocation *allocation);
void weft_soft_shadow_end(const struct weft_soft_allocation *allocation);
/* Of a pool's piece whose free waits in a stream: until that has its turn, kernels before it may
 * use the piece. `keep` takes the record over and returns it where the checker is on; else it frees
 * it and returns NULL. `leave` ends and frees what `keep` returned; NULL does nothing. */
struct weft_soft_allocation *weft_soft_shadow_keep(struct weft_soft_allocation *allocation);
void weft_soft_shadow_leave(struct weft_soft_allocation *allocation);
/* The driver itself has written; `place` is where the host reaches it. Does nothing outside the
 * window. */
void weft_soft_shadow_written(const char *place, uint64_t bytes);
static inline bool weft_soft_shadow_is_on(void)
{
    return weft_soft.check != NULL;
}

#endif

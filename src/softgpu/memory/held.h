/* What a context holds besides allocations: objects with handles, which end with it. */
#ifndef WEFT_SOFTGPU_MEMORY_HELD_H
#define WEFT_SOFTGPU_MEMORY_HELD_H

#include "softgpu/handle.h"
#include "softgpu/soft.h"

struct weft_soft_holdings;

/* The first field of such an object. */
struct weft_soft_held {
    struct weft_soft_holdings *holdings;    /* memory lock; NULL: in no context's list */
    struct weft_soft_held *previous, *next; /* memory lock */
    enum weft_soft_handle_type type;
    uint64_t handle;
};

/* Opens a handle for the object and puts it into the context's list. When the handle is closed and
 * the last reference is put, the object leaves the list and is freed. OUT_OF_MEMORY. */
CUresult weft_soft_held_open(struct weft_soft_held *held, enum weft_soft_handle_type type,
                             struct weft_soft_context *context);
/* Takes it out of the list before that; the memory lock is held. */
void weft_soft_held_unlink(struct weft_soft_held *held);
/* Ends the handles of all that the context holds. */
void weft_soft_held_close_all(struct weft_soft_holdings *holdings);

#endif

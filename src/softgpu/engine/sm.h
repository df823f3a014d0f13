/* SM slots: the licence to run kernels. A soft device has as many as its profile says, shared by
 * all processes that use it; a worker thread holds one while it runs blocks, and gives it up
 * between two bounded runs when others wait. All words live in the device page
 * (softgpu/device_page.h), where weftd frees what a dead process held; every wait has a time-out,
 * so a death never hangs anybody. */
#ifndef WEFT_SOFTGPU_ENGINE_SM_H
#define WEFT_SOFTGPU_ENGINE_SM_H

#include <stdbool.h>
#include <stdint.h>

#include "softgpu/device_page.h"

/* What one thread holds. Zeroed holds nothing. Used by that thread alone. */
struct weft_soft_sm {
    struct weft_device_page *page; /* borrowed; NULL: none is held */
    uint32_t index;
    uint64_t owner;
    bool polite; /* the last one was given up for somebody who waited: let them go first */
    const struct weft_space_set *allowed; /* borrowed; of the tenant: engine/space.h. NULL: all */
};

/* Takes a free SM of `page`, one of `sm->allowed`, for thread number `thread` (from 1) of process
 * slot `slot`. Waits up to `timeout_ns`; false where none became free. The thread holds none
 * before. */
bool weft_soft_sm_acquire(struct weft_soft_sm *sm, struct weft_device_page *page, uint32_t slot,
                          uint32_t thread, uint64_t timeout_ns);
/* Gives it back and wakes one waiter; does nothing where none is held. */
void weft_soft_sm_release(struct weft_soft_sm *sm);
/* Whether another thread, here or in another process, waits for an SM of the same device, or has
 * taken this one; or it is none of the tenant's any more. */
bool weft_soft_sm_wanted(const struct weft_soft_sm *sm);

#endif

/* The tenant's share of the SMs, as the device's page has it. It changes live; what a program sees
 * of it, device->sm_count, stays as it was when the program began. */
#ifndef WEFT_SOFTGPU_ENGINE_SPACE_H
#define WEFT_SOFTGPU_ENGINE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "softgpu/device_page.h"

/* In the page; NULL where weftd knows of no shares. */
static inline const struct weft_space_set *weft_soft_space_of(const struct weft_device_place *place)
{
    uint32_t line = __atomic_load_n(&place->page->processes[place->slot].tenant, __ATOMIC_RELAXED);
    return place->space && line < WEFT_DEVICE_TENANTS ? &place->space->sets[line] : NULL;
}

/* Whether some tenant of the device has not all of its SMs. */
static inline bool weft_soft_space_is_divided(const struct weft_device_place *place)
{
    return place->space && __atomic_load_n(&place->space->limited, __ATOMIC_RELAXED) != 0;
}

#endif

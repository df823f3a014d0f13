#include "softgpu/engine/watchdog.h"

#include <stdlib.h>

#include "softgpu/engine/device_time.h"
#include "util/util.h"

int weft_soft_watchdog_configure(struct weft_soft_driver *driver, struct weft_err *err)
{
    const char *text = getenv("WEFT_SOFT_WATCHDOG");
    driver->has_watchdog = text && *text;
    if (!driver->has_watchdog)
        return 0;
    int rc = weft_seconds_parse(text, &driver->watchdog_us, err);
    return rc ? weft_wrap(err, rc, "WEFT_SOFT_WATCHDOG") : 0;
}

void weft_soft_watchdog_arm(struct weft_soft_grid *grid, const struct weft_soft_device *device)
{
    uint32_t limit_us = weft_soft_watchdog_us(device);
    grid->retired_max =
        limit_us ? WEFT_MAX(weft_soft_device_time_retired(device->profile, limit_us), 1u) : 0;
    atomic_init(&grid->retired, 0);
}

bool weft_soft_watchdog_bites(struct weft_soft_grid *grid, uint64_t retired)
{
    if (grid->retired_max == 0)
        return false;
    uint64_t before = atomic_fetch_add_explicit(&grid->retired, retired, memory_order_relaxed);
    return before + retired > grid->retired_max;
}

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

bool weft_soft_watchdog_bites(struct weft_soft_grid *grid, const struct weft_soft_device *device,
                              uint64_t retired)
{
    uint32_t limit_us = weft_soft_watchdog_us(device);
    uint64_t before = atomic_fetch_add_explicit(&grid->retired, retired, memory_order_relaxed);
    return limit_us && before + retired >
                           WEFT_MAX(weft_soft_device_time_retired(device->profile, limit_us), 1u);
}

/* The watchdog: a kernel that takes longer than the device allows ends with LAUNCH_TIMEOUT. It
 * measures device time, so that a busy host ends nobody. */
#ifndef WEFT_SOFTGPU_ENGINE_WATCHDOG_H
#define WEFT_SOFTGPU_ENGINE_WATCHDOG_H

#include "softgpu/engine/schedule.h"

/* Reads WEFT_SOFT_WATCHDOG, once, before any device is used. WEFT_EINVAL. */
int weft_soft_watchdog_configure(struct weft_soft_driver *driver, struct weft_err *err);
/* Of a grid that is being described. */
void weft_soft_watchdog_arm(struct weft_soft_grid *grid, const struct weft_soft_device *device);
/* A slice of the grid has run. True where its time is over. A slice in which all slept or spun
 * counts like one that was used up, since on a device time goes on then. Any worker. */
bool weft_soft_watchdog_bites(struct weft_soft_grid *grid, uint64_t retired);

#endif

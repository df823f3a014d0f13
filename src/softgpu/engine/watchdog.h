/* The watchdog: a kernel that takes longer than the device or its tenant allows ends with
 * LAUNCH_TIMEOUT, and with it its context. It measures the device time that the kernel has had, so
 * that neither a busy host nor waiting for a turn ends anybody. */
#ifndef WEFT_SOFTGPU_ENGINE_WATCHDOG_H
#define WEFT_SOFTGPU_ENGINE_WATCHDOG_H

#include "softgpu/engine/schedule.h"

/* Reads WEFT_SOFT_WATCHDOG, once, before any device is used. WEFT_EINVAL. */
int weft_soft_watchdog_configure(struct weft_soft_driver *driver, struct weft_err *err);
/* A slice of the grid has run. True where its time is over, by the limits as they are now. A slice
 * in which all slept or spun counts like one that was used up, since on a device time goes on then.
 * Any worker. */
bool weft_soft_watchdog_bites(struct weft_soft_grid *grid, const struct weft_soft_device *device,
                              uint64_t retired);

#endif

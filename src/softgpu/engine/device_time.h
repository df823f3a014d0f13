/* Virtual device time: what a kernel costs, whatever the host is doing. */
#ifndef WEFT_SOFTGPU_ENGINE_DEVICE_TIME_H
#define WEFT_SOFTGPU_ENGINE_DEVICE_TIME_H

#include <stdint.h>

#include "softgpu/soft.h"

/* The cost table, in issue slots a warp instruction. It has one row as long as the executor counts
 * all instructions alike. */
#define WEFT_SOFT_COST_WARP_INSTRUCTION 1

/* So many warp instructions fit into so much device time. */
uint64_t weft_soft_device_time_retired(const struct weft_soft_profile *profile, uint32_t time_us);
/* Accounts for `retired` more in this process' line of the device page. Any thread. */
void weft_soft_device_time_add(struct weft_soft_device *device, uint64_t retired);
/* A kernel of so many has ended. Any thread. */
void weft_soft_device_time_kernel(struct weft_soft_device *device, uint64_t retired);

#endif

/* Managed memory, as its calls for one range and for many share it. */
#ifndef WEFT_SOFTGPU_MEMORY_MANAGED_H
#define WEFT_SOFTGPU_MEMORY_MANAGED_H

#include "softgpu/memory/memory.h"

/* Whether that could be prefetched (`location` NULL: discarded); with `note`, it has been. The
 * range must lie in one managed allocation. INVALID_VALUE, INVALID_DEVICE. */
CUresult weft_soft_managed_prefetch(uint64_t address, uint64_t bytes, const CUmemLocation *location,
                                    bool note);
void weft_soft_managed_batch_install(struct weft_cuda *table);

#endif

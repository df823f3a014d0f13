/* Memory and addresses apart: cuMemCreate makes memory, cuMemAddressReserve addresses, cuMemMap
 * lets the one lead to the other. */
#ifndef WEFT_SOFTGPU_MEMORY_VMM_H
#define WEFT_SOFTGPU_MEMORY_VMM_H

#include "softgpu/memory/memory.h"

/* What cuMemCreate made: a part of the arena, charged until the last of its
 * handles and mappings is gone. */
struct weft_soft_physical {
    struct weft_soft_device *device;
    uint64_t address; /* in the arena, where it is not alive */
    uint64_t bytes;
    uint64_t id;
    CUmemAllocationProp properties;
    uint32_t references; /* memory lock: one for the open handle, one for each mapping */
    uint64_t handle;     /* memory lock: 0 once closed */
    uint32_t uses;       /* memory lock: how often the handle must be released */
};

/* Ends the mapping of a claimed record and gives up its memory; the record stays the caller's. */
void weft_soft_vmm_unmap(struct weft_soft_allocation *mapping);

#endif

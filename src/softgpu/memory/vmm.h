/* Memory and addresses apart: cuMemCreate makes memory, cuMemAddressReserve addresses, cuMemMap
 * lets the one lead to the other. */
#ifndef WEFT_SOFTGPU_MEMORY_VMM_H
#define WEFT_SOFTGPU_MEMORY_VMM_H

#include "softgpu/memory/memory.h"

/* What cuMemCreate made or cuMemImportFromShareableHandle found, charged until the last of its
 * handles and mappings is gone: a part of the arena, or where other processes may have it too, a
 * file of its own. */
struct weft_soft_physical {
    struct weft_soft_device *device;
    uint64_t address;                /* in the arena, where it is not alive; 0 for a file */
    struct weft_soft_shared *shared; /* the file, under a reference; NULL in the arena */
    uint64_t bytes;
    uint64_t id;
    CUmemAllocationProp properties;
    uint32_t references; /* memory lock: one for the open handle, one for each mapping */
    uint64_t handle;     /* memory lock: 0 once closed */
    uint32_t uses;       /* memory lock: how often the handle must be released */
};

/* A handle for memory in a file, of which the reference is taken over, also on failure. */
CUresult weft_soft_vmm_open_shared(struct weft_soft_shared *shared,
                                   CUmemGenericAllocationHandle *handle);
/* cuMemExportToShareableHandle and its counterpart. */
void weft_soft_vmm_share_install(struct weft_cuda *table);

/* Ends the mapping of a claimed record and gives up its memory; the record stays the caller's. */
void weft_soft_vmm_unmap(struct weft_soft_allocation *mapping);

#endif

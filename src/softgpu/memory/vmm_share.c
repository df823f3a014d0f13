/* Memory of cuMemCreate as descriptors that a program may hand to another one. */
#include <stdlib.h>

#include <weft/cuda_table.h>

#include "softgpu/handle.h"
#include "softgpu/memory/vmm.h"

#define POSIX_FD CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR

static CUresult mem_export(void *shareable, CUmemGenericAllocationHandle handle,
                           CUmemAllocationHandleType type, unsigned long long flags)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!shareable || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_physical *physical = weft_soft_handle_get(WEFT_SOFT_HANDLE_ALLOCATION, handle);
    if (!physical)
        return CUDA_ERROR_INVALID_VALUE;
    /* Only what was made to be shared is a file. */
    if (type == POSIX_FD && physical->shared)
        result = weft_soft_shared_export(physical->shared, shareable);
    else
        result = CUDA_ERROR_INVALID_VALUE;
    weft_soft_handle_put(handle);
    return result;
}

static CUresult mem_import(CUmemGenericAllocationHandle *handle, void *shareable,
                           CUmemAllocationHandleType type)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!handle)
        return CUDA_ERROR_INVALID_VALUE;
    if (type != POSIX_FD)
        return CUDA_ERROR_NOT_SUPPORTED;
    struct weft_soft_shared *shared;
    result = weft_soft_shared_import((int)(intptr_t)shareable, WEFT_SOFT_SHARED_PHYSICAL, &shared);
    return result == CUDA_SUCCESS ? weft_soft_vmm_open_shared(shared, handle) : result;
}

void weft_soft_vmm_share_install(struct weft_cuda *table)
{
    table->cuMemExportToShareableHandle = mem_export;
    table->cuMemImportFromShareableHandle = mem_import;
}

/* The calls that make handles, map them, and let go of both. What they refer
 * to is in quota_vmm_memory.c. */
#include "tenant/quota_vmm.h"

#include <stddef.h>

#include "util/util.h"

/* In both tables `owner` is the memory. In `handles` bytes counts how often
 * the handle must be released. */
static struct {
    uint32_t epoch; /* guarded by the lock; goes up when a mapping is to end */
    struct weft_quota_map handles, mappings;
} vmm;

/* Adds one to how often the handle must be released, and so to the memory's
 * references. The lock is held. */
static int handle_enter(CUmemGenericAllocationHandle handle, struct weft_quota_memory *memory)
{
    struct weft_quota_entry entry = {.key = handle, .bytes = 1, .owner = memory}, replaced;
    if (weft_quota_map_find(&vmm.handles, handle, &replaced) && replaced.owner == memory)
        entry.bytes += replaced.bytes;
    int rc = weft_quota_map_put(&vmm.handles, &entry, &replaced);
    if (rc)
        return rc;
    weft_quota_memory_get(memory);
    if (replaced.key && replaced.owner != memory) {
        for (uint64_t i = 0; i < replaced.bytes; i++)
            weft_quota_memory_put(replaced.owner); /* it ended without our seeing it */
    }
    return 0;
}

/* The memory behind a handle, one release fewer to come; its reference is now the caller's. NULL:
 * not ours. */
static struct weft_quota_memory *handle_leave(CUmemGenericAllocationHandle handle)
{
    struct weft_quota_entry entry, replaced;
    struct weft_quota_memory *memory = NULL;
    weft_quota_vmm_lock();
    if (weft_quota_map_take(&vmm.handles, handle, &entry)) {
        memory = entry.owner;
        if (--entry.bytes > 0)
            weft_quota_map_put(&vmm.handles, &entry, &replaced);
    }
    weft_quota_vmm_unlock();
    return memory;
}

static bool created_here(const CUmemAllocationProp *prop)
{
    return prop && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE && prop->location.id >= 0 &&
           (uint32_t)prop->location.id < weft_quota.device_count;
}

/* Enters memory that the backend made and that is charged. */
static CUresult enter(CUmemGenericAllocationHandle handle, struct weft_quota_memory *memory)
{
    weft_quota_vmm_lock();
    int rc = handle_enter(handle, memory);
    weft_quota_vmm_unlock();
    if (rc == 0)
        return CUDA_SUCCESS;
    weft_quota.next.cuMemRelease(handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult mem_create(CUmemGenericAllocationHandle *handle, size_t size,
                           const CUmemAllocationProp *prop, unsigned long long flags)
{
    if (!created_here(prop))
        return weft_quota.next.cuMemCreate(handle, size, prop, flags);
    CUmemGenericAllocationHandle created;
    uint32_t device = (uint32_t)prop->location.id;
    uint64_t bytes = weft_quota_round(size, WEFT_QUOTA_GRANULE_BYTES);
    CUresult rc = weft_quota_reserve(device, bytes);
    if (rc)
        return rc;
    struct weft_quota_memory *memory = weft_quota_memory_create(bytes, device);
    if (!memory) {
        weft_quota_release(device, bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    rc = weft_quota.next.cuMemCreate(handle ? &created : NULL, size, prop, flags);
    if (rc == CUDA_SUCCESS)
        rc = enter(created, memory);
    if (rc)
        weft_quota_memory_destroy(memory);
    else
        *handle = created;
    return rc;
}

/* The handle leaves the table first: once the backend has released it, another thread may be given
 * the same one. */
static CUresult mem_release(CUmemGenericAllocationHandle handle)
{
    struct weft_quota_memory *memory = handle_leave(handle);
    CUresult rc = weft_quota.next.cuMemRelease(handle);
    if (!memory)
        return rc;
    weft_quota_vmm_lock();
    if (rc)
        handle_enter(handle, memory);
    weft_quota_memory_put(memory);
    weft_quota_vmm_unlock();
    return rc;
}

/* Takes a reference to the memory behind a handle; NULL where it is not ours. */
static struct weft_quota_memory *handle_get(CUmemGenericAllocationHandle handle)
{
    struct weft_quota_entry entry;
    struct weft_quota_memory *memory = NULL;
    weft_quota_vmm_lock();
    if (weft_quota_map_find(&vmm.handles, handle, &entry)) {
        memory = entry.owner;
        weft_quota_memory_get(memory);
    }
    weft_quota_vmm_unlock();
    return memory;
}

static void memory_put_unlocked(struct weft_quota_memory *memory)
{
    weft_quota_vmm_lock();
    weft_quota_memory_put(memory);
    weft_quota_vmm_unlock();
}

/* Enters a mapping, which takes over the caller's reference to the memory. */
static int mapping_enter(CUdeviceptr address, size_t size, struct weft_quota_memory *memory)
{
    struct weft_quota_entry entry = {.key = address, .bytes = size, .owner = memory}, replaced;
    weft_quota_vmm_lock();
    entry.epoch = vmm.epoch;
    int rc = weft_quota_map_put(&vmm.mappings, &entry, &replaced);
    if (replaced.key)
        weft_quota_memory_put(
            replaced.owner); /* it ended without our seeing it, or is just about to */
    weft_quota_vmm_unlock();
    return rc;
}

static CUresult mem_map(CUdeviceptr ptr, size_t size, size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    struct weft_quota_memory *memory = handle_get(handle);
    CUresult rc = weft_quota.next.cuMemMap(ptr, size, offset, handle, flags);
    if (!memory)
        return rc;
    if (rc == CUDA_SUCCESS && mapping_enter(ptr, size, memory)) {
        weft_quota.next.cuMemUnmap(ptr, size);
        rc = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (rc)
        memory_put_unlocked(memory);
    return rc;
}

/* Drops the mapping at the address, unless it was made after `epoch`. How far it is to where the
 * next may begin: its size, or a granule, since nothing is mapped in smaller steps. */
static uint64_t mapping_leave(CUdeviceptr address, uint32_t epoch)
{
    struct weft_quota_entry entry;
    uint64_t step = WEFT_QUOTA_GRANULE_BYTES;
    weft_quota_vmm_lock();
    if (weft_quota_map_find(&vmm.mappings, address, &entry) && entry.epoch <= epoch) {
        weft_quota_map_take(&vmm.mappings, address, &entry);
        weft_quota_memory_put(entry.owner);
        step = WEFT_MAX(entry.bytes, WEFT_QUOTA_ROUND_BYTES);
    }
    weft_quota_vmm_unlock();
    return step;
}

/* One call may end several mappings that lie side by side; those of imported memory are none of
 * ours. As soon as the backend has done it, another thread may map something new there: that is
 * told by its epoch. */
static CUresult mem_unmap(CUdeviceptr ptr, size_t size)
{
    weft_quota_vmm_lock();
    uint32_t epoch = vmm.epoch++;
    weft_quota_vmm_unlock();
    CUresult rc = weft_quota.next.cuMemUnmap(ptr, size);
    for (uint64_t at = 0; rc == CUDA_SUCCESS && at < size;)
        at += mapping_leave(ptr + at, epoch);
    return rc;
}

static bool maps_address(const struct weft_quota_entry *entry, const void *argument)
{
    uint64_t address = *(const uint64_t *)argument;
    return address >= entry->key && address - entry->key < entry->bytes;
}

static CUresult mem_retain_allocation_handle(CUmemGenericAllocationHandle *handle, void *address)
{
    struct weft_quota_entry entry;
    uint64_t at = (uint64_t)(uintptr_t)address;
    CUresult rc = weft_quota.next.cuMemRetainAllocationHandle(handle, address);
    if (rc)
        return rc;
    weft_quota_vmm_lock();
    bool known = weft_quota_map_search(&vmm.mappings, maps_address, &at, &entry);
    bool entered = !known || handle_enter(*handle, entry.owner) == 0;
    weft_quota_vmm_unlock();
    if (entered)
        return CUDA_SUCCESS;
    weft_quota.next.cuMemRelease(*handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult mem_export(void *shareable, CUmemGenericAllocationHandle handle,
                           CUmemAllocationHandleType type, unsigned long long flags)
{
    struct weft_quota_memory *memory = handle_get(handle);
    CUresult rc = weft_quota.next.cuMemExportToShareableHandle(shareable, handle, type, flags);
    if (!memory)
        return rc;
    weft_quota_vmm_lock();
    if (rc == CUDA_SUCCESS)
        weft_quota_memory_note_export(
            memory, type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ? *(int *)shareable : -1);
    weft_quota_memory_put(memory);
    weft_quota_vmm_unlock();
    return rc;
}

/* What this process exported itself is counted as one more handle; what
 * others did is charged to them. */
static CUresult mem_import(CUmemGenericAllocationHandle *handle, void *shareable,
                           CUmemAllocationHandleType type)
{
    CUresult rc = weft_quota.next.cuMemImportFromShareableHandle(handle, shareable, type);
    if (rc || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return rc;
    weft_quota_vmm_lock();
    struct weft_quota_memory *memory = weft_quota_memory_exported_as((int)(intptr_t)shareable);
    bool entered = !memory || handle_enter(*handle, memory) == 0;
    weft_quota_vmm_unlock();
    if (entered)
        return CUDA_SUCCESS;
    weft_quota.next.cuMemRelease(*handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

void weft_quota_vmm_install(struct weft_cuda *table)
{
    table->cuMemCreate = mem_create;
    table->cuMemRelease = mem_release;
    table->cuMemMap = mem_map;
    table->cuMemUnmap = mem_unmap;
    table->cuMemRetainAllocationHandle = mem_retain_allocation_handle;
    table->cuMemExportToShareableHandle = mem_export;
    table->cuMemImportFromShareableHandle = mem_import;
}

void weft_quota_vmm_reset(void)
{
    weft_quota_memory_reset();
    weft_quota_map_finish(&vmm.handles);
    weft_quota_map_finish(&vmm.mappings);
}

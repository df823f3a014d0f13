/* Managed memory: device memory that the program may use too. Both see the same pages, so advice
 * and prefetches are noted, for whole allocations, and nothing is moved. */
#include <string.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/managed.h"
#include "util/util.h"

#define ACCESSED_BY_HOST (1u << WEFT_DEVICES_MAX)
#define ATTRIBUTES_MAX 64

static CUresult mem_alloc_managed(CUdeviceptr *address, size_t bytes, unsigned int flags)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!address || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t taken;
    result = weft_soft_linear_allocate(context, bytes, WEFT_SOFT_MANAGED, flags, &taken);
    if (result == CUDA_SUCCESS)
        *address = taken;
    return result;
}

/* The managed allocation that holds the whole range; memory lock. */
static struct weft_soft_allocation *find_managed(uint64_t address, uint64_t bytes)
{
    struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    if (!allocation || allocation->kind != WEFT_SOFT_MANAGED || bytes == 0)
        return NULL;
    uint64_t offset = address - weft_soft_allocation_address(allocation);
    return bytes <= allocation->bytes - offset ? allocation : NULL;
}

static bool is_host(CUmemLocation location)
{
    return location.type == CU_MEM_LOCATION_TYPE_HOST ||
           location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
           location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

static CUresult check_location(CUmemLocation location)
{
    struct weft_soft_device *device;
    if (is_host(location))
        return CUDA_SUCCESS;
    if (location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    return weft_soft_device_get(location.id, &device);
}

/* Before CUDA 12.2 a location was a device, or -1 for the host. */
static CUmemLocation from_device(CUdevice device)
{
    if (device == CU_DEVICE_CPU)
        return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST};
    return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};
}

static int to_device(CUmemLocation location)
{
    if (location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        return location.id;
    return is_host(location) ? CU_DEVICE_CPU : CU_DEVICE_INVALID;
}

static CUresult apply(struct weft_soft_advice *noted, CUmem_advise advice, CUmemLocation location)
{
    uint32_t bit = is_host(location) ? ACCESSED_BY_HOST : 1u << location.id;
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
        noted->read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
        return CUDA_SUCCESS;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        noted->preferred = location;
        return CUDA_SUCCESS;
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        noted->preferred = (CUmemLocation){0};
        return CUDA_SUCCESS;
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
        noted->accessed_by |= bit;
        return CUDA_SUCCESS;
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        noted->accessed_by &= ~bit;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

/* For read-mostly, and to unset the preferred location, the location does not matter. */
static bool needs_location(CUmem_advise advice)
{
    return advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION ||
           advice == CU_MEM_ADVISE_SET_ACCESSED_BY || advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY;
}

static CUresult mem_advise_at(CUdeviceptr address, size_t bytes, CUmem_advise advice,
                              CUmemLocation location)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result == CUDA_SUCCESS && needs_location(advice))
        result = check_location(location);
    if (result != CUDA_SUCCESS)
        return result;
    if (!needs_location(advice))
        location = (CUmemLocation){0};
    pthread_mutex_lock(&weft_soft.memory->lock);
    struct weft_soft_allocation *allocation = find_managed(address, bytes);
    result = allocation ? apply(&allocation->advice, advice, location) : CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_unlock(&weft_soft.memory->lock);
    return result;
}

static CUresult mem_advise(CUdeviceptr address, size_t bytes, CUmem_advise advice, CUdevice device)
{
    return mem_advise_at(address, bytes, advice, from_device(device));
}

CUresult weft_soft_managed_prefetch(uint64_t address, uint64_t bytes, const CUmemLocation *location,
                                    bool note)
{
    CUresult result = location ? check_location(*location) : CUDA_SUCCESS;
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&weft_soft.memory->lock);
    struct weft_soft_allocation *allocation = find_managed(address, bytes);
    if (allocation && location && note)
        allocation->advice.prefetched = *location;
    pthread_mutex_unlock(&weft_soft.memory->lock);
    return allocation ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult prefetch(CUdeviceptr address, size_t bytes, CUmemLocation location,
                         unsigned int flags, CUstream handle, bool per_thread)
{
    struct weft_soft_context *context;
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_context_current(&context);
    if (result == CUDA_SUCCESS)
        result = check_location(location);
    if (result == CUDA_SUCCESS)
        result = weft_soft_stream_get(context, handle, per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    result = weft_soft_capture_refuse(stream);
    weft_soft_stream_put(stream);
    if (result != CUDA_SUCCESS)
        return result;
    return flags ? CUDA_ERROR_INVALID_VALUE
                 : weft_soft_managed_prefetch(address, bytes, &location, true);
}

static CUresult prefetch_legacy(CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream)
{
    return prefetch(address, bytes, from_device(device), 0, stream, false);
}

static CUresult prefetch_thread(CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream)
{
    return prefetch(address, bytes, from_device(device), 0, stream, true);
}

static CUresult prefetch_at_legacy(CUdeviceptr address, size_t bytes, CUmemLocation location,
                                   unsigned int flags, CUstream stream)
{
    return prefetch(address, bytes, location, flags, stream, false);
}

static CUresult prefetch_at_thread(CUdeviceptr address, size_t bytes, CUmemLocation location,
                                   unsigned int flags, CUstream stream)
{
    return prefetch(address, bytes, location, flags, stream, true);
}

/* The devices that were named, and CU_DEVICE_INVALID for the rest of the array. */
static void write_accessed_by(const struct weft_soft_advice *noted, int *data, size_t count)
{
    size_t written = 0;
    for (int device = 0; device <= WEFT_DEVICES_MAX && written < count; device++) {
        if (noted->accessed_by & 1u << device)
            data[written++] = device == WEFT_DEVICES_MAX ? CU_DEVICE_CPU : device;
    }
    while (written < count)
        data[written++] = CU_DEVICE_INVALID;
}

static CUresult read_attribute(const struct weft_soft_advice *noted,
                               CUmem_range_attribute attribute, int *data, size_t bytes)
{
    if (!data || bytes < sizeof(int) || bytes % sizeof(int) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    switch ((int)attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
        *data = noted->read_mostly;
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
        *data = to_device(noted->preferred);
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
        write_accessed_by(noted, data, bytes / sizeof(int));
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
        *data = to_device(noted->prefetched);
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
        *data = (int)noted->preferred.type;
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
        *data = noted->preferred.id;
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
        *data = (int)noted->prefetched.type;
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
        *data = noted->prefetched.id;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult mem_range_get_attributes(void **data, size_t *bytes,
                                         CUmem_range_attribute *attributes, size_t count,
                                         CUdeviceptr address, size_t range_bytes)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!data || !bytes || !attributes || count == 0 || count > ATTRIBUTES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_advice noted;
    pthread_mutex_lock(&weft_soft.memory->lock);
    const struct weft_soft_allocation *allocation = find_managed(address, range_bytes);
    if (allocation)
        noted = allocation->advice;
    pthread_mutex_unlock(&weft_soft.memory->lock);
    if (!allocation)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = read_attribute(&noted, attributes[i], data[i], bytes[i]);
    return result;
}

static CUresult mem_range_get_attribute(void *data, size_t bytes, CUmem_range_attribute attribute,
                                        CUdeviceptr address, size_t range_bytes)
{
    return mem_range_get_attributes(&data, &bytes, &attribute, 1, address, range_bytes);
}

/* All streams may use managed memory at any time here, so an attachment has only to be sound. */
static CUresult attach(CUstream handle, CUdeviceptr address, size_t bytes, unsigned int flags,
                       bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_of_current(handle, per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    result = weft_soft_capture_refuse(stream);
    weft_soft_stream_put(stream);
    if (result != CUDA_SUCCESS)
        return result;
    bool single = flags == CU_MEM_ATTACH_SINGLE && handle;
    if (!single && flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&weft_soft.memory->lock);
    const struct weft_soft_allocation *allocation = find_managed(address, 1);
    bool whole = allocation && weft_soft_allocation_address(allocation) == address &&
                 (bytes == 0 || bytes == allocation->bytes);
    pthread_mutex_unlock(&weft_soft.memory->lock);
    return whole ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult attach_legacy(CUstream stream, CUdeviceptr address, size_t bytes,
                              unsigned int flags)
{
    return attach(stream, address, bytes, flags, false);
}

static CUresult attach_thread(CUstream stream, CUdeviceptr address, size_t bytes,
                              unsigned int flags)
{
    return attach(stream, address, bytes, flags, true);
}

void weft_soft_managed_install(struct weft_cuda *table)
{
    weft_soft_managed_batch_install(table);
    table->cuMemAllocManaged = mem_alloc_managed;
    table->cuMemAdvise = mem_advise;
    table->cuMemAdvise_v2 = mem_advise_at;
    table->cuMemPrefetchAsync = prefetch_legacy;
    table->cuMemPrefetchAsync_ptsz = prefetch_thread;
    table->cuMemPrefetchAsync_v2 = prefetch_at_legacy;
    table->cuMemPrefetchAsync_v2_ptsz = prefetch_at_thread;
    table->cuMemRangeGetAttribute = mem_range_get_attribute;
    table->cuMemRangeGetAttributes = mem_range_get_attributes;
    table->cuStreamAttachMemAsync = attach_legacy;
    table->cuStreamAttachMemAsync_ptsz = attach_thread;
}

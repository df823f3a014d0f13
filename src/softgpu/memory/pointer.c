/* What is known of an address: cuPointerGetAttribute and its kin. */
#include <string.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/memory.h"
#include "softgpu/memory/pool.h"
#include "softgpu/memory/vmm.h"

#define ATTRIBUTES_MAX 64

struct answer {
    uint64_t value; /* little-endian: what is narrower fills its low bytes */
    uint8_t bytes;  /* 0 where there is no such attribute, or not for this memory */
};

/* How wide an attribute is; 0 for those that do not exist, or that nothing here has. */
static uint8_t width_of(CUpointer_attribute attribute)
{
    switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        return 4;
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return 8;
    }
    return 0;
}

static bool is_host(const struct weft_soft_allocation *allocation)
{
    return allocation->kind & (WEFT_SOFT_HOST | WEFT_SOFT_REGISTERED);
}

/* What the device may do with it, as CU_POINTER_ATTRIBUTE_ACCESS_FLAG_… says. */
static uint64_t access_of(const struct weft_soft_allocation *allocation)
{
    CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    if (allocation->kind == WEFT_SOFT_MAPPED)
        flags = allocation->access[allocation->device->ordinal];
    return flags;
}

static uint64_t value_of(const struct weft_soft_allocation *allocation,
                         CUpointer_attribute attribute, CUdeviceptr address)
{
    switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        return (uintptr_t)allocation->context_handle;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        return is_host(allocation) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        return address;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
        return allocation->synchronous;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        return allocation->id;
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return allocation->physical ? allocation->physical_id : allocation->id;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        return allocation->kind == WEFT_SOFT_MANAGED;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return allocation->device->ordinal;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        return weft_soft_allocation_address(allocation);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        return allocation->bytes;
    case CU_POINTER_ATTRIBUTE_MAPPED:
        return 1;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        return allocation->kind == WEFT_SOFT_LINEAR;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        return allocation->physical ? allocation->physical->properties.requestedHandleTypes : 0;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        return access_of(allocation);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        return allocation->pool ? allocation->pool->handle : 0;
    }
    return 0; /* handles to share, RDMA, decompression: not there */
}

/* Whether the program could use the address itself. */
static bool has_host_pointer(const struct weft_soft_allocation *allocation)
{
    return is_host(allocation) || allocation->kind == WEFT_SOFT_MANAGED;
}

/* Of memory that nobody allocated nothing is known, and no device has it. */
static struct answer answer(const struct weft_soft_allocation *allocation,
                            CUpointer_attribute attribute, CUdeviceptr address)
{
    struct answer found = {.bytes = width_of(attribute)};
    if (!allocation)
        found.value =
            attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL ? (uint64_t)CU_DEVICE_INVALID : 0;
    else if (attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER && !has_host_pointer(allocation))
        found.value = 0;
    else
        found.value = value_of(allocation, attribute, address);
    return found;
}

static CUresult pointer_get_attribute(void *data, CUpointer_attribute attribute,
                                      CUdeviceptr address)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&weft_soft.memory->lock);
    const struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    struct answer found = answer(allocation, attribute, address);
    bool refused = !allocation || found.bytes == 0 ||
                   (attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER && found.value == 0);
    pthread_mutex_unlock(&weft_soft.memory->lock);
    if (!data || refused)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(data, &found.value, found.bytes);
    return CUDA_SUCCESS;
}

/* Unlike the call for one attribute this one answers zeros for memory that it does not know. */
static CUresult pointer_get_attributes(unsigned int count, CUpointer_attribute *attributes,
                                       void **data, CUdeviceptr address)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!attributes || !data || count == 0 || count > ATTRIBUTES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    struct answer found[ATTRIBUTES_MAX];
    pthread_mutex_lock(&weft_soft.memory->lock);
    const struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    for (unsigned int i = 0; i < count; i++)
        found[i] = answer(allocation, attributes[i], address);
    pthread_mutex_unlock(&weft_soft.memory->lock);
    for (unsigned int i = 0; i < count; i++) {
        if (found[i].bytes == 0 || !data[i])
            return CUDA_ERROR_INVALID_VALUE;
    }
    for (unsigned int i = 0; i < count; i++)
        memcpy(data[i], &found[i].value, found[i].bytes);
    return CUDA_SUCCESS;
}

static CUresult pointer_set_attribute(const void *value, CUpointer_attribute attribute,
                                      CUdeviceptr address)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    bool sound = allocation && !is_host(allocation);
    if (sound)
        allocation->synchronous = *(const unsigned int *)value != 0;
    if (sound && allocation->synchronous)
        atomic_store(&memory->synchronous, true);
    pthread_mutex_unlock(&memory->lock);
    return sound ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void weft_soft_pointer_install(struct weft_cuda *table)
{
    table->cuPointerGetAttribute = pointer_get_attribute;
    table->cuPointerGetAttributes = pointer_get_attributes;
    table->cuPointerSetAttribute = pointer_set_attribute;
}

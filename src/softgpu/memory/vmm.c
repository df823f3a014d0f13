#include "softgpu/memory/vmm.h"

#include <stdlib.h>

#include <weft/cuda_table.h>

#include "softgpu/handle.h"
#include "util/util.h"

#define GRANULE WEFT_SOFT_GRANULE_BYTES

struct reservation {
    struct weft_soft_node by_address; /* key: the address */
    uint64_t bytes;
};

static void lock(void)
{
    pthread_mutex_lock(&weft_soft.memory->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&weft_soft.memory->lock);
}

static bool is_granular(uint64_t value)
{
    return value % GRANULE == 0;
}

/* The reservation that holds all of [address, address + bytes); memory lock. */
static struct reservation *find_reservation(uint64_t address, uint64_t bytes)
{
    struct weft_soft_node *node =
        weft_soft_tree_floor(weft_soft.memory->reservations, address, UINT64_MAX);
    struct reservation *found =
        node ? WEFT_CONTAINER_OF(node, struct reservation, by_address) : NULL;
    if (!found || address - node->key >= found->bytes ||
        bytes > found->bytes - (address - node->key))
        return NULL;
    return found;
}

/* The first mapping that begins at or after `address` or holds it; memory lock. */
static struct weft_soft_allocation *next_mapping(uint64_t address)
{
    struct weft_soft_allocation *holds = weft_soft_allocation_find(address);
    if (holds)
        return holds;
    struct weft_soft_node *node = weft_soft_tree_ceiling(weft_soft.memory->allocations, address, 0);
    return node ? WEFT_CONTAINER_OF(node, struct weft_soft_allocation, by_address) : NULL;
}

static bool is_mapped_at_all(uint64_t address, uint64_t bytes)
{
    const struct weft_soft_allocation *mapping = next_mapping(address);
    return mapping && weft_soft_allocation_address(mapping) < address + bytes;
}

/* -- addresses */

static bool take_addresses(uint64_t bytes, uint64_t alignment, uint64_t hint, uint64_t *address)
{
    struct weft_soft_ranges *ranges = &weft_soft.memory->reservable;
    if (hint != 0 && hint % alignment == 0 && weft_soft_ranges_take_at(ranges, hint, bytes)) {
        *address = hint;
        return true;
    }
    return weft_soft_ranges_take(ranges, bytes, alignment, address);
}

static CUresult mem_address_reserve(CUdeviceptr *address, size_t bytes, size_t alignment,
                                    CUdeviceptr hint, unsigned long long flags)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!address || bytes == 0 || !is_granular(bytes) || flags != 0 ||
        (alignment & (alignment - 1)) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct reservation *reservation = calloc(1, sizeof(*reservation));
    if (!reservation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    reservation->bytes = bytes;
    lock();
    bool taken = take_addresses(bytes, WEFT_MAX(alignment, (size_t)GRANULE), hint,
                                &reservation->by_address.key);
    if (taken) {
        *address = reservation->by_address.key;
        weft_soft_tree_insert(&weft_soft.memory->reservations, &reservation->by_address);
    }
    unlock();
    if (!taken)
        free(reservation);
    return taken ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult mem_address_free(CUdeviceptr address, size_t bytes)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_memory *memory = weft_soft.memory;
    lock();
    struct reservation *reservation = find_reservation(address, bytes);
    bool whole = reservation && reservation->by_address.key == address &&
                 reservation->bytes == bytes && !is_mapped_at_all(address, bytes);
    if (whole) {
        weft_soft_tree_remove(&memory->reservations, &reservation->by_address);
        weft_soft_ranges_give(&memory->reservable, address, bytes);
    }
    unlock();
    if (!whole)
        return CUDA_ERROR_INVALID_VALUE;
    free(reservation);
    return CUDA_SUCCESS;
}

/* -- memory */

static CUresult take_memory(struct weft_soft_physical *physical)
{
    struct weft_soft_device *device = physical->device;
    if (physical->properties.requestedHandleTypes == CU_MEM_HANDLE_TYPE_NONE)
        return weft_soft_arena_take(device, physical->bytes, physical->bytes, GRANULE,
                                    &physical->address);
    return weft_soft_shared_create(device, WEFT_SOFT_SHARED_PHYSICAL, physical->bytes,
                                   physical->bytes, &physical->shared);
}

static void give_memory(struct weft_soft_physical *physical)
{
    if (physical->shared)
        weft_soft_shared_put(physical->shared);
    else
        weft_soft_arena_give(physical->device, physical->bytes, physical->bytes, physical->address);
}

static void physical_put(struct weft_soft_physical *physical)
{
    lock();
    bool last = --physical->references == 0;
    unlock();
    if (!last)
        return;
    give_memory(physical);
    free(physical);
}

static void handle_closed(void *object)
{
    physical_put(object);
}

static CUresult check_properties(const CUmemAllocationProp *properties,
                                 struct weft_soft_device **device)
{
    if (!properties || properties->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if ((properties->requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE &&
         properties->requestedHandleTypes != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) ||
        properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    return weft_soft_device_get(properties->location.id, device);
}

/* Names memory by a handle; without one the memory goes back. */
static CUresult open_handle(struct weft_soft_physical *physical)
{
    physical->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_ALLOCATION, physical, handle_closed);
    if (physical->handle)
        return CUDA_SUCCESS;
    give_memory(physical);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult weft_soft_vmm_open_shared(struct weft_soft_shared *shared,
                                   CUmemGenericAllocationHandle *handle)
{
    struct weft_soft_physical *physical = calloc(1, sizeof(*physical));
    if (!physical) {
        weft_soft_shared_put(shared);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *physical = (struct weft_soft_physical){
        .device = shared->device,
        .shared = shared,
        .bytes = shared->bytes,
        .properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                       .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                       .location = {CU_MEM_LOCATION_TYPE_DEVICE, (int)shared->device->ordinal}},
        .references = 1,
        .uses = 1};
    CUresult result = open_handle(physical);
    if (result == CUDA_SUCCESS)
        *handle = physical->handle;
    else
        free(physical);
    return result;
}

static CUresult mem_create(CUmemGenericAllocationHandle *handle, size_t bytes,
                           const CUmemAllocationProp *properties, unsigned long long flags)
{
    struct weft_soft_device *device;
    CUresult result = weft_soft_initialised();
    if (result == CUDA_SUCCESS)
        result = check_properties(properties, &device);
    if (result != CUDA_SUCCESS)
        return result;
    if (!handle || bytes == 0 || !is_granular(bytes) || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_physical *physical = calloc(1, sizeof(*physical));
    if (!physical)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *physical = (struct weft_soft_physical){
        .device = device, .bytes = bytes, .properties = *properties, .references = 1, .uses = 1};
    result = take_memory(physical);
    if (result == CUDA_SUCCESS)
        result = open_handle(physical);
    if (result == CUDA_SUCCESS)
        *handle = physical->handle;
    else
        free(physical);
    return result;
}

static CUresult mem_release(CUmemGenericAllocationHandle handle)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_physical *physical = weft_soft_handle_get(WEFT_SOFT_HANDLE_ALLOCATION, handle);
    if (!physical)
        return CUDA_ERROR_INVALID_VALUE;
    lock();
    bool last = physical->handle == handle && --physical->uses == 0;
    if (last)
        physical->handle = 0;
    unlock();
    if (last)
        weft_soft_handle_close(WEFT_SOFT_HANDLE_ALLOCATION, handle);
    weft_soft_handle_put(handle);
    return CUDA_SUCCESS;
}

/* -- one leads to the other */

static bool may_map(const struct weft_soft_allocation *mapping)
{
    uint64_t address = weft_soft_allocation_address(mapping);
    return find_reservation(address, mapping->bytes) && !is_mapped_at_all(address, mapping->bytes);
}

static bool show_memory(const struct weft_soft_physical *physical, uint64_t address, uint64_t bytes,
                        uint64_t offset)
{
    struct weft_soft_window *window = &weft_soft.memory->window;
    if (physical->shared)
        return weft_soft_window_map_file(window, address, bytes, physical->shared->fd, offset);
    return weft_soft_window_map(window, address, physical->address + offset, bytes);
}

static CUresult map(struct weft_soft_physical *physical, uint64_t address, uint64_t bytes,
                    uint64_t offset)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    _cleanup_free_ struct weft_soft_allocation *mapping = calloc(1, sizeof(*mapping));
    if (!mapping)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *mapping = (struct weft_soft_allocation){.by_address.key = address,
                                             .kind = WEFT_SOFT_MAPPED,
                                             .device = physical->device,
                                             .bytes = bytes,
                                             .extent = bytes,
                                             .physical = physical,
                                             .physical_offset = offset};
    CUresult result = CUDA_SUCCESS;
    lock();
    if (!may_map(mapping))
        result = CUDA_ERROR_INVALID_VALUE;
    else if (!show_memory(physical, address, bytes, offset))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS) {
        physical->references++;
        mapping->id = ++memory->last_id;
        if (physical->id == 0)
            physical->id = mapping->id;
        mapping->physical_id = physical->id;
        weft_soft_tree_insert(&memory->allocations, &weft_steal(mapping)->by_address);
    }
    unlock();
    return result;
}

static CUresult mem_map(CUdeviceptr address, size_t bytes, size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (bytes == 0 || !is_granular(bytes) || !is_granular(offset) || !is_granular(address) ||
        flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_physical *physical = weft_soft_handle_get(WEFT_SOFT_HANDLE_ALLOCATION, handle);
    if (!physical)
        return CUDA_ERROR_INVALID_VALUE;
    bool inside = offset <= physical->bytes && bytes <= physical->bytes - offset;
    result = inside ? map(physical, address, bytes, offset) : CUDA_ERROR_INVALID_VALUE;
    weft_soft_handle_put(handle);
    return result;
}

void weft_soft_vmm_unmap(struct weft_soft_allocation *mapping)
{
    struct weft_soft_window *window = &weft_soft.memory->window;
    uint64_t address = weft_soft_allocation_address(mapping);
    lock();
    weft_soft_reach_clear(address, mapping->bytes);
    weft_soft_window_unmap(window, address, mapping->bytes);
    unlock();
    physical_put(mapping->physical);
}

/* True where mappings cover the range without a gap, and, if `whole`, end where it does. */
static bool is_covered(uint64_t address, uint64_t bytes, bool whole)
{
    uint64_t at = address, end = address + bytes;
    const struct weft_soft_allocation *mapping = NULL;
    if (bytes == 0 || end < address || !is_granular(address) || !is_granular(bytes))
        return false;
    while (at < end) {
        mapping = weft_soft_allocation_find(at);
        if (!mapping || mapping->kind != WEFT_SOFT_MAPPED ||
            (whole && weft_soft_allocation_address(mapping) != at))
            return false;
        at = weft_soft_allocation_address(mapping) + mapping->bytes;
    }
    return !whole || at == end;
}

static CUresult mem_unmap(CUdeviceptr address, size_t bytes)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_allocation *claimed = NULL;
    lock();
    bool covered = is_covered(address, bytes, true);
    for (uint64_t at = address; covered && at < address + bytes;) {
        struct weft_soft_allocation *mapping = weft_soft_allocation_find(at);
        at += mapping->bytes;
        weft_soft_allocation_unlink(mapping);
        mapping->next = claimed;
        claimed = mapping;
    }
    unlock();
    while (claimed) {
        struct weft_soft_allocation *mapping = claimed;
        claimed = mapping->next;
        weft_soft_allocation_release(mapping);
    }
    return covered ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* -- who may use it */

static bool may_anybody(const struct weft_soft_allocation *mapping)
{
    for (size_t i = 0; i < WEFT_DEVICES_MAX; i++) {
        if (mapping->access[i] != CU_MEM_ACCESS_FLAGS_PROT_NONE)
            return true;
    }
    return false;
}

static CUresult check_access(const CUmemAccessDesc *desc)
{
    struct weft_soft_device *device;
    if (desc->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    return weft_soft_device_get(desc->location.id, &device);
}

/* The part of one mapping that lies in the range; memory lock. */
static void set_access(struct weft_soft_allocation *mapping, uint64_t address, uint64_t end,
                       const CUmemAccessDesc *desc, size_t count)
{
    uint64_t start = WEFT_MAX(address, weft_soft_allocation_address(mapping));
    uint64_t stop = WEFT_MIN(end, weft_soft_allocation_address(mapping) + mapping->bytes);
    for (size_t i = 0; i < count; i++)
        mapping->access[desc[i].location.id] = desc[i].flags;
    if (may_anybody(mapping))
        weft_soft_reach_set(mapping, start, stop - start);
    else
        weft_soft_reach_clear(start, stop - start);
}

static CUresult mem_set_access(CUdeviceptr address, size_t bytes, const CUmemAccessDesc *desc,
                               size_t count)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!desc || count == 0 || count > WEFT_DEVICES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++) {
        result = check_access(&desc[i]);
        if (result != CUDA_SUCCESS)
            return result;
    }
    lock();
    result = is_covered(address, bytes, false) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++) {
        if (desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READ)
            result = weft_soft_reach_prepare_read_only((uint32_t)desc[i].location.id);
    }
    for (uint64_t at = address; result == CUDA_SUCCESS && at < address + bytes;) {
        struct weft_soft_allocation *mapping = weft_soft_allocation_find(at);
        set_access(mapping, address, address + bytes, desc, count);
        at = weft_soft_allocation_address(mapping) + mapping->bytes;
    }
    unlock();
    return result;
}

static CUresult mem_get_access(unsigned long long *flags, const CUmemLocation *location,
                               CUdeviceptr address)
{
    struct weft_soft_device *device;
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!flags || !location)
        return CUDA_ERROR_INVALID_VALUE;
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    result = weft_soft_device_get(location->id, &device);
    if (result != CUDA_SUCCESS)
        return result;
    lock();
    const struct weft_soft_allocation *mapping = weft_soft_allocation_find(address);
    bool mapped = mapping && mapping->kind == WEFT_SOFT_MAPPED;
    if (mapped)
        *flags = mapping->access[device->ordinal];
    unlock();
    return mapped ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* -- questions */

static CUresult mem_get_allocation_granularity(size_t *granularity,
                                               const CUmemAllocationProp *properties,
                                               CUmemAllocationGranularity_flags option)
{
    struct weft_soft_device *device;
    CUresult result = weft_soft_initialised();
    if (result == CUDA_SUCCESS)
        result = check_properties(properties, &device);
    if (result != CUDA_SUCCESS)
        return result;
    if (!granularity || (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
                         option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
        return CUDA_ERROR_INVALID_VALUE;
    *granularity = GRANULE;
    return CUDA_SUCCESS;
}

static CUresult mem_get_properties(CUmemAllocationProp *properties,
                                   CUmemGenericAllocationHandle handle)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_physical *physical = weft_soft_handle_get(WEFT_SOFT_HANDLE_ALLOCATION, handle);
    if (physical && properties)
        *properties = physical->properties;
    if (physical)
        weft_soft_handle_put(handle);
    return physical && properties ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* The handle of mapped memory once more; a new one where the last was released. */
static CUresult retain(struct weft_soft_physical *physical, uint64_t *handle)
{
    if (physical->handle == 0) {
        physical->handle =
            weft_soft_handle_open(WEFT_SOFT_HANDLE_ALLOCATION, physical, handle_closed);
        if (physical->handle == 0)
            return CUDA_ERROR_OUT_OF_MEMORY;
        physical->references++;
    }
    physical->uses++;
    *handle = physical->handle;
    return CUDA_SUCCESS;
}

static CUresult mem_retain_allocation_handle(CUmemGenericAllocationHandle *handle, void *address)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    uint64_t retained = 0;
    lock();
    const struct weft_soft_allocation *mapping = weft_soft_allocation_find((uintptr_t)address);
    bool mapped = handle && mapping && mapping->kind == WEFT_SOFT_MAPPED;
    result = mapped ? retain(mapping->physical, &retained) : CUDA_ERROR_INVALID_VALUE;
    unlock();
    if (result == CUDA_SUCCESS)
        *handle = retained;
    return result;
}

void weft_soft_vmm_install(struct weft_cuda *table)
{
    weft_soft_vmm_share_install(table);
    table->cuMemAddressReserve = mem_address_reserve;
    table->cuMemAddressFree = mem_address_free;
    table->cuMemCreate = mem_create;
    table->cuMemRelease = mem_release;
    table->cuMemMap = mem_map;
    table->cuMemUnmap = mem_unmap;
    table->cuMemSetAccess = mem_set_access;
    table->cuMemGetAccess = mem_get_access;
    table->cuMemGetAllocationGranularity = mem_get_allocation_granularity;
    table->cuMemGetAllocationPropertiesFromHandle = mem_get_properties;
    table->cuMemRetainAllocationHandle = mem_retain_allocation_handle;
}

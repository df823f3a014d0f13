/* Device memory: cuMemAlloc and its kin. Managed memory is device
 * memory that the program sees too. */
#include <stdlib.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/memory.h"
#include "softgpu/memory/shadow.h"
#include "util/util.h"

/* Rows of pitched memory begin at multiples of this. */
#define PITCH_BYTES 512u
#define SIZE_MAX_BYTES (1ull << 46)

/* The program can be shown whole pages only. */
static uint64_t extent_of(uint64_t bytes, enum weft_soft_allocation_kind kind)
{
    return weft_round_up(bytes,
                         kind == WEFT_SOFT_MANAGED ? WEFT_SOFT_PAGE_BYTES : WEFT_SOFT_BLOCK_BYTES);
}

static uint64_t alignment_of(uint64_t extent, enum weft_soft_allocation_kind kind)
{
    if (extent >= WEFT_SOFT_GRANULE_BYTES)
        return WEFT_SOFT_GRANULE_BYTES;
    return kind == WEFT_SOFT_MANAGED ? WEFT_SOFT_PAGE_BYTES : WEFT_SOFT_BLOCK_BYTES;
}

static CUresult take(struct weft_soft_allocation *allocation)
{
    struct weft_soft_window *window = &weft_soft.memory->window;
    uint64_t *address = &allocation->by_address.key;
    CUresult (*take_memory)(struct weft_soft_device *, uint64_t, uint64_t, uint64_t, uint64_t *) =
        allocation->own ? weft_soft_arena_take_own : weft_soft_arena_take;
    CUresult result = take_memory(allocation->device, allocation->charged, allocation->extent,
                                  alignment_of(allocation->extent, allocation->kind), address);
    if (result != CUDA_SUCCESS || allocation->kind != WEFT_SOFT_MANAGED)
        return result;
    if (weft_soft_window_show(window, *address, allocation->extent))
        return CUDA_SUCCESS;
    (allocation->own ? weft_soft_arena_give_own : weft_soft_arena_give)(
        allocation->device, allocation->charged, allocation->extent, *address);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* What an allocation is made for. */
struct purpose {
    struct weft_soft_device *device;
    struct weft_soft_context *owner; /* may be NULL */
    enum weft_soft_allocation_kind kind;
    uint32_t flags;
    bool own; /* no call of the program asked for it */
};

static CUresult make(const struct purpose *purpose, uint64_t bytes, uint64_t *address)
{
    if (bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > SIZE_MAX_BYTES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    _cleanup_free_ struct weft_soft_allocation *allocation = calloc(1, sizeof(*allocation));
    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    allocation->kind = purpose->kind;
    allocation->device = purpose->device;
    allocation->own = purpose->own;
    allocation->bytes = bytes;
    allocation->charged = weft_round_up(bytes, WEFT_SOFT_BLOCK_BYTES);
    allocation->extent = extent_of(bytes, purpose->kind);
    if (weft_soft_shadow_is_on() && purpose->kind == WEFT_SOFT_LINEAR)
        allocation->extent += WEFT_SOFT_REDZONE_BYTES;
    allocation->flags = purpose->flags;
    CUresult result = take(allocation);
    if (result != CUDA_SUCCESS)
        return result;
    *address = weft_soft_allocation_address(allocation);
    weft_soft_allocation_publish(weft_steal(allocation), purpose->owner);
    return CUDA_SUCCESS;
}

CUresult weft_soft_linear_allocate(struct weft_soft_context *context, uint64_t bytes,
                                   enum weft_soft_allocation_kind kind, uint32_t flags,
                                   uint64_t *address)
{
    return make(&(struct purpose){context->device, context, kind, flags, false}, bytes, address);
}

static CUresult allocate(struct weft_soft_context *context, uint64_t bytes,
                         enum weft_soft_allocation_kind kind, CUdeviceptr *address)
{
    uint64_t taken;
    CUresult result = weft_soft_linear_allocate(context, bytes, kind, 0, &taken);
    if (result == CUDA_SUCCESS)
        *address = taken;
    return result;
}

static CUresult make_own(const struct purpose *purpose, uint64_t bytes, CUdeviceptr *address)
{
    uint64_t taken;
    CUresult result = make(purpose, bytes, &taken);
    if (result == CUDA_SUCCESS)
        *address = taken;
    return result;
}

CUresult weft_soft_memory_allocate(struct weft_soft_context *context, uint64_t bytes,
                                   CUdeviceptr *address)
{
    return make_own(&(struct purpose){context->device, context, WEFT_SOFT_OWN, 0, true}, bytes,
                    address);
}

CUresult weft_soft_memory_allocate_managed(struct weft_soft_context *context, uint64_t bytes,
                                           CUdeviceptr *address)
{
    return make_own(
        &(struct purpose){context->device, context, WEFT_SOFT_MANAGED, CU_MEM_ATTACH_GLOBAL, true},
        bytes, address);
}

CUresult weft_soft_memory_allocate_common(struct weft_soft_context *context, uint64_t bytes,
                                          CUdeviceptr *address)
{
    return make_own(
        &(struct purpose){context->device, NULL, WEFT_SOFT_MANAGED, CU_MEM_ATTACH_GLOBAL, true},
        bytes, address);
}

CUresult weft_soft_memory_free(struct weft_soft_context *context, CUdeviceptr address)
{
    (void)context;
    struct weft_soft_allocation *allocation = weft_soft_allocation_claim(address, WEFT_SOFT_OWN);
    if (!allocation)
        allocation = weft_soft_allocation_claim(address, WEFT_SOFT_MANAGED);
    if (!allocation)
        return CUDA_ERROR_INVALID_VALUE;
    weft_soft_allocation_release(allocation);
    return CUDA_SUCCESS;
}

static CUresult mem_alloc(CUdeviceptr *address, size_t bytes)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!address)
        return CUDA_ERROR_INVALID_VALUE;
    return allocate(context, bytes, WEFT_SOFT_LINEAR, address);
}

static CUresult mem_alloc_pitch(CUdeviceptr *address, size_t *pitch, size_t width, size_t height,
                                unsigned int element_bytes)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS)
        return result;
    bool element = element_bytes == 4 || element_bytes == 8 || element_bytes == 16;
    if (!address || !pitch || width == 0 || height == 0 || !element)
        return CUDA_ERROR_INVALID_VALUE;
    if (width > SIZE_MAX_BYTES || height > SIZE_MAX_BYTES / weft_round_up(width, PITCH_BYTES))
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t row = weft_round_up(width, PITCH_BYTES);
    result = allocate(context, row * height, WEFT_SOFT_LINEAR, address);
    if (result == CUDA_SUCCESS)
        *pitch = row;
    return result;
}

static CUresult mem_free(CUdeviceptr address)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS || address == 0)
        return result;
    return weft_soft_allocation_free(address, WEFT_SOFT_LINEAR | WEFT_SOFT_MANAGED |
                                                  WEFT_SOFT_POOLED | WEFT_SOFT_GRAPHED);
}

static CUresult mem_get_info(size_t *free_bytes, size_t *total)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!free_bytes || !total)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_device *device = context->device;
    uint64_t ceiling = __atomic_load_n(&device->place.page->memory_ceiling_bytes, __ATOMIC_RELAXED);
    uint64_t held = weft_ledger_total(device->account.ledger, 0);
    *free_bytes = ceiling > held ? ceiling - held : 0;
    *total = device->profile->memory_bytes;
    return CUDA_SUCCESS;
}

static CUresult mem_get_address_range(CUdeviceptr *base, size_t *size, CUdeviceptr address)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    const struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    if (allocation && base)
        *base = weft_soft_allocation_address(allocation);
    if (allocation && size)
        *size = allocation->bytes;
    pthread_mutex_unlock(&memory->lock);
    return allocation ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

void weft_soft_linear_install(struct weft_cuda *table)
{
    table->cuMemAlloc_v2 = mem_alloc;
    table->cuMemAllocPitch_v2 = mem_alloc_pitch;
    table->cuMemFree_v2 = mem_free;
    table->cuMemGetInfo_v2 = mem_get_info;
    table->cuMemGetAddressRange_v2 = mem_get_address_range;
}

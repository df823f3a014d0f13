/* Copies between arrays of one dimension, and between them and runs of bytes elsewhere. */
#include <weft/cuda_table.h>

#include "softgpu/flavours.h"
#include "softgpu/memory/array.h"
#include "softgpu/memory/memory.h"

/* Where a side lies: in `array` from `offset` on, or, where that is NULL, at `address`. */
struct end {
    CUarray array;
    uint64_t offset, address;
    enum weft_soft_place place;
};

/* How a call runs its copy. */
struct manner {
    CUstream stream;
    bool per_thread;
    enum weft_soft_wait wait;
};

static CUresult resolve(const struct end *end, CUcontext context, uint64_t bytes,
                        struct weft_soft_side *side, uint32_t *texel_bytes)
{
    if (end->place == WEFT_SOFT_PLACE_ANY)
        return weft_soft_array_run(end->array, context, end->offset, bytes, side, texel_bytes);
    return weft_soft_side_resolve(side, end->place, end->address, bytes);
}

static CUmemorytype type_of(const struct end *end)
{
    if (end->place == WEFT_SOFT_PLACE_ANY)
        return CU_MEMORYTYPE_ARRAY;
    return end->place == WEFT_SOFT_PLACE_HOST ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
}

static bool is_captured(const struct end *to, const struct end *from, uint64_t bytes,
                        struct manner manner, CUresult *result)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_MEMCPY,
                              .memcpy.copyParams = {
                                  .srcMemoryType = type_of(from),
                                  .srcHost = (const void *)(uintptr_t)from->address,
                                  .srcDevice = from->address,
                                  .srcArray = from->array,
                                  .srcXInBytes = from->offset,
                                  .dstMemoryType = type_of(to),
                                  .dstHost = (void *)(uintptr_t)to->address,
                                  .dstDevice = to->address,
                                  .dstArray = to->array,
                                  .dstXInBytes = to->offset,
                                  .WidthInBytes = bytes,
                                  .Height = 1,
                                  .Depth = 1,
                              }};
    return weft_soft_transfer_captured(&node, manner.stream, manner.per_thread, manner.wait,
                                       result);
}

static CUresult copy(struct end to, struct end from, uint64_t bytes, struct manner manner)
{
    struct weft_soft_context *context;
    struct weft_soft_transfer transfer = {.width = bytes, .height = 1, .depth = 1};
    uint32_t to_texel = 0, from_texel = 0;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (weft_soft_capture_is_on() && is_captured(&to, &from, bytes, manner, &result))
        return result;
    result = resolve(&to, context->handle, bytes, &transfer.to, &to_texel);
    if (result == CUDA_SUCCESS)
        result = resolve(&from, context->handle, bytes, &transfer.from, &from_texel);
    if (result == CUDA_SUCCESS && to_texel && from_texel && to_texel != from_texel)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return result;
    return weft_soft_transfer_start(&transfer, manner.stream, manner.per_thread, manner.wait);
}

static struct end in_array(CUarray array, uint64_t offset)
{
    return (struct end){.array = array, .offset = offset};
}

static struct end on_device(CUdeviceptr address)
{
    return (struct end){.address = address, .place = WEFT_SOFT_PLACE_DEVICE};
}

static struct end on_host(const void *address)
{
    return (struct end){.address = (uintptr_t)address, .place = WEFT_SOFT_PLACE_HOST};
}

static struct manner now(bool per_thread)
{
    return (struct manner){.per_thread = per_thread, .wait = WEFT_SOFT_WAIT_HOST};
}

static struct manner later(CUstream stream, bool per_thread)
{
    return (struct manner){
        .stream = stream, .per_thread = per_thread, .wait = WEFT_SOFT_WAIT_NEVER};
}

WEFT_SOFT_PAIR(dtoa, (CUarray to, size_t offset, CUdeviceptr from, size_t bytes),
               copy(in_array(to, offset), on_device(from), bytes, now(per_thread)))
WEFT_SOFT_PAIR(atod, (CUdeviceptr to, CUarray from, size_t offset, size_t bytes),
               copy(on_device(to), in_array(from, offset), bytes, now(per_thread)))
WEFT_SOFT_PAIR(htoa, (CUarray to, size_t offset, const void *from, size_t bytes),
               copy(in_array(to, offset), on_host(from), bytes, now(per_thread)))
WEFT_SOFT_PAIR(atoh, (void *to, CUarray from, size_t offset, size_t bytes),
               copy(on_host(to), in_array(from, offset), bytes, now(per_thread)))
WEFT_SOFT_PAIR(atoa, (CUarray to, size_t to_offset, CUarray from, size_t from_offset, size_t bytes),
               copy(in_array(to, to_offset), in_array(from, from_offset), bytes, now(per_thread)))
WEFT_SOFT_PAIR(htoa_async,
               (CUarray to, size_t offset, const void *from, size_t bytes, CUstream stream),
               copy(in_array(to, offset), on_host(from), bytes, later(stream, per_thread)))
WEFT_SOFT_PAIR(atoh_async, (void *to, CUarray from, size_t offset, size_t bytes, CUstream stream),
               copy(on_host(to), in_array(from, offset), bytes, later(stream, per_thread)))

void weft_soft_array_copy_install(struct weft_cuda *table)
{
    table->cuMemcpyDtoA_v2 = dtoa_legacy;
    table->cuMemcpyDtoA_v2_ptds = dtoa_thread;
    table->cuMemcpyAtoD_v2 = atod_legacy;
    table->cuMemcpyAtoD_v2_ptds = atod_thread;
    table->cuMemcpyHtoA_v2 = htoa_legacy;
    table->cuMemcpyHtoA_v2_ptds = htoa_thread;
    table->cuMemcpyAtoH_v2 = atoh_legacy;
    table->cuMemcpyAtoH_v2_ptds = atoh_thread;
    table->cuMemcpyAtoA_v2 = atoa_legacy;
    table->cuMemcpyAtoA_v2_ptds = atoa_thread;
    table->cuMemcpyHtoAAsync_v2 = htoa_async_legacy;
    table->cuMemcpyHtoAAsync_v2_ptsz = htoa_async_thread;
    table->cuMemcpyAtoHAsync_v2 = atoh_async_legacy;
    table->cuMemcpyAtoHAsync_v2_ptsz = atoh_async_thread;
}

/* Copies of one run of bytes. Every call exists for the legacy default stream and, as _ptds or
 * _ptsz, for the thread's own; WEFT_SOFT_PAIR makes both from one body. */
#include <weft/cuda_table.h>

#include "softgpu/flavours.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/transfer.h"

/* The arguments of a linear copy, whichever call it came from. */
struct linear_copy {
    uint64_t to, from, bytes;
    enum weft_soft_place to_place, from_place;
    CUstream stream;
    bool per_thread;
    enum weft_soft_wait wait;
};

static CUmemorytype type_of(enum weft_soft_place place)
{
    if (place == WEFT_SOFT_PLACE_ANY)
        return CU_MEMORYTYPE_UNIFIED;
    return place == WEFT_SOFT_PLACE_HOST ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
}

static bool is_captured(const struct linear_copy *copy, CUresult *result)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_MEMCPY,
                              .memcpy.copyParams = {
                                  .srcMemoryType = type_of(copy->from_place),
                                  .srcHost = (const void *)(uintptr_t)copy->from,
                                  .srcDevice = copy->from,
                                  .dstMemoryType = type_of(copy->to_place),
                                  .dstHost = (void *)(uintptr_t)copy->to,
                                  .dstDevice = copy->to,
                                  .WidthInBytes = copy->bytes,
                                  .Height = 1,
                                  .Depth = 1,
                              }};
    return weft_soft_transfer_captured(&node, copy->stream, copy->per_thread, copy->wait, result);
}

static CUresult copy(const struct linear_copy *copy)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (weft_soft_capture_is_on() && is_captured(copy, &result))
        return result;
    struct weft_soft_transfer transfer = {.width = copy->bytes, .height = 1, .depth = 1};
    result = weft_soft_side_resolve(&transfer.to, copy->to_place, copy->to, copy->bytes);
    if (result == CUDA_SUCCESS)
        result = weft_soft_side_resolve(&transfer.from, copy->from_place, copy->from, copy->bytes);
    if (result != CUDA_SUCCESS)
        return result;
    return weft_soft_transfer_start(&transfer, copy->stream, copy->per_thread, copy->wait);
}

static CUresult copy_now(uint64_t to, enum weft_soft_place to_place, uint64_t from,
                         enum weft_soft_place from_place, uint64_t bytes, bool per_thread)
{
    return copy(&(struct linear_copy){.to = to,
                                      .from = from,
                                      .bytes = bytes,
                                      .to_place = to_place,
                                      .from_place = from_place,
                                      .per_thread = per_thread,
                                      .wait = WEFT_SOFT_WAIT_HOST});
}

static CUresult copy_later(uint64_t to, enum weft_soft_place to_place, uint64_t from,
                           enum weft_soft_place from_place, uint64_t bytes, CUstream stream,
                           bool per_thread)
{
    return copy(&(struct linear_copy){.to = to,
                                      .from = from,
                                      .bytes = bytes,
                                      .to_place = to_place,
                                      .from_place = from_place,
                                      .stream = stream,
                                      .per_thread = per_thread,
                                      .wait = WEFT_SOFT_WAIT_NEVER});
}

#define ANY WEFT_SOFT_PLACE_ANY
#define DEVICE WEFT_SOFT_PLACE_DEVICE
#define HOST WEFT_SOFT_PLACE_HOST
#define ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

WEFT_SOFT_PAIR(memcpy_any, (CUdeviceptr to, CUdeviceptr from, size_t bytes),
               copy_now(to, ANY, from, ANY, bytes, per_thread))
WEFT_SOFT_PAIR(memcpy_any_async, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream),
               copy_later(to, ANY, from, ANY, bytes, stream, per_thread))
WEFT_SOFT_PAIR(memcpy_htod, (CUdeviceptr to, const void *from, size_t bytes),
               copy_now(to, DEVICE, ADDRESS(from), HOST, bytes, per_thread))
WEFT_SOFT_PAIR(memcpy_htod_async, (CUdeviceptr to, const void *from, size_t bytes, CUstream stream),
               copy_later(to, DEVICE, ADDRESS(from), HOST, bytes, stream, per_thread))
WEFT_SOFT_PAIR(memcpy_dtoh, (void *to, CUdeviceptr from, size_t bytes),
               copy_now(ADDRESS(to), HOST, from, DEVICE, bytes, per_thread))
WEFT_SOFT_PAIR(memcpy_dtoh_async, (void *to, CUdeviceptr from, size_t bytes, CUstream stream),
               copy_later(ADDRESS(to), HOST, from, DEVICE, bytes, stream, per_thread))
WEFT_SOFT_PAIR(memcpy_dtod, (CUdeviceptr to, CUdeviceptr from, size_t bytes),
               copy_now(to, DEVICE, from, DEVICE, bytes, per_thread))
WEFT_SOFT_PAIR(memcpy_dtod_async, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream),
               copy_later(to, DEVICE, from, DEVICE, bytes, stream, per_thread))

/* All devices share the window, so between contexts only the handles have to be right. */
static CUresult check_contexts(CUcontext to, CUcontext from)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_get(to, &context);
    if (result != CUDA_SUCCESS)
        return result;
    weft_soft_context_put(context);
    result = weft_soft_context_get(from, &context);
    if (result == CUDA_SUCCESS)
        weft_soft_context_put(context);
    return result;
}

static CUresult copy_peer(const struct linear_copy *peer, CUcontext to, CUcontext from)
{
    CUresult result = check_contexts(to, from);
    return result == CUDA_SUCCESS ? copy(peer) : result;
}

WEFT_SOFT_PAIR(memcpy_peer,
               (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
                size_t bytes),
               copy_peer(&(struct linear_copy){.to = to,
                                               .from = from,
                                               .bytes = bytes,
                                               .to_place = DEVICE,
                                               .from_place = DEVICE,
                                               .per_thread = per_thread,
                                               .wait = WEFT_SOFT_WAIT_HOST},
                         to_context, from_context))
WEFT_SOFT_PAIR(memcpy_peer_async,
               (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
                size_t bytes, CUstream stream),
               copy_peer(&(struct linear_copy){.to = to,
                                               .from = from,
                                               .bytes = bytes,
                                               .to_place = DEVICE,
                                               .from_place = DEVICE,
                                               .stream = stream,
                                               .per_thread = per_thread,
                                               .wait = WEFT_SOFT_WAIT_NEVER},
                         to_context, from_context))

void weft_soft_copy_install(struct weft_cuda *table)
{
    table->cuMemcpy = memcpy_any_legacy;
    table->cuMemcpy_ptds = memcpy_any_thread;
    table->cuMemcpyAsync = memcpy_any_async_legacy;
    table->cuMemcpyAsync_ptsz = memcpy_any_async_thread;
    table->cuMemcpyHtoD_v2 = memcpy_htod_legacy;
    table->cuMemcpyHtoD_v2_ptds = memcpy_htod_thread;
    table->cuMemcpyHtoDAsync_v2 = memcpy_htod_async_legacy;
    table->cuMemcpyHtoDAsync_v2_ptsz = memcpy_htod_async_thread;
    table->cuMemcpyDtoH_v2 = memcpy_dtoh_legacy;
    table->cuMemcpyDtoH_v2_ptds = memcpy_dtoh_thread;
    table->cuMemcpyDtoHAsync_v2 = memcpy_dtoh_async_legacy;
    table->cuMemcpyDtoHAsync_v2_ptsz = memcpy_dtoh_async_thread;
    table->cuMemcpyDtoD_v2 = memcpy_dtod_legacy;
    table->cuMemcpyDtoD_v2_ptds = memcpy_dtod_thread;
    table->cuMemcpyDtoDAsync_v2 = memcpy_dtod_async_legacy;
    table->cuMemcpyDtoDAsync_v2_ptsz = memcpy_dtod_async_thread;
    table->cuMemcpyPeer = memcpy_peer_legacy;
    table->cuMemcpyPeer_ptds = memcpy_peer_thread;
    table->cuMemcpyPeerAsync = memcpy_peer_async_legacy;
    table->cuMemcpyPeerAsync_ptsz = memcpy_peer_async_thread;
}

/* Copies of rows and slices among linear memory, arrays and the host. A copy of rows is a copy of
 * one slice. */
#include <weft/cuda_table.h>

#include "softgpu/memory/array.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/transfer.h"
#include "util/util.h"

#define SIZE_MAX_BYTES (1ull << 46)

/* One side as the program describes it. */
struct corner {
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    CUarray array;
    CUcontext context;      /* whose array it must be; NULL: anybody's */
    uint64_t lod;           /* CUDA wants 0: a level of a mipmap is an array of its own */
    bool in_graph;          /* of a node, which may name memory in advance */
    uint64_t x, y, z;       /* bytes, rows, slices */
    uint64_t pitch, height; /* of the memory, not of what is copied */
};

struct box {
    uint64_t width, height, depth;
};

/* The distance from the first to the last byte of the box, plus one;
 * 0 where it is over the bound. */
static uint64_t reach_of(const struct corner *corner, const struct box *box)
{
    uint64_t rows = (box->depth - 1) * corner->height + box->height - 1;
    if (box->depth > 1 && corner->height > SIZE_MAX_BYTES / box->depth)
        return 0;
    if (rows > 0 && corner->pitch > SIZE_MAX_BYTES / rows)
        return 0;
    return rows * corner->pitch + box->width;
}

static bool is_bounded(const struct corner *corner, const struct box *box)
{
    return corner->x <= SIZE_MAX_BYTES && corner->y <= SIZE_MAX_BYTES / 4 &&
           corner->z <= SIZE_MAX_BYTES / 4 && corner->pitch <= SIZE_MAX_BYTES &&
           corner->height <= SIZE_MAX_BYTES && box->width <= SIZE_MAX_BYTES;
}

static CUresult place_of(const struct corner *corner, enum weft_soft_place *place,
                         uint64_t *address)
{
    *address = corner->device;
    switch (corner->type) {
    case CU_MEMORYTYPE_HOST:
        *place = WEFT_SOFT_PLACE_HOST;
        *address = (uintptr_t)corner->host;
        return CUDA_SUCCESS;
    case CU_MEMORYTYPE_DEVICE:
        *place = WEFT_SOFT_PLACE_DEVICE;
        return CUDA_SUCCESS;
    case CU_MEMORYTYPE_UNIFIED:
        *place = WEFT_SOFT_PLACE_ANY;
        return CUDA_SUCCESS;
    case CU_MEMORYTYPE_ARRAY:
        break;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult resolve_array(const struct corner *corner, const struct box *box,
                              struct weft_soft_side *side)
{
    struct weft_soft_array_box part = {.x = corner->x,
                                       .y = corner->y,
                                       .z = corner->z,
                                       .width = box->width,
                                       .height = box->height,
                                       .depth = box->depth};
    if (corner->lod != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return weft_soft_array_side(corner->array, corner->context, &part, side);
}

/* A pitch or height of 0 means that nothing lies between the rows or slices. */
static CUresult resolve(struct corner corner, const struct box *box, struct weft_soft_side *side)
{
    enum weft_soft_place place;
    uint64_t address;
    if (corner.type == CU_MEMORYTYPE_ARRAY)
        return resolve_array(&corner, box, side);
    CUresult result = place_of(&corner, &place, &address);
    if (result != CUDA_SUCCESS)
        return result;
    if (address == 0 || !is_bounded(&corner, box))
        return CUDA_ERROR_INVALID_VALUE;
    if (corner.pitch == 0)
        corner.pitch = corner.x + box->width;
    if (corner.height == 0)
        corner.height = corner.y + box->height;
    uint64_t bytes = reach_of(&corner, box);
    bool fits = corner.x + box->width <= corner.pitch &&
                (box->depth == 1 || corner.y + box->height <= corner.height);
    if (bytes == 0 || !fits)
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t rows, skipped;
    if (__builtin_mul_overflow(corner.z, corner.height, &rows) || rows > SIZE_MAX_BYTES ||
        __builtin_mul_overflow(rows + corner.y, corner.pitch, &skipped) || skipped > SIZE_MAX_BYTES)
        return CUDA_ERROR_INVALID_VALUE;
    if (corner.in_graph)
        place |= WEFT_SOFT_PLACE_GRAPH;
    result = weft_soft_side_resolve(side, place, address + skipped + corner.x, bytes);
    side->pitch = corner.pitch;
    side->slice = corner.pitch * corner.height;
    return result;
}

/* An array must be the current context's, unless another was named for it. */
static struct corner of_context(struct corner corner, CUcontext context)
{
    if (!corner.context)
        corner.context = context;
    return corner;
}

static CUresult describe(const struct corner *to, const struct corner *from, const struct box *box,
                         struct weft_soft_transfer *transfer)
{
    *transfer = (struct weft_soft_transfer){
        .width = box->width, .height = box->height, .depth = box->depth};
    CUresult result = CUDA_SUCCESS;
    if (box->width == 0 || box->height == 0 || box->depth == 0)
        transfer->width = 0;
    else if (box->height > SIZE_MAX_BYTES || box->depth > SIZE_MAX_BYTES / box->height)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = resolve(*to, box, &transfer->to);
    if (result == CUDA_SUCCESS && transfer->width > 0)
        result = resolve(*from, box, &transfer->from);
    return result;
}

#define NODE_SIDE(corner, side)                                                    \
    .side##XInBytes = (corner)->x, .side##Y = (corner)->y, .side##Z = (corner)->z, \
    .side##LOD = (corner)->lod, .side##MemoryType = (corner)->type,                \
    .side##Device = (corner)->device, .side##Array = (corner)->array,              \
    .side##Pitch = (corner)->pitch, .side##Height = (corner)->height

static bool is_captured(const struct corner *to, const struct corner *from, const struct box *box,
                        CUstream stream, bool per_thread, enum weft_soft_wait wait,
                        CUresult *result)
{
    CUgraphNodeParams node = {
        .type = CU_GRAPH_NODE_TYPE_MEMCPY,
        .memcpy.copyParams = {NODE_SIDE(to, dst), NODE_SIDE(from, src), .srcHost = from->host,
                              .dstHost = (void *)(uintptr_t)to->host, .WidthInBytes = box->width,
                              .Height = box->height, .Depth = box->depth}};
    return weft_soft_transfer_captured(&node, stream, per_thread, wait, result);
}

static CUresult copy_box(const struct corner *to, const struct corner *from, const struct box *box,
                         CUstream stream, bool per_thread, enum weft_soft_wait wait)
{
    struct weft_soft_context *context;
    struct weft_soft_transfer transfer;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (weft_soft_capture_is_on() && is_captured(to, from, box, stream, per_thread, wait, &result))
        return result;
    struct corner target = of_context(*to, context->handle);
    struct corner source = of_context(*from, context->handle);
    result = describe(&target, &source, box, &transfer);
    if (result != CUDA_SUCCESS)
        return result;
    return weft_soft_transfer_start(&transfer, stream, per_thread, wait);
}

static CUresult copy_2d(const CUDA_MEMCPY2D *copy, CUstream stream, bool per_thread,
                        enum weft_soft_wait wait)
{
    if (!copy)
        return CUDA_ERROR_INVALID_VALUE;
    struct corner to = {.type = copy->dstMemoryType,
                        .host = copy->dstHost,
                        .device = copy->dstDevice,
                        .array = copy->dstArray,
                        .x = copy->dstXInBytes,
                        .y = copy->dstY,
                        .pitch = copy->dstPitch};
    struct corner from = {.type = copy->srcMemoryType,
                          .host = copy->srcHost,
                          .device = copy->srcDevice,
                          .array = copy->srcArray,
                          .x = copy->srcXInBytes,
                          .y = copy->srcY,
                          .pitch = copy->srcPitch};
    struct box box = {copy->WidthInBytes, copy->Height, 1};
    return copy_box(&to, &from, &box, stream, per_thread, wait);
}

/* CUDA_MEMCPY3D and CUDA_MEMCPY3D_PEER name their fields alike. */
#define CORNER(copy, side)                             \
    ((struct corner){.type = (copy)->side##MemoryType, \
                     .host = (copy)->side##Host,       \
                     .device = (copy)->side##Device,   \
                     .array = (copy)->side##Array,     \
                     .lod = (copy)->side##LOD,         \
                     .x = (copy)->side##XInBytes,      \
                     .y = (copy)->side##Y,             \
                     .z = (copy)->side##Z,             \
                     .pitch = (copy)->side##Pitch,     \
                     .height = (copy)->side##Height})

static CUresult copy_3d(const CUDA_MEMCPY3D *copy, CUstream stream, bool per_thread,
                        enum weft_soft_wait wait)
{
    if (!copy)
        return CUDA_ERROR_INVALID_VALUE;
    struct corner to = CORNER(copy, dst), from = CORNER(copy, src);
    struct box box = {copy->WidthInBytes, copy->Height, copy->Depth};
    return copy_box(&to, &from, &box, stream, per_thread, wait);
}

CUresult weft_soft_memory_copy_task(const CUDA_MEMCPY3D *copy, struct weft_soft_task *task)
{
    struct corner to = CORNER(copy, dst), from = CORNER(copy, src);
    struct box box = {copy->WidthInBytes, copy->Height, copy->Depth};
    struct weft_soft_transfer transfer;
    to.in_graph = from.in_graph = true;
    CUresult result = describe(&to, &from, &box, &transfer);
    return result ? result : weft_soft_transfer_task(&transfer, task);
}

static CUresult check_context(CUcontext handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_get(handle, &context);
    if (result == CUDA_SUCCESS)
        weft_soft_context_put(context);
    return result;
}

static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *copy, CUstream stream, bool per_thread,
                             enum weft_soft_wait wait)
{
    if (!copy)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_context(copy->dstContext);
    if (result == CUDA_SUCCESS)
        result = check_context(copy->srcContext);
    if (result != CUDA_SUCCESS)
        return result;
    struct corner to = of_context(CORNER(copy, dst), copy->dstContext);
    struct corner from = of_context(CORNER(copy, src), copy->srcContext);
    struct box box = {copy->WidthInBytes, copy->Height, copy->Depth};
    return copy_box(&to, &from, &box, stream, per_thread, wait);
}

/* name and name_async, for the legacy default stream and for the thread's own. */
#define SHAPES(name, type)                                                 \
    static CUresult name##_legacy(const type *copy)                        \
    {                                                                      \
        return name(copy, NULL, false, WEFT_SOFT_WAIT_HOST);               \
    }                                                                      \
    static CUresult name##_thread(const type *copy)                        \
    {                                                                      \
        return name(copy, NULL, true, WEFT_SOFT_WAIT_HOST);                \
    }                                                                      \
    static CUresult name##_async_legacy(const type *copy, CUstream stream) \
    {                                                                      \
        return name(copy, stream, false, WEFT_SOFT_WAIT_NEVER);            \
    }                                                                      \
    static CUresult name##_async_thread(const type *copy, CUstream stream) \
    {                                                                      \
        return name(copy, stream, true, WEFT_SOFT_WAIT_NEVER);             \
    }

SHAPES(copy_2d, CUDA_MEMCPY2D)
SHAPES(copy_3d, CUDA_MEMCPY3D)
SHAPES(copy_3d_peer, CUDA_MEMCPY3D_PEER)

void weft_soft_shape_install(struct weft_cuda *table)
{
    table->cuMemcpy2D_v2 = copy_2d_legacy;
    table->cuMemcpy2D_v2_ptds = copy_2d_thread;
    table->cuMemcpy2DUnaligned_v2 = copy_2d_legacy;
    table->cuMemcpy2DUnaligned_v2_ptds = copy_2d_thread;
    table->cuMemcpy2DAsync_v2 = copy_2d_async_legacy;
    table->cuMemcpy2DAsync_v2_ptsz = copy_2d_async_thread;
    table->cuMemcpy3D_v2 = copy_3d_legacy;
    table->cuMemcpy3D_v2_ptds = copy_3d_thread;
    table->cuMemcpy3DAsync_v2 = copy_3d_async_legacy;
    table->cuMemcpy3DAsync_v2_ptsz = copy_3d_async_thread;
    table->cuMemcpy3DPeer = copy_3d_peer_legacy;
    table->cuMemcpy3DPeer_ptds = copy_3d_peer_thread;
    table->cuMemcpy3DPeerAsync = copy_3d_peer_async_legacy;
    table->cuMemcpy3DPeerAsync_ptsz = copy_3d_peer_async_thread;
}

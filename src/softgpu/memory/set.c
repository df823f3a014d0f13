/* Sets: elements of one, two or four bytes, in a run or in pitched rows. */
#include <weft/cuda_table.h>

#include "softgpu/memory/memory.h"
#include "softgpu/memory/transfer.h"

#define SIZE_MAX_BYTES (1ull << 46)

struct set {
    uint64_t to, pitch, width, height; /* width in elements */
    uint32_t value, element_bytes;
    CUstream stream;
    bool per_thread;
    bool in_graph; /* of a node, which may name memory in advance */
    enum weft_soft_wait wait;
};

static bool is_sound(const struct set *set)
{
    if (set->to % set->element_bytes != 0 || set->width > SIZE_MAX_BYTES)
        return false;
    if (set->height <= 1)
        return true;
    return set->height <= SIZE_MAX_BYTES && set->pitch <= SIZE_MAX_BYTES / set->height &&
           set->pitch % set->element_bytes == 0 && set->pitch >= set->width * set->element_bytes;
}

static CUresult describe(const struct set *set, struct weft_soft_transfer *transfer)
{
    if (!is_sound(set))
        return CUDA_ERROR_INVALID_VALUE;
    *transfer = (struct weft_soft_transfer){.width = set->width * set->element_bytes,
                                            .height = set->height,
                                            .depth = 1,
                                            .value = set->value,
                                            .element_bytes = set->element_bytes};
    bool empty = set->width == 0 || set->height == 0;
    uint64_t bytes = empty ? 0 : set->pitch * (set->height - 1) + transfer->width;
    enum weft_soft_place place =
        WEFT_SOFT_PLACE_DEVICE | (set->in_graph ? WEFT_SOFT_PLACE_GRAPH : 0u);
    CUresult result = weft_soft_side_resolve(&transfer->to, place, set->to, bytes);
    transfer->to.pitch = set->pitch;
    return result;
}

CUresult weft_soft_memory_set_task(const CUDA_MEMSET_NODE_PARAMS_v2 *params,
                                   struct weft_soft_task *task)
{
    struct set set = {.to = params->dst,
                      .pitch = params->pitch,
                      .width = params->width,
                      .height = params->height,
                      .value = params->value,
                      .element_bytes = params->elementSize,
                      .in_graph = true};
    struct weft_soft_transfer transfer;
    if (set.element_bytes != 1 && set.element_bytes != 2 && set.element_bytes != 4)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = describe(&set, &transfer);
    return result ? result : weft_soft_transfer_task(&transfer, task);
}

static bool is_captured(const struct set *set, CUresult *result)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_MEMSET,
                              .memset = {.dst = set->to,
                                         .pitch = set->pitch,
                                         .value = set->value,
                                         .elementSize = set->element_bytes,
                                         .width = set->width,
                                         .height = set->height}};
    return weft_soft_transfer_captured(&node, set->stream, set->per_thread, set->wait, result);
}

static CUresult fill(const struct set *set)
{
    struct weft_soft_context *context;
    struct weft_soft_transfer transfer;
    CUresult result = weft_soft_context_current(&context);
    if (result == CUDA_SUCCESS && weft_soft_capture_is_on() && is_captured(set, &result))
        return result;
    if (result == CUDA_SUCCESS)
        result = describe(set, &transfer);
    if (result != CUDA_SUCCESS)
        return result;
    return weft_soft_transfer_start(&transfer, set->stream, set->per_thread, set->wait);
}

/* The eight functions of one element size: rows or a run, now or in a stream, legacy or the
 * thread's stream. The stream 0 of a call that takes none is the default stream. */
#define FILL(address, row_pitch, element, row_width, rows, stream_or_0, thread, when) \
    fill(&(struct set){.to = (address),                                               \
                       .pitch = (row_pitch),                                          \
                       .width = (row_width),                                          \
                       .height = (rows),                                              \
                       .value = (element),                                            \
                       .element_bytes = sizeof(element),                              \
                       .stream = (stream_or_0),                                       \
                       .per_thread = (thread),                                        \
                       .wait = (when)})

#define SETS(bits, type, flavour, thread)                                                       \
    static CUresult memset_d##bits##_##flavour(CUdeviceptr to, type value, size_t count)        \
    {                                                                                           \
        return FILL(to, 0, value, count, 1, NULL, thread, WEFT_SOFT_WAIT_HOST);                 \
    }                                                                                           \
    static CUresult memset_d##bits##_async_##flavour(CUdeviceptr to, type value, size_t count,  \
                                                     CUstream stream)                           \
    {                                                                                           \
        return FILL(to, 0, value, count, 1, stream, thread, WEFT_SOFT_WAIT_NEVER);              \
    }                                                                                           \
    static CUresult memset_d2_d##bits##_##flavour(CUdeviceptr to, size_t pitch, type value,     \
                                                  size_t width, size_t height)                  \
    {                                                                                           \
        return FILL(to, pitch, value, width, height, NULL, thread, WEFT_SOFT_WAIT_HOST);        \
    }                                                                                           \
    static CUresult memset_d2_d##bits##_async_##flavour(                                        \
        CUdeviceptr to, size_t pitch, type value, size_t width, size_t height, CUstream stream) \
    {                                                                                           \
        return FILL(to, pitch, value, width, height, stream, thread, WEFT_SOFT_WAIT_NEVER);     \
    }

SETS(8, unsigned char, legacy, false)
SETS(8, unsigned char, thread, true)
SETS(16, unsigned short, legacy, false)
SETS(16, unsigned short, thread, true)
SETS(32, unsigned int, legacy, false)
SETS(32, unsigned int, thread, true)

void weft_soft_set_install(struct weft_cuda *table)
{
#define INSTALL(bits)                                                   \
    table->cuMemsetD##bits##_v2 = memset_d##bits##_legacy;              \
    table->cuMemsetD##bits##_v2_ptds = memset_d##bits##_thread;         \
    table->cuMemsetD##bits##Async = memset_d##bits##_async_legacy;      \
    table->cuMemsetD##bits##Async_ptsz = memset_d##bits##_async_thread; \
    table->cuMemsetD2D##bits##_v2 = memset_d2_d##bits##_legacy;         \
    table->cuMemsetD2D##bits##_v2_ptds = memset_d2_d##bits##_thread;    \
    table->cuMemsetD2D##bits##Async = memset_d2_d##bits##_async_legacy; \
    table->cuMemsetD2D##bits##Async_ptsz = memset_d2_d##bits##_async_thread;
    INSTALL(8)
    INSTALL(16)
    INSTALL(32)
#undef INSTALL
}

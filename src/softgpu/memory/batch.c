/* Copies, prefetches and discards of many ranges in one call. Those of one batch come in no order,
 * so they may as well come one after the other. */
#include <stdint.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/array.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/transfer.h"
#include "util/util.h"

#define BATCH_MAX (1u << 20)
#define SIZE_MAX_BYTES (1ull << 46)

/* A batch has no meaning in the stream that waits for all others. */
static CUresult enter(CUstream handle, bool per_thread, struct weft_soft_stream **stream)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (handle == CU_STREAM_LEGACY || (!handle && !per_thread))
        return CUDA_ERROR_INVALID_VALUE;
    result = weft_soft_stream_get(context, handle, per_thread, stream);
    if (result == CUDA_SUCCESS && (result = weft_soft_capture_refuse(*stream)))
        weft_soft_stream_put(*stream);
    return result;
}

static bool is_order(CUmemcpySrcAccessOrder order)
{
    return order == CU_MEMCPY_SRC_ACCESS_ORDER_STREAM ||
           order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL ||
           order == CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
}

/* -- runs of bytes */

struct batch {
    const CUdeviceptr *to, *from;
    const size_t *sizes;
    size_t count;
    const CUmemcpyAttributes *attributes;
    const size_t *first_users; /* the first copy that each of the attributes is for */
    size_t attribute_count;
    CUstream stream;
    bool per_thread;
};

static bool attributes_are_sound(const struct batch *batch)
{
    if (!batch->attributes || !batch->first_users || batch->attribute_count == 0 ||
        batch->attribute_count > batch->count || batch->first_users[0] != 0)
        return false;
    for (size_t i = 0; i < batch->attribute_count; i++) {
        const CUmemcpyAttributes *attributes = &batch->attributes[i];
        if (!is_order(attributes->srcAccessOrder) ||
            attributes->flags > CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE ||
            (i > 0 && batch->first_users[i] <= batch->first_users[i - 1]) ||
            batch->first_users[i] >= batch->count)
            return false;
    }
    return true;
}

static CUresult describe(const struct batch *batch, size_t index,
                         struct weft_soft_transfer *transfer)
{
    uint64_t bytes = batch->sizes[index];
    if (bytes == 0 || bytes > SIZE_MAX_BYTES)
        return CUDA_ERROR_INVALID_VALUE;
    *transfer = (struct weft_soft_transfer){.width = bytes, .height = 1, .depth = 1};
    CUresult result =
        weft_soft_side_resolve(&transfer->to, WEFT_SOFT_PLACE_ANY, batch->to[index], bytes);
    if (result != CUDA_SUCCESS)
        return result;
    return weft_soft_side_resolve(&transfer->from, WEFT_SOFT_PLACE_ANY, batch->from[index], bytes);
}

/* In stream order, also where the source is the program's own memory: then it is read when its turn
 * has come. */
static CUresult submit(struct weft_soft_stream *stream, CUresult described,
                       struct weft_soft_task *task)
{
    return described ? described : weft_soft_stream_submit(stream, task);
}

static CUresult start(const struct batch *batch, struct weft_soft_stream *stream, size_t index,
                      CUmemcpySrcAccessOrder order)
{
    struct weft_soft_transfer transfer;
    struct weft_soft_task task;
    CUresult result = describe(batch, index, &transfer);
    if (result != CUDA_SUCCESS)
        return result;
    if (order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL)
        return weft_soft_transfer_start(&transfer, batch->stream, batch->per_thread,
                                        WEFT_SOFT_WAIT_NEVER);
    return submit(stream, weft_soft_transfer_task(&transfer, &task), &task);
}

/* Nothing is begun unless all of it is right. */
static CUresult check_all(const struct batch *batch, size_t *failed)
{
    struct weft_soft_transfer transfer;
    for (size_t i = 0; i < batch->count; i++) {
        CUresult result = describe(batch, i, &transfer);
        if (result != CUDA_SUCCESS) {
            *failed = i;
            return result;
        }
    }
    return CUDA_SUCCESS;
}

static CUresult start_all(const struct batch *batch, struct weft_soft_stream *stream,
                          size_t *failed)
{
    size_t used = 0;
    CUresult result = check_all(batch, failed);
    for (size_t i = 0; i < batch->count && result == CUDA_SUCCESS; i++) {
        if (used + 1 < batch->attribute_count && batch->first_users[used + 1] == i)
            used++;
        result = start(batch, stream, i, batch->attributes[used].srcAccessOrder);
        if (result != CUDA_SUCCESS)
            *failed = i;
    }
    return result;
}

static CUresult copy_batch(const struct batch *batch, size_t *failed)
{
    struct weft_soft_stream *stream;
    size_t ignored;
    size_t *where = failed ? failed : &ignored;
    CUresult result = enter(batch->stream, batch->per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    *where = SIZE_MAX;
    if (!batch->to || !batch->from || !batch->sizes || batch->count == 0 ||
        batch->count > BATCH_MAX || !attributes_are_sound(batch))
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = start_all(batch, stream, where);
    weft_soft_stream_put(stream);
    return result;
}

#define BATCH(thread)                                                                    \
    &(struct batch)                                                                      \
    {                                                                                    \
        to, from, sizes, count, attributes, first_users, attribute_count, stream, thread \
    }
#define COPIES CUdeviceptr *to, CUdeviceptr *from, size_t *sizes, size_t count
#define ATTRIBUTES CUmemcpyAttributes *attributes, size_t *first_users, size_t attribute_count

static CUresult copy_v1_legacy(COPIES, ATTRIBUTES, size_t *failed, CUstream stream)
{
    return copy_batch(BATCH(false), failed);
}

static CUresult copy_v1_thread(COPIES, ATTRIBUTES, size_t *failed, CUstream stream)
{
    return copy_batch(BATCH(true), failed);
}

static CUresult copy_v2_legacy(COPIES, ATTRIBUTES, CUstream stream)
{
    return copy_batch(BATCH(false), NULL);
}

static CUresult copy_v2_thread(COPIES, ATTRIBUTES, CUstream stream)
{
    return copy_batch(BATCH(true), NULL);
}

/* -- rows and slices */

/* What the lengths of an operation count: texels where an array takes part, else bytes. */
static CUresult element_of(const CUDA_MEMCPY3D_BATCH_OP *op, uint64_t *bytes)
{
    const CUmemcpy3DOperand *operand = &op->src;
    *bytes = 1;
    if (operand->type != CU_MEMCPY_OPERAND_TYPE_ARRAY)
        operand = &op->dst;
    if (operand->type != CU_MEMCPY_OPERAND_TYPE_ARRAY)
        return CUDA_SUCCESS;
    struct weft_soft_array *array = weft_soft_array_get(operand->op.array.array);
    if (!array)
        return CUDA_ERROR_INVALID_HANDLE;
    *bytes = array->image.texel_bytes;
    weft_soft_array_put(array);
    return CUDA_SUCCESS;
}

static bool is_operand(const CUmemcpy3DOperand *operand)
{
    if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY)
        return operand->op.array.offset.x <= SIZE_MAX_BYTES;
    return operand->type == CU_MEMCPY_OPERAND_TYPE_POINTER &&
           operand->op.ptr.rowLength <= SIZE_MAX_BYTES;
}

static void set_source(const CUmemcpy3DOperand *operand, uint64_t element, CUDA_MEMCPY3D *copy)
{
    if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
        copy->srcMemoryType = CU_MEMORYTYPE_ARRAY;
        copy->srcArray = operand->op.array.array;
        copy->srcXInBytes = operand->op.array.offset.x * element;
        copy->srcY = operand->op.array.offset.y;
        copy->srcZ = operand->op.array.offset.z;
        return;
    }
    copy->srcMemoryType = CU_MEMORYTYPE_UNIFIED;
    copy->srcDevice = operand->op.ptr.ptr;
    copy->srcPitch = operand->op.ptr.rowLength * element;
    copy->srcHeight = operand->op.ptr.layerHeight;
}

static void set_target(const CUmemcpy3DOperand *operand, uint64_t element, CUDA_MEMCPY3D *copy)
{
    if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
        copy->dstMemoryType = CU_MEMORYTYPE_ARRAY;
        copy->dstArray = operand->op.array.array;
        copy->dstXInBytes = operand->op.array.offset.x * element;
        copy->dstY = operand->op.array.offset.y;
        copy->dstZ = operand->op.array.offset.z;
        return;
    }
    copy->dstMemoryType = CU_MEMORYTYPE_UNIFIED;
    copy->dstDevice = operand->op.ptr.ptr;
    copy->dstPitch = operand->op.ptr.rowLength * element;
    copy->dstHeight = operand->op.ptr.layerHeight;
}

static CUresult describe_box(const CUDA_MEMCPY3D_BATCH_OP *op, struct weft_soft_task *task)
{
    uint64_t element;
    const CUextent3D *extent = &op->extent;
    if (!is_operand(&op->src) || !is_operand(&op->dst) || !is_order(op->srcAccessOrder) ||
        op->flags > CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE || extent->width == 0 ||
        extent->height == 0 || extent->depth == 0 || extent->width > SIZE_MAX_BYTES)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = element_of(op, &element);
    if (result != CUDA_SUCCESS)
        return result;
    CUDA_MEMCPY3D copy = {
        .WidthInBytes = extent->width * element, .Height = extent->height, .Depth = extent->depth};
    set_source(&op->src, element, &copy);
    set_target(&op->dst, element, &copy);
    return weft_soft_memory_copy_task(&copy, task);
}

/* One task an operation: each is described twice, so that nothing is begun unless all is right. */
static CUresult start_boxes(const CUDA_MEMCPY3D_BATCH_OP *ops, size_t count,
                            struct weft_soft_stream *stream, size_t *failed)
{
    struct weft_soft_task task;
    CUresult result = CUDA_SUCCESS;
    bool wait = false;
    for (size_t i = 0; i < 2 * count && result == CUDA_SUCCESS; i++) {
        const CUDA_MEMCPY3D_BATCH_OP *op = &ops[i % count];
        result = describe_box(op, &task);
        if (result == CUDA_SUCCESS && i < count)
            task.release(task.argument);
        else
            result = submit(stream, result, &task);
        wait |= op->srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL;
        if (result != CUDA_SUCCESS)
            *failed = i % count;
    }
    return result == CUDA_SUCCESS && wait ? weft_soft_stream_wait(stream) : result;
}

static CUresult copy_boxes(size_t count, const CUDA_MEMCPY3D_BATCH_OP *ops, size_t *failed,
                           unsigned long long flags, CUstream handle, bool per_thread)
{
    struct weft_soft_stream *stream;
    size_t ignored;
    size_t *where = failed ? failed : &ignored;
    CUresult result = enter(handle, per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    *where = SIZE_MAX;
    if (!ops || count == 0 || count > BATCH_MAX || flags != 0)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = start_boxes(ops, count, stream, where);
    weft_soft_stream_put(stream);
    return result;
}

static CUresult boxes_v1_legacy(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, size_t *failed,
                                unsigned long long flags, CUstream stream)
{
    return copy_boxes(count, ops, failed, flags, stream, false);
}

static CUresult boxes_v1_thread(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, size_t *failed,
                                unsigned long long flags, CUstream stream)
{
    return copy_boxes(count, ops, failed, flags, stream, true);
}

static CUresult boxes_v2_legacy(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, unsigned long long flags,
                                CUstream stream)
{
    return copy_boxes(count, ops, NULL, flags, stream, false);
}

static CUresult boxes_v2_thread(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, unsigned long long flags,
                                CUstream stream)
{
    return copy_boxes(count, ops, NULL, flags, stream, true);
}

void weft_soft_batch_install(struct weft_cuda *table)
{
    table->cuMemcpyBatchAsync = copy_v1_legacy;
    table->cuMemcpyBatchAsync_ptsz = copy_v1_thread;
    table->cuMemcpyBatchAsync_v2 = copy_v2_legacy;
    table->cuMemcpyBatchAsync_v2_ptsz = copy_v2_thread;
    table->cuMemcpy3DBatchAsync = boxes_v1_legacy;
    table->cuMemcpy3DBatchAsync_ptsz = boxes_v1_thread;
    table->cuMemcpy3DBatchAsync_v2 = boxes_v2_legacy;
    table->cuMemcpy3DBatchAsync_v2_ptsz = boxes_v2_thread;
}

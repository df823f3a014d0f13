#include "softgpu/engine/memory_ops.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/schedule.h"

struct memory_ops {
    unsigned int count, next;
    CUstreamBatchMemOpParams ops[];
};

static bool is_wait(const CUstreamBatchMemOpParams *op)
{
    return op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_32 ||
           op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64;
}

static bool is_wide(const CUstreamBatchMemOpParams *op)
{
    return op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
           op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

/* Compared in the word's own width, where counters may run over. */
static bool holds(const CUstreamBatchMemOpParams *op, uint64_t word)
{
    uint64_t value = is_wide(op) ? op->waitValue.value64 : op->waitValue.value;
    uint64_t all = is_wide(op) ? UINT64_MAX : UINT32_MAX;
    uint64_t sign = all ^ all >> 1;
    switch (op->waitValue.flags & ~(unsigned int)CU_STREAM_WAIT_VALUE_FLUSH) {
    case CU_STREAM_WAIT_VALUE_GEQ:
        return ((word - value) & sign) == 0;
    case CU_STREAM_WAIT_VALUE_EQ:
        return word == value;
    case CU_STREAM_WAIT_VALUE_AND:
        return (word & value) != 0;
    case CU_STREAM_WAIT_VALUE_NOR:
        return (~(word | value) & all) != 0;
    }
    return true;
}

/* The memory may have been freed since the call. */
static CUresult look_at_word(const CUstreamBatchMemOpParams *op)
{
    void *place = weft_soft_memory_reach(op->waitValue.address, is_wide(op) ? 8 : 4);
    if (!place)
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    uint64_t word = is_wide(op) ? __atomic_load_n((const uint64_t *)place, __ATOMIC_ACQUIRE)
                                : __atomic_load_n((const uint32_t *)place, __ATOMIC_ACQUIRE);
    return holds(op, word) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult write_word(const CUstreamBatchMemOpParams *op)
{
    void *place = weft_soft_memory_reach(op->writeValue.address, is_wide(op) ? 8 : 4);
    if (!place)
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (is_wide(op))
        __atomic_store_n((uint64_t *)place, op->writeValue.value64, __ATOMIC_SEQ_CST);
    else
        __atomic_store_n((uint32_t *)place, op->writeValue.value, __ATOMIC_SEQ_CST);
    weft_soft_memory_written(op->writeValue.address, is_wide(op) ? 8 : 4);
    return CUDA_SUCCESS;
}

static CUresult run(void *argument)
{
    struct memory_ops *batch = argument;
    CUresult result = CUDA_SUCCESS;
    for (; batch->next < batch->count; batch->next++) {
        const CUstreamBatchMemOpParams *op = &batch->ops[batch->next];
        if (is_wait(op))
            result = look_at_word(op);
        else if (op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_32 || is_wide(op))
            result = write_word(op);
        else
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (result)
            return result;
    }
    return CUDA_SUCCESS;
}

static bool is_word(CUdeviceptr address, uint64_t bytes)
{
    return address % bytes == 0 && weft_soft_memory_reach(address, bytes) &&
           !weft_soft_memory_is_managed(address);
}

static bool is_sound(const CUstreamBatchMemOpParams *op, bool first_version)
{
    uint64_t bytes = is_wide(op) ? 8 : 4;
    unsigned int write_flags = first_version ? CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER : 0;
    switch ((int)op->operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        return (op->waitValue.flags & ~(unsigned int)CU_STREAM_WAIT_VALUE_FLUSH) <=
                   CU_STREAM_WAIT_VALUE_NOR &&
               is_word(op->waitValue.address, bytes);
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        return (op->writeValue.flags & ~write_flags) == 0 && is_word(op->writeValue.address, bytes);
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        return op->flushRemoteWrites.flags == 0;
    case CU_STREAM_MEM_OP_BARRIER:
        return op->memoryBarrier.flags <= CU_STREAM_MEMORY_BARRIER_TYPE_GPU;
    }
    return false;
}

CUresult weft_soft_memory_ops_check(const CUstreamBatchMemOpParams *ops, unsigned int count,
                                    unsigned int flags, bool first_version)
{
    if (!ops || count == 0 || count > WEFT_SOFT_MEMORY_OPS_MAX || flags)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < count; i++) {
        if (!is_sound(&ops[i], first_version))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult weft_soft_memory_ops_submit(struct weft_soft_stream *stream,
                                     const CUstreamBatchMemOpParams *ops, unsigned int count)
{
    struct memory_ops *batch = malloc(sizeof(*batch) + count * sizeof(*ops));
    if (!batch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    batch->count = count;
    batch->next = 0;
    memcpy(batch->ops, ops, count * sizeof(*ops));
    struct weft_soft_task task = {.run = run, .release = free, .argument = batch};
    return weft_soft_stream_poll(stream, &task);
}

static CUresult capture(struct weft_soft_stream *stream, const CUstreamBatchMemOpParams *ops,
                        unsigned int count)
{
    CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
                              .memOp = {.ctx = stream->context->handle,
                                        .count = count,
                                        .paramArray = (CUstreamBatchMemOpParams *)(uintptr_t)ops}};
    return weft_soft_capture_add(stream, &node);
}

static CUresult start(CUstream handle, bool per_thread, bool first_version,
                      const CUstreamBatchMemOpParams *ops, unsigned int count, unsigned int flags)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(handle, per_thread, &stream);
    if (result)
        return result;
    result = weft_soft_memory_ops_check(ops, count, flags, first_version);
    if (result == CUDA_SUCCESS)
        result = weft_soft_stream_captures(stream)
                     ? capture(stream, ops, count)
                     : weft_soft_memory_ops_submit(stream, ops, count);
    weft_soft_stream_put(stream);
    return result;
}

/* The first version of a call differs from the second in the flags, and in what a card has to be
 * asked before. */
#define VALUE_CALLS(bits, flavour, thread, first)                                       \
    static CUresult write##bits##_##flavour(CUstream stream, CUdeviceptr address,       \
                                            cuuint##bits##_t value, unsigned int flags) \
    {                                                                                   \
        CUstreamBatchMemOpParams op = {0};                                              \
        op.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_##bits;                  \
        op.writeValue.address = address;                                                \
        op.writeValue.value64 = value;                                                  \
        op.writeValue.flags = flags;                                                    \
        return start(stream, thread, first, &op, 1, 0);                                 \
    }                                                                                   \
    static CUresult wait##bits##_##flavour(CUstream stream, CUdeviceptr address,        \
                                           cuuint##bits##_t value, unsigned int flags)  \
    {                                                                                   \
        CUstreamBatchMemOpParams op = {0};                                              \
        op.waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_##bits;                    \
        op.waitValue.address = address;                                                 \
        op.waitValue.value64 = value;                                                   \
        op.waitValue.flags = flags;                                                     \
        return start(stream, thread, first, &op, 1, 0);                                 \
    }

VALUE_CALLS(32, legacy_v1, false, true)
VALUE_CALLS(32, ptsz_v1, true, true)
VALUE_CALLS(64, legacy_v1, false, true)
VALUE_CALLS(64, ptsz_v1, true, true)
VALUE_CALLS(32, legacy, false, false)
VALUE_CALLS(32, ptsz, true, false)
VALUE_CALLS(64, legacy, false, false)
VALUE_CALLS(64, ptsz, true, false)

#define BATCH_CALL(flavour, thread, first)                                             \
    static CUresult batch_##flavour(CUstream stream, unsigned int count,               \
                                    CUstreamBatchMemOpParams *ops, unsigned int flags) \
    {                                                                                  \
        return start(stream, thread, first, ops, count, flags);                        \
    }

BATCH_CALL(legacy_v1, false, true)
BATCH_CALL(ptsz_v1, true, true)
BATCH_CALL(legacy, false, false)
BATCH_CALL(ptsz, true, false)

void weft_soft_memory_ops_install(struct weft_cuda *table)
{
#define INSTALL(bits)                                               \
    table->cuStreamWriteValue##bits = write##bits##_legacy_v1;      \
    table->cuStreamWriteValue##bits##_ptsz = write##bits##_ptsz_v1; \
    table->cuStreamWaitValue##bits = wait##bits##_legacy_v1;        \
    table->cuStreamWaitValue##bits##_ptsz = wait##bits##_ptsz_v1;   \
    table->cuStreamWriteValue##bits##_v2 = write##bits##_legacy;    \
    table->cuStreamWriteValue##bits##_v2_ptsz = write##bits##_ptsz; \
    table->cuStreamWaitValue##bits##_v2 = wait##bits##_legacy;      \
    table->cuStreamWaitValue##bits##_v2_ptsz = wait##bits##_ptsz;
    INSTALL(32)
    INSTALL(64)
#undef INSTALL
    table->cuStreamBatchMemOp = batch_legacy_v1;
    table->cuStreamBatchMemOp_ptsz = batch_ptsz_v1;
    table->cuStreamBatchMemOp_v2 = batch_legacy;
    table->cuStreamBatchMemOp_v2_ptsz = batch_ptsz;
}

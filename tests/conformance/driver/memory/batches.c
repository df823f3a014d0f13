/* Many copies, prefetches or discards in one call. What would break it: a copy of a batch that is
 * lost or goes elsewhere, a source that is read at another time than asked for, a batch that is
 * refused after some of it was done. */
#include <stdint.h>
#include <string.h>

#include "program.h"

#define COPIES 10
#define WORDS 1000

static CUmemcpyAttributes order(CUmemcpySrcAccessOrder when)
{
    CUmemcpyAttributes attributes = {.srcAccessOrder = when};
    return attributes;
}

static unsigned int host_words[COPIES][WORDS], back[COPIES][WORDS];

static void runs_of_bytes(CUstream stream)
{
    CUmemcpyAttributes attributes[2] = {order(CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL),
                                        order(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM)};
    size_t users[2] = {0, 6}, sizes[COPIES];
    CUdeviceptr memory, to[COPIES], from[COPIES];
    DO(cuMemAlloc(&memory, sizeof(host_words)));
    for (int i = 0; i < COPIES; i++) {
        for (int k = 0; k < WORDS; k++)
            host_words[i][k] = (unsigned int)(i * WORDS + k);
        to[i] = memory + (CUdeviceptr)i * sizeof(host_words[0]);
        from[i] = (CUdeviceptr)host_words[i];
        sizes[i] = sizeof(host_words[0]);
    }
    DO(cuMemcpyBatchAsync(to, from, sizes, COPIES, attributes, users, 2, stream));
    memset(host_words[0], 0, sizeof(host_words[0])); /* it was read during the call */
    DO(cuStreamSynchronize(stream));
    for (int i = 0; i < COPIES; i++) {
        from[i] = to[i];
        to[i] = (CUdeviceptr)back[i];
    }
    DO(cuMemcpyBatchAsync(to, from, sizes, COPIES, &attributes[1], users, 1, stream));
    DO(cuStreamSynchronize(stream));
    for (int i = 0; i < COPIES; i++) {
        for (int k = 0; k < WORDS; k++)
            TRUE(back[i][k] == (unsigned int)(i * WORDS + k));
    }
    DO(cuMemFree(memory));
}

/* A source in stream order is read behind what stands before it, however far that is. */
static void in_stream_order(const struct program *program, CUstream stream)
{
    unsigned int *flag, value = 1, got = 0;
    size_t size = 4, user = 0;
    CUmemcpyAttributes attributes = order(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM);
    CUdeviceptr memory, from = (CUdeviceptr)&value;
    DO(cuMemAllocHost((void **)&flag, 4096));
    DO(cuMemAlloc(&memory, 512));
    *flag = 0;
    program_spin(program, flag, stream);
    DO(cuMemcpyBatchAsync(&memory, &from, &size, 1, &attributes, &user, 1, stream));
    value = 2;
    __atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
    DO(cuStreamSynchronize(stream));
    DO(cuMemcpyDtoH(&got, memory, 4));
    TRUE(got == 2);
    DO(cuMemFree(memory));
    DO(cuMemFreeHost(flag));
}

static void refused_batches(CUstream stream)
{
    CUmemcpyAttributes attributes[2] = {order(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
                                        order(CU_MEMCPY_SRC_ACCESS_ORDER_INVALID)};
    unsigned int word = 7, got = 0;
    size_t sizes[2] = {4, 4}, users[2] = {0, 1};
    CUdeviceptr memory;
    DO(cuMemAlloc(&memory, 512));
    DO(cuMemsetD32(memory, 1, 128));
    DO(cuCtxSynchronize());
    CUdeviceptr to[2] = {memory, memory + 4096}, from[2] = {(CUdeviceptr)&word, (CUdeviceptr)&word};
    EXPECT(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, users, 1, stream),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuMemcpyDtoH(&got, memory, 4));
    TRUE(got == 1); /* the first was right, but the batch is not */
    to[1] = memory + 4;
    EXPECT(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, users, 2, stream),
           CUDA_ERROR_INVALID_VALUE); /* the second has no order */
    attributes[1] = attributes[0];
    users[1] = 2;
    EXPECT(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, users, 2, stream),
           CUDA_ERROR_INVALID_VALUE);
    users[0] = 1;
    EXPECT(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, users, 1, stream),
           CUDA_ERROR_INVALID_VALUE);
    users[0] = 0;
    EXPECT(cuMemcpyBatchAsync(to, from, sizes, 0, attributes, users, 1, stream),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, users, 1, NULL),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, users, 1, stream));
    DO(cuStreamSynchronize(stream));
    DO(cuMemFree(memory));
}

static CUmemcpy3DOperand pointer(CUdeviceptr address, size_t row, size_t height)
{
    CUmemcpy3DOperand operand = {.type = CU_MEMCPY_OPERAND_TYPE_POINTER};
    operand.op.ptr.ptr = address;
    operand.op.ptr.rowLength = row;
    operand.op.ptr.layerHeight = height;
    return operand;
}

/* From dense rows to rows with gaps, from there to an array, and from the array back. */
static void boxes(CUstream stream)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = {.Width = 8,
                                     .Height = 4,
                                     .Depth = 2,
                                     .Format = CU_AD_FORMAT_UNSIGNED_INT32,
                                     .NumChannels = 1};
    unsigned int from[2][4][8], to[2][4][8];
    CUdeviceptr memory;
    CUarray array;
    DO(cuMemAlloc(&memory, 64 * 5 * 2));
    DO(cuArray3DCreate(&array, &shape));
    for (unsigned int i = 0; i < 64; i++)
        (&from[0][0][0])[i] = 100 + i;
    CUDA_MEMCPY3D_BATCH_OP op = {.src = pointer((CUdeviceptr)from, 0, 0),
                                 .dst = pointer(memory, 64, 5),
                                 .extent = {32, 4, 2},
                                 .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL};
    DO(cuMemcpy3DBatchAsync(1, &op, 0, stream));
    op.src = pointer(memory, 16, 5); /* texels from here on */
    op.dst = (CUmemcpy3DOperand){.type = CU_MEMCPY_OPERAND_TYPE_ARRAY};
    op.dst.op.array.array = array;
    op.extent = (CUextent3D){8, 4, 2};
    op.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
    DO(cuMemcpy3DBatchAsync(1, &op, 0, stream));
    op.src = op.dst;
    op.dst = pointer((CUdeviceptr)to, 0, 0);
    DO(cuMemcpy3DBatchAsync(1, &op, 0, stream));
    DO(cuStreamSynchronize(stream));
    TRUE(memcmp(from, to, sizeof(from)) == 0);
    EXPECT(cuMemcpy3DBatchAsync(1, &op, 1, stream), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpy3DBatchAsync(0, &op, 0, stream), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpy3DBatchAsync(1, &op, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    op.extent.depth = 3;
    EXPECT(cuMemcpy3DBatchAsync(1, &op, 0, stream), CUDA_ERROR_INVALID_VALUE);
    DO(cuArrayDestroy(array));
    DO(cuMemFree(memory));
}

static int prefetched_to(CUdeviceptr address)
{
    int device = -9;
    DO(cuMemRangeGetAttribute(&device, sizeof(device),
                              CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, address, 4096));
    return device;
}

static void managed(CUstream stream)
{
    CUdeviceptr ranges[3], linear;
    size_t sizes[3] = {4096, 4096, 4096}, users[2] = {0, 2};
    CUmemLocation places[2] = {{CU_MEM_LOCATION_TYPE_HOST, 0}, {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    for (int i = 0; i < 3; i++)
        DO(cuMemAllocManaged(&ranges[i], 4096, CU_MEM_ATTACH_GLOBAL));
    DO(cuMemAlloc(&linear, 4096));
    DO(cuMemPrefetchBatchAsync(ranges, sizes, 3, places, users, 2, 0, stream));
    TRUE(prefetched_to(ranges[1]) == CU_DEVICE_CPU && prefetched_to(ranges[2]) == 0);
    DO(cuMemDiscardBatchAsync(ranges, sizes, 3, 0, stream));
    users[0] = 0;
    DO(cuMemDiscardAndPrefetchBatchAsync(ranges, sizes, 3, &places[1], users, 1, 0, stream));
    TRUE(prefetched_to(ranges[1]) == 0);
    EXPECT(cuMemPrefetchBatchAsync(ranges, sizes, 3, places, users, 2, 1, stream),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemPrefetchBatchAsync(ranges, sizes, 3, places, users, 2, 0, NULL),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemPrefetchBatchAsync(ranges, sizes, 3, places, users, 0, 0, stream),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemDiscardBatchAsync(ranges, sizes, 0, 0, stream), CUDA_ERROR_INVALID_VALUE);
    ranges[2] = linear;
    EXPECT(cuMemDiscardBatchAsync(ranges, sizes, 3, 0, stream), CUDA_ERROR_INVALID_VALUE);
    places[0].id = 7;
    places[0].type = CU_MEM_LOCATION_TYPE_DEVICE;
    EXPECT(cuMemPrefetchBatchAsync(ranges, sizes, 2, places, users, 1, 0, stream),
           CUDA_ERROR_INVALID_DEVICE);
}

int main(void)
{
    struct program program = program_start();
    CUstream stream;
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    runs_of_bytes(stream);
    in_stream_order(&program, stream);
    refused_batches(stream);
    boxes(stream);
    managed(stream);
    return 0;
}

/* Streams that write words and wait for them. Each check would see a wait that does not wait, one
 * that never ends, or one that holds back more than its own stream. */
#include <string.h>
#include <unistd.h>

#include "program.h"

/* More than there are workers and threads for callbacks and copies. */
#define WAITING_STREAMS 48

static CUstream new_stream(void)
{
    CUstream stream;
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

static unsigned int *new_words(void)
{
    unsigned int *words;
    DO(cuMemAllocHost((void **)&words, 4096));
    memset(words, 0, 4096);
    return words;
}

static void write_word(unsigned int *word, unsigned int value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* Whether a wait of that kind is over at once, where the word is what it is. */
static int passes32(CUstream stream, unsigned int word, unsigned int value, unsigned int flags)
{
    unsigned int *words = new_words();
    words[0] = word;
    DO(cuStreamWaitValue32(stream, (CUdeviceptr)words, value, flags));
    CUresult result = cuStreamQuery(stream);
    TRUE(result == CUDA_SUCCESS || result == CUDA_ERROR_NOT_READY);
    write_word(words, flags == CU_STREAM_WAIT_VALUE_NOR ? 0 : value); /* ends each of the kinds */
    DO(cuStreamSynchronize(stream));
    DO(cuMemFreeHost(words));
    return result == CUDA_SUCCESS;
}

static int passes64(CUstream stream, cuuint64_t word, cuuint64_t value, unsigned int flags)
{
    cuuint64_t *words = (cuuint64_t *)new_words();
    words[0] = word;
    DO(cuStreamWaitValue64(stream, (CUdeviceptr)words, value, flags));
    CUresult result = cuStreamQuery(stream);
    __atomic_store_n(words, flags == CU_STREAM_WAIT_VALUE_NOR ? 0 : value, __ATOMIC_SEQ_CST);
    DO(cuStreamSynchronize(stream));
    DO(cuMemFreeHost(words));
    return result == CUDA_SUCCESS;
}

static void conditions(void)
{
    CUstream stream = new_stream();
    TRUE(passes32(stream, 7, 7, CU_STREAM_WAIT_VALUE_EQ));
    TRUE(!passes32(stream, 8, 7, CU_STREAM_WAIT_VALUE_EQ));
    TRUE(passes32(stream, 8, 7, CU_STREAM_WAIT_VALUE_GEQ));
    TRUE(!passes32(stream, 6, 7, CU_STREAM_WAIT_VALUE_GEQ));
    /* Counters run over: the difference is signed. */
    TRUE(passes32(stream, 2, 0xfffffffe, CU_STREAM_WAIT_VALUE_GEQ));
    TRUE(!passes32(stream, 0xfffffffe, 2, CU_STREAM_WAIT_VALUE_GEQ));
    TRUE(passes32(stream, 12, 4, CU_STREAM_WAIT_VALUE_AND));
    TRUE(!passes32(stream, 12, 3, CU_STREAM_WAIT_VALUE_AND));
    TRUE(passes32(stream, 0xfffffff0, 14, CU_STREAM_WAIT_VALUE_NOR));
    TRUE(!passes32(stream, 0xfffffff0, 15, CU_STREAM_WAIT_VALUE_NOR));
    TRUE(passes32(stream, 7, 7, CU_STREAM_WAIT_VALUE_EQ | CU_STREAM_WAIT_VALUE_FLUSH));
    TRUE(!passes64(stream, 7, 7 | 1ull << 40, CU_STREAM_WAIT_VALUE_EQ));
    TRUE(passes64(stream, 1, ~0ull, CU_STREAM_WAIT_VALUE_GEQ));
    TRUE(!passes64(stream, ~0ull, 1, CU_STREAM_WAIT_VALUE_GEQ));
    TRUE(passes64(stream, 1ull << 63, 1ull << 63, CU_STREAM_WAIT_VALUE_AND));
    TRUE(!passes64(stream, ~1ull, 1, CU_STREAM_WAIT_VALUE_NOR));
    DO(cuStreamDestroy(stream));
}

static void CUDA_CB count_up(void *argument)
{
    __atomic_fetch_add((unsigned int *)argument, 1, __ATOMIC_SEQ_CST);
}

/* While many streams wait, kernels, copies and callbacks of another one run. */
static void only_its_own_stream(const struct program *program)
{
    unsigned int *words = new_words(), from[64], to[64];
    CUstream waiting[WAITING_STREAMS], other = new_stream();
    CUdeviceptr memory;
    DO(cuMemAlloc(&memory, 2 * sizeof(from)));
    for (int i = 0; i < WAITING_STREAMS; i++) {
        waiting[i] = new_stream();
        DO(cuStreamWaitValue32(waiting[i], (CUdeviceptr)&words[0], 1, CU_STREAM_WAIT_VALUE_EQ));
        DO(cuLaunchHostFunc(waiting[i], count_up, &words[1]));
    }
    for (unsigned int i = 0; i < 64; i++)
        from[i] = i;
    DO(cuMemcpyHtoDAsync(memory, from, sizeof(from), other));
    program_twice(program, memory + sizeof(from), memory, 64, other);
    DO(cuLaunchHostFunc(other, count_up, &words[2]));
    DO(cuMemcpyDtoHAsync(to, memory + sizeof(from), sizeof(to), other));
    DO(cuStreamSynchronize(other));
    for (unsigned int i = 0; i < 64; i++)
        TRUE(to[i] == 2 * i);
    TRUE(words[2] == 1 && words[1] == 0);
    for (int i = 0; i < WAITING_STREAMS; i++)
        EXPECT(cuStreamQuery(waiting[i]), CUDA_ERROR_NOT_READY);
    write_word(&words[0], 1);
    for (int i = 0; i < WAITING_STREAMS; i++) {
        DO(cuStreamSynchronize(waiting[i]));
        DO(cuStreamDestroy(waiting[i]));
    }
    TRUE(words[1] == WAITING_STREAMS);
    DO(cuStreamDestroy(other));
    DO(cuMemFree(memory));
    DO(cuMemFreeHost(words));
}

/* One stream's kernel and another's write let a third go on. */
static void writers(const struct program *program)
{
    CUstream kernels = new_stream(), writes = new_stream(), waits = new_stream();
    unsigned int *words = new_words(), result[2];
    CUdeviceptr memory;
    DO(cuMemAlloc(&memory, 16));
    DO(cuMemsetD32(memory, 0, 4));
    DO(cuStreamWaitValue32(waits, memory, 1, CU_STREAM_WAIT_VALUE_EQ));
    DO(cuStreamWaitValue64(waits, memory + 8, 5ull << 32, CU_STREAM_WAIT_VALUE_EQ));
    DO(cuStreamWriteValue32(waits, (CUdeviceptr)&words[4], 9, 0));
    EXPECT(cuStreamQuery(waits), CUDA_ERROR_NOT_READY);
    void *params[] = {&memory};
    DO(cuLaunchKernel(program->touch, 1, 1, 1, 1, 1, 1, 0, kernels, params, NULL));
    DO(cuStreamSynchronize(kernels));
    EXPECT(cuStreamQuery(waits), CUDA_ERROR_NOT_READY);
    DO(cuStreamWriteValue64(writes, memory + 8, 5ull << 32, 0));
    DO(cuStreamSynchronize(waits));
    TRUE(words[4] == 9);
    DO(cuMemcpyDtoH(result, memory + 8, 8));
    TRUE(result[0] == 0 && result[1] == 5);
    DO(cuStreamDestroy(kernels));
    DO(cuStreamDestroy(writes));
    DO(cuStreamDestroy(waits));
    DO(cuMemFree(memory));
    DO(cuMemFreeHost(words));
}

static CUstreamBatchMemOpParams value_op(CUstreamBatchMemOpType type, void *word, cuuint64_t value)
{
    CUstreamBatchMemOpParams op;
    memset(&op, 0, sizeof(op));
    op.writeValue.operation = type;
    op.writeValue.address = (CUdeviceptr)word;
    op.writeValue.value64 = value;
    op.writeValue.flags = type == CU_STREAM_MEM_OP_WAIT_VALUE_32 ? CU_STREAM_WAIT_VALUE_EQ : 0;
    return op;
}

static void batches(void)
{
    CUstream stream = new_stream();
    unsigned int *words = new_words(), *own = aligned_alloc(4096, 4096);
    memset(own, 0, 4096);
    DO(cuMemHostRegister(own, 4096, 0));
    CUstreamBatchMemOpParams ops[5] = {
        value_op(CU_STREAM_MEM_OP_WRITE_VALUE_32, &words[0], 1),
        value_op(CU_STREAM_MEM_OP_WAIT_VALUE_32, &own[0], 2),
        value_op(CU_STREAM_MEM_OP_WRITE_VALUE_64, &words[2], 3ull << 32),
        {.operation = CU_STREAM_MEM_OP_BARRIER},
        {.operation = CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES},
    };
    DO(cuStreamBatchMemOp(stream, 5, ops, 0));
    memset(ops, 0, sizeof(ops)); /* they are the driver's by now */
    EXPECT(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    TRUE(words[0] == 1 && words[3] == 0);
    write_word(&own[0], 2);
    DO(cuStreamSynchronize(stream));
    TRUE(words[2] == 0 && words[3] == 3);
    DO(cuMemHostUnregister(own));
    free(own);
    DO(cuMemFreeHost(words));
    DO(cuStreamDestroy(stream));
}

static void refusals(void)
{
    CUstream stream = new_stream();
    unsigned int *words = new_words(), pageable = 0;
    CUdeviceptr word = (CUdeviceptr)words, freed;
    CUstreamBatchMemOpParams ops[257];
    DO(cuMemAlloc(&freed, 16));
    DO(cuMemFree(freed));
    EXPECT(cuStreamWriteValue32(stream, word + 2, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWriteValue64(stream, word + 4, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue64(stream, word + 4, 0, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue32(stream, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue32(stream, freed, 0, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue32(stream, (CUdeviceptr)&pageable, 0, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue32(stream, word, 0, 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWriteValue32(stream, word, 0, 2), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWriteValue32((CUstream)0x1234, word, 0, 0), CUDA_ERROR_INVALID_HANDLE);
    for (int i = 0; i < 257; i++)
        ops[i] = value_op(CU_STREAM_MEM_OP_WRITE_VALUE_32, &words[8], i);
    EXPECT(cuStreamBatchMemOp(stream, 257, ops, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamBatchMemOp(stream, 0, ops, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamBatchMemOp(stream, 1, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamBatchMemOp(stream, 1, ops, 1), CUDA_ERROR_INVALID_VALUE);
    ops[255].operation = (CUstreamBatchMemOpType)7;
    EXPECT(cuStreamBatchMemOp(stream, 256, ops, 0), CUDA_ERROR_INVALID_VALUE);
    TRUE(words[8] == 0); /* one that is refused does nothing */
    DO(cuStreamBatchMemOp(stream, 255, ops, 0));
    DO(cuStreamSynchronize(stream));
    TRUE(words[8] == 254);
    DO(cuMemFreeHost(words));
    DO(cuStreamDestroy(stream));
}

/* The public header: a write without a barrier is not in the second version of the calls, and no
 * version takes managed memory. Breaks where both versions are one function. */
static void versions(void)
{
    typedef CUresult (*write_fn)(CUstream, CUdeviceptr, unsigned int, unsigned int);
    CUstream stream = new_stream();
    unsigned int *words = new_words();
    CUdeviceptr word = (CUdeviceptr)words, managed;
    void *first = NULL;
    DO(cuGetProcAddress("cuStreamWriteValue32", &first, 11000, 0, NULL));
    DO(((write_fn)first)(stream, word, 5, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER));
    DO(cuStreamSynchronize(stream));
    TRUE(words[0] == 5);
    EXPECT(cuStreamWriteValue32(stream, word, 6, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuMemAllocManaged(&managed, 16, CU_MEM_ATTACH_GLOBAL));
    EXPECT(cuStreamWriteValue32(stream, managed, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue64(stream, managed, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(((write_fn)first)(stream, managed, 1, 0), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFree(managed));
    DO(cuMemFreeHost(words));
    DO(cuStreamDestroy(stream));
}

/* A context ends also where something in it would wait for ever. */
static void context_ends(const struct program *program)
{
    CUcontext context;
    CUdeviceptr memory;
    DO(cuCtxCreate(&context, NULL, 0, program->device));
    CUstream stream = new_stream();
    DO(cuMemAlloc(&memory, 16));
    DO(cuMemsetD32(memory, 0, 4));
    DO(cuStreamWaitValue32(stream, memory, 1, CU_STREAM_WAIT_VALUE_EQ));
    DO(cuStreamWriteValue32(stream, memory + 4, 1, 0));
    EXPECT(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    DO(cuCtxDestroy(context));
    DO(cuCtxSetCurrent(program->context));
    DO(cuCtxSynchronize());
}

int main(void)
{
    struct program program = program_start();
    alarm(120);
    conditions();
    only_its_own_stream(&program);
    writers(&program);
    batches();
    refusals();
    versions();
    context_ends(&program);
    return 0;
}

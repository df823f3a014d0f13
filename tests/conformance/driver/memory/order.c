/* Copies, sets and frees take their turn in a stream. A kernel that waits for the program holds the
 * stream, so nothing here depends on time. */
#include <string.h>

#include "program.h"

#define WORDS 1024u

static unsigned int *flag;

static void hold(const struct program *program, CUstream stream)
{
    *(volatile unsigned int *)flag = 0;
    program_spin(program, flag, stream);
}

static void let_go(CUstream stream)
{
    *(volatile unsigned int *)flag = 1;
    DO(cuStreamSynchronize(stream));
}

/* The pageable source may be changed as soon as the call has returned; pinned memory is read when
 * its turn has come. */
static void sources(const struct program *program, CUstream stream)
{
    unsigned int pageable = 1, *pinned, words[2];
    CUdeviceptr address;
    DO(cuMemAlloc(&address, 8));
    DO(cuMemsetD32(address, 0, 2));
    DO(cuMemAllocHost((void **)&pinned, 4));
    hold(program, stream);
    *pinned = 1;
    DO(cuMemcpyHtoDAsync(address, &pageable, 4, stream));
    DO(cuMemcpyHtoDAsync(address + 4, pinned, 4, stream));
    EXPECT(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    pageable = *pinned = 2;
    let_go(stream);
    DO(cuMemcpyDtoH(words, address, 8));
    TRUE(words[0] == 1 && words[1] == 2);
    DO(cuMemFreeHost(pinned));
    DO(cuMemFree(address));
}

/* A non-blocking stream does not hold up the default stream; what stands behind a copy sees it. */
static void streams(const struct program *program, CUstream stream)
{
    CUdeviceptr from, to;
    CUstream other;
    CUevent event;
    unsigned int word = 0;
    DO(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    DO(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    DO(cuMemAlloc(&from, 4 * WORDS));
    DO(cuMemAlloc(&to, 4 * WORDS));
    DO(cuMemsetD32(to, 3, WORDS));
    hold(program, stream);
    DO(cuMemsetD32Async(from, 5, WORDS, stream));
    DO(cuEventRecord(event, stream));
    DO(cuStreamWaitEvent(other, event, 0));
    DO(cuMemcpyDtoDAsync(to, from, 4 * WORDS, other));
    program_twice(program, to, to, WORDS, other);
    DO(cuMemcpyDtoH(&word, to, 4));
    TRUE(word == 3);
    let_go(stream);
    DO(cuStreamSynchronize(other));
    DO(cuMemcpyDtoH(&word, to + 4 * (WORDS - 1), 4));
    TRUE(word == 10);
    DO(cuEventDestroy(event));
    DO(cuStreamDestroy(other));
    DO(cuMemFree(from));
    DO(cuMemFree(to));
}

static unsigned long long reserved(const struct program *program)
{
    CUmemoryPool pool;
    cuuint64_t bytes = 0;
    DO(cuDeviceGetDefaultMemPool(&pool, program->device));
    DO(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes));
    return bytes;
}

static void pools(const struct program *program, CUstream stream)
{
    CUdeviceptr first, same, other;
    DO(cuMemAllocAsync(&first, 2 * MIB, stream));
    hold(program, stream);
    DO(cuMemFreeAsync(first, stream));
    DO(cuMemAllocAsync(&same, 2 * MIB, stream));
    TRUE(same == first);
    DO(cuMemFreeAsync(same, stream));
    DO(cuMemAllocAsync(&other, 2 * MIB, NULL));
    TRUE(other != first);
    TRUE(reserved(program) == 4 * MIB);
    let_go(stream);
    TRUE(reserved(program) == 2 * MIB);
    DO(cuMemFreeAsync(other, NULL));
    DO(cuCtxSynchronize());
    TRUE(reserved(program) == 0);
}

int main(void)
{
    struct program program = program_start();
    CUstream stream;
    DO(cuMemAllocHost((void **)&flag, sizeof(*flag)));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    sources(&program, stream);
    streams(&program, stream);
    pools(&program, stream);
    return 0;
}

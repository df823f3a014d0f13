/* Threads, each with a stream, allocate, fill, compute, check and free memory of all kinds at once.
 * What breaks it: memory that two of them hold, a lock taken in two orders, or bytes that do not
 * come back. */
#include <pthread.h>
#include <string.h>

#include "program.h"

#define THREADS 4
#define ROUNDS 150
#define WORDS_MAX 20000u

static struct program program;

enum kind { LINEAR, MANAGED, PINNED, ORDERED, KINDS };

static CUdeviceptr take(enum kind kind, size_t bytes, CUstream stream)
{
    CUdeviceptr address = 0;
    if (kind == LINEAR)
        DO(cuMemAlloc(&address, bytes));
    else if (kind == MANAGED)
        DO(cuMemAllocManaged(&address, bytes, CU_MEM_ATTACH_GLOBAL));
    else if (kind == PINNED)
        DO(cuMemAllocHost((void **)&address, bytes));
    else
        DO(cuMemAllocAsync(&address, bytes, stream));
    return address;
}

static void give(enum kind kind, CUdeviceptr address, CUstream stream)
{
    if (kind == PINNED)
        DO(cuMemFreeHost((void *)address));
    else if (kind == ORDERED)
        DO(cuMemFreeAsync(address, stream));
    else
        DO(cuMemFree(address));
}

static void round_trip(unsigned int *seed, CUstream stream)
{
    enum kind from_kind = rand_r(seed) % KINDS, to_kind = rand_r(seed) % KINDS;
    unsigned int words = 1 + (unsigned int)rand_r(seed) % WORDS_MAX, value = *seed, seen[2];
    CUdeviceptr from = take(from_kind, 4 * words, stream), to = take(to_kind, 4 * words, stream);
    DO(cuMemsetD32Async(from, value, words, stream));
    program_twice(&program, to, from, words, stream);
    DO(cuMemcpyDtoHAsync(&seen[0], to, 4, stream));
    DO(cuMemcpyDtoHAsync(&seen[1], to + 4 * (words - 1), 4, stream));
    DO(cuStreamSynchronize(stream));
    TRUE(seen[0] == 2 * value && seen[1] == 2 * value);
    give(from_kind, from, stream);
    give(to_kind, to, stream);
}

static void *run(void *number)
{
    unsigned int seed = (unsigned int)(uintptr_t)number;
    CUstream stream;
    DO(cuCtxSetCurrent(program.context));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (int i = 0; i < ROUNDS; i++)
        round_trip(&seed, stream);
    DO(cuStreamDestroy(stream));
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    size_t before, after, total;
    program = program_start();
    DO(cuMemGetInfo(&before, &total));
    for (uintptr_t i = 0; i < THREADS; i++)
        TRUE(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    DO(cuCtxSynchronize());
    DO(cuMemGetInfo(&after, &total));
    TRUE(before == after);
    return 0;
}

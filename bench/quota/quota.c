/* What the memory limit alone adds to an allocation and its free: the same calls on a table of
 * calls that do nothing, and on that table under the limit. Interleaved pairs, medians.
 * bench/overhead measures the way through the face too. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../timing.h"
#include "cuda/entries.h"
#include "tenant/quota.h"

#define PAIRS 21
#define CALLS 100000
#define LIVE 100000
#define RECENT 4096
#define THREADS 2
#define GOAL_NS 200

static struct weft_cuda plain, limited;
static __thread uint64_t allocated; /* by this thread */

static CUresult get_current(CUcontext *context)
{
    *context = (CUcontext)0x1000;
    return CUDA_SUCCESS;
}

static CUresult get_device(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

static CUresult total_mem(size_t *bytes, CUdevice device)
{
    (void)device;
    *bytes = (size_t)1 << 40;
    return CUDA_SUCCESS;
}

/* A driver hands out again what was freed. Each thread has a range of its own: addresses that stay
 * alive, then RECENT that come round and round. */
static CUresult allocate(CUdeviceptr *address, size_t bytes)
{
    uint64_t place = allocated < LIVE ? allocated : LIVE + allocated % RECENT;
    *address = ((CUdeviceptr)(uintptr_t)&allocated << 8) + place * bytes;
    allocated++;
    return CUDA_SUCCESS;
}

static CUresult free_address(CUdeviceptr address)
{
    (void)address;
    return CUDA_SUCCESS;
}

static CUresult allocate_async(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    (void)stream;
    return allocate(address, bytes);
}

static CUresult allocate_from_pool(CUdeviceptr *address, size_t bytes, CUmemoryPool pool,
                                   CUstream stream)
{
    (void)pool;
    (void)stream;
    return allocate(address, bytes);
}

static CUresult free_async(CUdeviceptr address, CUstream stream)
{
    (void)address;
    (void)stream;
    return CUDA_SUCCESS;
}

static CUresult get_pool(CUmemoryPool *pool, CUdevice device)
{
    (void)device;
    *pool = (CUmemoryPool)0x2000;
    return CUDA_SUCCESS;
}

/* A pool that has grown to its size: as in a program that runs for a while. */
static CUresult pool_attribute(CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
    (void)pool;
    (void)attribute;
    *(cuuint64_t *)value = 2 << 20;
    return CUDA_SUCCESS;
}

static double linear_ns(const struct weft_cuda *cuda)
{
    CUdeviceptr address;
    double start = bench_now_ns();
    for (int i = 0; i < CALLS; i++) {
        if (cuda->cuMemAlloc_v2(&address, 4096) || cuda->cuMemFree_v2(address))
            exit(1);
    }
    return (bench_now_ns() - start) / CALLS;
}

static double async_ns(const struct weft_cuda *cuda)
{
    CUdeviceptr address;
    double start = bench_now_ns();
    for (int i = 0; i < CALLS; i++) {
        if (cuda->cuMemAllocAsync(&address, 4096, NULL) || cuda->cuMemFreeAsync(address, NULL))
            exit(1);
    }
    return (bench_now_ns() - start) / CALLS;
}

static double crowded_ns(const struct weft_cuda *cuda)
{
    static CUdeviceptr live[LIVE];
    allocated = 0;
    for (int i = 0; i < LIVE; i++)
        cuda->cuMemAlloc_v2(&live[i], 4096);
    double ns = linear_ns(cuda);
    for (int i = 0; i < LIVE; i++)
        cuda->cuMemFree_v2(live[i]);
    return ns;
}

static void *thread_main(void *argument)
{
    linear_ns(argument);
    return NULL;
}

static double threads_ns(const struct weft_cuda *cuda)
{
    pthread_t threads[THREADS];
    double start = bench_now_ns();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread_main, (void *)cuda);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return (bench_now_ns() - start) / CALLS;
}

static void compare(const char *what, double (*measure)(const struct weft_cuda *cuda))
{
    double direct[PAIRS], through[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        direct[i] = measure(&plain);
        through[i] = measure(&limited);
    }
    double baseline = bench_quantile(direct, PAIRS, 0.5),
           measured = bench_quantile(through, PAIRS, 0.5);
    printf("%-36s backend alone %6.1f ns, with the limit %6.1f ns (%.1fx): %+.1f ns added, goal <= "
           "%d ns\n",
           what, baseline, measured, measured / baseline, measured - baseline, GOAL_NS);
}

static int install(void)
{
    static struct weft_policy_page policy = {.devices[0].memory_limit_bytes = UINT64_C(1) << 40};
    void *memory =
        mmap(NULL, weft_ledger_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    struct weft_quota_config config = {
        .ledger = weft_ledger_format(memory), .policy = &policy, .device_count = 1};
    if (weft_ledger_slot_take(config.ledger, &config.slot, NULL))
        return -1;
    limited = plain;
    return weft_quota_install(&limited, &config, NULL);
}

int main(void)
{
    weft_cuda_fill_unsupported(&plain);
    plain.cuCtxGetCurrent = get_current;
    plain.cuCtxGetDevice = get_device;
    plain.cuDeviceTotalMem_v2 = total_mem;
    plain.cuMemAlloc_v2 = allocate;
    plain.cuMemFree_v2 = free_address;
    plain.cuMemAllocAsync = allocate_async;
    plain.cuMemAllocFromPoolAsync = allocate_from_pool;
    plain.cuMemFreeAsync = free_async;
    plain.cuDeviceGetMemPool = get_pool;
    plain.cuMemPoolGetAttribute = pool_attribute;
    if (install())
        return 1;
    compare("allocation and free", linear_ns);
    compare("the same, 100000 others alive", crowded_ns);
    compare("the same, stream-ordered", async_ns);
    compare("the same, 2 threads, a pair of each", threads_ns);
    return 0;
}

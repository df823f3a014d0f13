/* When a pool hands out again what was freed in another stream that is still busy: behind an event
 * it may, without one it may not, and the program can forbid it. The pool is so small that there is
 * no other memory. */
#include "program.h"

#define BYTES (3 * MIB / 2)

struct setting {
    CUmemoryPool pool;
    CUstream frees, allocates;
    CUevent event;
    unsigned int *flag;
};

static struct setting open_setting(const struct program *program)
{
    struct setting setting;
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {CU_MEM_LOCATION_TYPE_DEVICE, program->device},
                            .maxSize = 2 * MIB};
    DO(cuMemPoolCreate(&setting.pool, &props));
    DO(cuStreamCreate(&setting.frees, CU_STREAM_NON_BLOCKING));
    DO(cuStreamCreate(&setting.allocates, CU_STREAM_NON_BLOCKING));
    DO(cuEventCreate(&setting.event, CU_EVENT_DISABLE_TIMING));
    DO(cuMemAllocHost((void **)&setting.flag, 4096));
    return setting;
}

/* Frees in a stream that a kernel keeps busy, and records behind that. */
static CUdeviceptr free_late(const struct program *program, const struct setting *setting)
{
    CUdeviceptr address;
    *setting->flag = 0;
    DO(cuMemAllocFromPoolAsync(&address, BYTES, setting->pool, setting->frees));
    program_spin(program, setting->flag, setting->frees);
    DO(cuMemFreeAsync(address, setting->frees));
    DO(cuEventRecord(setting->event, setting->frees));
    return address;
}

static void end(const struct setting *setting)
{
    __atomic_store_n(setting->flag, 1, __ATOMIC_SEQ_CST);
    DO(cuCtxSynchronize());
}

static void without_an_event(const struct program *program, const struct setting *setting)
{
    CUdeviceptr other;
    free_late(program, setting);
    EXPECT(cuMemAllocFromPoolAsync(&other, BYTES, setting->pool, setting->allocates),
           CUDA_ERROR_OUT_OF_MEMORY);
    end(setting);
    /* The free's turn has come. */
    DO(cuMemAllocFromPoolAsync(&other, BYTES, setting->pool, setting->allocates));
    DO(cuMemFreeAsync(other, setting->allocates));
    DO(cuCtxSynchronize());
}

static void behind_an_event(const struct program *program, const struct setting *setting)
{
    unsigned int word = 0;
    CUdeviceptr other, address = free_late(program, setting);
    DO(cuStreamWaitEvent(setting->allocates, setting->event, 0));
    DO(cuMemAllocFromPoolAsync(&other, BYTES, setting->pool, setting->allocates));
    TRUE(other == address);
    DO(cuMemsetD32Async(other, 5, BYTES / 4, setting->allocates));
    EXPECT(cuStreamQuery(setting->allocates), CUDA_ERROR_NOT_READY);
    end(setting);
    DO(cuMemcpyDtoH(&word, other, 4));
    TRUE(word == 5); /* the free that came before did not take it away */
    DO(cuMemFreeAsync(other, setting->allocates));
    DO(cuCtxSynchronize());
}

/* An event in front of the free says nothing of it. */
static void before_the_free(const struct program *program, const struct setting *setting)
{
    CUdeviceptr address, other;
    *setting->flag = 0;
    DO(cuMemAllocFromPoolAsync(&address, BYTES, setting->pool, setting->frees));
    program_spin(program, setting->flag, setting->frees);
    DO(cuEventRecord(setting->event, setting->frees));
    DO(cuMemFreeAsync(address, setting->frees));
    DO(cuStreamWaitEvent(setting->allocates, setting->event, 0));
    EXPECT(cuMemAllocFromPoolAsync(&other, BYTES, setting->pool, setting->allocates),
           CUDA_ERROR_OUT_OF_MEMORY);
    end(setting);
}

static void forbidden(const struct program *program, const struct setting *setting)
{
    int no = 0;
    CUdeviceptr other;
    DO(cuMemPoolSetAttribute(setting->pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &no));
    free_late(program, setting);
    DO(cuStreamWaitEvent(setting->allocates, setting->event, 0));
    EXPECT(cuMemAllocFromPoolAsync(&other, BYTES, setting->pool, setting->allocates),
           CUDA_ERROR_OUT_OF_MEMORY);
    end(setting);
}

int main(void)
{
    struct program program = program_start();
    struct setting setting = open_setting(&program);
    without_an_event(&program, &setting);
    behind_an_event(&program, &setting);
    before_the_free(&program, &setting);
    forbidden(&program, &setting);
    DO(cuMemPoolDestroy(setting.pool));
    return 0;
}

/* A kernel reads and writes every kind of memory. What breaks it: a kind that the executor cannot
 * reach, or whose bytes are not the ones that the program and the copies see. */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

#define COUNT 5000u
#define BYTES (COUNT * sizeof(unsigned int))

static unsigned int input[COUNT], output[COUNT];

/* Through the kernel and back by copies. */
static void through_copies(const struct program *program, CUdeviceptr to, CUdeviceptr from)
{
    memset(output, 0xff, sizeof(output));
    DO(cuMemcpyHtoD(from, input, BYTES));
    program_twice(program, to, from, COUNT, NULL);
    DO(cuMemcpyDtoH(output, to, BYTES));
    for (unsigned int i = 0; i < COUNT; i++)
        TRUE(output[i] == 2 * input[i]);
}

/* The program's own loads and stores on the same addresses. */
static void in_place(const struct program *program, unsigned int *words)
{
    memcpy(words, input, BYTES);
    program_twice(program, (CUdeviceptr)words, (CUdeviceptr)words, COUNT, NULL);
    DO(cuCtxSynchronize());
    for (unsigned int i = 0; i < COUNT; i++)
        TRUE(words[i] == 2 * input[i]);
    through_copies(program, (CUdeviceptr)words, (CUdeviceptr)words);
}

static void linear_and_pitched(const struct program *program)
{
    CUdeviceptr to, from;
    size_t pitch;
    DO(cuMemAlloc(&to, BYTES));
    DO(cuMemAllocPitch(&from, &pitch, BYTES, 1, 4));
    through_copies(program, to, from);
    DO(cuMemFree(to));
    DO(cuMemFree(from));
}

static void managed(const struct program *program)
{
    CUdeviceptr address;
    DO(cuMemAllocManaged(&address, BYTES, CU_MEM_ATTACH_GLOBAL));
    in_place(program, (unsigned int *)address);
    DO(cuMemFree(address));
}

static void pinned(const struct program *program)
{
    void *words;
    DO(cuMemHostAlloc(&words, BYTES, CU_MEMHOSTALLOC_DEVICEMAP));
    in_place(program, words);
    DO(cuMemFreeHost(words));
}

/* Memory that is shared with another process, which sees what the kernel wrote. */
static void registered(const struct program *program)
{
    unsigned int *words =
        mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    TRUE(words != MAP_FAILED);
    int go[2], status;
    TRUE(pipe(go) == 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        _exit(read(go[0], &byte, 1) == 1 && words[COUNT - 1] == 2 * input[COUNT - 1] ? 0 : 1);
    }
    DO(cuMemHostRegister(words, BYTES, CU_MEMHOSTREGISTER_DEVICEMAP));
    in_place(program, words);
    TRUE(write(go[1], "x", 1) == 1);
    TRUE(waitpid(child, &status, 0) == child && status == 0);
    DO(cuMemHostUnregister(words));
    munmap(words, BYTES);
}

static void stream_ordered(const struct program *program)
{
    CUdeviceptr to, from;
    CUstream stream;
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    DO(cuMemAllocAsync(&to, BYTES, stream));
    DO(cuMemAllocAsync(&from, BYTES, stream));
    DO(cuMemcpyHtoDAsync(from, input, BYTES, stream));
    program_twice(program, to, from, COUNT, stream);
    DO(cuMemFreeAsync(from, stream));
    DO(cuMemcpyDtoHAsync(output, to, BYTES, stream));
    DO(cuMemFreeAsync(to, stream));
    DO(cuStreamSynchronize(stream));
    for (unsigned int i = 0; i < COUNT; i++)
        TRUE(output[i] == 2 * input[i]);
    DO(cuStreamDestroy(stream));
}

static void mapped(const struct program *program)
{
    CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, program->device}};
    CUmemAccessDesc access = {properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    DO(cuMemCreate(&handle, 2 * MIB, &properties, 0));
    DO(cuMemAddressReserve(&address, 4 * MIB, 0, 0, 0));
    DO(cuMemMap(address, 2 * MIB, 0, handle, 0));
    DO(cuMemMap(address + 2 * MIB, 2 * MIB, 0, handle, 0));
    DO(cuMemRelease(handle));
    DO(cuMemSetAccess(address, 4 * MIB, &access, 1));
    /* Both halves are the same memory. */
    through_copies(program, address + 2 * MIB, address);
    DO(cuMemcpyDtoH(output, address, BYTES));
    TRUE(output[COUNT - 1] == 2 * input[COUNT - 1]);
    DO(cuMemUnmap(address, 4 * MIB));
    DO(cuMemAddressFree(address, 4 * MIB));
}

int main(void)
{
    struct program program = program_start();
    size_t before, after, total;
    for (unsigned int i = 0; i < COUNT; i++)
        input[i] = i * 2654435761u;
    DO(cuMemGetInfo(&before, &total));
    linear_and_pitched(&program);
    managed(&program);
    pinned(&program);
    registered(&program);
    stream_ordered(&program);
    mapped(&program);
    DO(cuMemGetInfo(&after, &total));
    TRUE(before == after);
    return 0;
}

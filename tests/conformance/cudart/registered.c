/* What nvcc puts into a program, written by hand: a fat binary, a kernel and a variable are
 * registered, and the kernel is launched in both ways. What would break it: a symbol that is not
 * found by its address, a module that is not loaded, an error that does not stay the last one; a
 * thread or a driver's call whose reset leaves other threads without a context; a launch into a
 * stream of another device. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/register.h"

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)
#define OK(call) CHECK((call) == cudaSuccess)

/* In the sections in which nvcc puts them. */
#define PTX                                                      \
    ".version 7.0\n.target sm_75\n.address_size 64\n"            \
    ".visible .global .u32 offset = 5;\n"                        \
    ".visible .global .attribute(.managed) .u32 visits = 40;\n"  \
    ".visible .entry add(.param .u64 out, .param .u32 more) {\n" \
    " .reg .b64 %d<3>;\n .reg .b32 %r<4>;\n"                     \
    " ld.param.u64 %d0, [out];\n ld.param.u32 %r1, [more];\n"    \
    " mov.u32 %r0, %tid.x;\n mul.wide.u32 %d1, %r0, 4;\n"        \
    " add.u64 %d0, %d0, %d1;\n ld.global.u32 %r2, [offset];\n"   \
    " add.u32 %r0, %r0, %r1;\n add.u32 %r0, %r0, %r2;\n"         \
    " st.global.u32 [%d0], %r0;\n ret;\n}\n"

static struct {
    uint32_t magic;
    uint16_t version, head_bytes;
    uint64_t bytes;
    uint16_t kind, entry_version;
    uint32_t entry_bytes;
    uint64_t payload_bytes;
    uint32_t packed_bytes, unused[2], sm;
    uint64_t unused_too, flags, unused_three, unpacked_bytes;
    char text[sizeof(PTX)];
} __attribute__((packed, aligned(8))) fat
    __attribute__((section(".nv_fatbin"))) = {.magic = 0xba55ed50u,
                                              .version = 1,
                                              .head_bytes = 16,
                                              .bytes = 64 + sizeof(PTX),
                                              .kind = 1,
                                              .entry_version = 0x101,
                                              .entry_bytes = 64,
                                              .payload_bytes = sizeof(PTX),
                                              .sm = 75,
                                              .flags = 0x11,
                                              .text = PTX};
static struct {
    uint32_t magic, version;
    const void *fat, *more;
} wrapper __attribute__((section(".nvFatBinSegment"))) = {0x466243b1u, 1, &fat, NULL};

/* Their addresses stand for the kernel and the variable. */
static void add_stub(void)
{
}
static uint32_t offset;
static uint32_t *visits; /* managed: the program looks at its own pointer */

static void check_result(const uint32_t *out, uint32_t first)
{
    uint32_t values[32];
    OK(cudaMemcpy(values, out, sizeof(values), cudaMemcpyDeviceToHost));
    for (uint32_t i = 0; i < 32; i++)
        CHECK(values[i] == first + i);
}

/* A reset gives the variable its first value again. */
static void launch_once(uint32_t first, uint32_t offset_now)
{
    dim3 grid = {1, 1, 1}, block = {32, 1, 1};
    uint32_t *out, more = first - offset_now;
    void *arguments[] = {&out, &more};
    OK(cudaMalloc((void **)&out, 128));
    OK(cudaLaunchKernel((const void *)(uintptr_t)add_stub, grid, block, arguments, 0, NULL));
    check_result(out, first);
    OK(cudaFree(out));
}

static void *launch_around_reset(void *barrier)
{
    launch_once(10, 7);
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier); /* the other thread has reset the device meanwhile */
    launch_once(20, 5);
    return NULL;
}

static void check_resets(void)
{
    pthread_barrier_t barrier;
    pthread_t thread;
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, launch_around_reset, &barrier) == 0);
    pthread_barrier_wait(&barrier);
    OK(cudaDeviceReset());
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_barrier_destroy(&barrier);
    launch_once(30, 5);
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    CUresult (*reset)(CUdevice) =
        (CUresult(*)(CUdevice))(uintptr_t)dlsym(driver, "cuDevicePrimaryCtxReset_v2");
    CHECK(reset && reset(0) == CUDA_SUCCESS);
    launch_once(40, 5);
    dlclose(driver);
}

/* All devices have one copy of a managed variable. Once all are reset it begins anew, here in the
 * memory of another device, and the program's pointer leads there. */
static void check_managed(void)
{
    uint32_t seen = 0;
    OK(cudaSetDevice(0));
    OK(cudaMemcpyFromSymbol(&seen, &visits, sizeof(seen), 0, cudaMemcpyDeviceToHost));
    CHECK(seen == 40 && *visits == 40);
    *visits = 41;
    OK(cudaSetDevice(1));
    OK(cudaMemcpyFromSymbol(&seen, &visits, sizeof(seen), 0, cudaMemcpyDeviceToHost));
    CHECK(seen == 41);
    OK(cudaDeviceReset());
    OK(cudaSetDevice(0));
    CHECK(*visits == 41); /* the other device still has it */
    OK(cudaDeviceReset());
    OK(cudaSetDevice(1));
    OK(cudaMemcpyFromSymbol(&seen, &visits, sizeof(seen), 0, cudaMemcpyDeviceToHost));
    CHECK(seen == 40 && *visits == 40);
    *visits = 42;
    OK(cudaSetDevice(0));
    OK(cudaMemcpyFromSymbol(&seen, &visits, sizeof(seen), 0, cudaMemcpyDeviceToHost));
    CHECK(seen == 42);
}

static void check_refused(cudaKernel_t kernel, void **arguments)
{
    dim3 grid = {1, 1, 1}, block = {32, 1, 1};
    cudaStream_t stream;
    CHECK(__cudaLaunchKernel(kernel, grid, block, arguments, 1 << 20, NULL) ==
          cudaErrorInvalidValue);
    OK(cudaSetDevice(1));
    OK(cudaStreamCreate(&stream));
    OK(cudaSetDevice(0));
    CHECK(__cudaLaunchKernel(kernel, grid, block, arguments, 0, stream) ==
          cudaErrorInvalidResourceHandle);
    OK(cudaStreamDestroy(stream));
    CHECK(cudaDeviceEnablePeerAccess(0, 0) == cudaErrorInvalidDevice);
}

int main(void)
{
    void **handle = __cudaRegisterFatBinary(&wrapper);
    __cudaRegisterFunction(handle, (const char *)(uintptr_t)add_stub, "add", "add", -1, NULL, NULL,
                           NULL, NULL, NULL);
    __cudaRegisterVar(handle, (char *)&offset, "offset", "offset", 0, sizeof(offset), 0, 0);
    __cudaRegisterManagedVar(handle, (void **)&visits, "visits", "visits", 0, sizeof(*visits), 0,
                             0);
    __cudaRegisterFatBinaryEnd(handle);

    dim3 grid = {1, 1, 1}, block = {32, 1, 1}, popped_grid, popped_block;
    uint32_t *out, more = 100, new_offset = 7;
    size_t bytes;
    cudaStream_t stream;
    void *arguments[] = {&out, &more};
    OK(cudaMalloc((void **)&out, 128));
    CHECK(__cudaPushCallConfiguration(grid, block, 0, NULL) == 0);
    OK(__cudaPopCallConfiguration(&popped_grid, &popped_block, &bytes, &stream));
    CHECK(popped_block.x == 32 && bytes == 0 && stream == NULL);
    OK(cudaLaunchKernel((const void *)(uintptr_t)add_stub, popped_grid, popped_block, arguments,
                        bytes, stream));
    check_result(out, 105);

    cudaKernel_t kernel;
    OK(cudaMemcpyToSymbol(&offset, &new_offset, sizeof(offset), 0, cudaMemcpyHostToDevice));
    OK(__cudaGetKernel(&kernel, (const void *)(uintptr_t)add_stub));
    OK(__cudaLaunchKernel(kernel, grid, block, arguments, 0, NULL));
    check_result(out, 107);
    OK(cudaGetSymbolSize(&bytes, &offset));
    CHECK(bytes == sizeof(offset));

    CHECK(cudaLaunchKernel(&more, grid, block, arguments, 0, NULL) ==
          cudaErrorInvalidDeviceFunction);
    CHECK(cudaPeekAtLastError() == cudaErrorInvalidDeviceFunction);
    CHECK(cudaGetLastError() == cudaErrorInvalidDeviceFunction);
    CHECK(cudaGetLastError() == cudaSuccess);
    block.x = 2048;
    CHECK(__cudaLaunchKernel(kernel, grid, block, arguments, 0, NULL) ==
          cudaErrorInvalidConfiguration);
    CHECK(strcmp(cudaGetErrorName(cudaErrorInvalidConfiguration),
                 "cudaErrorInvalidConfiguration") == 0);
    struct cudaDeviceProp properties;
    OK(cudaGetDeviceProperties(&properties, 0));
    CHECK(properties.warpSize == 32 && properties.multiProcessorCount > 0);
    check_refused(kernel, arguments);
    OK(cudaFree(out));
    check_resets();
    check_managed();
    __cudaUnregisterFatBinary(handle);
    CHECK(__cudaGetKernel(&kernel, (const void *)(uintptr_t)add_stub) ==
          cudaErrorInvalidDeviceFunction);
    return 0;
}

/* contexts: programs that use the runtime and the driver's contexts together, on two devices. What
 * would break it: a runtime call that goes to the primary context though the program made another
 * one current, or that leaves another one current than it found; a variable that contexts share. */
#include <pthread.h>

#include "program.h"

#include <weft/cuda.h>

#define DRIVER(call) CHECK((call) == CUDA_SUCCESS)

static const char ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                          ".visible .global .u32 word = 5;\n"
                          ".visible .entry store(.param .u64 to) {\n .reg .b64 %d<2>;\n"
                          " .reg .b32 %r<2>;\n ld.param.u64 %d0, [to];\n"
                          " ld.global.u32 %r0, [word];\n st.global.u32 [%d0], %r0;\n ret;\n}\n";

static const char store_stub;
static uint32_t word;

static CUcontext current(void)
{
    CUcontext context;
    DRIVER(cuCtxGetCurrent(&context));
    return context;
}

static CUcontext owner(const void *pointer)
{
    CUcontext context;
    DRIVER(cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT,
                                 (CUdeviceptr)(uintptr_t)pointer));
    return context;
}

static uint32_t stored(void)
{
    uint32_t *to, got = 0;
    dim3 one = {1, 1, 1};
    void *arguments[] = {&to};
    CUcontext before = current();
    OK(cudaMalloc((void **)&to, 4));
    CHECK(!before || owner(to) == before);
    OK(cudaLaunchKernel(&store_stub, one, one, arguments, 0, NULL));
    OK(cudaMemcpy(&got, to, 4, cudaMemcpyDeviceToHost));
    OK(cudaFree(to));
    CHECK(!before || current() == before);
    return got;
}

/* The program's own context goes before the device that the runtime chose. */
static void own_context(void)
{
    CUcontext own, primary;
    uint32_t nine = 9;
    int device;
    OK(cudaSetDevice(0));
    primary = current();
    DRIVER(cuCtxCreate_v2(&own, 0, 1));
    CHECK(current() == own && own != primary);
    OK(cudaGetDevice(&device));
    CHECK(device == 1);
    CHECK(stored() == 5);
    OK(cudaMemcpyToSymbol(&word, &nine, 4, 0, cudaMemcpyHostToDevice));
    CHECK(stored() == 9);
    OK(cudaSetDevice(0)); /* the runtime's own choice goes before it in turn */
    CHECK(current() == primary && stored() == 5);
    DRIVER(cuCtxSetCurrent(own));
    CHECK(stored() == 9);
    DRIVER(cuCtxDestroy_v2(own));
    CHECK(current() != own && stored() == 5);
}

static void stack(void)
{
    CUcontext own, popped, primary;
    OK(cudaSetDevice(1));
    primary = current();
    DRIVER(cuCtxCreate_v2(&own, 0, 0));
    DRIVER(cuCtxPopCurrent_v2(&popped));
    CHECK(popped == own && current() == primary);
    DRIVER(cuCtxPushCurrent_v2(own));
    CHECK(stored() == 5 && current() == own);
    DRIVER(cuCtxPopCurrent_v2(&popped));
    CHECK(popped == own && current() == primary);
    DRIVER(cuCtxSetCurrent(NULL));
    int device;
    OK(cudaGetDevice(&device));
    CHECK(device == 1 && stored() == 5 && current() == primary);
    DRIVER(cuCtxDestroy_v2(own));
}

/* A reset by the driver's call, of which the runtime is not told. */
static void reset(void)
{
    uint32_t nine = 9;
    void *memory;
    unsigned int flags;
    int active;
    OK(cudaSetDevice(0));
    OK(cudaMalloc(&memory, 4));
    OK(cudaMemcpyToSymbol(&word, &nine, 4, 0, cudaMemcpyHostToDevice));
    CHECK(stored() == 9);
    DRIVER(cuDevicePrimaryCtxReset_v2(0));
    DRIVER(cuDevicePrimaryCtxGetState(0, &flags, &active));
    CHECK(!active);
    OK(cudaGetLastError());
    OK(cudaFree(NULL)); /* a context again */
    DRIVER(cuDevicePrimaryCtxGetState(0, &flags, &active));
    CHECK(active);
    uint32_t got = 1;
    CHECK(stored() == 5);
    FAILS(cudaMemcpy(&got, memory, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    FAILS(cudaFree(memory), cudaErrorInvalidValue);
    cudaGetLastError();
}

/* One that another thread ended is an error to who has it current, until it chooses another. */
static void *destroy(void *context)
{
    DRIVER(cuCtxDestroy_v2(context));
    return NULL;
}

static void destroyed(void)
{
    CUcontext own;
    pthread_t thread;
    void *memory;
    DRIVER(cuCtxCreate_v2(&own, 0, 0));
    CHECK(pthread_create(&thread, NULL, destroy, own) == 0);
    pthread_join(thread, NULL);
    FAILS(cudaMalloc(&memory, 4), cudaErrorContextIsDestroyed);
    FAILS(cudaGetLastError(), cudaErrorContextIsDestroyed);
    OK(cudaSetDevice(0));
    CHECK(stored() == 5);
}

/* Each thread has its own device, and the driver sees the runtime's choice. */
static void *on_second(void *unused)
{
    CUdevice device;
    int chosen;
    (void)unused;
    CHECK(current() == NULL);
    OK(cudaGetDevice(&chosen));
    CHECK(chosen == 0);
    OK(cudaSetDevice(1));
    DRIVER(cuCtxGetDevice(&device));
    CHECK(device == 1 && stored() == 5);
    return NULL;
}

static void threads(void)
{
    pthread_t thread;
    OK(cudaSetDevice(0));
    CHECK(pthread_create(&thread, NULL, on_second, NULL) == 0);
    pthread_join(thread, NULL);
    CUdevice device;
    DRIVER(cuCtxGetDevice(&device));
    CHECK(device == 0);
}

int main(void)
{
    void **handle = program_register(ptx);
    program_kernel(handle, &store_stub, "store");
    __cudaRegisterVar(handle, (char *)&word, (char *)"word", "word", 0, 4, 0, 0);
    __cudaRegisterFatBinaryEnd(handle);
    own_context();
    stack();
    reset();
    destroyed();
    threads();
    OK(cudaDeviceReset());
    OK(cudaSetDevice(0));
    CHECK(stored() == 5);
    __cudaUnregisterFatBinary(handle);
    return 0;
}

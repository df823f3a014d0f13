/* A thread whose current context is gone. What would break it: an older error of the context, which
 * nobody can do anything about, in place of CONTEXT_IS_DESTROYED; a thread that does not get on in
 * a new context. */
#include <pthread.h>

#include "check.h"

static const char ptx[] = PTX_HEAD ".visible .entry address(.param .u64 p)\n{\n"
                                   ".reg .u64 %a; .reg .u32 %v;\nld.param.u64 %a, [p];\n"
                                   "ld.global.u32 %v, [%a];\nst.global.u32 [%a], %v;\nret;\n}\n";

static void run_into_fault(CUmodule module)
{
    CUdeviceptr bad = 0x123456000;
    void *params[] = {&bad};
    OK(cuLaunchKernel(function_of(module, "address"), 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void expect_destroyed(void)
{
    CUdeviceptr memory;
    CUevent event;
    CUmodule module;
    CUdevice device;
    EXPECT(cuMemAlloc(&memory, 512), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    EXPECT(cuStreamQuery(NULL), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    EXPECT(cuStreamSynchronize(NULL), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    EXPECT(cuEventCreate(&event, 0), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    EXPECT(cuModuleLoadData(&module, ptx), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    EXPECT(cuCtxGetDevice(&device), CUDA_ERROR_CONTEXT_IS_DESTROYED);
}

static void *reset(void *unused)
{
    (void)unused;
    OK(cuDevicePrimaryCtxReset(0));
    return NULL;
}

static void *destroy(void *context)
{
    OK(cuCtxDestroy(context));
    return NULL;
}

static void in_another_thread(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, argument) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* With the error and without one before. */
static void check_primary(CUmodule module, int faults)
{
    CUcontext old, now, found;
    CUdeviceptr memory;
    OK(cuCtxGetCurrent(&old));
    if (faults)
        run_into_fault(module);
    in_another_thread(reset, NULL);
    OK(cuCtxGetCurrent(&found));
    CHECK(found == old);
    expect_destroyed();
    OK(cuDevicePrimaryCtxRetain(&now, 0));
    CHECK(now != old);
    OK(cuCtxSetCurrent(now));
    OK(cuMemAlloc(&memory, 512));
    OK(cuMemFree(memory));
}

static void check_own(int faults)
{
    CUcontext own, popped;
    CUmodule module;
    OK(cuCtxCreate(&own, NULL, 0, 0));
    OK(cuModuleLoadData(&module, ptx));
    if (faults)
        run_into_fault(module);
    in_another_thread(destroy, own);
    expect_destroyed();
    EXPECT(cuCtxDestroy(own), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuCtxSetCurrent(own), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuCtxPopCurrent(&popped));
    CHECK(popped == own);
}

int main(void)
{
    CUmodule module = start(ptx);
    check_own(1);
    check_own(0);
    check_primary(module, 1);
    OK(cuModuleLoadData(&module, ptx));
    check_primary(module, 0);
    return 0;
}

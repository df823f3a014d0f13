/* Limits of a context and of a device's memory. What would break it: a limit that does not exist on
 * the device, a value that no device has, a size that is changed too late and heard, or local
 * memory that the device has not for all of its threads. limits MAJOR: of the device. */
#include <stdbool.h>

#include "check.h"

#define LOCAL_KERNEL(name, bytes)                                                          \
    ".visible .entry " name "(.param .u64 out)\n{ .local .align 16 .b8 kept[" bytes "];\n" \
    ".reg .b64 %d<3>; .reg .b32 %r; ld.param.u64 %d0, [out]; mov.u64 %d1, kept;\n"         \
    "mov.u32 %r, 5; st.local.u32 [%d1+16], %r; ld.local.u32 %r, [%d1+16];\n"               \
    "st.global.u32 [%d0], %r; ret; }\n"

static const char ptx[] = PTX_HEAD
    ".extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);\n"
    ".global .align 1 .b8 text[4] = {104, 105, 10, 0};\n"
    ".visible .entry print()\n{ .param .b64 f; .param .b64 a; .param .b32 r; .reg .b64 %d<2>;\n"
    "mov.u64 %d0, text; cvta.global.u64 %d0, %d0; mov.u64 %d1, 0;\n"
    "st.param.b64 [f], %d0; st.param.b64 [a], %d1; call (r), vprintf, (f, a); ret; "
    "}\n" LOCAL_KERNEL("modest", "4096") LOCAL_KERNEL("greedy", "262144")
        LOCAL_KERNEL("impossible", "786432");

static CUmodule module;

static CUresult launch(const char *name)
{
    CUdeviceptr out;
    OK(cuMemAlloc(&out, 4));
    void *arguments[] = {&out};
    CUresult result =
        cuLaunchKernel(function_of(module, name), 1, 1, 1, 32, 1, 1, 0, NULL, arguments, NULL);
    return result ? result : cuCtxSynchronize();
}

static size_t limit(CUlimit which)
{
    size_t value;
    OK(cuCtxGetLimit(&value, which));
    return value;
}

static void check_exists(CUlimit which, bool exists)
{
    size_t value;
    CUresult wanted = exists ? CUDA_SUCCESS : CUDA_ERROR_UNSUPPORTED_LIMIT;
    EXPECT(cuCtxGetLimit(&value, which), wanted);
    EXPECT(cuCtxSetLimit(which, 16), wanted);
}

int main(int argc, char **argv)
{
    int major = argc > 1 ? atoi(argv[1]) : 0;
    module = start(ptx);
    check_exists(CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH, major < 9);
    check_exists(CU_LIMIT_PERSISTING_L2_CACHE_SIZE, major >= 8);
    check_exists(CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT, true);
    check_exists((CUlimit)100, false);
    EXPECT(cuCtxSetLimit(CU_LIMIT_MAX_L2_FETCH_GRANULARITY, 129), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxSetLimit(CU_LIMIT_MAX_L2_FETCH_GRANULARITY, 128));
    CHECK(limit(CU_LIMIT_MAX_L2_FETCH_GRANULARITY) == 128);

    EXPECT(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, (512 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
    CHECK(limit(CU_LIMIT_STACK_SIZE) == 1024);
    /* 40 GiB are not 256 KiB for each of 221184 threads; 4 GiB are 512 KiB for each of 8192. */
    bool crowded = major == 8;
    EXPECT(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 256 << 10),
           crowded ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS);
    OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 1000));
    CHECK(limit(CU_LIMIT_STACK_SIZE) == 1008);
    OK(launch("modest"));
    EXPECT(launch("greedy"), crowded ? CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES : CUDA_SUCCESS);
    EXPECT(launch("impossible"), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    OK(launch("modest"));

    OK(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 4096));
    OK(launch("print"));
    EXPECT(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 8192), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 4096));
    return 0;
}

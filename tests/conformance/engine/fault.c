/* fault KIND: runs a kernel that does what must not be done, checks what CUDA says of it, and
 * leaves what the person is told to who started it. */
#include "check.h"

/* The line numbers of the faulting instructions are in fault.py. */
static const char ptx[] = PTX_HEAD ".visible .entry address(.param .u64 p)\n"
                                   "{\n"
                                   ".reg .u64 %a; .reg .u32 %v;\n"
                                   "ld.param.u64 %a, [p];\n"
                                   "ld.global.u32 %v, [%a];\n"
                                   "st.global.u32 [%a], %v;\n"
                                   "ret;\n"
                                   "}\n"
                                   ".visible .entry stop(.param .u64 p)\n"
                                   "{\n"
                                   "trap;\n"
                                   "ret;\n"
                                   "}\n";

static const char unsupported[] = PTX_HEAD ".visible .entry good()\n"
                                           "{\n"
                                           "ret;\n"
                                           "}\n"
                                           ".visible .entry tensor()\n"
                                           "{\n"
                                           "tcgen05.wait::ld.sync.aligned;\n"
                                           "ret;\n"
                                           "}\n";

/* The module loads, and only who asks for the kernel hears of it: also by a handle of a library. */
static int ask_unsupported(void)
{
    CUmodule module;
    CUfunction function;
    CUlibrary library;
    CUkernel kernel;
    OK(cuModuleLoadData(&module, unsupported));
    OK(cuLaunchKernel(function_of(module, "good"), 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    EXPECT(cuModuleGetFunction(&function, module, "tensor"), CUDA_ERROR_NOT_SUPPORTED);
    OK(cuLibraryLoadData(&library, unsupported, NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetKernel(&kernel, library, "tensor"));
    EXPECT(cuKernelGetFunction(&function, kernel), CUDA_ERROR_NOT_SUPPORTED);
    EXPECT(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
           CUDA_ERROR_NOT_SUPPORTED);
    OK(cuCtxSynchronize());
    return 0;
}

static CUresult run(CUmodule module, const char *name, CUdeviceptr address)
{
    void *params[] = {&address};
    OK(cuLaunchKernel(function_of(module, name), 2, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
    return cuCtxSynchronize();
}

int main(int count, char **arguments)
{
    const char *kind = count > 1 ? arguments[1] : "";
    CUmodule module = start(ptx);
    CUdeviceptr good, bad = 0x123456000;
    CUcontext healthy, popped;
    CUresult wanted = CUDA_ERROR_ILLEGAL_ADDRESS;
    OK(cuMemAlloc(&good, 512));
    if (strcmp(kind, "address") == 0) {
        EXPECT(run(module, "address", bad), wanted);
    } else if (strcmp(kind, "freed") == 0) {
        OK(cuMemFree(good));
        EXPECT(run(module, "address", good), wanted);
    } else if (strcmp(kind, "alignment") == 0) {
        wanted = CUDA_ERROR_MISALIGNED_ADDRESS;
        EXPECT(run(module, "address", good + 2), wanted);
    } else if (strcmp(kind, "trap") == 0) {
        wanted = CUDA_ERROR_ILLEGAL_INSTRUCTION;
        EXPECT(run(module, "stop", good), wanted);
    } else if (strcmp(kind, "unsupported") == 0) {
        return ask_unsupported();
    } else {
        fprintf(stderr, "usage: fault address | freed | alignment | trap | unsupported\n");
        return 2;
    }
    /* Every later call in the context fails alike; another context is well. */
    EXPECT(cuMemAlloc(&bad, 512), wanted);
    EXPECT(cuStreamQuery(NULL), wanted);
    OK(cuCtxPopCurrent(&popped));
    OK(cuCtxCreate_v2(&healthy, 0, 0));
    OK(cuModuleLoadData(&module, ptx));
    OK(cuMemAlloc(&good, 512));
    OK(run(module, "address", good));
    OK(cuCtxDestroy(healthy));
    return 0;
}

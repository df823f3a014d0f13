/* busy ITERATIONS [BLOCKS [COUNT]]: enqueues kernels of so many iterations of a loop of three
 * instructions, BLOCKS of one warp each, one behind the other; for ever, or COUNT of them and then
 * says "done". It never waits for one, so there is always work waiting. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/cuda.h>

static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
                          ".visible .entry busy(.param .u32 iterations)\n{\n"
                          "    .reg .u32 %i;\n    .reg .pred %more;\n"
                          "    ld.param.u32 %i, [iterations];\n"
                          "again:\n    sub.u32 %i, %i, 1;\n    setp.ne.u32 %more, %i, 0;\n"
                          "    @%more bra again;\n    ret;\n}\n";

static void check(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(1);
}

int main(int argc, char **argv)
{
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction function;
    unsigned int iterations = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 1000,
                 blocks = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 2;
    unsigned long count = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    void *parameters[] = {&iterations};
    check(cuInit(0), "cuInit");
    check(cuDeviceGet(&device, 0), "cuDeviceGet");
    check(cuCtxCreate(&context, NULL, 0, device), "cuCtxCreate");
    check(cuModuleLoadData(&module, ptx), "cuModuleLoadData");
    check(cuModuleGetFunction(&function, module, "busy"), "cuModuleGetFunction");
    for (unsigned long i = 0; count == 0 || i < count; i++)
        check(cuLaunchKernel(function, blocks, 1, 1, 32, 1, 1, 0, NULL, parameters, NULL),
              "cuLaunchKernel");
    check(cuCtxSynchronize(), "cuCtxSynchronize");
    puts("done");
    return 0;
}

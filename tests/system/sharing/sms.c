/* sms [ROUNDS]: says how many SMs the device shows, and the grids that fill it; then, after each
 * line on stdin, launches a cooperative grid of just that size whose blocks all wait for each
 * other, and says on which SMs they began. A grid one block larger must be refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#define THREADS 1024
#define BLOCKS_MAX 4096

static const char ptx[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry meet(.param .u64 out, .param .u32 blocks)\n{\n"
    "    .reg .u64 %out, %at;\n    .reg .u32 %r, %block, %blocks, %sm, %most, %thread;\n"
    "    .reg .pred %more, %other;\n"
    "    ld.param.u64 %out, [out];\n    ld.param.u32 %blocks, [blocks];\n"
    "    mov.u32 %thread, %tid.x;\n    setp.ne.u32 %other, %thread, 0;\n    @%other bra end;\n"
    "    mov.u32 %block, %ctaid.x;\n    mov.u32 %sm, %smid;\n    mov.u32 %most, %nsmid;\n"
    "    mul.wide.u32 %at, %block, 8;\n    add.u64 %at, %at, %out;\n"
    "    st.global.u32 [%at+8], %sm;\n    st.global.u32 [%at+12], %most;\n"
    "    atom.global.add.u32 %r, [%out], 1;\n"
    "again:\n    ld.volatile.global.u32 %r, [%out];\n    setp.lt.u32 %more, %r, %blocks;\n"
    "    @%more bra again;\n"
    "end:\n    ret;\n}\n";

static void check(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(1);
}

static CUresult launch(CUfunction function, CUdeviceptr out, unsigned int blocks)
{
    void *parameters[] = {&out, &blocks};
    return cuLaunchCooperativeKernel(function, blocks, 1, 1, THREADS, 1, 1, 0, NULL, parameters);
}

static void show(const unsigned int *words, unsigned int blocks)
{
    char seen[1024] = {0};
    for (unsigned int i = 0; i < blocks; i++) {
        unsigned int sm = words[2 * i + 2], most = words[2 * i + 3];
        if (sm >= most || sm >= sizeof(seen))
            fprintf(stderr, "SM %u of %u\n", sm, most), exit(1);
        seen[sm] = 1;
    }
    printf("sms %u", words[3]);
    for (unsigned int i = 0; i < sizeof(seen); i++)
        if (seen[i])
            printf(" %u", i);
    puts("");
    fflush(stdout);
}

int main(void)
{
    static unsigned int words[2 * BLOCKS_MAX + 2];
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction function;
    CUdeviceptr out;
    int sms, each, grid, block;
    char line[16];
    check(cuInit(0), "cuInit");
    check(cuDeviceGet(&device, 0), "cuDeviceGet");
    check(cuCtxCreate(&context, NULL, 0, device), "cuCtxCreate");
    check(cuModuleLoadData(&module, ptx), "cuModuleLoadData");
    check(cuModuleGetFunction(&function, module, "meet"), "cuModuleGetFunction");
    check(cuMemAlloc(&out, sizeof(words)), "cuMemAlloc");
    check(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device), "SMs");
    check(cuOccupancyMaxActiveBlocksPerMultiprocessor(&each, function, THREADS, 0), "occupancy");
    check(cuOccupancyMaxPotentialBlockSize(&grid, &block, function, NULL, 0, THREADS), "potential");
    unsigned int blocks = (unsigned int)(sms * each);
    if (blocks == 0 || blocks > BLOCKS_MAX)
        return 1;
    printf("shown %d %d\n", sms, grid / each);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        check(cuMemsetD8(out, 0, sizeof(words)), "cuMemsetD8");
        if (launch(function, out, blocks + 1) != CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE)
            return 1;
        check(launch(function, out, blocks), "launch");
        check(cuMemcpyDtoH(words, out, sizeof(words)), "cuMemcpyDtoH");
        show(words, blocks);
    }
    return 0;
}

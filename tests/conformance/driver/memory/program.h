/* What the conformance programs of the driver's memory calls share. They are ordinary CUDA
 * programs: the first wrong answer ends them with its line. */
#ifndef WEFT_TESTS_MEMORY_PROGRAM_H
#define WEFT_TESTS_MEMORY_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>

#include <weft/cuda.h>

#define MIB (1ull << 20)

static inline void expect_result(CUresult got, CUresult wanted, const char *call, const char *file,
                                 int line)
{
    if (got == wanted)
        return;
    fprintf(stderr, "%s:%d: %s returned %d, not %d\n", file, line, call, (int)got, (int)wanted);
    exit(1);
}

static inline void expect_true(int holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    exit(1);
}

#define EXPECT(call, wanted) expect_result(call, wanted, #call, __FILE__, __LINE__)
#define DO(call) EXPECT(call, CUDA_SUCCESS)
#define TRUE(condition) expect_true(condition, #condition, __FILE__, __LINE__)

/* twice: to[i] = 2 * from[i] for i below count, one thread an element.
 * spin: waits until *flag is not 0.
 * touch: writes one word to the address. */
static const char *const program_ptx =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry twice(.param .u64 to, .param .u64 from, .param .u32 count)\n"
    "{\n"
    "  .reg .u64 %d<5>;\n  .reg .u32 %r<7>;\n  .reg .pred %p;\n"
    "  ld.param.u64 %d0, [to];\n  ld.param.u64 %d1, [from];\n  ld.param.u32 %r0, [count];\n"
    "  mov.u32 %r1, %ctaid.x;\n  mov.u32 %r2, %ntid.x;\n  mov.u32 %r3, %tid.x;\n"
    "  mad.lo.u32 %r4, %r1, %r2, %r3;\n"
    "  setp.ge.u32 %p, %r4, %r0;\n  @%p bra done;\n"
    "  mul.wide.u32 %d2, %r4, 4;\n  add.u64 %d3, %d1, %d2;\n  add.u64 %d4, %d0, %d2;\n"
    "  ld.u32 %r5, [%d3];\n  add.u32 %r6, %r5, %r5;\n  st.u32 [%d4], %r6;\n"
    "done:\n  ret;\n"
    "}\n"
    ".visible .entry spin(.param .u64 flag)\n"
    "{\n"
    "  .reg .u64 %d;\n  .reg .u32 %r;\n  .reg .pred %p;\n"
    "  ld.param.u64 %d, [flag];\n"
    "again:\n  ld.volatile.u32 %r, [%d];\n  setp.eq.u32 %p, %r, 0;\n  @%p bra again;\n  ret;\n"
    "}\n"
    ".visible .entry touch(.param .u64 address)\n"
    "{\n"
    "  .reg .u64 %d;\n"
    "  ld.param.u64 %d, [address];\n  st.u32 [%d], 1;\n  ret;\n"
    "}\n";

struct program {
    CUdevice device;
    CUcontext context;
    CUfunction twice, spin, touch;
};

static inline struct program program_start(void)
{
    struct program program;
    CUmodule module;
    DO(cuInit(0));
    DO(cuDeviceGet(&program.device, 0));
    DO(cuDevicePrimaryCtxRetain(&program.context, program.device));
    DO(cuCtxSetCurrent(program.context));
    DO(cuModuleLoadData(&module, program_ptx));
    DO(cuModuleGetFunction(&program.twice, module, "twice"));
    DO(cuModuleGetFunction(&program.spin, module, "spin"));
    DO(cuModuleGetFunction(&program.touch, module, "touch"));
    return program;
}

static inline void program_twice(const struct program *program, CUdeviceptr to, CUdeviceptr from,
                                 unsigned int count, CUstream stream)
{
    void *params[] = {&to, &from, &count};
    DO(cuLaunchKernel(program->twice, (count + 127) / 128, 1, 1, 128, 1, 1, 0, stream, params,
                      NULL));
}

/* A kernel that waits for a word of pinned memory, so that the stream is busy for as long. */
static inline void program_spin(const struct program *program, unsigned int *flag, CUstream stream)
{
    CUdeviceptr address;
    DO(cuMemHostGetDevicePointer(&address, flag, 0));
    void *params[] = {&address};
    DO(cuLaunchKernel(program->spin, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
}

#endif

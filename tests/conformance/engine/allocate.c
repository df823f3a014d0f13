/* The device's malloc and free. What would break it: lanes that get the same piece, a heap that
 * loses what is freed, is not charged, or is larger than its limit. */
#include "check.h"

#define HEAP_BYTES ((size_t)1 << 20)

/* keep: each thread allocates `bytes`, writes its number to the start, and stores the address.
 * drop: reads the number back and frees. */
static const char ptx[] =
    PTX_HEAD ".extern .func (.param .b64 r) malloc(.param .b64 size);\n"
             ".extern .func free(.param .b64 address);\n"
             ".visible .entry keep(.param .u64 out, .param .u64 bytes) {\n"
             "  .reg .b32 %r<3>; .reg .b64 %d<6>; .reg .pred %p;\n"
             "  .param .b64 a; .param .b64 r;\n"
             "  ld.param.u64 %d0, [out]; ld.param.u64 %d1, [bytes]; mov.u32 %r0, %tid.x;\n"
             "  mov.u32 %r1, %ctaid.x; mad.lo.u32 %r0, %r1, 64, %r0;\n"
             "  mul.wide.u32 %d2, %r0, 8; add.u64 %d2, %d0, %d2;\n"
             "  st.param.b64 [a], %d1; call (r), malloc, (a); ld.param.b64 %d3, [r];\n"
             "  st.global.u64 [%d2], %d3; setp.ne.u64 %p, %d3, 0; @%p st.u32 [%d3], %r0; ret;\n}\n"
             ".visible .entry drop(.param .u64 out, .param .u64 shift) {\n"
             "  .reg .b32 %r<3>; .reg .b64 %d<6>; .reg .pred %p; .param .b64 a;\n"
             "  ld.param.u64 %d0, [out]; ld.param.u64 %d4, [shift]; mov.u32 %r0, %tid.x;\n"
             "  mov.u32 %r1, %ctaid.x; mad.lo.u32 %r0, %r1, 64, %r0;\n"
             "  mul.wide.u32 %d2, %r0, 8; add.u64 %d2, %d0, %d2;\n"
             "  ld.global.u64 %d3, [%d2]; setp.ne.u64 %p, %d3, 0; @%p ld.u32 %r2, [%d3]; "
             "cvt.u64.u32 %d5, %r2;\n"
             "  st.global.u64 [%d2], %d5; add.u64 %d3, %d3, %d4;\n"
             "  st.param.b64 [a], %d3; call free, (a); ret;\n}\n";

enum { THREADS = 256 };

static CUmodule module;
static CUdeviceptr out;
static uint64_t seen[THREADS];

static CUresult run(const char *kernel, uint64_t value)
{
    void *arguments[] = {&out, &value};
    OK(cuLaunchKernel(function_of(module, kernel), THREADS / 64, 1, 1, 64, 1, 1, 0, NULL, arguments,
                      NULL));
    CUresult result = cuCtxSynchronize();
    if (result == CUDA_SUCCESS)
        OK(cuMemcpyDtoH(seen, out, sizeof(seen)));
    return result;
}

static size_t free_bytes(void)
{
    size_t left, all;
    OK(cuMemGetInfo(&left, &all));
    return left;
}

int main(void)
{
    module = start(ptx);
    OK(cuMemAlloc(&out, sizeof(seen)));
    OK(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, HEAP_BYTES));
    size_t before = free_bytes();
    /* Twice: the second time only what was freed can be given. */
    for (int round = 0; round < 2; round++) {
        OK(run("keep", HEAP_BYTES / THREADS));
        for (int i = 0; i < THREADS; i++)
            CHECK(seen[i] != 0 && seen[i] % 16 == 0);
        OK(run("drop", 0));
        for (int i = 0; i < THREADS; i++)
            CHECK(seen[i] == (uint64_t)i); /* nobody wrote over it */
    }
    CHECK(before - free_bytes() == HEAP_BYTES);
    EXPECT(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 2 * HEAP_BYTES), CUDA_ERROR_INVALID_VALUE);
    OK(run("keep", HEAP_BYTES / THREADS * 2));
    int given = 0;
    for (int i = 0; i < THREADS; i++)
        given += seen[i] != 0;
    CHECK(given == THREADS / 2);
    OK(run("drop", 0)); /* half of it NULL, which is freed without effect */
    OK(run("keep", HEAP_BYTES / THREADS));
    uint64_t pieces[THREADS];
    memcpy(pieces, seen, sizeof(pieces));
    OK(run("keep", 1));
    for (int i = 0; i < THREADS; i++)
        CHECK(pieces[i] != 0 && seen[i] == 0);
    OK(cuMemcpyHtoD(out, pieces, sizeof(pieces)));
    EXPECT(run("drop", 16), CUDA_ERROR_ILLEGAL_ADDRESS); /* no start of a piece */
    return 0;
}

/* Launches as programs of before CUDA 4.0 wrote them, and the launch of one kernel on several
 * devices. What would break it: a setting that does not reach the launch, reaches another function,
 * or is forgotten after it. */
#include "check.h"

static const char text[] =
    PTX_HEAD ".global .attribute(.managed) .u32 shared_word = 7;\n.global .u32 plain_word = 8;\n"
             ".visible .entry fill(.param .u64 out, .param .u32 add, .param .f32 scale) {\n"
             "  .reg .b32 %r<8>; .reg .b64 %d<4>; .reg .f32 %f<3>;\n"
             "  ld.param.u64 %d0, [out]; ld.param.u32 %r0, [add]; ld.param.f32 %f0, [scale];\n"
             "  mov.u32 %r1, %tid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %ctaid.x;\n"
             "  mov.u32 %r4, %ctaid.y; mov.u32 %r5, %nctaid.x; mad.lo.u32 %r3, %r4, %r5, %r3;\n"
             "  mad.lo.u32 %r1, %r3, %r2, %r1; mul.wide.u32 %d1, %r1, 4; add.u64 %d0, %d0, %d1;\n"
             "  cvt.rn.f32.u32 %f1, %r1; mul.f32 %f1, %f1, %f0; cvt.rzi.u32.f32 %r6, %f1;\n"
             "  mov.u32 %r7, %dynamic_smem_size; add.u32 %r6, %r6, %r7; add.u32 %r6, %r6, %r0;\n"
             "  st.global.u32 [%d0], %r6; ret;\n}\n"
             ".visible .entry nothing() { ret; }\n";

#define CELLS 24

static void check_cells(CUdeviceptr out, uint32_t count, uint32_t add, float scale)
{
    uint32_t cells[CELLS];
    OK(cuMemcpyDtoH(cells, out, sizeof(cells)));
    for (uint32_t i = 0; i < CELLS; i++)
        CHECK(cells[i] == (i < count ? (uint32_t)((float)i * scale) + add : UINT32_MAX));
    OK(cuMemsetD32(out, UINT32_MAX, CELLS));
}

static void launch_the_old_way(CUmodule module, CUdeviceptr out)
{
    CUfunction fill = function_of(module, "fill");
    CUfunction nothing = function_of(module, "nothing");
    CUstream stream;
    OK(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
    OK(cuFuncSetBlockShape(fill, 4, 1, 1));
    OK(cuFuncSetBlockShape(nothing, 1, 2, 3));
    OK(cuFuncSetSharedSize(fill, 64));
    OK(cuParamSetv(fill, 0, &out, sizeof(out)));
    OK(cuParamSeti(fill, 8, 1000));
    OK(cuParamSetf(fill, 12, 2.5f));
    EXPECT(cuLaunch(fill), CUDA_ERROR_INVALID_VALUE); /* no size yet */
    OK(cuParamSetSize(fill, 16));
    OK(cuLaunch(fill));
    check_cells(out, 4, 1064, 2.5f);
    OK(cuLaunchGrid(fill, 3, 2));
    check_cells(out, 24, 1064, 2.5f);
    OK(cuParamSeti(fill, 8, 5));
    OK(cuFuncSetSharedSize(fill, 0));
    OK(cuLaunchGridAsync(fill, 2, 1, stream));
    OK(cuParamSeti(fill, 8, 6)); /* the launch before has its own */
    OK(cuStreamSynchronize(stream));
    check_cells(out, 8, 5, 2.5f);
    OK(cuLaunch(nothing));
    EXPECT(cuFuncSetBlockShape(fill, 0, 1, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuFuncSetBlockShape(fill, 1024, 2, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuFuncSetSharedSize(fill, 1u << 30), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuParamSeti(fill, -4, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuParamSeti(fill, 4094, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuParamSetv(fill, 0, NULL, 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuParamSetSize(fill, 5000), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLaunchGrid(fill, 0, 1), CUDA_ERROR_INVALID_VALUE);
    OK(cuStreamDestroy(stream));
}

static void launch_on_several(CUmodule module, CUdeviceptr out)
{
    CUstream stream;
    uint32_t add = 9;
    float scale = 1.0f;
    void *arguments[] = {&out, &add, &scale};
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CUDA_LAUNCH_PARAMS one = {.function = function_of(module, "fill"),
                              .gridDimX = 2,
                              .gridDimY = 1,
                              .gridDimZ = 1,
                              .blockDimX = 8,
                              .blockDimY = 1,
                              .blockDimZ = 1,
                              .hStream = stream,
                              .kernelParams = arguments};
    OK(cuLaunchCooperativeKernelMultiDevice(&one, 1, 0));
    OK(cuStreamSynchronize(stream));
    check_cells(out, 16, 9, 1.0f);
    EXPECT(cuLaunchCooperativeKernelMultiDevice(&one, 0, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLaunchCooperativeKernelMultiDevice(&one, 1, 64), CUDA_ERROR_INVALID_VALUE);
    one.hStream = NULL;
    EXPECT(cuLaunchCooperativeKernelMultiDevice(&one, 1, 0), CUDA_ERROR_INVALID_VALUE);
    OK(cuStreamDestroy(stream));
}

static void ask_a_library(void)
{
    CUlibrary library;
    CUdeviceptr address = 0;
    size_t bytes = 0;
    void *function;
    OK(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetManaged(&address, &bytes, library, "shared_word"));
    CHECK(address != 0 && bytes == 4);
    EXPECT(cuLibraryGetManaged(&address, &bytes, library, "plain_word"), CUDA_ERROR_NOT_FOUND);
    EXPECT(cuLibraryGetUnifiedFunction(&function, library, "fill"), CUDA_ERROR_NOT_FOUND);
    OK(cuLibraryUnload(library));
}

int main(void)
{
    CUmodule module = start(text);
    CUdeviceptr out;
    OK(cuMemAlloc(&out, CELLS * sizeof(uint32_t)));
    OK(cuMemsetD32(out, UINT32_MAX, CELLS));
    launch_the_old_way(module, out);
    launch_on_several(module, out);
    ask_a_library();
    OK(cuProfilerInitialize("none", "none", CU_OUT_CSV));
    return 0;
}

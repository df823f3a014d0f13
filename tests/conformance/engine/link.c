/* A kernel whose functions and data come from other inputs of a link. What would break it: a call
 * or an address that still has its place of before the link. */
#include "check.h"

/* Three functions before, so that no index of this input is right for the whole by chance. */
static const char caller[] = PTX_HEAD
    ".extern .func (.param .b32 r) weigh(.param .b32 x);\n"
    ".extern .global .u32 offsets[4];\n"
    ".func (.param .b32 r) add(.param .b32 x) {\n"
    "  .reg .b32 %r<2>; ld.param.b32 %r0, [x]; add.u32 %r0, %r0, 1000;\n"
    "  st.param.b32 [r], %r0; ret;\n}\n"
    ".visible .entry run(.param .u64 out) {\n"
    "  .reg .b32 %r<6>; .reg .b64 %d<5>;\n"
    "  .param .b32 a0; .param .b32 r0;\n"
    "  mov.u32 %r0, %tid.x;\n"
    "  mul.wide.u32 %d1, %r0, 4;\n"
    "  mov.u64 %d2, offsets; add.u64 %d2, %d2, %d1; ld.global.u32 %r1, [%d2];\n"
    "  st.param.b32 [a0], %r1; call (r0), weigh, (a0); ld.param.b32 %r2, [r0];\n"
    "  st.param.b32 [a0], %r2; call (r0), add, (a0); ld.param.b32 %r2, [r0];\n"
    "  ld.param.u64 %d0, [out]; add.u64 %d0, %d0, %d1; st.global.u32 [%d0], %r2; ret;\n}\n";
static const char callee[] =
    PTX_HEAD ".global .u32 unused = 3;\n.visible .global .u32 offsets[4] = {10, 20, 30, 40};\n"
             ".func (.param .b32 r) add(.param .b32 x) {\n"
             "  .reg .b32 %r<2>; ld.param.b32 %r0, [x]; add.u32 %r0, %r0, 1;\n"
             "  st.param.b32 [r], %r0; ret;\n}\n"
             ".global .u64 chosen = add;\n"
             ".visible .func (.param .b32 r) weigh(.param .b32 x) {\n"
             "  .reg .b32 %r<3>; .reg .b64 %d<1>; .param .b32 a0; .param .b32 r0;\n"
             "  ld.param.b32 %r0, [x]; mul.lo.u32 %r0, %r0, 2;\n"
             "  ld.global.u64 %d0, [chosen]; st.param.b32 [a0], %r0;\n"
             "  shape: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
             "  call (r0), %d0, (a0), shape; ld.param.b32 %r1, [r0];\n"
             "  st.param.b32 [r], %r1; ret;\n}\n";

int main(void)
{
    start(PTX_HEAD);
    CUlinkState state;
    CUmodule module;
    CUdeviceptr out;
    void *image;
    size_t bytes;
    uint32_t values[4];
    OK(cuLinkCreate(0, NULL, NULL, &state));
    OK(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)caller, sizeof(caller), "caller",
                     0, NULL, NULL));
    OK(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)callee, sizeof(callee), "callee",
                     0, NULL, NULL));
    OK(cuLinkComplete(state, &image, &bytes));
    OK(cuModuleLoadData(&module, image));
    OK(cuLinkDestroy(state));
    OK(cuMemAlloc(&out, sizeof(values)));
    void *arguments[] = {&out};
    OK(cuLaunchKernel(function_of(module, "run"), 1, 1, 1, 4, 1, 1, 0, NULL, arguments, NULL));
    OK(cuMemcpyDtoH(values, out, sizeof(values)));
    for (uint32_t i = 0; i < 4; i++)
        CHECK(values[i] == (i + 1) * 20 + 1 + 1000);
    return 0;
}

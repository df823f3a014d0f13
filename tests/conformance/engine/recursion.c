/* Recursion with the stack that a context has by itself. What would break it: calls that take so
 * much more of the stack than on a device that programs which run there do not run here, or a
 * recursion without end that is not stopped. */
#include "check.h"

#define DEPTH 40
#define DEEP 2000u
#define STACK_BYTES ((size_t)256 << 10)

/* Each call has locals and keeps a value over the call: n + (n - 1) + ... + 1, and never for 0. */
static const char ptx[] = PTX_HEAD
    ".func (.param .b32 sum) down (.param .b32 n)\n{\n"
    "    .local .align 16 .b8 kept[32]; .reg .b32 %n, %rest; .reg .b64 %at; .reg .pred %last;\n"
    "    ld.param.b32 %n, [n]; mov.u64 %at, kept; st.local.u32 [%at+16], %n;\n"
    "    setp.eq.u32 %last, %n, 1; mov.b32 %rest, 0;\n"
    "    @%last bra DONE;\n"
    "    {\n"
    "    .param .b32 less; .param .b32 got; sub.u32 %n, %n, 1;\n"
    "    st.param.b32 [less], %n; call (got), down, (less); ld.param.b32 %rest, [got];\n"
    "    }\n"
    "DONE: ld.local.u32 %n, [%at+16]; add.u32 %n, %n, %rest; st.param.b32 [sum], %n;\n"
    "    ret;\n}\n"
    ".visible .entry recurse(.param .u64 out, .param .u32 depth)\n{\n"
    "    .reg .b32 %n; .reg .b64 %out;\n"
    "    ld.param.u64 %out, [out]; ld.param.u32 %n, [depth];\n"
    "    {\n"
    "    .param .b32 n; .param .b32 got;\n"
    "    st.param.b32 [n], %n; call (got), down, (n); ld.param.b32 %n, [got];\n"
    "    }\n"
    "    st.global.u32 [%out], %n;\n"
    "    ret;\n}\n";

/* A context that failed is good for nothing: a new one. */
static void start_again(CUfunction *recurse, CUdeviceptr *out)
{
    OK(cuDevicePrimaryCtxReset(0));
    *recurse = function_of(start(ptx), "recurse");
    OK(cuMemAlloc(out, sizeof(unsigned int)));
}

static CUresult recurse_to(CUfunction recurse, CUdeviceptr out, unsigned int depth)
{
    void *params[] = {&out, &depth};
    unsigned int sum = 0;
    OK(cuLaunchKernel(recurse, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    CUresult result = cuCtxSynchronize();
    if (result == CUDA_SUCCESS) {
        OK(cuMemcpyDtoH(&sum, out, sizeof(sum)));
        CHECK(sum == depth * (depth + 1) / 2);
    }
    return result;
}

/* The deepest recursion that a stack of so many bytes holds, right to the last call; one call more
 * fails as a card says, and the next context is a good one. */
static unsigned int check_edge(size_t stack_bytes)
{
    CUfunction recurse;
    CUdeviceptr out;
    unsigned int good = 1, bad = (unsigned int)stack_bytes;
    while (bad - good > 1) {
        unsigned int depth = good + (bad - good) / 2;
        start_again(&recurse, &out);
        OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, stack_bytes));
        CUresult result = recurse_to(recurse, out, depth);
        CHECK(result == CUDA_SUCCESS || result == CUDA_ERROR_HARDWARE_STACK_ERROR);
        *(result == CUDA_SUCCESS ? &good : &bad) = depth;
    }
    start_again(&recurse, &out);
    OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, stack_bytes));
    OK(recurse_to(recurse, out, good));
    OK(recurse_to(recurse, out, good));
    EXPECT(recurse_to(recurse, out, good + 1), CUDA_ERROR_HARDWARE_STACK_ERROR);
    return good;
}

int main(void)
{
    CUfunction recurse = function_of(start(ptx), "recurse");
    CUdeviceptr out;
    OK(cuMemAlloc(&out, sizeof(unsigned int)));
    unsigned int depth = DEPTH, sum = 0;
    void *params[] = {&out, &depth};
    OK(cuLaunchKernel(recurse, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(&sum, out, sizeof(sum)));
    CHECK(sum == DEPTH * (DEPTH + 1) / 2);
    /* Far deeper than the default allows; then as deep as a larger stack does. */
    depth = DEEP;
    OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, STACK_BYTES));
    OK(cuLaunchKernel(recurse, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(&sum, out, sizeof(sum)));
    CHECK(sum == DEEP * (DEEP + 1) / 2);
    OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 1024));
    OK(cuLaunchKernel(recurse, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_HARDWARE_STACK_ERROR);
    start_again(&recurse, &out);
    depth = 0;
    OK(cuLaunchKernel(recurse, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_HARDWARE_STACK_ERROR);
    unsigned int shallow = check_edge(4096), deep = check_edge(16384);
    CHECK(shallow > 4 && deep > 3 * shallow);
    return 0;
}

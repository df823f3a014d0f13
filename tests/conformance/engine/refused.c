/* Instructions and calls that no device here has: a kernel with one is refused when it is asked
 * for, and the module's other kernels run. What would break it is a kernel that runs without them,
 * or a module that is refused as a whole. */
#include "check.h"

#define HEAD ".version 8.6\n.target sm_90a\n.address_size 64\n"
#define GOOD                                                                              \
    ".visible .entry good(.param .u64 p)\n{ .reg .u64 %p; .reg .u32 %v; .reg .pred %q;\n" \
    "mov.pred %q, %is_explicit_cluster; selp.u32 %v, 2, 1, %q; ld.param.u64 %p, [p];\n"   \
    "st.global.u32 [%p], %v; ret; }\n"
#define BEGIN                                                                                   \
    ".visible .entry bad(.param .u64 p)\n{ .shared .align 128 .b8 s[1024]; .reg .u64 %p, %d;\n" \
    ".reg .b32 %r<9>; .reg .f32 %f<9>; .reg .b16 %h<4>; .reg .pred %q; ld.param.u64 %p, [p];\n"

static const char *const instructions[] = {
    "wgmma.fence.sync.aligned;",
    "wgmma.commit_group.sync.aligned;",
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f0,%f1,%f2,%f3}, %d, %d, 1, 1, 1, 0, 0;",
    "multimem.ld_reduce.global.add.f32 %f0, [%p];",
    "multimem.red.global.add.f32 [%p], %f0;",
    "multimem.st.global.f32 [%p], %f0;",
    "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [s], [%p, "
    "{%r0}], [s];",
    "cp.async.bulk.tensor.1d.global.shared::cta.tile.bulk_group [%p, {%r0}], [s];",
    "cp.async.bulk.prefetch.tensor.1d.L2.global.tile [%p, {%r0}];",
    "tcgen05.fence::before_thread_sync;",
    "tcgen05.wait::ld.sync.aligned;",
    "tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [s], 64;",
    "tcgen05.mma.cta_group::1.kind::f16 [%r0], %d, %d, %r1, %q;",
    "ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r0,%r1}, [s];",
    "ldmatrix.sync.aligned.m8n16.x1.shared.b8x16.b6x16_p32 {%r0}, [s];",
    "mma.sync.aligned.kind::f8f6f4.m16n8k32.row.col.f32.e2m1.e2m1.f32 {%f0,%f1,%f2,%f3}, "
    "{%r0,%r1,%r2,%r3}, {%r4,%r5}, {%f0,%f1,%f2,%f3};",
    "add.rn.f32x2 %d, %d, %d;",
    "ld.global.v8.b32 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, [%p];",
};

static void check_refused(const char *instruction, CUdeviceptr out)
{
    static char text[8192];
    CUmodule module;
    CUfunction bad, good;
    uint32_t value = 0;
    void *params[] = {&out};
    snprintf(text, sizeof(text), "%s%s%s%s ret; }\n", HEAD, GOOD, BEGIN, instruction);
    OK(cuModuleLoadData(&module, text));
    CUresult result = cuModuleGetFunction(&bad, module, "bad");
    if (result != CUDA_ERROR_NOT_SUPPORTED)
        fprintf(stderr, "%s: %d\n", instruction, (int)result);
    CHECK(result == CUDA_ERROR_NOT_SUPPORTED);
    OK(cuModuleGetFunction(&good, module, "good"));
    OK(cuMemsetD32(out, 0, 1));
    OK(cuLaunchKernel(good, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(&value, out, sizeof(value)));
    CHECK(value == 1);
    OK(cuModuleUnload(module));
}

/* What no device has is an error of the text. */
static void check_unknown(void)
{
    static const char *const nonsense[] = {"tcgen05.fance;", "tcgen05.fence::between_threads;",
                                           "tcgen05;", "add::rn.f32 %f0, %f1, %f2;",
                                           "ldmatrix.sync.aligned.m8n8.x1.shared.b8 {%r0}, [s];"};
    static char text[8192];
    CUmodule module;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        snprintf(text, sizeof(text), "%s%s%s%s ret; }\n", HEAD, GOOD, BEGIN, nonsense[i]);
        EXPECT(cuModuleLoadData(&module, text), CUDA_ERROR_INVALID_PTX);
    }
}

/* %is_explicit_cluster of a launch that states its cluster. */
static void check_explicit(CUdeviceptr out)
{
    CUmodule module;
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                                   .value.clusterDim = {1, 1, 1}};
    CUlaunchConfig config = {.gridDimX = 1,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 1,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .attrs = &attribute,
                             .numAttrs = 1};
    uint32_t value = 0;
    void *params[] = {&out};
    OK(cuModuleLoadData(&module, HEAD GOOD));
    OK(cuLaunchKernelEx(&config, function_of(module, "good"), params, NULL));
    OK(cuMemcpyDtoH(&value, out, sizeof(value)));
    CHECK(value == 2);
    OK(cuModuleUnload(module));
}

static const char extremes[] =
    HEAD ".visible .entry extremes(.param .u64 p)\n{ .shared .align 16 .b8 s[16]; .reg .u64 %p;\n"
         "ld.param.u64 %p, [p]; st.shared.v4.u32 [s], {0x3c00c000, 0x7e003c00, 0, 0x80000001};\n"
         "cp.reduce.async.bulk.global.shared::cta.bulk_group.max.f16 [%p], [s], 16;\n"
         "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0; ret; }\n";

/* The larger of each pair of halves; of a number and NaN the number. */
static void check_extremes(CUdeviceptr out)
{
    static const uint32_t before[4] = {0x40003c00, 0x3c004000, 0xbc000001, 0x00000002};
    static const uint32_t wanted[4] = {0x40003c00, 0x3c004000, 0x00000001, 0x00000002};
    uint32_t after[4];
    CUmodule module;
    void *params[] = {&out};
    OK(cuModuleLoadData(&module, extremes));
    OK(cuMemcpyHtoD(out, before, sizeof(before)));
    OK(cuLaunchKernel(function_of(module, "extremes"), 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(after, out, sizeof(after)));
    for (int i = 0; i < 4; i++)
        CHECK(after[i] == wanted[i]);
    OK(cuModuleUnload(module));
}

static void check_tensor_maps(CUdeviceptr out)
{
    CUtensorMap map;
    cuuint64_t size[1] = {64};
    cuuint32_t box[1] = {16}, stride[1] = {1};
    EXPECT(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 1, (void *)(uintptr_t)out,
                                  size, NULL, box, stride, CU_TENSOR_MAP_INTERLEAVE_NONE,
                                  CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
           CUDA_ERROR_NOT_SUPPORTED);
    EXPECT(cuTensorMapReplaceAddress(&map, (void *)(uintptr_t)out), CUDA_ERROR_NOT_SUPPORTED);
}

int main(void)
{
    CUdeviceptr out;
    start(HEAD GOOD);
    OK(cuMemAlloc(&out, 64));
    for (size_t i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++)
        check_refused(instructions[i], out);
    check_unknown();
    check_explicit(out);
    check_extremes(out);
    check_tensor_maps(out);
    return 0;
}

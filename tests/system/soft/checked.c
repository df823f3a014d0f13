/* checked DEFECT [pooled]: one kernel with one planted defect, on the soft GPU; `clean` has none.
 * Its memory is of cuMemAlloc or, `pooled`, stream-ordered. Prints the result of the kernel. What
 * is said of it on stderr is check_test.py's to judge. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#define OK(call)                                                              \
    do {                                                                      \
        CUresult ok_result = (call);                                          \
        if (ok_result) {                                                      \
            fprintf(stderr, "%d: %s: %d\n", __LINE__, #call, (int)ok_result); \
            exit(2);                                                          \
        }                                                                     \
    } while (0)

#define BYTES 1000
#define TURNS 20
#define WRITTEN_BYTES 512

/* %p: 1000 bytes, all written; %q: 1000 bytes, the first 512 of them written; %f: freed; %i: the
 * thread. The defect stands in line 12. */
#define HEAD                                                                                       \
    ".version 8.3\n.target sm_90\n.address_size 64\n.file 1 \"defect.cu\"\n"                       \
    ".visible .entry kernel(.param .u64 p, .param .u64 q, .param .u64 f, .param .u32 n)\n"         \
    ".reqnctapercluster 2 { .reg .pred %is0; .reg .b32 %r<9>; .reg .b64 %d<9>; .reg .u64 %p, %q, " \
    "%f, %a;\n"                                                                                    \
    "  .shared .align 16 .b8 wide[512]; .shared .align 16 .b8 left[12]; .shared .align 16 .b8 "    \
    "right[16];\n"                                                                                 \
    "  .reg .f32 %f<3>; .reg .b128 %w<2>; .local .align 16 .b8 "                                   \
    "own[12]; .reg .u32 %i, %s;\n"                                                                 \
    "ld.param.u64 %p, [p]; ld.param.u64 %q, [q]; ld.param.u64 %f, [f];\n"                          \
    "mov.u32 %i, %tid.x; setp.eq.u32 %is0, %i, 3; mov.u32 %r0, 7;\n"                               \
    ".loc 1 34 5\n"
#define TAIL "\nret; }\n"

static const struct {
    const char *name, *body;
} defects[] = {
    {"past_end", "@%is0 st.global.u32 [%p+1000], %r0;"},
    {"far_past_end", "@%is0 st.global.u32 [%p+1128], %r0;"},
    {"straddles", "@%is0 ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%p+992];"},
    {"freed", "@%is0 ld.global.u32 %r1, [%f+16];"},
    {"misaligned", "@%is0 ld.global.u32 %r1, [%p+2];"},
    {"unwritten", "@%is0 ld.global.u32 %r1, [%q+512];"},
    {"unwritten_atom", "@%is0 atom.global.add.u32 %r1, [%q+516], %r0;"},
    {"unwritten_vector", "@%is0 ld.global.v2.u32 {%r1,%r2}, [%q+504]; @%is0 ld.global.v4.u32 "
                         "{%r1,%r2,%r3,%r4}, [%q+504+8];"},
    {"atom_past_end", "@%is0 atom.global.add.u32 %r1, [%p+1000], %r0;"},
    {"volatile_past_end", "@%is0 ld.volatile.global.u32 %r1, [%p+1000];"},
    {"generic_past_end", "@%is0 st.u8 [%p+1000], %r0;"},
    {"shared_past_end", "mov.u32 %s, left; @%is0 st.shared.u32 [%s+12], %r0;"},
    {"shared_generic", "mov.u32 %s, right; cvt.u64.u32 %a, %s; cvta.shared.u64 %a, %a; @%is0 "
                       "st.u32 [%a+16], %r0;"},
    {"shared_unwritten", "mov.u32 %s, right; @%is0 ld.shared.u32 %r1, [%s+4];"},
    {"local_past_end", "mov.u32 %s, own; @%is0 st.local.u32 [%s+12], %r0;"},
    {"param_past_end", "@%is0 ld.param.u64 %d1, [n];"},
    {"copy_past_end", "mov.u32 %s, right; @%is0 cp.async.ca.shared.global [%s], [%p+1000], 4;"},
    {"copy_of_unwritten", "mov.u32 %s, right; @%is0 cp.async.ca.shared.global [%s], [%q+516], 4;"},
    {"bulk_past_end", "@%is0 cp.async.bulk.global.shared::cta.bulk_group [%p+992], [right], 16;"},
    {"bulk_of_unwritten", "@%is0 cp.async.bulk.global.shared::cta.bulk_group [%p], [right], 16;"},
    {"mbarrier_unwritten", "@%is0 mbarrier.arrive.shared.b64 %d1, [right];"},
    {"cluster_past_end", "mov.u32 %s, right; mapa.shared::cluster.u32 %s, %s, 1; @%is0 "
                         "st.shared::cluster.u32 [%s+16], %r0;"},
    {"cluster_unwritten", "mov.u32 %s, right; mapa.shared::cluster.u32 %s, %s, 0; @%is0 "
                          "ld.shared::cluster.u32 %r1, [%s+8];"},
    {"unwritten_vector_atom", "@%is0 atom.global.add.v2.f32 {%f1,%f2}, [%q+512], {%f1,%f2};"},
    {"vector_atom_past_end", "@%is0 red.global.add.v2.f32 [%p+1000], {%f1,%f2};"},
    {"unwritten_wide", "@%is0 atom.global.exch.b128 %w1, [%q+512], %w1;"},
    {"matrix_past_end",
     "mov.u32 %s, right; stmatrix.sync.aligned.m8n8.x1.shared.b16 [%s+16], {%r0};"},
    {"clean_copies",
     "cp.async.ca.shared.global [right], [%p], 16; cp.async.wait_all; "
     "ld.shared.v4.u32 {%r1,%r2,%r3,%r4}, [right]; bar.sync 0; "
     "@%is0 cp.async.bulk.global.shared::cta.bulk_group [%q+512], [right], 16; "
     "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0; "
     "@%is0 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%q+512], [right], 16; "
     "@%is0 ld.global.u32 %r1, [%q+516]; "
     "@%is0 mbarrier.init.shared.b64 [right], 1; "
     "@%is0 mbarrier.arrive.expect_tx.shared.b64 %d1, [right], 16; "
     "@%is0 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [wide], [%p], 16, "
     "[right]; bar.sync 0; mbarrier.test_wait.shared.b64 %is0, [right], %d1; "
     "mbarrier.test_wait.parity.shared.b64 %is0, [right], 0; ld.shared.u32 %r1, [wide+12]; "
     "bar.sync 0; mbarrier.inval.shared.b64 [right]; ld.shared.u64 %d1, [right];"},
    {"clean_matrices",
     "setp.lt.u32 %is0, %i, 32; @!%is0 ret; mov.u32 %s, wide; mad.lo.u32 %s, %i, 16, %s; "
     "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%s], {%r0,%r0,%r0,%r0}; "
     "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1,%r2,%r3,%r4}, [%s]; "
     "ld.shared.v4.u32 {%r1,%r2,%r3,%r4}, [%s]; "
     "wmma.store.d.sync.aligned.row.m16n16k16.global.f16 [%q], {%r1,%r2,%r3,%r4}; "
     "add.u64 %a, %q, 480; "
     "wmma.store.d.sync.aligned.row.m16n16k16.global.f16 [%a], {%r1,%r2,%r3,%r4}; "
     "wmma.load.c.sync.aligned.row.m16n16k16.global.f16 {%r1,%r2,%r3,%r4}, [%a]; "
     "ld.global.u32 %r1, [%q+988];"},
    {"clean_cluster",
     "mov.u32 %s, right; mov.u32 %r1, %cluster_ctarank; xor.b32 %r1, %r1, 1; "
     "mapa.shared::cluster.u32 %s, %s, %r1; @%is0 st.shared::cluster.v4.u32 [%s], "
     "{%r0,%r0,%r0,%r0}; @%is0 mbarrier.init.shared.b64 [wide], 1; "
     "barrier.cluster.arrive; barrier.cluster.wait; "
     "ld.shared.v4.u32 {%r2,%r3,%r4,%r5}, [right]; ld.shared::cluster.u32 %r2, [%s+12]; "
     "atom.shared::cluster.add.u32 %r2, [%s+8], %r0; cvt.u64.u32 %a, %s; "
     "cvta.shared.u64 %a, %a; ld.u32 %r2, [%a+4]; mov.u32 %s, wide; "
     "mapa.shared::cluster.u32 %s, %s, %r1; "
     "@%is0 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%s]; "
     "barrier.cluster.arrive; barrier.cluster.wait;"},
    {"clean_atomics",
     "@%is0 st.global.v4.u32 [%q+512], {%r0,%r0,%r0,%r0}; "
     "@%is0 atom.global.add.v4.f32 {%f1,%f2,%f1,%f2}, [%q+512], {%f1,%f2,%f1,%f2}; "
     "@%is0 red.global.add.v2.f32 [%p+992], {%f1,%f2}; "
     "@%is0 atom.global.exch.b128 %w1, [%q+512], %w1; @%is0 atom.global.cas.b128 %w1, [%p+976], "
     "%w1, %w1; vadd.u32.u32.u32.add %r1, %r0, %r0, %r0;"},
    {"clean",
     "mov.u32 %s, right; mul.wide.u32 %a, %i, 4; add.u64 %a, %a, %q; st.global.u32 [%a+512], %i; "
     "ld.global.u32 %r1, [%a+512]; ld.global.v4.u32 {%r2,%r3,%r4,%r5}, [%p+976]; @%is0 "
     "st.shared.v4.u32 [%s], {%r1,%r2,%r3,%r4}; bar.sync 0; ld.shared.u8 %r6, [%s+15]; "
     "ld.shared.v2.u32 {%r1,%r2}, [%s+8]; mov.u32 %s, own; st.local.u32 [%s+8], %r1; ld.local.u32 "
     "%r2, [%s+8]; cp.async.ca.shared.global [left], [%p+996], 4; cp.async.wait_all; "
     "@%is0 atom.global.add.u32 %r1, [%p+996], %r0; ld.param.u32 %r1, [n];"},
};

static CUdeviceptr allocate(CUstream stream)
{
    CUdeviceptr address;
    if (stream)
        OK(cuMemAllocAsync(&address, BYTES, stream));
    else
        OK(cuMemAlloc(&address, BYTES));
    return address;
}

/* In a stream: pieces that are given back and taken anew while kernels before that still wait, with
 * every byte of each used, and none read before it is written. */
static void take_turns(CUfunction function, CUstream stream, CUdeviceptr p, uint32_t n)
{
    char zeros[BYTES] = {0};
    for (int i = 0; i < TURNS; i++) {
        CUdeviceptr q = allocate(stream), f = allocate(stream);
        void *arguments[] = {&p, &q, &f, &n};
        OK(cuMemcpyHtoDAsync(f, zeros, BYTES, stream));
        OK(cuMemsetD8Async(q, 1, i % 2 ? BYTES : WRITTEN_BYTES, stream));
        OK(cuLaunchKernel(function, 2, 1, 1, 40, 1, 1, 0, stream, arguments, NULL));
        OK(cuMemFreeAsync(q, stream));
        OK(cuMemFreeAsync(f, stream));
    }
}

static CUresult run(const char *body, bool pooled)
{
    static char ptx[8192];
    CUcontext context;
    CUmodule module;
    CUfunction function;
    CUdeviceptr p, q, f, untouched;
    char zeros[BYTES] = {0};
    uint32_t n = 5;
    snprintf(ptx, sizeof(ptx), "%s%s%s", HEAD, body, TAIL);
    OK(cuInit(0));
    OK(cuDevicePrimaryCtxRetain(&context, 0));
    OK(cuCtxSetCurrent(context));
    CUstream stream = NULL;
    if (pooled)
        OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    p = allocate(stream);
    q = allocate(stream);
    untouched = allocate(stream);
    f = allocate(stream);
    (void)untouched;
    OK(cuMemcpyHtoDAsync(p, zeros, BYTES, stream));
    OK(cuMemsetD8Async(q, 1, WRITTEN_BYTES, stream));
    OK(cuMemcpyHtoDAsync(f, zeros, BYTES, stream));
    if (pooled)
        OK(cuMemFreeAsync(f, stream));
    else
        OK(cuMemFree(f));
    OK(cuModuleLoadData(&module, ptx));
    OK(cuModuleGetFunction(&function, module, "kernel"));
    void *arguments[] = {&p, &q, &f, &n};
    if (pooled && strcmp(body, defects[sizeof(defects) / sizeof(defects[0]) - 1].body) == 0)
        take_turns(function, stream, p, n);
    OK(cuLaunchKernel(function, 2, 1, 1, 40, 1, 1, 0, stream, arguments, NULL));
    return cuCtxSynchronize();
}

int main(int argc, char **argv)
{
    bool pooled = argc == 3 && strcmp(argv[2], "pooled") == 0;
    for (size_t i = 0; (argc == 2 || pooled) && i < sizeof(defects) / sizeof(defects[0]); i++) {
        if (strcmp(defects[i].name, argv[1]) == 0) {
            printf("%d\n", (int)run(defects[i].body, pooled));
            return 0;
        }
    }
    return 3;
}

/* Time of a warp's instruction on one core, for each instruction set, and how many additions of
 * float32 take as long in the same run. Samples are interleaved; medians. */
#include <stdio.h>
#include <string.h>

#include "../timing.h"
#include "warp.h"

#define REPEATS 8u /* of the instruction in a round */
#define SAMPLES 7
#define TEXT_BYTES 2048

static const char registers[] = ".reg .pred %p;\n.reg .b16 %h<4>;\n.reg .b32 %r<4>;\n"
                                ".reg .f32 %f<4>;\n.reg .b64 %d<4>;";

static const char *const forms[] = {
    "add.f32 %f1, %f2, %f3;", /* what the others are compared with */
    "div.rn.f32 %f1, %f2, %f3;",
    "ex2.approx.f32 %f1, %f2;",
    "lg2.approx.f32 %f1, %f2;",
    "sin.approx.f32 %f1, %f2;",
    "rem.u32 %r1, %r2, %r3;",
    "div.u64 %d1, %d2, %d3;",
    "cvt.f32.f16 %f1, %h1;",
    "cvt.rn.f16.f32 %h1, %f1;",
    "cvt.rn.bf16x2.f32 %r1, %f1, %f2;",
    "cvt.rna.tf32.f32 %r1, %f1;",
    "cvt.rni.s32.f32 %r1, %f1;",
    "cvt.rmi.f32.f32 %f1, %f2;",
    "cvt.rzi.u32.f32 %r1, %f1;",
    "cvt.rzi.s64.f32 %d1, %f1;",
    "fma.rn.f16x2 %r1, %r2, %r3, %r1;",
    "vabsdiff4.u32.u32.u32.add %r1, %r2, %r3, %r1;",
    "dp4a.s32.s32 %r1, %r2, %r3, %r1;",
    "shfl.sync.bfly.b32 %r1, %r2, 1, 31, -1;",
    "vote.sync.ballot.b32 %r1, %p, -1;",
};
#define FORMS (sizeof(forms) / sizeof(*forms))

static int prepare(const char *form, struct warp_kernel *kernel)
{
    char body[TEXT_BYTES] = "";
    for (uint32_t i = 0; i < REPEATS; i++)
        strncat(body, form, TEXT_BYTES - strlen(body) - 1);
    return warp_kernel_prepare(kernel, registers, body);
}

static double measure(const struct warp_kernel *full, const struct warp_kernel *empty,
                      enum weft_exec_isa isa)
{
    double samples[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = warp_kernel_run(full, isa) - warp_kernel_run(empty, isa);
    return bench_quantile(samples, SAMPLES, 0.5) / (WARP_ROUNDS * REPEATS);
}

int main(void)
{
    struct warp_kernel kernels[FORMS], empty;
    int failed = warp_kernel_prepare(&empty, registers, "");
    for (size_t i = 0; i < FORMS && !failed; i++)
        failed = prepare(forms[i], &kernels[i]);
    if (failed)
        return 1;
    printf("A warp's instruction on one core: ns, and in additions of float32\n"
           "%-46s %16s %16s %16s\n",
           "form", "baseline", "avx2", "avx512");
    double unit[WEFT_EXEC_ISA_COUNT];
    for (size_t i = 0; i < FORMS; i++) {
        printf("%-46s", forms[i]);
        for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
            double ns = measure(&kernels[i], &empty, (enum weft_exec_isa)isa);
            if (i == 0)
                unit[isa] = ns;
            printf(" %8.1f %5.1f x", ns, unit[isa] > 0 ? ns / unit[isa] : 0);
        }
        putchar('\n');
        warp_kernel_finish(&kernels[i]);
    }
    warp_kernel_finish(&empty);
    return 0;
}

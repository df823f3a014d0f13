/* Matrix products on one core: time of a warp's instruction for each instruction set, and how many
 * times longer it takes than a plain C loop that multiplies the same matrices in float32 (float64
 * for .f64). Samples are interleaved; medians. */
#include <stdio.h>
#include <string.h>

#include "../timing.h"
#include "warp.h"

#define PRODUCTS 4u /* in a round, one after the other */
#define SAMPLES 7
#define TEXT_BYTES 4096
#define SIDE_MAX 32

struct bench {
    const char *name, *form; /* mma.sync.aligned.FORM */
    const char *d, *a, *b;   /* registers; c is d */
    bool wide;               /* of 64 bits */
    uint32_t m, n, k;
};

static const struct bench benches[] = {
    {"f16 to f32", "m16n8k16.row.col.f32.f16.f16.f32", "%d0,%d1,%d2,%d3", "%a0,%a1,%a2,%a3",
     "%b0,%b1", false, 16, 8, 16},
    {"f16", "m16n8k16.row.col.f16.f16.f16.f16", "%d0,%d1", "%a0,%a1,%a2,%a3", "%b0,%b1", false, 16,
     8, 16},
    {"bf16", "m16n8k16.row.col.f32.bf16.bf16.f32", "%d0,%d1,%d2,%d3", "%a0,%a1,%a2,%a3", "%b0,%b1",
     false, 16, 8, 16},
    {"tf32", "m16n8k8.row.col.f32.tf32.tf32.f32", "%d0,%d1,%d2,%d3", "%a0,%a1,%a2,%a3", "%b0,%b1",
     false, 16, 8, 8},
    {"s8", "m16n8k32.row.col.s32.s8.s8.s32", "%d0,%d1,%d2,%d3", "%a0,%a1,%a2,%a3", "%b0,%b1", false,
     16, 8, 32},
    {"f64", "m8n8k4.row.col.f64.f64.f64.f64", "%d0,%d1", "%a0", "%b0", true, 8, 8, 4},
};

static int prepare(const struct bench *bench, bool with_products, struct warp_kernel *kernel)
{
    char body[TEXT_BYTES] = "", registers[TEXT_BYTES];
    size_t used = 0;
    snprintf(registers, TEXT_BYTES, ".reg .b%d %%a<4>, %%b<4>, %%d<4>;", bench->wide ? 64 : 32);
    for (uint32_t i = 0; with_products && i < PRODUCTS; i++)
        used += (size_t)snprintf(body + used, TEXT_BYTES - used,
                                 "mma.sync.aligned.%s {%s}, {%s}, {%s}, {%s};\n", bench->form,
                                 bench->d, bench->a, bench->b, bench->d);
    return warp_kernel_prepare(kernel, registers, body);
}

#define LOOP(name, type)                                                                           \
    static double name(const struct bench *bench)                                                  \
    {                                                                                              \
        static type a[SIDE_MAX * SIDE_MAX], b[SIDE_MAX * SIDE_MAX], sums[SIDE_MAX * SIDE_MAX];     \
        double start = cpu_now_ns();                                                               \
        for (uint32_t round = 0; round < WARP_ROUNDS * PRODUCTS; round++) {                        \
            for (uint32_t row = 0; row < bench->m; row++)                                          \
                for (uint32_t step = 0; step < bench->k; step++)                                   \
                    for (uint32_t column = 0; column < 8; column++)                                \
                        sums[row * 8 + column] += a[row * bench->k + step] * b[step * 8 + column]; \
            __asm__ volatile("" ::: "memory");                                                     \
        }                                                                                          \
        return cpu_now_ns() - start;                                                               \
    }
LOOP(multiply_floats, float)
LOOP(multiply_doubles, double)

static int measure(const struct bench *bench)
{
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    double times[WEFT_EXEC_ISA_COUNT][SAMPLES], native[SAMPLES];
    struct warp_kernel full = {0}, empty = {0};
    if (prepare(bench, true, &full) || prepare(bench, false, &empty))
        return 1;
    for (int sample = 0; sample < SAMPLES; sample++) {
        native[sample] = bench->wide ? multiply_doubles(bench) : multiply_floats(bench);
        for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++)
            times[isa][sample] = warp_kernel_run(&full, (enum weft_exec_isa)isa) -
                                 warp_kernel_run(&empty, (enum weft_exec_isa)isa);
    }
    double native_ns = bench_quantile(native, SAMPLES, 0.5);
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
        double ns = bench_quantile(times[isa], SAMPLES, 0.5);
        if (ns > 0)
            printf("%-12s %-9s %8.0f %9.1f x\n", bench->name, names[isa],
                   ns / (WARP_ROUNDS * PRODUCTS), ns / native_ns);
    }
    warp_kernel_finish(&full);
    warp_kernel_finish(&empty);
    return 0;
}

int main(void)
{
    printf("Matrix products on one core: time of a warp's mma, and of the C loop\n"
           "%-12s %-9s %8s %11s\n",
           "types", "set", "ns", "C loop ×");
    int failed = 0;
    for (size_t i = 0; i < sizeof(benches) / sizeof(*benches); i++)
        failed |= measure(&benches[i]);
    return failed;
}

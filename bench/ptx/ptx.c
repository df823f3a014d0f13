/* Throughput of the warp executor: lane-operations a second (active lanes × warp instructions) of
 * three kernels on one core, for each instruction set, and how many times longer they take than
 * plain C loops that do the same work. The results of both are compared. Samples are interleaved;
 * medians. */
#include <stdio.h>
#include <string.h>

#include "../timing.h"
#include "kernels.h"
#include "softgpu/exec/exec.h"

#define WINDOW_BYTES (8u << 20)
#define BASE 0x700000000000ull
#define SAMPLES 7
#define SAXPY_COUNT (1u << 16)
#define MATMUL_ROUNDS 60
#define IMAGE_WIDTH 256
#define IMAGE_HEIGHT 160
#define IMAGE_LIMIT 128

struct kernel {
    const char *name, *text;
    double target; /* 10⁹ lane-operations a second with AVX2 */
    uint32_t grid, block[2];
    double lane_ops, native_ns;
    struct weft_ptx_module *module;
    struct weft_exec_program *program;
    const struct weft_exec_kernel *lowered;
    struct {
        uint64_t address[2];
        uint32_t word[2];
    } params;
};

/* The time that this thread had the processor: what one core does, also on a busy machine. */
static double cpu_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint8_t *window;
static uint64_t live[WINDOW_BYTES / WEFT_EXEC_LIVE_BLOCK_BYTES / 64];
static struct weft_exec_memory memory;

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static int prepare(struct kernel *kernel)
{
    struct weft_err err = {0};
    if (weft_ptx_parse(&kernel->module, kernel->text, strlen(kernel->text), &err) ||
        weft_exec_program_create(&kernel->program, kernel->module, NULL, &err) ||
        weft_exec_program_kernel(kernel->program, 0, &kernel->lowered, &err)) {
        fprintf(stderr, "%s: %s\n", kernel->name, err.text);
        return -1;
    }
    return 0;
}

static double run(const struct kernel *kernel)
{
    struct weft_exec_launch launch = {
        .kernel = kernel->lowered,
        .memory = &memory,
        .params = &kernel->params,
        .grid = {kernel->grid, 1, 1},
        .block = {kernel->block[0], kernel->block[1], 1},
        .stack_bytes = 1024,
        .sm_count = 1,
    };
    struct weft_exec_block *block;
    uint64_t retired = 0;
    if (weft_exec_block_create(&block, &launch, NULL))
        return 0;
    double start = cpu_now_ns();
    for (uint32_t i = 0; i < kernel->grid; i++) {
        weft_exec_block_start(block, i, 0);
        while (weft_exec_block_run(block, UINT64_MAX, &retired) == WEFT_EXEC_PREEMPTED)
            ;
    }
    double took = cpu_now_ns() - start;
    weft_exec_block_destroy(block);
    return took;
}

static float *floats_at(uint64_t offset)
{
    return (float *)(window + offset);
}

static void fill(void)
{
    for (uint32_t i = 0; i < SAXPY_COUNT; i++) {
        floats_at(0)[i] = (float)i;
        floats_at(1 << 20)[i] = 1;
        floats_at(2 << 20)[i] = 1;
    }
}

static float tiles[2][MATMUL_TILE * MATMUL_TILE];
static uint32_t image[IMAGE_WIDTH * IMAGE_HEIGHT];
static float product[MATMUL_TILE * MATMUL_TILE];

static double native(const struct kernel *kernel)
{
    double start = cpu_now_ns();
    if (strcmp(kernel->name, "saxpy") == 0)
        native_saxpy(floats_at(2 << 20), floats_at(0), 2, SAXPY_COUNT);
    else if (strcmp(kernel->name, "matmul") == 0)
        native_matmul(product, tiles[0], tiles[1], MATMUL_ROUNDS);
    else
        native_mandelbrot(image, IMAGE_WIDTH, IMAGE_WIDTH * IMAGE_HEIGHT, 3.0f / IMAGE_WIDTH,
                          IMAGE_LIMIT);
    return cpu_now_ns() - start;
}

static int verify(const struct kernel *kernel)
{
    fill();
    memset(window + (3 << 20), 0, 1 << 20);
    run(kernel);
    native(kernel);
    int wrong = 0;
    if (strcmp(kernel->name, "saxpy") == 0)
        wrong = memcmp(floats_at(1 << 20), floats_at(2 << 20), SAXPY_COUNT * sizeof(float));
    else if (strcmp(kernel->name, "matmul") == 0)
        wrong = memcmp(window + (3 << 20), product, sizeof(product));
    else
        wrong = memcmp(window + (3 << 20), image, sizeof(image));
    if (wrong)
        printf("%s: the results differ from the C loop's\n", kernel->name);
    return wrong != 0;
}

static double mandelbrot_ops(void)
{
    double ops = 0;
    native_mandelbrot(image, IMAGE_WIDTH, IMAGE_WIDTH * IMAGE_HEIGHT, 3.0f / IMAGE_WIDTH,
                      IMAGE_LIMIT);
    for (uint32_t i = 0; i < IMAGE_WIDTH * IMAGE_HEIGHT; i++)
        ops += MANDELBROT_OTHER_INSNS + (double)image[i] * MANDELBROT_ROUND_INSNS +
               (image[i] < IMAGE_LIMIT ? 5 : 0);
    return ops;
}

static void measure(struct kernel *kernel)
{
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    double times[WEFT_EXEC_ISA_COUNT][SAMPLES], native_times[SAMPLES];
    for (int sample = 0; sample < SAMPLES; sample++) {
        native_times[sample] = native(kernel);
        for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++)
            times[isa][sample] = weft_exec_isa_force((enum weft_exec_isa)isa) ? run(kernel) : 0;
    }
    double native_ns = bench_quantile(native_times, SAMPLES, 0.5);
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
        double ns = bench_quantile(times[isa], SAMPLES, 0.5);
        if (ns == 0)
            printf("%-12s %-9s %s\n", kernel->name, names[isa], "not on this machine");
        else
            printf("%-12s %-9s %8.2f %12.1f x   %s\n", kernel->name, names[isa],
                   kernel->lane_ops / ns, ns / native_ns,
                   isa != WEFT_EXEC_ISA_AVX2                 ? ""
                   : kernel->lane_ops / ns >= kernel->target ? "target met"
                                                             : "BELOW TARGET");
    }
}

int main(void)
{
    double matmul_steps = MATMUL_ROUNDS * (8.0 * MATMUL_STEP_INSNS + 6) + 20;
    struct kernel kernels[] = {
        {.name = "saxpy",
         .text = saxpy_text,
         .target = 1.5,
         .grid = SAXPY_COUNT / 256,
         .block = {256, 1},
         .lane_ops = (double)SAXPY_COUNT * SAXPY_INSNS,
         .params = {{BASE, BASE + (1 << 20)}, {float_bits(2), SAXPY_COUNT}}},
        {.name = "matmul",
         .text = matmul_text,
         .target = 1.9,
         .grid = 1,
         .block = {MATMUL_TILE, MATMUL_TILE},
         .lane_ops = matmul_steps * MATMUL_TILE * MATMUL_TILE,
         .params = {{BASE + (3 << 20), MATMUL_ROUNDS}, {0, 0}}},
        {.name = "mandelbrot",
         .text = mandelbrot_text,
         .target = 1.2,
         .grid = IMAGE_WIDTH * IMAGE_HEIGHT / 256,
         .block = {256, 1},
         .lane_ops = mandelbrot_ops()},
    };
    struct {
        uint64_t out;
        uint32_t width;
        float scale;
        uint32_t limit;
    } image_params = {BASE + (3 << 20), IMAGE_WIDTH, 3.0f / IMAGE_WIDTH, IMAGE_LIMIT};
    memcpy(&kernels[2].params, &image_params, sizeof(image_params));
    window = aligned_alloc(4096, WINDOW_BYTES);
    if (window == NULL)
        return 1;
    memset(live, 0xff, sizeof(live));
    memory = (struct weft_exec_memory){
        .window_base = BASE,
        .window_bytes = WINDOW_BYTES,
        .alias_delta = (int64_t)((uint64_t)(uintptr_t)window - BASE),
        .live = live,
        .shared_base = 0x7f0000000000,
        .local_base = 0x7f1000000000,
        .param_base = 0x7f2000000000,
    };
    for (uint32_t i = 0; i < MATMUL_TILE * MATMUL_TILE; i++) {
        tiles[0][i] = (float)(i % MATMUL_TILE);
        tiles[1][i] = (float)(i / MATMUL_TILE);
    }
    printf("PTX on one core: 10^9 lane-operations/s, and the time of the C loop\n"
           "%-12s %-9s %8s %14s\n",
           "kernel", "set", "Glop/s", "C loop ×");
    int wrong = 0;
    for (int i = 0; i < 3; i++) {
        if (prepare(&kernels[i]))
            return 1;
        wrong |= verify(&kernels[i]);
        measure(&kernels[i]);
        weft_exec_program_destroy(kernels[i].program);
        weft_ptx_destroy(kernels[i].module);
    }
    free(window);
    return wrong;
}

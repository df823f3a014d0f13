/* Texture fetches a second on one core, for each instruction set, and how many times longer they
 * take than plain C loops that fetch the same. The sums of both are compared. Samples are
 * interleaved; medians. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../timing.h"
#include "softgpu/exec/exec.h"

#define BASE 0x700000000000ull
#define WINDOW_BYTES (8u << 20)
#define TEXELS_AT (1u << 20)
#define SIDE 256u
#define THREADS 256u
#define BLOCKS 64u
#define ROUNDS 16u
#define SAMPLES 7
#define HANDLE 1u

/* Each thread sums ROUNDS fetches along its row; %s is the fetch at %f4, %f5 or %r4. */
static const char text_format[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry sums(.param .u64 out, .param .u64 image)\n{\n.reg .pred %%p;\n"
    ".reg .f32 %%f<12>;\n.reg .b32 %%r<8>;\n.reg .b64 %%rd<4>;\n"
    "ld.param.u64 %%rd1, [out];\nld.param.u64 %%rd2, [image];\nmov.u32 %%r1, %%tid.x;\n"
    "mov.u32 %%r2, %%ctaid.x;\nmad.lo.u32 %%r3, %%r2, 256, %%r1;\ncvt.rn.f32.u32 %%f4, %%r1;\n"
    "cvt.rn.f32.u32 %%f5, %%r2;\nadd.f32 %%f4, %%f4, 0f3F400000;\nadd.f32 %%f5, %%f5, 0f3F200000;\n"
    "mov.u32 %%r4, %%r3;\nmov.f32 %%f0, 0f00000000;\nmov.f32 %%f1, %%f0;\nmov.f32 %%f2, %%f0;\n"
    "mov.f32 %%f3, %%f0;\nmov.u32 %%r5, 0;\nLOOP:\n%s;\nadd.f32 %%f0, %%f0, %%f6;\n"
    "add.f32 %%f1, %%f1, %%f7;\nadd.f32 %%f2, %%f2, %%f8;\nadd.f32 %%f3, %%f3, %%f9;\n"
    "add.f32 %%f5, %%f5, 0f3F800000;\nadd.u32 %%r4, %%r4, 256;\nadd.u32 %%r5, %%r5, 1;\n"
    "setp.lt.u32 %%p, %%r5, 16;\n@%%p bra LOOP;\nmul.wide.u32 %%rd3, %%r3, 16;\n"
    "add.u64 %%rd1, %%rd1, %%rd3;\nst.global.v4.f32 [%%rd1], {%%f0, %%f1, %%f2, %%f3};\nret;\n}\n";
#define PLANE "tex.2d.v4.f32.f32 {%f6, %f7, %f8, %f9}, [%rd2, {%f4, %f5}]"
#define BUFFER "tex.1d.v4.f32.s32 {%f6, %f7, %f8, %f9}, [%rd2, {%r4}]"

struct bench {
    const char *name, *fetch;
    enum weft_exec_image_shape shape;
    CUarray_format format;
    uint32_t texel_bytes;
    CUfilter_mode filter;
    const struct weft_exec_kernel *kernel;
};

static uint8_t *window;
static uint64_t live[WINDOW_BYTES / WEFT_EXEC_LIVE_BLOCK_BYTES / 64];
static struct weft_exec_memory memory;
static struct weft_exec_texture texture;
static float sums[BLOCKS * THREADS][4];

static const struct weft_exec_texture *find(uint64_t handle)
{
    return handle == HANDLE ? &texture : NULL;
}

static double cpu_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void describe(const struct bench *bench)
{
    bool buffer = bench->shape == WEFT_EXEC_IMAGE_LINEAR;
    texture = (struct weft_exec_texture){
        .image = {.shape = bench->shape,
                  .format = bench->format,
                  .channels = 4,
                  .texel_bytes = bench->texel_bytes,
                  .level_count = 1},
        .address_mode = {CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_CLAMP,
                         CU_TR_ADDRESS_MODE_CLAMP},
        .filter = bench->filter,
    };
    texture.image.levels[0] =
        (struct weft_exec_image_level){.address = BASE + TEXELS_AT,
                                       .row_bytes = SIDE * bench->texel_bytes,
                                       .slice_bytes = SIDE * SIDE * bench->texel_bytes,
                                       .width = buffer ? SIDE * SIDE : SIDE,
                                       .height = buffer ? 1 : SIDE,
                                       .depth = 1};
    for (uint32_t i = 0; i < SIDE * SIDE * 4; i++) {
        float value = (float)(i % 1021);
        if (bench->format == CU_AD_FORMAT_FLOAT)
            memcpy(window + TEXELS_AT + i * 4, &value, 4);
        else
            window[TEXELS_AT + i] = (uint8_t)(i % 251);
    }
}

static float texel(const struct bench *bench, uint32_t i, uint32_t j, uint32_t channel)
{
    uint32_t at = 4 * (j * SIDE + i) + channel;
    float value;
    if (bench->format != CU_AD_FORMAT_FLOAT)
        return (float)window[TEXELS_AT + at] / 255.0f;
    memcpy(&value, window + TEXELS_AT + at * 4, 4);
    return value;
}

static uint32_t inside(float at)
{
    return at < 0 ? 0 : at > (float)(SIDE - 1) ? SIDE - 1 : (uint32_t)at;
}

static void native_fetch(const struct bench *bench, float x, float y, float *sum)
{
    float i = floorf(x - 0.5f), j = floorf(y - 0.5f);
    float a = floorf((x - 0.5f - i) * 256 + 0.5f) / 256;
    float b = floorf((y - 0.5f - j) * 256 + 0.5f) / 256;
    uint32_t i0 = inside(i), i1 = inside(i + 1), j0 = inside(j), j1 = inside(j + 1);
    for (uint32_t c = 0; c < 4; c++)
        sum[c] += (1 - a) * (1 - b) * texel(bench, i0, j0, c) +
                  a * (1 - b) * texel(bench, i1, j0, c) + (1 - a) * b * texel(bench, i0, j1, c) +
                  a * b * texel(bench, i1, j1, c);
}

static double native(const struct bench *bench)
{
    double start = cpu_now_ns();
    memset(sums, 0, sizeof(sums));
    for (uint32_t thread = 0; thread < BLOCKS * THREADS; thread++)
        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint32_t i = thread % THREADS, j = thread / THREADS + round;
            if (bench->filter == CU_TR_FILTER_MODE_LINEAR)
                native_fetch(bench, (float)i + 0.75f, (float)j + 0.625f, sums[thread]);
            else
                for (uint32_t c = 0; c < 4; c++)
                    sums[thread][c] += texel(bench, i, j, c);
        }
    return cpu_now_ns() - start;
}

static double run(const struct bench *bench)
{
    struct {
        uint64_t out, image;
    } params = {BASE, HANDLE};
    struct weft_exec_launch launch = {.kernel = bench->kernel,
                                      .memory = &memory,
                                      .params = &params,
                                      .grid = {BLOCKS, 1, 1},
                                      .block = {THREADS, 1, 1},
                                      .stack_bytes = 1024,
                                      .sm_count = 1};
    struct weft_exec_block *block;
    uint64_t retired = 0;
    if (weft_exec_block_create(&block, &launch, NULL))
        return 0;
    double start = cpu_now_ns();
    for (uint32_t i = 0; i < BLOCKS; i++) {
        weft_exec_block_start(block, i, 0);
        while (weft_exec_block_run(block, UINT64_MAX, &retired) == WEFT_EXEC_PREEMPTED)
            ;
    }
    double took = cpu_now_ns() - start;
    weft_exec_block_destroy(block);
    return took;
}

static int verify(const struct bench *bench)
{
    run(bench);
    native(bench);
    if (memcmp(window, sums, sizeof(sums)) == 0)
        return 0;
    printf("%s: the sums differ from the C loop's\n", bench->name);
    return 1;
}

static void measure(const struct bench *bench)
{
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    const double fetches = (double)BLOCKS * THREADS * ROUNDS;
    double times[WEFT_EXEC_ISA_COUNT][SAMPLES], native_times[SAMPLES];
    for (int sample = 0; sample < SAMPLES; sample++) {
        native_times[sample] = native(bench);
        for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++)
            times[isa][sample] = weft_exec_isa_force((enum weft_exec_isa)isa) ? run(bench) : 0;
    }
    double native_ns = bench_quantile(native_times, SAMPLES, 0.5);
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
        double ns = bench_quantile(times[isa], SAMPLES, 0.5);
        if (ns == 0)
            printf("%-20s %-9s not on this machine\n", bench->name, names[isa]);
        else
            printf("%-20s %-9s %8.1f %12.1f x\n", bench->name, names[isa], fetches / ns * 1e3,
                   ns / native_ns);
    }
}

static int bench_one(struct bench *bench)
{
    char text[2048];
    struct weft_ptx_module *module = NULL;
    struct weft_exec_program *program = NULL;
    struct weft_err err = {0};
    snprintf(text, sizeof(text), text_format, bench->fetch);
    int failed = weft_ptx_parse(&module, text, strlen(text), &err) ||
                 weft_exec_program_create(&program, module, NULL, &err) ||
                 weft_exec_program_kernel(program, 0, &bench->kernel, &err);
    if (failed) {
        fprintf(stderr, "%s: %s\n", bench->name, err.text);
    } else {
        describe(bench);
        failed = verify(bench);
        measure(bench);
    }
    weft_exec_program_destroy(program);
    weft_ptx_destroy(module);
    return failed;
}

int main(void)
{
    struct bench benches[] = {
        {.name = "2-D linear, float4",
         .fetch = PLANE,
         .shape = WEFT_EXEC_IMAGE_2D,
         .format = CU_AD_FORMAT_FLOAT,
         .texel_bytes = 16,
         .filter = CU_TR_FILTER_MODE_LINEAR},
        {.name = "2-D linear, uchar4",
         .fetch = PLANE,
         .shape = WEFT_EXEC_IMAGE_2D,
         .format = CU_AD_FORMAT_UNSIGNED_INT8,
         .texel_bytes = 4,
         .filter = CU_TR_FILTER_MODE_LINEAR},
        {.name = "buffer, float4",
         .fetch = BUFFER,
         .shape = WEFT_EXEC_IMAGE_LINEAR,
         .format = CU_AD_FORMAT_FLOAT,
         .texel_bytes = 16,
         .filter = CU_TR_FILTER_MODE_POINT},
    };
    window = aligned_alloc(4096, WINDOW_BYTES);
    if (window == NULL)
        return 1;
    memset(live, 0xff, sizeof(live));
    memory = (struct weft_exec_memory){.window_base = BASE,
                                       .window_bytes = WINDOW_BYTES,
                                       .alias_delta = (int64_t)((uint64_t)(uintptr_t)window - BASE),
                                       .live = live,
                                       .shared_base = 0x7f0000000000,
                                       .local_base = 0x7f1000000000,
                                       .param_base = 0x7f2000000000,
                                       .texture = find};
    printf(
        "Textures on one core: 10^6 fetches/s, and the time of the C loop\n%-20s %-9s %8s %14s\n",
        "texture", "set", "Mfetch/s", "C loop ×");
    int wrong = 0;
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
        wrong |= bench_one(&benches[i]);
    free(window);
    return wrong;
}

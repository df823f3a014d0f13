/* What a large module costs of which one kernel is used: its load, that kernel and its unloading,
 * against the same of a module with that kernel alone. Interleaved, medians. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#include "../timing.h"

#define SAMPLES 21
#define KERNELS 2000
#define LINES 170 /* of a kernel, some 30 bytes each: 10 MB in all */
#define LINE_BYTES 40
#define KERNEL_BYTES (LINES * LINE_BYTES + 400)
#define SHARE_GOAL 0.1 /* of what it costs to read all bodies */

#define HEAD ".version 7.0\n.target sm_75\n.address_size 64\n"

static void check(CUresult result, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", call, (int)result);
    exit(1);
}
#define CHECK(call) check(call, #call)

static size_t write_kernel(char *at, int number)
{
    size_t used = (size_t)sprintf(at,
                                  ".visible .entry kernel_%d(.param .u64 out) {\n"
                                  "    .reg .b64 %%rd<2>;\n    .reg .b32 %%r<%d>;\n"
                                  "    ld.param.u64 %%rd1, [out];\n    mov.u32 %%r0, %%tid.x;\n",
                                  number, LINES + 1);
    for (int i = 1; i <= LINES; i++)
        used += (size_t)sprintf(at + used, "    xor.b32 %%r%d, %%r%d, %d;\n", i, i - 1,
                                number * LINES + i);
    used += (size_t)sprintf(at + used, "    st.global.u32 [%%rd1], %%r%d;\n    ret;\n}\n", LINES);
    return used;
}

static char *write_module(int first, int end, size_t *bytes)
{
    char *text = malloc(sizeof(HEAD) + (size_t)(end - first) * KERNEL_BYTES);
    if (!text)
        exit(1);
    size_t used = (size_t)sprintf(text, HEAD);
    for (int i = first; i < end; i++)
        used += write_kernel(text + used, i);
    *bytes = used;
    return text;
}

static double use(const char *text, const char *name)
{
    double begin = bench_now_ns();
    CUmodule module;
    CUfunction function;
    CHECK(cuModuleLoadData(&module, text));
    CHECK(cuModuleGetFunction(&function, module, name));
    CHECK(cuModuleUnload(module));
    return bench_now_ns() - begin;
}

/* All of it: what a load cost that reads all bodies. */
static double use_all(char *text)
{
    char log[64];
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof(log)};
    double begin = bench_now_ns();
    CUmodule module;
    CHECK(cuModuleLoadDataEx(&module, text, 2, options, values));
    double end = bench_now_ns();
    CHECK(cuModuleUnload(module));
    return end - begin;
}

int main(void)
{
    CUdevice device;
    CUcontext context;
    double large[SAMPLES], small[SAMPLES];
    size_t large_bytes, small_bytes;
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CHECK(cuCtxSetCurrent(context));
    char *all = write_module(0, KERNELS, &large_bytes);
    char *one = write_module(KERNELS / 2, KERNELS / 2 + 1, &small_bytes);
    for (int i = 0; i < SAMPLES; i++) {
        large[i] = use(all, "kernel_1000");
        small[i] = use(one, "kernel_1000");
    }
    double much = bench_quantile(large, SAMPLES, 0.5), little = bench_quantile(small, SAMPLES, 0.5);
    double whole = use_all(all);
    printf("load of a large module, one kernel of it used\n");
    printf("%.1f MB, %d kernels: %.2f ms; %.1f kB, that kernel alone: %.2f ms; ratio %.0f\n",
           (double)large_bytes / 1e6, KERNELS, much / 1e6, (double)small_bytes / 1e3, little / 1e6,
           much / little);
    printf("against %.0f ms with every body read: ratio %.3f (goal: at most %.1f)\n", whole / 1e6,
           much / whole, SHARE_GOAL);
    free(all);
    free(one);
    return much / whole > SHARE_GOAL;
}

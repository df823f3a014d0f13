/* What a large module costs of which one kernel is used: its load, that kernel and its unloading,
 * against the same of a module with that kernel alone, and against reading every body. Once for one
 * text, once for the objects of a program built with -rdc=true, which are linked at the load.
 * Interleaved, medians. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#include "../timing.h"

#define SAMPLES 21
#define WHOLE_SAMPLES 3
#define KERNELS 2000
#define OBJECTS 20
#define LINES 170 /* of a kernel, some 30 bytes each: 10 MB in all */
#define LINE_BYTES 40
#define KERNEL_BYTES (LINES * LINE_BYTES + 400)
#define USED 1000
#define USED_NAME "kernel_1000"
#define SHARE_GOAL 0.1 /* of what it costs to read all bodies */

#define HEAD ".version 7.0\n.target sm_75\n.address_size 64\n"
/* What every kernel calls: of the first object. */
#define DEFINITION ".visible .func common() { ret; }\n"
#define DECLARATION ".extern .func common();\n"

/* A fat binary with one text that is not compressed, as nvcc embeds it for an object. */
struct object {
    uint32_t magic;
    uint16_t version, head_bytes;
    uint64_t bytes; /* that follow */
    uint16_t kind, kind_version;
    uint32_t entry_head_bytes;
    uint64_t text_bytes;
    uint32_t unused[2], name, sm;
    uint64_t unused_too, flags, unused_three[2];
    char text[];
};

struct wrapper {
    uint32_t magic, version;
    const void *image;
    struct object **objects;
};

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
                                  "    call common;\n"
                                  "    ld.param.u64 %%rd1, [out];\n    mov.u32 %%r0, %%tid.x;\n",
                                  number, LINES + 1);
    for (int i = 1; i <= LINES; i++)
        used += (size_t)sprintf(at + used, "    xor.b32 %%r%d, %%r%d, %d;\n", i, i - 1,
                                number * LINES + i);
    used += (size_t)sprintf(at + used, "    st.global.u32 [%%rd1], %%r%d;\n    ret;\n}\n", LINES);
    return used;
}

/* Kernels `first` to `end`; its text alone is a module too, where it defines what they call. */
static struct object *write_object(int first, int end, bool defines)
{
    struct object *object = calloc(1, sizeof(*object) + sizeof(HEAD DEFINITION) + 8 +
                                          (size_t)(end - first) * KERNEL_BYTES);
    if (!object)
        exit(1);
    size_t used = (size_t)sprintf(object->text, "%s", defines ? HEAD DEFINITION : HEAD DECLARATION);
    for (int i = first; i < end; i++)
        used += write_kernel(object->text + used, i);
    size_t entry_head = sizeof(*object) - offsetof(struct object, kind);
    object->magic = 0xba55ed50u;
    object->version = 1;
    object->head_bytes = offsetof(struct object, kind);
    object->kind = 1;
    object->kind_version = 0x0101;
    object->entry_head_bytes = (uint32_t)entry_head;
    object->text_bytes = used / 8 * 8 + 8;
    object->bytes = entry_head + object->text_bytes;
    object->sm = 75;
    return object;
}

/* The load of an image, the kernel, and the unloading. */
static double use(const void *image)
{
    double begin = bench_now_ns();
    CUmodule module;
    CUfunction function;
    CHECK(cuModuleLoadData(&module, image));
    CHECK(cuModuleGetFunction(&function, module, USED_NAME));
    CHECK(cuModuleUnload(module));
    return bench_now_ns() - begin;
}

/* Who asks for a log gets every body read. */
static double use_whole(const void *image)
{
    char log[64];
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof(log)};
    double begin = bench_now_ns();
    CUmodule module;
    CUfunction function;
    CHECK(cuModuleLoadDataEx(&module, image, 2, options, values));
    CHECK(cuModuleGetFunction(&function, module, USED_NAME));
    CHECK(cuModuleUnload(module));
    return bench_now_ns() - begin;
}

/* Returns whether the goal was met. */
static bool compare(const char *what, const void *large, const void *small)
{
    double much[SAMPLES], little[SAMPLES], whole[WHOLE_SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        much[i] = use(large);
        little[i] = use(small);
        if (i < WHOLE_SAMPLES)
            whole[i] = use_whole(large);
    }
    double late = bench_quantile(much, SAMPLES, 0.5), alone = bench_quantile(little, SAMPLES, 0.5);
    double all = bench_quantile(whole, WHOLE_SAMPLES, 0.5);
    printf("%s: %.2f ms; that kernel alone: %.2f ms, ratio %.0f; every body read: %.0f ms, ratio "
           "%.3f (goal: at most %.1f)\n",
           what, late / 1e6, alone / 1e6, late / alone, all / 1e6, late / all, SHARE_GOAL);
    return late / all <= SHARE_GOAL;
}

static bool compare_texts(void)
{
    struct object *large = write_object(0, KERNELS, true);
    struct object *small = write_object(USED, USED + 1, true);
    printf("load of a module of %.1f MB with %d kernels, one of them used\n",
           (double)large->text_bytes / 1e6, KERNELS);
    bool good = compare("one text", large->text, small->text);
    free(large);
    free(small);
    return good;
}

static bool compare_linked(void)
{
    struct object *large[OBJECTS + 1] = {NULL}, *small[3] = {NULL};
    for (int i = 0; i < OBJECTS; i++)
        large[i] = write_object(KERNELS / OBJECTS * i, KERNELS / OBJECTS * (i + 1), i == 0);
    small[0] = write_object(0, 0, true);
    small[1] = write_object(USED, USED + 1, false);
    const struct wrapper wrappers[] = {{0x466243b1u, 2, large[0], large},
                                       {0x466243b1u, 2, small[0], small}};
    char what[32];
    snprintf(what, sizeof(what), "%d linked objects", OBJECTS);
    bool good = compare(what, &wrappers[0], &wrappers[1]);
    for (int i = 0; i < OBJECTS; i++)
        free(large[i]);
    free(small[0]);
    free(small[1]);
    return good;
}

int main(void)
{
    CUdevice device;
    CUcontext context;
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CHECK(cuCtxSetCurrent(context));
    bool good = compare_texts();
    return compare_linked() && good ? 0 : 1;
}

/* Whole kernels: control flow, calls, barriers, memory, warps. Each runs on the reference, and on
 * the executor with every instruction set and in turns of 1, 7 and 1000 instructions. Breaks where
 * one byte of memory differs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compare.h"

#define IO_BYTES 65536u
#define HEAP_BYTES 16384u
#define TEXT_BYTES_MAX (64u << 10)

struct kernel {
    const char *name;
    uint32_t grid[3], block[3];
    uint32_t dynamic_shared_bytes;
    uint32_t cluster[3];
};

static const struct kernel kernels[] = {
    {"nested_if", {1, 1, 1}, {128, 1, 1}, 0},
    {"loops", {1, 1, 1}, {128, 1, 1}, 0},
    {"switch", {1, 1, 1}, {96, 1, 1}, 0},
    {"calls", {1, 1, 1}, {64, 1, 1}, 0},
    {"barriers", {3, 1, 1}, {128, 1, 1}, 0},
    {"warp", {1, 1, 1}, {128, 1, 1}, 0},
    {"atomics", {1, 1, 1}, {96, 1, 1}, 0},
    {"constants", {2, 1, 1}, {64, 1, 1}, 0},
    {"predicates", {1, 1, 1}, {100, 1, 1}, 0},
    {"spinlock", {1, 1, 1}, {80, 1, 1}, 0},
    {"relay", {1, 1, 1}, {160, 1, 1}, 0},
    {"spaces", {1, 1, 1}, {128, 1, 1}, 512},
    {"packing", {1, 1, 1}, {64, 1, 1}, 0},
    {"places", {3, 2, 2}, {5, 3, 3}, 48},
    {"early_exit", {1, 1, 1}, {128, 1, 1}, 0},
    {"vector_memory", {1, 1, 1}, {32, 1, 1}, 0},
    {"vectors", {1, 1, 1}, {64, 1, 1}, 0},
    {"deep_recursion", {1, 1, 1}, {32, 1, 1}, 0},
    {"exchange", {1, 1, 1}, {64, 1, 1}, 0},
    {"loops", {2, 1, 1}, {33, 1, 1}, 0},
    {"stack", {1, 1, 1}, {64, 1, 1}, 0},
    {"system_calls", {2, 1, 1}, {48, 1, 1}, 0},
    {"elect", {1, 1, 1}, {80, 1, 1}, 0},
    {"aggregates", {1, 1, 1}, {64, 1, 1}, 0},
    {"wide", {1, 1, 1}, {64, 1, 1}, 0},
    {"registers", {3, 1, 1}, {4, 2, 3}, 0},
    {"vector_atomics", {1, 1, 1}, {64, 1, 1}, 0},
    {"hints", {1, 1, 1}, {64, 1, 1}, 0},
    {"async_copies", {1, 1, 1}, {64, 1, 1}, 0},
    {"mbarrier", {1, 1, 1}, {64, 1, 1}, 0},
    {"cluster", {4, 4, 1}, {48, 1, 1}, 0, {2, 2, 1}},
    {"cluster", {4, 4, 1}, {48, 1, 1}, 0, {4, 1, 1}},
    {"cluster", {4, 4, 1}, {48, 1, 1}, 0},
};

static void read_kernel(const char *name, char text[TEXT_BYTES_MAX])
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.ptx", KERNELS, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is not there", path);
    size_t size = fread(text, 1, TEXT_BYTES_MAX - 1, file);
    text[size] = '\0';
    fclose(file);
}

static void run_kernel(void **state)
{
    const struct kernel *kernel = *state;
    static char text[TEXT_BYTES_MAX];
    static const uint64_t budgets[] = {0, 1, 7, 1000};
    struct rig rig;
    struct rig_program program;
    struct weft_err err = {0};
    read_kernel(kernel->name, text);
    rig_init(&rig);
    if (rig_load(&rig, text, &program, &err))
        fail_msg("%s: %s", kernel->name, err.text);
    uint64_t params[2] = {rig_alloc(&rig, IO_BYTES), rig_alloc(&rig, IO_BYTES)};
    uint64_t heap = rig_alloc(&rig, HEAP_BYTES);
    struct dice dice = {1};
    for (uint32_t i = 0; i < IO_BYTES / 8; i++)
        ((uint64_t *)rig_host(&rig, params[1]))[i] = dice_roll(&dice);
    struct rig_run run = {.entry = "kernel",
                          .params = params,
                          .params_bytes = sizeof params,
                          .heap_base = heap,
                          .heap_bytes = HEAP_BYTES,
                          .dynamic_shared_bytes = kernel->dynamic_shared_bytes};
    for (int i = 0; i < 3; i++) {
        run.grid[i] = kernel->grid[i];
        run.block[i] = kernel->block[i];
        run.cluster[i] = kernel->cluster[i];
    }
    int status = compare_run(&rig, &program, &run, budgets, sizeof budgets / sizeof *budgets, NULL);
    rig_unload(&program);
    rig_finish(&rig);
    assert_int_equal(status, 0);
}

#define KERNEL_COUNT (sizeof kernels / sizeof *kernels)

int main(void)
{
    struct CMUnitTest tests[KERNEL_COUNT] = {0};
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        tests[i] = (struct CMUnitTest){
            .name = kernels[i].name, .test_func = run_kernel, .initial_state = (void *)&kernels[i]};
    return _cmocka_run_group_tests("kernels", tests, KERNEL_COUNT, NULL, NULL);
}

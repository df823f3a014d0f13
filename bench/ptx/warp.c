/* What the benchmarks of single instructions share. */
#include "warp.h"

#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 8192

int warp_kernel_prepare(struct warp_kernel *kernel, const char *registers, const char *body)
{
    char text[TEXT_BYTES];
    struct weft_err err = {0};
    snprintf(text, TEXT_BYTES,
             ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry rounds()\n{\n"
             ".reg .pred %%loop;\n.reg .b32 %%round;\n%s\nmov.u32 %%round, 0;\nLOOP:\n%s\n"
             "add.u32 %%round, %%round, 1;\nsetp.lt.u32 %%loop, %%round, %u;\n@%%loop bra LOOP;\n"
             "ret;\n}\n",
             registers, body, WARP_ROUNDS);
    if (weft_ptx_parse(&kernel->module, text, strlen(text), &err) ||
        weft_exec_program_create(&kernel->program, kernel->module, NULL, &err) ||
        weft_exec_program_kernel(kernel->program, 0, &kernel->lowered, &err)) {
        fprintf(stderr, "%s: %s\n", body, err.text);
        return -1;
    }
    return 0;
}

void warp_kernel_finish(struct warp_kernel *kernel)
{
    weft_exec_program_destroy(kernel->program);
    weft_ptx_destroy(kernel->module);
}

double warp_kernel_run(const struct warp_kernel *kernel, enum weft_exec_isa isa)
{
    static const struct weft_exec_memory memory;
    struct weft_exec_launch launch = {.kernel = kernel->lowered,
                                      .memory = &memory,
                                      .grid = {1, 1, 1},
                                      .block = {WEFT_EXEC_WARP_LANES, 1, 1},
                                      .sm_count = 1};
    struct weft_exec_block *block;
    uint64_t retired = 0;
    if (!weft_exec_isa_force(isa) || weft_exec_block_create(&block, &launch, NULL))
        return 0;
    weft_exec_block_start(block, 0, 0);
    double start = cpu_now_ns();
    while (weft_exec_block_run(block, UINT64_MAX, &retired) == WEFT_EXEC_PREEMPTED)
        ;
    double took = cpu_now_ns() - start;
    weft_exec_block_destroy(block);
    return took;
}

#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void place_variables(struct rig *rig)
{
    uint64_t next = RIG_WINDOW_BYTES / 2;
    for (uint32_t i = 0; i < rig->module->variable_count && i < 64; i++) {
        const struct weft_ptx_variable *variable = &rig->module->variables[i];
        if (variable->space != WEFT_PTX_GLOBAL && variable->space != WEFT_PTX_CONST)
            continue;
        next = (next + 255) & ~255ull;
        rig->variable_addresses[i] = RIG_BASE + next;
        if (variable->init)
            memcpy(rig->window + next, variable->init, variable->init_bytes);
        for (uint32_t r = 0; r < variable->relocation_count; r++) {
            const struct weft_ptx_relocation *relocation = &variable->relocations[r];
            uint64_t address = relocation->symbol == WEFT_PTX_SYMBOL_FUNCTION
                                   ? WEFT_EXEC_FUNCTION_ADDRESS(relocation->index)
                                   : rig->variable_addresses[relocation->index];
            memcpy(rig->window + next + relocation->offset, &address, relocation->bytes);
        }
        next += variable->bytes;
    }
}

int rig_try_open(struct rig *rig, const char *text, struct weft_err *err)
{
    memset(rig, 0, sizeof(*rig));
    size_t size = strlen(text) + 128;
    char *whole = malloc(size);
    assert_non_null(whole);
    snprintf(whole, size, ".version 8.0\n.target sm_90\n.address_size 64\n%s", text);
    int rc = weft_ptx_parse(&rig->module, whole, strlen(whole), err);
    free(whole);
    rig->window = aligned_alloc(4096, RIG_WINDOW_BYTES);
    assert_non_null(rig->window);
    memset(rig->window, 0, RIG_WINDOW_BYTES);
    memset(rig->live, 0xff, sizeof(rig->live));
    if (rc)
        return rc;
    place_variables(rig);
    rig->memory = (struct weft_exec_memory){
        .window_base = RIG_BASE,
        .window_bytes = RIG_WINDOW_BYTES,
        .alias_delta = (int64_t)((uint64_t)(uintptr_t)rig->window - RIG_BASE),
        .live = rig->live,
        .shared_base = 0x7f0000000000,
        .local_base = 0x7f1000000000,
        .param_base = 0x7f2000000000,
    };
    rig->budget = UINT64_MAX;
    rig->stack_bytes = 4096;
    rig->runs_max = 100000;
    rc = weft_exec_program_create(&rig->program, rig->module, rig->variable_addresses, err);
    if (rc)
        return rc;
    return weft_exec_program_kernel(rig->program, weft_ptx_find_function(rig->module, "k"),
                                    &rig->kernel, err);
}

void rig_open(struct rig *rig, const char *text)
{
    struct weft_err err = {0};
    if (rig_try_open(rig, text, &err))
        fail_msg("%s in\n%s", err.text, text);
}

void rig_close(struct rig *rig)
{
    weft_exec_program_destroy(rig->program);
    weft_ptx_destroy(rig->module);
    free(rig->window);
}

enum weft_exec_outcome rig_launch(struct rig *rig, uint32_t blocks, uint32_t threads,
                                  const void *params)
{
    struct weft_exec_launch launch = {
        .kernel = rig->kernel,
        .memory = &rig->memory,
        .params = params,
        .grid = {blocks, 1, 1},
        .block = {threads, 1, 1},
        .dynamic_shared_bytes = rig->dynamic_shared_bytes,
        .stack_bytes = rig->stack_bytes,
        .sm_count = 8,
        .print = rig->print,
        .print_context = rig,
    };
    struct weft_exec_block *block;
    struct weft_err err = {0};
    if (weft_exec_block_create(&block, &launch, &err))
        fail_msg("%s", err.text);
    enum weft_exec_outcome outcome = WEFT_EXEC_DONE;
    for (uint32_t i = 0; i < blocks && outcome == WEFT_EXEC_DONE; i++) {
        weft_exec_block_start(block, i, i % 8);
        uint64_t runs = 0;
        do
            outcome = weft_exec_block_run(block, rig->budget, &rig->retired);
        while ((outcome == WEFT_EXEC_PREEMPTED || outcome == WEFT_EXEC_STALLED) &&
               ++runs < rig->runs_max);
    }
    rig->fault = *weft_exec_block_fault(block);
    weft_exec_block_destroy(block);
    return outcome;
}

void rig_run(struct rig *rig, uint32_t blocks, uint32_t threads, const void *params)
{
    enum weft_exec_outcome outcome = rig_launch(rig, blocks, threads, params);
    if (outcome == WEFT_EXEC_FAULTED)
        fail_msg("fault %d at line %u: %s", rig->fault.kind, rig->fault.line, rig->fault.insn);
    assert_int_equal(outcome, WEFT_EXEC_DONE);
}

uint32_t *rig_run_words(struct rig *rig, uint32_t threads)
{
    uint64_t out = RIG_BASE;
    rig_run(rig, 1, threads, &out);
    return (uint32_t *)rig->window;
}

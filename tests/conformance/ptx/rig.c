#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "reference/reference.h"
#include "softgpu/exec/heap.h"

#define LIVE_WORDS (RIG_WINDOW_BYTES / WEFT_EXEC_LIVE_BLOCK_BYTES / 64)
#define STACK_BYTES 16384u
#define GRID_ID 7u
#define SM_COUNT 8u
#define TURNS_MAX 100000000ull

static void *must(void *memory)
{
    if (!memory || memory == MAP_FAILED) {
        fprintf(stderr, "no memory for the test\n");
        exit(1);
    }
    return memory;
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){0};
    rig->host = must(
        mmap(NULL, RIG_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    rig->before = must(malloc(RIG_WINDOW_BYTES));
    rig->expected = must(malloc(RIG_WINDOW_BYTES));
    rig->live = must(calloc(LIVE_WORDS, sizeof *rig->live));
    rig->memory = (struct weft_exec_memory){
        .window_base = RIG_WINDOW_BASE,
        .window_bytes = RIG_WINDOW_BYTES,
        .alias_delta = (int64_t)((uint64_t)rig->host - RIG_WINDOW_BASE),
        .live = rig->live,
        .shared_base = 0x7f0000000000ull,
        .local_base = 0x7f0001000000ull,
        .param_base = 0x7f0002000000ull,
    };
}

void rig_finish(struct rig *rig)
{
    munmap(rig->host, RIG_WINDOW_BYTES);
    free(rig->before);
    free(rig->expected);
    free(rig->live);
}

void rig_reset(struct rig *rig)
{
    memset(rig->host, 0, rig->used);
    memset(rig->live, 0, LIVE_WORDS * sizeof *rig->live);
    rig->used = 0;
}

static void set_live(struct rig *rig, uint64_t offset, bool live)
{
    uint64_t bit = offset / WEFT_EXEC_LIVE_BLOCK_BYTES;
    if (live)
        rig->live[bit / 64] |= 1ull << bit % 64;
    else
        rig->live[bit / 64] &= ~(1ull << bit % 64);
}

uint64_t rig_alloc(struct rig *rig, uint64_t bytes)
{
    uint64_t start = rig->used;
    uint64_t end = start + ((bytes + WEFT_EXEC_LIVE_BLOCK_BYTES - 1) &
                            ~(uint64_t)(WEFT_EXEC_LIVE_BLOCK_BYTES - 1));
    if (end + WEFT_EXEC_LIVE_BLOCK_BYTES > RIG_WINDOW_BYTES)
        must(NULL);
    for (uint64_t at = start; at < end; at += WEFT_EXEC_LIVE_BLOCK_BYTES)
        set_live(rig, at, true);
    rig->used = end + WEFT_EXEC_LIVE_BLOCK_BYTES; /* a dead gap, so that overruns fault */
    return RIG_WINDOW_BASE + start;
}

void *rig_host(struct rig *rig, uint64_t address)
{
    return rig->host + (address - RIG_WINDOW_BASE);
}

void rig_kill(struct rig *rig, uint64_t address)
{
    set_live(rig, address - RIG_WINDOW_BASE, false);
}

static uint64_t symbol_value(const struct rig_program *program,
                             const struct weft_ptx_relocation *relocation)
{
    uint64_t address = relocation->symbol == WEFT_PTX_SYMBOL_FUNCTION
                           ? WEFT_EXEC_FUNCTION_ADDRESS(relocation->index)
                           : program->addresses[relocation->index];
    return (address + (uint64_t)relocation->addend) >> (8 * relocation->shift);
}

static void initialise(struct rig *rig, const struct rig_program *program, uint32_t index)
{
    const struct weft_ptx_variable *variable = &program->module->variables[index];
    uint8_t *host = rig_host(rig, program->addresses[index]);
    if (variable->init)
        memcpy(host, variable->init, variable->init_bytes);
    for (uint32_t i = 0; i < variable->relocation_count; i++) {
        uint64_t value = symbol_value(program, &variable->relocations[i]);
        memcpy(host + variable->relocations[i].offset, &value, variable->relocations[i].bytes);
    }
}

static bool lives_in_window(const struct weft_ptx_variable *variable)
{
    return variable->space == WEFT_PTX_GLOBAL || variable->space == WEFT_PTX_CONST;
}

int rig_load(struct rig *rig, const char *text, struct rig_program *out, struct weft_err *err)
{
    *out = (struct rig_program){0};
    int status = weft_ptx_parse(&out->module, text, strlen(text), err);
    if (status)
        return status;
    uint32_t count = out->module->variable_count;
    out->addresses = must(calloc(count + 1, sizeof *out->addresses));
    for (uint32_t i = 0; i < count; i++)
        if (lives_in_window(&out->module->variables[i]))
            out->addresses[i] = rig_alloc(rig, out->module->variables[i].bytes);
    for (uint32_t i = 0; i < count; i++)
        if (lives_in_window(&out->module->variables[i]))
            initialise(rig, out, i);
    status = weft_exec_program_create(&out->program, out->module, out->addresses, err);
    if (status)
        rig_unload(out);
    return status;
}

void rig_unload(struct rig_program *program)
{
    weft_exec_program_destroy(program->program);
    weft_ptx_destroy(program->module);
    free(program->addresses);
    *program = (struct rig_program){0};
}

static int find_entry(struct rig_program *program, const struct rig_run *run, uint32_t *function,
                      struct rig_result *out)
{
    *function = weft_ptx_find_function(program->module, run->entry);
    if (*function == WEFT_PTX_NONE)
        return weft_fail(&out->err, WEFT_ENOENT, "no entry %s", run->entry);
    return 0;
}

/* One block to its end, in turns of `budget`. */
static enum weft_exec_outcome run_block(struct weft_exec_block *block, const struct rig_run *run,
                                        uint64_t *retired)
{
    uint64_t budget = run->budget ? run->budget : UINT32_MAX;
    enum weft_exec_outcome outcome = WEFT_EXEC_PREEMPTED;
    for (uint64_t turn = 0; turn < TURNS_MAX && *retired < 200000000; turn++) {
        outcome = weft_exec_block_run(block, budget, retired);
        if (outcome == WEFT_EXEC_DONE || outcome == WEFT_EXEC_FAULTED)
            break;
    }
    return outcome;
}

static void run_grid(struct weft_exec_block *block, const struct weft_exec_launch *launch,
                     const struct rig_run *run, struct rig_result *out)
{
    uint64_t units = weft_exec_launch_units(launch);
    for (uint64_t i = 0; i < units && out->status == 0; i++) {
        weft_exec_block_start(block, i, (uint32_t)(i % SM_COUNT));
        enum weft_exec_outcome outcome = run_block(block, run, &out->retired);
        if (outcome == WEFT_EXEC_FAULTED) {
            out->fault = *weft_exec_block_fault(block);
            out->status = weft_fail(&out->err, WEFT_EFAULT, "a kernel faulted");
        } else if (outcome != WEFT_EXEC_DONE) {
            out->status = weft_fail(&out->err, WEFT_ETIMEDOUT, "the block does not end");
        }
    }
}

/* FNV-1a, a text at a time (Fowler, Noll and Vo). */
static void count_text(void *result, const char *text, uint64_t bytes)
{
    struct rig_result *out = result;
    uint64_t hash = 0xcbf29ce484222325ull;
    for (uint64_t i = 0; i < bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3ull;
    out->prints++;
    out->print_digest += hash;
}

static void take_print(void *result, bool is_error, const char *text, uint64_t bytes)
{
    if (!is_error)
        count_text(result, text, bytes);
}

void rig_execute(struct rig *rig, struct rig_program *program, const struct rig_run *run,
                 struct rig_result *out)
{
    *out = (struct rig_result){0};
    uint32_t function;
    _Alignas(16) uint8_t params[4096] = {0};
    struct weft_exec_launch launch = {
        .memory = &rig->memory,
        .params = params,
        .grid = {run->grid[0], run->grid[1], run->grid[2]},
        .block = {run->block[0], run->block[1], run->block[2]},
        .cluster = {run->cluster[0], run->cluster[1], run->cluster[2]},
        .dynamic_shared_bytes = run->dynamic_shared_bytes,
        .stack_bytes = STACK_BYTES,
        .sm_count = SM_COUNT,
        .grid_id = GRID_ID,
        .print = take_print,
        .print_context = out,
    };
    if (run->params_bytes)
        memcpy(params, run->params, run->params_bytes);
    out->status = find_entry(program, run, &function, out);
    if (out->status == 0 && run->heap_bytes)
        out->status =
            weft_exec_heap_create(&launch.heap, run->heap_base, run->heap_bytes, &out->err);
    if (out->status == 0)
        out->status =
            weft_exec_program_kernel(program->program, function, &launch.kernel, &out->err);
    struct weft_exec_block *block = NULL;
    if (out->status == 0)
        out->status = weft_exec_block_create(&block, &launch, &out->err);
    if (out->status == 0)
        run_grid(block, &launch, run, out);
    weft_exec_block_destroy(block);
    weft_exec_heap_destroy(launch.heap);
}

void rig_refer(struct rig *rig, struct rig_program *program, const struct rig_run *run,
               struct rig_result *out)
{
    *out = (struct rig_result){0};
    uint8_t params[4096] = {0};
    struct reference_launch launch = {
        .module = program->module,
        .variable_addresses = program->addresses,
        .memory = &rig->memory,
        .params = params,
        .grid = {run->grid[0], run->grid[1], run->grid[2]},
        .block = {run->block[0], run->block[1], run->block[2]},
        .cluster = {run->cluster[0], run->cluster[1], run->cluster[2]},
        .dynamic_shared_bytes = run->dynamic_shared_bytes,
        .stack_bytes = STACK_BYTES,
        .sm_count = SM_COUNT,
        .grid_id = GRID_ID,
        .steps_max = run->steps_max ? run->steps_max : 1000000,
        .heap_base = run->heap_base,
        .heap_bytes = run->heap_bytes,
        .print = count_text,
        .print_context = out,
    };
    if (run->params_bytes)
        memcpy(params, run->params, run->params_bytes);
    out->status = find_entry(program, run, &launch.function, out);
    if (out->status == 0)
        out->status = reference_run(&launch, &out->fault, &out->err);
}

void rig_remember(struct rig *rig)
{
    memcpy(rig->before, rig->host, rig->used);
}

void rig_recall(struct rig *rig)
{
    memcpy(rig->host, rig->before, rig->used);
}

void rig_expect(struct rig *rig)
{
    memcpy(rig->expected, rig->host, rig->used);
}

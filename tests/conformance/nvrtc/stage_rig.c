/* nvrtc_executor_test [reference]: the checks on the executor itself, or on the reference. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../ptx/rig.h"
#include "stage.h"

struct rig_stage {
    struct stage stage;
    struct rig rig;
    struct rig_program program;
    bool on_reference;
};

static int load(struct stage *stage, const char *ptx)
{
    struct rig_stage *own = (struct rig_stage *)stage;
    struct weft_err err = {0};
    rig_unload(&own->program);
    rig_reset(&own->rig);
    int status = rig_load(&own->rig, ptx, &own->program, &err);
    if (status)
        printf("%s\n", err.text);
    return status;
}

static uint64_t alloc(struct stage *stage, size_t bytes)
{
    return rig_alloc(&((struct rig_stage *)stage)->rig, bytes);
}

static int write_memory(struct stage *stage, uint64_t to, const void *from, size_t bytes)
{
    memcpy(rig_host(&((struct rig_stage *)stage)->rig, to), from, bytes);
    return 0;
}

static int read_memory(struct stage *stage, void *to, uint64_t from, size_t bytes)
{
    memcpy(to, rig_host(&((struct rig_stage *)stage)->rig, from), bytes);
    return 0;
}

static uint32_t pack(const struct stage_launch *launch, uint8_t *params)
{
    size_t used = 0;
    for (unsigned i = 0; i < launch->argument_count; i++) {
        const struct stage_argument *argument = &launch->arguments[i];
        used = (used + argument->align - 1) & ~(argument->align - 1);
        memcpy(params + used, argument->value, argument->bytes);
        used += argument->bytes;
    }
    return (uint32_t)used;
}

static int launch_kernel(struct stage *stage, const struct stage_launch *launch)
{
    struct rig_stage *own = (struct rig_stage *)stage;
    _Alignas(16) uint8_t params[1024];
    struct rig_result result;
    struct rig_run run = {.entry = launch->kernel,
                          .params = params,
                          .params_bytes = pack(launch, params),
                          .dynamic_shared_bytes = launch->shared_bytes,
                          .budget = 500,
                          .steps_max = 50000000};
    memcpy(run.grid, launch->grid, sizeof run.grid);
    memcpy(run.block, launch->block, sizeof run.block);
    (own->on_reference ? rig_refer : rig_execute)(&own->rig, &own->program, &run, &result);
    if (result.status)
        printf("%s: %s (line %u: %s)\n", launch->kernel, result.err.text, result.fault.line,
               result.fault.insn ? result.fault.insn : "");
    return result.status;
}

int main(int argc, char **argv)
{
    static struct rig_stage own = {
        .stage = {"executor", load, alloc, write_memory, read_memory, launch_kernel}};
    if (compile_unavailable()) {
        printf("%s\n", compile_unavailable());
        return 77;
    }
    own.on_reference = argc > 1 && strcmp(argv[1], "reference") == 0;
    own.stage.name = own.on_reference ? "reference" : "executor";
    rig_init(&own.rig);
    int failed = stage_run_checks(&own.stage, 0, UINT32_MAX);
    rig_unload(&own.program);
    rig_finish(&own.rig);
    return failed ? 1 : 0;
}

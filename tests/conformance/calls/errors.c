/* Wrong arguments, for every call that the soft GPU implements: NULL for each output, an invented
 * handle for each handle. The call fails whatever else is right or wrong about it, and nothing
 * crashes. Breaks where a call follows a NULL, or takes a number for a handle that it never gave.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "world.h"

#define TRIES 12 /* with other arguments each */
#define CHOICE_COUNT 128
#define INVENTED 0x5eed00ffu

/* What a program may leave out, and what is not looked at, as the reference says: the call's name
 * without its version, and the parameter's. */
static const char *const allowed[][2] = {
    {"cuCtxGetStreamPriorityRange", "greatestPriority"},
    {"cuCtxGetStreamPriorityRange", "leastPriority"},
    {"cuCtxPopCurrent", "pctx"},
    {"cuFuncGetParamInfo", "paramSize"},
    {"cuGraphInstantiate", "phErrorNode"},
    {"cuKernelGetParamInfo", "paramSize"},
    {"cuLibraryGetGlobal", "bytes"},
    {"cuLibraryGetGlobal", "dptr"},
    {"cuMemGetAddressRange", "pbase"},
    {"cuMemGetAddressRange", "psize"},
    {"cuModuleGetGlobal", "bytes"},
    {"cuModuleGetGlobal", "dptr"},
    {"cuLogsRegisterCallback", "callback_out"},
    {"cuStreamGetCaptureInfo", "dependencies_out"},
    {"cuStreamGetCaptureInfo", "edgeData_out"},
    {"cuStreamGetCaptureInfo", "graph_out"},
    {"cuStreamGetCaptureInfo", "id_out"},
    {"cuStreamGetCaptureInfo", "numDependencies_out"},
    {"cuStreamGetCtx", "pGreenCtx"},
};

static struct world world;
static uint8_t choices[CHOICE_COUNT];

/* The same choices on each run. */
static void shuffle(uint32_t seed)
{
    for (size_t i = 0; i < CHOICE_COUNT; i++) {
        seed = seed * 1664525u + 1013904223u;
        choices[i] = (uint8_t)(seed >> 24);
    }
    world.choices = choices;
    world.choice_count = CHOICE_COUNT;
}

static bool is_allowed(size_t entry, const struct call_parameter *parameter)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (strcmp(allowed[i][0], weft_cuda_entries[entry].name) == 0 &&
            strcmp(allowed[i][1], parameter->name) == 0)
            return true;
    return false;
}

/* An output, or a handle that goes in by value. An array may be NULL: it has no elements, or the
 * program asks how many there are. */
static bool is_tried(const struct call_parameter *parameter)
{
    if (parameter->target_bytes)
        return parameter->out && !parameter->in && parameter->count_of < 0;
    return parameter->object != CALL_OF_NOTHING && parameter->in;
}

/* How often the call took what it must refuse. */
static int try_parameter(size_t entry, uint32_t index)
{
    const struct call *call = &call_list[entry];
    uint64_t wrong = call->parameters[index].target_bytes ? 0 : INVENTED;
    for (uint32_t try = 0; try < TRIES; try++) {
        shuffle((uint32_t)(entry * TRIES + try));
        world_enter(&world);
        if (!world_prepare(&world, call))
            return 0;
        memcpy(world.values[index], &wrong, sizeof(wrong));
        if (world_call(&world, call) != CUDA_SUCCESS)
            continue;
        printf("%s takes %s for %s\n", call->symbol, wrong ? "an invented handle" : "NULL",
               call->parameters[index].name);
        return 1;
    }
    return 0;
}

/* Handles of the operating system, and waits for words that nobody writes, are other tests'. */
static bool is_left_out(const struct call *call)
{
    for (uint32_t i = 0; i < call->parameter_count; i++)
        if (call->parameters[i].kind == CALL_SHAREABLE ||
            call->parameters[i].bytes > WORLD_VALUE_BYTES)
            return true;
    return strstr(call->symbol, "WaitValue") || strstr(call->symbol, "BatchMemOp");
}

int main(void)
{
    int wrong = 0, tried = 0;
    rig_open(1);
    world.table = &cuda;
    world.nowhere = weft_soft.view.window_base + weft_soft.view.window_bytes - 4096;
    for (size_t entry = 0; entry < WEFT_CUDA_ENTRIES; entry++) {
        const struct call *call = &call_list[entry];
        if (weft_cuda_is_unsupported(&cuda, entry) || is_left_out(call))
            continue;
        world_begin(&world, choices, 0);
        for (uint32_t i = 0; i < call->parameter_count; i++)
            if (is_tried(&call->parameters[i]) && !is_allowed(entry, &call->parameters[i])) {
                wrong += try_parameter(entry, i);
                tried++;
            }
        world_finish(&world);
    }
    printf("%d wrong arguments tried, %d taken\n", tried, wrong);
    return wrong > 0 || tried == 0;
}

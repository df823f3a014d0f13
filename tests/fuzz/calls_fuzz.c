/* Sequences of driver calls on the soft GPU, whose executor runs no kernels: bytes become calls
 * with arguments made up by what api/ says of them. Whatever is called, nothing crashes, hangs or
 * writes outputs though it failed, and once all has been given back the devices' memory is empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "world.h"

#define CALLS_MAX 100 /* of one sequence */
#define DEVICES 2
#define DEVICE_BYTES (128ull << 20) /* all of it may get written, under the fuzzer's limit */
#define POPS_MAX (2 * CALLS_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world world;
static uint16_t usable[WEFT_CUDA_ENTRIES];
static size_t usable_count;

/* Left out: what waits for a word that nobody will write, as it would on a card; and handles of the
 * operating system, which the harness would have to close; and lists of structs that hold pointers,
 * which the harness does not make. */
static bool is_left_out(const struct call *call)
{
    static const char *const waits[] = {"cuStreamWaitValue", "BatchMemOp", "cuIpc", "cuProfiler",
                                        "MultiDevice"};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
        if (strstr(call->symbol, waits[i]))
            return true;
    for (uint32_t i = 0; i < call->parameter_count; i++)
        if (call->parameters[i].kind == CALL_SHAREABLE ||
            call->parameters[i].bytes > WORLD_VALUE_BYTES)
            return true;
    return false;
}

static void start(void)
{
    rig_open(DEVICES);
    for (size_t i = 0; i < DEVICES; i++)
        weft_soft.devices[i].place.page->memory_ceiling_bytes = DEVICE_BYTES;
    world.table = &cuda;
    world.nowhere = weft_soft.view.window_base + weft_soft.view.window_bytes - 4096;
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++)
        if (weft_cuda_entries[i].call_class != WEFT_CUDA_CLASS_UNKNOWN &&
            !weft_cuda_is_unsupported(&cuda, i) && !is_left_out(&call_list[i]))
            usable[usable_count++] = (uint16_t)i;
}

/* The calls that take nothing but what they end. */
static void destroy_objects(enum call_object object)
{
    for (size_t c = 0; c < usable_count; c++) {
        const struct call *call = &call_list[usable[c]];
        if (call->parameter_count != 1 || call->parameters[0].verb != CALL_DESTROYS ||
            call->parameters[0].object != object)
            continue;
        for (size_t i = 0; i < world.object_count[object]; i++)
            call->invoke(&cuda, (void *[]){&world.objects[object][i].value});
    }
}

static void free_memory(void)
{
    for (size_t i = 0; i < world.object_count[WORLD_DEVICE_MEMORY]; i++) {
        const struct world_object *memory = &world.objects[WORLD_DEVICE_MEMORY][i];
        cuda.cuMemUnmap(memory->value, memory->bytes);
        cuda.cuMemAddressFree(memory->value, memory->bytes);
        cuda.cuMemFree_v2(memory->value);
    }
    for (size_t i = 0; i < world.object_count[WORLD_PINNED_MEMORY]; i++) {
        void *memory = (void *)(uintptr_t)world.objects[WORLD_PINNED_MEMORY][i].value;
        cuda.cuMemHostUnregister(memory);
        cuda.cuMemFreeHost(memory);
    }
}

/* Each in an order in which nothing is needed by what stays. */
static void give_back(void)
{
    static const enum call_object order[] = {
        CALL_OF_CUlinkState,      CALL_OF_CUgraphExec, CALL_OF_CUgraph,  CALL_OF_CUtexObject,
        CALL_OF_CUsurfObject,     CALL_OF_CUevent,     CALL_OF_CUstream, CALL_OF_CUarray,
        CALL_OF_CUmipmappedArray, CALL_OF_CUtexref,    CALL_OF_CUmodule, CALL_OF_CUlibrary,
    };
    CUcontext context;
    for (int i = 0; i < POPS_MAX && cuda.cuCtxPopCurrent_v2(&context) == CUDA_SUCCESS; i++)
        ;
    for (size_t c = 0; c < world.object_count[CALL_OF_CUcontext]; c++) {
        cuda.cuCtxSetCurrent((CUcontext)(uintptr_t)world.objects[CALL_OF_CUcontext][c].value);
        cuda.cuCtxSynchronize();
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
            destroy_objects(order[i]);
        free_memory();
    }
    destroy_objects(CALL_OF_CUcontext);
    cuda.cuCtxSetCurrent(NULL);
    destroy_objects(CALL_OF_CUmemoryPool);
    for (int device = 0; device < DEVICES; device++) {
        cuda.cuDevicePrimaryCtxReset_v2(device);
        CUmemoryPool pool;
        if (cuda.cuDeviceGetDefaultMemPool(&pool, device) == CUDA_SUCCESS)
            cuda.cuMemPoolTrimTo(pool, 0);
    }
    free_memory();
    destroy_objects(CALL_OF_CUmemGenericAllocationHandle);
}

static void expect_empty(void)
{
    for (size_t i = 0; i < DEVICES; i++) {
        uint64_t held = weft_ledger_total(weft_soft.devices[i].account.ledger, 0);
        if (held) {
            fprintf(stderr, "device %zu still holds %llu bytes\n", i, (unsigned long long)held);
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (usable_count == 0)
        start();
    const char *trace = getenv("CALLS_TRACE");
    world_begin(&world, data, size);
    for (int i = 0; i < CALLS_MAX && world.choice_count; i++) {
        if (world_choose(&world) >= 16)
            world_enter(&world);
        size_t choice = world_choose(&world);
        choice |= (size_t)world_choose(&world) << 8;
        const struct call *call = &call_list[usable[choice % usable_count]];
        if (!world_prepare(&world, call))
            break;
        if (trace)
            fprintf(stderr, "%s\n", call->symbol);
        CUresult result = world_call(&world, call);
        if (trace)
            fprintf(stderr, "    %d\n", (int)result);
    }
    give_back();
    expect_empty();
    world_finish(&world);
    return 0;
}

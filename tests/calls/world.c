#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNTOUCHED 0xa5       /* what outputs hold before a call */
#define ELEMENTS_MAX 16      /* of arrays */
#define HOST_BYTES_MAX 65536 /* of buffers */
/* Of a copy: numbers go up to 64, so an offset and a width up to 128, in three directions. */
#define COPY_BYTES (128 * 128 * 128)
#define ATTRIBUTE_BYTES 64 /* enough for any attribute's value */
#define INVENTED 0x5eed0000u

/* Functions "nothing" and "fault" are the tests' own, see fake_exec.c. */
static const char *const images[] = {
    ".version 7.0\n.target sm_75\n.address_size 64\n.global .align 8 .u64 counter = 7;\n"
    ".visible .entry nothing(.param .u64 a, .param .u64 b) { ret; }\n"
    ".visible .entry fault(.param .u64 a, .param .u64 b) { ret; }\n",
    ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry nothing() { ret; }\n",
    ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry lacking() { bra nowhere; }\n",
    "",
};
static const char *const texts[] = {"nothing", "fault", "counter", "absent", ""};
static const uint64_t numbers[] = {0,         1, 2, 3, 4, 16, 64, 100, 512, 4096, (uint64_t)1 << 40,
                                   UINT64_MAX};
static const uint64_t dimensions[] = {0, 1, 1, 1, 2, 33, UINT32_MAX};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

uint8_t world_choose(struct world *world)
{
    if (world->choice_count == 0)
        return 0;
    world->choice_count--;
    return *world->choices++;
}

void world_remember(struct world *world, unsigned int pool, uint64_t value, size_t bytes)
{
    size_t *count = &world->object_count[pool];
    if (value && *count < WORLD_OBJECTS_MAX)
        world->objects[pool][(*count)++] = (struct world_object){value, bytes};
}

static void remember_handle(struct world *world, enum call_object object, const void *handle)
{
    world_remember(world, object, (uint64_t)(uintptr_t)handle, 0);
}

void world_enter(struct world *world)
{
    CUcontext context = NULL;
    if (world->table->cuCtxGetCurrent(&context) == CUDA_SUCCESS && context)
        return;
    if (world->table->cuCtxCreate_v2(&context, 0, 0) == CUDA_SUCCESS)
        remember_handle(world, CALL_OF_CUcontext, context);
}

static void make_code(struct world *world)
{
    const struct weft_cuda *table = world->table;
    CUmodule module = NULL;
    CUfunction function = NULL;
    CUlibrary library = NULL;
    CUkernel kernel = NULL;
    table->cuModuleLoadData(&module, images[0]);
    table->cuModuleGetFunction(&function, module, texts[0]);
    table->cuLibraryLoadData(&library, images[0], NULL, NULL, 0, NULL, NULL, 0);
    table->cuLibraryGetKernel(&kernel, library, texts[0]);
    remember_handle(world, CALL_OF_CUmodule, module);
    remember_handle(world, CALL_OF_CUfunction, function);
    remember_handle(world, CALL_OF_CUlibrary, library);
    remember_handle(world, CALL_OF_CUkernel, kernel);
}

static void make_memory(struct world *world)
{
    CUdeviceptr memory = 0;
    void *pinned = NULL;
    world->table->cuMemAlloc_v2(&memory, HOST_BYTES_MAX);
    world->table->cuMemHostAlloc(&pinned, HOST_BYTES_MAX, 0);
    world_remember(world, WORLD_DEVICE_MEMORY, memory, HOST_BYTES_MAX);
    world_remember(world, WORLD_PINNED_MEMORY, (uint64_t)(uintptr_t)pinned, HOST_BYTES_MAX);
}

void world_begin(struct world *world, const uint8_t *choices, size_t count)
{
    CUstream stream = NULL;
    CUevent event = NULL;
    CUgraph graph = NULL;
    world->choices = choices;
    world->choice_count = count;
    memset(world->object_count, 0, sizeof(world->object_count));
    world_enter(world);
    make_code(world);
    make_memory(world);
    world->table->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
    world->table->cuEventCreate(&event, 0);
    world->table->cuGraphCreate(&graph, 0);
    remember_handle(world, CALL_OF_CUstream, stream);
    remember_handle(world, CALL_OF_CUevent, event);
    remember_handle(world, CALL_OF_CUgraph, graph);
}

void world_finish(struct world *world)
{
    for (size_t i = 0; i < world->buffer_count; i++)
        free(world->buffers[i].memory);
    world->buffer_count = 0;
}

/* Exactly so many bytes, so that the sanitizer sees the first that is too far. */
static unsigned char *buffer(struct world *world, size_t bytes)
{
    unsigned char *memory = malloc(bytes ? bytes : 1);
    if (!memory || world->buffer_count == WORLD_BUFFERS_MAX)
        abort();
    memset(memory, 0, bytes ? bytes : 1);
    world->buffers[world->buffer_count++] = (struct world_buffer){memory, bytes};
    return memory;
}

static uint64_t object(struct world *world, unsigned int pool)
{
    uint8_t choice = world_choose(world);
    if (choice < 8)
        return 0;
    if (choice < 16)
        return INVENTED + choice;
    if (pool == CALL_OF_CUstream && choice < 32)
        return choice % 2 ? (uint64_t)(uintptr_t)CU_STREAM_LEGACY
                          : (uint64_t)(uintptr_t)CU_STREAM_PER_THREAD;
    size_t count = world->object_count[pool];
    return count ? world->objects[pool][choice % count].value : 0;
}

/* An allocation's beginning, a place inside it, its end, or nothing of the kind. */
static uint64_t device_address(struct world *world)
{
    size_t count = world->object_count[WORLD_DEVICE_MEMORY];
    uint8_t choice = world_choose(world);
    if (choice < 8 || count == 0)
        return choice < 4 ? 0 : world->nowhere;
    const struct world_object *memory = &world->objects[WORLD_DEVICE_MEMORY][choice % count];
    const uint64_t offsets[] = {0, 0, 0, 1, 4, 256, memory->bytes / 2, memory->bytes};
    return memory->value + offsets[world_choose(world) % COUNT(offsets)];
}

static uint64_t enumeration(struct world *world, const int *values, uint32_t count)
{
    uint8_t choice = world_choose(world);
    return choice < 8 ? 0x7eadu + choice : (uint64_t)(uint32_t)values[choice % count];
}

static bool launches(const struct call *call)
{
    for (uint32_t i = 0; i < call->parameter_count; i++)
        if (call->parameters[i].kind == CALL_PARAMETERS)
            return true;
    return false;
}

/* The array or buffer whose size parameter `index` is. */
static const struct call_parameter *counted(const struct call *call, uint32_t index)
{
    for (uint32_t i = 0; i < call->parameter_count; i++)
        if (call->parameters[i].count_of == (int)index)
            return &call->parameters[i];
    return NULL;
}

static uint64_t number(struct world *world, const struct call *call, uint32_t index)
{
    uint8_t choice = world_choose(world);
    const struct call_parameter *array = counted(call, index);
    if (array && array->kind == CALL_OPTIONS)
        return 0;
    if (array && array->target_bytes == 1)
        return numbers[choice % COUNT(numbers)] % (HOST_BYTES_MAX + 1);
    if (array)
        return choice % (ELEMENTS_MAX + 1);
    if (launches(call))
        return dimensions[choice % COUNT(dimensions)];
    bool size = call->parameters[index].bytes == sizeof(size_t);
    if (size && world->memory_bytes == 0) {
        /* Whole pages of device memory, for the calls that take nothing else. */
        uint64_t bytes = choice >= 128 ? (uint64_t)2 << 20 : numbers[choice % COUNT(numbers)];
        world->memory_bytes = bytes;
        return bytes;
    }
    return choice < 200 ? choice % 65 : numbers[choice % COUNT(numbers)];
}

static void plain(struct world *world, const struct call *call, uint32_t index)
{
    const struct call_parameter *parameter = &call->parameters[index];
    uint64_t value;
    if (parameter->object != CALL_OF_NOTHING)
        value = object(world, parameter->object);
    else if (parameter->kind == CALL_DEVICE)
        value = device_address(world);
    else if (parameter->values)
        value = enumeration(world, parameter->values, parameter->value_count);
    else
        value = number(world, call, index);
    memcpy(world->values[index], &value,
           parameter->bytes < sizeof(value) ? parameter->bytes : sizeof(value));
}

/* Of pointers only those of copies lead anywhere, to more than the numbers beside them can reach:
 * of the others only the call knows how far it follows them. */
static uint64_t field_value(struct world *world, enum call_kind kind,
                            const struct call_field *field)
{
    if (field->pointer)
        return kind == CALL_COPY && world_choose(world) >= 8
                   ? (uint64_t)(uintptr_t)buffer(world, COPY_BYTES)
                   : 0;
    if (field->object != CALL_OF_NOTHING)
        return object(world, field->object);
    if (field->device)
        return device_address(world);
    return field->values ? enumeration(world, field->values, field->value_count)
                         : world_choose(world) % 65;
}

static void fill_record(struct world *world, const struct call_parameter *parameter,
                        unsigned char *record)
{
    for (uint32_t f = 0; f < parameter->field_count; f++) {
        const struct call_field *field = &parameter->fields[f];
        uint64_t value = field_value(world, parameter->kind, field);
        memcpy(record + field->offset, &value,
               field->bytes < sizeof(value) ? field->bytes : sizeof(value));
    }
}

static void fill_element(struct world *world, const struct call_parameter *parameter,
                         unsigned char *element)
{
    uint64_t value;
    if (parameter->fields) {
        fill_record(world, parameter, element);
        return;
    }
    if (parameter->object != CALL_OF_NOTHING)
        value = object(world, parameter->object);
    else if (parameter->kind == CALL_DEVICE)
        value = device_address(world);
    else if (parameter->values)
        value = enumeration(world, parameter->values, parameter->value_count);
    else
        value = world_choose(world) % (ELEMENTS_MAX + 1);
    memcpy(element, &value,
           parameter->target_bytes < sizeof(value) ? parameter->target_bytes : sizeof(value));
}

static size_t element_count(const struct world *world, const struct call *call,
                            const struct call_parameter *parameter)
{
    if (parameter->count_of < 0)
        return parameter->count ? parameter->count : 1;
    const struct call_parameter *count = &call->parameters[parameter->count_of];
    if (count->target_bytes)
        return ELEMENTS_MAX;
    uint64_t value = 0;
    memcpy(&value, world->values[parameter->count_of], count->bytes);
    return value;
}

static void *array(struct world *world, const struct call *call,
                   const struct call_parameter *parameter)
{
    size_t count = element_count(world, call, parameter);
    size_t bytes = count * parameter->target_bytes;
    unsigned char *memory = buffer(world, bytes);
    if (!parameter->in && parameter->kind != CALL_ATTRIBUTE) {
        memset(memory, UNTOUCHED, bytes);
        if (world->output_count < WORLD_OUTPUTS_MAX)
            world->outputs[world->output_count++] = (struct world_buffer){memory, bytes};
        return memory;
    }
    if (parameter->target_bytes > 1)
        for (size_t i = 0; i < count; i++)
            fill_element(world, parameter, memory + i * parameter->target_bytes);
    return memory;
}

/* An array of pointers to values, each large enough for any attribute. */
static void *attributes(struct world *world, size_t count)
{
    void **values = (void **)buffer(world, count * sizeof(void *));
    for (size_t i = 0; i < count; i++)
        values[i] = buffer(world, ATTRIBUTE_BYTES);
    return values;
}

/* A kernel of the images takes two words at most. */
static void *kernel_parameters(struct world *world)
{
    void **values = attributes(world, 2);
    *(uint64_t *)values[1] = 1 + world_choose(world) % 4;
    return values;
}

static void nothing(void)
{
}

static void *pointer(struct world *world, const struct call *call, uint32_t index)
{
    const struct call_parameter *parameter = &call->parameters[index];
    uint8_t choice = world_choose(world);
    if (choice < 8)
        return NULL;
    switch (parameter->kind) {
    case CALL_FUNCTION:
        return (void *)(uintptr_t)nothing;
    case CALL_OPAQUE:
        return parameter->out ? array(world, call, parameter) : buffer(world, ATTRIBUTE_BYTES);
    case CALL_TEXT:
        return parameter->out ? array(world, call, parameter)
                              : (void *)(uintptr_t)texts[choice % COUNT(texts)];
    case CALL_IMAGE:
        return parameter->out ? array(world, call, parameter)
                              : (void *)(uintptr_t)images[choice % COUNT(images)];
    case CALL_PARAMETERS:
        return kernel_parameters(world);
    case CALL_LAUNCH_EXTRA:
    case CALL_OPTIONS:
        return NULL;
    case CALL_ATTRIBUTE:
        return buffer(world, ATTRIBUTE_BYTES);
    case CALL_ATTRIBUTES:
        return attributes(world, element_count(world, call, parameter));
    case CALL_PINNED:
        if (parameter->out || parameter->verb == CALL_CREATES)
            return array(world, call, parameter);
        return (void *)(uintptr_t)object(world, WORLD_PINNED_MEMORY);
    default:
        return array(world, call, parameter);
    }
}

bool world_prepare(struct world *world, const struct call *call)
{
    if (world->buffer_count + 8 * ELEMENTS_MAX > WORLD_BUFFERS_MAX)
        return false;
    memset(world->values, 0, sizeof(world->values));
    world->output_count = 0;
    world->memory_bytes = 0;
    for (uint32_t i = 0; i < call->parameter_count; i++)
        if (call->parameters[i].target_bytes == 0 && call->parameters[i].kind != CALL_FUNCTION)
            plain(world, call, i);
    for (uint32_t i = 0; i < call->parameter_count; i++) {
        world->arguments[i] = world->values[i];
        if (call->parameters[i].target_bytes == 0 && call->parameters[i].kind != CALL_FUNCTION)
            continue;
        void *value = pointer(world, call, i);
        memcpy(world->values[i], &value, sizeof(value));
    }
    return true;
}

/* Outputs that say why or where the call failed. */
static bool explains(const struct call *call)
{
    static const char *const calls[] = {
        "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphExecUpdate",    "cuGetErrorName",
        "cuGetErrorString",   "cuMemcpyBatchAsync", "cuMemcpy3DBatchAsync", "cuLogsDumpToMemory"};
    for (size_t i = 0; i < COUNT(calls); i++)
        if (strncmp(call->symbol, calls[i], strlen(calls[i])) == 0)
            return true;
    return false;
}

static void check_outputs(const struct world *world, const struct call *call, CUresult result)
{
    if (explains(call))
        return;
    for (size_t i = 0; i < world->output_count; i++)
        for (size_t at = 0; at < world->outputs[i].bytes; at++)
            if (world->outputs[i].memory[at] != UNTOUCHED) {
                fprintf(stderr, "%s failed with %d, and wrote output %zu\n", call->symbol,
                        (int)result, i);
                abort();
            }
}

static void remember_outputs(struct world *world, const struct call *call)
{
    for (uint32_t i = 0; i < call->parameter_count; i++) {
        const struct call_parameter *parameter = &call->parameters[i];
        uint64_t *out;
        memcpy(&out, world->values[i], sizeof(out));
        if (parameter->kind == CALL_PINNED && parameter->verb == CALL_CREATES && !parameter->out)
            world_remember(world, WORLD_PINNED_MEMORY, (uint64_t)(uintptr_t)out,
                           world->memory_bytes);
        if (!out || parameter->target_bytes != sizeof(uint64_t) || parameter->verb == CALL_NEITHER)
            continue;
        if (parameter->object != CALL_OF_NOTHING && parameter->out && parameter->count_of < 0)
            world_remember(world, parameter->object, *out, 0);
        else if (parameter->kind == CALL_DEVICE && parameter->verb == CALL_CREATES)
            world_remember(world, WORLD_DEVICE_MEMORY, *out, world->memory_bytes);
        else if (parameter->kind == CALL_PINNED && parameter->verb == CALL_CREATES &&
                 parameter->out)
            world_remember(world, WORLD_PINNED_MEMORY, *out, world->memory_bytes);
    }
}

CUresult world_call(struct world *world, const struct call *call)
{
    CUresult result = call->invoke(world->table, world->arguments);
    if (result == CUDA_SUCCESS)
        remember_outputs(world, call);
    else
        check_outputs(world, call, result);
    return result;
}

/* A module made ready: its kernels, lowered when first asked for. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "util/util.h"

#define THREADS_MAX 1024
#define REGISTERS_MIN 16
#define REGISTERS_MAX 255
/* With so many a block of THREADS_MAX threads still fits on an SM of 65536 registers. */
#define REGISTERS_FULL_BLOCK 64

int weft_exec_program_create(struct weft_exec_program **out, const struct weft_ptx_module *module,
                             const uint64_t *variable_addresses, struct weft_err *err)
{
    struct weft_exec_program *program = calloc(1, sizeof(*program));
    if (program == NULL)
        return weft_fail(err, WEFT_ENOMEM, "a program");
    program->module = module;
    program->variable_addresses = calloc(module->variable_count + 1, sizeof(uint64_t));
    program->kernels = calloc(module->function_count + 1, sizeof(*program->kernels));
    pthread_mutex_init(&program->lock, NULL);
    if (program->variable_addresses == NULL || program->kernels == NULL) {
        weft_exec_program_destroy(program);
        return weft_fail(err, WEFT_ENOMEM, "a program of %u functions", module->function_count);
    }
    if (module->variable_count)
        memcpy(program->variable_addresses, variable_addresses,
               module->variable_count * sizeof(uint64_t));
    *out = program;
    return 0;
}

void weft_exec_program_destroy(struct weft_exec_program *program)
{
    if (program == NULL)
        return;
    for (uint32_t i = 0; program->kernels && i < program->module->function_count; i++)
        weft_exec_kernel_destroy(program->kernels[i]);
    free(program->kernels);
    free(program->variable_addresses);
    pthread_mutex_destroy(&program->lock);
    free(program);
}

int weft_exec_program_kernel(struct weft_exec_program *program, uint32_t function_index,
                             const struct weft_exec_kernel **out, struct weft_err *err)
{
    const struct weft_ptx_module *module = program->module;
    if (function_index >= module->function_count)
        return weft_fail(err, WEFT_EINVAL, "function %u of %u", function_index,
                         module->function_count);
    const struct weft_ptx_function *function = &module->functions[function_index];
    if (!function->entry || !function->body)
        return weft_fail(err, WEFT_EINVAL, "%s is no kernel", function->name);
    int rc = 0;
    pthread_mutex_lock(&program->lock);
    if (program->kernels[function_index] == NULL)
        rc =
            weft_exec_lower_kernel(&program->kernels[function_index], program, function_index, err);
    if (rc == 0)
        *out = program->kernels[function_index];
    pthread_mutex_unlock(&program->lock);
    return rc;
}

static uint32_t threads_of(const uint32_t size[3])
{
    if (size[0] == 0)
        return 0;
    uint64_t threads = (uint64_t)size[0] * WEFT_MAX(size[1], 1u) * WEFT_MAX(size[2], 1u);
    return (uint32_t)WEFT_MIN(threads, (uint64_t)THREADS_MAX);
}

static uint32_t const_bytes(const struct weft_ptx_module *module)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < module->variable_count; i++)
        if (module->variables[i].space == WEFT_PTX_CONST)
            bytes = weft_round_up(bytes, module->variables[i].align) + module->variables[i].bytes;
    return (uint32_t)bytes;
}

/* PTX names registers without end; a real allocator reuses most of them. Where nothing bounds them
 * the estimate leaves room for a full block, so that it refuses no launch which a card takes. */
static uint32_t register_estimate(const struct weft_ptx_function *function)
{
    if (function->maxnreg)
        return WEFT_MIN(function->maxnreg, (uint32_t)REGISTERS_MAX);
    uint32_t words = 0;
    for (uint32_t i = 0; i < function->register_count; i++)
        words += (weft_exec_row_bytes(function->registers[i].type) + 3) / 4;
    return WEFT_MIN(REGISTERS_MIN + words / 8, (uint32_t)REGISTERS_FULL_BLOCK);
}

struct weft_exec_kernel_info weft_exec_kernel_describe(const struct weft_exec_kernel *kernel)
{
    const struct weft_ptx_function *function = kernel->function;
    struct weft_exec_kernel_info info = {
        .name = function->name,
        .param_bytes = function->parameter_bytes,
        .static_shared_bytes = kernel->static_shared_bytes,
        .local_bytes = kernel->parts[0].local_bytes,
        .const_bytes = const_bytes(kernel->module),
        .registers = register_estimate(function),
        .max_threads_per_block = THREADS_MAX,
        .calls_indirect = kernel->calls_indirect,
        .prints = kernel->prints,
        .allocates = kernel->allocates,
        .max_cluster_rank = function->maxclusterrank,
        .explicit_cluster = function->explicitcluster,
    };
    uint32_t required = threads_of(function->reqntid);
    uint32_t most = threads_of(function->maxntid);
    if (required || most)
        info.max_threads_per_block = required ? required : most;
    if (required)
        for (int i = 0; i < 3; i++)
            info.required_block[i] = WEFT_MAX(function->reqntid[i], 1u);
    if (function->reqnctapercluster[0])
        for (int i = 0; i < 3; i++)
            info.required_cluster[i] = WEFT_MAX(function->reqnctapercluster[i], 1u);
    return info;
}

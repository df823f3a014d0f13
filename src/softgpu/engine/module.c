/* A module's life in a context: its variables get addresses and their initial values. */
#include "softgpu/engine/module.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/schedule.h"

static bool has_address(const struct weft_ptx_variable *variable)
{
    return variable->space == WEFT_PTX_GLOBAL || variable->space == WEFT_PTX_CONST;
}

/* Once no work of the context is left that could use them. Not as late as the module's end: a
 * worker may hold it for a moment longer than its kernel runs, and who loads the library anew then
 * has its initial values. */
static void leave_common(struct weft_soft_module *module)
{
    if (module->common && !atomic_exchange(&module->left_common, true))
        weft_soft_managed_leave(module->common, module->context);
}

static void release_module(void *object)
{
    struct weft_soft_module *module = object;
    weft_exec_program_destroy(module->program);
    leave_common(module);
    weft_soft_image_put(module->image);
    pthread_mutex_destroy(&module->lock);
    weft_soft_context_put(module->context);
    free(module->variable_addresses);
    free(module->functions);
    free(module->refused);
    free(module);
}

/* Offsets of all variables in two allocations, device and managed; their sizes, 0 where there are
 * none. */
static CUresult lay_out(struct weft_soft_module *module, uint64_t bytes[2], struct weft_err *err)
{
    const struct weft_ptx_module *ptx = module->image->ptx;
    for (uint32_t i = 0; i < ptx->variable_count; i++) {
        const struct weft_ptx_variable *variable = &ptx->variables[i];
        if (!has_address(variable))
            continue;
        if (variable->linkage == WEFT_PTX_EXTERN) {
            weft_fail(err, WEFT_ENOENT, "ptx:%u: variable %s is extern and nowhere defined",
                      variable->line, variable->name);
            return CUDA_ERROR_INVALID_PTX;
        }
        uint64_t *used = &bytes[variable->managed];
        *used = weft_round_up(*used, WEFT_MAX(variable->align, 1u));
        module->variable_addresses[i] = *used;
        *used += variable->bytes;
    }
    return CUDA_SUCCESS;
}

static uint64_t address_of(const struct weft_soft_module *module,
                           const struct weft_ptx_relocation *relocation)
{
    uint64_t base = relocation->symbol == WEFT_PTX_SYMBOL_FUNCTION
                        ? WEFT_EXEC_FUNCTION_ADDRESS(relocation->index)
                        : module->variable_addresses[relocation->index];
    return (base + (uint64_t)relocation->addend) >> (8 * relocation->shift);
}

static void write_initialiser(const struct weft_soft_module *module,
                              const struct weft_ptx_variable *variable, unsigned char *target)
{
    if (variable->init)
        memcpy(target, variable->init, variable->init_bytes);
    for (uint32_t i = 0; i < variable->relocation_count; i++) {
        const struct weft_ptx_relocation *relocation = &variable->relocations[i];
        uint64_t address = address_of(module, relocation);
        memcpy(target + relocation->offset, &address, relocation->bytes);
    }
}

/* `initialise`: no other module has given them their values. */
static CUresult place_managed(struct weft_soft_module *module, struct weft_soft_managed *common,
                              uint64_t bytes, bool *initialise)
{
    if (!common)
        return weft_soft_memory_allocate_managed(module->context, bytes, &module->managed);
    CUresult result =
        weft_soft_managed_use(common, module->context, bytes, &module->managed, initialise);
    if (result == CUDA_SUCCESS)
        module->common = common;
    return result;
}

static CUresult place_variables(struct weft_soft_module *module, struct weft_soft_managed *common,
                                struct weft_err *err)
{
    const struct weft_ptx_module *ptx = module->image->ptx;
    uint64_t bytes[2] = {0};
    bool initialise = true;
    CUresult result = lay_out(module, bytes, err);
    if (!result && bytes[0])
        result = weft_soft_memory_allocate(module->context, bytes[0], &module->variables);
    if (!result && bytes[1])
        result = place_managed(module, common, bytes[1], &initialise);
    if (result == CUDA_ERROR_OUT_OF_MEMORY)
        weft_fail(err, WEFT_ENOMEM, "no device memory for the module's variables");
    if (result)
        return result;
    module->variable_bytes = bytes[0];
    for (uint32_t i = 0; i < ptx->variable_count; i++)
        if (has_address(&ptx->variables[i]))
            module->variable_addresses[i] +=
                ptx->variables[i].managed ? module->managed : module->variables;
    for (uint32_t i = 0; i < ptx->variable_count; i++) {
        const struct weft_ptx_variable *variable = &ptx->variables[i];
        if (!has_address(variable) || !variable->bytes || (variable->managed && !initialise))
            continue;
        unsigned char *memory =
            weft_soft_memory_reach(module->variable_addresses[i], variable->bytes);
        if (!memory)
            return CUDA_ERROR_UNKNOWN;
        write_initialiser(module, variable, memory);
    }
    return CUDA_SUCCESS;
}

static struct weft_soft_module *allocate_module(struct weft_soft_context *context,
                                                struct weft_soft_image *image)
{
    struct weft_soft_module *module = calloc(1, sizeof(*module));
    if (!module)
        return NULL;
    pthread_mutex_init(&module->lock, NULL);
    weft_soft_context_retain(context);
    module->context = context;
    weft_soft_image_get(image);
    module->image = image;
    module->variable_addresses =
        calloc(image->ptx->variable_count + 1, sizeof(*module->variable_addresses));
    module->functions = calloc(image->ptx->function_count + 1, sizeof(*module->functions));
    module->refused = calloc(image->ptx->function_count + 1, sizeof(*module->refused));
    if (module->variable_addresses && module->functions && module->refused)
        return module;
    release_module(module);
    return NULL;
}

/* Not when the last reference goes: that may be on a worker, and freeing waits for the context's
 * work, which may need that worker. A destroyed context frees all of its memory itself. */
static void free_variables(struct weft_soft_module *module)
{
    if (atomic_load(&module->context->destroyed))
        return;
    if (module->managed && !module->common)
        weft_soft_memory_free(module->context, module->managed);
    if (!module->variables)
        return;
    weft_soft_memory_end_references(module->context, module->variables, module->variable_bytes);
    weft_soft_memory_free(module->context, module->variables);
}

static CUresult furnish_module(struct weft_soft_module *module, struct weft_soft_managed *common,
                               struct weft_err *err)
{
    CUresult result = place_variables(module, common, err);
    if (result)
        return result;
    int rc = weft_exec_program_create(&module->program, module->image->ptx,
                                      module->variable_addresses, err);
    if (rc)
        return rc == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_PTX;
    module->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_MODULE, module, release_module);
    return module->handle ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult weft_soft_module_create(struct weft_soft_context *context, struct weft_soft_image *image,
                                 struct weft_soft_managed *common, struct weft_soft_module **out,
                                 struct weft_err *err)
{
    CUresult result =
        weft_soft_image_check(image, weft_soft_profile_sm(context->device->profile), err);
    if (result)
        return result;
    struct weft_soft_module *module = allocate_module(context, image);
    if (!module)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = furnish_module(module, common, err);
    if (result) {
        free_variables(module);
        release_module(module);
        return result;
    }
    result =
        weft_soft_child_adopt(context, &module->child, WEFT_SOFT_HANDLE_MODULE, module->handle);
    if (result)
        weft_soft_handle_close(WEFT_SOFT_HANDLE_MODULE, module->handle);
    else
        *out = module;
    return result;
}

static bool is_reference(const struct weft_ptx_variable *variable)
{
    return variable->type >= WEFT_PTX_TEXREF && variable->type <= WEFT_PTX_SURFREF;
}

CUresult weft_soft_module_reference(struct weft_soft_module *module, const char *name,
                                    bool is_surface, uint64_t *handle)
{
    const struct weft_ptx_module *ptx = module->image->ptx;
    uint32_t index = weft_ptx_find_variable(ptx, name);
    if (index == WEFT_PTX_NONE || !has_address(&ptx->variables[index]) ||
        ptx->variables[index].type != (is_surface ? WEFT_PTX_SURFREF : WEFT_PTX_TEXREF))
        return CUDA_ERROR_NOT_FOUND;
    return weft_soft_memory_reference(module->context, module->variable_addresses[index],
                                      is_surface, handle);
}

CUresult weft_soft_module_global(struct weft_soft_module *module, const char *name,
                                 CUdeviceptr *address, size_t *bytes)
{
    const struct weft_ptx_module *ptx = module->image->ptx;
    uint32_t index = weft_ptx_find_variable(ptx, name);
    if (index == WEFT_PTX_NONE || !has_address(&ptx->variables[index]) ||
        is_reference(&ptx->variables[index]))
        return CUDA_ERROR_NOT_FOUND;
    if (address)
        *address = module->variable_addresses[index];
    if (bytes)
        *bytes = ptx->variables[index].bytes;
    return CUDA_SUCCESS;
}

static void close_functions(struct weft_soft_module *module)
{
    pthread_mutex_lock(&module->lock);
    module->closed = true;
    pthread_mutex_unlock(&module->lock);
    /* Nobody writes to the table any more. */
    for (uint32_t i = 0; i < module->image->ptx->function_count; i++)
        if (module->functions[i])
            weft_soft_handle_close(WEFT_SOFT_HANDLE_FUNCTION, module->functions[i]);
}

bool weft_soft_module_close(uint64_t handle)
{
    struct weft_soft_module *module = weft_soft_handle_get(WEFT_SOFT_HANDLE_MODULE, handle);
    if (!module)
        return false;
    bool closed = weft_soft_handle_close(WEFT_SOFT_HANDLE_MODULE, handle);
    if (closed) {
        close_functions(module);
        leave_common(module);
    }
    weft_soft_handle_put(handle);
    return closed;
}

CUresult weft_soft_module_unload(uint64_t handle)
{
    struct weft_soft_module *module = weft_soft_handle_get(WEFT_SOFT_HANDLE_MODULE, handle);
    if (!module)
        return CUDA_ERROR_INVALID_HANDLE;
    weft_soft_child_leave(module->context, &module->child);
    weft_soft_context_wait(module->context);
    bool closed = weft_soft_module_close(handle);
    if (closed)
        free_variables(module);
    weft_soft_handle_put(handle);
    return closed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Kernels are made ready for the executor when a program first asks for them. */
#include <stdio.h>
#include <stdlib.h>

#include "softgpu/engine/library.h"
#include "softgpu/engine/module.h"
#include "softgpu/engine/schedule.h"

#define SENTENCE_BYTES 640
#define NO_CARVEOUT (-1)

static void release_function(void *object)
{
    struct weft_soft_function *function = object;
    uint64_t module = function->module->handle;
    free(function->settings.params);
    free(function);
    weft_soft_handle_put(module);
}

/* The person is told of each kernel once, however often the program asks for it. */
static CUresult result_of_lowering(struct weft_soft_module *module, uint32_t index, int rc,
                                   const struct weft_err *err)
{
    if (rc == -WEFT_ENOMEM)
        return CUDA_ERROR_OUT_OF_MEMORY;
    char sentence[SENTENCE_BYTES];
    snprintf(sentence, sizeof(sentence), "kernel %.100s cannot run on the soft GPU: %.480s",
             module->image->ptx->functions[index].name, err->text);
    if (weft_soft.report && !module->refused[index])
        weft_soft.report(sentence);
    module->refused[index] = true;
    return rc == -WEFT_ENOSYS ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_PTX;
}

static uint32_t dynamic_shared_default(const struct weft_soft_profile *profile,
                                       const struct weft_exec_kernel_info *info)
{
    return info->static_shared_bytes < profile->shared_bytes_per_block
               ? profile->shared_bytes_per_block - info->static_shared_bytes
               : 0;
}

/* module->lock held. */
static CUresult make_function(struct weft_soft_module *module, uint32_t index, uint64_t *handle)
{
    struct weft_err err = {0};
    const struct weft_exec_kernel *kernel;
    int rc = weft_exec_program_kernel(module->program, index, &kernel, &err);
    if (rc)
        return result_of_lowering(module, index, rc, &err);
    struct weft_soft_function *function = calloc(1, sizeof(*function));
    if (!function)
        return CUDA_ERROR_OUT_OF_MEMORY;
    function->module = module;
    function->index = index;
    function->kernel = kernel;
    function->info = weft_exec_kernel_describe(kernel);
    if (module->registers_max)
        function->info.registers = WEFT_MIN(function->info.registers, module->registers_max);
    function->settings = (struct weft_soft_settings){.block = {1, 1, 1}};
    atomic_init(&function->dynamic_shared_max,
                dynamic_shared_default(module->context->device->profile, &function->info));
    atomic_init(&function->carveout, NO_CARVEOUT);
    function->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_FUNCTION, function, release_function);
    if (!function->handle) {
        free(function);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    weft_soft_handle_retain(module->handle);
    *handle = function->handle;
    return CUDA_SUCCESS;
}

CUresult weft_soft_module_function_at(struct weft_soft_module *module, uint32_t index,
                                      uint64_t *handle)
{
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&module->lock);
    if (module->closed)
        result = CUDA_ERROR_INVALID_HANDLE;
    else if (!module->functions[index])
        result = make_function(module, index, &module->functions[index]);
    *handle = module->functions[index];
    pthread_mutex_unlock(&module->lock);
    return result;
}

CUresult weft_soft_module_function(struct weft_soft_module *module, const char *name,
                                   uint64_t *handle)
{
    const struct weft_ptx_module *ptx = module->image->ptx;
    uint32_t index = weft_ptx_find_function(ptx, name);
    if (index == WEFT_PTX_NONE || !weft_soft_is_kernel(&ptx->functions[index]))
        return CUDA_ERROR_NOT_FOUND;
    return weft_soft_module_function_at(module, index, handle);
}

CUresult weft_soft_function_get(CUfunction handle, struct weft_soft_context *context,
                                struct weft_soft_function **out)
{
    uint64_t number = (uint64_t)(uintptr_t)handle;
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_FUNCTION, number);
    return *out ? CUDA_SUCCESS : weft_soft_kernel_function(number, context, out);
}

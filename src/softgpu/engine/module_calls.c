/* The calls that load, ask and unload modules. */
#include <string.h>

#include "softgpu/engine/module.h"
#include "softgpu/engine/schedule.h"

void weft_soft_module_tell(CUresult result, const struct weft_err *err)
{
    /* What the text is wrong about goes to the program's log buffer; what the soft GPU cannot do is
     * for the person. */
    bool for_a_person = result == CUDA_ERROR_NO_BINARY_FOR_GPU ||
                        result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_INVALID_PTX ||
                        result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    if (for_a_person && weft_soft.report && err->text[0])
        weft_soft.report(err->text);
}

/* Kernels are made ready when they are first asked for; the program may want that at once. One that
 * cannot run here is told of now, and refused when it is asked for. */
static void make_ready(struct weft_soft_module *module)
{
    const struct weft_ptx_module *ptx = module->image->ptx;
    uint64_t function;
    for (uint32_t i = 0; i < ptx->function_count; i++)
        if (weft_soft_is_kernel(&ptx->functions[i]))
            weft_soft_module_function_at(module, i, &function);
}

/* `image` of memory, or `path` of a file. */
static CUresult load(CUmodule *out, const void *memory, const char *path,
                     const struct weft_soft_jit *jit)
{
    struct weft_soft_context *context;
    struct weft_soft_image *image = NULL;
    struct weft_soft_module *module;
    struct weft_err err = {0};
    CUresult result = weft_soft_context_ask(out, &context);
    if (result == CUDA_SUCCESS)
        result = weft_soft_capture_permit();
    if (result)
        return result;
    if (!memory && !path)
        return CUDA_ERROR_INVALID_VALUE;
    uint32_t sm;
    uint64_t started_ns = weft_clock_ns();
    bool whole = jit && jit->error_bytes; /* the log is written now or never */
    result = weft_soft_jit_sm(jit, weft_soft_profile_sm(context->device->profile), &sm, &err);
    if (result == CUDA_SUCCESS)
        result = path ? weft_soft_image_load_file(&image, path, sm, whole, &err)
                      : weft_soft_image_load(&image, memory, sm, whole, &err);
    if (result == CUDA_SUCCESS)
        result = weft_soft_image_check(image, sm, &err);
    if (result == CUDA_SUCCESS)
        result = weft_soft_module_create(context, image, NULL, &module, &err);
    if (result == CUDA_SUCCESS && jit)
        module->registers_max = jit->registers_max;
    weft_soft_image_put(image);
    if (result == CUDA_SUCCESS && weft_soft.load_eagerly)
        make_ready(module);
    if (jit)
        weft_soft_jit_write(jit, result ? err.text : NULL, started_ns);
    if (result) {
        weft_soft_module_tell(result, &err);
        return result;
    }
    *out = (CUmodule)(uintptr_t)module->handle;
    return CUDA_SUCCESS;
}

static CUresult load_file(CUmodule *out, const char *path)
{
    return load(out, NULL, path, NULL);
}

static CUresult load_data(CUmodule *out, const void *image)
{
    return load(out, image, NULL, NULL);
}

static CUresult load_data_ex(CUmodule *out, const void *image, unsigned int count,
                             CUjit_option *options, void **values)
{
    struct weft_soft_jit jit;
    CUresult result = weft_soft_jit_read(&jit, count, options, values);
    return result ? result : load(out, image, NULL, &jit);
}

static CUresult unload(CUmodule handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    return result ? result : weft_soft_module_unload((uint64_t)(uintptr_t)handle);
}

/* The module under a new reference, put with its handle. */
static CUresult enter(CUmodule handle, struct weft_soft_module **out)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_MODULE, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult get_function(CUfunction *out, CUmodule handle, const char *name)
{
    struct weft_soft_module *module;
    uint64_t function;
    CUresult result = enter(handle, &module);
    if (result)
        return result;
    result =
        out && name ? weft_soft_module_function(module, name, &function) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *out = (CUfunction)(uintptr_t)function;
    weft_soft_handle_put(module->handle);
    return result;
}

static CUresult get_global(CUdeviceptr *address, size_t *bytes, CUmodule handle, const char *name)
{
    struct weft_soft_module *module;
    CUresult result = enter(handle, &module);
    if (result)
        return result;
    result = name && (address || bytes) ? weft_soft_module_global(module, name, address, bytes)
                                        : CUDA_ERROR_INVALID_VALUE;
    weft_soft_handle_put(module->handle);
    return result;
}

static CUresult get_reference(void **out, CUmodule handle, const char *name, bool is_surface)
{
    struct weft_soft_module *module;
    uint64_t reference;
    CUresult result = enter(handle, &module);
    if (result)
        return result;
    result = out && name ? weft_soft_module_reference(module, name, is_surface, &reference)
                         : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *out = (void *)(uintptr_t)reference;
    weft_soft_handle_put(module->handle);
    return result;
}

static CUresult get_texture_reference(CUtexref *out, CUmodule handle, const char *name)
{
    return get_reference((void **)out, handle, name, false);
}

static CUresult get_surface_reference(CUsurfref *out, CUmodule handle, const char *name)
{
    return get_reference((void **)out, handle, name, true);
}

unsigned int weft_soft_count_kernels(const struct weft_ptx_module *ptx)
{
    unsigned int count = 0;
    for (uint32_t i = 0; i < ptx->function_count; i++)
        count += weft_soft_is_kernel(&ptx->functions[i]);
    return count;
}

static CUresult get_function_count(unsigned int *out, CUmodule handle)
{
    struct weft_soft_module *module;
    CUresult result = enter(handle, &module);
    if (result)
        return result;
    unsigned int count = weft_soft_count_kernels(module->image->ptx);
    weft_soft_handle_put(module->handle);
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    *out = count;
    return CUDA_SUCCESS;
}

static CUresult enumerate_functions(CUfunction *out, unsigned int count, CUmodule handle)
{
    struct weft_soft_module *module;
    CUresult result = enter(handle, &module);
    if (result)
        return result;
    const struct weft_ptx_module *ptx = module->image->ptx;
    unsigned int filled = 0;
    result = out || !count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (uint32_t i = 0; i < ptx->function_count && filled < count && !result; i++) {
        uint64_t function;
        if (!weft_soft_is_kernel(&ptx->functions[i]))
            continue;
        result = weft_soft_module_function_at(module, i, &function);
        if (result == CUDA_SUCCESS)
            out[filled++] = (CUfunction)(uintptr_t)function;
    }
    weft_soft_handle_put(module->handle);
    return result;
}

static CUresult get_loading_mode(CUmoduleLoadingMode *out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    *out = weft_soft.load_eagerly ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

void weft_soft_module_install(struct weft_cuda *table)
{
    table->cuModuleLoad = load_file;
    table->cuModuleLoadData = load_data;
    table->cuModuleLoadDataEx = load_data_ex;
    table->cuModuleLoadFatBinary = load_data;
    table->cuModuleUnload = unload;
    table->cuModuleGetFunction = get_function;
    table->cuModuleGetGlobal_v2 = get_global;
    table->cuModuleGetTexRef = get_texture_reference;
    table->cuModuleGetSurfRef = get_surface_reference;
    table->cuModuleGetFunctionCount = get_function_count;
    table->cuModuleEnumerateFunctions = enumerate_functions;
    table->cuModuleGetLoadingMode = get_loading_mode;
}

#include "softgpu/engine/library.h"

#include <stdlib.h>

#define NO_OVERRIDE (-1)

struct loaded {
    struct loaded *next;
    CUcontext context;
    uint64_t module; /* a handle; closed by the context where that goes first */
};

struct library {
    uint64_t handle;
    struct weft_soft_image *image;     /* referenced */
    struct weft_soft_managed *managed; /* referenced */
    pthread_mutex_t lock;
    struct loaded *loaded; /* lock; one a context */
    uint64_t *kernels;     /* lock; a handle a function of the image, 0: not asked for yet */
    bool closed;           /* lock */
};

struct kernel {
    struct library *library; /* referenced by its handle */
    uint64_t handle;
    uint32_t index;
    atomic_int dynamic_shared[WEFT_DEVICES_MAX]; /* what cuKernelSetAttribute set */
    atomic_int carveout[WEFT_DEVICES_MAX];
};

static void release_library(void *object)
{
    struct library *library = object;
    while (library->loaded) {
        struct loaded *loaded = library->loaded;
        library->loaded = loaded->next;
        free(loaded);
    }
    weft_soft_image_put(library->image);
    weft_soft_managed_put(library->managed);
    pthread_mutex_destroy(&library->lock);
    free(library->kernels);
    free(library);
}

static void release_kernel(void *object)
{
    struct kernel *kernel = object;
    uint64_t library = kernel->library->handle;
    free(kernel);
    weft_soft_handle_put(library);
}

/* Takes over the caller's reference to `image`. */
static CUresult create(struct weft_soft_image *image, CUlibrary *out)
{
    struct library *library = calloc(1, sizeof(*library));
    if (!library) {
        weft_soft_image_put(image);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    library->image = image;
    pthread_mutex_init(&library->lock, NULL);
    library->kernels = calloc(image->ptx->function_count + 1, sizeof(*library->kernels));
    library->managed = weft_soft_managed_create();
    if (library->kernels && library->managed)
        library->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_LIBRARY, library, release_library);
    if (!library->handle) {
        release_library(library);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = (CUlibrary)(uintptr_t)library->handle;
    return CUDA_SUCCESS;
}

static CUresult load(CUlibrary *out, const void *code, const char *path, unsigned int option_count,
                     CUjit_option *options, void **values)
{
    struct weft_soft_jit jit;
    struct weft_soft_image *image;
    struct weft_err err = {0};
    CUresult result = weft_soft_call_enter();
    if (result || (result = weft_soft_jit_read(&jit, option_count, options, values)))
        return result;
    if (!out || (!code && !path))
        return CUDA_ERROR_INVALID_VALUE;
    uint32_t sm = weft_soft_image_common_sm();
    uint64_t started_ns = weft_clock_ns();
    bool whole = jit.error_bytes;
    result = path ? weft_soft_image_load_file(&image, path, sm, whole, &err)
                  : weft_soft_image_load(&image, code, sm, whole, &err);
    weft_soft_jit_write(&jit, result ? err.text : NULL, started_ns);
    if (result) {
        weft_soft_module_tell(result, &err);
        return result;
    }
    return create(image, out);
}

static CUresult load_data(CUlibrary *out, const void *code, CUjit_option *options, void **values,
                          unsigned int option_count, CUlibraryOption *library_options,
                          void **library_values, unsigned int library_option_count)
{
    (void)library_options, (void)library_values, (void)library_option_count;
    return load(out, code, NULL, option_count, options, values);
}

static CUresult load_file(CUlibrary *out, const char *path, CUjit_option *options, void **values,
                          unsigned int option_count, CUlibraryOption *library_options,
                          void **library_values, unsigned int library_option_count)
{
    (void)library_options, (void)library_values, (void)library_option_count;
    return load(out, NULL, path, option_count, options, values);
}

/* Under a new reference, put with its handle. */
static CUresult enter(CUlibrary handle, struct library **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_LIBRARY, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static void close_kernels(struct library *library)
{
    for (uint32_t i = 0; i < library->image->ptx->function_count; i++)
        if (library->kernels[i])
            weft_soft_handle_close(WEFT_SOFT_HANDLE_KERNEL, library->kernels[i]);
}

static CUresult unload(CUlibrary handle)
{
    struct library *library;
    CUresult result = enter(handle, &library);
    if (result)
        return result;
    bool first = weft_soft_handle_close(WEFT_SOFT_HANDLE_LIBRARY, library->handle);
    if (first) {
        pthread_mutex_lock(&library->lock);
        library->closed = true;
        pthread_mutex_unlock(&library->lock);
        close_kernels(library);
        for (struct loaded *loaded = library->loaded; loaded; loaded = loaded->next)
            weft_soft_module_unload(loaded->module);
    }
    weft_soft_handle_put(library->handle);
    return first ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* library->lock held. The entry of a context, whose module may have gone with an older context. */
static struct loaded *find_loaded(struct library *library, CUcontext context)
{
    struct loaded *loaded = library->loaded;
    while (loaded && loaded->context != context)
        loaded = loaded->next;
    return loaded;
}

static CUresult load_into(struct library *library, struct weft_soft_context *context,
                          struct weft_soft_module **out)
{
    struct weft_err err = {0};
    struct loaded *loaded = calloc(1, sizeof(*loaded));
    if (!loaded)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = weft_soft_module_create(context, library->image, library->managed, out, &err);
    if (result) {
        weft_soft_module_tell(result, &err);
        free(loaded);
        return result;
    }
    loaded->context = context->handle;
    loaded->module = (*out)->handle;
    loaded->next = library->loaded;
    library->loaded = loaded;
    weft_soft_handle_retain(loaded->module);
    return CUDA_SUCCESS;
}

/* The library's module in `context`, made where it is not there yet; under a new reference. */
static CUresult module_in(struct library *library, struct weft_soft_context *context,
                          struct weft_soft_module **out)
{
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&library->lock);
    struct loaded *loaded = find_loaded(library, context->handle);
    if (library->closed)
        result = CUDA_ERROR_INVALID_HANDLE;
    else if (!loaded)
        result = load_into(library, context, out);
    else if (!(*out = weft_soft_handle_get(WEFT_SOFT_HANDLE_MODULE, loaded->module)))
        result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    pthread_mutex_unlock(&library->lock);
    return result;
}

static CUresult current_module(CUlibrary handle, struct weft_soft_module **out)
{
    struct library *library;
    struct weft_soft_context *context;
    CUresult result = enter(handle, &library);
    if (result)
        return result;
    result = weft_soft_context_current(&context);
    if (result == CUDA_SUCCESS)
        result = module_in(library, context, out);
    weft_soft_handle_put(library->handle);
    return result;
}

static CUresult get_module(CUmodule *out, CUlibrary handle)
{
    struct weft_soft_module *module;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = current_module(handle, &module);
    if (result)
        return result;
    *out = (CUmodule)(uintptr_t)module->handle;
    weft_soft_handle_put(module->handle);
    return CUDA_SUCCESS;
}

static CUresult get_global(CUdeviceptr *address, size_t *bytes, CUlibrary handle, const char *name)
{
    struct weft_soft_module *module;
    if (!name || (!address && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = current_module(handle, &module);
    if (result)
        return result;
    result = weft_soft_module_global(module, name, address, bytes);
    weft_soft_handle_put(module->handle);
    return result;
}

/* Like get_global, for a variable that the host may touch too. */
static CUresult get_managed(CUdeviceptr *address, size_t *bytes, CUlibrary handle, const char *name)
{
    struct weft_soft_module *module;
    if (!name || (!address && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = current_module(handle, &module);
    if (result)
        return result;
    const struct weft_ptx_module *ptx = module->image->ptx;
    uint32_t index = weft_ptx_find_variable(ptx, name);
    bool managed = index != WEFT_PTX_NONE && ptx->variables[index].managed;
    result = managed ? weft_soft_module_global(module, name, address, bytes) : CUDA_ERROR_NOT_FOUND;
    weft_soft_handle_put(module->handle);
    return result;
}

/* No device here shares functions with the host. */
static CUresult get_unified_function(void **function, CUlibrary handle, const char *name)
{
    struct library *library;
    CUresult result = enter(handle, &library);
    if (result)
        return result;
    weft_soft_handle_put(library->handle);
    return function && name ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_VALUE;
}

/* library->lock held. */
static CUresult make_kernel(struct library *library, uint32_t index)
{
    struct kernel *kernel = calloc(1, sizeof(*kernel));
    if (!kernel)
        return CUDA_ERROR_OUT_OF_MEMORY;
    kernel->library = library;
    kernel->index = index;
    for (size_t i = 0; i < WEFT_DEVICES_MAX; i++) {
        atomic_init(&kernel->dynamic_shared[i], NO_OVERRIDE);
        atomic_init(&kernel->carveout[i], NO_OVERRIDE);
    }
    kernel->handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_KERNEL, kernel, release_kernel);
    if (!kernel->handle) {
        free(kernel);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    weft_soft_handle_retain(library->handle);
    library->kernels[index] = kernel->handle;
    return CUDA_SUCCESS;
}

static CUresult kernel_at(struct library *library, uint32_t index, CUkernel *out)
{
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&library->lock);
    if (library->closed)
        result = CUDA_ERROR_INVALID_HANDLE;
    else if (!library->kernels[index])
        result = make_kernel(library, index);
    if (result == CUDA_SUCCESS)
        *out = (CUkernel)(uintptr_t)library->kernels[index];
    pthread_mutex_unlock(&library->lock);
    return result;
}

static CUresult get_kernel(CUkernel *out, CUlibrary handle, const char *name)
{
    struct library *library;
    CUresult result = enter(handle, &library);
    if (result)
        return result;
    const struct weft_ptx_module *ptx = library->image->ptx;
    uint32_t index = name ? weft_ptx_find_function(ptx, name) : WEFT_PTX_NONE;
    if (!out || !name)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (index == WEFT_PTX_NONE || !weft_soft_is_kernel(&ptx->functions[index]))
        result = CUDA_ERROR_NOT_FOUND;
    else
        result = kernel_at(library, index, out);
    weft_soft_handle_put(library->handle);
    return result;
}

static CUresult get_kernel_count(unsigned int *out, CUlibrary handle)
{
    struct library *library;
    CUresult result = enter(handle, &library);
    if (result)
        return result;
    if (out)
        *out = weft_soft_count_kernels(library->image->ptx);
    weft_soft_handle_put(library->handle);
    return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult enumerate_kernels(CUkernel *out, unsigned int count, CUlibrary handle)
{
    struct library *library;
    CUresult result = enter(handle, &library);
    if (result)
        return result;
    const struct weft_ptx_module *ptx = library->image->ptx;
    unsigned int filled = 0;
    result = out || !count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (uint32_t i = 0; i < ptx->function_count && filled < count && !result; i++)
        if (weft_soft_is_kernel(&ptx->functions[i]))
            result = kernel_at(library, i, &out[filled++]);
    weft_soft_handle_put(library->handle);
    return result;
}

/* What was set of the kernel for a device holds in all contexts of the device. */
static void apply_overrides(struct kernel *kernel, struct weft_soft_function *function)
{
    uint32_t device = function->module->context->device->ordinal;
    int shared = atomic_load(&kernel->dynamic_shared[device]);
    int carveout = atomic_load(&kernel->carveout[device]);
    if (shared != NO_OVERRIDE)
        atomic_store(&function->dynamic_shared_max, (unsigned int)shared);
    if (carveout != NO_OVERRIDE)
        atomic_store(&function->carveout, carveout);
}

static CUresult function_in(struct kernel *kernel, struct weft_soft_context *context,
                            struct weft_soft_function **out)
{
    struct weft_soft_module *module;
    uint64_t function;
    CUresult result = module_in(kernel->library, context, &module);
    if (result)
        return result;
    result = weft_soft_module_function_at(module, kernel->index, &function);
    if (result == CUDA_SUCCESS &&
        !(*out = weft_soft_handle_get(WEFT_SOFT_HANDLE_FUNCTION, function)))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS)
        apply_overrides(kernel, *out);
    weft_soft_handle_put(module->handle);
    return result;
}

CUresult weft_soft_kernel_function(uint64_t handle, struct weft_soft_context *context,
                                   struct weft_soft_function **out)
{
    struct kernel *kernel = weft_soft_handle_get(WEFT_SOFT_HANDLE_KERNEL, handle);
    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = function_in(kernel, context, out);
    weft_soft_handle_put(handle);
    return result;
}

/* The kernel under a new reference, put with its handle. */
static CUresult enter_kernel(CUkernel handle, struct kernel **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_KERNEL, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult get_function(CUfunction *out, CUkernel handle)
{
    struct weft_soft_context *context;
    struct weft_soft_function *function;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    result = weft_soft_kernel_function((uint64_t)(uintptr_t)handle, context, &function);
    if (result)
        return result;
    *out = (CUfunction)(uintptr_t)function->handle;
    weft_soft_function_put(function);
    return CUDA_SUCCESS;
}

static CUresult get_library(CUlibrary *out, CUkernel handle)
{
    struct kernel *kernel;
    CUresult result = enter_kernel(handle, &kernel);
    if (result)
        return result;
    if (out)
        *out = (CUlibrary)(uintptr_t)kernel->library->handle;
    weft_soft_handle_put(kernel->handle);
    return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_name(const char **out, CUkernel handle)
{
    struct kernel *kernel;
    CUresult result = enter_kernel(handle, &kernel);
    if (result)
        return result;
    if (out)
        *out = kernel->library->image->ptx->functions[kernel->index].name;
    weft_soft_handle_put(kernel->handle);
    return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_param_info(CUkernel handle, size_t index, size_t *offset, size_t *bytes)
{
    struct kernel *kernel;
    CUresult result = enter_kernel(handle, &kernel);
    if (result)
        return result;
    result = weft_soft_param_info(&kernel->library->image->ptx->functions[kernel->index], index,
                                  offset, bytes);
    weft_soft_handle_put(kernel->handle);
    return result;
}

/* Attributes are those of the function in the current context, which has to be on that device. */
static CUresult enter_on_device(CUkernel handle, CUdevice ordinal, struct kernel **kernel,
                                struct weft_soft_function **function)
{
    struct weft_soft_context *context;
    struct weft_soft_device *device;
    CUresult result = weft_soft_context_current(&context);
    if (result || (result = weft_soft_device_get(ordinal, &device)))
        return result;
    if (context->device != device)
        return CUDA_ERROR_INVALID_DEVICE;
    if ((result = enter_kernel(handle, kernel)))
        return result;
    result = function_in(*kernel, context, function);
    if (result)
        weft_soft_handle_put((*kernel)->handle);
    return result;
}

static CUresult get_attribute(int *out, CUfunction_attribute attribute, CUkernel handle,
                              CUdevice ordinal)
{
    struct kernel *kernel;
    struct weft_soft_function *function;
    CUresult result = enter_on_device(handle, ordinal, &kernel, &function);
    if (result)
        return result;
    result =
        out ? weft_soft_function_attribute(function, attribute, out) : CUDA_ERROR_INVALID_VALUE;
    weft_soft_function_put(function);
    weft_soft_handle_put(kernel->handle);
    return result;
}

static CUresult set_attribute(CUfunction_attribute attribute, int value, CUkernel handle,
                              CUdevice ordinal)
{
    struct kernel *kernel;
    struct weft_soft_function *function;
    CUresult result = enter_on_device(handle, ordinal, &kernel, &function);
    if (result)
        return result;
    result = weft_soft_function_set_attribute(function, attribute, value);
    if (result == CUDA_SUCCESS && attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        atomic_store(&kernel->dynamic_shared[ordinal], value);
    else if (result == CUDA_SUCCESS)
        atomic_store(&kernel->carveout[ordinal], value);
    weft_soft_function_put(function);
    weft_soft_handle_put(kernel->handle);
    return result;
}

static CUresult set_cache_config(CUkernel handle, CUfunc_cache config, CUdevice ordinal)
{
    struct kernel *kernel;
    struct weft_soft_device *device;
    CUresult result = enter_kernel(handle, &kernel);
    if (result)
        return result;
    result = weft_soft_device_get(ordinal, &device);
    if (result == CUDA_SUCCESS && (unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
        result = CUDA_ERROR_INVALID_VALUE;
    weft_soft_handle_put(kernel->handle);
    return result;
}

void weft_soft_library_install(struct weft_cuda *table)
{
    table->cuLibraryLoadData = load_data;
    table->cuLibraryLoadFromFile = load_file;
    table->cuLibraryUnload = unload;
    table->cuLibraryGetModule = get_module;
    table->cuLibraryGetGlobal = get_global;
    table->cuLibraryGetManaged = get_managed;
    table->cuLibraryGetUnifiedFunction = get_unified_function;
    table->cuLibraryGetKernel = get_kernel;
    table->cuLibraryGetKernelCount = get_kernel_count;
    table->cuLibraryEnumerateKernels = enumerate_kernels;
    table->cuKernelGetFunction = get_function;
    table->cuKernelGetLibrary = get_library;
    table->cuKernelGetName = get_name;
    table->cuKernelGetParamInfo = get_param_info;
    table->cuKernelGetAttribute = get_attribute;
    table->cuKernelSetAttribute = set_attribute;
    table->cuKernelSetCacheConfig = set_cache_config;
}

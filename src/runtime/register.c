/* What a program registers before main: its fat binaries, and the kernels and variables in them by
 * the addresses that stand for them; and what these come to when they are used. */
#include "runtime/register.h"
#include "runtime/registry.h"
#include "util/util.h"

/* In the current context. Lock held. */
static cudaError_t place_managed(struct weft_cudart_module *module, CUlibrary library)
{
    uint64_t resets = weft_cudart_resets();
    for (struct weft_cudart_symbol *symbol = module->symbols; symbol; symbol = symbol->next) {
        CUdeviceptr address;
        size_t bytes;
        if (symbol->kind != WEFT_CUDART_MANAGED)
            continue;
        CUresult result =
            weft_cudart_driver()->cuLibraryGetManaged(&address, &bytes, library, symbol->name);
        if (result)
            return weft_cudart_error(result);
        *(void **)(uintptr_t)symbol->host = (void *)(uintptr_t)address;
    }
    atomic_store(&module->placed, resets);
    return cudaSuccess;
}

static bool is_ready(struct weft_cudart_module *module)
{
    return atomic_load(&module->library) &&
           (!module->has_managed || atomic_load(&module->placed) == weft_cudart_resets());
}

/* Lock held. */
static cudaError_t load_locked(struct weft_cudart_module *module)
{
    CUlibrary library = atomic_load(&module->library);
    if (!library && !module->tried) {
        module->tried = true;
        weft_cudart_end_watch();
        module->error = weft_cudart_error(weft_cudart_driver()->cuLibraryLoadData(
            &library, module->wrapper, NULL, NULL, 0, NULL, NULL, 0));
        if (!module->error)
            atomic_store(&module->library, library);
    }
    if (module->error || is_ready(module))
        return module->error;
    /* A reset has taken what managed variables held, and their places. */
    return module->has_managed ? place_managed(module, library) : cudaSuccess;
}

static cudaError_t load(struct weft_cudart_module *module, CUlibrary *out)
{
    cudaError_t result = cudaSuccess;
    if (!is_ready(module)) {
        pthread_mutex_lock(&module->lock);
        result = load_locked(module);
        pthread_mutex_unlock(&module->lock);
    }
    *out = atomic_load(&module->library);
    return result;
}

cudaError_t weft_cudart_kernel_of(const void *host, CUkernel *out)
{
    _cleanup_(weft_cudart_symbol_put) struct weft_cudart_symbol *symbol =
        weft_cudart_registry_get(host);
    CUlibrary library;
    if (!symbol || symbol->kind != WEFT_CUDART_KERNEL)
        return cudaErrorInvalidDeviceFunction;
    /* A kernel may use managed variables of its module, which a reset moves. */
    cudaError_t result = load(symbol->module, &library);
    if (result)
        return result;
    *out = atomic_load_explicit(&symbol->kernel, memory_order_acquire);
    if (*out)
        return cudaSuccess;
    CUresult found = weft_cudart_driver()->cuLibraryGetKernel(out, library, symbol->name);
    if (found)
        return found == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidDeviceFunction
                                             : weft_cudart_error(found);
    atomic_store_explicit(&symbol->kernel, *out, memory_order_release);
    return cudaSuccess;
}

cudaError_t weft_cudart_variable_of(const void *host, CUdeviceptr *address, size_t *bytes)
{
    _cleanup_(weft_cudart_symbol_put) struct weft_cudart_symbol *symbol =
        weft_cudart_registry_get(host);
    CUlibrary library;
    if (!symbol || (symbol->kind != WEFT_CUDART_VARIABLE && symbol->kind != WEFT_CUDART_MANAGED))
        return cudaErrorInvalidSymbol;
    cudaError_t result = load(symbol->module, &library);
    if (result)
        return result;
    CUresult found =
        weft_cudart_driver()->cuLibraryGetGlobal(address, bytes, library, symbol->name);
    return found == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidSymbol : weft_cudart_error(found);
}

#if WEFT_CUDART_MAJOR <= 11
/* References belong to a module in a context, which a library has one of in each. */
static cudaError_t module_of(struct weft_cudart_symbol *symbol, CUmodule *out)
{
    CUlibrary library;
    cudaError_t result = load(symbol->module, &library);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuLibraryGetModule(out, library));
}

static bool is_texture(const struct weft_cudart_symbol *symbol)
{
    return symbol &&
           (symbol->kind == WEFT_CUDART_TEXTURE || symbol->kind == WEFT_CUDART_TEXTURE_OF_FLOATS);
}

cudaError_t weft_cudart_texture_of(const void *host, CUtexref *out, bool *reads_floats)
{
    CUmodule module;
    _cleanup_(weft_cudart_symbol_put) struct weft_cudart_symbol *symbol =
        weft_cudart_registry_get(host);
    if (!is_texture(symbol))
        return cudaErrorInvalidTexture;
    *reads_floats = symbol->kind == WEFT_CUDART_TEXTURE_OF_FLOATS;
    cudaError_t result = module_of(symbol, &module);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuModuleGetTexRef(out, module, symbol->name));
}

cudaError_t weft_cudart_texture_offset(const void *host, size_t *offset, bool set)
{
    _cleanup_(weft_cudart_symbol_put) struct weft_cudart_symbol *symbol =
        weft_cudart_registry_get(host);
    if (!is_texture(symbol))
        return cudaErrorInvalidTexture;
    if (set)
        atomic_store(&symbol->offset, *offset);
    else
        *offset = atomic_load(&symbol->offset);
    return cudaSuccess;
}

cudaError_t weft_cudart_surface_of(const void *host, CUsurfref *out)
{
    CUmodule module;
    _cleanup_(weft_cudart_symbol_put) struct weft_cudart_symbol *symbol =
        weft_cudart_registry_get(host);
    if (!symbol || symbol->kind != WEFT_CUDART_SURFACE)
        return cudaErrorInvalidSurface;
    cudaError_t result = module_of(symbol, &module);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuModuleGetSurfRef(out, module, symbol->name));
}
#endif

#define EXPORT __attribute__((visibility("default")))

EXPORT void **__cudaRegisterFatBinary(void *wrapper)
{
    return (void **)weft_cudart_module_create(wrapper);
}

EXPORT void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle; /* nothing is loaded before it is used */
}

/* At the program's end, or when a library of it is closed: its symbols must not be found again. */
EXPORT void __cudaUnregisterFatBinary(void **handle)
{
    if (handle)
        weft_cudart_module_forget((struct weft_cudart_module *)handle);
}

EXPORT void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                                   int thread_limit, void *tid, void *bid, dim3 *block, dim3 *grid,
                                   int *warp_size)
{
    (void)device, (void)thread_limit, (void)tid, (void)bid, (void)block, (void)grid;
    (void)warp_size;
    if (handle)
        weft_cudart_registry_add((struct weft_cudart_module *)handle, host, name,
                                 WEFT_CUDART_KERNEL);
}

EXPORT void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext,
                              size_t bytes, int constant, int global)
{
    (void)device, (void)ext, (void)bytes, (void)constant, (void)global;
    if (handle)
        weft_cudart_registry_add((struct weft_cudart_module *)handle, host, name,
                                 WEFT_CUDART_VARIABLE);
}

EXPORT void __cudaRegisterManagedVar(void **handle, void **host, char *device, const char *name,
                                     int ext, size_t bytes, int constant, int global)
{
    (void)device, (void)ext, (void)bytes, (void)constant, (void)global;
    if (handle)
        weft_cudart_registry_add((struct weft_cudart_module *)handle, host, name,
                                 WEFT_CUDART_MANAGED);
}

/* Before the host touches a managed variable. */
EXPORT char __cudaInitModule(void **handle)
{
    struct weft_cudart_module *module = (struct weft_cudart_module *)handle;
    CUlibrary library;
    if (module && module->has_managed &&
        !weft_cudart_leave("__cudaInitModule", weft_cudart_enter_context()))
        weft_cudart_leave("__cudaInitModule", load(module, &library));
    return 1;
}

EXPORT void __cudaRegisterTexture(void **handle, const struct textureReference *host,
                                  const void **device, const char *name, int dimensions,
                                  int reads_floats, int ext)
{
    (void)device, (void)dimensions, (void)ext;
    if (handle)
        weft_cudart_registry_add((struct weft_cudart_module *)handle, host, name,
                                 reads_floats ? WEFT_CUDART_TEXTURE_OF_FLOATS
                                              : WEFT_CUDART_TEXTURE);
}

EXPORT void __cudaRegisterSurface(void **handle, const struct surfaceReference *host,
                                  const void **device, const char *name, int dimensions, int ext)
{
    (void)device, (void)dimensions, (void)ext;
    if (handle)
        weft_cudart_registry_add((struct weft_cudart_module *)handle, host, name,
                                 WEFT_CUDART_SURFACE);
}

/* Device code that names the host's own variables and functions; its modules say themselves that
 * they are incomplete. */
EXPORT void __cudaRegisterHostVar(void **handle, const char *name, char *host, size_t bytes)
{
    (void)handle, (void)host, (void)bytes;
    weft_cudart_tell("%s: variables of the host are not supported in device code", name);
}

EXPORT void __cudaRegisterUnifiedTable(void **handle)
{
    (void)handle;
    weft_cudart_refuse("__cudaRegisterUnifiedTable");
}

EXPORT cudaError_t __cudaGetProcAddress(void)
{
    return weft_cudart_leave("__cudaGetProcAddress", weft_cudart_refuse("__cudaGetProcAddress"));
}

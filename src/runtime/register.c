/* What a program registers before main: its fat binaries, and the kernels and variables in them by
 * the addresses that stand for them. A fat binary is loaded when the first of its kernels or
 * variables is used; a program may hold hundreds. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/register.h"
#include "util/util.h"

#define SYMBOLS_MAX (1u << 22)

struct module {
    const void *wrapper; /* borrowed from the program's image */
    pthread_mutex_t lock;
    _Atomic(CUlibrary) library; /* written under the lock; NULL: not loaded */
    cudaError_t error;          /* lock; of the loading, which is not tried again */
    bool tried;                 /* lock */
    struct managed *managed;    /* registry.lock */
};

/* A managed variable: the program reads its address from a pointer of its own. */
struct managed {
    struct managed *next;
    void **host;
    const char *name;
};

enum symbol_kind { KERNEL, VARIABLE, TEXTURE, TEXTURE_OF_FLOATS, SURFACE };

struct symbol {
    const void *host; /* NULL: the place is free */
    struct module *module;
    const char *name; /* borrowed from the program's image */
    enum symbol_kind kind;
    _Atomic(CUkernel) kernel;
    _Atomic(size_t) offset; /* of a texture's first byte behind the address that is bound */
};

static struct {
    pthread_rwlock_t lock;
    struct symbol **symbols; /* lock; owned; a hash table of symbols, which never move */
    size_t room, count;      /* lock */
} registry = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static size_t place_of(const void *host, size_t room)
{
    return (size_t)(((uintptr_t)host >> 2) * 0x9e3779b97f4a7c15u) >> 17 & (room - 1);
}

static struct symbol **find_place(struct symbol **symbols, size_t room, const void *host)
{
    size_t place = place_of(host, room);
    while (symbols[place] && symbols[place]->host != host)
        place = (place + 1) & (room - 1);
    return &symbols[place];
}

/* Lock held for writing. */
static bool grow(void)
{
    size_t room = registry.room ? 2 * registry.room : 256;
    if (room > SYMBOLS_MAX)
        return false;
    struct symbol **symbols = calloc(room, sizeof(*symbols));
    if (!symbols)
        return false;
    for (size_t i = 0; i < registry.room; i++)
        if (registry.symbols[i])
            *find_place(symbols, room, registry.symbols[i]->host) = registry.symbols[i];
    free(registry.symbols);
    registry.symbols = symbols;
    registry.room = room;
    return true;
}

static void add_symbol(struct module *module, const void *host, const char *name,
                       enum symbol_kind kind)
{
    pthread_rwlock_wrlock(&registry.lock);
    if (2 * registry.count >= registry.room && !grow()) {
        pthread_rwlock_unlock(&registry.lock);
        return; /* its use will say that there is no such symbol */
    }
    struct symbol **place = find_place(registry.symbols, registry.room, host);
    if (!*place && (*place = calloc(1, sizeof(**place))))
        registry.count++;
    if (*place) {
        (*place)->host = host;
        (*place)->module = module;
        (*place)->name = name;
        (*place)->kind = kind;
        atomic_store(&(*place)->kernel, NULL);
    }
    pthread_rwlock_unlock(&registry.lock);
}

static struct symbol *find_symbol(const void *host)
{
    pthread_rwlock_rdlock(&registry.lock);
    struct symbol *symbol =
        registry.room ? *find_place(registry.symbols, registry.room, host) : NULL;
    pthread_rwlock_unlock(&registry.lock);
    return symbol && symbol->module ? symbol : NULL;
}

static cudaError_t place_managed(struct module *module, CUlibrary library)
{
    for (struct managed *variable = module->managed; variable; variable = variable->next) {
        CUdeviceptr address;
        size_t bytes;
        CUresult result =
            weft_cudart_driver()->cuLibraryGetManaged(&address, &bytes, library, variable->name);
        if (result)
            return weft_cudart_error(result);
        *variable->host = (void *)(uintptr_t)address;
    }
    return cudaSuccess;
}

static cudaError_t load(struct module *module, CUlibrary *out)
{
    *out = atomic_load(&module->library);
    if (*out)
        return cudaSuccess;
    pthread_mutex_lock(&module->lock);
    if (!module->tried) {
        CUlibrary library;
        module->tried = true;
        module->error = weft_cudart_error(weft_cudart_driver()->cuLibraryLoadData(
            &library, module->wrapper, NULL, NULL, 0, NULL, NULL, 0));
        if (!module->error)
            module->error = place_managed(module, library);
        if (!module->error)
            atomic_store(&module->library, library);
    }
    *out = atomic_load(&module->library);
    cudaError_t error = module->error;
    pthread_mutex_unlock(&module->lock);
    return error;
}

cudaError_t weft_cudart_kernel_of(const void *host, CUkernel *out)
{
    struct symbol *symbol = find_symbol(host);
    if (!symbol || symbol->kind != KERNEL)
        return cudaErrorInvalidDeviceFunction;
    *out = atomic_load_explicit(&symbol->kernel, memory_order_acquire);
    if (*out)
        return cudaSuccess;
    CUlibrary library;
    cudaError_t result = load(symbol->module, &library);
    if (result)
        return result;
    CUresult found = weft_cudart_driver()->cuLibraryGetKernel(out, library, symbol->name);
    if (found)
        return found == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidDeviceFunction
                                             : weft_cudart_error(found);
    atomic_store_explicit(&symbol->kernel, *out, memory_order_release);
    return cudaSuccess;
}

cudaError_t weft_cudart_variable_of(const void *host, CUdeviceptr *address, size_t *bytes)
{
    struct symbol *symbol = find_symbol(host);
    CUlibrary library;
    if (!symbol || symbol->kind != VARIABLE)
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
static cudaError_t module_of(struct symbol *symbol, CUmodule *out)
{
    CUlibrary library;
    cudaError_t result = load(symbol->module, &library);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuLibraryGetModule(out, library));
}

static struct symbol *find_texture(const void *host)
{
    struct symbol *symbol = find_symbol(host);
    return symbol && (symbol->kind == TEXTURE || symbol->kind == TEXTURE_OF_FLOATS) ? symbol : NULL;
}

cudaError_t weft_cudart_texture_of(const void *host, CUtexref *out, bool *reads_floats)
{
    CUmodule module;
    struct symbol *symbol = find_texture(host);
    if (!symbol)
        return cudaErrorInvalidTexture;
    *reads_floats = symbol->kind == TEXTURE_OF_FLOATS;
    cudaError_t result = module_of(symbol, &module);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuModuleGetTexRef(out, module, symbol->name));
}

cudaError_t weft_cudart_texture_offset(const void *host, size_t *offset, bool set)
{
    struct symbol *symbol = find_texture(host);
    if (!symbol)
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
    struct symbol *symbol = find_symbol(host);
    if (!symbol || symbol->kind != SURFACE)
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
    struct module *module = calloc(1, sizeof(*module));
    if (!module)
        return NULL;
    module->wrapper = wrapper;
    pthread_mutex_init(&module->lock, NULL);
    return (void **)module;
}

EXPORT void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle; /* nothing is loaded before it is used */
}

/* At the program's end, or when a library of it is closed: its symbols must not be found again. */
EXPORT void __cudaUnregisterFatBinary(void **handle)
{
    struct module *module = (struct module *)handle;
    if (!module)
        return;
    pthread_rwlock_wrlock(&registry.lock);
    for (size_t i = 0; i < registry.room; i++)
        if (registry.symbols[i] && registry.symbols[i]->module == module)
            registry.symbols[i]->module = NULL;
    pthread_rwlock_unlock(&registry.lock);
    CUlibrary library = atomic_load(&module->library);
    if (library)
        weft_cudart_driver()->cuLibraryUnload(library);
    while (module->managed) {
        struct managed *variable = module->managed;
        module->managed = variable->next;
        free(variable);
    }
    pthread_mutex_destroy(&module->lock);
    free(module);
}

EXPORT void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                                   int thread_limit, void *tid, void *bid, dim3 *block, dim3 *grid,
                                   int *warp_size)
{
    (void)device, (void)thread_limit, (void)tid, (void)bid, (void)block, (void)grid;
    (void)warp_size;
    if (handle)
        add_symbol((struct module *)handle, host, name, KERNEL);
}

EXPORT void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext,
                              size_t bytes, int constant, int global)
{
    (void)device, (void)ext, (void)bytes, (void)constant, (void)global;
    if (handle)
        add_symbol((struct module *)handle, host, name, VARIABLE);
}

EXPORT void __cudaRegisterManagedVar(void **handle, void **host, char *device, const char *name,
                                     int ext, size_t bytes, int constant, int global)
{
    (void)device, (void)ext, (void)bytes, (void)constant, (void)global;
    struct module *module = (struct module *)handle;
    struct managed *variable = module ? calloc(1, sizeof(*variable)) : NULL;
    if (!variable)
        return;
    *variable = (struct managed){.next = module->managed, .host = host, .name = name};
    module->managed = variable;
    add_symbol(module, host, name, VARIABLE);
}

/* Before the host touches a managed variable. */
EXPORT char __cudaInitModule(void **handle)
{
    struct module *module = (struct module *)handle;
    CUlibrary library;
    if (module && module->managed && !weft_cudart_leave(weft_cudart_enter_context()))
        weft_cudart_leave(load(module, &library));
    return 1;
}

EXPORT void __cudaRegisterTexture(void **handle, const struct textureReference *host,
                                  const void **device, const char *name, int dimensions,
                                  int reads_floats, int ext)
{
    (void)device, (void)dimensions, (void)ext;
    if (handle)
        add_symbol((struct module *)handle, host, name, reads_floats ? TEXTURE_OF_FLOATS : TEXTURE);
}

EXPORT void __cudaRegisterSurface(void **handle, const struct surfaceReference *host,
                                  const void **device, const char *name, int dimensions, int ext)
{
    (void)device, (void)dimensions, (void)ext;
    if (handle)
        add_symbol((struct module *)handle, host, name, SURFACE);
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
    return weft_cudart_leave(weft_cudart_refuse("__cudaGetProcAddress"));
}

/* What the program registered, by the addresses that stand for it in the program: a table from
 * these to the symbols of modules. A module stays as long as somebody uses it, so that a program
 * may end, or close a library, while other threads still launch. */
#ifndef WEFT_RUNTIME_REGISTRY_H
#define WEFT_RUNTIME_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/runtime.h"

enum weft_cudart_symbol_kind {
    WEFT_CUDART_KERNEL,
    WEFT_CUDART_VARIABLE,
    WEFT_CUDART_MANAGED, /* the program reads its address from `host` */
    WEFT_CUDART_TEXTURE,
    WEFT_CUDART_TEXTURE_OF_FLOATS,
    WEFT_CUDART_SURFACE,
};

struct weft_cudart_symbol {
    struct weft_cudart_symbol *next; /* of the module */
    struct weft_cudart_module *module;
    const void *host;
    const char *name; /* borrowed from the program's image */
    enum weft_cudart_symbol_kind kind;
    _Atomic(CUkernel) kernel; /* NULL: not asked for yet */
    _Atomic(size_t) offset;   /* of a texture's first byte behind the address that is bound */
};

/* A fat binary. It is loaded when the first of its symbols is used; a program may hold hundreds. */
struct weft_cudart_module {
    const void *wrapper; /* borrowed from the program's image */
    atomic_uint references;
    struct weft_cudart_symbol *symbols; /* owned; added to before the program uses any */
    bool has_managed;
    pthread_mutex_t lock;
    _Atomic(CUlibrary) library; /* written under the lock; NULL: not loaded */
    cudaError_t error;          /* lock; of the loading, which is not tried again */
    bool tried;                 /* lock */
    _Atomic(uint64_t) placed;   /* written under the lock; weft_cudart_resets() at the time when
                                   the managed variables got their places */
};

/* Under one reference, the registration's. NULL without memory. */
struct weft_cudart_module *weft_cudart_module_create(const void *wrapper);
/* Takes its symbols out of the table and gives the registration's reference back. */
void weft_cudart_module_forget(struct weft_cudart_module *module);
/* The module's library is unloaded with the last reference. */
void weft_cudart_module_put(struct weft_cudart_module *module);

/* From now on the address stands for this one. Without memory it is not added: its use will say
 * that there is no such symbol. */
void weft_cudart_registry_add(struct weft_cudart_module *module, const void *host, const char *name,
                              enum weft_cudart_symbol_kind kind);
/* NULL, or the symbol under a new reference of its module. */
struct weft_cudart_symbol *weft_cudart_registry_get(const void *host);
/* May be NULL. */
static inline void weft_cudart_symbol_put(struct weft_cudart_symbol **symbol)
{
    if (*symbol)
        weft_cudart_module_put((*symbol)->module);
}

#endif

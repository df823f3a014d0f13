#include "runtime/registry.h"

#include <stdlib.h>

#include "util/util.h"

#define SYMBOLS_MAX (1u << 22)
#define ROOM_MIN 256

static struct {
    pthread_rwlock_t lock;
    struct weft_cudart_symbol **symbols; /* lock; owned; an open hash table of borrowed ones */
    size_t room;                         /* lock; a power of two */
    size_t used;                         /* lock; places that are not NULL */
    size_t count;                        /* lock; of symbols */
} registry = {.lock = PTHREAD_RWLOCK_INITIALIZER};

/* Stands where a symbol was, so that those which were put behind it are still found. */
static struct weft_cudart_symbol gone;

static struct weft_cudart_symbol **find_place(struct weft_cudart_symbol **symbols, size_t room,
                                              const void *host)
{
    size_t place = (size_t)(((uintptr_t)host >> 2) * 0x9e3779b97f4a7c15u) >> 17 & (room - 1);
    while (symbols[place] && symbols[place]->host != host)
        place = (place + 1) & (room - 1);
    return &symbols[place];
}

/* Without what is gone; twice as large where that is not enough. Lock held for writing. */
static bool make_room(void)
{
    size_t room = registry.room ? registry.room : ROOM_MIN;
    while (4 * registry.count >= room)
        room *= 2;
    if (room > SYMBOLS_MAX)
        return false;
    struct weft_cudart_symbol **symbols = calloc(room, sizeof(struct weft_cudart_symbol *));
    if (!symbols)
        return false;
    for (size_t i = 0; i < registry.room; i++)
        if (registry.symbols[i] && registry.symbols[i] != &gone)
            *find_place(symbols, room, registry.symbols[i]->host) = registry.symbols[i];
    free(registry.symbols);
    registry.symbols = symbols;
    registry.room = room;
    registry.used = registry.count;
    return true;
}

static bool add(struct weft_cudart_symbol *symbol)
{
    pthread_rwlock_wrlock(&registry.lock);
    bool has_room = 2 * registry.used < registry.room || make_room();
    if (has_room) {
        struct weft_cudart_symbol **place =
            find_place(registry.symbols, registry.room, symbol->host);
        registry.used += !*place;
        registry.count += !*place;
        *place = symbol;
        symbol->next = symbol->module->symbols;
        symbol->module->symbols = symbol;
    }
    pthread_rwlock_unlock(&registry.lock);
    return has_room;
}

void weft_cudart_registry_add(struct weft_cudart_module *module, const void *host, const char *name,
                              enum weft_cudart_symbol_kind kind)
{
    struct weft_cudart_symbol *symbol = host ? calloc(1, sizeof(*symbol)) : NULL;
    if (!symbol)
        return;
    symbol->module = module;
    symbol->host = host;
    symbol->name = name;
    symbol->kind = kind;
    if (!add(symbol))
        free(symbol);
    else if (kind == WEFT_CUDART_MANAGED)
        module->has_managed = true;
}

struct weft_cudart_symbol *weft_cudart_registry_get(const void *host)
{
    pthread_rwlock_rdlock(&registry.lock);
    struct weft_cudart_symbol *symbol =
        registry.room && host ? *find_place(registry.symbols, registry.room, host) : NULL;
    if (symbol)
        atomic_fetch_add_explicit(&symbol->module->references, 1, memory_order_relaxed);
    pthread_rwlock_unlock(&registry.lock);
    return symbol;
}

struct weft_cudart_module *weft_cudart_module_create(const void *wrapper)
{
    struct weft_cudart_module *module = calloc(1, sizeof(*module));
    if (!module)
        return NULL;
    module->wrapper = wrapper;
    atomic_init(&module->references, 1);
    pthread_mutex_init(&module->lock, NULL);
    return module;
}

void weft_cudart_module_forget(struct weft_cudart_module *module)
{
    pthread_rwlock_wrlock(&registry.lock);
    struct weft_cudart_symbol *symbol = registry.room ? module->symbols : NULL;
    for (; symbol; symbol = symbol->next) {
        struct weft_cudart_symbol **place =
            find_place(registry.symbols, registry.room, symbol->host);
        if (*place != symbol)
            continue; /* its address stands for another one since */
        *place = &gone;
        registry.count--;
    }
    if (registry.count == 0) { /* nothing stays behind of a library with a runtime inside */
        free(registry.symbols);
        registry.symbols = NULL;
        registry.room = registry.used = 0;
    }
    pthread_rwlock_unlock(&registry.lock);
    weft_cudart_module_put(module);
}

void weft_cudart_module_put(struct weft_cudart_module *module)
{
    if (atomic_fetch_sub_explicit(&module->references, 1, memory_order_acq_rel) != 1)
        return;
    CUlibrary library = atomic_load(&module->library);
    /* It waits for kernels; at the end the driver takes all away without. */
    if (library && !weft_cudart_is_ending())
        weft_cudart_driver()->cuLibraryUnload(library);
    while (module->symbols) {
        struct weft_cudart_symbol *symbol = module->symbols;
        module->symbols = symbol->next;
        free(symbol);
    }
    pthread_mutex_destroy(&module->lock);
    free(module);
}

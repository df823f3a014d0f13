/* The memory half's inner header: what the process holds, and the record of each allocation. */
#ifndef WEFT_SOFTGPU_MEMORY_MEMORY_H
#define WEFT_SOFTGPU_MEMORY_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "softgpu/memory/foreign.h"
#include "softgpu/memory/held.h"
#include "softgpu/memory/ranges.h"
#include "softgpu/memory/shared.h"
#include "softgpu/memory/texture_table.h"
#include "softgpu/memory/tree.h"
#include "softgpu/memory/window.h"
#include "softgpu/soft.h"

/* Pages that a small free has cleared stay with the arena for a while, at most so many. */
#define WEFT_SOFT_LOOSE_PAGES 1024

/* Physical memory that graphs have left, and how much of a device graphs hold; memory lock. */
struct weft_soft_graph_chunk {
    struct weft_soft_graph_chunk *next; /* owned */
    uint64_t address, bytes;
};
struct weft_soft_graph_store {
    struct weft_soft_graph_chunk *chunks;
    uint64_t used_bytes, used_high_bytes;
    uint64_t reserved_bytes, reserved_high_bytes;
};

struct weft_soft_holdings;

/* What kernels may reach: those of a device, or of a context that has peers. All of them are
 * linked, for what is allocated and freed to be marked in each; memory lock. */
struct weft_soft_view {
    struct weft_exec_memory seen;
    uint64_t *live;     /* owned, but for the window's, which the only device of a process has */
    uint64_t *writable; /* owned; NULL until something on the device may only be read */
    uint32_t ordinal;
    struct weft_soft_holdings *holdings; /* borrowed; of the context; NULL: a device's */
    struct weft_soft_view *next;
};

/* One of a device; device->memory points to it. */
struct weft_soft_arena {
    uint64_t base, bytes;         /* device addresses */
    struct weft_soft_ranges free; /* addresses; memory lock */
    struct weft_soft_pool *pools; /* memory lock; all of the device's, linked */
    struct weft_soft_graph_store graph_store;
    uint64_t default_pool;                 /* handles */
    uint64_t current_pool;                 /* memory lock */
    struct weft_soft_view view;            /* of its contexts without peers */
    uint64_t loose[WEFT_SOFT_LOOSE_PAGES]; /* memory lock; page addresses by their number, or 0 */
};

/* Pages of the program's own that copies have met; a place each, by their number. */
#define WEFT_SOFT_KNOWN_PAGES 64

struct weft_soft_shadow;

struct weft_soft_memory {
    struct weft_soft_shadow *shadow; /* owned; NULL: nothing is checked */
    pthread_mutex_t lock; /* the memory lock: innermost, never held while bytes are moved */
    struct weft_soft_window window;
    struct weft_soft_node *allocations;  /* by address; memory lock */
    struct weft_soft_node *reservations; /* by address, of cuMemAddressReserve; memory lock */
    struct weft_soft_graph_piece *graph_pieces; /* memory lock; linked */
    struct weft_soft_view *views;               /* memory lock */
    struct weft_soft_ranges host;               /* addresses for pinned memory; memory lock */
    struct weft_soft_ranges reservable;         /* addresses for cuMemAddressReserve; memory lock */
    struct weft_soft_foreign foreign;
    struct weft_soft_shares shares; /* has a lock of its own */
    struct weft_soft_arena arenas[WEFT_DEVICES_MAX];
    struct weft_soft_texture_table textures;
    pthread_mutex_t reference_lock; /* of texture references; before the two other locks */
    atomic_uint_fast64_t known_pages[WEFT_SOFT_KNOWN_PAGES]; /* numbers plus 1 */
    uint64_t last_id; /* memory lock; of allocations, never used twice */
    /* Some memory was asked to make all calls that are not
     * asynchronous wait; since then they do. */
    atomic_bool synchronous;
};

enum weft_soft_allocation_kind {
    WEFT_SOFT_LINEAR = 1,
    WEFT_SOFT_MANAGED = 2,
    WEFT_SOFT_POOLED = 4,
    WEFT_SOFT_HOST = 8,
    WEFT_SOFT_REGISTERED = 16,
    WEFT_SOFT_MAPPED = 32,    /* cuMemMap: addresses of a reservation that lead to memory */
    WEFT_SOFT_OWN = 64,       /* the driver's: no call of the program frees it */
    WEFT_SOFT_GRAPHED = 128,  /* of an allocation node, launched and not freed yet */
    WEFT_SOFT_IMPORTED = 256, /* another process' by an IPC handle */
};

/* What cuMemAdvise and cuMemPrefetchAsync said last of a managed allocation. */
struct weft_soft_advice {
    bool read_mostly;
    CUmemLocation preferred, prefetched;
    uint32_t accessed_by; /* one bit a device; the last is the host */
};

struct weft_soft_allocation {
    struct weft_soft_node by_address;             /* key: the address */
    struct weft_soft_allocation *previous, *next; /* memory lock; those of one context */
    enum weft_soft_allocation_kind kind;
    struct weft_soft_device *device;
    struct weft_soft_context *context; /* borrowed; it outlives the record; may be NULL */
    CUcontext context_handle;
    uint64_t bytes;   /* as asked for */
    uint64_t charged; /* in the device's ledger */
    uint64_t extent;  /* of addresses */
    uint64_t id;
    uint32_t flags; /* of the call that made it */
    bool synchronous;
    bool own; /* taken by weft_soft_arena_take_own */
    struct weft_soft_advice advice;
    struct weft_soft_pool *pool; /* POOLED: under a reference */
    bool used_again; /* POOLED: what came before in the stream may still use the same memory */
    struct weft_soft_physical *physical; /* MAPPED: under a reference */
    struct weft_soft_graph_piece *piece; /* GRAPHED: under a reference */
    uint64_t physical_offset, physical_id;
    CUmemAccess_flags access[WEFT_DEVICES_MAX]; /* MAPPED */
    struct weft_soft_ticket *ticket; /* LINEAR: owned; memory lock; NULL: no IPC handle was asked */
    struct weft_soft_import *import; /* IMPORTED: owned */
};

/* Contexts that one may have enabled access to. */
#define WEFT_SOFT_PEERS_MAX 256

struct weft_soft_peer {
    CUcontext context;
    uint32_t ordinal;
};

/* One a context; context->memory points to it. */
struct weft_soft_holdings {
    struct weft_soft_peer peers[WEFT_SOFT_PEERS_MAX]; /* memory lock */
    uint32_t peer_count;                              /* memory lock */
    struct weft_soft_view *view;        /* owned; memory lock; NULL until it has had a peer */
    struct weft_soft_allocation *first; /* memory lock */
    struct weft_soft_held *held;        /* memory lock; arrays and references to textures */
};

/* For calls that need neither context nor device: NOT_INITIALIZED before cuInit. */
static inline CUresult weft_soft_initialised(void)
{
    return atomic_load(&weft_soft.initialised) ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

/* A stream of the current context, as weft_soft_stream_get finds it; with that one's errors and
 * weft_soft_context_current's. */
static inline CUresult weft_soft_stream_of_current(CUstream handle, bool per_thread,
                                                   struct weft_soft_stream **stream)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    return result ? result : weft_soft_stream_get(context, handle, per_thread, stream);
}

static inline uint64_t weft_soft_allocation_address(const struct weft_soft_allocation *allocation)
{
    return allocation->by_address.key;
}

/* arena.c: the device's memory, charged. */

/* `charge` is what the ledger sees, `extent` what is taken of the address space. OUT_OF_MEMORY,
 * after all pools of the device have been trimmed. The memory is zeros. */
CUresult weft_soft_arena_take(struct weft_soft_device *device, uint64_t charge, uint64_t extent,
                              uint64_t alignment, uint64_t *address);
void weft_soft_arena_give(struct weft_soft_device *device, uint64_t charge, uint64_t extent,
                          uint64_t address);

/* The same of memory that no call of the program asked for by itself: module variables, the device
 * heap, graphs' allocation nodes. Nobody else counts it for the tenant, so it is charged there
 * too. */
CUresult weft_soft_arena_take_own(struct weft_soft_device *device, uint64_t charge, uint64_t extent,
                                  uint64_t alignment, uint64_t *address);
void weft_soft_arena_give_own(struct weft_soft_device *device, uint64_t charge, uint64_t extent,
                              uint64_t address);

/* The charge alone, of memory that lies elsewhere. OUT_OF_MEMORY, as above. */
CUresult weft_soft_arena_charge(struct weft_soft_device *device, uint64_t bytes);
void weft_soft_arena_discharge(struct weft_soft_device *device, uint64_t bytes);

/* Gives the pages of small frees back to the host now. */
void weft_soft_arena_drop_loose(struct weft_soft_device *device);

/* allocation.c: the records. */

/* Puts a filled record into the tree, gives it an id and its blocks life. From then on it is found.
 * `context` may be NULL. */
void weft_soft_allocation_publish(struct weft_soft_allocation *allocation,
                                  struct weft_soft_context *context);
/* The record that holds `address`; memory lock held. */
struct weft_soft_allocation *weft_soft_allocation_find(uint64_t address);
/* Takes the record that starts at `address` and is of one of `kinds` out of tree and context: of
 * two threads that free it, one gets it. NULL where there is none. Its blocks are still alive. */
struct weft_soft_allocation *weft_soft_allocation_claim(uint64_t address, uint32_t kinds);
/* The same with the memory lock held. */
void weft_soft_allocation_unlink(struct weft_soft_allocation *allocation);
/* Ends a claimed one: the memory goes back to where it came from. Nothing runs that uses it. */
void weft_soft_allocation_release(struct weft_soft_allocation *allocation);
/* Claims, waits for what runs in its context, releases. INVALID_VALUE. */
CUresult weft_soft_allocation_free(uint64_t address, uint32_t kinds);

/* Says anew who may reach it; memory lock held. What is mapped is left to cuMemSetAccess. */
void weft_soft_allocation_refresh(struct weft_soft_allocation *allocation);

/* reach.c: which kernels may reach what. */

int weft_soft_reach_open(struct weft_soft_driver *driver, struct weft_err *err);
void weft_soft_reach_close(struct weft_soft_memory *memory);
/* The part of the allocation is alive for those who may reach it; or for nobody. Memory lock. */
void weft_soft_reach_set(const struct weft_soft_allocation *allocation, uint64_t address,
                         uint64_t bytes);
void weft_soft_reach_clear(uint64_t address, uint64_t bytes);
/* The pool's access list has changed; memory lock. */
void weft_soft_reach_pool_changed(const struct weft_soft_pool *pool);
/* Before kernels of a device may read memory that they may not write. OUT_OF_MEMORY; memory lock.
 */
CUresult weft_soft_reach_prepare_read_only(uint32_t ordinal);
/* What the context had enabled ends, and what others had enabled for its memory. */
void weft_soft_reach_end_context(struct weft_soft_context *context);

/* linear.c: device and managed memory. */
CUresult weft_soft_linear_allocate(struct weft_soft_context *context, uint64_t bytes,
                                   enum weft_soft_allocation_kind kind, uint32_t flags,
                                   uint64_t *address);

/* host.c: ends pinned memory that weft_soft_allocation_release was given. */
void weft_soft_host_release(struct weft_soft_allocation *allocation);

/* What each file puts into the table. */
void weft_soft_linear_install(struct weft_cuda *table);
void weft_soft_host_install(struct weft_cuda *table);
void weft_soft_managed_install(struct weft_cuda *table);
void weft_soft_pool_install(struct weft_cuda *table);
void weft_soft_async_install(struct weft_cuda *table);
void weft_soft_vmm_install(struct weft_cuda *table);
void weft_soft_ipc_install(struct weft_cuda *table);
void weft_soft_copy_install(struct weft_cuda *table);
void weft_soft_batch_install(struct weft_cuda *table);
void weft_soft_shape_install(struct weft_cuda *table);
void weft_soft_set_install(struct weft_cuda *table);
void weft_soft_pointer_install(struct weft_cuda *table);
void weft_soft_device_install(struct weft_cuda *table);
void weft_soft_narrow_install(struct weft_cuda *table);

#endif

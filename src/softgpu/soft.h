/* The soft driver's inner header: the objects behind CUDA's handles, and the border between its two
 * halves: engine/ (who runs what, when, and how it fails) and memory/ (what lies where, and what a
 * device is).
 *
 * Handles are never pointers: a CUstream, CUevent, CUmodule … is a number that handle.c turns into
 * an object under a reference, or refuses, so a stale or invented handle is
 * CUDA_ERROR_INVALID_HANDLE (INVALID_CONTEXT for contexts), not a crash. Lock order: driver.lock >
 * module.lock, event.lock > context.lock > the scheduler's lock > memory.lock. No lock is held
 * while a kernel or a copy runs. */
#ifndef WEFT_SOFTGPU_SOFT_H
#define WEFT_SOFTGPU_SOFT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/backend.h>
#include <weft/cuda_abi.h>

#include "policy/ledger.h"
#include "softgpu/device_page.h"
#include "softgpu/exec/exec.h"
#include "softgpu/profiles.h"

#define WEFT_SOFT_DRIVER_VERSION 13000

struct weft_cuda;
struct weft_soft_memory;
struct weft_soft_stream;

/* One granted device. Immutable after open, but for what names its lock. */
struct weft_soft_device {
    uint32_t ordinal;
    const struct weft_soft_profile *profile;
    struct weft_device_place place; /* ours; the page and the turns are owned */
    uint32_t slice;                 /* warp instructions that a worker runs at once */
    uint32_t sm_count;              /* that the program is told of: what its tenant had at first */
    /* Of the device's ledger; its limit is the page's memory_ceiling_bytes. */
    struct weft_ledger_account account;
    uint8_t uuid[WEFT_UUID_BYTES];
    int arena_fd; /* borrowed from the grant */
    void *memory; /* the memory half's state of this device (struct weft_soft_arena), owned by it */
    const struct weft_exec_memory *view; /* what its kernels may reach without peers; memory's */
    struct weft_soft_context *primary;   /* driver.lock; NULL until first retained */
    uint32_t primary_references;         /* driver.lock */
    uint32_t primary_flags;              /* driver.lock */
};

/* A context. The handle table counts its references: its handle holds one, streams and threads in
 * which it is current hold one each. */
struct weft_soft_context {
    struct weft_soft_device *device;
    CUcontext handle;
    atomic_int error; /* a CUresult; after a fault all later calls in the context return it */
    atomic_bool destroyed;
    bool primary;
    uint32_t flags;
    pthread_mutex_t lock;
    void *engine; /* the engine half's: streams, default streams, modules, limits */
    void *memory; /* the memory half's: what was allocated in it */
    /* What its kernels may reach where that is not what all of the device may: it has had peers.
     * The memory half's; stays once it is there. */
    const struct weft_exec_memory *_Atomic view;
};

static inline const struct weft_exec_memory *
weft_soft_context_view(const struct weft_soft_context *context)
{
    const struct weft_exec_memory *view = atomic_load(&context->view);
    return view ? view : context->device->view;
}

/* The one state of the backend: the CUDA ABI passes none. */
struct weft_soft_driver {
    pthread_mutex_t lock;
    atomic_bool initialised; /* by cuInit */
    size_t device_count;
    struct weft_soft_device devices[WEFT_DEVICES_MAX];
    bool launch_blocking; /* CUDA_LAUNCH_BLOCKING: launches return when the kernel has ended */
    bool has_watchdog;    /* WEFT_SOFT_WATCHDOG is set, and goes before the device's own */
    uint32_t watchdog_us; /* with has_watchdog; 0: no limit */
    bool load_eagerly;    /* CUDA_MODULE_LOADING=EAGER: kernels are made ready with their module */
    void (*report)(const char *text); /* a sentence for a person, see backend.h */
    /* Of a fault; see backend.h. Never NULL. */
    void (*fault)(uint32_t ordinal, const struct weft_device_fault *fault);
    /* What this process pays for others' memory, see backend.h. */
    bool (*charge)(uint32_t ordinal, uint64_t bytes, bool over_limit);
    void (*discharge)(uint32_t ordinal, uint64_t bytes);
    bool (*share)(uint32_t ordinal, uint64_t file, int fd);
    uint64_t tenant_id;
    struct weft_exec_memory view;        /* the process' window, set up by weft_soft_memory_open */
    struct weft_soft_memory *memory;     /* the memory half's state of the process, owned by it */
    const struct weft_exec_check *check; /* the memory half's; NULL: kernels are not checked */
    /* The driver's own calls, before any layer; owned, for as long as the process lives. The calls
     * of old versions go through it. */
    struct weft_cuda *calls;
};
extern struct weft_soft_driver weft_soft;

/* The device time that one kernel of our tenant may take, as it is now; 0: no limit. */
static inline uint64_t weft_soft_timeout_us(const struct weft_soft_device *device)
{
    uint32_t line = __atomic_load_n(&device->place.page->processes[device->place.slot].tenant,
                                    __ATOMIC_RELAXED);
    if (!device->place.time || line >= WEFT_DEVICE_TENANTS)
        return 0;
    return __atomic_load_n(&device->place.time->tenants[line].kernel_timeout_us, __ATOMIC_RELAXED);
}

/* The same with the watchdog's, whichever is less. */
static inline uint32_t weft_soft_watchdog_us(const struct weft_soft_device *device)
{
    uint32_t limit_us =
        weft_soft.has_watchdog ? weft_soft.watchdog_us : device->place.page->watchdog_us;
    uint64_t timeout_us = weft_soft_timeout_us(device);
    bool sooner = timeout_us && timeout_us <= UINT32_MAX && (!limit_us || timeout_us < limit_us);
    return sooner ? (uint32_t)timeout_us : limit_us;
}

/* What the engine half offers. */

/* The calling thread's current context, without a reference: valid while it stays current.
 * NOT_INITIALIZED, INVALID_CONTEXT (none), CONTEXT_IS_DESTROYED, or the context's sticky error. */
CUresult weft_soft_context_current(struct weft_soft_context **out);
/* A context by handle, under a new reference; put with weft_soft_context_put. */
CUresult weft_soft_context_get(CUcontext handle, struct weft_soft_context **out);
void weft_soft_context_put(struct weft_soft_context *context);
/* For calls that take a device and no context: NOT_INITIALIZED, INVALID_DEVICE, or
 * DEVICE_UNAVAILABLE where it is lost. */
CUresult weft_soft_device_get(CUdevice ordinal, struct weft_soft_device **out);

/* The stream behind a handle in `context`, under a new reference: 0 and CU_STREAM_LEGACY are the
 * legacy default stream, CU_STREAM_PER_THREAD (and 0 where `per_thread`, for the _ptsz and _ptds
 * calls) the thread's own. INVALID_HANDLE. */
CUresult weft_soft_stream_get(struct weft_soft_context *context, CUstream handle, bool per_thread,
                              struct weft_soft_stream **out);
void weft_soft_stream_put(struct weft_soft_stream *stream);
struct weft_soft_context *weft_soft_stream_context(struct weft_soft_stream *stream);

/* One piece of work of the host's kind: run once, in stream order, on a worker thread; `release`
 * always follows, also when the work is dropped because its context failed or was destroyed. A
 * non-zero result becomes the context's sticky error. */
struct weft_soft_task {
    CUresult (*run)(void *argument);
    void (*release)(void *argument); /* may be NULL */
    void *argument;
};
CUresult weft_soft_stream_submit(struct weft_soft_stream *stream,
                                 const struct weft_soft_task *task);
/* Waits until all that was submitted before is done; the context's sticky error if it has one. */
CUresult weft_soft_stream_wait(struct weft_soft_stream *stream);
CUresult weft_soft_context_wait(struct weft_soft_context *context);
/* True while nothing submitted is unfinished, so that a synchronous copy may run on
 * the caller's thread at once: for the legacy stream this takes the blocking streams
 * of the context into account. */
bool weft_soft_stream_idle(struct weft_soft_stream *stream);

/* Stream capture: what a program submits to a stream that captures becomes a node of a graph. */

/* Whether any stream of the process captures; one load. */
bool weft_soft_capture_is_on(void);
/* Whether this one does, or may not be used because others do. */
bool weft_soft_capture_holds(struct weft_soft_stream *stream);
/* Adds the work as a node behind what the stream captured before. What the driver decides is told
 * in `params`. The errors of capture, and those of the work itself. */
CUresult weft_soft_capture_add(struct weft_soft_stream *stream, CUgraphNodeParams *params);
/* For work that cannot be captured, and for waiting: CUDA_SUCCESS where the stream captures
 * nothing; else its capture is spoiled. */
CUresult weft_soft_capture_refuse(struct weft_soft_stream *stream);
/* For calls that may make the host wait for work, unsafe as CUDA calls them: UNSUPPORTED, with all
 * captures spoiled that forbid them to the calling thread. */
CUresult weft_soft_capture_permit(void);
/* weft_soft_context_current for such a call. */
CUresult weft_soft_context_current_unsafe(struct weft_soft_context **out);

/* A detached thread with all signals blocked, so that the program's handlers run on its own
 * threads. The name has at most 15 characters. 0, or an errno value. */
int weft_soft_thread_create(const char *name, void *(*run)(void *), void *argument);

/* A place in a stream: behind the operation of its context's number `order`. */
struct weft_soft_point {
    uint64_t stream; /* its id */
    uint64_t order;
};
#define WEFT_SOFT_FOLLOWED_MAX 16
/* Where the stream ends now. */
struct weft_soft_point weft_soft_stream_end(struct weft_soft_stream *stream);
/* Places in other streams that come before whatever is submitted to this one from now on, since it
 * waits for events there: of the last WEFT_SOFT_FOLLOWED_MAX streams. Returns how many. */
uint32_t weft_soft_stream_followed(struct weft_soft_stream *stream,
                                   struct weft_soft_point points[WEFT_SOFT_FOLLOWED_MAX]);

/* What the memory half offers. */

/* Makes window, alias and live bits; maps every device's arena. Starts no thread. */
int weft_soft_memory_open(struct weft_soft_driver *driver, struct weft_err *err);
void weft_soft_memory_drop_after_fork(struct weft_soft_driver *driver);
CUresult weft_soft_memory_context_create(struct weft_soft_context *context);
/* Frees all that was allocated in the context; nothing of it runs any more. */
void weft_soft_memory_context_destroy(struct weft_soft_context *context);

/* The engine calls it after a stream, an event or a context has been waited for: pools give back
 * what they keep over their threshold. */
void weft_soft_memory_synchronised(struct weft_soft_context *context);

/* Kernels of the one context may reach memory of the other, or no more. INVALID_DEVICE for two of
 * one device, TOO_MANY_PEERS, OUT_OF_MEMORY, and ALREADY or NOT_ENABLED. */
CUresult weft_soft_memory_enable_peer(struct weft_soft_context *context,
                                      const struct weft_soft_context *other);
CUresult weft_soft_memory_disable_peer(struct weft_soft_context *context,
                                       const struct weft_soft_context *other);

/* Device memory for the driver's own use (module variables), zeroed, 512-byte aligned and charged
 * like any other. */
CUresult weft_soft_memory_allocate(struct weft_soft_context *context, uint64_t bytes,
                                   CUdeviceptr *address);
/* The same, and the host reaches it at the same address. */
CUresult weft_soft_memory_allocate_managed(struct weft_soft_context *context, uint64_t bytes,
                                           CUdeviceptr *address);
/* The same of no context, so that it outlives the one that it was made in. */
CUresult weft_soft_memory_allocate_common(struct weft_soft_context *context, uint64_t bytes,
                                          CUdeviceptr *address);
/* Of any of them. */
CUresult weft_soft_memory_free(struct weft_soft_context *context, CUdeviceptr address);
/* The texture or surface reference of a module's variable: one handle, however often it is asked
 * for. OUT_OF_MEMORY. */
CUresult weft_soft_memory_reference(struct weft_soft_context *context, CUdeviceptr variable,
                                    bool is_surface, uint64_t *handle);
/* Before a module's variables are freed: ends their references. */
void weft_soft_memory_end_references(struct weft_soft_context *context, CUdeviceptr address,
                                     uint64_t bytes);
/* Whether it is a texture reference of the context. INVALID_HANDLE. */
CUresult weft_soft_memory_check_reference(const void *handle);
/* Where the host reaches [address, address + bytes) of device, managed, pinned or registered
 * memory; NULL where it is not all live. */
void *weft_soft_memory_reach(uint64_t address, uint64_t bytes);
/* Whether the address is one of managed memory. */
bool weft_soft_memory_is_managed(uint64_t address);

/* The host has written device memory other than by a copy or a set, for the checker. */
void weft_soft_memory_written(uint64_t address, uint64_t bytes);
/* How an access lies to what is or was allocated: "4 bytes past the end of the 1000 bytes at 0x…".
 * With the checker alone. */
void weft_soft_memory_explain(uint64_t address, uint64_t bytes, char *text, size_t size);

/* A copy or a set as a task for a stream: host memory is read and written when it runs. The
 * addresses are checked now. Whoever gets the task submits it, or releases it. */
CUresult weft_soft_memory_copy_task(const CUDA_MEMCPY3D *copy, struct weft_soft_task *task);
CUresult weft_soft_memory_set_task(const CUDA_MEMSET_NODE_PARAMS_v2 *set,
                                   struct weft_soft_task *task);

/* Memory of graphs. A piece is what an allocation node makes: its address is fixed, what lies
 * behind it comes with the first launch. Each holder of a piece has a reference. */
struct weft_soft_graph_segment;
struct weft_soft_graph_piece;
struct weft_soft_allocation;

/* A new piece of the graph's last segment, or of a new one, which then is the last; both pointers
 * hold a reference. INVALID_VALUE, OUT_OF_MEMORY. */
CUresult weft_soft_graph_piece_create(struct weft_soft_graph_segment **segment,
                                      struct weft_soft_device *device, uint64_t bytes,
                                      struct weft_soft_graph_piece **out);
/* One at the address of a piece that is freed before it. INVALID_VALUE where it is too small. */
CUresult weft_soft_graph_piece_again(struct weft_soft_graph_piece *before, uint64_t bytes,
                                     struct weft_soft_graph_piece **out);
uint64_t weft_soft_graph_piece_address(const struct weft_soft_graph_piece *piece);
struct weft_soft_graph_piece *weft_soft_graph_piece_get(struct weft_soft_graph_piece *piece);
void weft_soft_graph_piece_put(struct weft_soft_graph_piece *piece);
void weft_soft_graph_segment_put(struct weft_soft_graph_segment *segment);
/* Whether some graph allocates there. */
bool weft_soft_graph_memory_knows(uint64_t address);
/* Puts memory behind it, charged to the device, where there is none. OUT_OF_MEMORY. */
CUresult weft_soft_graph_piece_back(struct weft_soft_graph_piece *piece);
/* Makes it an allocation that the program may free; and whether it is one. */
CUresult weft_soft_graph_piece_publish(struct weft_soft_graph_piece *piece,
                                       struct weft_soft_context *context);
bool weft_soft_graph_piece_is_allocated(const struct weft_soft_graph_piece *piece);
/* Lets kernels use it, or no more, in stream order. */
CUresult weft_soft_graph_piece_task(struct weft_soft_graph_piece *piece, bool live,
                                    struct weft_soft_task *task);
/* Takes an allocation away from the program, NULL where there is none; and ends it in stream order.
 */
struct weft_soft_allocation *weft_soft_graph_memory_claim(uint64_t address);
/* Gives it back. */
void weft_soft_graph_memory_restore(struct weft_soft_allocation *claimed,
                                    struct weft_soft_context *context);
CUresult weft_soft_graph_memory_free_task(struct weft_soft_allocation *claimed,
                                          struct weft_soft_task *task);

/* Each half puts its calls into the table; all other entries answer NOT_SUPPORTED by name. */
void weft_soft_engine_install(struct weft_cuda *table);
void weft_soft_memory_install(struct weft_cuda *table);

#endif

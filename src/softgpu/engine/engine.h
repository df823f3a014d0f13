/* What the engine half keeps in a context, and what its files share besides the scheduler. */
#ifndef WEFT_SOFTGPU_ENGINE_ENGINE_H
#define WEFT_SOFTGPU_ENGINE_ENGINE_H

#include <weft/cuda_table.h>

#include "softgpu/engine/list.h"
#include "softgpu/handle.h"
#include "softgpu/soft.h"

/* An object that belongs to a context: its handle is closed when the context is destroyed. */
struct weft_soft_child {
    struct weft_soft_link link; /* context.lock */
    enum weft_soft_handle_type type;
    uint64_t handle;
};

struct weft_soft_stream;
struct weft_soft_workspace;

struct weft_soft_context_engine {
    uint64_t id;
    uint32_t api_version;
    uint32_t attached;          /* context.lock; cuCtxAttach, cuCtxDetach */
    uint64_t order;             /* scheduler lock; of the last operation submitted */
    struct weft_soft_link busy; /* scheduler lock; streams with unfinished work */
    uint32_t pending_count;     /* scheduler lock; operations submitted and unfinished */
    uint32_t dropped_count;     /* scheduler lock; operations of a lost context, unreleased */
    uint32_t room_waiters;      /* scheduler lock; on `room` */
    pthread_cond_t room;        /* with the scheduler lock: one less is pending */
    pthread_cond_t idle;        /* with the scheduler lock: `busy` or dropped_count got empty */
    struct weft_soft_stream *legacy; /* its handle is a child */
    /* Nobody else's, with handles that are children: records of events that stand for all of the
     * context's work before them, and waits that all of its work after them stands behind. */
    struct weft_soft_stream *whole_records, *whole_waits;
    atomic_uint captured_count;             /* changed under the graph lock; streams that capture */
    uint32_t captured_blocking;             /* graph lock; those of them that block on `legacy` */
    struct weft_soft_link children;         /* context.lock */
    struct weft_soft_workspace *workspaces; /* context.lock; those that no grid uses */
    pthread_mutex_t heap_lock;              /* before memory.lock; no other is taken under it */
    struct weft_exec_heap *heap;            /* heap_lock; owned; NULL until a kernel needs it */
    bool fault_told;                        /* context.lock; to the person */
    bool fault_sent;                        /* context.lock; to weftd */
    atomic_bool has_printed;                /* a kernel that prints was launched */
    /* Words of the device page when the context was made, or began to have work: see injected.h. */
    uint64_t fault_before, process_fault_before;
    atomic_uint_fast64_t fault_at_work_before;
    atomic_size_t limits[CU_LIMIT_MAX];
    atomic_uint cache_config;
};

static inline struct weft_soft_context_engine *
weft_soft_engine_of(const struct weft_soft_context *context)
{
    return context->engine;
}

/* The heap of the context's kernels, made where there is none. OUT_OF_MEMORY. */
CUresult weft_soft_heap_get(struct weft_soft_context *context, struct weft_exec_heap **out);
/* INVALID_VALUE for another size than the one of the heap that is there. */
CUresult weft_soft_heap_set_limit(struct weft_soft_context *context, size_t bytes);

/* The records of the workspaces; their memory goes with the context's. */
void weft_soft_workspace_finish(struct weft_soft_context_engine *engine);

/* Makes `handle` a child of the context; CONTEXT_IS_DESTROYED where that came first. */
CUresult weft_soft_child_adopt(struct weft_soft_context *context, struct weft_soft_child *child,
                               enum weft_soft_handle_type type, uint64_t handle);
/* Before the object goes; does nothing for one that was never adopted. */
void weft_soft_child_leave(struct weft_soft_context *context, struct weft_soft_child *child);

/* One more reference for who holds one. */
void weft_soft_context_retain(struct weft_soft_context *context);
CUresult weft_soft_context_create(struct weft_soft_device *device, uint32_t flags, bool primary,
                                  struct weft_soft_context **out);
/* Closes the handle, drops the work, waits for what runs, frees what it held. INVALID_CONTEXT where
 * another thread was first. */
CUresult weft_soft_context_destroy(struct weft_soft_context *context);
/* The thread's stack of contexts. `push` takes a reference of its own. */
CUresult weft_soft_current_push(struct weft_soft_context *context);
/* NULL where the stack is empty; else under a reference that the caller puts. */
struct weft_soft_context *weft_soft_current_pop(void);
/* The top, or NULL; without a reference. */
struct weft_soft_context *weft_soft_current_peek(void);
/* NOT_INITIALIZED, or NOT_PERMITTED inside a callback. */
CUresult weft_soft_call_enter(void);
/* weft_soft_context_current for a call whose answer goes to `out`: then INVALID_VALUE for NULL. */
CUresult weft_soft_context_ask(const void *out, struct weft_soft_context **context);

/* A stream with a handle of its own, a child of the context, which the caller may close. */
CUresult weft_soft_stream_create(struct weft_soft_context *context, uint32_t flags, int priority,
                                 struct weft_soft_stream **out);
/* Closes a stream's handle; its work goes on. False where that is done already. */
bool weft_soft_stream_close(uint64_t handle);
/* CONTEXT_IS_DESTROYED, else the context's sticky error, or 0. */
CUresult weft_soft_context_status(struct weft_soft_context *context);
/* Says a sentence to the person, the first that concerns this context, and to weftd what ends it;
 * an error of 0 ends nothing. No lock is held. */
void weft_soft_tell_once(struct weft_soft_context *context, const struct weft_device_fault *fault);
/* NOT_READY while anything submitted is unfinished, for the legacy stream also of the blocking
 * streams of its context; else the context's status. */
CUresult weft_soft_stream_query(struct weft_soft_stream *stream);

/* For a call that takes a stream: looks it up in the current context, where a handle of its own
 * needs none. The stream is under a new reference. */
CUresult weft_soft_stream_enter(CUstream handle, bool per_thread, struct weft_soft_stream **out);

/* Waits in the stream, with no thread of its own, until something holds of which nobody tells us.
 * `task.run` is called with the scheduler's lock held, so it takes no lock and is short; when its
 * turn has come, and then now and then for as long as it says NOT_READY. Another error becomes the
 * context's. The task is taken over. */
CUresult weft_soft_stream_poll(struct weft_soft_stream *stream, const struct weft_soft_task *task);
/* Like cuLaunchHostFunc. */
CUresult weft_soft_stream_call_host(struct weft_soft_stream *stream, CUhostFn function,
                                    void *user_data);
/* Like cuEventRecord and cuStreamWaitEvent; and whether there is such an event. */
CUresult weft_soft_event_record(CUevent handle, struct weft_soft_stream *stream);
CUresult weft_soft_event_wait(CUevent handle, struct weft_soft_stream *stream);
CUresult weft_soft_event_check(CUevent handle);
/* The event's context, without a reference; as it is where there is no such event. */
void weft_soft_event_context(CUevent handle, CUcontext *out);

#define WEFT_SOFT_API_VERSION 3020
/* Of local memory a thread may have, on all devices of today. */
#define WEFT_SOFT_LOCAL_BYTES_MAX (512u << 10)
/* Priorities of streams: the smaller number goes first. */
#define WEFT_SOFT_PRIORITY_LEAST 0
#define WEFT_SOFT_PRIORITY_GREATEST (-5)
bool weft_soft_context_flags_valid(unsigned int flags);

/* Each file of calls puts its own into the table. */
void weft_soft_context_install(struct weft_cuda *table);
void weft_soft_limit_install(struct weft_cuda *table);
void weft_soft_primary_install(struct weft_cuda *table);
void weft_soft_legacy_install(struct weft_cuda *table);
void weft_soft_stream_install(struct weft_cuda *table);
void weft_soft_stream_info_install(struct weft_cuda *table);
void weft_soft_memory_ops_install(struct weft_cuda *table);
void weft_soft_capture_install(struct weft_cuda *table);
void weft_soft_event_install(struct weft_cuda *table);
void weft_soft_module_install(struct weft_cuda *table);
void weft_soft_function_install(struct weft_cuda *table);
void weft_soft_link_install(struct weft_cuda *table);
void weft_soft_library_install(struct weft_cuda *table);
void weft_soft_launch_install(struct weft_cuda *table);
void weft_soft_graph_install(struct weft_cuda *table);

#endif

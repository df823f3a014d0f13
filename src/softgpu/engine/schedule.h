/* The scheduler of the soft driver: streams are queues of operations, and this is who runs what
 * when.
 *
 * Everything below that says "lock" is guarded by the one scheduler lock, which is held for a few
 * list operations and never while a kernel, a copy or a callback runs, and never while memory is
 * given back. An operation is at the head of its stream when all before it are complete; it starts
 * when what else it waits for is complete too (an event, or the legacy default stream's rule), and
 * completing it may start others. A grid is run by workers, block by block; a task by host threads.
 * What waits for something of which nobody tells us, such as a word of memory, is looked at now and
 * then by one thread, the poller.
 *
 * Orders. Each operation takes the next number of its context when it is submitted. An operation of
 * the legacy stream starts when no blocking stream has an unfinished one with a smaller number, and
 * the other way round; waiting for a stream is waiting until it has none at or under a number. */
#ifndef WEFT_SOFTGPU_ENGINE_SCHEDULE_H
#define WEFT_SOFTGPU_ENGINE_SCHEDULE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "softgpu/engine/engine.h"
#include "softgpu/engine/list.h"
#include "softgpu/soft.h"

#define WEFT_SOFT_WORKERS_MAX 16
#define WEFT_SOFT_HOST_THREADS_MAX 16
/* Threads that callbacks of the program may hold at once; the others are left for copies, which a
 * callback may be waiting for. */
#define WEFT_SOFT_CALLBACKS_MAX 12
#define WEFT_SOFT_POOLED_OPS_MAX 256
/* Unfinished operations of a context; who submits more waits for room, as with NVIDIA's driver. */
#define WEFT_SOFT_PENDING_OPS_MAX 16384
#define WEFT_SOFT_INLINE_PARAM_BYTES 512

/* A point in a stream that is reached once: what an event stands for. */
struct weft_soft_fence {
    atomic_uint references;
    atomic_bool done;
    uint64_t time_ns;                      /* written before `done` */
    struct weft_soft_op *waiting;          /* lock; heads of streams that wait for it */
    pthread_cond_t reached;                /* with the lock */
    uint32_t sleepers;                     /* lock */
    struct weft_soft_shared_event *shared; /* referenced; who else is told; NULL as a rule */
    uint64_t number;                       /* of this record, there */
    struct weft_soft_point point;          /* lock; where it was recorded */
};

/* A block that has begun: kept with its memory until the grid ends. */
struct weft_soft_resident {
    struct weft_soft_resident *next;
    struct weft_exec_block *block;
};

/* One kernel launch. */
struct weft_soft_grid {
    struct weft_exec_launch launch;
    struct weft_soft_workspace *workspace; /* of a cooperative grid; NULL else */
    uint64_t function; /* handle of the function, referenced: keeps module, program and memory */
    uint64_t block_count;
    atomic_uint_fast64_t next_block; /* the first that has not begun; may run past block_count */
    atomic_bool aborted;
    atomic_uint_fast64_t retired; /* warp instructions, for the watchdog */
    uint32_t resident_max;        /* blocks that the device could hold at once */
    uint32_t resident_limit;      /* lock; grows to resident_max as blocks wait for each other */
    uint32_t resident_count;      /* lock */
    uint32_t running;             /* lock; workers inside */
    uint64_t finished;            /* lock; blocks that ended */
    struct weft_soft_resident *parked_first, *parked_last; /* lock; began, preempted or stalled */
    struct weft_soft_resident *spare;                      /* lock; memory for blocks to come */
    struct weft_soft_link ready;                           /* lock; in scheduler.ready */
    void *large_params;                                    /* owned; NULL where they fit inline */
    _Alignas(16) unsigned char params[WEFT_SOFT_INLINE_PARAM_BYTES];
};

enum weft_soft_op_kind {
    WEFT_SOFT_OP_TASK,
    WEFT_SOFT_OP_GRID,
    WEFT_SOFT_OP_RECORD, /* reaches its fence */
    WEFT_SOFT_OP_WAIT,   /* for its fence */
    WEFT_SOFT_OP_POLL,   /* until its task, run with the lock held, says that it is over */
};

struct weft_soft_op {
    struct weft_soft_op *next;       /* lock; in the stream, later among what is to be released */
    struct weft_soft_op *next_other; /* lock; among the host's tasks, a fence's waiters or those
                                        that are polled */
    struct weft_soft_stream *stream; /* the busy stream's own reference keeps it */
    uint64_t order;
    enum weft_soft_op_kind kind;
    bool started;     /* lock */
    bool is_callback; /* a task that runs code of the program, and may take for ever */
    bool always_run;  /* a task that also runs when its context failed */
    bool is_dropped;  /* lock; completed when its context was lost */
    struct weft_soft_task task;
    struct weft_soft_fence *fence; /* referenced */
    struct weft_soft_grid grid;
};

struct weft_soft_captured;

struct weft_soft_stream {
    struct weft_soft_context *context; /* referenced */
    uint64_t handle;                   /* its number in the handle table */
    uint64_t id;
    uint32_t flags;
    int priority;
    bool legacy;
    bool blocking;                        /* orders itself with the legacy stream */
    struct weft_soft_op *first, *last;    /* lock */
    atomic_uint_fast64_t completed_order; /* of the last that is complete; read without the lock */
    struct weft_soft_link busy;           /* lock; in the context's list while it has work */
    struct weft_soft_stream *next_unsettled; /* lock */
    bool unsettled;                          /* lock */
    /* Its part in a capture, see capture.h; changed under the graph lock. NULL: none. */
    struct weft_soft_captured *_Atomic captured;
    pthread_cond_t progressed; /* with the lock */
    uint64_t wake_order; /* lock; the smallest order that a sleeper waits for, UINT64_MAX: none */
    struct weft_soft_point followed[WEFT_SOFT_FOLLOWED_MAX]; /* lock; stream 0: none */
    struct weft_soft_child child;
    CUstreamAttrValue access_policy; /* context.lock; kept for who asks, without effect */
    CUsynchronizationPolicy synchronization_policy; /* context.lock */
};

/* Tasks in the order in which they became ready, linked by next_other. */
struct weft_soft_queue {
    struct weft_soft_op *first, *last;
    uint32_t count;
};

struct weft_soft_scheduler {
    pthread_mutex_t lock;
    pthread_cond_t work; /* with the lock: a worker may run something; made with the workers */
    struct weft_soft_link ready; /* lock; grids with a block to run, each worker takes the first */
    atomic_uint ready_count;
    uint32_t parked_count; /* lock; blocks of all grids */
    uint32_t worker_count; /* lock */
    uint32_t sleeping;     /* lock; workers on `work` */
    bool searching;        /* lock; a worker looks for work without sleeping */
    pthread_cond_t host_work;
    struct weft_soft_queue tasks, callbacks; /* lock; what may start */
    uint32_t callbacks_running;              /* lock */
    uint32_t host_threads, host_idle;        /* lock */
    struct weft_soft_op *polled;             /* lock; heads of streams that the poller looks at */
    pthread_cond_t poll_work;                /* with the lock: `polled` has one more */
    struct weft_soft_stream *unsettled;      /* lock; their heads may start */
    struct weft_soft_op *completed;          /* lock; to be released after the lock */
    uint64_t next_id;                        /* lock; numbers streams, contexts and grids */
};
extern struct weft_soft_scheduler weft_soft_scheduler;

void weft_soft_scheduler_lock(void);
/* Starts what may start now. */
void weft_soft_scheduler_settle(void);
/* Starts what may start now, unlocks, and gives back what has completed. */
void weft_soft_scheduler_unlock(void);
/* Like unlock and lock, but atomically a sleep on `condition`; false at the time-out (0: none; for
 * any other the condition's clock is the monotonic one). */
bool weft_soft_scheduler_sleep(pthread_cond_t *condition, uint64_t timeout_ns);
uint64_t weft_soft_scheduler_new_id(void);

/* A zeroed operation out of the pool, NULL where memory has run out;
 * and back, if never submitted. */
struct weft_soft_op *weft_soft_op_create(enum weft_soft_op_kind kind);
void weft_soft_op_destroy(struct weft_soft_op *op);
/* Takes over `op`, and waits for room where too much is pending. Also taken over when it fails:
 * with the context's sticky error, CONTEXT_IS_DESTROYED or OUT_OF_MEMORY. */
CUresult weft_soft_op_submit(struct weft_soft_stream *stream, struct weft_soft_op *op);
/* Lock held: the head of its stream is done. */
void weft_soft_op_complete(struct weft_soft_op *op);

/* Lock held: gives the context its sticky error (the first wins) and drops its work. */
void weft_soft_context_fail(struct weft_soft_context *context, CUresult error);
/* Lock held: drops the context's work, because it failed or was destroyed. */
void weft_soft_context_drop_work(struct weft_soft_context *context);
static inline bool weft_soft_context_is_dropping(struct weft_soft_context *context)
{
    return atomic_load(&context->error) != 0 || atomic_load(&context->destroyed);
}

/* Fences: a reference each; `reach` with the lock held. */
struct weft_soft_fence *weft_soft_fence_create(void);
void weft_soft_fence_get(struct weft_soft_fence *fence);
void weft_soft_fence_put(struct weft_soft_fence *fence);
void weft_soft_fence_reach(struct weft_soft_fence *fence);
void weft_soft_fence_wait(struct weft_soft_fence *fence);

/* Workers and host threads; the lock is not held. OUT_OF_MEMORY where no thread can be made. */
CUresult weft_soft_workers_start(void);
/* Lock held. */
void weft_soft_worker_wake(void);
void weft_soft_host_push(struct weft_soft_op *op);
/* Whether a task could start if there were one more thread. */
bool weft_soft_host_needs_thread(void);
/* The lock is not held: makes the host threads that the queue needs. */
void weft_soft_host_serve(void);
/* True on a thread that runs a callback of the program, where CUDA calls are not permitted. */
bool weft_soft_host_in_callback(void);
void weft_soft_host_call(void (*function)(void *), void *argument);

/* Makes the poller; the lock is not held. OUT_OF_MEMORY. */
CUresult weft_soft_poller_start(void);
/* Lock held: runs the operation's task. True where it is over; else the poller has it. */
bool weft_soft_poll_begin(struct weft_soft_op *op);
/* Lock held: the operation is dropped. */
void weft_soft_poll_stop(struct weft_soft_op *op);

/* Grids, lock held. */
void weft_soft_grid_start(struct weft_soft_grid *grid);
void weft_soft_grid_abort(struct weft_soft_grid *grid);
/* Not held: gives back blocks, parameters and the function. */
void weft_soft_grid_release(struct weft_soft_grid *grid);

/* The print of weft_exec_launch. */
void weft_soft_print(void *unused, bool is_error, const char *text, uint64_t bytes);

/* Gives a cooperative grid the words over which its blocks meet; and back. No lock is held. */
CUresult weft_soft_workspace_take(struct weft_soft_context *context, struct weft_soft_grid *grid);
void weft_soft_workspace_give(struct weft_soft_workspace *workspace);

static inline struct weft_soft_op *weft_soft_op_of_grid(struct weft_soft_grid *grid)
{
    return WEFT_CONTAINER_OF(grid, struct weft_soft_op, grid);
}

#endif

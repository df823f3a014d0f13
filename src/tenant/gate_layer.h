/* The gate's inner header: its one state, and what its parts offer one another.
 *   gate_calls.c  the calls that launch            gate_pass.c     when a launch waits, and where
 *   gate_hold.c   what waits, until it may go on   gate_lane.c     a context's work, measured
 *   gate_thread.c our threads                      gate_context.c  the end of contexts
 * Lock order: `lock`, which is held while the driver is called, > `queue`, which never is, nor
 * while anybody waits: a call of the driver may last until a held launch has gone through. What
 * says "both" is changed under both and read under either. */
#ifndef WEFT_TENANT_GATE_LAYER_H
#define WEFT_TENANT_GATE_LAYER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/cuda_table.h>

#include "policy/flight.h"
#include "tenant/gate.h"

/* How long who waits sleeps before it looks again by itself. */
#define WEFT_GATE_LOOK_NS 100000ull

/* A stream as a call names it. */
struct weft_gate_stream {
    CUstream handle;
    bool per_thread; /* the default stream is the thread's own */
};

/* A launch, whichever call it came by. */
#define WEFT_GATE_DIMENSIONS 7
struct weft_gate_launch {
    CUresult (*call)(const struct weft_gate_launch *launch); /* the driver's */
    struct weft_gate_stream stream;
    CUfunction function;
    CUgraphExec graph;                        /* NULL: a kernel */
    unsigned int shape[WEFT_GATE_DIMENSIONS]; /* of grid and block, and the shared bytes */
    void **params, **extra;
    const CUlaunchConfig *config;
    CUDA_LAUNCH_PARAMS *parts; /* on several devices, each in a stream; NULL: on one */
    unsigned int part_count, flags;
};

enum weft_gate_stage {
    WEFT_GATE_HELD,    /* its stream waits for it to be let through */
    WEFT_GATE_FLYING,  /* the device may be at it */
    WEFT_GATE_COUNTED, /* charged; or nothing was launched */
};

/* A launch that was given to the driver. */
struct weft_gate_flight {
    CUevent begin, end;
    struct weft_gate_stream stream;
    uint64_t key, guess_ns; /* of a held one the guess of when it was held */
    uint64_t since_ns;      /* when it was held, or let through */
    uint32_t number;        /* its stream waits until `granted` is there */
    enum weft_gate_stage stage;
    bool is_void; /* the launch failed, or could not be marked */
};

/* Host memory that streams of a context wait for, and write to. Mapped shared, so that a fork does
 * not part us from what the device sees. */
struct weft_gate_words {
    uint32_t granted; /* ours */
    uint32_t reserved[15];
    uint32_t done[WEFT_GATE_FLIGHTS_MAX]; /* the streams'; the number of a flight that has ended */
};

/* A context's work, in the order in which it was launched: what was let through, then what is held.
 * Its events are of that context. */
struct weft_gate_lane {
    CUcontext context; /* both; NULL: free */
    uint32_t device;   /* both */
    bool is_closed;    /* both; the context is being destroyed */
    struct weft_gate_flight flights[WEFT_GATE_FLIGHTS_MAX]; /* queue; and who is in it: both */
    uint32_t first, count;                                  /* both */
    uint32_t held;                                          /* queue; of `count`, the last */
    CUevent origin;                /* queue; from which the period's times count; owned */
    uint64_t period_ns;            /* queue; when it began, on the arbiter's clock */
    uint64_t covered_ns;           /* queue; of the period, until when all was charged */
    uint64_t shown_ns;             /* queue; noted as run, and not charged */
    uint64_t shown_at_ns;          /* lock; when it was last looked for how long one runs */
    uint64_t let_ns;               /* queue; when one was last let through */
    uint32_t patience;             /* queue; how often since it was the tenant's turn */
    struct weft_flight known;      /* queue */
    uint32_t number;               /* lock; of the last flight; wraps around */
    bool can_hold;                 /* lock */
    struct weft_gate_words *words; /* both; NULL: none */
    CUdeviceptr words_address;     /* lock */
    uint64_t spare_count;          /* lock; events to be used again, in `spares` */
    CUevent spares[WEFT_GATE_FLIGHTS_MAX * 2];
};

/* The CUDA ABI passes no context, so there is one a process. */
struct weft_gate_state {
    struct weft_cuda next;
    struct weft_gate_arbiter arbiter;
    pthread_mutex_t lock;
    _Atomic uint64_t locked_ns; /* since when somebody has `lock`; 0: nobody */
    pthread_mutex_t queue;
    pthread_cond_t some_held;
    struct weft_gate_lane lanes[WEFT_GATE_LANES_MAX];
    uint32_t in_flight[WEFT_DEVICES_MAX]; /* queue; kernels on their way, of all lanes */
    uint32_t held[WEFT_DEVICES_MAX];      /* queue; launches in streams */
    uint32_t waiting[WEFT_DEVICES_MAX];   /* queue; launches in their callers */
    _Atomic uint32_t held_count;          /* changed under queue */
    uint64_t held_ns;                     /* queue; by the guesses */
    bool has_looker;                      /* queue */
    bool has_granter;                     /* queue; for good */
    pid_t watcher;                        /* queue; whose end is watched; 0: nobody's */
    atomic_bool is_ending;                /* the process: nobody looks any more */
};
extern struct weft_gate_state weft_gate;

/* `lock`. */
void weft_gate_enter(void);
void weft_gate_leave(void);

uint64_t weft_gate_now_ns(void);
bool weft_gate_is_free(uint32_t device);
/* Changes one of the counters of a device; the process wants it while any is not 0. Queue. */
void weft_gate_count(uint32_t device, uint32_t *counters, int by);
void weft_gate_count_flight(uint32_t device, int by);
/* Work that is not charged yet ran for so long. Queue. */
void weft_gate_show_run(struct weft_gate_lane *lane, uint64_t time_ns);
void weft_gate_charge(struct weft_gate_lane *lane, uint64_t time_ns);
/* Whether kernels are on their way. Queue. */
bool weft_gate_has_flights(void);

/* Of the current context; NULL where it is not measured. Lock. */
struct weft_gate_lane *weft_gate_lane_find(void);
/* Marks where the flight begins, behind a wait of the stream where it is to be held. False where it
 * cannot be marked; then nothing was put into the stream. Lock. */
bool weft_gate_lane_begin(struct weft_gate_lane *lane, const struct weft_gate_stream *stream,
                          uint64_t key, bool holds, struct weft_gate_flight *flight);
/* The launch was made, with that result. Lock. */
void weft_gate_lane_end(struct weft_gate_lane *lane, struct weft_gate_flight *flight, CUresult rc);
/* One was launched that nothing marks. Lock. */
void weft_gate_lane_charge_guess(struct weft_gate_lane *lane, uint64_t key);
/* Sees what has ended. Its context need not be current. Lock; capturing is relaxed. */
void weft_gate_lane_look(struct weft_gate_lane *lane);
/* Nothing of it can be measured any more; nothing of it stays held. Where its context is gone, its
 * memory is, too. Lock. */
void weft_gate_lane_drop(struct weft_gate_lane *lane, bool context_is_gone);
/* Of all lanes. Lock. */
void weft_gate_lanes_look(void);
/* A flight is let through now. Queue. */
void weft_gate_lane_start(struct weft_gate_lane *lane, struct weft_gate_flight *flight);
/* What the gate itself calls must not end a capture of somebody else's; twice, before and after. */
void weft_gate_change_capture_mode(CUstreamCaptureMode *mode);

/* Whether a launch in that stream may be given to the device, if it waits since then. Queue. */
bool weft_gate_hold_may_go(struct weft_gate_lane *lane, const struct weft_gate_stream *stream,
                           uint64_t key, uint64_t since_ns);
/* Whether one more may wait in its stream: not of one who is alone, so that it comes to the end of
 * what is held. Queue. */
bool weft_gate_hold_has_place(const struct weft_gate_lane *lane);
/* One is the last of its lane, and is held. Queue. */
void weft_gate_hold_add(struct weft_gate_lane *lane, struct weft_gate_flight *flight);
/* Lets through what may go. Queue. */
void weft_gate_hold_grant(void);
/* Lets through what is held in the lane, whoever's turn it is. Queue. */
void weft_gate_hold_release(struct weft_gate_lane *lane);

/* Threads; where there is none to be had the next launch looks. Without either lock, or with
 * `lock`. */
void weft_gate_thread_need_looker(void);
/* Whether there is one who lets through. */
bool weft_gate_thread_need_granter(void);

/* Makes the launch when all that it is made of may be given to the driver. */
CUresult weft_gate_pass(const struct weft_gate_launch *launch);

void weft_gate_calls_install(struct weft_cuda *table);
void weft_gate_context_install(struct weft_cuda *table);

#endif

#include "tenant/gate.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/cuda_table.h>

#include "policy/flight.h"
#include "util/util.h"

/* How long a held launch sleeps before it looks again by itself. */
#define LOOK_NS 100000ull
/* Times are floats of milliseconds since the first marker: over longer ones they lose precision. */
#define PERIOD_NS 10000000000ull
/* How often the thread looks, and for how many looks it stays with nothing on its way. */
#define LOOKER_PAUSE_NS 200000
#define LOOKER_IDLE_LOOKS 50
#define END_WAIT_NS 100000000
#define NS_PER_S 1000000000

/* A kernel on its way. */
struct flight {
    CUevent begin, end;
    uint64_t key, guess_ns;
};

/* A context's work, in the order in which it was launched. Its events are of that context. */
struct lane {
    CUcontext context; /* NULL: free */
    uint32_t device;
    struct flight flights[WEFT_GATE_FLIGHTS_MAX];
    uint32_t first, count;
    CUevent origin;       /* owned; from which the period's times count */
    uint64_t period_ns;   /* when it began, on the arbiter's clock */
    uint64_t covered_ns;  /* of the period, until when all was charged */
    uint64_t spare_count; /* events to be used again, in `spares` */
    CUevent spares[WEFT_GATE_FLIGHTS_MAX * 2];
    struct weft_flight known;
};

/* The CUDA ABI passes no context, so there is one a process. */
static struct {
    struct weft_cuda next;
    struct weft_gate_arbiter arbiter;
    pthread_mutex_t lock; /* over all below; held while a kernel is launched, not while one waits */
    struct lane lanes[WEFT_GATE_LANES_MAX];
    uint32_t in_flight[WEFT_DEVICES_MAX]; /* kernels on their way, of all lanes */
    uint32_t waiting[WEFT_DEVICES_MAX];   /* launches */
    bool has_looker;
    atomic_bool is_ending; /* the process: nobody looks any more */
    bool ends_watched;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* One launch, whichever call it came by. */
struct launch {
    CUresult (*call)(const struct launch *launch);
    CUfunction function;
    const unsigned int *shape; /* of grid and block, and the shared bytes */
    CUstream stream;
    void **params, **extra;
    const CUlaunchConfig *config;
    CUgraphExec graph; /* NULL: a kernel */
    bool per_thread;
};

/* What lengths are learnt by: handles are addresses, so a graph is never taken for a function. */
static uint64_t key_of(const struct launch *launch)
{
    return launch->graph ? (uint64_t)(uintptr_t)launch->graph
                         : (uint64_t)(uintptr_t)launch->function;
}

/* The process wants the device while anything of it is on its way, or waits. */
static void count(uint32_t device, uint32_t *counters, int by)
{
    bool before = gate.in_flight[device] + gate.waiting[device] != 0;
    counters[device] += (uint32_t)by;
    if (before != (gate.in_flight[device] + gate.waiting[device] != 0))
        gate.arbiter.want(gate.arbiter.context, device, !before);
}

static void count_flight(uint32_t device, int by)
{
    count(device, gate.in_flight, by);
    gate.arbiter.note_flights(gate.arbiter.context, device, gate.in_flight[device]);
}

static bool has_flights(void)
{
    for (uint32_t i = 0; i < gate.arbiter.device_count; i++) {
        if (gate.in_flight[i])
            return true;
    }
    return false;
}

static bool is_free(uint32_t device)
{
    return gate.arbiter.is_free(gate.arbiter.context, device);
}

static bool all_are_free(void)
{
    for (uint32_t i = 0; i < gate.arbiter.device_count; i++) {
        if (!is_free(i))
            return false;
    }
    return true;
}

static void charge(const struct lane *lane, uint64_t time_ns)
{
    gate.arbiter.charge(gate.arbiter.context, lane->device, time_ns);
}

static uint64_t now_ns(void)
{
    return gate.arbiter.now_ns(gate.arbiter.context);
}

/* An error, too, means that the stream takes part in a capture, or that the launch will fail. */
static bool is_captured(const struct launch *launch)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    CUresult rc = launch->per_thread ? gate.next.cuStreamIsCapturing_ptsz(launch->stream, &status)
                                     : gate.next.cuStreamIsCapturing(launch->stream, &status);
    return rc || status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* What the gate itself calls must not end a capture of somebody else's. */
static void change_capture_mode(CUstreamCaptureMode *mode)
{
    gate.next.cuThreadExchangeStreamCaptureMode(mode);
}

static struct lane *find_lane(void)
{
    CUcontext context = NULL;
    CUdevice device = 0;
    struct lane *found = NULL;
    if (gate.next.cuCtxGetCurrent(&context) || !context || gate.next.cuCtxGetDevice(&device) ||
        device < 0 || (uint32_t)device >= gate.arbiter.device_count)
        return NULL;
    for (size_t i = 0; i < WEFT_GATE_LANES_MAX; i++) {
        if (gate.lanes[i].context == context)
            return &gate.lanes[i];
        if (!gate.lanes[i].context && !found)
            found = &gate.lanes[i];
    }
    if (found) {
        found->context = context;
        found->device = (uint32_t)device;
    }
    return found;
}

static bool take_event(struct lane *lane, CUevent *event)
{
    if (lane->spare_count) {
        *event = lane->spares[--lane->spare_count];
        return true;
    }
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    change_capture_mode(&mode);
    CUresult rc = gate.next.cuEventCreate(event, CU_EVENT_DEFAULT);
    change_capture_mode(&mode);
    return rc == CUDA_SUCCESS;
}

static void give_event(struct lane *lane, CUevent event)
{
    if (lane->spare_count < WEFT_ARRAY_COUNT(lane->spares))
        lane->spares[lane->spare_count++] = event;
    else
        gate.next.cuEventDestroy_v2(event);
}

/* Since the period's origin; false where the context is gone. */
static bool time_of(const struct lane *lane, CUevent event, uint64_t *time_ns)
{
    float time_ms = 0;
    if (event != lane->origin &&
        gate.next.cuEventElapsedTime(&time_ms, lane->origin, event) != CUDA_SUCCESS)
        return false;
    *time_ns = time_ms > 0 ? (uint64_t)((double)time_ms * 1e6) : 0;
    return true;
}

/* What of a kernel's time no other one's covered already. */
static void settle(struct lane *lane, const struct flight *flight)
{
    uint64_t begin_ns, end_ns, charged_ns = flight->guess_ns;
    if (time_of(lane, flight->begin, &begin_ns) && time_of(lane, flight->end, &end_ns)) {
        uint64_t from_ns = WEFT_MAX(begin_ns, lane->covered_ns);
        charged_ns = end_ns > from_ns ? end_ns - from_ns : 0;
        lane->covered_ns = WEFT_MAX(lane->covered_ns, end_ns);
        if (charged_ns)
            weft_flight_learn(&lane->known, flight->key, charged_ns);
        uint64_t passed_ns = now_ns() - lane->period_ns;
        if (passed_ns > end_ns)
            weft_flight_learn_latency(&lane->known, passed_ns - end_ns);
    }
    charge(lane, charged_ns);
}

static void end_flight(struct lane *lane, const struct flight *flight)
{
    weft_flight_end(&lane->known, flight->guess_ns);
    if (flight->begin != lane->origin)
        give_event(lane, flight->begin);
    give_event(lane, flight->end);
    count_flight(lane->device, -1);
}

/* The context is gone, with its events: nothing of it can be measured any more. */
static void drop_lane(struct lane *lane)
{
    for (; lane->count; lane->count--) {
        const struct flight *flight = &lane->flights[lane->first];
        charge(lane, flight->guess_ns);
        lane->first = (lane->first + 1) % WEFT_GATE_FLIGHTS_MAX;
        count_flight(lane->device, -1);
    }
    memset(lane, 0, sizeof(*lane));
}

static void look_at_lane(struct lane *lane)
{
    while (lane->count) {
        const struct flight *flight = &lane->flights[lane->first];
        CUresult rc = gate.next.cuEventQuery(flight->end);
        if (rc == CUDA_ERROR_NOT_READY)
            return;
        if (rc) {
            drop_lane(lane);
            return;
        }
        settle(lane, flight);
        end_flight(lane, flight);
        lane->first = (lane->first + 1) % WEFT_GATE_FLIGHTS_MAX;
        lane->count--;
    }
    if (lane->origin)
        give_event(lane, weft_steal(lane->origin));
}

static void look(void)
{
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    change_capture_mode(&mode);
    for (size_t i = 0; i < WEFT_GATE_LANES_MAX; i++) {
        if (gate.lanes[i].context)
            look_at_lane(&gate.lanes[i]);
    }
    change_capture_mode(&mode);
}

void weft_gate_look(void)
{
    pthread_mutex_lock(&gate.lock);
    if (has_flights())
        look();
    pthread_mutex_unlock(&gate.lock);
}

static bool has_room(const struct lane *lane, uint64_t key)
{
    bool old = lane->count && now_ns() - lane->period_ns > PERIOD_NS;
    return !old && lane->count < WEFT_GATE_FLIGHTS_MAX && weft_flight_has_room(&lane->known, key);
}

/* Lock held on entry and return. Waits for as long as the policy says; never for ever where the
 * tenant has work on its way. */
static void wait_for_turn(struct lane *lane, uint64_t key)
{
    uint32_t device = lane->device;
    uint64_t begin_ns = now_ns();
    for (;;) {
        look();
        if (is_free(device))
            return;
        bool is_ours = gate.arbiter.ask(gate.arbiter.context, device);
        if (is_ours && has_room(lane, key))
            return;
        bool is_late = now_ns() - begin_ns >= WEFT_GATE_PATIENCE_NS;
        if (is_late && lane->count < WEFT_GATE_FLIGHTS_MAX &&
            gate.arbiter.is_busy(gate.arbiter.context))
            return;
        pthread_mutex_unlock(&gate.lock);
        gate.arbiter.sleep(gate.arbiter.context, device, LOOK_NS);
        pthread_mutex_lock(&gate.lock);
    }
}

static CUresult record(const struct launch *launch, CUevent event)
{
    return launch->per_thread ? gate.next.cuEventRecord_ptsz(event, launch->stream)
                              : gate.next.cuEventRecord(event, launch->stream);
}

/* Two markers for the kernel to come; false where there are none. */
static bool begin_flight(struct lane *lane, const struct launch *launch, struct flight *flight)
{
    *flight = (struct flight){.key = key_of(launch)};
    if (lane->count == WEFT_GATE_FLIGHTS_MAX || !take_event(lane, &flight->begin))
        return false;
    if (!take_event(lane, &flight->end) || record(launch, flight->begin)) {
        give_event(lane, flight->begin);
        if (flight->end)
            give_event(lane, flight->end);
        return false;
    }
    if (lane->count == 0) {
        lane->origin = flight->begin;
        lane->period_ns = now_ns();
        lane->covered_ns = 0;
    }
    return true;
}

/* Whose turn it is to look by itself: a thread of ours alone, so what is current there is nobody's
 * business. */
static bool look_alone(void)
{
    pthread_mutex_lock(&gate.lock);
    bool goes_on = !gate.is_ending && has_flights();
    for (size_t i = 0; goes_on && i < WEFT_GATE_LANES_MAX; i++) {
        struct lane *lane = &gate.lanes[i];
        if (lane->count == 0)
            continue;
        gate.next.cuCtxSetCurrent(lane->context);
        look_at_lane(lane);
    }
    pthread_mutex_unlock(&gate.lock);
    return goes_on;
}

static void *run_looker(void *unused)
{
    const struct timespec pause = {.tv_nsec = LOOKER_PAUSE_NS};
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    (void)unused;
    change_capture_mode(&mode);
    for (bool ends = false; !ends;) {
        for (uint32_t idle = 0; idle < LOOKER_IDLE_LOOKS; idle++) {
            if (look_alone())
                idle = 0;
            nanosleep(&pause, NULL);
        }
        pthread_mutex_lock(&gate.lock);
        ends = gate.is_ending || !has_flights();
        gate.has_looker = !ends;
        pthread_mutex_unlock(&gate.lock);
    }
    return NULL;
}

/* Registered after the driver's own, so it runs before: the driver is not called while it ends. */
static void end_looker(void)
{
    struct timespec until;
    gate.is_ending = true;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += END_WAIT_NS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    /* A look that has begun; or a launch, that the driver may never return from. */
    if (pthread_mutex_timedlock(&gate.lock, &until) == 0)
        pthread_mutex_unlock(&gate.lock);
}

/* Lock held. Where there is no thread to be had the next launch looks. */
static void need_looker(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (!gate.arbiter.has_looker || gate.has_looker || gate.is_ending)
        return;
    if (!gate.ends_watched)
        gate.ends_watched = atexit(end_looker) == 0;
    if (!gate.ends_watched || pthread_attr_init(&attributes))
        return;
    sigfillset(&all);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    gate.has_looker = pthread_create(&thread, &attributes, run_looker, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

static void keep_flight(struct lane *lane, struct flight *flight)
{
    flight->guess_ns = weft_flight_begin(&lane->known, flight->key);
    lane->flights[(lane->first + lane->count) % WEFT_GATE_FLIGHTS_MAX] = *flight;
    lane->count++;
    count_flight(lane->device, 1);
    need_looker();
}

/* It was not launched, or could not be marked. */
static void drop_flight(struct lane *lane, const struct flight *flight)
{
    if (lane->count == 0)
        lane->origin = NULL;
    give_event(lane, flight->begin);
    give_event(lane, flight->end);
}

/* Lock held. */
static CUresult measure(struct lane *lane, const struct launch *launch)
{
    struct flight flight;
    uint64_t key = key_of(launch);
    bool is_marked = begin_flight(lane, launch, &flight);
    CUresult rc = launch->call(launch);
    if (!is_marked || rc || record(launch, flight.end)) {
        if (is_marked)
            drop_flight(lane, &flight);
        if (rc == CUDA_SUCCESS)
            charge(lane, weft_flight_guess_ns(&lane->known, key));
        return rc;
    }
    keep_flight(lane, &flight);
    return rc;
}

static CUresult pass(const struct launch *launch)
{
    if (all_are_free() || is_captured(launch))
        return launch->call(launch);
    pthread_mutex_lock(&gate.lock);
    struct lane *lane = find_lane();
    CUresult rc;
    if (lane) {
        uint32_t device = lane->device;
        count(device, gate.waiting, 1);
        wait_for_turn(lane, key_of(launch));
        rc = measure(lane, launch);
        count(device, gate.waiting, -1);
    }
    pthread_mutex_unlock(&gate.lock);
    return lane ? rc : launch->call(launch);
}

static CUresult call_plain(const struct launch *launch)
{
    const unsigned int *shape = launch->shape;
    return (launch->per_thread ? gate.next.cuLaunchKernel_ptsz : gate.next.cuLaunchKernel)(
        launch->function, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        launch->stream, launch->params, launch->extra);
}

static CUresult call_cooperative(const struct launch *launch)
{
    const unsigned int *shape = launch->shape;
    return (launch->per_thread ? gate.next.cuLaunchCooperativeKernel_ptsz
                               : gate.next.cuLaunchCooperativeKernel)(
        launch->function, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        launch->stream, launch->params);
}

static CUresult call_configured(const struct launch *launch)
{
    return (launch->per_thread ? gate.next.cuLaunchKernelEx_ptsz : gate.next.cuLaunchKernelEx)(
        launch->config, launch->function, launch->params, launch->extra);
}

static CUresult call_graph(const struct launch *launch)
{
    return (launch->per_thread ? gate.next.cuGraphLaunch_ptsz
                               : gate.next.cuGraphLaunch)(launch->graph, launch->stream);
}

static CUresult launch_graph(CUgraphExec graph, CUstream stream)
{
    return pass(&(struct launch){.call = call_graph, .graph = graph, .stream = stream});
}

static CUresult launch_graph_ptsz(CUgraphExec graph, CUstream stream)
{
    return pass(
        &(struct launch){.call = call_graph, .graph = graph, .stream = stream, .per_thread = true});
}

static CUresult launch_kernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
                              unsigned int bx, unsigned int by, unsigned int bz,
                              unsigned int shared, CUstream stream, void **params, void **extra)
{
    const unsigned int shape[] = {gx, gy, gz, bx, by, bz, shared};
    return pass(&(struct launch){.call = call_plain,
                                 .function = f,
                                 .shape = shape,
                                 .stream = stream,
                                 .params = params,
                                 .extra = extra});
}

static CUresult launch_kernel_ptsz(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
                                   unsigned int bx, unsigned int by, unsigned int bz,
                                   unsigned int shared, CUstream stream, void **params,
                                   void **extra)
{
    const unsigned int shape[] = {gx, gy, gz, bx, by, bz, shared};
    return pass(&(struct launch){.call = call_plain,
                                 .function = f,
                                 .shape = shape,
                                 .stream = stream,
                                 .params = params,
                                 .extra = extra,
                                 .per_thread = true});
}

static CUresult launch_cooperative(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
                                   unsigned int bx, unsigned int by, unsigned int bz,
                                   unsigned int shared, CUstream stream, void **params)
{
    const unsigned int shape[] = {gx, gy, gz, bx, by, bz, shared};
    return pass(&(struct launch){.call = call_cooperative,
                                 .function = f,
                                 .shape = shape,
                                 .stream = stream,
                                 .params = params});
}

static CUresult launch_cooperative_ptsz(CUfunction f, unsigned int gx, unsigned int gy,
                                        unsigned int gz, unsigned int bx, unsigned int by,
                                        unsigned int bz, unsigned int shared, CUstream stream,
                                        void **params)
{
    const unsigned int shape[] = {gx, gy, gz, bx, by, bz, shared};
    return pass(&(struct launch){.call = call_cooperative,
                                 .function = f,
                                 .shape = shape,
                                 .stream = stream,
                                 .params = params,
                                 .per_thread = true});
}

static CUresult launch_configured(const CUlaunchConfig *config, CUfunction f, void **params,
                                  void **extra)
{
    return pass(&(struct launch){.call = call_configured,
                                 .function = f,
                                 .config = config,
                                 .stream = config ? config->hStream : NULL,
                                 .params = params,
                                 .extra = extra});
}

static CUresult launch_configured_ptsz(const CUlaunchConfig *config, CUfunction f, void **params,
                                       void **extra)
{
    return pass(&(struct launch){.call = call_configured,
                                 .function = f,
                                 .config = config,
                                 .stream = config ? config->hStream : NULL,
                                 .params = params,
                                 .extra = extra,
                                 .per_thread = true});
}

void weft_gate_install(struct weft_cuda *table, const struct weft_gate_arbiter *arbiter)
{
    weft_gate_drop_after_fork();
    gate.next = *table;
    gate.arbiter = *arbiter;
    table->cuLaunchKernel = launch_kernel;
    table->cuLaunchKernel_ptsz = launch_kernel_ptsz;
    table->cuLaunchCooperativeKernel = launch_cooperative;
    table->cuLaunchCooperativeKernel_ptsz = launch_cooperative_ptsz;
    table->cuGraphLaunch = launch_graph;
    table->cuGraphLaunch_ptsz = launch_graph_ptsz;
    table->cuLaunchKernelEx = launch_configured;
    table->cuLaunchKernelEx_ptsz = launch_configured_ptsz;
}

/* Nothing is launched before cuInit, so nothing is on its way; a lock that another thread of the
 * parent held is made anew. */
void weft_gate_drop_after_fork(void)
{
    memset(gate.lanes, 0, sizeof(gate.lanes));
    memset(gate.in_flight, 0, sizeof(gate.in_flight));
    memset(gate.waiting, 0, sizeof(gate.waiting));
    gate.has_looker = false;
    pthread_mutex_init(&gate.lock, NULL);
}

#include "tenant/gate.h"

#include <pthread.h>
#include <string.h>

#include <weft/cuda_table.h>

#include "policy/flight.h"
#include "util/util.h"

/* How long a held launch sleeps before it looks again by itself. */
#define LOOK_NS 100000ull
/* Times are floats of milliseconds since the first marker: over longer ones they lose precision. */
#define PERIOD_NS 10000000000ull

/* A kernel on its way. */
struct flight {
    CUevent begin, end;
    uint64_t key, guess_ns;
};

/* A context's work, in the order in which it was launched. Its events are of that context. */
struct lane {
    CUcontext context; /* NULL: free */
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
    uint32_t in_flight; /* kernels on their way, of all lanes */
    uint32_t waiting;   /* launches */
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

/* The tenant wants the device while anything of it is on its way, or waits. */
static void count(uint32_t *counter, int by)
{
    bool before = gate.in_flight + gate.waiting != 0;
    *counter += (uint32_t)by;
    if (before != (gate.in_flight + gate.waiting != 0))
        gate.arbiter.want(gate.arbiter.context, !before);
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
    struct lane *found = NULL;
    if (gate.next.cuCtxGetCurrent(&context) || !context)
        return NULL;
    for (size_t i = 0; i < WEFT_GATE_LANES_MAX; i++) {
        if (gate.lanes[i].context == context)
            return &gate.lanes[i];
        if (!gate.lanes[i].context && !found)
            found = &gate.lanes[i];
    }
    if (found)
        found->context = context;
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
    gate.arbiter.charge(gate.arbiter.context, charged_ns);
}

static void end_flight(struct lane *lane, const struct flight *flight)
{
    weft_flight_end(&lane->known, flight->guess_ns);
    if (flight->begin != lane->origin)
        give_event(lane, flight->begin);
    give_event(lane, flight->end);
    count(&gate.in_flight, -1);
}

/* The context is gone, with its events: nothing of it can be measured any more. */
static void drop_lane(struct lane *lane)
{
    for (; lane->count; lane->count--) {
        const struct flight *flight = &lane->flights[lane->first];
        gate.arbiter.charge(gate.arbiter.context, flight->guess_ns);
        lane->first = (lane->first + 1) % WEFT_GATE_FLIGHTS_MAX;
        count(&gate.in_flight, -1);
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
    if (gate.in_flight)
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
    uint64_t begin_ns = now_ns();
    for (;;) {
        uint64_t wait_ns = LOOK_NS;
        look();
        if (gate.arbiter.is_free(gate.arbiter.context))
            return;
        bool is_late = now_ns() - begin_ns >= WEFT_GATE_PATIENCE_NS;
        bool is_stuck = is_late && gate.in_flight && lane->count < WEFT_GATE_FLIGHTS_MAX;
        enum weft_share_verdict verdict = gate.arbiter.ask(gate.arbiter.context, &wait_ns);
        if (is_stuck || (verdict == WEFT_SHARE_RUN && has_room(lane, key)))
            return;
        pthread_mutex_unlock(&gate.lock);
        gate.arbiter.sleep(gate.arbiter.context, WEFT_MIN(wait_ns, LOOK_NS));
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

static void keep_flight(struct lane *lane, struct flight *flight)
{
    flight->guess_ns = weft_flight_begin(&lane->known, flight->key);
    lane->flights[(lane->first + lane->count) % WEFT_GATE_FLIGHTS_MAX] = *flight;
    lane->count++;
    count(&gate.in_flight, 1);
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
            gate.arbiter.charge(gate.arbiter.context, weft_flight_guess_ns(&lane->known, key));
        return rc;
    }
    keep_flight(lane, &flight);
    return rc;
}

static CUresult pass(const struct launch *launch)
{
    if (gate.arbiter.is_free(gate.arbiter.context) || is_captured(launch))
        return launch->call(launch);
    pthread_mutex_lock(&gate.lock);
    struct lane *lane = find_lane();
    CUresult rc;
    if (lane) {
        count(&gate.waiting, 1);
        wait_for_turn(lane, key_of(launch));
        rc = measure(lane, launch);
        count(&gate.waiting, -1);
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
    gate.in_flight = gate.waiting = 0;
    pthread_mutex_init(&gate.lock, NULL);
}

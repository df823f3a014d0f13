#include "tenant/gate.h"

#include <string.h>

#include "softgpu/flavours.h"
#include "tenant/gate_layer.h"

#define SHAPE_DIMENSIONS 7

struct weft_gate_state weft_gate = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                    .queue = PTHREAD_MUTEX_INITIALIZER,
                                    .some_held = PTHREAD_COND_INITIALIZER};

/* One launch, whichever call it came by. */
struct launch {
    CUresult (*call)(const struct launch *launch);
    struct weft_gate_stream stream;
    CUfunction function;
    unsigned int shape[SHAPE_DIMENSIONS]; /* of grid and block, and the shared bytes */
    void **params, **extra;
    const CUlaunchConfig *config;
    CUgraphExec graph; /* NULL: a kernel */
};

/* What becomes of a launch that may not go on at once. */
enum verdict { GO, HOLD, WAIT };

void weft_gate_enter(void)
{
    pthread_mutex_lock(&weft_gate.lock);
    weft_gate.locked_ns = weft_gate_now_ns();
}

void weft_gate_leave(void)
{
    weft_gate.locked_ns = 0;
    pthread_mutex_unlock(&weft_gate.lock);
}

uint64_t weft_gate_now_ns(void)
{
    return weft_gate.arbiter.now_ns(weft_gate.arbiter.context);
}

bool weft_gate_is_free(uint32_t device)
{
    return weft_gate.arbiter.is_free(weft_gate.arbiter.context, device);
}

static bool has_work(uint32_t device)
{
    return weft_gate.in_flight[device] + weft_gate.held[device] + weft_gate.waiting[device] != 0;
}

void weft_gate_count(uint32_t device, uint32_t *counters, int by)
{
    bool before = has_work(device);
    counters[device] += (uint32_t)by;
    if (before != has_work(device))
        weft_gate.arbiter.want(weft_gate.arbiter.context, device, !before);
}

void weft_gate_count_flight(uint32_t device, int by)
{
    weft_gate_count(device, weft_gate.in_flight, by);
    weft_gate.arbiter.note_flights(weft_gate.arbiter.context, device, weft_gate.in_flight[device]);
}

void weft_gate_charge(const struct weft_gate_lane *lane, uint64_t time_ns)
{
    weft_gate.arbiter.charge(weft_gate.arbiter.context, lane->device, time_ns);
}

bool weft_gate_has_flights(void)
{
    for (uint32_t i = 0; i < weft_gate.arbiter.device_count; i++) {
        if (weft_gate.in_flight[i])
            return true;
    }
    return false;
}

void weft_gate_let_through(void)
{
    pthread_mutex_lock(&weft_gate.queue);
    weft_gate_hold_grant();
    pthread_mutex_unlock(&weft_gate.queue);
}

void weft_gate_look(void)
{
    weft_gate_enter();
    weft_gate_lanes_look();
    weft_gate_let_through();
    weft_gate_leave();
}

static bool all_are_free(void)
{
    for (uint32_t i = 0; i < weft_gate.arbiter.device_count; i++) {
        if (!weft_gate_is_free(i))
            return false;
    }
    return true;
}

/* An error, too, means that the stream takes part in a capture, or that the launch will fail. */
static bool is_captured(const struct weft_gate_stream *stream)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    CUresult rc =
        (stream->per_thread ? weft_gate.next.cuStreamIsCapturing_ptsz
                            : weft_gate.next.cuStreamIsCapturing)(stream->handle, &status);
    return rc || status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* What lengths are learnt by: handles are addresses, so a graph is never taken for a function. */
static uint64_t key_of(const struct launch *launch)
{
    return launch->graph ? (uint64_t)(uintptr_t)launch->graph
                         : (uint64_t)(uintptr_t)launch->function;
}

static enum verdict judge(struct weft_gate_lane *lane, const struct launch *launch,
                          uint64_t since_ns)
{
    enum verdict verdict = WAIT;
    weft_gate_lanes_look();
    pthread_mutex_lock(&weft_gate.queue);
    weft_gate_hold_grant();
    if (!lane->held && weft_gate_hold_may_go(lane, &launch->stream, key_of(launch), since_ns))
        verdict = GO;
    else if (lane->can_hold && weft_gate_hold_has_place(lane))
        verdict = HOLD;
    pthread_mutex_unlock(&weft_gate.queue);
    return verdict;
}

/* Lock held on entry and return. Waits only where the launch can be held in no stream; never for
 * ever where the tenant has work on its way. False where nothing marks the launch. */
static bool begin(struct weft_gate_lane *lane, const struct launch *launch,
                  struct weft_gate_flight *flight)
{
    CUcontext context = lane->context;
    uint32_t device = lane->device;
    uint64_t since_ns = weft_gate_now_ns();
    while (lane->context == context && !lane->is_closed && !weft_gate.is_ending) {
        enum verdict verdict = judge(lane, launch, since_ns);
        if (verdict == GO)
            return weft_gate_lane_begin(lane, &launch->stream, key_of(launch), false, flight);
        if (verdict == HOLD) {
            if (weft_gate_thread_need_granter() &&
                weft_gate_lane_begin(lane, &launch->stream, key_of(launch), true, flight))
                return true;
            lane->can_hold = false;
        }
        weft_gate_leave();
        weft_gate.arbiter.sleep(weft_gate.arbiter.context, device, WEFT_GATE_LOOK_NS);
        weft_gate_enter();
    }
    return false;
}

/* Lock held. */
static CUresult launch_in(struct weft_gate_lane *lane, const struct launch *launch)
{
    struct weft_gate_flight flight;
    bool is_marked = begin(lane, launch, &flight);
    CUresult rc = launch->call(launch);
    if (is_marked)
        weft_gate_lane_end(lane, &flight, rc);
    else if (rc == CUDA_SUCCESS)
        weft_gate_lane_charge_guess(lane, key_of(launch));
    return rc;
}

static void count_waiting(uint32_t device, int by)
{
    pthread_mutex_lock(&weft_gate.queue);
    weft_gate_count(device, weft_gate.waiting, by);
    pthread_mutex_unlock(&weft_gate.queue);
}

static CUresult pass(const struct launch *launch)
{
    if (all_are_free() || weft_gate.is_ending || is_captured(&launch->stream))
        return launch->call(launch);
    weft_gate_enter();
    struct weft_gate_lane *lane = weft_gate_lane_find();
    CUresult rc;
    if (lane) {
        uint32_t device = lane->device;
        count_waiting(device, 1);
        rc = launch_in(lane, launch);
        count_waiting(device, -1);
    }
    weft_gate_leave();
    return lane ? rc : launch->call(launch);
}

static CUresult call_plain(const struct launch *launch)
{
    const unsigned int *shape = launch->shape;
    return (launch->stream.per_thread ? weft_gate.next.cuLaunchKernel_ptsz
                                      : weft_gate.next.cuLaunchKernel)(
        launch->function, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        launch->stream.handle, launch->params, launch->extra);
}

static CUresult call_cooperative(const struct launch *launch)
{
    const unsigned int *shape = launch->shape;
    return (launch->stream.per_thread ? weft_gate.next.cuLaunchCooperativeKernel_ptsz
                                      : weft_gate.next.cuLaunchCooperativeKernel)(
        launch->function, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6],
        launch->stream.handle, launch->params);
}

static CUresult call_configured(const struct launch *launch)
{
    return (launch->stream.per_thread ? weft_gate.next.cuLaunchKernelEx_ptsz
                                      : weft_gate.next.cuLaunchKernelEx)(
        launch->config, launch->function, launch->params, launch->extra);
}

static CUresult call_graph(const struct launch *launch)
{
    return (launch->stream.per_thread
                ? weft_gate.next.cuGraphLaunch_ptsz
                : weft_gate.next.cuGraphLaunch)(launch->graph, launch->stream.handle);
}

WEFT_SOFT_PAIR(plain,
               (CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
                void **params, void **extra),
               pass(&(struct launch){.call = call_plain,
                                     .stream = {stream, per_thread},
                                     .function = f,
                                     .shape = {gx, gy, gz, bx, by, bz, shared},
                                     .params = params,
                                     .extra = extra}))
WEFT_SOFT_PAIR(cooperative,
               (CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
                void **params),
               pass(&(struct launch){.call = call_cooperative,
                                     .stream = {stream, per_thread},
                                     .function = f,
                                     .shape = {gx, gy, gz, bx, by, bz, shared},
                                     .params = params}))
WEFT_SOFT_PAIR(configured,
               (const CUlaunchConfig *config, CUfunction f, void **params, void **extra),
               pass(&(struct launch){.call = call_configured,
                                     .stream = {config ? config->hStream : NULL, per_thread},
                                     .function = f,
                                     .config = config,
                                     .params = params,
                                     .extra = extra}))
WEFT_SOFT_PAIR(graph, (CUgraphExec graph, CUstream stream),
               pass(&(struct launch){
                   .call = call_graph, .stream = {stream, per_thread}, .graph = graph}))

void weft_gate_install(struct weft_cuda *table, const struct weft_gate_arbiter *arbiter)
{
    weft_gate_drop_after_fork();
    weft_gate.next = *table;
    weft_gate.arbiter = *arbiter;
    table->cuLaunchKernel = plain_legacy;
    table->cuLaunchKernel_ptsz = plain_thread;
    table->cuLaunchCooperativeKernel = cooperative_legacy;
    table->cuLaunchCooperativeKernel_ptsz = cooperative_thread;
    table->cuLaunchKernelEx = configured_legacy;
    table->cuLaunchKernelEx_ptsz = configured_thread;
    table->cuGraphLaunch = graph_legacy;
    table->cuGraphLaunch_ptsz = graph_thread;
    weft_gate_context_install(table);
}

/* Nothing is launched before cuInit, so nothing is on its way; locks that another thread of the
 * parent held are made anew. */
void weft_gate_drop_after_fork(void)
{
    memset(weft_gate.lanes, 0, sizeof(weft_gate.lanes));
    memset(weft_gate.in_flight, 0, sizeof(weft_gate.in_flight));
    memset(weft_gate.held, 0, sizeof(weft_gate.held));
    memset(weft_gate.waiting, 0, sizeof(weft_gate.waiting));
    weft_gate.held_count = 0;
    weft_gate.held_ns = 0;
    weft_gate.has_looker = weft_gate.has_granter = false;
    weft_gate.locked_ns = 0;
    pthread_mutex_init(&weft_gate.lock, NULL);
    pthread_mutex_init(&weft_gate.queue, NULL);
    pthread_cond_init(&weft_gate.some_held, NULL);
}

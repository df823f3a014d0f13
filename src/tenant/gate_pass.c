/* When a launch goes on, is held in its stream, or waits in its caller. Most are of one part; one
 * on several devices has a part on each, and is launched when none of them has to wait here. */
#include "tenant/gate_layer.h"

#include <stddef.h>

/* What becomes of a part that may not go on at once. */
enum verdict { GO, HOLD, WAIT };

struct part {
    CUcontext context; /* to be current where events are made; NULL: it is */
    CUcontext owner;   /* of the lane, which may be another one's after a wait */
    uint32_t device;
    struct weft_gate_lane *lane;
    struct weft_gate_stream stream;
    uint64_t key;
    enum verdict verdict;
    struct weft_gate_flight flight;
};

/* Where a launch is to go; lock held. */
struct passage {
    const struct weft_gate_launch *launch;
    struct part parts[WEFT_DEVICES_MAX]; /* by ascending device */
    uint32_t count;
};

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
static uint64_t key_of(const struct weft_gate_launch *launch)
{
    return launch->graph ? (uint64_t)(uintptr_t)launch->graph
                         : (uint64_t)(uintptr_t)launch->function;
}

/* Queue. */
static enum verdict judge(struct part *part, uint64_t since_ns)
{
    struct weft_gate_lane *lane = part->lane;
    if (!lane->held && weft_gate_hold_may_go(lane, &part->stream, part->key, since_ns))
        return GO;
    return lane->can_hold && weft_gate_hold_has_place(lane) ? HOLD : WAIT;
}

/* Whether no part has to wait in its caller. */
static bool judge_all(struct passage *passage, uint64_t since_ns)
{
    bool waits = false;
    weft_gate_lanes_look();
    pthread_mutex_lock(&weft_gate.queue);
    weft_gate_hold_grant();
    for (uint32_t i = 0; i < passage->count && !waits; i++) {
        passage->parts[i].verdict = judge(&passage->parts[i], since_ns);
        waits = passage->parts[i].verdict == WAIT;
    }
    pthread_mutex_unlock(&weft_gate.queue);
    return !waits;
}

static bool begin(struct part *part)
{
    CUcontext before;
    bool holds = part->verdict == HOLD;
    if (holds && !weft_gate_thread_need_granter())
        return false;
    if (part->context && weft_gate.next.cuCtxPushCurrent_v2(part->context))
        return false;
    bool begun = weft_gate_lane_begin(part->lane, &part->stream, part->key, holds, &part->flight);
    if (part->context)
        weft_gate.next.cuCtxPopCurrent_v2(&before);
    return begun;
}

static void end_first(struct passage *passage, uint32_t count, CUresult rc)
{
    for (uint32_t i = 0; i < count; i++)
        weft_gate_lane_end(passage->parts[i].lane, &passage->parts[i].flight, rc);
}

/* How many parts are marked. Where one cannot be held it waits the next time. */
static uint32_t begin_all(struct passage *passage, bool *again)
{
    *again = false;
    for (uint32_t i = 0; i < passage->count; i++) {
        struct part *part = &passage->parts[i];
        if (begin(part))
            continue;
        *again = part->verdict == HOLD;
        if (*again)
            part->lane->can_hold = false;
        end_first(passage, i, CUDA_ERROR_UNKNOWN);
        return 0;
    }
    return passage->count;
}

static bool are_there(const struct passage *passage)
{
    for (uint32_t i = 0; i < passage->count; i++) {
        const struct part *part = &passage->parts[i];
        if (part->lane->context != part->owner || part->lane->is_closed)
            return false;
    }
    return !weft_gate.is_ending;
}

/* Waits only where something can be held in no stream; never for ever where the tenant has work on
 * its way. How many parts are marked: all, or, where that cannot be, none. */
static uint32_t come_through(struct passage *passage)
{
    uint64_t since_ns = weft_gate_now_ns();
    while (are_there(passage)) {
        bool again = false;
        if (judge_all(passage, since_ns)) {
            uint32_t marked = begin_all(passage, &again);
            if (!again)
                return marked;
        }
        weft_gate_leave();
        weft_gate.arbiter.sleep(weft_gate.arbiter.context, passage->parts[0].device,
                                WEFT_GATE_LOOK_NS);
        weft_gate_enter();
    }
    return 0;
}

static void count_waiting(const struct passage *passage, int by)
{
    pthread_mutex_lock(&weft_gate.queue);
    for (uint32_t i = 0; i < passage->count; i++)
        weft_gate_count(passage->parts[i].device, weft_gate.waiting, by);
    pthread_mutex_unlock(&weft_gate.queue);
}

static CUresult launch_through(struct passage *passage)
{
    count_waiting(passage, 1);
    uint32_t marked = come_through(passage);
    CUresult rc = passage->launch->call(passage->launch);
    end_first(passage, marked, rc);
    for (uint32_t i = marked; rc == CUDA_SUCCESS && i < passage->count; i++)
        weft_gate_lane_charge_guess(passage->parts[i].lane, passage->parts[i].key);
    count_waiting(passage, -1);
    return rc;
}

/* Of the current context; false where that is not measured. */
static bool add_part(struct passage *passage, const struct part *part)
{
    struct weft_gate_lane *lane = weft_gate_lane_find();
    if (!lane || passage->count == WEFT_DEVICES_MAX)
        return false;
    uint32_t place = passage->count++;
    for (; place && passage->parts[place - 1].device > lane->device; place--)
        passage->parts[place] = passage->parts[place - 1];
    passage->parts[place] = *part;
    passage->parts[place].lane = lane;
    passage->parts[place].owner = lane->context;
    passage->parts[place].device = lane->device;
    return true;
}

/* A stream has its own context, which need not be the current one: kernels of libraries may be
 * launched there. A default stream is of the current one, and so is what cannot be asked. */
static CUcontext foreign_context(const struct weft_gate_stream *stream)
{
    CUcontext current = NULL, own = NULL;
    if (!stream->handle || stream->handle == CU_STREAM_LEGACY ||
        stream->handle == CU_STREAM_PER_THREAD ||
        weft_gate.next.cuStreamGetCtx(stream->handle, &own) ||
        weft_gate.next.cuCtxGetCurrent(&current))
        return NULL;
    return own == current ? NULL : own;
}

static bool add_stream(struct passage *passage, const struct weft_gate_stream *stream, uint64_t key)
{
    CUcontext before;
    const struct part part = {.context = foreign_context(stream), .stream = *stream, .key = key};
    if (part.context && weft_gate.next.cuCtxPushCurrent_v2(part.context))
        return false;
    bool added = add_part(passage, &part);
    if (part.context)
        weft_gate.next.cuCtxPopCurrent_v2(&before);
    return added;
}

static bool add_all(struct passage *passage)
{
    const struct weft_gate_launch *launch = passage->launch;
    if (!launch->parts)
        return add_stream(passage, &launch->stream, key_of(launch));
    for (uint32_t i = 0; i < launch->part_count; i++) {
        const CUDA_LAUNCH_PARAMS *part = &launch->parts[i];
        const struct weft_gate_stream stream = {part->hStream, false};
        if (is_captured(&stream) ||
            !add_stream(passage, &stream, (uint64_t)(uintptr_t)part->function))
            return false;
    }
    return launch->part_count != 0;
}

static CUresult pass_measured(const struct weft_gate_launch *launch)
{
    struct passage passage = {.launch = launch};
    CUresult rc = CUDA_SUCCESS;
    weft_gate_enter();
    bool passes = add_all(&passage);
    if (passes)
        rc = launch_through(&passage);
    weft_gate_leave();
    return passes ? rc : launch->call(launch);
}

CUresult weft_gate_pass(const struct weft_gate_launch *launch)
{
    bool holds = atomic_load_explicit(&weft_gate.held_count, memory_order_relaxed) != 0;
    if ((!holds && all_are_free()) || weft_gate.is_ending ||
        (!launch->parts && is_captured(&launch->stream)))
        return launch->call(launch);
    return pass_measured(launch);
}

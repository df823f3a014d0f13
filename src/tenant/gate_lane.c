/* A context's work: what was launched, when it began and ended, and what it is charged. */
#include "tenant/gate_layer.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "util/util.h"

#define WORDS_BYTES 4096
_Static_assert(sizeof(struct weft_gate_words) <= WORDS_BYTES, "they have one page");

/* Since the period's origin. */
struct span {
    bool known;
    uint64_t begin_ns, end_ns;
};

void weft_gate_change_capture_mode(CUstreamCaptureMode *mode)
{
    weft_gate.next.cuThreadExchangeStreamCaptureMode(mode);
}

/* The device sees our words at an address of its own. Without them launches wait in their callers.
 */
static void map_words(struct weft_gate_lane *lane)
{
    const struct weft_cuda *next = &weft_gate.next;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    void *words =
        mmap(NULL, WORDS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED)
        return;
    weft_gate_change_capture_mode(&mode);
    CUresult rc = next->cuMemHostRegister_v2(words, WORDS_BYTES, CU_MEMHOSTREGISTER_DEVICEMAP);
    if (rc == CUDA_SUCCESS) {
        rc = next->cuMemHostGetDevicePointer_v2(&lane->words_address, words, 0);
        if (rc)
            next->cuMemHostUnregister(words);
    }
    weft_gate_change_capture_mode(&mode);
    if (rc) {
        munmap(words, WORDS_BYTES);
        return;
    }
    pthread_mutex_lock(&weft_gate.queue);
    lane->words = words;
    pthread_mutex_unlock(&weft_gate.queue);
    lane->can_hold = true;
}

static void take_lane(struct weft_gate_lane *lane, CUcontext context, uint32_t device)
{
    pthread_mutex_lock(&weft_gate.queue);
    lane->context = context;
    lane->device = device;
    pthread_mutex_unlock(&weft_gate.queue);
    map_words(lane);
}

struct weft_gate_lane *weft_gate_lane_find(void)
{
    CUcontext context = NULL;
    CUdevice device = 0;
    struct weft_gate_lane *found = NULL;
    if (weft_gate.next.cuCtxGetCurrent(&context) || !context ||
        weft_gate.next.cuCtxGetDevice(&device) || device < 0 ||
        (uint32_t)device >= weft_gate.arbiter.device_count)
        return NULL;
    for (size_t i = 0; i < WEFT_GATE_LANES_MAX; i++) {
        struct weft_gate_lane *lane = &weft_gate.lanes[i];
        if (lane->context == context)
            return lane->is_closed ? NULL : lane;
        if (!lane->context && !found)
            found = lane;
    }
    if (found)
        take_lane(found, context, (uint32_t)device);
    return found;
}

static bool take_event(struct weft_gate_lane *lane, CUevent *event)
{
    if (lane->spare_count) {
        *event = lane->spares[--lane->spare_count];
        return true;
    }
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    weft_gate_change_capture_mode(&mode);
    CUresult rc = weft_gate.next.cuEventCreate(event, CU_EVENT_DEFAULT);
    weft_gate_change_capture_mode(&mode);
    return rc == CUDA_SUCCESS;
}

static void give_event(struct weft_gate_lane *lane, CUevent event)
{
    if (!event)
        return;
    if (lane->spare_count < WEFT_ARRAY_COUNT(lane->spares))
        lane->spares[lane->spare_count++] = event;
    else
        weft_gate.next.cuEventDestroy_v2(event);
}

static bool take_events(struct weft_gate_lane *lane, struct weft_gate_flight *flight)
{
    if (lane->count == WEFT_GATE_FLIGHTS_MAX || !take_event(lane, &flight->begin))
        return false;
    if (take_event(lane, &flight->end))
        return true;
    give_event(lane, flight->begin);
    return false;
}

static CUresult record(const struct weft_gate_stream *stream, CUevent event)
{
    return stream->per_thread ? weft_gate.next.cuEventRecord_ptsz(event, stream->handle)
                              : weft_gate.next.cuEventRecord(event, stream->handle);
}

static CUdeviceptr address_of(const struct weft_gate_lane *lane, const uint32_t *word)
{
    return lane->words_address + (CUdeviceptr)((const char *)word - (const char *)lane->words);
}

static bool wait_in_stream(const struct weft_gate_lane *lane, const struct weft_gate_flight *flight)
{
    const struct weft_gate_stream *stream = &flight->stream;
    return (stream->per_thread ? weft_gate.next.cuStreamWaitValue32_v2_ptsz
                               : weft_gate.next.cuStreamWaitValue32_v2)(
               stream->handle, address_of(lane, &lane->words->granted), flight->number,
               CU_STREAM_WAIT_VALUE_GEQ) == CUDA_SUCCESS;
}

/* So that its end can be seen without the driver. Where that fails it is seen by its event alone.
 */
static void note_end(const struct weft_gate_lane *lane, const struct weft_gate_flight *flight)
{
    const struct weft_gate_stream *stream = &flight->stream;
    uint32_t place = (lane->first + lane->count) % WEFT_GATE_FLIGHTS_MAX;
    if (lane->words)
        (stream->per_thread ? weft_gate.next.cuStreamWriteValue32_v2_ptsz
                            : weft_gate.next.cuStreamWriteValue32_v2)(
            stream->handle, address_of(lane, &lane->words->done[place]), flight->number,
            CU_STREAM_WRITE_VALUE_DEFAULT);
}

bool weft_gate_lane_begin(struct weft_gate_lane *lane, const struct weft_gate_stream *stream,
                          uint64_t key, bool holds, struct weft_gate_flight *flight)
{
    *flight = (struct weft_gate_flight){.stream = *stream,
                                        .key = key,
                                        .number = lane->number + 1,
                                        .stage = holds ? WEFT_GATE_HELD : WEFT_GATE_FLYING};
    if (!take_events(lane, flight))
        return false;
    if (holds && !wait_in_stream(lane, flight)) {
        give_event(lane, flight->begin);
        give_event(lane, flight->end);
        return false;
    }
    lane->number++;
    flight->is_void = record(stream, flight->begin) != CUDA_SUCCESS;
    return true;
}

void weft_gate_lane_charge_guess(struct weft_gate_lane *lane, uint64_t key)
{
    pthread_mutex_lock(&weft_gate.queue);
    if (lane->context)
        weft_gate_charge(lane, weft_flight_guess_ns(&lane->known, key));
    pthread_mutex_unlock(&weft_gate.queue);
}

static void add(struct weft_gate_lane *lane, const struct weft_gate_flight *flight)
{
    struct weft_gate_flight *added =
        &lane->flights[(lane->first + lane->count) % WEFT_GATE_FLIGHTS_MAX];
    *added = *flight;
    lane->count++;
    if (added->stage == WEFT_GATE_HELD)
        weft_gate_hold_add(lane, added);
    else
        weft_gate_lane_start(lane, added);
}

void weft_gate_lane_end(struct weft_gate_lane *lane, struct weft_gate_flight *flight, CUresult rc)
{
    flight->is_void = flight->is_void || rc || record(&flight->stream, flight->end);
    if (flight->is_void && rc == CUDA_SUCCESS)
        weft_gate_lane_charge_guess(lane, flight->key);
    if (flight->is_void && flight->stage != WEFT_GATE_HELD) {
        give_event(lane, flight->begin);
        give_event(lane, flight->end);
        return;
    }
    if (!flight->is_void)
        note_end(lane, flight);
    pthread_mutex_lock(&weft_gate.queue);
    add(lane, flight);
    pthread_mutex_unlock(&weft_gate.queue);
    weft_gate_thread_need_looker();
}

/* Before its stream goes on: nobody sees it end before it has begun. */
static void begin_flight(struct weft_gate_lane *lane, struct weft_gate_flight *flight)
{
    flight->stage = WEFT_GATE_FLYING;
    lane->let_ns = flight->since_ns = weft_gate_now_ns();
    if (!lane->origin) {
        lane->origin = flight->begin;
        lane->period_ns = lane->let_ns;
        lane->covered_ns = 0;
    }
    flight->guess_ns = weft_flight_begin(&lane->known, flight->key);
    weft_gate_count_flight(lane->device, 1);
}

void weft_gate_lane_start(struct weft_gate_lane *lane, struct weft_gate_flight *flight)
{
    if (flight->is_void)
        flight->stage = WEFT_GATE_COUNTED;
    else
        begin_flight(lane, flight);
    /* Once the process ends the word stays ahead of all numbers. */
    if (lane->words && !weft_gate.is_ending)
        __atomic_store_n(&lane->words->granted, flight->number, __ATOMIC_RELEASE);
}

/* Since the period's origin; false where the context is gone. */
static bool time_of(const struct weft_gate_lane *lane, CUevent event, uint64_t *time_ns)
{
    float time_ms = 0;
    if (event != lane->origin &&
        weft_gate.next.cuEventElapsedTime(&time_ms, lane->origin, event) != CUDA_SUCCESS)
        return false;
    *time_ns = time_ms > 0 ? (uint64_t)((double)time_ms * 1e6) : 0;
    return true;
}

static struct span measure(const struct weft_gate_lane *lane, const struct weft_gate_flight *flight)
{
    struct span span = {0};
    if (flight->stage == WEFT_GATE_FLYING)
        span.known = time_of(lane, flight->begin, &span.begin_ns) &&
                     time_of(lane, flight->end, &span.end_ns);
    return span;
}

/* What of a kernel's time no other one's covered already. Queue. */
static void settle(struct weft_gate_lane *lane, const struct weft_gate_flight *flight,
                   const struct span *span)
{
    uint64_t charged_ns = flight->guess_ns;
    if (span->known) {
        uint64_t from_ns = WEFT_MAX(span->begin_ns, lane->covered_ns);
        charged_ns = span->end_ns > from_ns ? span->end_ns - from_ns : 0;
        lane->covered_ns = WEFT_MAX(lane->covered_ns, span->end_ns);
        if (charged_ns)
            weft_flight_learn(&lane->known, flight->key, charged_ns);
        uint64_t passed_ns = weft_gate_now_ns() - lane->period_ns;
        if (passed_ns > span->end_ns)
            weft_flight_learn_latency(&lane->known, passed_ns - span->end_ns);
    }
    weft_gate_charge(lane, charged_ns);
    weft_flight_end(&lane->known, flight->guess_ns);
    weft_gate_count_flight(lane->device, -1);
}

/* The first that was let through, as it is now. */
static bool get_first(const struct weft_gate_lane *lane, struct weft_gate_flight *flight)
{
    pthread_mutex_lock(&weft_gate.queue);
    bool found = lane->count > lane->held;
    if (found)
        *flight = lane->flights[lane->first];
    pthread_mutex_unlock(&weft_gate.queue);
    return found;
}

static void end_first(struct weft_gate_lane *lane, const struct weft_gate_flight *flight)
{
    CUevent begin = flight->begin, origin = NULL;
    struct span span = measure(lane, flight);
    pthread_mutex_lock(&weft_gate.queue);
    /* Who let others through may have charged it meanwhile. */
    if (lane->flights[lane->first].stage == WEFT_GATE_FLYING)
        settle(lane, flight, &span);
    if (begin == lane->origin)
        begin = NULL;
    lane->first = (lane->first + 1) % WEFT_GATE_FLIGHTS_MAX;
    lane->count--;
    if (lane->count == lane->held)
        origin = weft_steal(lane->origin);
    pthread_mutex_unlock(&weft_gate.queue);
    give_event(lane, begin);
    give_event(lane, flight->end);
    give_event(lane, origin);
}

/* For how long the one runs that has not ended, by the host's clock; not at each launch. */
static void show_first(struct weft_gate_lane *lane, const struct weft_gate_flight *flight)
{
    uint64_t begin_ns, now_ns = weft_gate_now_ns();
    if (now_ns - lane->shown_at_ns < WEFT_GATE_LOOK_NS)
        return;
    lane->shown_at_ns = now_ns;
    CUresult rc = weft_gate.next.cuEventQuery(flight->begin);
    pthread_mutex_lock(&weft_gate.queue);
    /* The period begins with it, and so not before now. */
    if (rc == CUDA_ERROR_NOT_READY && flight->begin == lane->origin)
        lane->period_ns = now_ns;
    pthread_mutex_unlock(&weft_gate.queue);
    if (rc || !time_of(lane, flight->begin, &begin_ns))
        return;
    pthread_mutex_lock(&weft_gate.queue);
    uint64_t from_ns = lane->period_ns + WEFT_MAX(begin_ns, lane->covered_ns);
    if (now_ns > from_ns)
        weft_gate_show_run(lane, now_ns - from_ns);
    pthread_mutex_unlock(&weft_gate.queue);
}

void weft_gate_lane_look(struct weft_gate_lane *lane)
{
    struct weft_gate_flight flight;
    while (!lane->is_closed && get_first(lane, &flight)) {
        CUresult rc = CUDA_SUCCESS;
        if (flight.stage == WEFT_GATE_FLYING)
            rc = weft_gate.next.cuEventQuery(flight.end);
        if (rc == CUDA_ERROR_NOT_READY) {
            show_first(lane, &flight);
            return;
        }
        if (rc)
            weft_gate_lane_drop(lane, false);
        else
            end_first(lane, &flight);
    }
}

void weft_gate_lanes_look(void)
{
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    weft_gate_change_capture_mode(&mode);
    for (size_t i = 0; i < WEFT_GATE_LANES_MAX; i++) {
        if (weft_gate.lanes[i].context)
            weft_gate_lane_look(&weft_gate.lanes[i]);
    }
    weft_gate_change_capture_mode(&mode);
}

void weft_gate_lane_drop(struct weft_gate_lane *lane, bool context_is_gone)
{
    pthread_mutex_lock(&weft_gate.queue);
    weft_gate_hold_release(lane);
    for (; lane->count; lane->count--) {
        const struct weft_gate_flight *flight = &lane->flights[lane->first];
        if (flight->stage == WEFT_GATE_FLYING) {
            weft_gate_charge(lane, flight->guess_ns);
            weft_gate_count_flight(lane->device, -1);
        }
        lane->first = (lane->first + 1) % WEFT_GATE_FLIGHTS_MAX;
    }
    /* A context that is lost but there may write to them still. */
    if (lane->words && context_is_gone)
        munmap(lane->words, WORDS_BYTES);
    memset(lane, 0, sizeof(*lane));
    pthread_mutex_unlock(&weft_gate.queue);
}

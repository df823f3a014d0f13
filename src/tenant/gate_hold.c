/* What waits: in streams, until it is let through, and in callers. Nothing here calls the driver,
 * and all is done under the queue's lock. */
#include "tenant/gate_layer.h"

#include "util/util.h"

/* Times are floats of milliseconds since the first marker: over longer ones they lose precision. */
#define PERIOD_NS 10000000000ull
/* Somebody who has `lock` for longer is in a call of the driver that may last. */
#define STUCK_NS 5000000ull

static struct weft_gate_flight *flight_at(struct weft_gate_lane *lane, uint32_t place)
{
    return &lane->flights[(lane->first + place) % WEFT_GATE_FLIGHTS_MAX];
}

static bool has_room(const struct weft_gate_lane *lane, uint64_t key)
{
    bool old = lane->known.in_flight && weft_gate_now_ns() - lane->period_ns > PERIOD_NS;
    return !old && weft_flight_has_room(&lane->known, key);
}

static bool is_same(const struct weft_gate_stream *a, const struct weft_gate_stream *b)
{
    return a->handle == b->handle && a->per_thread == b->per_thread;
}

/* Whether anything is on its way that does not come before the stream's next work anyway. */
static bool flies_elsewhere(const struct weft_gate_lane *own, const struct weft_gate_stream *stream)
{
    for (size_t i = 0; i < WEFT_GATE_LANES_MAX; i++) {
        struct weft_gate_lane *lane = &weft_gate.lanes[i];
        for (uint32_t place = 0; place + lane->held < lane->count; place++) {
            const struct weft_gate_flight *flight = flight_at(lane, place);
            if (flight->stage == WEFT_GATE_FLYING &&
                (lane != own || !is_same(&flight->stream, stream)))
                return true;
        }
    }
    return false;
}

static bool somebody_waits(void)
{
    for (uint32_t i = 0; i < weft_gate.arbiter.device_count; i++) {
        if (weft_gate.waiting[i])
            return true;
    }
    return false;
}

/* What is unfinished may wait for this one: a partner at once, its own stream's by its caller. */
static bool is_late(const struct weft_gate_lane *lane, const struct weft_gate_stream *stream,
                    uint64_t since_ns)
{
    uint64_t waited_ns = weft_gate_now_ns() - WEFT_MAX(since_ns, lane->let_ns);
    uint32_t doublings = WEFT_MIN(lane->patience, (uint32_t)WEFT_GATE_DOUBLINGS_MAX);
    bool is_full = !lane->held && lane->count == WEFT_GATE_FLIGHTS_MAX;
    if (waited_ns < WEFT_GATE_PATIENCE_NS << doublings || is_full)
        return false;
    if (flies_elsewhere(lane, stream) ||
        weft_gate.arbiter.others_are_busy(weft_gate.arbiter.context))
        return true;
    return waited_ns >= WEFT_GATE_CALLER_PATIENCE_NS << doublings && weft_gate_has_flights() &&
           somebody_waits();
}

bool weft_gate_hold_may_go(struct weft_gate_lane *lane, const struct weft_gate_stream *stream,
                           uint64_t key, uint64_t since_ns)
{
    bool is_free = weft_gate_is_free(lane->device);
    if (is_free && !lane->held)
        return true;
    /* What was held goes on bit by bit for one who is alone now, too: somebody may come. */
    if ((is_free || weft_gate.arbiter.ask(weft_gate.arbiter.context, lane->device)) &&
        has_room(lane, key)) {
        lane->patience = 0;
        return true;
    }
    if (!is_late(lane, stream, since_ns))
        return false;
    lane->patience++;
    return true;
}

bool weft_gate_hold_has_place(const struct weft_gate_lane *lane)
{
    return !weft_gate_is_free(lane->device) && weft_gate.held_count < WEFT_GATE_HELD_MAX &&
           weft_gate.held_ns < WEFT_GATE_HELD_NS && lane->count < WEFT_GATE_FLIGHTS_MAX;
}

void weft_gate_hold_add(struct weft_gate_lane *lane, struct weft_gate_flight *flight)
{
    flight->since_ns = weft_gate_now_ns();
    flight->guess_ns = weft_flight_guess_ns(&lane->known, flight->key);
    lane->held++;
    weft_gate.held_count++;
    weft_gate.held_ns += flight->guess_ns;
    weft_gate_count(lane->device, weft_gate.held, 1);
    pthread_cond_signal(&weft_gate.some_held);
}

static void grant_first(struct weft_gate_lane *lane)
{
    struct weft_gate_flight *flight = flight_at(lane, lane->count - lane->held);
    lane->held--;
    weft_gate.held_count--;
    weft_gate.held_ns -= flight->guess_ns;
    weft_gate_lane_start(lane, flight);
    weft_gate_count(lane->device, weft_gate.held, -1);
}

void weft_gate_hold_release(struct weft_gate_lane *lane)
{
    while (lane->held)
        grant_first(lane);
}

/* Those whose end shows in our words, by the host's clock: for who cannot ask the driver. */
static void count_ended(struct weft_gate_lane *lane)
{
    for (uint32_t place = 0; lane->words && place + lane->held < lane->count; place++) {
        struct weft_gate_flight *flight = flight_at(lane, place);
        const uint32_t *done = &lane->words->done[(lane->first + place) % WEFT_GATE_FLIGHTS_MAX];
        if (flight->stage == WEFT_GATE_COUNTED)
            continue;
        if (__atomic_load_n(done, __ATOMIC_ACQUIRE) != flight->number)
            return;
        uint64_t now_ns = weft_gate_now_ns(),
                 from_ns = WEFT_MAX(lane->period_ns + lane->covered_ns, flight->since_ns),
                 time_ns = now_ns > from_ns ? now_ns - from_ns : 0;
        weft_gate_charge(lane, time_ns);
        lane->covered_ns = WEFT_MAX(lane->covered_ns, now_ns - lane->period_ns);
        weft_flight_end(&lane->known, flight->guess_ns);
        weft_gate_count_flight(lane->device, -1);
        flight->stage = WEFT_GATE_COUNTED;
    }
}

/* Nobody can be asked now who could ask the driver. */
static bool is_stuck(void)
{
    uint64_t since_ns = weft_gate.locked_ns;
    return since_ns && weft_gate_now_ns() - since_ns > STUCK_NS;
}

void weft_gate_hold_grant(void)
{
    bool stuck = is_stuck();
    for (size_t i = 0; weft_gate.held_count && i < WEFT_GATE_LANES_MAX; i++) {
        struct weft_gate_lane *lane = &weft_gate.lanes[i];
        if (stuck)
            count_ended(lane);
        while (lane->held) {
            const struct weft_gate_flight *flight = flight_at(lane, lane->count - lane->held);
            if (!flight->is_void &&
                !weft_gate_hold_may_go(lane, &flight->stream, flight->key, flight->since_ns))
                break;
            grant_first(lane);
        }
    }
}

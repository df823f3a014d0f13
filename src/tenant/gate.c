#include "tenant/gate.h"

#include <string.h>

#include "tenant/gate_layer.h"

struct weft_gate_state weft_gate = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                    .queue = PTHREAD_MUTEX_INITIALIZER,
                                    .some_held = PTHREAD_COND_INITIALIZER};

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

void weft_gate_show_run(struct weft_gate_lane *lane, uint64_t time_ns)
{
    if (time_ns <= lane->shown_ns)
        return;
    weft_gate.arbiter.note_run(weft_gate.arbiter.context, lane->device, time_ns - lane->shown_ns);
    lane->shown_ns = time_ns;
}

void weft_gate_charge(struct weft_gate_lane *lane, uint64_t time_ns)
{
    weft_gate_show_run(lane, time_ns);
    lane->shown_ns -= time_ns;
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

void weft_gate_install(struct weft_cuda *table, const struct weft_gate_arbiter *arbiter)
{
    weft_gate_drop_after_fork();
    weft_gate.next = *table;
    weft_gate.arbiter = *arbiter;
    weft_gate_calls_install(table);
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

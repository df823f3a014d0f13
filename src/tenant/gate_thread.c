/* The gate's threads: one that looks, which calls the driver, and one that lets through, which
 * never does. */
#include "tenant/gate_layer.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How often the thread looks, and for how many looks it stays with nothing on its way. */
#define LOOKER_PAUSE_NS 200000
#define LOOKER_IDLE_LOOKS 50
#define END_WAIT_NS 100000000
#define NS_PER_S 1000000000
/* Ahead of every number that a stream can wait for. */
#define ALL_NUMBERS 0x3fffffffu

static bool goes_on(void)
{
    pthread_mutex_lock(&weft_gate.queue);
    bool more = !weft_gate.is_ending && (weft_gate_has_flights() || weft_gate.held_count);
    pthread_mutex_unlock(&weft_gate.queue);
    return more;
}

/* A thread of ours alone, so what is current there is nobody's business. */
static bool look_alone(void)
{
    weft_gate_enter();
    bool more = goes_on();
    for (size_t i = 0; more && i < WEFT_GATE_LANES_MAX; i++) {
        struct weft_gate_lane *lane = &weft_gate.lanes[i];
        if (lane->count == 0 || lane->is_closed)
            continue;
        weft_gate.next.cuCtxSetCurrent(lane->context);
        weft_gate_lane_look(lane);
    }
    weft_gate_leave();
    return more;
}

static void *run_looker(void *unused)
{
    const struct timespec pause = {.tv_nsec = LOOKER_PAUSE_NS};
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    (void)unused;
    weft_gate_change_capture_mode(&mode);
    for (bool ends = false; !ends;) {
        for (uint32_t idle = 0; idle < LOOKER_IDLE_LOOKS; idle++) {
            if (look_alone())
                idle = 0;
            nanosleep(&pause, NULL);
        }
        pthread_mutex_lock(&weft_gate.queue);
        ends = weft_gate.is_ending || !(weft_gate_has_flights() || weft_gate.held_count);
        weft_gate.has_looker = !ends;
        pthread_mutex_unlock(&weft_gate.queue);
    }
    return NULL;
}

/* Queue. The device of something held. */
static uint32_t held_device(void)
{
    uint32_t device = 0;
    while (device + 1 < weft_gate.arbiter.device_count && !weft_gate.held[device])
        device++;
    return device;
}

static void *run_granter(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&weft_gate.queue);
        while (!weft_gate.held_count)
            pthread_cond_wait(&weft_gate.some_held, &weft_gate.queue);
        weft_gate_hold_grant();
        uint32_t device = held_device();
        pthread_mutex_unlock(&weft_gate.queue);
        weft_gate.arbiter.sleep(weft_gate.arbiter.context, device, WEFT_GATE_LOOK_NS);
    }
    return NULL;
}

/* What waits in streams goes on, and all that will be put there. */
static void release_all(void)
{
    pthread_mutex_lock(&weft_gate.queue);
    for (size_t i = 0; i < WEFT_GATE_LANES_MAX; i++) {
        struct weft_gate_lane *lane = &weft_gate.lanes[i];
        weft_gate_hold_release(lane);
        if (lane->words)
            __atomic_store_n(&lane->words->granted, lane->words->granted + ALL_NUMBERS,
                             __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&weft_gate.queue);
}

/* Registered after the driver's own, so it runs before: the driver is not called while it ends, and
 * does not wait for what nobody lets through any more. A forked child's threads are not there, and
 * what is held is its parent's. */
static void end_threads(void)
{
    struct timespec until;
    if (weft_gate.watcher != getpid() || weft_gate.is_ending)
        return;
    weft_gate.is_ending = true;
    release_all();
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += END_WAIT_NS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    /* A look that has begun; or a launch, that the driver may never return from. */
    if (pthread_mutex_timedlock(&weft_gate.lock, &until) == 0)
        pthread_mutex_unlock(&weft_gate.lock);
}

/* Queue. */
static bool start(void *(*run)(void *))
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (!weft_gate.watcher && atexit(end_threads))
        return false;
    weft_gate.watcher = getpid();
    if (pthread_attr_init(&attributes))
        return false;
    sigfillset(&all);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &attributes, run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

void weft_gate_thread_need_looker(void)
{
    if (!weft_gate.arbiter.has_threads)
        return;
    pthread_mutex_lock(&weft_gate.queue);
    if (!weft_gate.has_looker && !weft_gate.is_ending)
        weft_gate.has_looker = start(run_looker);
    pthread_mutex_unlock(&weft_gate.queue);
}

bool weft_gate_thread_need_granter(void)
{
    if (!weft_gate.arbiter.has_threads)
        return true;
    pthread_mutex_lock(&weft_gate.queue);
    if (!weft_gate.has_granter && !weft_gate.is_ending)
        weft_gate.has_granter = start(run_granter);
    bool has = weft_gate.has_granter;
    pthread_mutex_unlock(&weft_gate.queue);
    return has;
}

/* Workers: the threads that are the soft GPU's SMs in this process. None exists before the first
 * kernel. Each takes the first grid that has a block to run, runs it for a slice, and puts the grid
 * behind the others, so all blocks of all kernels make progress, also those that wait for each
 * other. They are never joined: they die with the process, so that an endless kernel cannot keep a
 * program from ending. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "softgpu/engine/device_time.h"
#include "softgpu/engine/fault.h"
#include "softgpu/engine/grid.h"
#include "softgpu/engine/injected.h"
#include "softgpu/engine/sm.h"
#include "softgpu/engine/space.h"
#include "softgpu/engine/turn.h"
#include "softgpu/engine/watchdog.h"
#include "softgpu/engine/worker.h"
#include "util/util.h"

/* A block that nobody else waits behind goes on for so many slices, then lets its siblings run. */
#define SLICES_MAX 8
/* How often an idle worker looks for work before it sleeps: some microseconds. */
#define SEARCH_ROUNDS 2000
/* When all that there is stalls: first let other threads run, then sleep, longer each time. */
#define STALL_YIELDS 32
#define STALL_SLEEP_MIN_NS 20000ull
#define STALL_SLEEP_MAX_NS 500000ull
#define SM_WAIT_NS 20000000ull
/* Where another device may be free meanwhile. */
#define SM_WAIT_SHORT_NS 1000000ull

struct worker {
    uint32_t number; /* from 1 */
    struct weft_soft_sm sm;
    struct weft_soft_device *wanted; /* that the worker has work for; NULL: it has none */
    struct weft_soft_device *device; /* of the SM that is held */
    uint32_t stalls;                 /* slices in a row that ended with a stall */
};

static uint32_t worker_threads_wanted(void)
{
    uint32_t sms = 0;
    for (size_t i = 0; i < weft_soft.device_count; i++)
        sms += weft_soft.devices[i].profile->sm_count;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t wanted = cpus > 0 ? (uint32_t)cpus : 1;
    return WEFT_MAX(1u, WEFT_MIN(WEFT_MIN(wanted, sms), (uint32_t)WEFT_SOFT_WORKERS_MAX));
}

int weft_soft_thread_create(const char *name, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return rc;
    pthread_setname_np(thread, name);
    pthread_detach(thread);
    return 0;
}

void weft_soft_worker_wake(void)
{
    if (weft_soft_scheduler.sleeping && !weft_soft_scheduler.searching)
        pthread_cond_signal(&weft_soft_scheduler.work);
}

static void give_up_sm(struct worker *worker)
{
    weft_soft_sm_release(&worker->sm);
    worker->device = NULL;
}

static void want(struct worker *worker, struct weft_soft_device *device)
{
    if (worker->wanted == device)
        return;
    if (worker->wanted)
        weft_soft_turn_leave(&worker->wanted->place);
    worker->wanted = device;
    if (device)
        weft_soft_turn_want(&device->place);
}

static void give_up_device(struct worker *worker)
{
    give_up_sm(worker);
    want(worker, NULL);
}

/* Where the grid is, for who looks whether it may go on. */
static enum weft_slice_point point_of(const struct worker *worker, struct weft_soft_grid *grid)
{
    if (worker->stalls)
        return WEFT_SLICE_STALLED;
    return atomic_load(&grid->next_block) ? WEFT_SLICE_IN_KERNEL : WEFT_SLICE_AT_KERNEL;
}

/* An SM when it is the tenant's turn, which it still is when one became free. */
static bool take_turn(struct worker *worker, struct weft_soft_device *device,
                      enum weft_slice_point point, uint64_t wait_ns)
{
    if (!weft_soft_turn_wait(&device->place, point, wait_ns))
        return false;
    worker->sm.allowed = weft_soft_space_of(&device->place);
    if (!weft_soft_sm_acquire(&worker->sm, device->place.page, device->place.slot, worker->number,
                              wait_ns)) {
        weft_soft_turn_look_around(&device->place);
        return false;
    }
    if (weft_soft_turn_is_ours(&device->place, point))
        return true;
    weft_soft_sm_release(&worker->sm);
    return false;
}

/* Lock held on entry and return, not while it waits. */
static void change_sm(struct worker *worker, struct weft_soft_device *device,
                      enum weft_slice_point point)
{
    weft_soft_scheduler_unlock();
    if (worker->device)
        give_up_sm(worker);
    want(worker, device);
    if (take_turn(worker, device, point,
                  weft_soft.device_count > 1 ? SM_WAIT_SHORT_NS : SM_WAIT_NS))
        worker->device = device;
    weft_soft_scheduler_lock();
}

/* The first grid could not run now: what runs on another device comes before it. */
static void let_others_go_first(struct weft_soft_grid *grid)
{
    if (weft_soft.device_count == 1 || !weft_soft_link_is_listed(&grid->ready))
        return;
    weft_soft_list_remove(&grid->ready);
    weft_soft_list_append(&weft_soft_scheduler.ready, &grid->ready);
}

/* A slice of the first grid that is ready, run on an SM of its
 * device; false where there is none. */
static bool pick(struct worker *worker, struct weft_soft_slice *slice)
{
    while (!weft_soft_list_is_empty(&weft_soft_scheduler.ready)) {
        struct weft_soft_grid *grid =
            WEFT_CONTAINER_OF(weft_soft_scheduler.ready.next, struct weft_soft_grid, ready);
        struct weft_soft_device *device = weft_soft_op_of_grid(grid)->stream->context->device;
        if (worker->device == device) {
            if (weft_soft_grid_take(grid, slice))
                return true;
            continue;
        }
        change_sm(worker, device, point_of(worker, grid));
        if (worker->device != device && weft_soft_scheduler.ready.next == &grid->ready)
            let_others_go_first(grid);
    }
    return false;
}

/* Whether somebody waits for the SM that the worker holds, or for the turn of its tenant to end. */
static bool others_wait(const struct worker *worker)
{
    return worker->device && (weft_soft_sm_wanted(&worker->sm) ||
                              weft_soft_turn_somebody_waits(&worker->device->place));
}

static void search_without_lock(struct worker *worker)
{
    weft_soft_scheduler_unlock();
    for (int round = 0; round < SEARCH_ROUNDS; round++) {
        if (atomic_load_explicit(&weft_soft_scheduler.ready_count, memory_order_relaxed) ||
            others_wait(worker))
            break;
        __builtin_ia32_pause();
    }
    weft_soft_scheduler_lock();
}

static void wait_for_work(struct worker *worker)
{
    if (!weft_soft_scheduler.searching && weft_soft_scheduler.worker_count > 1) {
        weft_soft_scheduler.searching = true;
        search_without_lock(worker);
        weft_soft_scheduler.searching = false;
    }
    if (!weft_soft_list_is_empty(&weft_soft_scheduler.ready))
        return;
    give_up_device(worker);
    weft_soft_scheduler.sleeping++;
    weft_soft_scheduler_sleep(&weft_soft_scheduler.work, 0);
    weft_soft_scheduler.sleeping--;
}

/* Lock held. All that may run sleeps or spins: what it waits for is elsewhere and needs the CPU. */
static void back_off(struct worker *worker)
{
    uint32_t patience = weft_soft_scheduler.parked_count + 1;
    if (worker->stalls <= patience)
        return;
    if (worker->stalls <= patience + STALL_YIELDS) {
        weft_soft_scheduler_unlock();
        sched_yield();
        weft_soft_scheduler_lock();
        return;
    }
    uint32_t doublings = WEFT_MIN((worker->stalls - patience - STALL_YIELDS) / 4, 16u);
    uint64_t sleep_ns = WEFT_MIN(STALL_SLEEP_MIN_NS << doublings, STALL_SLEEP_MAX_NS);
    give_up_device(worker);
    weft_soft_scheduler.sleeping++;
    if (weft_soft_scheduler_sleep(&weft_soft_scheduler.work, sleep_ns))
        worker->stalls = 0;
    weft_soft_scheduler.sleeping--;
}

static int make_block(struct weft_soft_slice *slice, struct weft_err *err)
{
    slice->resident = calloc(1, sizeof(*slice->resident));
    if (!slice->resident)
        return weft_fail(err, WEFT_ENOMEM, "no memory for a block");
    int rc = weft_exec_block_create(&slice->resident->block, &slice->grid->launch, err);
    if (rc)
        free(weft_steal(slice->resident));
    return rc;
}

/* Begins the grid's next block in the memory of the one that ended. */
static bool begin_next(struct worker *worker, struct weft_soft_slice *slice)
{
    struct weft_soft_grid *grid = slice->grid;
    if (atomic_load_explicit(&grid->aborted, memory_order_relaxed))
        return false;
    uint64_t index = atomic_fetch_add(&grid->next_block, 1);
    if (index >= grid->block_count)
        return false;
    weft_exec_block_start(slice->resident->block, index, worker->sm.index);
    return true;
}

static struct weft_soft_context *context_of(struct weft_soft_grid *grid)
{
    return weft_soft_op_of_grid(grid)->stream->context;
}

/* Whether the block in hand should go on at once rather than let others run. */
static bool goes_on(struct worker *worker, struct weft_soft_slice *slice, uint32_t slices)
{
    struct weft_soft_grid *grid = slice->grid;
    if (atomic_load_explicit(&grid->aborted, memory_order_relaxed) || slices >= SLICES_MAX ||
        weft_soft_injected_error_at_work(context_of(grid)))
        return false;
    return atomic_load_explicit(&weft_soft_scheduler.ready_count, memory_order_relaxed) == 0 &&
           !weft_soft_sm_wanted(&worker->sm) &&
           weft_soft_turn_is_ours(&worker->device->place, WEFT_SLICE_IN_KERNEL);
}

/* Blocks of the grid, one after the other, until the slice is used up or one has to stop. */
static enum weft_exec_outcome run_once(struct worker *worker, struct weft_soft_slice *slice)
{
    uint64_t retired = 0, most = worker->device->slice;
    enum weft_exec_outcome outcome;
    do {
        outcome = weft_exec_block_run(slice->resident->block, most - retired, &retired);
        slice->unfinished = outcome != WEFT_EXEC_DONE;
        if (outcome != WEFT_EXEC_DONE)
            break;
        slice->finished++;
        if (!begin_next(worker, slice))
            break;
        slice->unfinished = true;
        outcome = WEFT_EXEC_PREEMPTED;
    } while (retired < most);
    weft_soft_device_time_add(worker->device, retired);
    if (outcome == WEFT_EXEC_STALLED)
        retired = most;
    slice->overtime = weft_soft_watchdog_bites(slice->grid, worker->device, retired);
    return outcome;
}

static enum weft_exec_outcome run_blocks(struct worker *worker, struct weft_soft_slice *slice)
{
    enum weft_exec_outcome outcome = run_once(worker, slice);
    for (uint32_t slices = 1;
         outcome == WEFT_EXEC_PREEMPTED && !slice->overtime && goes_on(worker, slice, slices);
         slices++)
        outcome = run_once(worker, slice);
    return outcome;
}

/* Where the grid of a slice is now that it ended. */
static enum weft_slice_point point_after(const struct weft_soft_slice *slice,
                                         enum weft_exec_outcome outcome)
{
    if (outcome == WEFT_EXEC_STALLED)
        return WEFT_SLICE_STALLED;
    bool begins_more = atomic_load(&slice->grid->next_block) < slice->grid->block_count;
    return slice->unfinished || begins_more ? WEFT_SLICE_IN_KERNEL : WEFT_SLICE_AT_KERNEL;
}

/* Lock held again on return; not while blocks run. */
static void run_slice(struct worker *worker, struct weft_soft_slice *slice)
{
    struct weft_soft_context *context = context_of(slice->grid);
    struct weft_err err = {0};
    weft_soft_scheduler_unlock();
    enum weft_exec_outcome outcome = WEFT_EXEC_DONE;
    CUresult error = CUDA_SUCCESS;
    if (!slice->resident && make_block(slice, &err)) {
        error = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
        weft_soft_fault_report_text(slice->grid, error, err.text);
    } else {
        if (slice->fresh)
            weft_exec_block_start(slice->resident->block, slice->index, worker->sm.index);
        outcome = run_blocks(worker, slice);
        if (outcome == WEFT_EXEC_FAULTED)
            error =
                weft_soft_fault_report(slice->grid, weft_exec_block_fault(slice->resident->block));
        else if (slice->overtime)
            error = weft_soft_fault_report_overtime(slice->grid);
    }
    CUresult injected = weft_soft_injected_error_at_work(context);
    if (injected) {
        error = injected;
        weft_soft_injected_tell(context);
    }
    if (weft_soft_sm_wanted(&worker->sm) ||
        !weft_soft_turn_is_ours(&worker->device->place, point_after(slice, outcome)))
        give_up_sm(worker);
    weft_soft_scheduler_lock();
    worker->stalls = outcome == WEFT_EXEC_STALLED ? worker->stalls + 1 : 0;
    if (error)
        weft_soft_context_fail(context, error);
    weft_soft_grid_settle(slice);
    /* What may start now keeps the tenant's place between two kernels. */
    weft_soft_scheduler_settle();
}

static void *work(void *argument)
{
    struct worker worker = {.number = (uint32_t)(uintptr_t)argument};
    struct weft_soft_slice slice;
    weft_soft_scheduler_lock();
    for (;;) {
        if (!pick(&worker, &slice)) {
            worker.stalls = 0;
            wait_for_work(&worker);
            continue;
        }
        if (!weft_soft_list_is_empty(&weft_soft_scheduler.ready))
            weft_soft_worker_wake();
        run_slice(&worker, &slice);
        back_off(&worker);
    }
    return NULL;
}

static uint32_t start_threads(uint32_t wanted)
{
    for (uint32_t number = 1; number <= wanted; number++) {
        char name[16];
        snprintf(name, sizeof(name), "weft-sm-%u", number);
        if (weft_soft_thread_create(name, work, (void *)(uintptr_t)number))
            return number - 1;
    }
    return wanted;
}

/* Sleeps on it are timed, and must not grow when somebody sets the clock. */
void weft_soft_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

CUresult weft_soft_workers_start(void)
{
    static atomic_bool started;
    if (atomic_load_explicit(&started, memory_order_acquire))
        return CUDA_SUCCESS;
    pthread_mutex_lock(&weft_soft.lock);
    uint32_t count = weft_soft_scheduler.worker_count;
    if (count == 0) {
        weft_soft_condition_init(&weft_soft_scheduler.work);
        count = start_threads(worker_threads_wanted());
        weft_soft_scheduler_lock();
        weft_soft_scheduler.worker_count = count;
        weft_soft_scheduler_unlock();
        atomic_store_explicit(&started, count != 0, memory_order_release);
    }
    pthread_mutex_unlock(&weft_soft.lock);
    return count ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

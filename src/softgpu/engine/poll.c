/* The poller: one thread that looks, now and then, at what streams wait for and nobody tells us of.
 * A waiting stream takes none of the workers and host threads that way. */
#include <sched.h>

#include "softgpu/engine/injected.h"
#include "softgpu/engine/schedule.h"
#include "softgpu/engine/worker.h"

/* First it only lets others run, then it sleeps, longer each time. */
#define YIELDS 64
#define SLEEP_MIN_NS 20000ull
#define SLEEP_MAX_NS 500000ull
#define DOUBLINGS_MAX 8u

static bool is_over(struct weft_soft_op *op)
{
    CUresult result = op->task.run(op->task.argument);
    if (result == CUDA_ERROR_NOT_READY)
        result = weft_soft_injected_error_at_work(op->stream->context);
    else if (result == CUDA_SUCCESS)
        return true;
    if (result == CUDA_SUCCESS)
        return false;
    if (result)
        weft_soft_context_fail(op->stream->context, result);
    return true;
}

bool weft_soft_poll_begin(struct weft_soft_op *op)
{
    if (is_over(op))
        return true;
    op->next_other = weft_soft_scheduler.polled;
    weft_soft_scheduler.polled = op;
    pthread_cond_signal(&weft_soft_scheduler.poll_work);
    return false;
}

void weft_soft_poll_stop(struct weft_soft_op *op)
{
    struct weft_soft_op **place = &weft_soft_scheduler.polled;
    while (*place && *place != op)
        place = &(*place)->next_other;
    if (*place)
        *place = op->next_other;
}

/* Whether any of them was over. */
static bool look_at_all(void)
{
    bool any = false;
    for (struct weft_soft_op **place = &weft_soft_scheduler.polled; *place;) {
        struct weft_soft_op *op = *place;
        if (!is_over(op)) {
            place = &op->next_other;
            continue;
        }
        *place = op->next_other;
        weft_soft_op_complete(op);
        any = true;
    }
    return any;
}

/* False where something came in between. */
static bool rest(uint32_t rounds)
{
    if (rounds <= YIELDS) {
        weft_soft_scheduler_unlock();
        sched_yield();
        weft_soft_scheduler_lock();
        return true;
    }
    uint64_t sleep_ns = SLEEP_MIN_NS << WEFT_MIN(rounds - YIELDS, DOUBLINGS_MAX);
    return !weft_soft_scheduler_sleep(&weft_soft_scheduler.poll_work,
                                      WEFT_MIN(sleep_ns, SLEEP_MAX_NS));
}

static void *look(void *unused)
{
    (void)unused;
    uint32_t rounds = 0;
    weft_soft_scheduler_lock();
    for (;;) {
        if (!weft_soft_scheduler.polled) {
            rounds = 0;
            weft_soft_scheduler_sleep(&weft_soft_scheduler.poll_work, 0);
            continue;
        }
        rounds = look_at_all() ? 0 : WEFT_MIN(rounds + 1, YIELDS + DOUBLINGS_MAX);
        if (!rest(rounds))
            rounds = 0;
    }
    return NULL;
}

CUresult weft_soft_poller_start(void)
{
    static atomic_bool started;
    if (atomic_load_explicit(&started, memory_order_acquire))
        return CUDA_SUCCESS;
    pthread_mutex_lock(&weft_soft.lock);
    bool there = atomic_load(&started);
    if (!there) {
        weft_soft_condition_init(&weft_soft_scheduler.poll_work);
        there = weft_soft_thread_create("weft-poll", look, NULL) == 0;
        atomic_store_explicit(&started, there, memory_order_release);
    }
    pthread_mutex_unlock(&weft_soft.lock);
    return there ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult weft_soft_stream_poll(struct weft_soft_stream *stream, const struct weft_soft_task *task)
{
    struct weft_soft_op *op = NULL;
    if (weft_soft_poller_start() == CUDA_SUCCESS)
        op = weft_soft_op_create(WEFT_SOFT_OP_POLL);
    if (!op) {
        if (task->release)
            task->release(task->argument);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    op->task = *task;
    return weft_soft_op_submit(stream, op);
}

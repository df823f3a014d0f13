/* Host threads: they run the tasks of streams (copies, sets, callbacks), apart from the workers, so
 * that a copy is never behind kernels that spin for it. A thread is made when a task could start
 * and all others are busy, up to a maximum; none is ever joined. */
#include <stdio.h>

#include "softgpu/engine/schedule.h"
#include "softgpu/engine/worker.h"

static __thread bool in_callback;

bool weft_soft_host_in_callback(void)
{
    return in_callback;
}

void weft_soft_host_call(void (*function)(void *), void *argument)
{
    in_callback = true;
    function(argument);
    in_callback = false;
}

void weft_soft_host_push(struct weft_soft_op *op)
{
    struct weft_soft_queue *queue =
        op->is_callback ? &weft_soft_scheduler.callbacks : &weft_soft_scheduler.tasks;
    op->next_other = NULL;
    if (queue->last)
        queue->last->next_other = op;
    else
        queue->first = op;
    queue->last = op;
    queue->count++;
    if (weft_soft_scheduler.host_idle)
        pthread_cond_signal(&weft_soft_scheduler.host_work);
}

static uint32_t startable_count(void)
{
    uint32_t places = WEFT_SOFT_CALLBACKS_MAX - weft_soft_scheduler.callbacks_running;
    return weft_soft_scheduler.tasks.count + WEFT_MIN(weft_soft_scheduler.callbacks.count, places);
}

bool weft_soft_host_needs_thread(void)
{
    return startable_count() > weft_soft_scheduler.host_idle &&
           weft_soft_scheduler.host_threads < WEFT_SOFT_HOST_THREADS_MAX;
}

static struct weft_soft_op *take_first(struct weft_soft_queue *queue)
{
    struct weft_soft_op *op = queue->first;
    queue->first = op->next_other;
    if (!queue->first)
        queue->last = NULL;
    queue->count--;
    return op;
}

static struct weft_soft_op *take(void)
{
    if (weft_soft_scheduler.tasks.count)
        return take_first(&weft_soft_scheduler.tasks);
    if (startable_count() == 0)
        return NULL;
    weft_soft_scheduler.callbacks_running++;
    return take_first(&weft_soft_scheduler.callbacks);
}

/* Lock held on entry and return, not while the task runs. */
static void run_task(struct weft_soft_op *op)
{
    struct weft_soft_context *context = op->stream->context;
    bool wanted = op->always_run || !weft_soft_context_is_dropping(context);
    weft_soft_scheduler_unlock();
    CUresult result = wanted ? op->task.run(op->task.argument) : CUDA_SUCCESS;
    weft_soft_scheduler_lock();
    if (op->is_callback)
        weft_soft_scheduler.callbacks_running--;
    if (result)
        weft_soft_context_fail(context, result);
    weft_soft_op_complete(op);
}

static void *serve(void *argument)
{
    (void)argument;
    weft_soft_scheduler_lock();
    for (;;) {
        struct weft_soft_op *op = take();
        if (op) {
            run_task(op);
            continue;
        }
        weft_soft_scheduler.host_idle++;
        weft_soft_scheduler_sleep(&weft_soft_scheduler.host_work, 0);
        weft_soft_scheduler.host_idle--;
    }
    return NULL;
}

/* Where the system gives us no thread at all, whoever submitted does the work. */
static void serve_here(void)
{
    weft_soft_scheduler_lock();
    struct weft_soft_op *op;
    while (weft_soft_scheduler.host_threads == 0 && (op = take()))
        run_task(op);
    weft_soft_scheduler_unlock();
}

void weft_soft_host_serve(void)
{
    weft_soft_scheduler_lock();
    bool needed = weft_soft_host_needs_thread();
    if (needed)
        weft_soft_scheduler.host_threads++;
    uint32_t number = weft_soft_scheduler.host_threads;
    pthread_mutex_unlock(&weft_soft_scheduler.lock);
    char name[16];
    snprintf(name, sizeof(name), "weft-host-%u", number);
    if (!needed || weft_soft_thread_create(name, serve, NULL) == 0)
        return;
    weft_soft_scheduler_lock();
    bool alone = --weft_soft_scheduler.host_threads == 0;
    pthread_mutex_unlock(&weft_soft_scheduler.lock);
    if (alone)
        serve_here();
}

/* Many threads through the gate, over a driver whose kernels only take time, with the threads of
 * the gate itself. What would break it: a race (it runs under the thread sanitizer where that can
 * be had), a launch that is lost or held for ever, or a count that does not come back to nothing.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <weft/cuda_table.h>

#include "tenant/gate.h"

#define THREADS 4
#define DEVICES 2
#define LAUNCHES 150
#define ITERATIONS 30u /* of 300 ns */

/* The driver's own calls, which are linked with the test; the table has their types. */
#define CALLS(call)                                                                              \
    call(cuLaunchKernel) call(cuCtxGetCurrent) call(cuCtxGetDevice) call(cuCtxSetCurrent)        \
        call(cuCtxSynchronize) call(cuCtxDestroy_v2) call(cuEventCreate) call(cuEventDestroy_v2) \
            call(cuEventRecord) call(cuEventQuery) call(cuEventElapsedTime)                      \
                call(cuStreamIsCapturing) call(cuStreamWaitValue32_v2)                           \
                    call(cuStreamWriteValue32_v2) call(cuThreadExchangeStreamCaptureMode)        \
                        call(cuMemHostRegister_v2) call(cuMemHostGetDevicePointer_v2)            \
                            call(cuMemHostUnregister) call(cuCtxCreate_v4) call(cuStreamCreate)  \
                                call(cuStreamGetCtx) call(cuCtxPushCurrent_v2)                   \
                                    call(cuCtxPopCurrent_v2)
#define DECLARE(name) extern __typeof__(*((struct weft_cuda *)NULL)->name) name;
#define FILL(name) .name = name,
CALLS(DECLARE)

static struct weft_cuda table;
static CUcontext contexts[DEVICES];
static atomic_uint asks, wants[DEVICES], failures;
static atomic_bool free_now, ends, allows_all;
static _Atomic uint64_t charged_ns;

static bool is_free(void *context, uint32_t device)
{
    (void)context, (void)device;
    return free_now;
}

static void want(void *context, uint32_t device, bool wants_it)
{
    (void)context;
    failures += wants[device] == wants_it;
    wants[device] = wants_it;
}

static bool ask(void *context, uint32_t device)
{
    (void)context, (void)device;
    return allows_all || ++asks % 3 == 0;
}

static void note_run(void *context, uint32_t device, uint64_t time_ns)
{
    (void)context, (void)device, (void)time_ns;
}

static void charge(void *context, uint32_t device, uint64_t time_ns)
{
    (void)context, (void)device;
    charged_ns += time_ns;
}

static void note_flights(void *context, uint32_t device, uint32_t count)
{
    (void)context, (void)device, (void)count;
}

static bool others_are_busy(void *context)
{
    (void)context;
    return asks % 5 == 0;
}

static uint64_t now(void *context)
{
    struct timespec time;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void sleep_for(void *context, uint32_t device, uint64_t most_ns)
{
    const struct timespec pause = {.tv_nsec = (long)most_ns};
    (void)context, (void)device;
    nanosleep(&pause, NULL);
}

static void launch(CUstream stream)
{
    uint32_t iterations = ITERATIONS;
    void *params[] = {&iterations};
    failures += table.cuLaunchKernel((CUfunction)7, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL) != 0;
}

static void *launch_many(void *argument)
{
    uintptr_t number = (uintptr_t)argument;
    CUevent event;
    failures += table.cuCtxSetCurrent(contexts[number % DEVICES]) != 0;
    failures += table.cuEventCreate(&event, CU_EVENT_DEFAULT) != 0;
    for (uint32_t i = 0; i < LAUNCHES; i++) {
        launch((CUstream)(number + 1));
        if (i % 50 == 49)
            failures += table.cuCtxSynchronize() != 0;
    }
    failures += table.cuEventRecord(event, (CUstream)(number + 1)) != 0;
    failures += table.cuCtxSynchronize() != 0;
    failures += table.cuEventQuery(event) != 0;
    return NULL;
}

static void *meddle(void *unused)
{
    (void)unused;
    while (!ends) {
        sleep_for(NULL, 0, 3000000);
        free_now = !free_now;
        weft_gate_look();
        weft_gate_let_through();
    }
    free_now = false;
    return NULL;
}

static void launches_of_many_threads_come_to_their_end(void **state)
{
    pthread_t threads[THREADS], meddler;
    (void)state;
    assert_int_equal(pthread_create(&meddler, NULL, meddle, NULL), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, launch_many, (void *)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    ends = true;
    assert_int_equal(pthread_join(meddler, NULL), 0);
    while (wants[0] || wants[1])
        sleep_for(NULL, 0, 1000000);
    assert_int_equal(failures, 0);
    assert_true(charged_ns > 0);
}

static void a_context_ends_while_others_launch(void **state)
{
    pthread_t thread;
    (void)state;
    free_now = false;
    assert_int_equal(pthread_create(&thread, NULL, launch_many, (void *)(uintptr_t)3), 0);
    table.cuCtxSetCurrent(contexts[0]);
    for (int i = 0; i < 10; i++)
        launch((CUstream)1);
    assert_int_equal(table.cuCtxDestroy_v2(contexts[0]), CUDA_SUCCESS);
    assert_int_equal(pthread_join(thread, NULL), 0);
    allows_all = true;
    while (wants[0] || wants[1])
        sleep_for(NULL, 0, 1000000);
    assert_int_equal(failures, 0);
}

static void fill_table(void)
{
    table = (struct weft_cuda){CALLS(FILL)};
}

int main(void)
{
    const struct weft_gate_arbiter arbiter = {.device_count = DEVICES,
                                              .has_threads = true,
                                              .is_free = is_free,
                                              .want = want,
                                              .ask = ask,
                                              .note_run = note_run,
                                              .charge = charge,
                                              .note_flights = note_flights,
                                              .others_are_busy = others_are_busy,
                                              .now_ns = now,
                                              .sleep = sleep_for};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launches_of_many_threads_come_to_their_end),
        cmocka_unit_test(a_context_ends_while_others_launch),
    };
    CUstream streams[THREADS];
    fill_table();
    for (int i = 0; i < DEVICES; i++)
        table.cuCtxCreate_v4(&contexts[i], NULL, 0, i);
    /* Of a device's two threads one launches in the other device's stream. */
    for (int i = 0; i < THREADS; i++) {
        table.cuCtxSetCurrent(contexts[i / DEVICES]);
        table.cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING);
    }
    weft_gate_install(&table, &arbiter);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Launches and streams: what would break it is a block that runs twice or never, work out of stream
 * order, a kernel that starves what it waits for, or a launch call that waits. */
#include "rig.h"

#include <pthread.h>
#include <sched.h>

#include "softgpu/engine/schedule.h"

static int enter(void **state)
{
    (void)state;
    rig_enter();
    return 0;
}

static int leave(void **state)
{
    (void)state;
    rig_leave();
    return 0;
}

static uint32_t load(uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static CUstream new_stream(unsigned int flags)
{
    CUstream stream;
    RIG_OK(cuda.cuStreamCreate(&stream, flags));
    return stream;
}

static void runs_every_block_once(void **state)
{
    (void)state;
    uint32_t *word = rig_word();
    RIG_OK(rig_launch("count", 10000, NULL, word, 0));
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(load(word), 10000);
    CUdeviceptr address = rig_address(word);
    uint64_t value = 0;
    void *params[] = {&address, &value};
    RIG_OK(cuda.cuLaunchKernel(rig_function("count"), 3, 5, 7, 8, 4, 2, 0, NULL, params, NULL));
    RIG_OK(cuda.cuStreamSynchronize(NULL));
    assert_int_equal(load(word), 10000 + 3 * 5 * 7);
}

static void keeps_the_order_of_a_stream(void **state)
{
    (void)state;
    uint32_t *word = rig_word();
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    for (uint32_t i = 0; i < 500; i++)
        RIG_OK(rig_launch("step", 1, stream, word, i));
    RIG_OK(cuda.cuStreamSynchronize(stream));
    assert_int_equal(load(word), 500);
}

static void launches_without_waiting_for_a_kernel_that_waits_for_the_host(void **state)
{
    (void)state;
    uint32_t *word = rig_word();
    RIG_OK(rig_launch("spin", 1, NULL, word, 5));
    assert_int_equal(cuda.cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
    store(word, 5);
    RIG_OK(cuda.cuCtxSynchronize());
    RIG_OK(cuda.cuStreamQuery(NULL));
}

static void lets_two_kernels_wait_for_each_other(void **state)
{
    (void)state;
    uint32_t *words = rig_word();
    CUstream one = new_stream(CU_STREAM_NON_BLOCKING), two = new_stream(CU_STREAM_NON_BLOCKING);
    RIG_OK(rig_launch("handshake", 1, one, words, 0));
    RIG_OK(rig_launch("handshake", 1, two, words, 1));
    RIG_OK(cuda.cuCtxSynchronize());
}

/* More blocks than there are workers, so that it needs those parked to give way. */
static void lets_all_blocks_of_a_grid_meet(void **state)
{
    (void)state;
    uint32_t *word = rig_word();
    RIG_OK(rig_launch("meet", 100, NULL, word, 0));
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(load(word), 100);
}

static void runs_plain_kernels_beside_spinning_ones(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *sum = rig_word();
    CUstream spinning[8], plain = new_stream(CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < 8; i++) {
        spinning[i] = new_stream(CU_STREAM_NON_BLOCKING);
        RIG_OK(rig_launch(i % 2 ? "spin" : "await", 64, spinning[i], flag, 1));
    }
    RIG_OK(rig_launch("count", 1000, plain, sum, 0));
    RIG_OK(cuda.cuStreamSynchronize(plain));
    assert_int_equal(load(sum), 1000);
    store(flag, 1);
    RIG_OK(cuda.cuCtxSynchronize());
}

static void store_one(void *word)
{
    store(word, 1);
}

/* Set where the copied word has arrived. */
static void store_copied(void *words)
{
    uint32_t *word = words;
    store(&word[0], word[2]);
}

/* The callbacks and the copy run although every worker has a kernel that waits for them. */
static void runs_host_work_while_all_kernels_wait_for_it(void **state)
{
    (void)state;
    uint32_t *words = rig_word(), *source = rig_word();
    CUstream copies = new_stream(CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < 40; i++)
        RIG_OK(rig_launch("spin", 16, new_stream(CU_STREAM_NON_BLOCKING), &words[i % 2], 1));
    *source = 1;
    RIG_OK(cuda.cuLaunchHostFunc(copies, store_one, &words[1]));
    RIG_OK(cuda.cuMemcpyAsync(rig_address(&words[2]), rig_address(source), 4, copies));
    RIG_OK(cuda.cuLaunchHostFunc(copies, store_copied, words));
    RIG_OK(cuda.cuCtxSynchronize());
}

#define CALLBACKS 40

static void wait_for_word(void *word)
{
    while (!load(word))
        sched_yield();
}

/* More callbacks wait for the copy than there are threads for callbacks. */
static void copies_while_callbacks_wait_for_the_copy(void **state)
{
    (void)state;
    uint32_t *words = rig_word(), *source = rig_word();
    CUstream copies = new_stream(CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < CALLBACKS; i++)
        RIG_OK(cuda.cuLaunchHostFunc(new_stream(CU_STREAM_NON_BLOCKING), wait_for_word, words));
    *source = 1;
    RIG_OK(rig_launch("await", 1, copies, &words[1], 1));
    RIG_OK(cuda.cuMemcpyAsync(rig_address(&words[2]), rig_address(source), 4, copies));
    RIG_OK(rig_launch("await", 1, copies, &words[2], 1));
    CUevent copied;
    RIG_OK(cuda.cuEventCreate(&copied, 0));
    RIG_OK(cuda.cuEventRecord(copied, copies));
    store(&words[1], 1);
    RIG_OK(cuda.cuEventSynchronize(copied));
    store(words, 1);
    RIG_OK(cuda.cuCtxSynchronize());
}

static void legacy_stream_waits_for_blocking_ones_and_they_for_it(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *order = rig_word(), *aside = rig_word();
    CUstream blocking = new_stream(CU_STREAM_DEFAULT);
    CUstream other = new_stream(CU_STREAM_DEFAULT), apart = new_stream(CU_STREAM_NON_BLOCKING);
    RIG_OK(rig_launch("await", 1, blocking, flag, 1));
    RIG_OK(rig_launch("step", 1, blocking, order, 0));
    RIG_OK(rig_launch("step", 1, NULL, order, 1));
    RIG_OK(rig_launch("step", 1, other, order, 2));
    RIG_OK(rig_launch("count", 1, apart, aside, 0));
    RIG_OK(cuda.cuStreamSynchronize(apart));
    assert_int_equal(load(aside), 1);
    assert_int_equal(load(order), 0);
    assert_int_equal(cuda.cuStreamQuery(other), CUDA_ERROR_NOT_READY);
    store(flag, 1);
    RIG_OK(cuda.cuStreamSynchronize(other));
    assert_int_equal(load(order), 3);
}

static void *use_own_default_stream(void *argument)
{
    CUcontext context = ((void **)argument)[0];
    uint32_t *word = ((void **)argument)[1];
    assert_int_equal(cuda.cuCtxSetCurrent(context), CUDA_SUCCESS);
    CUdeviceptr address = rig_address(word);
    uint64_t value = 0;
    void *params[] = {&address, &value};
    for (int i = 0; i < 100; i++)
        assert_int_equal(cuda.cuLaunchKernel_ptsz(rig_function("count"), 2, 1, 1, 1, 1, 1, 0, NULL,
                                                  params, NULL),
                         CUDA_SUCCESS);
    assert_int_equal(cuda.cuStreamSynchronize_ptsz(NULL), CUDA_SUCCESS);
    return NULL;
}

static void gives_each_thread_a_default_stream_of_its_own(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *word = rig_word();
    unsigned long long legacy, own, again;
    CUcontext context;
    RIG_OK(cuda.cuCtxGetCurrent(&context));
    RIG_OK(cuda.cuStreamGetId(NULL, &legacy));
    RIG_OK(cuda.cuStreamGetId(CU_STREAM_PER_THREAD, &own));
    RIG_OK(cuda.cuStreamGetId_ptsz(NULL, &again));
    assert_int_not_equal(legacy, own);
    assert_int_equal(own, again);
    /* This thread's own stream is busy; the others' are not held up by it. */
    RIG_OK(rig_launch("await", 1, CU_STREAM_PER_THREAD, flag, 1));
    void *argument[] = {context, word};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_own_default_stream, argument), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(load(word), 600);
    assert_int_equal(cuda.cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
    store(flag, 1);
    RIG_OK(cuda.cuStreamSynchronize(CU_STREAM_PER_THREAD));
}

static void destroyed_stream_finishes_its_work(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *word = rig_word();
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    RIG_OK(rig_launch("await", 1, stream, flag, 1));
    RIG_OK(rig_launch("count", 10, stream, word, 0));
    RIG_OK(cuda.cuStreamDestroy_v2(stream));
    assert_int_equal(cuda.cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuStreamDestroy_v2(stream), CUDA_ERROR_INVALID_HANDLE);
    store(flag, 1);
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(load(word), 10);
}

static void counts_what_it_retires(void **state)
{
    (void)state;
    const struct weft_device_process *process =
        &weft_soft.devices[0].place.page->processes[weft_soft.devices[0].place.slot];
    uint64_t before = __atomic_load_n(&process->retired, __ATOMIC_RELAXED);
    uint64_t before_ns = __atomic_load_n(&process->device_time_ns, __ATOMIC_RELAXED);
    uint32_t *word = rig_word();
    RIG_OK(rig_launch("count", 50880, NULL, word, 0));
    RIG_OK(cuda.cuCtxSynchronize());
    /* Ten warp instructions a block; "small" issues 8 x 4 of them each 1/1.59 ns. */
    assert_int_equal(__atomic_load_n(&process->retired, __ATOMIC_RELAXED) - before, 508800);
    uint64_t ns = __atomic_load_n(&process->device_time_ns, __ATOMIC_RELAXED) - before_ns;
    assert_in_range(ns, 9999, 10001);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    CUfunction count = rig_function("count");
    uint64_t values[2] = {0};
    void *params[] = {&values[0], &values[1]};
    static const struct {
        unsigned int grid[3], block[3], shared;
        CUresult result;
    } cases[] = {
        {{0, 1, 1}, {1, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
        {{1, 65536, 1}, {1, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
        {{1, 1, 65536}, {1, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
        {{0x80000000u, 1, 1}, {1, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
        {{1, 1, 1}, {0, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
        {{1, 1, 1}, {1, 1, 65}, 0, CUDA_ERROR_INVALID_VALUE},
        {{1, 1, 1}, {2048, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE},
        {{1, 1, 1}, {513, 1, 1}, 0, CUDA_ERROR_INVALID_VALUE}, /* the kernel's own limit */
        {{1, 1, 1}, {1, 1, 1}, 48 * 1024, CUDA_ERROR_INVALID_VALUE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(cuda.cuLaunchKernel(count, cases[i].grid[0], cases[i].grid[1],
                                             cases[i].grid[2], cases[i].block[0], cases[i].block[1],
                                             cases[i].block[2], cases[i].shared, NULL, params,
                                             NULL),
                         cases[i].result);
    assert_int_equal(cuda.cuLaunchKernel(count, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(
        cuda.cuLaunchKernel((CUfunction)&values, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
        CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuLaunchKernel(count, 1, 1, 1, 1, 1, 1, 0, (CUstream)count, params, NULL),
                     CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuLaunchCooperativeKernel(count, 100000, 1, 1, 32, 1, 1, 0, NULL, params),
                     CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    RIG_OK(cuda.cuCtxSynchronize());
}

static void takes_parameters_from_a_buffer(void **state)
{
    (void)state;
    uint32_t *word = rig_word();
    uint64_t values[2] = {rig_address(word), 0};
    size_t bytes = sizeof(values);
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, values, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                     CU_LAUNCH_PARAM_END};
    CUfunction count = rig_function("count");
    RIG_OK(cuda.cuLaunchKernel(count, 3, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
    values[0] = 0; /* copied by the launch */
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(load(word), 3);
    bytes = 8;
    assert_int_equal(cuda.cuLaunchKernel(count, 3, 1, 1, 1, 1, 1, 0, NULL, NULL, extra),
                     CUDA_ERROR_INVALID_VALUE);
}

struct flood {
    CUcontext context;
    CUfunction count;
    CUdeviceptr address;
    uint32_t launches;
    int done;
};

static void *launch_many(void *argument)
{
    struct flood *flood = argument;
    uint64_t value = 0;
    void *params[] = {&flood->address, &value};
    assert_int_equal(cuda.cuCtxSetCurrent(flood->context), CUDA_SUCCESS);
    for (uint32_t i = 0; i < flood->launches; i++)
        assert_int_equal(cuda.cuLaunchKernel(flood->count, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
                         CUDA_SUCCESS);
    __atomic_store_n(&flood->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static uint32_t pending(CUcontext handle)
{
    struct weft_soft_context *context;
    assert_int_equal(weft_soft_context_get(handle, &context), CUDA_SUCCESS);
    weft_soft_scheduler_lock();
    uint32_t count = weft_soft_engine_of(context)->pending_count;
    weft_soft_scheduler_unlock();
    weft_soft_context_put(context);
    return count;
}

/* Behind a kernel that waits, launches pile up to the bound and no further. */
static void bounds_what_is_pending(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *word = rig_word();
    struct flood flood = {.count = rig_function("count"),
                          .address = rig_address(word),
                          .launches = WEFT_SOFT_PENDING_OPS_MAX + 100};
    pthread_t thread;
    RIG_OK(cuda.cuCtxGetCurrent(&flood.context));
    RIG_OK(rig_launch("await", 1, NULL, flag, 1));
    assert_int_equal(pthread_create(&thread, NULL, launch_many, &flood), 0);
    while (pending(flood.context) < WEFT_SOFT_PENDING_OPS_MAX)
        sched_yield();
    assert_int_equal(pending(flood.context), WEFT_SOFT_PENDING_OPS_MAX);
    assert_false(__atomic_load_n(&flood.done, __ATOMIC_ACQUIRE));
    store(flag, 1);
    pthread_join(thread, NULL);
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(load(word), flood.launches);
}

static void *set_when_waited_for(void *word)
{
    while (cuda.cuStreamQuery(NULL) == CUDA_SUCCESS)
        sched_yield();
    store(word, 1);
    return NULL;
}

static void *set_current_and(void *argument)
{
    assert_int_equal(cuda.cuCtxSetCurrent(((void **)argument)[0]), CUDA_SUCCESS);
    return set_when_waited_for(((void **)argument)[1]);
}

/* The launch returns only because another thread sees it pending and lets the kernel end. */
static void waits_in_the_launch_if_asked_to(void **state)
{
    (void)state;
    uint32_t *word = rig_word();
    CUcontext context;
    pthread_t thread;
    RIG_OK(cuda.cuCtxGetCurrent(&context));
    void *argument[] = {context, word};
    weft_soft.launch_blocking = true;
    assert_int_equal(pthread_create(&thread, NULL, set_current_and, argument), 0);
    RIG_OK(rig_launch("await", 1, NULL, word, 1));
    RIG_OK(cuda.cuStreamQuery(NULL));
    weft_soft.launch_blocking = false;
    pthread_join(thread, NULL);
}

int main(void)
{
    rig_open(1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(runs_every_block_once),
        TEST(keeps_the_order_of_a_stream),
        TEST(launches_without_waiting_for_a_kernel_that_waits_for_the_host),
        TEST(lets_two_kernels_wait_for_each_other),
        TEST(lets_all_blocks_of_a_grid_meet),
        TEST(runs_plain_kernels_beside_spinning_ones),
        TEST(runs_host_work_while_all_kernels_wait_for_it),
        TEST(copies_while_callbacks_wait_for_the_copy),
        TEST(legacy_stream_waits_for_blocking_ones_and_they_for_it),
        TEST(gives_each_thread_a_default_stream_of_its_own),
        TEST(destroyed_stream_finishes_its_work),
        TEST(counts_what_it_retires),
        TEST(refuses_what_does_not_fit),
        TEST(takes_parameters_from_a_buffer),
        TEST(bounds_what_is_pending),
        TEST(waits_in_the_launch_if_asked_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

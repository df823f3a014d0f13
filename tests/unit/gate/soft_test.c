/* The gate before the soft GPU, a driver with streams, copies, graphs and errors of its own. What
 * would break it: held work that begins, or is not in its stream's order with copies, events and
 * graphs around it; a kernel that spins for one that is held for ever; a context or a program's
 * call that waits for held work and never comes back. */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "../soft_engine/rig.h"
#include "tenant/gate.h"

#define MILLISECOND 1000000ull
#define COUNT 40

/* An arbiter that says what a test wants. */
static struct {
    atomic_bool is_open;
    atomic_uint flights, wants;
    _Atomic uint64_t now_ns, charged_ns;
} fake;

static bool is_free(void *context, uint32_t device)
{
    (void)context, (void)device;
    return false;
}

static void want(void *context, uint32_t device, bool wants)
{
    (void)context, (void)device;
    fake.wants = wants;
}

static bool ask(void *context, uint32_t device)
{
    (void)context, (void)device;
    return fake.is_open;
}

static void note_run(void *context, uint32_t device, uint64_t time_ns)
{
    (void)context, (void)device, (void)time_ns;
}

static void charge(void *context, uint32_t device, uint64_t time_ns)
{
    (void)context, (void)device;
    fake.charged_ns += time_ns;
}

static void note_flights(void *context, uint32_t device, uint32_t count)
{
    (void)context, (void)device;
    fake.flights = count;
}

static bool others_are_busy(void *context)
{
    (void)context;
    return false;
}

static uint64_t now(void *context)
{
    (void)context;
    return fake.now_ns;
}

/* Its clock goes by how often somebody looked. */
static void sleep_for(void *context, uint32_t device, uint64_t most_ns)
{
    const struct timespec pause = {.tv_nsec = (long)most_ns};
    (void)context, (void)device;
    nanosleep(&pause, NULL);
    fake.now_ns += MILLISECOND;
}

static CUstream new_stream(void)
{
    CUstream stream;
    RIG_OK(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

static uint32_t value_of(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void wait_until_nothing_is_wanted(void)
{
    while (fake.wants)
        usleep(1000);
}

static int enter(void **state)
{
    (void)state;
    rig_enter();
    fake.is_open = false;
    return 0;
}

static int leave(void **state)
{
    (void)state;
    rig_leave();
    return 0;
}

static void held_work_is_in_its_streams_order(void **state)
{
    uint32_t *word = rig_word(), *copy = rig_word();
    CUstream stream = new_stream();
    CUevent event;
    (void)state;
    RIG_OK(cuda.cuEventCreate(&event, CU_EVENT_DEFAULT));
    for (uint32_t i = 0; i < COUNT; i++)
        RIG_OK(rig_launch("step", 1, stream, word, i));
    RIG_OK(cuda.cuMemcpyAsync(rig_address(copy), rig_address(word), sizeof(*word), stream));
    RIG_OK(cuda.cuEventRecord(event, stream));
    /* All calls have come back, and nobody has let any of it through. */
    assert_int_equal(value_of(word), 0);
    assert_int_equal(cuda.cuEventQuery(event), CUDA_ERROR_NOT_READY);
    assert_int_equal(cuda.cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    fake.is_open = true;
    RIG_OK(cuda.cuStreamSynchronize(stream));
    assert_int_equal(value_of(word), COUNT);
    assert_int_equal(value_of(copy), COUNT);
    wait_until_nothing_is_wanted();
}

static void a_stream_waits_for_what_another_holds(void **state)
{
    uint32_t *word = rig_word();
    CUstream first = new_stream(), second = new_stream();
    CUevent event;
    (void)state;
    RIG_OK(cuda.cuEventCreate(&event, CU_EVENT_DEFAULT));
    RIG_OK(rig_launch("step", 1, first, word, 0));
    RIG_OK(cuda.cuEventRecord(event, first));
    RIG_OK(cuda.cuStreamWaitEvent(second, event, 0));
    RIG_OK(rig_launch("step", 1, second, word, 1));
    fake.is_open = true;
    RIG_OK(cuda.cuStreamSynchronize(second));
    assert_int_equal(value_of(word), 2);
}

/* Nobody lets the second through; the first would spin for ever. */
static void partners_come_together(void **state)
{
    uint32_t *words = rig_word();
    (void)state;
    fake.is_open = true;
    RIG_OK(rig_launch("handshake", 1, new_stream(), words, 0));
    fake.is_open = false;
    assert_int_equal(fake.flights, 1);
    RIG_OK(rig_launch("handshake", 1, new_stream(), words, 1));
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(words[0] + words[1], 2);
}

/* What a launch came back for is what the kernel waits for. */
static void a_caller_goes_on(void **state)
{
    uint32_t *gate = rig_word(), *word = rig_word();
    CUstream stream = new_stream();
    (void)state;
    fake.is_open = true;
    RIG_OK(rig_launch("await", 1, stream, gate, 1));
    fake.is_open = false;
    for (uint32_t i = 0; i < COUNT; i++)
        RIG_OK(rig_launch("step", 1, stream, word, i));
    __atomic_store_n(gate, 1, __ATOMIC_RELEASE);
    fake.is_open = true;
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(value_of(word), COUNT);
}

static void graphs_are_held_and_captures_are_not(void **state)
{
    uint32_t *word = rig_word();
    CUstream stream = new_stream();
    CUgraph graph;
    CUgraphExec exec;
    (void)state;
    RIG_OK(cuda.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    for (uint32_t i = 0; i < 3; i++)
        RIG_OK(rig_launch("count", 1, stream, word, 0));
    RIG_OK(cuda.cuStreamEndCapture(stream, &graph));
    RIG_OK(cuda.cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (uint32_t i = 0; i < COUNT; i++)
        RIG_OK(cuda.cuGraphLaunch(exec, stream));
    assert_int_equal(value_of(word), 0);
    fake.is_open = true;
    RIG_OK(cuda.cuStreamSynchronize(stream));
    assert_int_equal(value_of(word), 3 * COUNT);
}

/* In the current context; its word is never read. */
static void launch_count(int launches)
{
    CUmodule module;
    CUfunction function;
    void *word;
    CUdeviceptr address;
    uint64_t value = 0;
    void *params[] = {&address, &value};
    RIG_OK(cuda.cuMemHostAlloc(&word, 64, CU_MEMHOSTALLOC_PORTABLE));
    RIG_OK(cuda.cuMemHostGetDevicePointer_v2(&address, word, 0));
    RIG_OK(cuda.cuModuleLoadData(&module, rig_ptx));
    RIG_OK(cuda.cuModuleGetFunction(&function, module, "count"));
    for (int i = 0; i < launches; i++)
        RIG_OK(cuda.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
}

static void a_context_takes_what_it_holds_with_it(void **state)
{
    CUcontext context;
    (void)state;
    RIG_OK(cuda.cuCtxCreate_v2(&context, 0, 0));
    launch_count(COUNT);
    RIG_OK(cuda.cuCtxDestroy_v2(context));
    wait_until_nothing_is_wanted();
}

/* Reset while it holds work, and used again: its handle may be the same, and its events are not. */
static void a_primary_context_begins_anew(void **state)
{
    CUcontext primary, before;
    (void)state;
    RIG_OK(cuda.cuCtxGetCurrent(&before));
    for (int i = 0; i < 3; i++) {
        fake.is_open = false;
        RIG_OK(cuda.cuDevicePrimaryCtxRetain(&primary, 0));
        RIG_OK(cuda.cuCtxSetCurrent(primary));
        launch_count(COUNT);
        RIG_OK(cuda.cuDevicePrimaryCtxReset_v2(0));
        wait_until_nothing_is_wanted();
        RIG_OK(cuda.cuDevicePrimaryCtxRetain(&primary, 0));
        RIG_OK(cuda.cuCtxSetCurrent(primary));
        fake.is_open = true;
        uint64_t charged_ns = fake.charged_ns;
        launch_count(COUNT);
        RIG_OK(cuda.cuCtxSynchronize());
        wait_until_nothing_is_wanted();
        assert_true(fake.charged_ns > charged_ns);
        RIG_OK(cuda.cuDevicePrimaryCtxRelease_v2(0));
    }
    RIG_OK(cuda.cuCtxSetCurrent(before));
}

static void a_fault_leaves_nothing_held(void **state)
{
    uint32_t *word = rig_word();
    CUstream stream = new_stream();
    (void)state;
    RIG_OK(rig_launch("fault", 1, stream, word, 1));
    for (uint32_t i = 0; i < 3; i++)
        RIG_OK(rig_launch("step", 1, stream, word, i));
    fake.is_open = true;
    assert_int_not_equal(cuda.cuCtxSynchronize(), CUDA_SUCCESS);
    wait_until_nothing_is_wanted();
    assert_int_equal(value_of(word), 0);
}

int main(void)
{
    const struct weft_gate_arbiter arbiter = {.device_count = 1,
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
        cmocka_unit_test_setup_teardown(held_work_is_in_its_streams_order, enter, leave),
        cmocka_unit_test_setup_teardown(a_stream_waits_for_what_another_holds, enter, leave),
        cmocka_unit_test_setup_teardown(partners_come_together, enter, leave),
        cmocka_unit_test_setup_teardown(a_caller_goes_on, enter, leave),
        cmocka_unit_test_setup_teardown(graphs_are_held_and_captures_are_not, enter, leave),
        cmocka_unit_test_setup_teardown(a_context_takes_what_it_holds_with_it, enter, leave),
        cmocka_unit_test_setup_teardown(a_primary_context_begins_anew, enter, leave),
        cmocka_unit_test_setup_teardown(a_fault_leaves_nothing_held, enter, leave),
    };
    rig_open(1);
    weft_gate_install(&cuda, &arbiter);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

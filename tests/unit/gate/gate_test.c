/* The gate before a GPU in virtual time. What would break it: a tenant that gets more than its cap
 * or its share, or leaves the device idle; a kernel of which nothing is known and that others wait
 * for behind another; time of kernels that ran at once counted twice; a call in the way of a
 * capture, or of who is alone; a launch that waits for ever for one that waits for it, or that goes
 * on before those that its stream has from before; a caller that waits for what could wait in its
 * stream; long kernels that get past a cap because others are on their way; work that stays held
 * when its context ends, or when the driver cannot be asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_gpu.h"
#include "tenant/gate_layer.h"

#define WHOLE WEFT_SHARE_CAP_WHOLE

static struct weft_cuda table;

static void launch_until(uint64_t end_ns, uint64_t time_us)
{
    while (fake.now_ns < end_ns)
        assert_int_equal(fake_gpu_launch(&table, 7, 1, time_us), CUDA_SUCCESS);
}

static void caps_hold(void **state)
{
    static const uint64_t kernels_us[] = {20, 400, 2000};
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        uint32_t cap_e4 = i % 6 < 3 ? 3000 : 7000;
        fake_gpu_init(&table, 100, cap_e4);
        fake.cannot_wait = i >= 6;
        for (int window = 1; window <= 3; window++) {
            uint64_t before = fake.own_ns, begin = fake.now_ns;
            launch_until(begin + SECOND, kernels_us[i % 3]);
            uint64_t most = SECOND * cap_e4 / WHOLE;
            /* The 10 ms, and two kernels on their way. */
            assert_in_range(fake.own_ns - before, most - 20 * MILLISECOND, most + 14 * MILLISECOND);
        }
    }
}

static void shares_follow_weights(void **state)
{
    static const uint64_t kernels_us[] = {20, 400, 2000};
    (void)state;
    for (size_t i = 0; i < 18; i++) {
        uint32_t weight = i % 2 ? 300 : 900;
        fake_gpu_init(&table, weight, WHOLE);
        fake.cannot_wait = i >= 9;
        fake.neighbour_ns = kernels_us[i % 9 / 3] * MICROSECOND;
        launch_until(2 * SECOND, kernels_us[i % 3]);
        uint64_t before = fake.own.used_ns, other = fake.neighbour.used_ns;
        launch_until(4 * SECOND, kernels_us[i % 3]);
        uint64_t own = fake.own.used_ns - before, all = own + fake.neighbour.used_ns - other,
                 fair = 10000ull * weight / (weight + 100);
        assert_in_range(own * 10000 / all, fair - 200, fair + 200);
    }
}

static void the_device_is_kept_busy(void **state)
{
    static const uint64_t kernels_us[] = {20, 400, 2000};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        fake_gpu_init(&table, 100, WHOLE);
        launch_until(2 * SECOND, kernels_us[i]);
        assert_in_range(fake.idle_ns, 0, SECOND / 100);
    }
}

static void who_is_alone_is_asked_nothing(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 100);
    fake.is_free = true;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(fake_gpu_launch(&table, 7, 1, 1000), CUDA_SUCCESS);
    assert_int_equal(fake.launches, 1000);
    assert_int_equal(fake.now_ns, SECOND + 1000 * MICROSECOND);
    assert_int_equal(fake.event_count + fake.records + fake.queries + fake.charges, 0);
}

static void captures_are_not_touched(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 100);
    fake.is_captured[2] = true;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(fake_gpu_launch(&table, 7, 2, 1000), CUDA_SUCCESS);
    assert_int_equal(fake.launches, 1000);
    assert_int_equal(fake.records + fake.queries + fake.charges, 0);
    /* What the gate itself calls ends no capture of another thread's: the fake looks. */
    launch_until(fake.now_ns + 100 * MILLISECOND, 100);
    assert_true(fake.queries > 0);
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

static void a_kernel_that_nobody_knows_goes_alone(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, WHOLE);
    fake_gpu_launch(&table, 1, 1, 5000);
    uint64_t end_ns = fake.free_ns;
    fake_gpu_launch(&table, 2, 2, 10);
    assert_int_equal(fake.launches, 2);
    assert_int_equal(fake.begun, 1);
    assert_true(fake.now_ns < end_ns);
    fake_gpu_pass(end_ns - fake.now_ns - 20 * MICROSECOND);
    assert_int_equal(fake.begun, 1);
    fake_gpu_pass(MILLISECOND);
    assert_int_equal(fake.begun, 2);
    /* Now both are known: short ones fill the device's queue, and no launch waits for one before.
     */
    fake_gpu_launch(&table, 2, 2, 10);
    assert_true(fake.now_ns < fake.free_ns + 200 * MICROSECOND);
    uint64_t begin_ns = fake.now_ns;
    for (int i = 0; i < 10; i++)
        fake_gpu_launch(&table, 2, 2, 10);
    assert_in_range(fake.now_ns - begin_ns, 0, 110 * MICROSECOND);
}

static void time_that_overlaps_counts_once(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, WHOLE);
    fake.overlaps = true;
    fake_gpu_launch(&table, 7, 1, 90);
    fake.now_ns += MILLISECOND;
    weft_gate_look();
    uint64_t before = fake.own.used_ns;
    assert_in_range(before, 90 * MICROSECOND, 92 * MICROSECOND);
    fake_gpu_launch(&table, 7, 1, 90);
    fake_gpu_launch(&table, 7, 2, 90);
    fake.now_ns += MILLISECOND;
    weft_gate_look();
    assert_in_range(fake.own.used_ns - before, 90 * MICROSECOND, 95 * MICROSECOND);
    assert_false(fake.wants);
}

/* One spins for the other: both are on the device after a bounded wait, over the cap. */
static void partners_come_together(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        fake_gpu_init(&table, 100, 100);
        fake.cannot_wait = i;
        fake.overlaps = true;
        fake_gpu_launch(&table, 7, 1, UINT32_MAX);
        assert_int_equal(fake_gpu_launch(&table, 8, 2, 1), CUDA_SUCCESS);
        assert_int_equal(fake.launches, 2);
        while (fake.begun < 2)
            fake_gpu_pass(MILLISECOND);
        assert_in_range(fake.now_ns - SECOND, WEFT_GATE_PATIENCE_NS, 2 * WEFT_GATE_PATIENCE_NS);
    }
}

/* The same where the one that spins is another process of the tenant. */
static void partners_in_two_processes_come_together(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        fake_gpu_init(&table, 100, 100);
        fake.cannot_wait = i;
        fake_gpu_launch(&table, 7, 1, 100000);
        fake.now_ns = fake.free_ns;
        weft_gate_look();
        assert_int_equal(fake.in_flight, 0);
        fake.other_is_busy = true;
        uint64_t begin_ns = fake.now_ns;
        fake_gpu_launch(&table, 7, 1, 1);
        while (fake.begun < 2)
            fake_gpu_pass(MILLISECOND);
        assert_in_range(fake.now_ns - begin_ns, WEFT_GATE_PATIENCE_NS, 2 * WEFT_GATE_PATIENCE_NS);
    }
}

/* Debts are all that binds a tenant whose kernels are longer than the patience: beside each, others
 * may go on, but ever more seldom until the debts are paid. */
static void long_kernels_do_not_get_past_a_cap(void **state)
{
    static const uint64_t kernels_us[] = {300000, 1000000};
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        bool cannot_wait = i % 2, two_streams = i / 2 % 2;
        uint64_t kernel_us = kernels_us[i / 4], kernel_ns = kernel_us * MICROSECOND;
        fake_gpu_init(&table, 100, 3000);
        fake.cannot_wait = cannot_wait;
        for (uintptr_t n = 0; fake.now_ns < 6 * SECOND; n++) {
            assert_int_equal(fake_gpu_launch(&table, 7, two_streams ? 1 + n % 2 : 1, kernel_us), 0);
            uint64_t passed_ns = fake.now_ns - SECOND,
                     most_ns = passed_ns * 3 / 10 + 10 * MILLISECOND + kernel_ns;
            /* Beside one that has not ended in so long. */
            for (uint64_t wait_ns = WEFT_GATE_PATIENCE_NS; two_streams && wait_ns < 8 * kernel_ns;
                 wait_ns *= 2)
                most_ns += kernel_ns;
            uint64_t begun_ns = fake.begun * kernel_ns;
            assert_in_range(begun_ns, 0, most_ns);
        }
        assert_true(fake.begun * kernel_ns > 5 * SECOND * 25 / 100);
    }
}

static void held_launches_return(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 100);
    for (int i = 0; i < 40; i++)
        assert_int_equal(fake_gpu_launch(&table, 7, 1, 1000), CUDA_SUCCESS);
    fake_gpu_pass(100 * MILLISECOND);
    uint32_t begun = fake.begun;
    uint64_t begin_ns = fake.now_ns;
    for (unsigned int i = 0; i < 20; i++)
        assert_int_equal(fake_gpu_launch(&table, 7, 1, 1001 + i), CUDA_SUCCESS);
    assert_true(fake.now_ns - begin_ns < MILLISECOND);
    assert_int_equal(fake.launches, 60);
    assert_int_equal(fake.begun, begun);
    assert_true(fake.wants);
    /* One after the other, as they were given to the stream. */
    uint64_t last_us = 0;
    while (fake.begun < 60) {
        begun = fake.begun;
        fake_gpu_pass(MILLISECOND);
        assert_in_range(fake.begun - begun, 0, 2);
        assert_true(fake.last_us >= last_us);
        last_us = fake.last_us;
    }
    fake_gpu_pass(10 * MILLISECOND);
    assert_in_range(fake.own.used_ns, 60 * MILLISECOND, 61 * MILLISECOND);
    assert_false(fake.wants);
}

/* Who comes to be alone comes to the end of what it holds, and no faster than before: somebody else
 * may come meanwhile. Then nothing is asked any more. */
static void who_comes_to_be_alone_holds_nothing(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 100);
    fake_gpu_launch(&table, 7, 1, 5000);
    fake_gpu_pass(SECOND);
    while (weft_gate.held_count < 40)
        fake_gpu_launch(&table, 7, 1, 5000);
    fake.is_free = true;
    fake_gpu_pass(20 * MILLISECOND);
    assert_in_range(weft_gate.held_count, 30, 38);
    assert_in_range(fake.free_ns, fake.now_ns, fake.now_ns + 10 * MILLISECOND);
    uint64_t begin_ns = fake.now_ns;
    fake_gpu_launch(&table, 7, 1, 5000);
    assert_int_equal(weft_gate.held_count, 0);
    assert_in_range(fake.now_ns - begin_ns, 100 * MILLISECOND, 200 * MILLISECOND);
    fake_gpu_pass(20 * MILLISECOND);
    uint32_t records = fake.records;
    for (int i = 0; i < 10; i++)
        fake_gpu_launch(&table, 7, 1, 5000);
    assert_int_equal(fake.records, records);
    assert_false(fake.wants);
}

static void what_is_held_is_bounded(void **state)
{
    static const struct {
        uint64_t time_us;
        uint32_t most;
    } cases[] = {{1000, WEFT_GATE_HELD_MAX}, {WEFT_GATE_HELD_NS / 4000, 4}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint32_t launches = 0, most = cases[i].most;
        fake_gpu_init(&table, 100, 1000);
        fake_gpu_launch(&table, 7, 1, cases[i].time_us);
        fake_gpu_pass(SECOND / 2);
        uint64_t begin_ns = fake.now_ns;
        for (; weft_gate.held_count < most && launches < 100; launches++)
            fake_gpu_launch(&table, 7, 1, cases[i].time_us);
        assert_int_equal(weft_gate.held_count, most);
        assert_true(fake.now_ns - begin_ns < MILLISECOND);
        /* From now on one is let in for each that is let through. */
        uint32_t begun = fake.begun;
        fake_gpu_launch(&table, 7, 1, cases[i].time_us);
        assert_int_equal(fake.begun, begun + 1);
        assert_int_equal(weft_gate.held_count, most);
    }
}

/* Who has only one stream has nothing that could wait for what is held there. */
static void nothing_is_held_for_ever(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 100);
    fake.overlaps = true;
    fake_gpu_launch(&table, 7, 1, UINT32_MAX);
    for (int i = 0; i < 3; i++)
        fake_gpu_launch(&table, 7, 1, 1);
    fake_gpu_pass(11 * SECOND);
    assert_int_equal(weft_gate.held_count, 3);
    /* But the caller may be what the kernel waits for. */
    while (weft_gate.held_count < WEFT_GATE_HELD_MAX)
        fake_gpu_launch(&table, 7, 1, 1);
    assert_in_range(fake.now_ns, 12 * SECOND, 13 * SECOND);
    uint32_t begun = fake.begun;
    fake_gpu_launch(&table, 7, 1, 1);
    assert_int_equal(fake.begun, begun + 1);
}

/* What is held has its place already, however many are on their way before it. */
static void a_full_lane_holds_no_partner(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, WHOLE);
    fake.overlaps = true;
    for (uintptr_t function = 7; function < 9; function++) {
        fake_gpu_launch(&table, function, 1, 1);
        fake_gpu_pass(MILLISECOND);
    }
    fake_gpu_launch(&table, 8, 1, UINT32_MAX);
    /* Past the bound of time some have gone through by their patience. */
    for (; weft_gate.lanes[0].count < WEFT_GATE_FLIGHTS_MAX; weft_gate.lanes[0].patience = 0)
        fake_gpu_launch(&table, 7, 2, 1);
    uint32_t begun = fake.begun;
    assert_true(weft_gate.held_count > 0);
    fake_gpu_pass(2 * WEFT_GATE_PATIENCE_NS);
    assert_true(fake.begun > begun);
}

static void what_is_held_ends_with_its_context(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 1);
    for (int i = 0; i < 20; i++)
        fake_gpu_launch(&table, 7, 1 + (uintptr_t)i % 3, 1000);
    assert_true(fake.begun < 20);
    assert_int_equal(table.cuCtxDestroy_v2((CUcontext)1), CUDA_SUCCESS);
    assert_int_equal(fake.destroyed, 1);
    assert_int_equal(fake.begun, 20);
    assert_false(fake.wants);
    assert_true(fake.own.used_ns >= 20 * MILLISECOND);
    /* The next one has nothing of it. */
    fake.context = (CUcontext)2;
    assert_int_equal(fake_gpu_launch(&table, 7, 4, 10), CUDA_SUCCESS);
    assert_true(fake.wants);
}

static void what_fails_while_it_is_held_holds_nothing_up(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, WHOLE);
    fake_gpu_launch(&table, 7, 1, 1000);
    fake_gpu_launch(&table, 7, 1, 1000);
    fake.refused = CUDA_ERROR_INVALID_VALUE;
    assert_int_equal(fake_gpu_launch(&table, 7, 1, 1000), CUDA_ERROR_INVALID_VALUE);
    fake.refused = CUDA_SUCCESS;
    fake_gpu_launch(&table, 7, 1, 1000);
    assert_true(fake.begun < 3);
    fake_gpu_pass(10 * MILLISECOND);
    assert_int_equal(fake.begun, 3);
    assert_int_equal(weft_gate.held_count, 0);
    assert_int_equal(fake.charges, 3);
    assert_false(fake.wants);
}

/* As where a call of the program waits, inside of the driver, for what is held. */
static void a_driver_that_is_stuck_is_not_waited_for(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 3000);
    for (int i = 0; i < 50; i++)
        fake_gpu_launch(&table, 7, 1, 10000);
    uint64_t begin_ns = fake.now_ns;
    uint32_t queries = fake.queries, before = fake.begun;
    assert_true(before < 10);
    weft_gate_enter();
    fake_gpu_pass_stuck(SECOND);
    weft_gate_leave();
    assert_int_equal(fake.queries, queries);
    assert_in_range(fake.now_ns - begin_ns, SECOND, SECOND + MILLISECOND);
    assert_in_range(fake.begun - before, 28, 33);
    while (fake.begun < 50)
        fake_gpu_pass(MILLISECOND);
    fake_gpu_pass(20 * MILLISECOND);
    assert_in_range(fake.own.used_ns, 500 * MILLISECOND, 505 * MILLISECOND);
    assert_false(fake.wants);
}

static void a_lost_context_holds_nobody(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, WHOLE);
    fake_gpu_launch(&table, 7, 1, UINT32_MAX);
    fake.lost = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    weft_gate_look();
    assert_false(fake.wants);
    assert_int_equal(fake.charges, 1);
    fake.lost = CUDA_SUCCESS;
    fake.context = (CUcontext)2;
    fake.free_ns = fake.now_ns;
    assert_int_equal(fake_gpu_launch(&table, 7, 5, 10), CUDA_SUCCESS);
    assert_int_equal(fake.launches, 2);
}

static void errors_come_back_and_cost_nothing(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 100);
    fake.refused = CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < 2000; i++)
        assert_int_equal(fake_gpu_launch(&table, 7, 1, 10), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(fake.charges, 0);
    assert_false(fake.wants);
    assert_true(fake.event_count <= 2);
}

static void every_way_to_launch_is_gated(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, WHOLE);
    const CUlaunchConfig config = {.gridDimX = 10, .hStream = (CUstream)1};
    CUfunction f = (CUfunction)7;
    CUstream stream = (CUstream)1;
    assert_int_equal(table.cuLaunchKernel(f, 10, 1, 1, 1, 1, 1, 0, stream, NULL, NULL), 0);
    assert_int_equal(table.cuLaunchKernel_ptsz(f, 10, 1, 1, 1, 1, 1, 0, stream, NULL, NULL), 0);
    assert_int_equal(table.cuLaunchCooperativeKernel(f, 10, 1, 1, 1, 1, 1, 0, stream, NULL), 0);
    assert_int_equal(table.cuLaunchCooperativeKernel_ptsz(f, 10, 1, 1, 1, 1, 1, 0, stream, NULL),
                     0);
    assert_int_equal(table.cuLaunchKernelEx(&config, f, NULL, NULL), 0);
    assert_int_equal(table.cuLaunchKernelEx_ptsz(&config, f, NULL, NULL), 0);
    assert_int_equal(table.cuGraphLaunch((CUgraphExec)20, stream), 0);
    assert_int_equal(table.cuGraphLaunch_ptsz((CUgraphExec)20, stream), 0);
    assert_int_equal(table.cuLaunch(f), 0);
    assert_int_equal(table.cuLaunchGrid(f, 10, 1), 0);
    assert_int_equal(table.cuLaunchGridAsync(f, 10, 1, stream), 0);
    fake_gpu_pass(MILLISECOND);
    assert_int_equal(fake.launches, 11);
    assert_int_equal(fake.charges, 11);
    assert_in_range(fake.own.used_ns, 130 * MICROSECOND, 150 * MICROSECOND);
}

/* A kernel of a library may be launched in a stream of a context that is not current. */
static void streams_of_other_contexts_are_gated(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, WHOLE);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fake_gpu_launch(&table, 7, FAKE_STREAMS - 1, 1000), CUDA_SUCCESS);
    assert_ptr_equal(weft_gate.lanes[0].context, (CUcontext)2);
    assert_ptr_equal(fake.context, (CUcontext)1);
    fake_gpu_pass(20 * MILLISECOND);
    assert_int_equal(fake.charges, 10);
    assert_in_range(fake.own.used_ns, 10 * MILLISECOND, 11 * MILLISECOND);
    assert_null(weft_gate.lanes[1].context);
}

/* Each part is held, measured and charged where it runs. */
static void a_launch_on_several_devices_is_one_on_each(void **state)
{
    CUDA_LAUNCH_PARAMS parts[2] = {
        {.function = (CUfunction)7, .gridDimX = 1000, .hStream = (CUstream)(FAKE_STREAMS - 1)},
        {.function = (CUfunction)8, .gridDimX = 3000, .hStream = (CUstream)1}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        fake_gpu_init(&table, 100, 1000);
        fake.cannot_wait = i;
        uint64_t begin_ns = fake.now_ns;
        for (int n = 0; n < 5; n++)
            assert_int_equal(table.cuLaunchCooperativeKernelMultiDevice(parts, 2, 0), 0);
        assert_int_equal(fake.launches, 10);
        if (i)
            assert_true(fake.now_ns - begin_ns > 50 * MILLISECOND);
        else
            assert_true(fake.begun < 10 && fake.now_ns - begin_ns < MILLISECOND);
        fake_gpu_pass(300 * MILLISECOND);
        assert_int_equal(fake.begun, 10);
        assert_int_equal(fake.charges, 10);
        assert_in_range(fake.own.used_ns, 20 * MILLISECOND, 41 * MILLISECOND);
        assert_false(fake.wants);
        assert_ptr_equal(fake.context, (CUcontext)1);
    }
    fake.refused = CUDA_ERROR_INVALID_VALUE;
    assert_int_equal(table.cuLaunchCooperativeKernelMultiDevice(parts, 2, 0),
                     CUDA_ERROR_INVALID_VALUE);
    fake_gpu_pass(300 * MILLISECOND);
    assert_int_equal(fake.charges, 10);
    assert_int_equal(weft_gate.held_count, 0);
    assert_int_equal(table.cuLaunchCooperativeKernelMultiDevice(parts, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caps_hold),
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(the_device_is_kept_busy),
        cmocka_unit_test(who_is_alone_is_asked_nothing),
        cmocka_unit_test(captures_are_not_touched),
        cmocka_unit_test(a_kernel_that_nobody_knows_goes_alone),
        cmocka_unit_test(time_that_overlaps_counts_once),
        cmocka_unit_test(partners_come_together),
        cmocka_unit_test(partners_in_two_processes_come_together),
        cmocka_unit_test(long_kernels_do_not_get_past_a_cap),
        cmocka_unit_test(held_launches_return),
        cmocka_unit_test(who_comes_to_be_alone_holds_nothing),
        cmocka_unit_test(what_is_held_is_bounded),
        cmocka_unit_test(nothing_is_held_for_ever),
        cmocka_unit_test(a_full_lane_holds_no_partner),
        cmocka_unit_test(what_is_held_ends_with_its_context),
        cmocka_unit_test(what_fails_while_it_is_held_holds_nothing_up),
        cmocka_unit_test(a_driver_that_is_stuck_is_not_waited_for),
        cmocka_unit_test(a_lost_context_holds_nobody),
        cmocka_unit_test(errors_come_back_and_cost_nothing),
        cmocka_unit_test(every_way_to_launch_is_gated),
        cmocka_unit_test(streams_of_other_contexts_are_gated),
        cmocka_unit_test(a_launch_on_several_devices_is_one_on_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

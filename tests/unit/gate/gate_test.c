/* The gate before a GPU in virtual time. What would break it: a tenant that gets more than its cap
 * or its share, or leaves the device idle; a kernel of which nothing is known and that others wait
 * for behind another; time of kernels that ran at once counted twice; a call in the way of a
 * capture, or of who is alone; a launch that waits for ever for one that waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_gpu.h"

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
    for (size_t i = 0; i < 6; i++) {
        uint32_t cap_e4 = i < 3 ? 3000 : 7000;
        fake_gpu_init(&table, 100, cap_e4);
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
    for (size_t i = 0; i < 9; i++) {
        uint32_t weight = i % 2 ? 300 : 900;
        fake_gpu_init(&table, weight, WHOLE);
        fake.neighbour_ns = kernels_us[i / 3] * MICROSECOND;
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
    assert_true(fake.now_ns >= end_ns);
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
    fake_gpu_init(&table, 100, 100);
    fake_gpu_launch(&table, 7, 1, UINT32_MAX);
    assert_int_equal(fake_gpu_launch(&table, 8, 2, 1), CUDA_SUCCESS);
    assert_int_equal(fake.launches, 2);
    assert_in_range(fake.now_ns - SECOND, WEFT_GATE_PATIENCE_NS, 2 * WEFT_GATE_PATIENCE_NS);
}

/* The same where the one that spins is another process of the tenant. */
static void partners_in_two_processes_come_together(void **state)
{
    (void)state;
    fake_gpu_init(&table, 100, 100);
    fake_gpu_launch(&table, 7, 1, 100000);
    fake.now_ns = fake.free_ns;
    weft_gate_look();
    assert_int_equal(fake.in_flight, 0);
    fake.other_is_busy = true;
    uint64_t begin_ns = fake.now_ns;
    fake_gpu_launch(&table, 7, 1, 1);
    assert_in_range(fake.now_ns - begin_ns, WEFT_GATE_PATIENCE_NS, 2 * WEFT_GATE_PATIENCE_NS);
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
    fake.stream_ns[3] = fake.free_ns = fake.now_ns;
    assert_int_equal(fake_gpu_launch(&table, 7, 3, 10), CUDA_SUCCESS);
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
    fake.now_ns += MILLISECOND;
    weft_gate_look();
    assert_int_equal(fake.launches, 8);
    assert_int_equal(fake.charges, 8);
    assert_in_range(fake.own.used_ns, 100 * MICROSECOND, 120 * MICROSECOND);
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
        cmocka_unit_test(a_lost_context_holds_nobody),
        cmocka_unit_test(errors_come_back_and_cost_nothing),
        cmocka_unit_test(every_way_to_launch_is_gated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

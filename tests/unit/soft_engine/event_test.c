/* Events: what would break it is a time or a state that comes before the work does, or a stream
 * that does not wait for what it was told to. */
#include "rig.h"

#include <pthread.h>
#include <unistd.h>

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

static CUevent new_event(unsigned int flags)
{
    CUevent event;
    RIG_OK(cuda.cuEventCreate(&event, flags));
    return event;
}

static CUstream new_stream(void)
{
    CUstream stream;
    RIG_OK(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

static void set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void follows_the_work_before_it(void **state)
{
    (void)state;
    uint32_t *flag = rig_word();
    CUstream stream = new_stream();
    CUevent before = new_event(0), after = new_event(0);
    float milliseconds;
    RIG_OK(cuda.cuEventQuery(before));
    RIG_OK(cuda.cuEventSynchronize(before));
    RIG_OK(cuda.cuEventRecord(before, stream));
    RIG_OK(rig_launch("await", 1, stream, flag, 1));
    RIG_OK(cuda.cuEventRecord(after, stream));
    RIG_OK(cuda.cuEventSynchronize(before));
    assert_int_equal(cuda.cuEventQuery(after), CUDA_ERROR_NOT_READY);
    assert_int_equal(cuda.cuEventElapsedTime(&milliseconds, before, after), CUDA_ERROR_NOT_READY);
    usleep(3000);
    set(flag, 1);
    RIG_OK(cuda.cuEventSynchronize(after));
    RIG_OK(cuda.cuEventQuery(after));
    RIG_OK(cuda.cuEventElapsedTime(&milliseconds, before, after));
    assert_true(milliseconds >= 3.0f);
    RIG_OK(cuda.cuEventElapsedTime(&milliseconds, after, before));
    assert_true(milliseconds <= -3.0f);
    RIG_OK(cuda.cuEventDestroy_v2(before));
    assert_int_equal(cuda.cuEventQuery(before), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuEventDestroy_v2(before), CUDA_ERROR_INVALID_HANDLE);
}

static void orders_streams(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *order = rig_word();
    CUstream first = new_stream(), second = new_stream(), third = new_stream();
    CUevent event = new_event(CU_EVENT_DISABLE_TIMING);
    RIG_OK(rig_launch("await", 1, first, flag, 1));
    RIG_OK(rig_launch("step", 1, first, order, 0));
    RIG_OK(cuda.cuEventRecord(event, first));
    RIG_OK(cuda.cuStreamWaitEvent(second, event, 0));
    RIG_OK(cuda.cuStreamWaitEvent(third, event, 0));
    /* The wait is for the record of then: recording again, and destroying, change nothing. */
    RIG_OK(rig_launch("step", 1, second, order, 1));
    RIG_OK(cuda.cuEventRecord(event, second));
    RIG_OK(cuda.cuStreamWaitEvent(third, event, 0));
    RIG_OK(cuda.cuEventDestroy_v2(event));
    RIG_OK(rig_launch("step", 1, third, order, 2));
    assert_int_equal(cuda.cuStreamQuery(third), CUDA_ERROR_NOT_READY);
    assert_int_equal(*order, 0);
    set(flag, 1);
    RIG_OK(cuda.cuStreamSynchronize(third));
    assert_int_equal(*order, 3);
}

static void stands_for_its_latest_record(void **state)
{
    (void)state;
    uint32_t *flag = rig_word();
    CUstream stream = new_stream();
    CUevent event = new_event(0);
    RIG_OK(cuda.cuEventRecord(event, stream));
    RIG_OK(cuda.cuEventSynchronize(event));
    RIG_OK(rig_launch("await", 1, stream, flag, 1));
    RIG_OK(cuda.cuEventRecord(event, stream));
    assert_int_equal(cuda.cuEventQuery(event), CUDA_ERROR_NOT_READY);
    set(flag, 1);
    RIG_OK(cuda.cuEventSynchronize(event));
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    CUevent event = new_event(0), silent = new_event(CU_EVENT_DISABLE_TIMING);
    float milliseconds;
    assert_int_equal(cuda.cuEventCreate(&event, 8), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuEventCreate(&event, CU_EVENT_INTERPROCESS), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuEventCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuEventElapsedTime(&milliseconds, event, event),
                     CUDA_ERROR_INVALID_HANDLE);
    RIG_OK(cuda.cuEventRecord(event, NULL));
    RIG_OK(cuda.cuEventRecord(silent, NULL));
    RIG_OK(cuda.cuCtxSynchronize());
    RIG_OK(cuda.cuEventElapsedTime(&milliseconds, event, event));
    assert_true(milliseconds == 0.0f);
    assert_int_equal(cuda.cuEventElapsedTime(&milliseconds, event, silent),
                     CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuEventRecord(event, (CUstream)event), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuStreamWaitEvent(NULL, (CUevent)&event, 0), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuStreamWaitEvent(NULL, event, 2), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuEventRecordWithFlags(event, NULL, 2), CUDA_ERROR_INVALID_VALUE);
}

static void is_not_recorded_in_the_stream_of_another_context(void **state)
{
    (void)state;
    CUcontext other;
    CUevent event = new_event(0);
    RIG_OK(cuda.cuCtxCreate_v2(&other, 0, 0));
    assert_int_equal(cuda.cuEventRecord(event, NULL), CUDA_ERROR_INVALID_HANDLE);
    RIG_OK(cuda.cuStreamWaitEvent(NULL, event, 0));
    RIG_OK(cuda.cuCtxDestroy_v2(other));
}

static void stands_for_the_whole_context(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *other_flag = rig_word();
    CUcontext context;
    CUstream first = new_stream(), second = new_stream(), later = new_stream();
    CUevent event = new_event(0);
    RIG_OK(cuda.cuCtxGetCurrent(&context));
    RIG_OK(rig_launch("await", 1, first, flag, 1));
    RIG_OK(rig_launch("await", 1, second, flag, 2));
    RIG_OK(cuda.cuCtxRecordEvent(context, event));
    RIG_OK(rig_launch("await", 1, later, other_flag, 1));
    assert_int_equal(cuda.cuEventQuery(event), CUDA_ERROR_NOT_READY);
    set(flag, 1);
    RIG_OK(cuda.cuStreamSynchronize(first));
    assert_int_equal(cuda.cuEventQuery(event), CUDA_ERROR_NOT_READY);
    set(flag, 2);
    RIG_OK(cuda.cuEventSynchronize(event)); /* though what came later still runs */
    assert_int_equal(cuda.cuStreamQuery(later), CUDA_ERROR_NOT_READY);
    set(other_flag, 1);
    RIG_OK(cuda.cuCtxSynchronize());
}

static void holds_a_whole_context_back(void **state)
{
    (void)state;
    uint32_t *flag = rig_word(), *order = rig_word();
    CUcontext context, other;
    CUevent event = new_event(0);
    RIG_OK(cuda.cuCtxGetCurrent(&context));
    CUstream busy = new_stream(), before = new_stream();
    RIG_OK(rig_launch("await", 1, busy, flag, 1));
    RIG_OK(rig_launch("step", 1, busy, order, 1));
    RIG_OK(cuda.cuEventRecord(event, busy));
    RIG_OK(rig_launch("step", 1, before, order, 0));
    RIG_OK(cuda.cuCtxWaitEvent(context, event));
    CUstream after = new_stream();
    RIG_OK(rig_launch("step", 1, after, order, 2));
    assert_int_equal(cuda.cuStreamQuery(after), CUDA_ERROR_NOT_READY);
    RIG_OK(cuda.cuStreamSynchronize(before)); /* what came earlier does not wait */
    RIG_OK(cuda.cuCtxCreate_v2(&other, 0, 0));
    RIG_OK(cuda.cuCtxSynchronize()); /* nor does another context */
    RIG_OK(cuda.cuCtxDestroy_v2(other));
    set(flag, 1);
    RIG_OK(cuda.cuStreamSynchronize(after));
    assert_int_equal(*order, 3);
}

static void refuses_contexts_that_are_not_its_own(void **state)
{
    (void)state;
    CUcontext context, other;
    CUevent event = new_event(0);
    CUstream stream = new_stream();
    CUgraph graph;
    RIG_OK(cuda.cuCtxGetCurrent(&context));
    RIG_OK(cuda.cuCtxCreate_v2(&other, 0, 0));
    assert_int_equal(cuda.cuCtxRecordEvent(other, event), CUDA_ERROR_INVALID_HANDLE);
    RIG_OK(cuda.cuCtxWaitEvent(other, event));
    RIG_OK(cuda.cuCtxDestroy_v2(other));
    assert_int_equal(cuda.cuCtxWaitEvent(other, event), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuda.cuCtxRecordEvent(context, (CUevent)&event), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuCtxWaitEvent(context, NULL), CUDA_ERROR_INVALID_HANDLE);
    RIG_OK(cuda.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    assert_int_equal(cuda.cuCtxRecordEvent(context, event), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_int_equal(cuda.cuStreamEndCapture(stream, &graph),
                     CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

int main(void)
{
    rig_open(1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(follows_the_work_before_it),   TEST(orders_streams),
        TEST(stands_for_its_latest_record), TEST(stands_for_the_whole_context),
        TEST(holds_a_whole_context_back),   TEST(refuses_contexts_that_are_not_its_own),
        TEST(refuses_what_makes_no_sense),  TEST(is_not_recorded_in_the_stream_of_another_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Contexts: what would break it is a context that outlives its handle, a thread that sees another's
 * stack, an error that leaks into other contexts, or a destruction that waits for endless work. */
#include "rig.h"

#include <pthread.h>
#include <string.h>

static CUcontext create(void)
{
    CUcontext context;
    RIG_OK(cuda.cuCtxCreate_v2(&context, 0, 0));
    return context;
}

static CUcontext current(void)
{
    CUcontext context;
    RIG_OK(cuda.cuCtxGetCurrent(&context));
    return context;
}

static void keeps_a_stack(void **state)
{
    (void)state;
    CUcontext popped, one = create(), two = create();
    assert_ptr_equal(current(), two);
    RIG_OK(cuda.cuCtxPopCurrent_v2(&popped));
    assert_ptr_equal(popped, two);
    assert_ptr_equal(current(), one);
    RIG_OK(cuda.cuCtxPushCurrent_v2(two));
    RIG_OK(cuda.cuCtxSetCurrent(one));
    RIG_OK(cuda.cuCtxSetCurrent(NULL));
    assert_ptr_equal(current(), one);
    RIG_OK(cuda.cuCtxDestroy_v2(two));
    RIG_OK(cuda.cuCtxDestroy_v2(one));
    assert_ptr_equal(current(), NULL);
    assert_int_equal(cuda.cuCtxPopCurrent_v2(&popped), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuda.cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuda.cuCtxPushCurrent_v2(two), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuda.cuCtxDestroy_v2(two), CUDA_ERROR_INVALID_CONTEXT);
}

static void keeps_a_deep_stack(void **state)
{
    (void)state;
    CUcontext popped, context = create();
    for (int i = 0; i < 500; i++)
        RIG_OK(cuda.cuCtxPushCurrent_v2(context));
    for (int i = 0; i < 500; i++)
        RIG_OK(cuda.cuCtxPopCurrent_v2(&popped));
    RIG_OK(cuda.cuCtxDestroy_v2(context));
}

static void *ask_current(void *argument)
{
    assert_ptr_equal(current(), NULL);
    assert_int_equal(cuda.cuCtxSetCurrent(argument), CUDA_SUCCESS);
    return current();
}

static void has_a_stack_for_each_thread(void **state)
{
    (void)state;
    CUcontext context = create();
    void *seen;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_current, context), 0);
    pthread_join(thread, &seen);
    assert_ptr_equal(seen, context);
    RIG_OK(cuda.cuCtxDestroy_v2(context));
}

static void *destroy(void *context)
{
    return (void *)(uintptr_t)cuda.cuCtxDestroy_v2(context);
}

static void says_so_where_another_thread_destroyed_it(void **state)
{
    (void)state;
    CUcontext popped, context = create();
    CUdevice device;
    void *result;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, destroy, context), 0);
    pthread_join(thread, &result);
    assert_int_equal((uintptr_t)result, CUDA_SUCCESS);
    assert_int_equal(cuda.cuCtxGetDevice(&device), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    RIG_OK(cuda.cuCtxPopCurrent_v2(&popped));
}

static void describes_itself(void **state)
{
    (void)state;
    CUcontext context;
    CUdevice device = 7;
    unsigned int flags, version;
    unsigned long long id, other_id;
    int least, greatest;
    RIG_OK(cuda.cuCtxCreate_v2(&context, CU_CTX_SCHED_YIELD | CU_CTX_MAP_HOST, 1));
    RIG_OK(cuda.cuCtxGetDevice(&device));
    assert_int_equal(device, 1);
    RIG_OK(cuda.cuCtxGetFlags(&flags));
    assert_int_equal(flags, CU_CTX_SCHED_YIELD | CU_CTX_MAP_HOST);
    RIG_OK(cuda.cuCtxSetFlags(CU_CTX_SCHED_SPIN));
    RIG_OK(cuda.cuCtxGetFlags(&flags));
    assert_int_equal(flags, CU_CTX_SCHED_SPIN);
    RIG_OK(cuda.cuCtxGetApiVersion(context, &version));
    assert_int_equal(version, 3020);
    RIG_OK(cuda.cuCtxGetStreamPriorityRange(&least, &greatest));
    assert_true(least == 0 && greatest < 0);
    RIG_OK(cuda.cuCtxGetId(context, &id));
    CUcontext other = create();
    RIG_OK(cuda.cuCtxGetId(NULL, &other_id));
    assert_true(id != other_id);
    assert_int_equal(cuda.cuCtxEnablePeerAccess(other, 0), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuda.cuCtxDisablePeerAccess(context), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    RIG_OK(cuda.cuCtxDestroy_v2(other));
    RIG_OK(cuda.cuCtxDestroy_v2(context));
    assert_int_equal(cuda.cuCtxCreate_v2(&context, 3, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuCtxCreate_v2(&context, 0, 2), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuda.cuCtxCreate_v2(&context, 0, -1), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuda.cuInit(1), CUDA_ERROR_INVALID_VALUE);
}

static void keeps_limits(void **state)
{
    (void)state;
    CUcontext context = create();
    size_t value;
    RIG_OK(cuda.cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
    assert_int_equal(value, 1024);
    RIG_OK(cuda.cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 5000));
    RIG_OK(cuda.cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
    assert_int_equal(value, 5008);
    RIG_OK(cuda.cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 1 << 24));
    RIG_OK(cuda.cuCtxGetLimit(&value, CU_LIMIT_MALLOC_HEAP_SIZE));
    assert_int_equal(value, 1 << 24);
    assert_int_equal(cuda.cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 1 << 30), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuCtxSetLimit((CUlimit)99, 1), CUDA_ERROR_UNSUPPORTED_LIMIT);
    assert_int_equal(cuda.cuCtxGetLimit(&value, (CUlimit)-1), CUDA_ERROR_UNSUPPORTED_LIMIT);
    RIG_OK(cuda.cuCtxDestroy_v2(context));
}

static void primary_lives_from_first_retain_to_last_release(void **state)
{
    (void)state;
    CUcontext first, second;
    unsigned int flags;
    int active;
    RIG_OK(cuda.cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_BLOCKING_SYNC));
    RIG_OK(cuda.cuDevicePrimaryCtxGetState(0, &flags, &active));
    assert_int_equal(active, 0);
    RIG_OK(cuda.cuDevicePrimaryCtxRetain(&first, 0));
    RIG_OK(cuda.cuDevicePrimaryCtxRetain(&second, 0));
    assert_ptr_equal(first, second);
    RIG_OK(cuda.cuDevicePrimaryCtxGetState(0, &flags, &active));
    assert_int_equal(active, 1);
    assert_int_equal(flags, CU_CTX_SCHED_BLOCKING_SYNC);
    RIG_OK(cuda.cuDevicePrimaryCtxRelease_v2(0));
    RIG_OK(cuda.cuCtxPushCurrent_v2(first));
    assert_int_equal(cuda.cuCtxDestroy_v2(first), CUDA_ERROR_INVALID_CONTEXT);
    RIG_OK(cuda.cuCtxSynchronize());
    RIG_OK(cuda.cuDevicePrimaryCtxRelease_v2(0));
    assert_int_equal(cuda.cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    RIG_OK(cuda.cuCtxPopCurrent_v2(&first));
    assert_int_equal(cuda.cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuda.cuDevicePrimaryCtxRetain(&first, 5), CUDA_ERROR_INVALID_DEVICE);
}

static void reset_gives_a_fresh_primary(void **state)
{
    (void)state;
    CUcontext before, after;
    int active;
    unsigned int flags;
    RIG_OK(cuda.cuDevicePrimaryCtxRetain(&before, 0));
    RIG_OK(cuda.cuDevicePrimaryCtxReset_v2(0));
    RIG_OK(cuda.cuDevicePrimaryCtxGetState(0, &flags, &active));
    assert_int_equal(active, 0);
    RIG_OK(cuda.cuDevicePrimaryCtxRetain(&after, 0));
    assert_ptr_not_equal(before, after);
    RIG_OK(cuda.cuDevicePrimaryCtxRelease_v2(0));
    RIG_OK(cuda.cuDevicePrimaryCtxRelease_v2(0));
}

/* Its blocks would run for ever; only dropping them ends this test. */
static void destruction_drops_endless_work(void **state)
{
    (void)state;
    rig_enter();
    uint32_t *word = rig_word();
    CUstream stream;
    CUevent event;
    RIG_OK(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    RIG_OK(cuda.cuEventCreate(&event, 0));
    RIG_OK(rig_launch("endless", 1000, NULL, word, 0));
    RIG_OK(rig_launch("endless", 3, stream, word, 0));
    RIG_OK(cuda.cuEventRecord(event, stream));
    RIG_OK(cuda.cuStreamWaitEvent(NULL, event, 0));
    RIG_OK(rig_launch("count", 3, NULL, word, 0));
    rig_leave();
    assert_int_equal(cuda.cuEventQuery(event), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
}

static void fault_is_sticky_in_its_context_alone(void **state)
{
    (void)state;
    static const struct {
        enum weft_exec_fault_kind kind;
        CUresult result;
    } cases[] = {
        {WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, CUDA_ERROR_ILLEGAL_ADDRESS},
        {WEFT_EXEC_FAULT_MISALIGNED, CUDA_ERROR_MISALIGNED_ADDRESS},
        {WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, CUDA_ERROR_ILLEGAL_INSTRUCTION},
        {WEFT_EXEC_FAULT_INVALID_PC, CUDA_ERROR_INVALID_PC},
        {WEFT_EXEC_FAULT_STACK_OVERFLOW, CUDA_ERROR_HARDWARE_STACK_ERROR},
        {WEFT_EXEC_FAULT_DEADLOCK, CUDA_ERROR_LAUNCH_FAILED},
        {WEFT_EXEC_FAULT_ASSERT, CUDA_ERROR_ASSERT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_enter();
        CUcontext faulty = current(), popped;
        CUstream stream;
        RIG_OK(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
        uint32_t *words = rig_word();
        RIG_OK(rig_launch("endless", 50, stream, words, 0));
        RIG_OK(rig_launch("await", 1, NULL, words, 1));
        RIG_OK(rig_launch("fault", 1, NULL, words, cases[i].kind));
        RIG_OK(rig_launch("count", 5, NULL, &words[1], 0));
        __atomic_store_n(words, 1, __ATOMIC_RELEASE);
        assert_int_equal(cuda.cuCtxSynchronize(), cases[i].result);
        assert_int_equal(cuda.cuStreamQuery(stream), cases[i].result);
        CUdevice device;
        assert_int_equal(cuda.cuCtxGetDevice(&device), cases[i].result);
        assert_int_equal(words[1], 0);
        assert_int_equal(cuda.cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
                         cases[i].result);
        RIG_OK(cuda.cuCtxPopCurrent_v2(&popped));
        CUcontext healthy = create();
        RIG_OK(cuda.cuCtxSynchronize());
        RIG_OK(cuda.cuCtxDestroy_v2(healthy));
        RIG_OK(cuda.cuCtxDestroy_v2(faulty));
    }
}

static void fault_is_told_to_the_person(void **state)
{
    (void)state;
    rig_enter();
    CUcontext context = current();
    RIG_OK(rig_launch("fault", 1, NULL, rig_word(), WEFT_EXEC_FAULT_ILLEGAL_ADDRESS));
    assert_int_equal(cuda.cuStreamSynchronize(NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    const char *report = rig_report();
    static const char *const parts[] = {"kernel fault",   "line 17",       "ld.global.u32",
                                        "thread (3,2,1)", "block (0,0,0)", "0xdead0"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!strstr(report, parts[i]))
            fail_msg("no \"%s\" in: %s", parts[i], report);
    RIG_OK(cuda.cuCtxDestroy_v2(context));
}

static void note_status(CUstream stream, CUresult status, void *argument)
{
    (void)stream;
    __atomic_store_n((int *)argument, (int)status, __ATOMIC_RELEASE);
}

static void stream_callback_hears_of_the_fault(void **state)
{
    (void)state;
    rig_enter();
    CUcontext context = current();
    int status = -1, never = -1;
    uint32_t *flag = rig_word();
    RIG_OK(rig_launch("await", 1, NULL, flag, 1));
    RIG_OK(rig_launch("fault", 1, NULL, flag, WEFT_EXEC_FAULT_MISALIGNED));
    RIG_OK(cuda.cuStreamAddCallback(NULL, note_status, &status, 0));
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
    assert_int_equal(cuda.cuStreamSynchronize(NULL), CUDA_ERROR_MISALIGNED_ADDRESS);
    assert_int_equal(__atomic_load_n(&status, __ATOMIC_ACQUIRE), CUDA_ERROR_MISALIGNED_ADDRESS);
    assert_int_equal(cuda.cuStreamAddCallback(NULL, note_status, &never, 0),
                     CUDA_ERROR_MISALIGNED_ADDRESS);
    RIG_OK(cuda.cuCtxDestroy_v2(context));
    assert_int_equal(never, -1);
}

static void call_cuda(void *argument)
{
    CUcontext context;
    *(CUresult *)argument = cuda.cuCtxGetCurrent(&context);
}

static void callbacks_may_not_call_cuda(void **state)
{
    (void)state;
    CUcontext context = create();
    CUresult seen = CUDA_SUCCESS;
    RIG_OK(cuda.cuLaunchHostFunc(NULL, call_cuda, &seen));
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(seen, CUDA_ERROR_NOT_PERMITTED);
    RIG_OK(cuda.cuCtxDestroy_v2(context));
}

int main(void)
{
    rig_open(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_stack),
        cmocka_unit_test(keeps_a_deep_stack),
        cmocka_unit_test(has_a_stack_for_each_thread),
        cmocka_unit_test(says_so_where_another_thread_destroyed_it),
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(keeps_limits),
        cmocka_unit_test(primary_lives_from_first_retain_to_last_release),
        cmocka_unit_test(reset_gives_a_fresh_primary),
        cmocka_unit_test(destruction_drops_endless_work),
        cmocka_unit_test(fault_is_sticky_in_its_context_alone),
        cmocka_unit_test(fault_is_told_to_the_person),
        cmocka_unit_test(stream_callback_hears_of_the_fault),
        cmocka_unit_test(callbacks_may_not_call_cuda),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

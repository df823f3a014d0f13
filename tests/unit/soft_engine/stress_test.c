/* Threads that use one context in every way at once, by a fixed sequence of pseudo-random choices:
 * what would break it is work that is lost or done twice, a wait that never ends, or (under the
 * sanitizers) an object that is used after it went. */
#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define STEPS 400
#define STREAMS 4
#define EVENTS 4
#define CONTEXTS 3

struct user {
    CUcontext context;
    uint32_t *word;      /* shared by all */
    CUdeviceptr address; /* the word's */
    uint32_t random;
    atomic_uint *expected, *called;
    CUevent *events; /* shared by all */
};

static uint32_t choose(struct user *user, uint32_t choices)
{
    user->random = user->random * 1664525u + 1013904223u;
    return (user->random >> 16) % choices;
}

static void count_call(void *called)
{
    atomic_fetch_add((atomic_uint *)called, 1);
}

static CUresult step(struct user *user, CUstream *streams)
{
    uint32_t which = choose(user, STREAMS);
    CUevent event = user->events[choose(user, EVENTS)];
    switch (choose(user, 9)) {
    case 0:
    case 1:
    case 2: {
        uint32_t blocks = 1 + choose(user, 9);
        atomic_fetch_add(user->expected, blocks);
        return rig_launch("count", blocks, streams[which], user->word, 0);
    }
    case 3:
        return cuda.cuEventRecord(event, streams[which]);
    case 4:
        return cuda.cuStreamWaitEvent(streams[which], event, 0);
    case 5:
        return cuda.cuStreamSynchronize(streams[which]);
    case 6:
        atomic_fetch_add(&user->expected[1], 1);
        return cuda.cuLaunchHostFunc(streams[which], count_call, user->called);
    case 7: {
        CUresult result = which ? cuda.cuStreamDestroy_v2(streams[which]) : CUDA_SUCCESS;
        return which && !result ? cuda.cuStreamCreate(&streams[which], which % 2) : result;
    }
    default: {
        CUresult result = cuda.cuEventQuery(event);
        return result == CUDA_ERROR_NOT_READY ? CUDA_SUCCESS : result;
    }
    }
}

static void *use(void *argument)
{
    struct user *user = argument;
    CUstream streams[STREAMS] = {NULL};
    assert_int_equal(cuda.cuCtxSetCurrent(user->context), CUDA_SUCCESS);
    for (uint32_t i = 1; i < STREAMS; i++)
        assert_int_equal(cuda.cuStreamCreate(&streams[i], i % 2), CUDA_SUCCESS);
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(step(user, streams), CUDA_SUCCESS);
    return NULL;
}

static void loses_nothing(void **state)
{
    (void)state;
    CUcontext context;
    CUevent events[EVENTS];
    atomic_uint expected[2] = {0}, called = 0;
    struct user users[THREADS];
    pthread_t threads[THREADS];
    rig_enter();
    RIG_OK(cuda.cuCtxGetCurrent(&context));
    uint32_t *word = rig_word();
    for (int i = 0; i < EVENTS; i++)
        RIG_OK(cuda.cuEventCreate(&events[i], 0));
    for (uint32_t i = 0; i < THREADS; i++) {
        users[i] = (struct user){.context = context,
                                 .word = word,
                                 .random = i + 1,
                                 .expected = expected,
                                 .called = &called,
                                 .events = events};
        assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(*word, atomic_load(&expected[0]));
    assert_int_equal(atomic_load(&called), atomic_load(&expected[1]));
    rig_leave();
}

/* Contexts come and go with work in them, some of it endless, some that faults. */
static void *come_and_go(void *argument)
{
    struct user *user = argument;
    for (int i = 0; i < 40; i++) {
        CUcontext context;
        CUmodule module;
        CUfunction count, other;
        static const char *const names[] = {"endless", "fault", "count"};
        uint64_t values[2] = {user->address, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS};
        void *params[] = {&values[0], &values[1]};
        assert_int_equal(cuda.cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
        assert_int_equal(cuda.cuModuleLoadData(&module, rig_ptx), CUDA_SUCCESS);
        assert_int_equal(cuda.cuModuleGetFunction(&count, module, "count"), CUDA_SUCCESS);
        assert_int_equal(cuda.cuModuleGetFunction(&other, module, names[choose(user, 3)]),
                         CUDA_SUCCESS);
        assert_int_equal(
            cuda.cuLaunchKernel(other, 20, 1, 1, 1, 1, 1, 0, CU_STREAM_PER_THREAD, params, NULL),
            CUDA_SUCCESS);
        cuda.cuLaunchKernel(count, 20, 1, 1, 1, 1, 1, 0, NULL, params, NULL);
        assert_int_equal(cuda.cuCtxDestroy_v2(context), CUDA_SUCCESS);
    }
    return NULL;
}

static void destroys_contexts_in_use(void **state)
{
    (void)state;
    rig_enter();
    struct user users[CONTEXTS];
    pthread_t threads[CONTEXTS];
    uint32_t *word = rig_word();
    for (uint32_t i = 0; i < CONTEXTS; i++) {
        users[i] = (struct user){.address = rig_address(word), .random = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &users[i]), 0);
    }
    for (int i = 0; i < CONTEXTS; i++)
        pthread_join(threads[i], NULL);
    RIG_OK(rig_launch("count", 1, NULL, word, 0));
    RIG_OK(cuda.cuCtxSynchronize());
    rig_leave();
}

int main(void)
{
    rig_open(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_nothing),
        cmocka_unit_test(destroys_contexts_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

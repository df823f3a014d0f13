/* The memory limit over stream-ordered memory: pools are charged by what they reserve. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_driver.h"

/* What the driver has out and what the tenant is charged for must be the same at every step here.
 */
static void expect_charged(struct fixture *fixture, uint32_t device, uint64_t bytes)
{
    assert_int_equal(fixture_charged(fixture, device), bytes);
    assert_int_equal(fake.held[device], bytes);
}

/* Breaks if a pool is charged by its addresses and not by what it keeps reserved, or not given back
 * at the wait. */
static void pools_are_charged_by_what_they_reserve(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr a, b;
    fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemAllocAsync(&a, 1000, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, FAKE_CHUNK_BYTES);
    assert_int_equal(cuda->cuMemAllocAsync_ptsz(&b, FAKE_MIB, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, FAKE_CHUNK_BYTES);
    assert_int_equal(cuda->cuMemFreeAsync(a, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFreeAsync_ptsz(b, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, FAKE_CHUNK_BYTES);
    assert_int_equal(cuda->cuStreamSynchronize(NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, 0);
}

/* Breaks if one of the waits does not count anew, or if memory of a busy stream is given back
 * before its end. */
static void each_wait_gives_back(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr address;
    fake_context_make(cuda, 0);
    for (int wait = 0; wait < 5; wait++) {
        assert_int_equal(cuda->cuMemAllocAsync(&address, 5 * FAKE_MIB, NULL), CUDA_SUCCESS);
        fake.streams_busy = true;
        assert_int_equal(cuda->cuMemFreeAsync(address, NULL), CUDA_SUCCESS);
        expect_charged(fixture, 0, 6 * FAKE_MIB);
        switch (wait) {
        case 0:
            cuda->cuStreamSynchronize(NULL);
            break;
        case 1:
            cuda->cuStreamSynchronize_ptsz(NULL);
            break;
        case 2:
            cuda->cuEventSynchronize(NULL);
            break;
        case 3:
            cuda->cuCtxSynchronize();
            break;
        case 4:
            cuda->cuMemFreeAsync(0, NULL);
            fake.streams_busy = false;
            cuda->cuStreamSynchronize(NULL);
            break;
        }
        expect_charged(fixture, 0, 0);
    }
}

/* Breaks if memory that pools keep unused makes anything be refused, of any kind or of another
 * pool. */
static void pools_are_trimmed_before_a_refusal(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemPoolProps props = fake_pool_props(0);
    CUmemAllocationProp prop = fake_memory_prop(0);
    CUmemGenericAllocationHandle handle;
    CUmemoryPool pool;
    CUdeviceptr address, kept;
    fake_context_make(cuda, 0);
    fixture_limit(fixture, 0, 8 * FAKE_MIB);
    assert_int_equal(cuda->cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);

    assert_int_equal(cuda->cuMemAllocAsync(&address, 8 * FAKE_MIB, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFreeAsync(address, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, 8 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 8 * FAKE_MIB), CUDA_SUCCESS);
    expect_charged(fixture, 0, 8 * FAKE_MIB);
    assert_int_equal(cuda->cuMemFree_v2(address), CUDA_SUCCESS);

    assert_int_equal(cuda->cuMemAllocAsync(&address, 8 * FAKE_MIB, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFreeAsync(address, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocFromPoolAsync(&kept, 2 * FAKE_MIB, pool, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, 2 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAllocAsync(&address, 6 * FAKE_MIB, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFreeAsync(address, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemCreate(&handle, 6 * FAKE_MIB, &prop, 0), CUDA_SUCCESS);
    expect_charged(fixture, 0, 8 * FAKE_MIB);

    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFree_v2(kept), CUDA_SUCCESS);
    expect_charged(fixture, 0, 0);
}

/* Breaks if a pool may grow past the limit by its chunk, or if the refused address stays with the
 * program or charged. */
static void growth_past_the_limit_is_undone(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr address = 55, kept;
    fake_context_make(cuda, 0);
    fixture_limit(fixture, 0, 3 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAllocAsync(&kept, 2 * FAKE_MIB, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocAsync(&address, 2 * FAKE_MIB, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    expect_charged(fixture, 0, 2 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAllocAsync(&address, 4096, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(address, 55);
    expect_charged(fixture, 0, 2 * FAKE_MIB);
    fake.streams_busy = true; /* nothing may wait for a stream that may wait for the program */
    assert_int_equal(cuda->cuMemAllocAsync(&address, 4096, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    assert_true(fake.streams_busy);
    assert_in_range(fixture_charged(fixture, 0), 2 * FAKE_MIB, 3 * FAKE_MIB);
    cuda->cuStreamSynchronize(NULL);
    expect_charged(fixture, 0, 2 * FAKE_MIB);
    assert_int_equal(cuda->cuMemFreeAsync(kept, NULL), CUDA_SUCCESS);
    cuda->cuCtxSynchronize();
    expect_charged(fixture, 0, 0);
}

/* Breaks if memory that the pool holds free can not be used once the limit is reached. */
static void free_part_of_a_pool_is_usable_at_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr a, b, c;
    fake_context_make(cuda, 0);
    fixture_limit(fixture, 0, 4 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAllocAsync(&a, 3 * FAKE_MIB, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, 4 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAllocAsync(&b, FAKE_MIB, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocAsync(&c, 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuMemFreeAsync(a, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocAsync(&c, 3 * FAKE_MIB, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, 4 * FAKE_MIB);
}

/* Breaks if a refusing backend leaves the expected growth charged: others of the tenant would
 * starve. */
static void backend_refusals_are_uncharged(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemPoolProps props = fake_pool_props(0);
    CUmemoryPool pool;
    CUdeviceptr address;
    fake_context_make(cuda, 0);
    fake.fail_next = CUDA_ERROR_ILLEGAL_ADDRESS;
    assert_int_equal(cuda->cuMemAllocAsync(&address, 3 * FAKE_MIB, NULL),
                     CUDA_ERROR_ILLEGAL_ADDRESS);
    expect_charged(fixture, 0, 0);
    assert_int_equal(cuda->cuMemAllocAsync(&address, 3 * FAKE_MIB, NULL), CUDA_SUCCESS);
    fake.fail_next = CUDA_ERROR_LAUNCH_FAILED;
    assert_int_equal(cuda->cuMemFreeAsync(address, NULL), CUDA_ERROR_LAUNCH_FAILED);
    assert_int_equal(cuda->cuMemFreeAsync(address, NULL), CUDA_SUCCESS);
    fake.fail_next = CUDA_ERROR_NOT_SUPPORTED;
    assert_int_equal(cuda->cuMemPoolCreate(&pool, &props), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(cuda->cuMemAllocAsync(NULL, 100, NULL), CUDA_ERROR_INVALID_VALUE);
    cuda->cuCtxSynchronize();
    expect_charged(fixture, 0, 0);
}

/* Breaks if a pool that can no longer be asked, as after a fault, is charged more with each
 * attempt. */
static void failing_context_charges_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr address;
    fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemAllocAsync(&address, 100, NULL), CUDA_SUCCESS);
    fake.attributes_fail = true;
    for (int i = 0; i < 3; i++) {
        fake.fail_next = CUDA_ERROR_ILLEGAL_ADDRESS;
        assert_int_equal(cuda->cuMemAllocAsync(&address, 4 * FAKE_MIB, NULL),
                         CUDA_ERROR_ILLEGAL_ADDRESS);
        expect_charged(fixture, 0, FAKE_CHUNK_BYTES);
    }
}

/* Breaks if a pool is charged to the current device and not to its own, or trimmed and destroyed
 * without being counted. */
static void created_pools_are_charged_where_they_lie(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemPoolProps props = fake_pool_props(1);
    CUmemoryPool pool;
    CUdeviceptr a, b;
    fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocFromPoolAsync(&a, 3 * FAKE_MIB, pool, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocFromPoolAsync_ptsz(&b, 100, pool, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, 0);
    expect_charged(fixture, 1, 4 * FAKE_MIB);
    assert_int_equal(cuda->cuMemFreeAsync(a, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemPoolTrimTo(pool, 0), CUDA_SUCCESS);
    expect_charged(fixture, 1, 2 * FAKE_MIB);
    fake.fail_next = CUDA_ERROR_NOT_PERMITTED;
    assert_int_equal(cuda->cuMemPoolDestroy(pool), CUDA_ERROR_NOT_PERMITTED);
    expect_charged(fixture, 1, 2 * FAKE_MIB);
    /* The memory of a destroyed pool stays until its last address is freed. */
    assert_int_equal(cuda->cuMemPoolDestroy(pool), CUDA_SUCCESS);
    expect_charged(fixture, 1, 2 * FAKE_MIB);
    assert_int_equal(cuda->cuMemFreeAsync(b, NULL), CUDA_SUCCESS);
    cuda->cuCtxSynchronize();
    expect_charged(fixture, 1, 0);
    assert_int_equal(cuda->cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemPoolDestroy(pool), CUDA_SUCCESS);
    expect_charged(fixture, 1, 0);
}

/* Breaks if a stream of another device's context draws on the current device's account. */
static void stream_says_which_device_pays(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUcontext second = fake_context_make(cuda, 1);
    CUcontext first = fake_context_make(cuda, 0);
    CUdeviceptr a, b;
    CUcontext current;
    assert_int_equal(cuda->cuMemAllocAsync(&a, 100, (CUstream)second), CUDA_SUCCESS);
    expect_charged(fixture, 1, FAKE_CHUNK_BYTES);
    expect_charged(fixture, 0, 0);
    assert_int_equal(cuda->cuMemAllocAsync(&b, 100, (CUstream)first), CUDA_SUCCESS);
    expect_charged(fixture, 0, FAKE_CHUNK_BYTES);
    cuda->cuCtxGetCurrent(&current);
    assert_ptr_equal(current, first);
}

/* Breaks if host memory pools, or pools met only by asking for them, are charged to the wrong
 * account. */
static void pools_elsewhere_are_not_charged(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemPoolProps props = fake_pool_props(0);
    CUmemoryPool host, known;
    CUdeviceptr address;
    fake_context_make(cuda, 1);
    assert_int_equal(cuda->cuDeviceGetDefaultMemPool(&known, 0), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocFromPoolAsync(&address, 100, known, NULL), CUDA_SUCCESS);
    expect_charged(fixture, 0, FAKE_CHUNK_BYTES);
    props.location.type = CU_MEM_LOCATION_TYPE_HOST;
    assert_int_equal(cuda->cuMemPoolCreate(&host, &props), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocFromPoolAsync(&address, 100, host, NULL), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), FAKE_CHUNK_BYTES);
    assert_int_equal(fixture_charged(fixture, 1), 0);
}

/* Breaks if more pools than there is room for are let by unlimited, or if the room of destroyed
 * ones is lost. */
static void room_for_pools_is_used_again(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemPoolProps props = fake_pool_props(0);
    CUmemoryPool pool;
    fake_context_make(cuda, 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(cuda->cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(cuda->cuMemPoolDestroy(pool), CUDA_SUCCESS);
        fake_driver_pool_forget(pool);
        assert_int_equal(cuda->cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
    }
    expect_charged(fixture, 0, 0);
}

#define THREADS 4
#define ROUNDS 1000

struct worker {
    struct fixture *fixture;
    CUcontext context;
    uint64_t random;
    int failures;
};

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct weft_cuda *cuda = &worker->fixture->table;
    CUdeviceptr address;
    cuda->cuCtxSetCurrent(worker->context);
    for (int i = 0; i < ROUNDS; i++) {
        worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
        uint64_t bytes = (worker->random >> 33) % (3 * FAKE_MIB) + 1;
        CUresult rc = i % 2 ? cuda->cuMemAllocAsync(&address, bytes, NULL)
                            : cuda->cuMemAlloc_v2(&address, bytes);
        worker->failures += rc != CUDA_SUCCESS && rc != CUDA_ERROR_OUT_OF_MEMORY;
        worker->failures += weft_ledger_total(worker->fixture->ledger, 0) > 6 * FAKE_MIB;
        if (rc == CUDA_SUCCESS)
            worker->failures +=
                (i % 3 ? cuda->cuMemFreeAsync(address, NULL) : cuda->cuMemFree_v2(address)) != 0;
        if (i % 7 == 0)
            cuda->cuCtxSynchronize();
    }
    return NULL;
}

/* Breaks if a thread's trim takes away what another has just charged, or if two locks are taken in
 * two orders. */
static void threads_share_pools_and_limit(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    CUcontext context = fake_context_make(&fixture->table, 0);
    fixture_limit(fixture, 0, 6 * FAKE_MIB);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.fixture = fixture, .context = context, .random = (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    fixture->table.cuCtxSynchronize();
    expect_charged(fixture, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(pools_are_charged_by_what_they_reserve),
        QUOTA_TEST(each_wait_gives_back),
        QUOTA_TEST(pools_are_trimmed_before_a_refusal),
        QUOTA_TEST(growth_past_the_limit_is_undone),
        QUOTA_TEST(free_part_of_a_pool_is_usable_at_the_limit),
        QUOTA_TEST(backend_refusals_are_uncharged),
        QUOTA_TEST(failing_context_charges_nothing),
        QUOTA_TEST(created_pools_are_charged_where_they_lie),
        QUOTA_TEST(stream_says_which_device_pays),
        QUOTA_TEST(pools_elsewhere_are_not_charged),
        QUOTA_TEST(room_for_pools_is_used_again),
        QUOTA_TEST(threads_share_pools_and_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

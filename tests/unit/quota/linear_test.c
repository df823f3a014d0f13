/* The memory limit over memory that one call makes and one frees, and over what programs are told
 * of it. */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_driver.h"
#include "tenant/quota.h"

/* Breaks if sizes are charged as asked and not as rounded, or if a free does not give back what was
 * charged. */
static void sizes_are_charged_rounded_to_512(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr a, b, c;
    fake_context_make(cuda, 1);
    assert_int_equal(cuda->cuMemAlloc_v2(&a, 1), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 512);
    assert_int_equal(cuda->cuMemAlloc_v2(&b, 513), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 512 + 1024);
    assert_int_equal(cuda->cuMemAllocManaged(&c, 4096, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 512 + 1024 + 4096);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(cuda->cuMemFree_v2(b), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFree_v2(a), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFree_v2(c), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 0);
    assert_int_equal(fake.held[1], 0);
}

/* Breaks if pitched memory is charged by its width, or if the pitch that the backend chose is let
 * past the limit. */
static void pitched_memory_is_charged_by_its_pitch(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr address = 77;
    size_t pitch = 88;
    fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemAllocPitch_v2(&address, &pitch, 100, 64, 4), CUDA_SUCCESS);
    assert_int_equal(pitch, FAKE_PITCH_BYTES);
    assert_int_equal(fixture_charged(fixture, 0), FAKE_PITCH_BYTES * 64);
    assert_int_equal(cuda->cuMemFree_v2(address), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);

    fixture_limit(fixture, 0, FAKE_PITCH_BYTES * 64 - 512);
    address = 77;
    assert_int_equal(cuda->cuMemAllocPitch_v2(&address, &pitch, 100, 64, 4),
                     CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(address, 77);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(fake.held[0], 0);
    assert_int_equal(cuda->cuMemAllocPitch_v2(&address, &pitch, SIZE_MAX / 2, SIZE_MAX / 2, 4),
                     CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

/* Breaks if the calls of CUDA 2, with their 32-bit sizes, pass by the limit. */
static void first_versions_are_charged_too(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr_v1 a, b;
    unsigned int pitch, free, total;
    fake_context_make(cuda, 0);
    fixture_limit(fixture, 0, UINT64_C(8) << 30);
    assert_int_equal(cuda->cuMemAlloc(&a, 1000), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocPitch(&b, &pitch, 100, 2, 4), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 1024 + 512);
    assert_int_equal(cuda->cuMemGetInfo(&free, &total), CUDA_SUCCESS);
    assert_int_equal(total, UINT_MAX);
    assert_int_equal(free, FAKE_DEVICE_BYTES - 1536);
    assert_int_equal(cuda->cuDeviceTotalMem(&total, 0), CUDA_SUCCESS);
    assert_int_equal(total, UINT_MAX);
    assert_int_equal(cuda->cuMemFree(a), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFree(b), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

/* Breaks if the last byte under the limit is refused or the first one over it is granted, to one
 * process or to two. */
static void limit_is_reached_exactly(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr a, b;
    fake_context_make(cuda, 0);
    fixture_limit(fixture, 0, 10 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAlloc_v2(&a, 10 * FAKE_MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuMemAlloc_v2(&a, 10 * FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAlloc_v2(&b, 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuMemAllocManaged(&b, 1, CU_MEM_ATTACH_GLOBAL),
                     CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuMemFree_v2(a), CUDA_SUCCESS);
    assert_int_equal(weft_ledger_charge(&fixture->other, 0, 4 * FAKE_MIB, UINT64_MAX), 0);
    assert_int_equal(cuda->cuMemAlloc_v2(&a, 6 * FAKE_MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuMemAlloc_v2(&a, 6 * FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(fake.held[0], 6 * FAKE_MIB);
    assert_int_equal(cuda->cuMemAlloc_v2(&b, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    /* Lowered under what is held: stops new memory, takes none away. */
    fixture_limit(fixture, 0, FAKE_MIB);
    assert_int_equal(cuda->cuMemAlloc_v2(&b, 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuMemFree_v2(a), CUDA_SUCCESS);
    assert_int_equal(weft_ledger_total(fixture->ledger, 0), 4 * FAKE_MIB);
}

/* Breaks if what the backend refuses stays charged, or if its error is replaced by another. */
static void backend_refusals_are_uncharged_and_handed_on(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr address = 99;
    CUdeviceptr_v1 narrow;
    size_t pitch;
    unsigned int narrow_pitch;
    fake_context_make(cuda, 0);
    fake.fail_next = CUDA_ERROR_ILLEGAL_ADDRESS;
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 100), CUDA_ERROR_ILLEGAL_ADDRESS);
    fake.fail_next = CUDA_ERROR_ECC_UNCORRECTABLE;
    assert_int_equal(cuda->cuMemAllocPitch_v2(&address, &pitch, 100, 4, 4),
                     CUDA_ERROR_ECC_UNCORRECTABLE);
    fake.fail_next = CUDA_ERROR_ECC_UNCORRECTABLE;
    assert_int_equal(cuda->cuMemAllocPitch(&narrow, &narrow_pitch, 100, 4, 4),
                     CUDA_ERROR_ECC_UNCORRECTABLE);
    fake.fail_next = CUDA_ERROR_NOT_SUPPORTED;
    assert_int_equal(cuda->cuMemAlloc(&narrow, 100), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(cuda->cuMemAllocManaged(&address, 100, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda->cuMemAlloc_v2(NULL, 100), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, FAKE_DEVICE_BYTES + 1),
                     CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(address, 99);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    cuda->cuCtxSetCurrent(NULL);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 100), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

/* Breaks if a free that failed gives back, if one that follows it does not, or if foreign addresses
 * are stopped here. */
static void frees_that_fail_give_nothing_back(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr address;
    fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 4096), CUDA_SUCCESS);
    fake.fail_next = CUDA_ERROR_LAUNCH_FAILED;
    assert_int_equal(cuda->cuMemFree_v2(address), CUDA_ERROR_LAUNCH_FAILED);
    assert_int_equal(fixture_charged(fixture, 0), 4096);
    assert_int_equal(cuda->cuMemFree_v2(address), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(cuda->cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda->cuMemFree_v2(0), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFreeAsync(0x123400, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

/* Breaks if a program sees the card in place of its slice, or is told of memory that it will not
 * get. */
static void totals_are_the_limit_and_free_is_what_is_left(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    size_t free, total;
    CUdeviceptr address;
    fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
    assert_int_equal(total, FAKE_DEVICE_BYTES);
    assert_int_equal(free, FAKE_DEVICE_BYTES);
    fixture_limit(fixture, 0, 64 * FAKE_MIB);
    assert_int_equal(cuda->cuDeviceTotalMem_v2(&total, 0), CUDA_SUCCESS);
    assert_int_equal(total, 64 * FAKE_MIB);
    assert_int_equal(cuda->cuDeviceTotalMem_v2(&total, 1), CUDA_SUCCESS);
    assert_int_equal(total, FAKE_DEVICE_BYTES);
    assert_int_equal(cuda->cuDeviceTotalMem_v2(&total, 5), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 20 * FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(weft_ledger_charge(&fixture->other, 0, FAKE_MIB, UINT64_MAX), 0);
    assert_int_equal(cuda->cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
    assert_int_equal(total, 64 * FAKE_MIB);
    assert_int_equal(free, 43 * FAKE_MIB);
    fake.held[0] = FAKE_DEVICE_BYTES - 5 * FAKE_MIB; /* other tenants fill the device */
    assert_int_equal(cuda->cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
    assert_int_equal(free, 5 * FAKE_MIB);
    fixture_limit(fixture, 0, FAKE_MIB); /* lowered under what is held */
    assert_int_equal(cuda->cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
    assert_int_equal(free, 0);
}

/* Breaks if a device that the tenant was not granted is unlimited. */
static void devices_outside_the_grant_get_nothing(void **state)
{
    struct fixture *fixture = *state;
    CUdeviceptr address;
    struct weft_quota_config config = {.ledger = fixture->ledger,
                                       .slot = fixture->slot,
                                       .policy = &fixture->policy,
                                       .device_count = 1};
    fake_driver_reset(&fixture->table);
    assert_int_equal(weft_quota_install(&fixture->table, &config, NULL), 0);
    fake_context_make(&fixture->table, 1);
    assert_int_equal(fixture->table.cuMemAlloc_v2(&address, 512), CUDA_ERROR_OUT_OF_MEMORY);
    config.slot = 900;
    assert_int_equal(weft_quota_install(&fixture->table, &config, NULL), -WEFT_EPROTO);
    config.device_count = 17;
    config.slot = fixture->slot;
    assert_int_equal(weft_quota_install(&fixture->table, &config, NULL), -WEFT_ERANGE);
}

/* Breaks if a program that sees its granted devices in another order charges the wrong ones. */
static void devices_are_charged_at_their_places(void **state)
{
    struct fixture *fixture = *state;
    CUdeviceptr address;
    const uint32_t places[] = {5, 2};
    struct weft_quota_config config = {.ledger = fixture->ledger,
                                       .slot = fixture->slot,
                                       .policy = &fixture->policy,
                                       .device_count = 2,
                                       .places = places};
    fixture_limit(fixture, 1, 0);
    fixture_limit(fixture, 2, FAKE_MIB);
    fake_driver_reset(&fixture->table);
    assert_int_equal(weft_quota_install(&fixture->table, &config, NULL), 0);
    fake_context_make(&fixture->table, 1);
    assert_int_equal(fixture->table.cuMemAlloc_v2(&address, FAKE_MIB + 1),
                     CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(fixture->table.cuMemAlloc_v2(&address, FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 2), FAKE_MIB);
    assert_int_equal(fixture_charged(fixture, 1), 0);
    assert_int_equal(fixture->table.cuMemFree_v2(address), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 2), 0);
}

/* Breaks if a context's memory stays charged after it, or if that of another context goes with it.
 */
static void contexts_give_back_when_they_end(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr a, b, c;
    CUcontext first = fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemAlloc_v2(&a, FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAllocManaged(&b, FAKE_MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemAlloc_v2(&c, 512), CUDA_SUCCESS);
    fake.fail_next = CUDA_ERROR_DEINITIALIZED;
    assert_int_equal(cuda->cuCtxDestroy_v2(first), CUDA_ERROR_DEINITIALIZED);
    assert_int_equal(fixture_charged(fixture, 0), 2 * FAKE_MIB + 512);
    assert_int_equal(cuda->cuCtxDestroy_v2(first), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 512);
    assert_int_equal(cuda->cuMemFree_v2(a), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda->cuMemFree_v2(c), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(fake.held[0], 0);
}

/* Breaks if a thread goes on charging the device of an ended context whose handle now means one on
 * another device. */
static void handle_of_an_ended_context_may_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUdeviceptr address;
    CUcontext first = fake_context_make(cuda, 0);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(cuda->cuCtxDestroy(first), CUDA_SUCCESS);
    CUcontext second = fake_context_make(cuda, 1);
    assert_ptr_equal(first, second);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 512), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(fixture_charged(fixture, 1), 512);
    assert_int_equal(cuda->cuCtxDetach(second), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 0);
}

/* Breaks if only the last release of a primary context gives back early, late or never; or a reset
 * does not. */
static void primary_context_gives_back_with_its_last_release(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUcontext context;
    CUdeviceptr address;
    assert_int_equal(cuda->cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    assert_int_equal(cuda->cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    cuda->cuCtxSetCurrent(context);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(cuda->cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), FAKE_MIB);
    assert_int_equal(cuda->cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);

    assert_int_equal(cuda->cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, FAKE_MIB), CUDA_SUCCESS);
    assert_int_equal(cuda->cuDevicePrimaryCtxReset_v2(0), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(fake.held[0], 0);
}

#define THREADS 8
#define ROUNDS 2000

struct worker {
    struct fixture *fixture;
    CUcontext context;
    uint64_t random;
    int failures;
};

static void worker_round(struct worker *worker, CUdeviceptr *address, uint64_t *bytes)
{
    struct weft_cuda *cuda = &worker->fixture->table;
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    if (*address) {
        worker->failures += cuda->cuMemFree_v2(*address) != CUDA_SUCCESS;
        *address = 0;
        return;
    }
    *bytes = (worker->random >> 33) % (2 * FAKE_MIB) + 1;
    CUresult rc = cuda->cuMemAlloc_v2(address, *bytes);
    worker->failures += rc != CUDA_SUCCESS && rc != CUDA_ERROR_OUT_OF_MEMORY;
    worker->failures += weft_ledger_total(worker->fixture->ledger, 0) > 4 * FAKE_MIB;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    CUdeviceptr address = 0;
    uint64_t bytes = 0;
    worker->fixture->table.cuCtxSetCurrent(worker->context);
    for (int i = 0; i < ROUNDS; i++)
        worker_round(worker, &address, &bytes);
    if (address)
        worker->fixture->table.cuMemFree_v2(address);
    return NULL;
}

/* Breaks if threads pass the limit together, or if one loses what another entered. */
static void threads_share_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    CUcontext context = fake_context_make(&fixture->table, 0);
    fixture_limit(fixture, 0, 4 * FAKE_MIB);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.fixture = fixture, .context = context, .random = (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_in_range(fake.most_held[0], FAKE_MIB, 4 * FAKE_MIB);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(fake.held[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(sizes_are_charged_rounded_to_512),
        QUOTA_TEST(pitched_memory_is_charged_by_its_pitch),
        QUOTA_TEST(first_versions_are_charged_too),
        QUOTA_TEST(limit_is_reached_exactly),
        QUOTA_TEST(backend_refusals_are_uncharged_and_handed_on),
        QUOTA_TEST(frees_that_fail_give_nothing_back),
        QUOTA_TEST(totals_are_the_limit_and_free_is_what_is_left),
        QUOTA_TEST(devices_outside_the_grant_get_nothing),
        QUOTA_TEST(devices_are_charged_at_their_places),
        QUOTA_TEST(contexts_give_back_when_they_end),
        QUOTA_TEST(handle_of_an_ended_context_may_come_back),
        QUOTA_TEST(primary_context_gives_back_with_its_last_release),
        QUOTA_TEST(threads_share_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

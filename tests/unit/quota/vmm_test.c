/* The memory limit over handles and mappings: charged once, until the last handle, mapping and
 * export is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_driver.h"

#define WINDOW UINT64_C(0x700000000000)
#define GRANULE FAKE_CHUNK_BYTES

static CUmemGenericAllocationHandle create(struct fixture *fixture, uint64_t bytes)
{
    CUmemAllocationProp prop = fake_memory_prop(0);
    CUmemGenericAllocationHandle handle = 0;
    assert_int_equal(fixture->table.cuMemCreate(&handle, bytes, &prop, 0), CUDA_SUCCESS);
    return handle;
}

/* Breaks if creation is charged to the wrong device, unrounded, past the limit, or for memory of
 * the host. */
static void creation_is_charged_by_the_granule(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemAllocationProp prop = fake_memory_prop(1);
    CUmemGenericAllocationHandle handle = 7, other;
    fake_context_make(cuda, 0);
    fixture_limit(fixture, 1, 2 * GRANULE);
    assert_int_equal(cuda->cuMemCreate(&handle, GRANULE + 1, &prop, 0), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 2 * GRANULE);
    assert_int_equal(cuda->cuMemCreate(&other, 1, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 0);
    fake.fail_next = CUDA_ERROR_NOT_SUPPORTED;
    handle = 7;
    assert_int_equal(cuda->cuMemCreate(&handle, GRANULE, &prop, 0), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(handle, 7);
    assert_int_equal(fixture_charged(fixture, 1), 0);
    prop.location.type = CU_MEM_LOCATION_TYPE_HOST;
    assert_int_equal(cuda->cuMemCreate(&handle, 10 * GRANULE, &prop, 0), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 1), 0);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
}

/* Breaks if memory whose handle was released while it is mapped counts as free, or is charged for
 * each mapping. */
static void mappings_keep_the_charge(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemGenericAllocationHandle handle = create(fixture, 4 * GRANULE);
    assert_int_equal(cuda->cuMemMap(WINDOW, 4 * GRANULE, 0, handle, 0), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemMap(WINDOW + 8 * GRANULE, 2 * GRANULE, 0, handle, 0), CUDA_SUCCESS);
    fake.fail_next = CUDA_ERROR_INVALID_VALUE;
    assert_int_equal(cuda->cuMemMap(WINDOW + 20 * GRANULE, GRANULE, 0, handle, 0),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 4 * GRANULE);
    assert_int_equal(cuda->cuMemUnmap(WINDOW, 4 * GRANULE), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 4 * GRANULE);
    fake.fail_next = CUDA_ERROR_INVALID_VALUE;
    assert_int_equal(cuda->cuMemUnmap(WINDOW + 8 * GRANULE, 2 * GRANULE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(fixture_charged(fixture, 0), 4 * GRANULE);
    assert_int_equal(cuda->cuMemUnmap(WINDOW + 8 * GRANULE, 2 * GRANULE), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(fake.held[0], 0);
}

/* Breaks if an unmapping of several mappings at once finds only the first. */
static void one_unmap_ends_several_mappings(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    for (uint64_t i = 0; i < 3; i++) {
        CUmemGenericAllocationHandle handle = create(fixture, GRANULE << i);
        /* 1 granule at 0, 2 at 1, 4 at 3 */
        assert_int_equal(
            cuda->cuMemMap(WINDOW + ((1u << i) - 1) * GRANULE, GRANULE << i, 0, handle, 0),
            CUDA_SUCCESS);
        assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    }
    assert_int_equal(fixture_charged(fixture, 0), 7 * GRANULE);
    assert_int_equal(cuda->cuMemUnmap(WINDOW, 7 * GRANULE), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

/* Breaks if a retained handle does not keep the charge, or if the same handle must not be released
 * twice. */
static void retained_handles_keep_the_charge(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemGenericAllocationHandle handle = create(fixture, 2 * GRANULE), again;
    assert_int_equal(cuda->cuMemMap(WINDOW, 2 * GRANULE, 0, handle, 0), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemRetainAllocationHandle(&again, (void *)(WINDOW + GRANULE + 5)),
                     CUDA_SUCCESS);
    assert_int_equal(again, handle);
    assert_int_equal(cuda->cuMemUnmap(WINDOW, 2 * GRANULE), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 2 * GRANULE);
    fake.fail_next = CUDA_ERROR_INVALID_VALUE;
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(fixture_charged(fixture, 0), 2 * GRANULE);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
}

/* Breaks if memory that an open export keeps alive counts as free, or if a closed one is never
 * noticed. */
static void exports_keep_the_charge_until_they_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemGenericAllocationHandle handle = create(fixture, GRANULE);
    size_t free, total;
    int fd = -1;
    fake_context_make(cuda, 0);
    fixture_limit(fixture, 0, GRANULE);
    assert_int_equal(cuda->cuMemExportToShareableHandle(
                         &fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
                     CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), GRANULE);
    CUdeviceptr address;
    assert_int_equal(cuda->cuMemAlloc_v2(&address, 1), CUDA_ERROR_OUT_OF_MEMORY);
    close(fd);
    assert_int_equal(cuda->cuMemAlloc_v2(&address, GRANULE), CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemFree_v2(address), CUDA_SUCCESS);

    handle = create(fixture, GRANULE);
    assert_int_equal(cuda->cuMemExportToShareableHandle(
                         &fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
                     CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    close(fd);
    assert_int_equal(cuda->cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
    assert_int_equal(free, GRANULE);
}

/* Breaks if what a process imports from itself is charged twice, or is free once the first handle
 * is released. */
static void own_imports_are_handles_like_any(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUmemGenericAllocationHandle handle = create(fixture, GRANULE), imported;
    int fd = -1;
    assert_int_equal(cuda->cuMemExportToShareableHandle(
                         &fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
                     CUDA_SUCCESS);
    assert_int_equal(cuda->cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd,
                                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
                     CUDA_SUCCESS);
    close(fd);
    assert_int_equal(fixture_charged(fixture, 0), GRANULE);
    assert_int_equal(cuda->cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), GRANULE);
    assert_int_equal(cuda->cuMemRelease(imported), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(creation_is_charged_by_the_granule),
        QUOTA_TEST(mappings_keep_the_charge),
        QUOTA_TEST(one_unmap_ends_several_mappings),
        QUOTA_TEST(retained_handles_keep_the_charge),
        QUOTA_TEST(exports_keep_the_charge_until_they_are_closed),
        QUOTA_TEST(own_imports_are_handles_like_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

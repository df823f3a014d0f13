/* Memory and addresses apart: what would break it is a charge that ends too early or never, a
 * mapping that shows other memory, or access without cuMemSetAccess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "stub_engine.h"

#define MIB (1ull << 20)
#define GRANULE (2 * MIB)

static const CUmemAllocationProp on_device = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                              .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
static const CUmemAccessDesc read_write = {{CU_MEM_LOCATION_TYPE_DEVICE, 0},
                                           CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
static const CUmemAccessDesc nothing = {{CU_MEM_LOCATION_TYPE_DEVICE, 0},
                                        CU_MEM_ACCESS_FLAGS_PROT_NONE};

static int open_small(void **state)
{
    (void)state;
    stub_open("small", 1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(stub_backed_bytes(0), 0);
    stub_close();
    return 0;
}

static CUmemGenericAllocationHandle create(size_t bytes)
{
    CUmemGenericAllocationHandle handle;
    assert_int_equal(cuda.cuMemCreate(&handle, bytes, &on_device, 0), CUDA_SUCCESS);
    return handle;
}

static CUdeviceptr reserve(size_t bytes)
{
    CUdeviceptr address;
    assert_int_equal(cuda.cuMemAddressReserve(&address, bytes, 0, 0, 0), CUDA_SUCCESS);
    assert_int_equal(address % GRANULE, 0);
    return address;
}

static uint32_t read_word(CUdeviceptr address)
{
    uint32_t word = 0;
    assert_int_equal(cuda.cuMemcpyDtoH_v2(&word, address, 4), CUDA_SUCCESS);
    return word;
}

static void two_addresses_lead_to_one_memory(void **state)
{
    (void)state;
    CUmemGenericAllocationHandle handle = create(2 * GRANULE);
    CUdeviceptr address = reserve(4 * GRANULE);
    assert_int_equal(cuda.cuMemMap(address, 2 * GRANULE, 0, handle, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemMap(address + 2 * GRANULE, GRANULE, GRANULE, handle, 0),
                     CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD32_v2(address, 7, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemSetAccess(address, 3 * GRANULE, &read_write, 1), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD32_v2(address + GRANULE - 4, 7, 2), CUDA_SUCCESS);
    assert_int_equal(read_word(address + 2 * GRANULE), 7);
    assert_int_equal(cuda.cuMemSetAccess(address, 2 * GRANULE, &nothing, 1), CUDA_SUCCESS);
    assert_null(weft_soft_memory_reach(address, 1));
    assert_int_equal(read_word(address + 2 * GRANULE), 7);
    assert_int_equal(cuda.cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemUnmap(address, 2 * GRANULE), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 2 * GRANULE);
    assert_int_equal(read_word(address + 2 * GRANULE), 7);
    assert_int_equal(cuda.cuMemUnmap(address + 2 * GRANULE, GRANULE), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(cuda.cuMemAddressFree(address, 4 * GRANULE), CUDA_SUCCESS);
}

/* A program may release the handle right after mapping, and a handle alone still holds memory. */
static void charged_until_the_last_holder_is_gone(void **state)
{
    (void)state;
    CUmemGenericAllocationHandle handle = create(GRANULE), retained;
    CUdeviceptr address = reserve(GRANULE);
    assert_int_equal(stub_charged(0), GRANULE);
    assert_int_equal(cuda.cuMemMap(address, GRANULE, 0, handle, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemMap(address, GRANULE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    void *inside = (void *)(uintptr_t)(address + 4096);
    assert_int_equal(cuda.cuMemRetainAllocationHandle(&retained, inside), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemUnmap(address, GRANULE), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), GRANULE);
    CUmemAllocationProp properties;
    assert_int_equal(cuda.cuMemGetAllocationPropertiesFromHandle(&properties, retained),
                     CUDA_SUCCESS);
    assert_int_equal(properties.location.id, 0);
    assert_int_equal(cuda.cuMemRelease(retained), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(cuda.cuMemAddressFree(address, GRANULE), CUDA_SUCCESS);
}

static void a_retained_handle_is_released_as_often(void **state)
{
    (void)state;
    CUmemGenericAllocationHandle handle = create(GRANULE), retained;
    CUdeviceptr address = reserve(GRANULE);
    assert_int_equal(cuda.cuMemMap(address, GRANULE, 0, handle, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemRetainAllocationHandle(&retained, (void *)(uintptr_t)address),
                     CUDA_SUCCESS);
    assert_int_equal(retained, handle);
    assert_int_equal(cuda.cuMemUnmap(address, GRANULE), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), GRANULE);
    assert_int_equal(cuda.cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(cuda.cuMemAddressFree(address, GRANULE), CUDA_SUCCESS);
}

static void bad_ranges_are_refused(void **state)
{
    (void)state;
    CUmemGenericAllocationHandle handle = create(2 * GRANULE), other;
    CUdeviceptr address = reserve(2 * GRANULE), more;
    assert_int_equal(cuda.cuMemCreate(&other, 4096, &on_device, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemCreate(&other, 0, &on_device, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemCreate(&other, 8192 * MIB, &on_device, 0), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda.cuMemAddressReserve(&more, 4096, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAddressReserve(&more, GRANULE, 3, 0, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAddressReserve(&more, 1ull << 60, 0, 0, 0),
                     CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda.cuMemMap(address, 3 * GRANULE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemMap(address, 2 * GRANULE, GRANULE, handle, 0),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemMap(address + GRANULE, 2 * GRANULE, 0, handle, 0),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemMap(address + 4096, GRANULE, 0, handle, 0),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemMap(address, 2 * GRANULE, 0, handle, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemMap(address + GRANULE, GRANULE, 0, handle, 0),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemSetAccess(address, 3 * GRANULE, &read_write, 1),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemUnmap(address, GRANULE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAddressFree(address, 2 * GRANULE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemUnmap(address, 2 * GRANULE), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemUnmap(address, 2 * GRANULE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAddressFree(address, GRANULE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAddressFree(address, 2 * GRANULE), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemAddressFree(address, 2 * GRANULE), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemRelease(handle), CUDA_SUCCESS);
}

static void a_wanted_address_is_given_if_it_is_free(void **state)
{
    (void)state;
    CUdeviceptr first = reserve(4 * GRANULE), second;
    assert_int_equal(cuda.cuMemAddressFree(first, 4 * GRANULE), CUDA_SUCCESS);
    CUdeviceptr wanted = first + 2 * GRANULE;
    assert_int_equal(cuda.cuMemAddressReserve(&second, GRANULE, 0, wanted, 0), CUDA_SUCCESS);
    assert_int_equal(second, wanted);
    CUdeviceptr third;
    assert_int_equal(cuda.cuMemAddressReserve(&third, GRANULE, 0, wanted, 0), CUDA_SUCCESS);
    assert_int_not_equal(third, wanted);
    assert_int_equal(cuda.cuMemAddressFree(second, GRANULE), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemAddressFree(third, GRANULE), CUDA_SUCCESS);
}

static void granules_and_kinds(void **state)
{
    (void)state;
    size_t granularity = 0;
    assert_int_equal(cuda.cuMemGetAllocationGranularity(&granularity, &on_device,
                                                        CU_MEM_ALLOC_GRANULARITY_MINIMUM),
                     CUDA_SUCCESS);
    assert_int_equal(granularity, GRANULE);
    CUmemGenericAllocationHandle handle;
    CUmemAllocationProp shared = on_device, elsewhere = on_device;
    shared.requestedHandleTypes = CU_MEM_HANDLE_TYPE_FABRIC;
    elsewhere.location.id = 1;
    assert_int_equal(cuda.cuMemCreate(&handle, GRANULE, &shared, 0), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(cuda.cuMemCreate(&handle, GRANULE, &elsewhere, 0), CUDA_ERROR_INVALID_DEVICE);
}

/* The file is another one than the arena, so its charge is by itself: until the last of handles,
 * mappings and exports is gone. */
static void a_file_of_memory_is_charged_once(void **state)
{
    (void)state;
    CUmemAllocationProp properties = on_device;
    CUmemGenericAllocationHandle handle, imported;
    CUdeviceptr address = reserve(GRANULE);
    int fd;
    properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    assert_int_equal(cuda.cuMemCreate(&handle, GRANULE, &properties, 0), CUDA_SUCCESS);
    assert_int_equal(
        cuda.cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd,
                                                         CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
                     CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), GRANULE);
    assert_int_equal(cuda.cuMemMap(address, GRANULE, 0, imported, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemRelease(handle), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemRelease(imported), CUDA_SUCCESS);
    close(fd);
    assert_int_equal(stub_charged(0), GRANULE);
    assert_int_equal(cuda.cuMemUnmap(address, GRANULE), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(cuda.cuMemAddressFree(address, GRANULE), CUDA_SUCCESS);
    stub_set_ceiling(0, GRANULE - 1);
    assert_int_equal(cuda.cuMemCreate(&handle, GRANULE, &properties, 0), CUDA_ERROR_OUT_OF_MEMORY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_small, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_addresses_lead_to_one_memory),        TEST(charged_until_the_last_holder_is_gone),
        TEST(a_retained_handle_is_released_as_often),  TEST(bad_ranges_are_refused),
        TEST(a_wanted_address_is_given_if_it_is_free), TEST(granules_and_kinds),
        TEST(a_file_of_memory_is_charged_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Managed memory, what is known of an address, and what a device says of itself: what would break
 * it is an answer about other memory, or one that is wider than the program's variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stub_engine.h"

static int open_two(void **state)
{
    (void)state;
    stub_open("a100-40g", 2);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    stub_close();
    return 0;
}

static uint64_t ask(CUpointer_attribute attribute, CUdeviceptr address)
{
    uint64_t value = 0;
    assert_int_equal(cuda.cuPointerGetAttribute(&value, attribute, address), CUDA_SUCCESS);
    return value;
}

static void managed_memory_is_seen_by_both(void **state)
{
    (void)state;
    CUdeviceptr address, other;
    assert_int_equal(cuda.cuMemAllocManaged(&other, 100, CU_MEM_ATTACH_HOST), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemAllocManaged(&address, 5000, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 512 + 5120);
    uint32_t *words = (uint32_t *)(uintptr_t)address;
    words[1000] = 5;
    assert_int_equal(*(uint32_t *)weft_soft_memory_reach(address + 4000, 4), 5);
    assert_int_equal(cuda.cuMemsetD32_v2(address, 6, 1000), CUDA_SUCCESS);
    assert_int_equal(words[999], 6);
    assert_int_equal(words[1000], 5);
    assert_int_equal(ask(CU_POINTER_ATTRIBUTE_IS_MANAGED, address), 1);
    assert_int_equal(ask(CU_POINTER_ATTRIBUTE_HOST_POINTER, address + 8), address + 8);
    assert_int_equal(cuda.cuMemFree_v2(address), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFree_v2(other), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(cuda.cuMemAllocManaged(&address, 1, 3), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAllocManaged(&address, 0, 1), CUDA_ERROR_INVALID_VALUE);
}

static int ask_range(CUmem_range_attribute attribute, CUdeviceptr address)
{
    int value = 77;
    assert_int_equal(cuda.cuMemRangeGetAttribute(&value, 4, attribute, address, 100), CUDA_SUCCESS);
    return value;
}

static void advice_is_noted(void **state)
{
    (void)state;
    CUdeviceptr address, plain;
    CUmemLocation host = {CU_MEM_LOCATION_TYPE_HOST, 0};
    assert_int_equal(cuda.cuMemAllocManaged(&address, 100, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemAlloc_v2(&plain, 100), CUDA_SUCCESS);
    assert_int_equal(ask_range(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address), -2);
    assert_int_equal(cuda.cuMemAdvise(address, 100, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, 1),
                     CUDA_SUCCESS);
    assert_int_equal(ask_range(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address), 1);
    assert_int_equal(cuda.cuMemAdvise_v2(address, 100, CU_MEM_ADVISE_SET_ACCESSED_BY, host),
                     CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemAdvise(address, 100, CU_MEM_ADVISE_SET_ACCESSED_BY, 0),
                     CUDA_SUCCESS);
    int devices[3];
    assert_int_equal(cuda.cuMemRangeGetAttribute(devices, sizeof(devices),
                                                 CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, address, 1),
                     CUDA_SUCCESS);
    assert_int_equal(devices[0], 0);
    assert_int_equal(devices[1], -1);
    assert_int_equal(devices[2], -2);
    assert_int_equal(cuda.cuMemPrefetchAsync(address, 100, -1, NULL), CUDA_SUCCESS);
    assert_int_equal(ask_range(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, address), -1);
    assert_int_equal(cuda.cuMemPrefetchAsync(address, 101, -1, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemPrefetchAsync(plain, 100, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemPrefetchAsync(address, 100, 2, NULL), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuda.cuMemAdvise(address, 100, 99, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuStreamAttachMemAsync(STUB_STREAM_A, address, 0, CU_MEM_ATTACH_SINGLE),
                     CUDA_SUCCESS);
    assert_int_equal(cuda.cuStreamAttachMemAsync(NULL, address, 0, CU_MEM_ATTACH_SINGLE),
                     CUDA_ERROR_INVALID_VALUE);
}

static void device_memory_is_described(void **state)
{
    (void)state;
    CUdeviceptr first, second;
    stub_set_current(2);
    assert_int_equal(cuda.cuMemAlloc_v2(&first, 1000), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemAlloc_v2(&second, 1000), CUDA_SUCCESS);
    assert_int_equal(ask(CU_POINTER_ATTRIBUTE_CONTEXT, first),
                     (uint64_t)(uintptr_t)stub_context_handle(2));
    assert_int_equal(ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, first), CU_MEMORYTYPE_DEVICE);
    assert_int_equal(ask(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, first), 1);
    assert_int_equal(ask(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, first + 999), first);
    assert_int_equal(ask(CU_POINTER_ATTRIBUTE_RANGE_SIZE, first + 999), 1000);
    assert_int_not_equal(ask(CU_POINTER_ATTRIBUTE_BUFFER_ID, first),
                         ask(CU_POINTER_ATTRIBUTE_BUFFER_ID, second));
    uint64_t value;
    assert_int_equal(cuda.cuPointerGetAttribute(&value, CU_POINTER_ATTRIBUTE_HOST_POINTER, first),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuPointerGetAttribute(&value, CU_POINTER_ATTRIBUTE_CONTEXT, first + 1000),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuPointerGetAttribute(&value, 99, first), CUDA_ERROR_INVALID_VALUE);
}

static void answers_are_as_wide_as_the_attribute(void **state)
{
    (void)state;
    CUdeviceptr address;
    int words[2] = {-9, -9};
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 1), CUDA_SUCCESS);
    assert_int_equal(
        cuda.cuPointerGetAttribute(&words[0], CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address),
        CUDA_SUCCESS);
    assert_int_equal(words[0], 0);
    assert_int_equal(words[1], -9);
}

static void unknown_memory_is_zeros_where_many_are_asked(void **state)
{
    (void)state;
    int local = 0, ordinal = 5;
    unsigned int type = 7;
    CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
    void *data[] = {&type, &ordinal};
    assert_int_equal(cuda.cuPointerGetAttributes(2, attributes, data, (uintptr_t)&local),
                     CUDA_SUCCESS);
    assert_int_equal(type, 0);
    assert_int_equal(ordinal, -2);
    attributes[1] = 99;
    assert_int_equal(cuda.cuPointerGetAttributes(2, attributes, data, (uintptr_t)&local),
                     CUDA_ERROR_INVALID_VALUE);
}

static int attribute(CUdevice_attribute name)
{
    int value = -77;
    assert_int_equal(cuda.cuDeviceGetAttribute(&value, name, 1), CUDA_SUCCESS);
    return value;
}

static void a_device_describes_its_profile(void **state)
{
    (void)state;
    char name[32], bus[16];
    size_t bytes;
    int count, version;
    CUdevice device;
    assert_int_equal(cuda.cuDeviceGetCount(&count), CUDA_SUCCESS);
    assert_int_equal(count, 2);
    assert_int_equal(cuda.cuDriverGetVersion(&version), CUDA_SUCCESS);
    assert_int_equal(version, 13000);
    assert_int_equal(cuda.cuDeviceGetName(name, sizeof(name), 0), CUDA_SUCCESS);
    assert_string_equal(name, "weft soft a100-40g");
    assert_int_equal(cuda.cuDeviceTotalMem_v2(&bytes, 0), CUDA_SUCCESS);
    assert_int_equal(bytes, 40ull << 30);
    assert_int_equal(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 108);
    assert_int_equal(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), 8);
    assert_int_equal(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE), 40 << 20);
    assert_int_equal(attribute(CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING), 1);
    assert_int_equal(attribute(CU_DEVICE_ATTRIBUTE_INTEGRATED), 0);
    for (int i = 1; i < CU_DEVICE_ATTRIBUTE_MAX; i++)
        attribute(i);
    int value;
    assert_int_equal(cuda.cuDeviceGetAttribute(&value, 0, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuDeviceGetAttribute(&value, 100000, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuDeviceGetAttribute(&value, 1, 2), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuda.cuDeviceGetPCIBusId(bus, sizeof(bus), 1), CUDA_SUCCESS);
    assert_int_equal(cuda.cuDeviceGetByPCIBusId(&device, bus), CUDA_SUCCESS);
    assert_int_equal(device, 1);
    assert_int_equal(cuda.cuDeviceGetByPCIBusId(&device, "what"), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuDeviceGet(&device, 2), CUDA_ERROR_INVALID_DEVICE);
}

static void devices_reach_each_other_and_not_themselves(void **state)
{
    (void)state;
    int value = 0;
    assert_int_equal(cuda.cuDeviceCanAccessPeer(&value, 0, 1), CUDA_SUCCESS);
    assert_int_equal(value, 1);
    assert_int_equal(cuda.cuDeviceCanAccessPeer(&value, 1, 1), CUDA_SUCCESS);
    assert_int_equal(value, 0);
    assert_int_equal(
        cuda.cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 1),
        CUDA_SUCCESS);
    assert_int_equal(value, 1);
}

static void errors_have_names(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(cuda.cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
    assert_string_equal(text, "CUDA_ERROR_OUT_OF_MEMORY");
    assert_int_equal(cuda.cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
    assert_string_equal(text, "out of memory");
    assert_int_equal(cuda.cuGetErrorString(123456, &text), CUDA_ERROR_INVALID_VALUE);
    assert_null(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_two, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(managed_memory_is_seen_by_both),
        TEST(advice_is_noted),
        TEST(device_memory_is_described),
        TEST(answers_are_as_wide_as_the_attribute),
        TEST(unknown_memory_is_zeros_where_many_are_asked),
        TEST(a_device_describes_its_profile),
        TEST(devices_reach_each_other_and_not_themselves),
        TEST(errors_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The calls with 32-bit addresses: they work on memory that lies low enough, which registered host
 * memory can, and refuse to name other. What breaks them: a wrong argument handed on, an address
 * cut short, memory kept after a refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "stub_engine.h"

#define BYTES 8192u

static unsigned char *low;

static int open_low(void **state)
{
    (void)state;
    stub_open("small", 1);
    low = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    assert_true(low != MAP_FAILED);
    assert_int_equal(cuda.cuMemHostRegister_v2(low, BYTES, 0), CUDA_SUCCESS);
    return 0;
}

static int close_low(void **state)
{
    (void)state;
    assert_int_equal(cuda.cuMemHostUnregister(low), CUDA_SUCCESS);
    munmap(low, BYTES);
    stub_close();
    return 0;
}

static CUdeviceptr_v1 low_address(unsigned int offset)
{
    return (CUdeviceptr_v1)(uintptr_t)low + offset;
}

static void low_memory_is_named(void **state)
{
    (void)state;
    CUdeviceptr_v1 address, base;
    unsigned int bytes;
    assert_int_equal(cuda.cuMemHostGetDevicePointer(&address, low, 0), CUDA_SUCCESS);
    assert_int_equal(address, low_address(0));
    assert_int_equal(cuda.cuMemGetAddressRange(&base, &bytes, low_address(100)), CUDA_SUCCESS);
    assert_int_equal(base, low_address(0));
    assert_int_equal(bytes, BYTES);
}

static void high_memory_is_not_named(void **state)
{
    (void)state;
    CUdeviceptr_v1 address = 7;
    unsigned int pitch = 7;
    uint64_t before = stub_charged(0);
    assert_int_equal(cuda.cuMemAlloc(&address, 4096), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAllocPitch(&address, &pitch, 100, 10, 4), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAlloc(NULL, 4096), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(address, 7);
    assert_int_equal(pitch, 7);
    assert_int_equal(stub_charged(0), before);
}

static void sizes_are_cut_to_what_fits(void **state)
{
    (void)state;
    unsigned int total, free_bytes;
    assert_int_equal(cuda.cuDeviceTotalMem(&total, 0), CUDA_SUCCESS);
    assert_int_equal(total, UINT32_MAX);
    stub_set_ceiling(0, 1u << 30);
    assert_int_equal(cuda.cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
    assert_int_equal(free_bytes, (1u << 30) - stub_charged(0));
    assert_int_equal(cuda.cuMemGetInfo(NULL, &total), CUDA_ERROR_INVALID_VALUE);
}

static void sets_fill_low_memory(void **state)
{
    (void)state;
    const uint8_t expected[] = {1, 1, 0, 0, 2, 2, 0, 0, 3, 0, 0, 0};
    assert_int_equal(cuda.cuMemsetD8(low_address(0), 1, 2), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD16(low_address(4), 0x0202, 1), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD32(low_address(8), 3, 1), CUDA_SUCCESS);
    assert_memory_equal(low, expected, sizeof(expected));
    assert_int_equal(cuda.cuMemsetD2D8(low_address(64), 16, 9, 2, 3), CUDA_SUCCESS);
    assert_int_equal(low[64 + 33], 9);
    assert_int_equal(low[64 + 34], 0);
    assert_int_equal(cuda.cuMemsetD2D16(low_address(128), 16, 0x0707, 2, 2), CUDA_SUCCESS);
    assert_int_equal(low[128 + 19], 7);
    assert_int_equal(cuda.cuMemsetD2D32(low_address(192), 16, 0x05050505, 1, 2), CUDA_SUCCESS);
    assert_int_equal(low[192 + 19], 5);
    assert_int_equal(cuda.cuMemsetD8(16, 1, 2), CUDA_ERROR_INVALID_VALUE);
}

static void copies_reach_low_memory(void **state)
{
    (void)state;
    char text[8] = "abcdefg", back[8] = {0};
    assert_int_equal(cuda.cuMemcpyHtoD(low_address(0), text, 8), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyDtoD(low_address(16), low_address(0), 8), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyDtoH(back, low_address(16), 8), CUDA_SUCCESS);
    assert_string_equal(back, text);
    assert_int_equal(cuda.cuMemcpyHtoDAsync(low_address(32), "xyz", 4, NULL), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyDtoDAsync(low_address(48), low_address(32), 4, NULL),
                     CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyDtoHAsync(back, low_address(48), 4, NULL), CUDA_SUCCESS);
    assert_string_equal(back, "xyz");
    CUDA_MEMCPY2D_v1 flat = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                             .srcDevice = low_address(0),
                             .srcXInBytes = 1,
                             .srcPitch = 4,
                             .dstMemoryType = CU_MEMORYTYPE_HOST,
                             .dstHost = back,
                             .dstPitch = 3,
                             .WidthInBytes = 2,
                             .Height = 2};
    memset(back, '.', 7);
    assert_int_equal(cuda.cuMemcpy2D(&flat), CUDA_SUCCESS);
    assert_memory_equal(back, "bc.fg..", 7);
    assert_int_equal(cuda.cuMemcpy2D(NULL), CUDA_ERROR_INVALID_VALUE);
    CUDA_MEMCPY3D_v1 deep = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                             .srcHost = text,
                             .srcPitch = 2,
                             .srcHeight = 2,
                             .srcZ = 1,
                             .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                             .dstDevice = low_address(256),
                             .dstPitch = 8,
                             .dstHeight = 2,
                             .WidthInBytes = 2,
                             .Height = 1,
                             .Depth = 1};
    assert_int_equal(cuda.cuMemcpy3D(&deep), CUDA_SUCCESS);
    assert_memory_equal(low + 256, "ef", 2);
}

static void arrays_have_short_descriptors(void **state)
{
    (void)state;
    CUDA_ARRAY_DESCRIPTOR_v1 shape = {16, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1}, told;
    CUarray array;
    char back[16] = {0};
    assert_int_equal(cuda.cuArrayCreate(&array, &shape), CUDA_SUCCESS);
    assert_int_equal(cuda.cuArrayGetDescriptor(&told, array), CUDA_SUCCESS);
    assert_memory_equal(&told, &shape, sizeof(shape));
    assert_int_equal(cuda.cuMemcpyHtoA(array, 2, "hello", 6), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyAtoA(array, 8, array, 2, 6), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyAtoD(low_address(0), array, 8, 6), CUDA_SUCCESS);
    assert_string_equal((char *)low, "hello");
    assert_int_equal(cuda.cuMemcpyDtoA(array, 0, low_address(1), 5), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyAtoH(back, array, 0, 5), CUDA_SUCCESS);
    assert_string_equal(back, "ello");
    assert_int_equal(cuda.cuArrayDestroy(array), CUDA_SUCCESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_low, close_low)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(low_memory_is_named),        TEST(high_memory_is_not_named),
        TEST(sizes_are_cut_to_what_fits), TEST(sets_fill_low_memory),
        TEST(copies_reach_low_memory),    TEST(arrays_have_short_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

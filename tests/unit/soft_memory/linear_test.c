/* Device and pinned memory, and copies: what would break it is a byte charged wrongly, memory that
 * another allocation can see, a range that is not checked, or a copy out of stream order. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "stub_engine.h"

#define MIB (1ull << 20)

static int open_small(void **state)
{
    (void)state;
    stub_open("small", 1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    stub_close();
    return 0;
}

static CUdeviceptr allocate(size_t bytes)
{
    CUdeviceptr address;
    assert_int_equal(cuda.cuMemAlloc_v2(&address, bytes), CUDA_SUCCESS);
    return address;
}

static void charges_blocks_and_gives_them_back(void **state)
{
    (void)state;
    CUdeviceptr one = allocate(1), more = allocate(513);
    assert_int_equal(one % 512, 0);
    assert_int_equal(stub_charged(0), 512 + 1024);
    size_t free_bytes, total;
    assert_int_equal(cuda.cuMemGetInfo_v2(&free_bytes, &total), CUDA_SUCCESS);
    assert_int_equal(total, 4096 * MIB);
    assert_int_equal(free_bytes, 4096 * MIB - 1536);
    assert_int_equal(cuda.cuMemFree_v2(one), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFree_v2(more), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
}

static void refuses_exactly_over_the_ceiling(void **state)
{
    (void)state;
    CUdeviceptr address;
    stub_set_ceiling(0, 3 * MIB);
    CUdeviceptr first = allocate(3 * MIB - 512);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 513), CUDA_ERROR_OUT_OF_MEMORY);
    CUdeviceptr last = allocate(512);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(stub_charged(0), 3 * MIB);
    assert_int_equal(cuda.cuMemFree_v2(first), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFree_v2(last), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 1ull << 50), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(stub_charged(0), 0);
}

static void the_whole_device_can_be_taken(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(4096 * MIB), other;
    assert_int_equal(cuda.cuMemAlloc_v2(&other, 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda.cuMemFree_v2(address), CUDA_SUCCESS);
}

static void refuses_what_was_not_allocated(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(1024);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAlloc_v2(NULL, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFree_v2(address + 512), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFree_v2(1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFree_v2(0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFreeHost((void *)(uintptr_t)address), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFree_v2(address), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    stub_set_current(0);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 1), CUDA_ERROR_INVALID_CONTEXT);
    stub_set_current(1);
    stub_set_error(1, CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(cuda.cuMemsetD8_v2(address, 0, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void rows_are_pitched(void **state)
{
    (void)state;
    CUdeviceptr address;
    size_t pitch;
    assert_int_equal(cuda.cuMemAllocPitch_v2(&address, &pitch, 700, 3, 4), CUDA_SUCCESS);
    assert_int_equal(pitch, 1024);
    assert_int_equal(stub_charged(0), 3072);
    assert_int_equal(cuda.cuMemAllocPitch_v2(&address, &pitch, 700, 3, 5),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAllocPitch_v2(&address, &pitch, 700, 0, 4),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAllocPitch_v2(&address, &pitch, 1ull << 40, 1ull << 40, 4),
                     CUDA_ERROR_OUT_OF_MEMORY);
    CUdeviceptr base;
    size_t size;
    assert_int_equal(cuda.cuMemGetAddressRange_v2(&base, &size, address + 3071), CUDA_SUCCESS);
    assert_int_equal(base, address);
    assert_int_equal(size, 3072);
    assert_int_equal(cuda.cuMemGetAddressRange_v2(&base, &size, address + 3072),
                     CUDA_ERROR_NOT_FOUND);
}

/* A small piece beside one that stays: the same page, so nothing but a cleared free can hide it. */
static void freed_memory_is_zeros(void **state)
{
    (void)state;
    CUdeviceptr stays = allocate(512), small = allocate(512);
    uint8_t byte = 9;
    assert_int_equal(cuda.cuMemsetD8_v2(stays, 1, 512), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD8_v2(small, 2, 512), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFree_v2(small), CUDA_SUCCESS);
    CUdeviceptr again = allocate(512);
    assert_int_equal(again, small);
    assert_int_equal(cuda.cuMemcpyDtoH_v2(&byte, again, 1), CUDA_SUCCESS);
    assert_int_equal(byte, 0);
    assert_int_equal(cuda.cuMemcpyDtoH_v2(&byte, stays, 1), CUDA_SUCCESS);
    assert_int_equal(byte, 1);
}

/* Large memory goes back at once; of small pieces no more than a bounded number of pages stays. */
static void freed_memory_goes_back_to_the_host(void **state)
{
    (void)state;
    static CUdeviceptr pieces[4000];
    CUdeviceptr large = allocate(8 * MIB + 512), other = allocate(512);
    assert_int_equal(cuda.cuMemsetD8_v2(large, 3, 8 * MIB + 512), CUDA_SUCCESS);
    stub_run(NULL);
    assert_true(stub_backed_bytes(0) >= 8 * MIB);
    assert_int_equal(cuda.cuMemFree_v2(large), CUDA_SUCCESS);
    assert_true(stub_backed_bytes(0) <= 4096);
    for (size_t i = 0; i < 4000; i++) {
        pieces[i] = allocate(3000);
        assert_int_equal(cuda.cuMemsetD8_v2(pieces[i], 4, 3000), CUDA_SUCCESS);
    }
    assert_true(stub_backed_bytes(0) >= 4000 * 3000);
    for (size_t i = 0; i < 4000; i++)
        assert_int_equal(cuda.cuMemFree_v2(pieces[i]), CUDA_SUCCESS);
    assert_true(stub_backed_bytes(0) <= 1025 * 4096);
    assert_int_equal(cuda.cuMemFree_v2(other), CUDA_SUCCESS);
    stub_destroy_context(1);
    assert_int_equal(stub_backed_bytes(0), 0);
}

static void copies_check_their_ranges(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(1024);
    uint8_t host[2048] = {0};
    assert_int_equal(cuda.cuMemcpyHtoD_v2(address, host, 1025), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyHtoD_v2(address + 1024, host, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyHtoD_v2(address - 1, host, 2), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyHtoD_v2((uintptr_t)host, host, 2), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyHtoD_v2(address, NULL, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyDtoH_v2(host, 0, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyDtoH_v2(host, address, SIZE_MAX), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyDtoD_v2(address, address + 512, 513), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyHtoD_v2(address, host, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyHtoDAsync_v2(address, host, 8, (CUstream)77),
                     CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuMemcpyHtoD_v2(address, host, 1024), CUDA_SUCCESS);
}

/* A copy that follows such a pointer ends the program, which is what would break this. */
static void copies_refuse_what_is_nowhere(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(1024);
    size_t bytes = 128ull * 4096;
    char *held = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(held != MAP_FAILED && munmap(held + bytes / 2, bytes / 2) == 0);
    CUdeviceptr gone = (uintptr_t)held + bytes / 2;
    assert_int_equal(cuda.cuMemcpy(address, gone, 16), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpy(gone, address, 16), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpy(address, gone - 8, 16), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpy((uintptr_t)held, gone - bytes / 2, bytes),
                     CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyAsync(gone, address, 16, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpy(address, 16, 8), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpy(address, 0xffff800000000000, 8), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyHtoD_v2(address, (void *)gone, 16), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpyDtoH_v2((void *)gone, address, 16), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemcpy(address, gone, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpy(address, gone - 16, 16), CUDA_SUCCESS);
    munmap(held, bytes / 2);
}

static void sets_write_whole_elements(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(64);
    uint32_t words[16];
    assert_int_equal(cuda.cuMemsetD32_v2(address, 0x01020304, 16), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD16_v2(address + 2, 0xabcd, 3), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD2D8_v2(address + 16, 8, 0x77, 2, 3), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemcpyDtoH_v2(words, address, 64), CUDA_SUCCESS);
    assert_int_equal(words[0], 0xabcd0304);
    assert_int_equal(words[1], 0xabcdabcd);
    assert_int_equal(words[2], 0x01020304);
    assert_int_equal(words[4], 0x01027777);
    assert_int_equal(words[5], 0x01020304);
    assert_int_equal(words[8], 0x01027777);
    assert_int_equal(words[10], 0x01020304);
    assert_int_equal(cuda.cuMemsetD32_v2(address + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemsetD16_v2(address + 1, 0, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemsetD2D32_v2(address, 6, 0, 1, 2), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemsetD2D32_v2(address, 4, 0, 2, 2), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemsetD32_v2(address, 0, 129), CUDA_ERROR_INVALID_VALUE);
}

/* The source is staged: what is changed after the call was returned from must not arrive. */
static void asynchronous_copies_wait_for_the_stream(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(4);
    uint32_t value = 1, back = 0;
    stub_keep_busy(STUB_STREAM_A);
    assert_int_equal(cuda.cuMemcpyHtoDAsync_v2(address, &value, 4, STUB_STREAM_A), CUDA_SUCCESS);
    value = 2;
    assert_int_equal(stub_pending(STUB_STREAM_A), 2);
    assert_int_equal(cuda.cuMemcpyDtoH_v2(&back, address, 4), CUDA_SUCCESS);
    assert_int_equal(back, 0);
    /* Into pageable memory a copy returns only when it is done. */
    assert_int_equal(cuda.cuMemcpyDtoHAsync_v2(&back, address, 4, STUB_STREAM_A), CUDA_SUCCESS);
    assert_int_equal(back, 1);
    assert_int_equal(stub_pending(STUB_STREAM_A), 0);
}

static void stream_zero_is_the_threads_own_in_ptsz(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(8), pinned;
    uint32_t *host;
    assert_int_equal(cuda.cuMemHostAlloc((void **)&host, 4, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemHostGetDevicePointer_v2(&pinned, host, 0), CUDA_SUCCESS);
    stub_keep_busy(CU_STREAM_PER_THREAD);
    *host = 5;
    assert_int_equal(cuda.cuMemcpyHtoDAsync_v2_ptsz(address, host, 4, NULL), CUDA_SUCCESS);
    assert_int_equal(stub_pending(CU_STREAM_PER_THREAD), 2);
    assert_int_equal(cuda.cuMemcpyHtoDAsync_v2(address + 4, host, 4, NULL), CUDA_SUCCESS);
    assert_int_equal(stub_pending(CU_STREAM_PER_THREAD), 2);
    *host = 6; /* pinned memory is read when its turn comes */
    stub_run(CU_STREAM_PER_THREAD);
    uint32_t words[2];
    assert_int_equal(cuda.cuMemcpyDtoH_v2(words, address, 8), CUDA_SUCCESS);
    assert_int_equal(words[0], 6);
    assert_int_equal(words[1], 5);
}

static void pinned_memory_is_the_programs_too(void **state)
{
    (void)state;
    char *host;
    unsigned int flags;
    CUdeviceptr address;
    assert_int_equal(cuda.cuMemAllocHost_v2((void **)&host, 5000), CUDA_SUCCESS);
    strcpy(host + 4990, "end");
    assert_int_equal(cuda.cuMemHostGetDevicePointer_v2(&address, host + 4990, 0), CUDA_SUCCESS);
    char *seen = weft_soft_memory_reach(address, 4);
    assert_non_null(seen);
    assert_string_equal(seen, "end");
    assert_null(weft_soft_memory_reach(address, 4096));
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(cuda.cuMemHostGetFlags(&flags, host), CUDA_SUCCESS);
    assert_int_equal(flags, CU_MEMHOSTALLOC_DEVICEMAP);
    assert_int_equal(cuda.cuMemHostAlloc((void **)&host, 1, 64), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFree_v2((uintptr_t)host), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFreeHost(host), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFreeHost(host), CUDA_ERROR_INVALID_VALUE);
    assert_null(weft_soft_memory_reach(address, 4));
}

static int count_mappings(void)
{
    int lines = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    assert_non_null(file);
    for (int byte; (byte = fgetc(file)) != EOF;)
        lines += byte == '\n';
    fclose(file);
    return lines;
}

/* Every other of many small pieces freed: a mapping for each would use up what a process may have.
 */
static void small_pinned_pieces_share_mappings(void **state)
{
    (void)state;
    static char *pieces[4000];
    int before = count_mappings();
    for (int i = 0; i < 4000; i++) {
        assert_int_equal(cuda.cuMemAllocHost_v2((void **)&pieces[i], 100 + i % 3 * 4096),
                         CUDA_SUCCESS);
        memset(pieces[i], i, 100);
    }
    for (int i = 0; i < 4000; i += 2)
        assert_int_equal(cuda.cuMemFreeHost(pieces[i]), CUDA_SUCCESS);
    assert_true(count_mappings() < before + 100);
    for (int i = 1; i < 4000; i += 2) {
        assert_int_equal(pieces[i][99], (char)i);
        assert_int_equal(cuda.cuMemFreeHost(pieces[i]), CUDA_SUCCESS);
    }
    assert_int_equal(count_mappings(), before);
    void *huge;
    assert_int_equal(cuda.cuMemAllocHost_v2(&huge, 1ull << 43), CUDA_ERROR_OUT_OF_MEMORY);
}

static void registered_memory_is_found_where_it_lies(void **state)
{
    (void)state;
    static char buffer[8192];
    CUdeviceptr address;
    assert_null(weft_soft_memory_reach((uintptr_t)buffer, 1));
    assert_int_equal(cuda.cuMemHostRegister_v2(buffer + 100, 5000, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemHostRegister_v2(buffer, 200, 0),
                     CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    assert_int_equal(cuda.cuMemHostRegister_v2(buffer, 100, 0), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemHostGetDevicePointer_v2(&address, buffer + 100, 0), CUDA_SUCCESS);
    assert_ptr_equal(weft_soft_memory_reach(address, 5000), buffer + 100);
    assert_null(weft_soft_memory_reach(address, 5001));
    assert_int_equal(cuda.cuMemsetD8_v2(address, 'x', 5000), CUDA_SUCCESS);
    assert_int_equal(buffer[5099], 'x');
    assert_int_equal(buffer[5100], 0);
    assert_int_equal(cuda.cuMemHostUnregister(buffer + 100), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemHostUnregister(buffer + 100), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    assert_null(weft_soft_memory_reach(address, 1));
    assert_int_equal(cuda.cuMemHostUnregister(buffer), CUDA_SUCCESS);
}

/* A kernel's store there would be the program's own segmentation fault. */
static void only_usable_memory_is_registered(void **state)
{
    (void)state;
    char *pages = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(cuda.cuMemHostRegister_v2(pages, 8192, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemHostRegister_v2(pages, 8192, CU_MEMHOSTREGISTER_READ_ONLY),
                     CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemHostUnregister(pages), CUDA_SUCCESS);
    munmap(pages + 4096, 4096);
    assert_int_equal(cuda.cuMemHostRegister_v2(pages, 8192, CU_MEMHOSTREGISTER_READ_ONLY),
                     CUDA_ERROR_INVALID_VALUE);
    munmap(pages, 4096);
}

static void destroyed_contexts_leave_nothing(void **state)
{
    (void)state;
    void *host;
    CUdeviceptr address = allocate(3 * MIB);
    assert_int_equal(cuda.cuMemsetD8_v2(address, 1, 3 * MIB), CUDA_SUCCESS);
    stub_run(NULL);
    assert_int_equal(cuda.cuMemAllocHost_v2(&host, 4096), CUDA_SUCCESS);
    stub_destroy_context(1);
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(stub_backed_bytes(0), 0);
    assert_null(weft_soft_memory_reach(address, 1));
    assert_null(weft_soft_memory_reach((uintptr_t)host, 1));
}

static void a_program_cannot_read_device_memory(void **state)
{
    (void)state;
    CUdeviceptr address = allocate(4096);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* the test library catches it otherwise */
        volatile char byte = *(volatile char *)(uintptr_t)address;
        (void)byte;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    /* A sanitizer turns the signal into a status of its own. */
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void rows_and_slices_are_copied_between_pitches(void **state)
{
    (void)state;
    uint8_t host[4 * 6], back[4 * 6] = {0};
    for (size_t i = 0; i < sizeof(host); i++)
        host[i] = (uint8_t)i;
    CUdeviceptr address = allocate(4096);
    /* Columns 1 to 3 of rows 1 and 2 into a pitch of 512. */
    CUDA_MEMCPY2D in = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                        .srcHost = host,
                        .srcPitch = 6,
                        .srcXInBytes = 1,
                        .srcY = 1,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstDevice = address,
                        .dstPitch = 512,
                        .WidthInBytes = 3,
                        .Height = 2};
    assert_int_equal(cuda.cuMemcpy2D_v2(&in), CUDA_SUCCESS);
    CUDA_MEMCPY3D out = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                         .srcDevice = address,
                         .srcPitch = 512,
                         .srcHeight = 1,
                         .dstMemoryType = CU_MEMORYTYPE_HOST,
                         .dstHost = back,
                         .dstPitch = 4,
                         .dstHeight = 2,
                         .dstY = 1,
                         .WidthInBytes = 3,
                         .Height = 1,
                         .Depth = 2};
    assert_int_equal(cuda.cuMemcpy3D_v2(&out), CUDA_SUCCESS);
    const uint8_t expected[16] = {0, 0, 0, 0, 7, 8, 9, 0, 0, 0, 0, 0, 13, 14, 15, 0};
    assert_memory_equal(back, expected, sizeof(expected));
    in.dstPitch = 2;
    assert_int_equal(cuda.cuMemcpy2D_v2(&in), CUDA_ERROR_INVALID_VALUE);
    in.dstPitch = 4096;
    assert_int_equal(cuda.cuMemcpy2D_v2(&in), CUDA_ERROR_INVALID_VALUE);
    in.dstPitch = SIZE_MAX;
    assert_int_equal(cuda.cuMemcpy2D_v2(&in), CUDA_ERROR_INVALID_VALUE);
    in.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    assert_int_equal(cuda.cuMemcpy2D_v2(&in), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuMemcpy2D_v2(NULL), CUDA_ERROR_INVALID_VALUE);
}

/* Module variables: the program knows their addresses, but to free them is not its business. */
static void keeps_what_is_the_drivers(void **state)
{
    (void)state;
    struct weft_soft_context *context;
    CUdeviceptr own;
    assert_int_equal(weft_soft_context_current(&context), CUDA_SUCCESS);
    assert_int_equal(weft_soft_memory_allocate(context, 100, &own), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFree_v2(own), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFreeAsync(own, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemsetD8_v2(own, 1, 100), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 512);
    assert_int_equal(weft_soft_memory_free(context, own), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_small, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(charges_blocks_and_gives_them_back),
        TEST(refuses_exactly_over_the_ceiling),
        TEST(the_whole_device_can_be_taken),
        TEST(refuses_what_was_not_allocated),
        TEST(keeps_what_is_the_drivers),
        TEST(rows_are_pitched),
        TEST(freed_memory_is_zeros),
        TEST(freed_memory_goes_back_to_the_host),
        TEST(copies_check_their_ranges),
        TEST(copies_refuse_what_is_nowhere),
        TEST(sets_write_whole_elements),
        TEST(asynchronous_copies_wait_for_the_stream),
        TEST(stream_zero_is_the_threads_own_in_ptsz),
        TEST(pinned_memory_is_the_programs_too),
        TEST(small_pinned_pieces_share_mappings),
        TEST(registered_memory_is_found_where_it_lies),
        TEST(only_usable_memory_is_registered),
        TEST(destroyed_contexts_leave_nothing),
        TEST(a_program_cannot_read_device_memory),
        TEST(rows_and_slices_are_copied_between_pitches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

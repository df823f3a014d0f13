/* Stream-ordered memory: what would break it is a piece that two users hold at once, a free whose
 * turn has not come and that takes effect all the same, or reserved bytes that are not charged or
 * never come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stub_engine.h"

#define MIB (1ull << 20)

static CUmemoryPool pool;

static int open_small(void **state)
{
    (void)state;
    stub_open("small", 2);
    return cuda.cuDeviceGetDefaultMemPool(&pool, 0) != CUDA_SUCCESS;
}

static int close_all(void **state)
{
    (void)state;
    stub_close();
    return 0;
}

static CUdeviceptr allocate(size_t bytes, CUstream stream)
{
    CUdeviceptr address;
    assert_int_equal(cuda.cuMemAllocAsync(&address, bytes, stream), CUDA_SUCCESS);
    return address;
}

static uint64_t attribute(CUmemPool_attribute name)
{
    uint64_t value = 0;
    assert_int_equal(cuda.cuMemPoolGetAttribute(pool, name, &value), CUDA_SUCCESS);
    return value;
}

static void check_bytes(uint64_t reserved, uint64_t used)
{
    assert_int_equal(attribute(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), reserved);
    assert_int_equal(attribute(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), used);
    assert_int_equal(stub_charged(0), reserved);
}

static void reserves_granules_and_hands_out_pieces(void **state)
{
    (void)state;
    CUdeviceptr one = allocate(1000, STUB_STREAM_A), two = allocate(MIB, STUB_STREAM_A);
    check_bytes(2 * MIB, MIB + 1024);
    CUdeviceptr three = allocate(3 * MIB, STUB_STREAM_A);
    check_bytes(6 * MIB, 4 * MIB + 1024);
    assert_int_equal(cuda.cuMemFreeAsync(one, STUB_STREAM_A), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFreeAsync(one, STUB_STREAM_A), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemFree_v2(two), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFreeAsync(three, STUB_STREAM_A), CUDA_SUCCESS);
    check_bytes(6 * MIB, 0);
    assert_int_equal(attribute(CU_MEMPOOL_ATTR_USED_MEM_HIGH), 4 * MIB + 1024);
    weft_soft_memory_synchronised(stub_context(1));
    check_bytes(0, 0);
    assert_int_equal(attribute(CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), 6 * MIB);
    assert_null(weft_soft_memory_reach(three, 1));
}

static void a_free_waits_for_its_turn(void **state)
{
    (void)state;
    CUdeviceptr first = allocate(2 * MIB, STUB_STREAM_A);
    stub_keep_busy(STUB_STREAM_A);
    assert_int_equal(cuda.cuMemFreeAsync(first, STUB_STREAM_A), CUDA_SUCCESS);
    assert_non_null(weft_soft_memory_reach(first, 2 * MIB)); /* what runs before still uses it */
    CUdeviceptr other = allocate(2 * MIB, STUB_STREAM_B);
    assert_int_not_equal(other, first);
    check_bytes(4 * MIB, 4 * MIB);
    weft_soft_memory_synchronised(stub_context(1));
    check_bytes(4 * MIB, 4 * MIB);
    stub_run(STUB_STREAM_A);
    assert_null(weft_soft_memory_reach(first, 1));
    check_bytes(4 * MIB, 2 * MIB);
    CUdeviceptr again = allocate(2 * MIB, STUB_STREAM_B);
    assert_int_equal(again, first);
}

static void the_same_stream_gets_it_at_once(void **state)
{
    (void)state;
    CUdeviceptr first = allocate(2 * MIB, STUB_STREAM_A);
    stub_keep_busy(STUB_STREAM_A);
    assert_int_equal(cuda.cuMemFreeAsync(first, STUB_STREAM_A), CUDA_SUCCESS);
    CUdeviceptr again = allocate(MIB + 1, STUB_STREAM_A);
    assert_int_equal(again, first);
    stub_run(STUB_STREAM_A); /* the old free must not free the new owner's piece */
    check_bytes(2 * MIB, 2 * MIB);
    assert_non_null(weft_soft_memory_reach(again, MIB + 1));
    assert_int_equal(cuda.cuMemFreeAsync(again, STUB_STREAM_A), CUDA_SUCCESS);
    check_bytes(2 * MIB, 0);
}

static void the_threshold_keeps_memory(void **state)
{
    (void)state;
    uint64_t threshold = 4 * MIB;
    assert_int_equal(
        cuda.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold),
        CUDA_SUCCESS);
    CUdeviceptr pieces[4];
    for (int i = 0; i < 4; i++)
        pieces[i] = allocate(2 * MIB, STUB_STREAM_A);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cuda.cuMemFreeAsync(pieces[i], STUB_STREAM_A), CUDA_SUCCESS);
    weft_soft_memory_synchronised(stub_context(1));
    check_bytes(4 * MIB, 0);
    assert_int_equal(cuda.cuMemPoolTrimTo(pool, 2 * MIB), CUDA_SUCCESS);
    check_bytes(2 * MIB, 0);
    assert_int_equal(cuda.cuMemPoolTrimTo(pool, 0), CUDA_SUCCESS);
    check_bytes(0, 0);
}

/* What a pool only keeps must not be the reason why somebody else is refused. */
static void pools_are_trimmed_before_a_refusal(void **state)
{
    (void)state;
    uint64_t threshold = UINT64_MAX;
    CUdeviceptr address;
    assert_int_equal(
        cuda.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold),
        CUDA_SUCCESS);
    stub_set_ceiling(0, 4 * MIB);
    CUdeviceptr kept = allocate(4 * MIB, STUB_STREAM_A);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda.cuMemAllocAsync(&address, 1, STUB_STREAM_A), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda.cuMemFreeAsync(kept, STUB_STREAM_A), CUDA_SUCCESS);
    weft_soft_memory_synchronised(stub_context(1));
    check_bytes(4 * MIB, 0);
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 4 * MIB), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 4 * MIB);
}

static CUmemoryPool create(int device, size_t limit)
{
    CUmemoryPool made;
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {CU_MEM_LOCATION_TYPE_DEVICE, device},
                            .maxSize = limit};
    assert_int_equal(cuda.cuMemPoolCreate(&made, &props), CUDA_SUCCESS);
    return made;
}

static void a_destroyed_pool_lives_as_long_as_its_pieces(void **state)
{
    (void)state;
    CUmemoryPool made = create(0, 2 * MIB), current;
    CUdeviceptr address, more;
    assert_int_equal(cuda.cuDeviceSetMemPool(0, made), CUDA_SUCCESS);
    assert_int_equal(cuda.cuDeviceSetMemPool(1, made), CUDA_ERROR_INVALID_VALUE);
    address = allocate(2 * MIB, NULL);
    assert_int_equal(cuda.cuMemAllocFromPoolAsync(&more, 1, made, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda.cuMemPoolDestroy(made), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemPoolDestroy(made), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuMemAllocFromPoolAsync(&more, 1, made, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuDeviceGetMemPool(&current, 0), CUDA_SUCCESS);
    assert_ptr_equal(current, pool);
    assert_int_equal(stub_charged(0), 2 * MIB);
    assert_int_equal(cuda.cuMemFreeAsync(address, NULL), CUDA_SUCCESS);
    assert_int_equal(stub_charged(0), 0);
    assert_int_equal(cuda.cuMemPoolDestroy(pool), CUDA_ERROR_INVALID_VALUE);
}

static void a_context_takes_its_pieces_along(void **state)
{
    (void)state;
    allocate(2 * MIB, STUB_STREAM_A);
    CUdeviceptr returning = allocate(2 * MIB, STUB_STREAM_A);
    stub_keep_busy(STUB_STREAM_A);
    assert_int_equal(cuda.cuMemFreeAsync(returning, STUB_STREAM_A), CUDA_SUCCESS);
    stub_run(STUB_STREAM_A);
    stub_destroy_context(1);
    assert_int_equal(stub_charged(0), 0);
}

/* cuMemFreeAsync also frees, in stream order, what was not allocated so. */
static void linear_memory_can_be_freed_in_order(void **state)
{
    (void)state;
    CUdeviceptr address;
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 512), CUDA_SUCCESS);
    stub_keep_busy(STUB_STREAM_A);
    assert_int_equal(cuda.cuMemFreeAsync(address, STUB_STREAM_A), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(stub_charged(0), 512);
    stub_run(STUB_STREAM_A);
    assert_int_equal(stub_charged(0), 0);
}

static void access_is_checked_and_kept(void **state)
{
    (void)state;
    CUmemLocation own = {CU_MEM_LOCATION_TYPE_DEVICE, 0}, other = {CU_MEM_LOCATION_TYPE_DEVICE, 1};
    CUmemAccessDesc desc = {other, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemAccess_flags flags;
    assert_int_equal(cuda.cuMemPoolGetAccess(&flags, pool, &own), CUDA_SUCCESS);
    assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    assert_int_equal(cuda.cuMemPoolGetAccess(&flags, pool, &other), CUDA_SUCCESS);
    assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    assert_int_equal(cuda.cuMemPoolSetAccess(pool, &desc, 1), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemPoolGetAccess(&flags, pool, &other), CUDA_SUCCESS);
    assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    desc = (CUmemAccessDesc){own, CU_MEM_ACCESS_FLAGS_PROT_NONE};
    assert_int_equal(cuda.cuMemPoolSetAccess(pool, &desc, 1), CUDA_ERROR_INVALID_DEVICE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_small, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reserves_granules_and_hands_out_pieces),
        TEST(a_free_waits_for_its_turn),
        TEST(the_same_stream_gets_it_at_once),
        TEST(the_threshold_keeps_memory),
        TEST(pools_are_trimmed_before_a_refusal),
        TEST(a_destroyed_pool_lives_as_long_as_its_pieces),
        TEST(a_context_takes_its_pieces_along),
        TEST(linear_memory_can_be_freed_in_order),
        TEST(access_is_checked_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

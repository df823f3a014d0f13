/* The memory limit over arrays and mipmaps: charged by their elements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_driver.h"

static uint64_t charge_of(struct fixture *fixture, CUDA_ARRAY3D_DESCRIPTOR shape)
{
    CUarray array;
    assert_int_equal(fixture->table.cuArray3DCreate_v2(&array, &shape), CUDA_SUCCESS);
    uint64_t charged = fixture_charged(fixture, 0);
    assert_int_equal(fixture->table.cuArrayDestroy(array), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
    return charged;
}

/* Breaks if a dimension, the channels or the format are left out of the charge. */
static void arrays_are_charged_by_their_elements(void **state)
{
    fake_context_make(&((struct fixture *)*state)->table, 0);
    assert_int_equal(
        charge_of(*state, (CUDA_ARRAY3D_DESCRIPTOR){.Width = 100,
                                                    .Format = CU_AD_FORMAT_UNSIGNED_INT8,
                                                    .NumChannels = 1}),
        512);
    assert_int_equal(charge_of(*state, (CUDA_ARRAY3D_DESCRIPTOR){.Width = 64,
                                                                 .Height = 32,
                                                                 .Format = CU_AD_FORMAT_HALF,
                                                                 .NumChannels = 2}),
                     64 * 32 * 4);
    assert_int_equal(charge_of(*state, (CUDA_ARRAY3D_DESCRIPTOR){.Width = 64,
                                                                 .Height = 32,
                                                                 .Depth = 6,
                                                                 .Format = CU_AD_FORMAT_FLOAT,
                                                                 .NumChannels = 4}),
                     64 * 32 * 6 * 16);
    /* What is mapped in later is charged by itself. */
    assert_int_equal(charge_of(*state, (CUDA_ARRAY3D_DESCRIPTOR){.Width = 4096,
                                                                 .Height = 4096,
                                                                 .Format = CU_AD_FORMAT_FLOAT,
                                                                 .NumChannels = 4,
                                                                 .Flags = CUDA_ARRAY3D_SPARSE}),
                     0);
}

/* Breaks if levels are forgotten, or if the layers of a layered mipmap are halved like a depth. */
static void mipmaps_are_the_sum_of_their_levels(void **state)
{
    struct fixture *fixture = *state;
    CUmipmappedArray mipmap;
    CUDA_ARRAY3D_DESCRIPTOR shape = {.Width = 64,
                                     .Height = 64,
                                     .Depth = 8,
                                     .Format = CU_AD_FORMAT_UNSIGNED_INT32,
                                     .NumChannels = 1};
    fake_context_make(&fixture->table, 0);
    assert_int_equal(fixture->table.cuMipmappedArrayCreate(&mipmap, &shape, 3), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 4 * (64 * 64 * 8 + 32 * 32 * 4 + 16 * 16 * 2));
    assert_int_equal(fixture->table.cuMipmappedArrayDestroy(mipmap), CUDA_SUCCESS);
    shape.Flags = CUDA_ARRAY3D_LAYERED;
    assert_int_equal(fixture->table.cuMipmappedArrayCreate(&mipmap, &shape, 3), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 4 * 8 * (64 * 64 + 32 * 32 + 16 * 16));
    assert_int_equal(fixture->table.cuMipmappedArrayDestroy(mipmap), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

/* Breaks if arrays pass the limit, stay charged when the backend refuses or their context ends, or
 * wrap around. */
static void arrays_obey_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct weft_cuda *cuda = &fixture->table;
    CUDA_ARRAY_DESCRIPTOR shape = {
        .Width = 1024, .Height = 1024, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};
    CUDA_ARRAY_DESCRIPTOR_v1 narrow = {
        .Width = 1024, .Height = 1024, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};
    CUDA_ARRAY3D_DESCRIPTOR_v1 narrow_3d = {.Width = 1024,
                                            .Height = 512,
                                            .Depth = 2,
                                            .Format = CU_AD_FORMAT_UNSIGNED_INT8,
                                            .NumChannels = 1};
    CUarray a, b, c;
    CUcontext context = fake_context_make(cuda, 0);
    fixture_limit(fixture, 0, 3 * FAKE_MIB);
    assert_int_equal(cuda->cuArrayCreate_v2(&a, &shape), CUDA_SUCCESS);
    assert_int_equal(cuda->cuArrayCreate(&b, &narrow), CUDA_SUCCESS);
    fake.fail_next = CUDA_ERROR_NOT_SUPPORTED;
    assert_int_equal(cuda->cuArrayCreate_v2(&c, &shape), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(fixture_charged(fixture, 0), 2 * FAKE_MIB);
    assert_int_equal(cuda->cuArray3DCreate(&c, &narrow_3d), CUDA_SUCCESS);
    assert_int_equal(cuda->cuArrayCreate_v2(&c, &shape), CUDA_ERROR_OUT_OF_MEMORY);
    shape.Width = shape.Height = (size_t)1 << 33;
    assert_int_equal(cuda->cuArrayCreate_v2(&c, &shape), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuda->cuArrayCreate_v2(&c, NULL), CUDA_ERROR_INVALID_VALUE);
    fake.fail_next = CUDA_ERROR_ARRAY_IS_MAPPED;
    assert_int_equal(cuda->cuArrayDestroy(a), CUDA_ERROR_ARRAY_IS_MAPPED);
    assert_int_equal(fixture_charged(fixture, 0), 3 * FAKE_MIB);
    assert_int_equal(cuda->cuArrayDestroy(a), CUDA_SUCCESS);
    assert_int_equal(cuda->cuArrayDestroy(a), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(fixture_charged(fixture, 0), 2 * FAKE_MIB);
    assert_int_equal(cuda->cuCtxDestroy_v2(context), CUDA_SUCCESS);
    assert_int_equal(fixture_charged(fixture, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(arrays_are_charged_by_their_elements),
        QUOTA_TEST(mipmaps_are_the_sum_of_their_levels),
        QUOTA_TEST(arrays_obey_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

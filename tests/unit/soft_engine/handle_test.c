/* The handle table: what would break it is a stale handle that finds the next tenant of its place,
 * an object released too early or twice, or two closers that both succeed. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "softgpu/handle.h"

#define THREADS 4
#define ROUNDS 2000

static atomic_int releases;

static void count_release(void *object)
{
    (void)object;
    atomic_fetch_add(&releases, 1);
}

static void finds_only_its_own_type(void **state)
{
    (void)state;
    int object = 7;
    uint64_t handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_EVENT, &object, NULL);
    assert_true(handle > 2);
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_STREAM, handle));
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, handle + 1));
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, 0));
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, UINT64_MAX));
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, (uint64_t)(uintptr_t)&object));
    /* The number of another type at the same place is invented. */
    uint64_t invented = (handle & ~(0xffull << 56)) | (uint64_t)WEFT_SOFT_HANDLE_STREAM << 56;
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_STREAM, invented));
    assert_false(weft_soft_handle_close(WEFT_SOFT_HANDLE_STREAM, invented));
    assert_ptr_equal(weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, handle), &object);
    weft_soft_handle_put(handle);
    assert_true(weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, handle));
}

static void refuses_a_stale_handle_whose_place_is_taken_again(void **state)
{
    (void)state;
    int first = 1, second = 2;
    uint64_t old = weft_soft_handle_open(WEFT_SOFT_HANDLE_EVENT, &first, NULL);
    assert_true(weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, old));
    uint64_t fresh = weft_soft_handle_open(WEFT_SOFT_HANDLE_EVENT, &second, NULL);
    assert_int_equal(old & 0xffffff, fresh & 0xffffff);
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, old));
    assert_false(weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, old));
    assert_true(weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, fresh));
}

static void keeps_the_object_until_the_last_reference(void **state)
{
    (void)state;
    int object = 0;
    atomic_store(&releases, 0);
    uint64_t handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_MODULE, &object, count_release);
    assert_non_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_MODULE, handle));
    assert_true(weft_soft_handle_close(WEFT_SOFT_HANDLE_MODULE, handle));
    assert_null(weft_soft_handle_get(WEFT_SOFT_HANDLE_MODULE, handle));
    weft_soft_handle_retain(handle);
    weft_soft_handle_put(handle);
    assert_int_equal(atomic_load(&releases), 0);
    weft_soft_handle_put(handle);
    assert_int_equal(atomic_load(&releases), 1);
}

static _Atomic uint64_t shared_handle;
static atomic_int closed;

static void *get_and_close(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t handle = atomic_load(&shared_handle);
        if (weft_soft_handle_get(WEFT_SOFT_HANDLE_EVENT, handle))
            weft_soft_handle_put(handle);
        if (weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, handle)) {
            atomic_fetch_add(&closed, 1);
            atomic_store(&shared_handle,
                         weft_soft_handle_open(WEFT_SOFT_HANDLE_EVENT, &closed, count_release));
        }
    }
    return NULL;
}

static void releases_once_under_threads(void **state)
{
    (void)state;
    atomic_store(&releases, 0);
    atomic_store(&shared_handle,
                 weft_soft_handle_open(WEFT_SOFT_HANDLE_EVENT, &closed, count_release));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_close, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(weft_soft_handle_close(WEFT_SOFT_HANDLE_EVENT, atomic_load(&shared_handle)));
    assert_int_equal(atomic_load(&releases), atomic_load(&closed) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_only_its_own_type),
        cmocka_unit_test(refuses_a_stale_handle_whose_place_is_taken_again),
        cmocka_unit_test(keeps_the_object_until_the_last_reference),
        cmocka_unit_test(releases_once_under_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

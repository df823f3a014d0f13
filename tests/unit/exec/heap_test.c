/* The device's heap: what would break it is two pieces that overlap, a piece that is freed and
 * never found again, or a free of what is no piece that goes through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "softgpu/exec/heap.h"

#define BASE 0x100000u
#define GRAIN WEFT_EXEC_HEAP_GRAIN_BYTES

static struct weft_exec_heap *heap_of(uint64_t grains)
{
    struct weft_exec_heap *heap;
    assert_int_equal(weft_exec_heap_create(&heap, BASE, grains * GRAIN, NULL), 0);
    return heap;
}

static void gives_all_of_it_and_then_none(void **state)
{
    (void)state;
    struct weft_exec_heap *heap = heap_of(4);
    assert_int_equal(weft_exec_heap_allocate(heap, 0), 0);
    assert_int_equal(weft_exec_heap_allocate(heap, 4 * GRAIN + 1), 0);
    assert_int_equal(weft_exec_heap_allocate(heap, UINT64_MAX), 0);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(weft_exec_heap_allocate(heap, GRAIN - i), BASE + i * GRAIN);
    assert_int_equal(weft_exec_heap_allocate(heap, 1), 0);
    weft_exec_heap_destroy(heap);
    heap = heap_of(0);
    assert_int_equal(weft_exec_heap_allocate(heap, 1), 0);
    assert_false(weft_exec_heap_free(heap, BASE));
    weft_exec_heap_destroy(heap);
    weft_exec_heap_destroy(NULL);
}

static void joins_what_is_freed(void **state)
{
    (void)state;
    struct weft_exec_heap *heap = heap_of(4);
    uint64_t pieces[4];
    for (int i = 0; i < 4; i++)
        pieces[i] = weft_exec_heap_allocate(heap, GRAIN);
    assert_true(weft_exec_heap_free(heap, pieces[1]));
    assert_true(weft_exec_heap_free(heap, pieces[3]));
    assert_int_equal(weft_exec_heap_allocate(heap, 2 * GRAIN), 0);
    assert_true(weft_exec_heap_free(heap, pieces[2]));
    assert_int_equal(weft_exec_heap_allocate(heap, 3 * GRAIN), pieces[1]);
    assert_true(weft_exec_heap_free(heap, pieces[0]));
    assert_int_equal(weft_exec_heap_allocate(heap, GRAIN), pieces[0]);
    assert_true(weft_exec_heap_free(heap, pieces[0]));
    assert_true(weft_exec_heap_free(heap, pieces[1]));
    assert_int_equal(weft_exec_heap_allocate(heap, 4 * GRAIN), BASE);
    weft_exec_heap_destroy(heap);
}

static void refuses_what_is_no_piece(void **state)
{
    (void)state;
    struct weft_exec_heap *heap = heap_of(4);
    uint64_t piece = weft_exec_heap_allocate(heap, 2 * GRAIN);
    assert_false(weft_exec_heap_free(heap, piece + 1));
    assert_false(weft_exec_heap_free(heap, piece + GRAIN));
    assert_false(weft_exec_heap_free(heap, BASE - GRAIN));
    assert_false(weft_exec_heap_free(heap, BASE + 4 * GRAIN));
    assert_true(weft_exec_heap_free(heap, piece));
    assert_false(weft_exec_heap_free(heap, piece));
    weft_exec_heap_destroy(heap);
}

/* Sizes of a fixed pattern, freed in another order: no two pieces in use may overlap. */
static void never_gives_a_byte_twice(void **state)
{
    (void)state;
    enum { GRAINS = 512, PIECES = 64, ROUNDS = 20000 };
    struct weft_exec_heap *heap = heap_of(GRAINS);
    static unsigned char owner[GRAINS];
    uint64_t address[PIECES] = {0}, grains[PIECES] = {0};
    uint32_t random = 1;
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 1664525u + 1013904223u;
        uint32_t piece = (random >> 8) % PIECES;
        if (address[piece]) {
            for (uint64_t i = 0; i < grains[piece]; i++)
                owner[(address[piece] - BASE) / GRAIN + i] = 0;
            assert_true(weft_exec_heap_free(heap, address[piece]));
            address[piece] = 0;
            continue;
        }
        grains[piece] = 1 + (random >> 16) % 24;
        address[piece] = weft_exec_heap_allocate(heap, grains[piece] * GRAIN);
        for (uint64_t i = 0; address[piece] && i < grains[piece]; i++) {
            assert_int_equal(owner[(address[piece] - BASE) / GRAIN + i], 0);
            owner[(address[piece] - BASE) / GRAIN + i] = 1;
        }
    }
    for (int i = 0; i < PIECES; i++)
        if (address[i])
            assert_true(weft_exec_heap_free(heap, address[i]));
    assert_int_equal(weft_exec_heap_allocate(heap, (uint64_t)GRAINS * GRAIN), BASE);
    weft_exec_heap_destroy(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_all_of_it_and_then_none),
        cmocka_unit_test(joins_what_is_freed),
        cmocka_unit_test(refuses_what_is_no_piece),
        cmocka_unit_test(never_gives_a_byte_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

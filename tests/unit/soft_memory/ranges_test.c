/* The allocator of offsets: what would break it is a piece handed out twice, a neighbour that is
 * not joined, or a return that needs memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "softgpu/memory/ranges.h"

#define REGION 4096u
#define PIECES 64
#define STEPS 20000

static void takes_the_smallest_that_fits(void **state)
{
    (void)state;
    struct weft_soft_ranges ranges = {0};
    uint64_t offset;
    assert_true(weft_soft_ranges_add(&ranges, 0, 1000));
    assert_true(weft_soft_ranges_take_at(&ranges, 100, 10));
    assert_true(weft_soft_ranges_take_at(&ranges, 150, 850));
    /* Free are [0, 100) and [110, 150). */
    assert_true(weft_soft_ranges_take(&ranges, 30, 1, &offset));
    assert_int_equal(offset, 110);
    assert_false(weft_soft_ranges_take(&ranges, 101, 1, &offset));
    assert_true(weft_soft_ranges_take(&ranges, 100, 1, &offset));
    assert_int_equal(offset, 0);
    weft_soft_ranges_finish(&ranges);
}

/* More parts of the right size at the wrong offsets than are looked at one by one, and no part that
 * is so large that any offset does. */
static void finds_an_aligned_place_behind_many_that_are_not(void **state)
{
    (void)state;
    struct weft_soft_ranges ranges = {0};
    uint64_t offset;
    for (uint64_t i = 0; i < 100; i++)
        assert_true(weft_soft_ranges_add(&ranges, i * 256 + 32, 64));
    assert_false(weft_soft_ranges_take(&ranges, 64, 64, &offset));
    assert_true(weft_soft_ranges_add(&ranges, 102400, 64));
    assert_true(weft_soft_ranges_take(&ranges, 64, 64, &offset));
    assert_int_equal(offset, 102400);
    weft_soft_ranges_finish(&ranges);
}

static void removes_only_what_is_all_free(void **state)
{
    (void)state;
    struct weft_soft_ranges ranges = {0};
    uint64_t offset;
    assert_true(weft_soft_ranges_add(&ranges, 0, 100));
    assert_true(weft_soft_ranges_add(&ranges, 100, 100));
    assert_true(weft_soft_ranges_take(&ranges, 150, 1, &offset));
    assert_false(weft_soft_ranges_remove(&ranges, 0, 100));
    assert_false(weft_soft_ranges_remove(&ranges, 100, 100));
    weft_soft_ranges_give(&ranges, offset, 150);
    assert_true(weft_soft_ranges_remove(&ranges, 100, 100));
    assert_int_equal(ranges.free_bytes, 100);
    weft_soft_ranges_finish(&ranges);
}

struct piece {
    uint64_t offset, bytes;
};

static void step(struct weft_soft_ranges *ranges, struct piece *piece, uint8_t *used)
{
    if (piece->bytes) {
        memset(used + piece->offset, 0, piece->bytes);
        weft_soft_ranges_give(ranges, piece->offset, piece->bytes);
        piece->bytes = 0;
        return;
    }
    uint64_t bytes = 1 + (uint64_t)(random() % 200), alignment = 1ull << random() % 6;
    if (!weft_soft_ranges_take(ranges, bytes, alignment, &piece->offset))
        return;
    piece->bytes = bytes;
    assert_int_equal(piece->offset % alignment, 0);
    assert_true(piece->offset + bytes <= REGION);
    for (uint64_t i = 0; i < bytes; i++)
        assert_int_equal(used[piece->offset + i]++, 0);
}

static void random_pieces_never_overlap_and_join_again(void **state)
{
    (void)state;
    struct weft_soft_ranges ranges = {0};
    struct piece pieces[PIECES] = {{0}};
    uint8_t used[REGION] = {0};
    srandom(7);
    assert_true(weft_soft_ranges_add(&ranges, 0, REGION));
    for (int i = 0; i < STEPS; i++)
        step(&ranges, &pieces[random() % PIECES], used);
    for (int i = 0; i < PIECES; i++) {
        if (pieces[i].bytes)
            step(&ranges, &pieces[i], used);
    }
    uint64_t start, bytes;
    assert_true(weft_soft_ranges_around(&ranges, 0, &start, &bytes));
    assert_int_equal(bytes, REGION);
    /* As many nodes as parts could be free at once, not as many as there were steps. */
    assert_true(ranges.node_count <= PIECES + 2);
    weft_soft_ranges_finish(&ranges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_smallest_that_fits),
        cmocka_unit_test(finds_an_aligned_place_behind_many_that_are_not),
        cmocka_unit_test(removes_only_what_is_all_free),
        cmocka_unit_test(random_pieces_never_overlap_and_join_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

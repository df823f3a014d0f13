/* What a device's memory is used for, from samples. Breaks when something that is not known counts
 * as a number, when memory between its allocation and its charge is taken for the driver's, or when
 * growth is told twice or never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy/reconcile.h"

#define UNKNOWN WEFT_RECONCILE_UNKNOWN

static void a_figure_is_the_smaller_of_two_in_a_row(void **state)
{
    (void)state;
    static const struct {
        uint64_t now, steady;
    } rows[] = {{300, UNKNOWN}, {310, 300}, {900, 310},         {290, 290},     {0, 0},
                {300, 0},       {300, 300}, {UNKNOWN, UNKNOWN}, {300, UNKNOWN}, {300, 300}};
    struct weft_reconcile_figure figure = WEFT_RECONCILE_FIGURE_INIT;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weft_reconcile_take(&figure, rows[i].now);
        assert_int_equal(figure.steady, rows[i].steady);
    }
}

static void growth_over_the_bound_is_told_once(void **state)
{
    (void)state;
    static const struct {
        uint64_t steady;
        bool news;
    } rows[] = {{UNKNOWN, false}, {100, false}, {101, true},  {101, false}, {201, false},
                {202, true},      {50, false},  {150, false}, {151, true},  {UNKNOWN, false}};
    struct weft_reconcile_figure figure = WEFT_RECONCILE_FIGURE_INIT;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        figure.steady = rows[i].steady;
        assert_int_equal(weft_reconcile_is_news(&figure, 100), rows[i].news);
    }
}

static void what_is_not_told_is_not_a_number(void **state)
{
    (void)state;
    static const struct weft_reconcile_sample sample = {
        .used_bytes = 1000, .count = 2, .processes = {{7, 600}, {8, UNKNOWN}, {9, 1}}};
    assert_int_equal(weft_reconcile_of_process(&sample, 7), 600);
    assert_int_equal(weft_reconcile_of_process(&sample, 8), UNKNOWN);
    assert_int_equal(weft_reconcile_of_process(&sample, 9), UNKNOWN); /* past the count */
    assert_int_equal(weft_reconcile_driver(600, 400), 200);
    assert_int_equal(weft_reconcile_driver(400, 600), 0);
    assert_int_equal(weft_reconcile_driver(UNKNOWN, 600), UNKNOWN);
    assert_int_equal(weft_reconcile_ours(600, 400), 600);
    assert_int_equal(weft_reconcile_ours(400, 600), 600);
    assert_int_equal(weft_reconcile_ours(UNKNOWN, 600), 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_figure_is_the_smaller_of_two_in_a_row),
        cmocka_unit_test(growth_over_the_bound_is_told_once),
        cmocka_unit_test(what_is_not_told_is_not_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

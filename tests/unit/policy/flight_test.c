/* Work on its way. What would break it: a kernel of which nothing is known beside another, a bound
 * that long kernels pass or that lets short ones run dry, a guess that follows what was measured
 * too late, or a table of kernels that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/flight.h"

#define MICROSECOND 1000ull

static struct weft_flight flight;

static int set_up(void **state)
{
    (void)state;
    memset(&flight, 0, sizeof(flight));
    return 0;
}

/* How many of these fit. */
static uint32_t fill(uint64_t key)
{
    uint32_t count = 0;
    for (; count < 1000 && weft_flight_has_room(&flight, key); count++)
        weft_flight_begin(&flight, key);
    for (uint32_t i = 0; i < count; i++)
        weft_flight_end(&flight, weft_flight_guess_ns(&flight, key));
    return count;
}

static void the_unknown_go_alone(void **state)
{
    (void)state;
    weft_flight_learn(&flight, 1, 10 * MICROSECOND);
    assert_int_equal(fill(2), 1);
    uint64_t guess_ns = weft_flight_begin(&flight, 1);
    assert_int_equal(guess_ns, 10 * MICROSECOND);
    assert_false(weft_flight_has_room(&flight, 2));
    assert_true(weft_flight_has_room(&flight, 1));
    weft_flight_end(&flight, guess_ns);
    assert_true(weft_flight_has_room(&flight, 2));
    assert_int_equal(weft_flight_begin(&flight, 2), WEFT_FLIGHT_FIRST_NS);
}

static void the_bound_is_of_time(void **state)
{
    (void)state;
    weft_flight_learn(&flight, 1, 20 * MICROSECOND);
    weft_flight_learn(&flight, 2, 5000 * MICROSECOND);
    assert_int_equal(fill(1), 10);
    assert_int_equal(fill(2), 2);
    weft_flight_learn_latency(&flight, 50 * MICROSECOND);
    assert_int_equal(fill(1), 20);
    for (int i = 0; i < 100; i++)
        weft_flight_learn_latency(&flight, 10000 * MICROSECOND);
    assert_int_equal(fill(1), 50);
    assert_int_equal(fill(2), 2);
    weft_flight_learn(&flight, 3, WEFT_FLIGHT_LONG_NS);
    assert_int_equal(fill(3), 1);
    uint64_t guess_ns = weft_flight_begin(&flight, 2);
    assert_false(weft_flight_has_room(&flight, 3));
    weft_flight_end(&flight, guess_ns);
    guess_ns = weft_flight_begin(&flight, 3);
    assert_false(weft_flight_has_room(&flight, 2));
    weft_flight_end(&flight, guess_ns);
    assert_int_equal(flight.in_flight + flight.in_flight_ns, 0);
}

static void guesses_grow_fast_and_shrink_slowly(void **state)
{
    (void)state;
    weft_flight_learn(&flight, 1, 100 * MICROSECOND);
    assert_int_equal(weft_flight_guess_ns(&flight, 1), 100 * MICROSECOND);
    weft_flight_learn(&flight, 1, 900 * MICROSECOND);
    assert_int_equal(weft_flight_guess_ns(&flight, 1), 500 * MICROSECOND);
    weft_flight_learn(&flight, 1, 100 * MICROSECOND);
    assert_int_equal(weft_flight_guess_ns(&flight, 1), 450 * MICROSECOND);
    for (int i = 0; i < 100; i++)
        weft_flight_learn(&flight, 1, 0);
    assert_in_range(weft_flight_guess_ns(&flight, 1), 1, MICROSECOND);
}

static void a_full_table_forgets(void **state)
{
    (void)state;
    for (uint64_t key = 16; key < 16 * 5000; key += 16)
        weft_flight_learn(&flight, key, key);
    uint32_t known = 0;
    for (uint64_t key = 16; key < 16 * 5000; key += 16) {
        uint64_t guess_ns = weft_flight_guess_ns(&flight, key);
        assert_true(guess_ns == key || guess_ns == WEFT_FLIGHT_FIRST_NS);
        known += guess_ns == key;
    }
    assert_in_range(known, WEFT_FLIGHT_KERNELS / 2, WEFT_FLIGHT_KERNELS);
    assert_int_equal(weft_flight_guess_ns(&flight, 16 * 4999), 16 * 4999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_unknown_go_alone, set_up),
        cmocka_unit_test_setup(the_bound_is_of_time, set_up),
        cmocka_unit_test_setup(guesses_grow_fast_and_shrink_slowly, set_up),
        cmocka_unit_test_setup(a_full_table_forgets, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

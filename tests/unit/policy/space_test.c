/* Shares of the SMs. Breaks when a share is more than was asked for or none at all, when sets
 * overlap although there is room, or when one that changes lets through what is in neither. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy/space.h"

#define ROUNDS 2000
#define WRITES 20000

static void rounds_down_to_one(void **state)
{
    (void)state;
    const struct {
        uint32_t sm_count, percent, sms;
    } rows[] = {{8, 50, 4},  {8, 49, 3},  {8, 12, 1},    {8, 1, 1},      {1, 1, 1},
                {1, 100, 1}, {132, 1, 1}, {132, 33, 43}, {108, 99, 106}, {256, 100, 256}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(weft_space_sms(rows[i].sm_count, rows[i].percent), rows[i].sms);
}

static void zeroed_is_all(void **state)
{
    (void)state;
    const struct weft_space_set none = {0}, one = {.words = {1}, .is_part = 1},
                                last = {.words = {0, 0, 0, 1ull << 63}, .is_part = 1};
    assert_true(weft_space_is_whole(&none));
    assert_false(weft_space_is_whole(&last));
    assert_true(weft_space_has(&none, 255) && weft_space_has(&last, 255));
    assert_false(weft_space_has(&one, 1) || weft_space_has(&none, 256));
    assert_int_equal(weft_space_count(&none, 40), 40);
    assert_int_equal(weft_space_count(&one, 40), 1);
    assert_true(weft_space_meets(&none, &one) && weft_space_meets(&one, &one));
    assert_false(weft_space_meets(&one, &last));
}

static void takes_what_fewest_have(void **state)
{
    (void)state;
    const struct weft_space_set none = {0}, own = {.words = {0x28}, .is_part = 1};
    const uint32_t free_ones[8] = {0}, busy[8] = {1, 1, 1, 0, 0, 0, 2, 0};
    assert_int_equal(weft_space_choose(free_ones, 8, 3, &none).words[0], 0x07);
    assert_int_equal(weft_space_choose(busy, 8, 3, &none).words[0], 0x38);
    assert_int_equal(weft_space_choose(busy, 8, 5, &none).words[0], 0xb9);
    /* Of equal ones it keeps what it has. */
    assert_int_equal(weft_space_choose(free_ones, 8, 2, &own).words[0], 0x28);
    assert_int_equal(weft_space_choose(free_ones, 8, 3, &own).words[0], 0x29);
    struct weft_space_set all = weft_space_choose(busy, 8, 8, &own);
    assert_true(weft_space_is_whole(&all));
}

/* Whoever comes, no SM has two more than another while both could be had. */
static void sets_spread_evenly(void **state)
{
    (void)state;
    const struct weft_space_set none = {0};
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t sm_count = 1 + (uint32_t)rand() % WEFT_SPACE_SMS_MAX,
                 loads[WEFT_SPACE_SMS_MAX] = {0};
        for (int tenant = 0; tenant < 5; tenant++) {
            uint32_t wanted = weft_space_sms(sm_count, 1 + (uint32_t)rand() % 99);
            struct weft_space_set set = weft_space_choose(loads, sm_count, wanted, &none);
            if (wanted == sm_count)
                continue;
            uint32_t held = 0, least = UINT32_MAX, most = 0;
            for (uint32_t sm = 0; sm < sm_count; sm++) {
                held += weft_space_has(&set, sm);
                loads[sm] += weft_space_has(&set, sm);
                least = loads[sm] < least ? loads[sm] : least;
                most = loads[sm] > most ? loads[sm] : most;
            }
            assert_int_equal(held, wanted);
            assert_true(most - least <= 1);
        }
    }
}

static struct weft_space_set shared;
static atomic_bool stop;
static atomic_int wholes;

static void *watch(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop))
        wholes += weft_space_has(&shared, 200);
    return NULL;
}

static void changes_from_part_to_part(void **state)
{
    (void)state;
    const struct weft_space_set sets[] = {{.words = {0xff}, .is_part = 1},
                                          {.words = {0, 0xff00}, .is_part = 1}};
    pthread_t watcher;
    shared = sets[0];
    assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
    for (int i = 0; i < WRITES; i++)
        weft_space_write(&shared, &sets[i % 2]);
    atomic_store(&stop, true);
    pthread_join(watcher, NULL);
    assert_int_equal(atomic_load(&wholes), 0);
    weft_space_write(&shared, &(struct weft_space_set){0});
    assert_true(weft_space_is_whole(&shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_down_to_one),        cmocka_unit_test(zeroed_is_all),
        cmocka_unit_test(takes_what_fewest_have),    cmocka_unit_test(sets_spread_evenly),
        cmocka_unit_test(changes_from_part_to_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

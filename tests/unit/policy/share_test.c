/* Shares of device time, by simulation with random loads. What would break it: a share that is not
 * as the weights say, whatever the lengths of kernels and the number of threads; a device that
 * stands still while somebody may use it; a class that is not served first, or whose floor is
 * missing; a cap that does not hold over any second; somebody who never gets a turn, or who is owed
 * more than a bounded lag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulation.h"

#define WHOLE WEFT_SHARE_CAP_WHOLE
#define NORMAL WEFT_SHARE_CLASS_DEFAULT
#define SEEDS 6

static uint64_t used(const struct simulated_tenant *tenant)
{
    return tenant->line.used_ns;
}

/* Of the time of one window, in 1/10000. */
static uint64_t parts_of(uint64_t time_ns, uint64_t window_ns)
{
    return time_ns * 10000 / window_ns;
}

static void check_windows(struct simulation *simulation, uint32_t weights)
{
    uint64_t before[TENANTS_MAX] = {0};
    for (int window = 0; window < 4; window++) {
        for (uint32_t i = 0; i < simulation->tenant_count; i++)
            before[i] = used(&simulation->tenants[i]);
        uint64_t begin = weft_share_clock(&simulation->share);
        simulation_run(simulation, SECOND);
        uint64_t window_ns = weft_share_clock(&simulation->share) - begin;
        for (uint32_t i = 0; i < simulation->tenant_count; i++) {
            struct simulated_tenant *tenant = &simulation->tenants[i];
            uint64_t share = parts_of(used(tenant) - before[i], window_ns),
                     fair = 10000ull * weft_share_terms_unpack(tenant->line.terms).weight / weights;
            /* Within 1 % of the device, and of the share itself. */
            assert_in_range(share + 100, fair, fair + 200);
            assert_in_range(share * 100, fair * 98 - 100, fair * 102 + 100);
        }
    }
    assert_int_equal(simulation->share.idle_ns, 0);
}

static void shares_follow_weights(void **state)
{
    static const uint64_t kernels[] = {20 * MICROSECOND, 400 * MICROSECOND, 2 * MILLISECOND};
    (void)state;
    for (uint32_t i = 0; i < 36; i++) {
        struct simulation simulation;
        simulation_init(&simulation, i + 1, 1 + i % 4);
        uint32_t heavy = i % 2 ? 900 : 300;
        simulation_add(&simulation, 100, NORMAL, WHOLE, kernels[i / 2 % 3], i % 5 ? 2 : 8);
        simulation_add(&simulation, heavy, NORMAL, WHOLE, kernels[i / 6 % 3], i % 7 ? 2 : 8);
        check_windows(&simulation, 100 + heavy);
        simulation_finish(&simulation);
    }
}

static void shares_follow_random_weights(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation;
        simulation_init(&simulation, seed, 4);
        uint32_t count = 2 + (uint32_t)simulation_draw(&simulation, 5), weights = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t weight = 50 + (uint32_t)simulation_draw(&simulation, 500);
            simulation_add(&simulation, weight, NORMAL, WHOLE,
                           20 * MICROSECOND + simulation_draw(&simulation, 2 * MILLISECOND),
                           1 + (uint32_t)simulation_draw(&simulation, 4));
            weights += weight;
        }
        check_windows(&simulation, weights);
        simulation_finish(&simulation);
    }
}

/* Who works now and then loses nothing by it, and is owed nothing for the time in which it did not.
 */
static void pauses_save_nothing(void **state)
{
    (void)state;
    struct simulation simulation;
    simulation_init(&simulation, 7, 2);
    struct simulated_tenant *steady =
        simulation_add(&simulation, 100, NORMAL, WHOLE, MILLISECOND, 2);
    struct simulated_tenant *sleeper =
        simulation_add(&simulation, 100, NORMAL, WHOLE, MILLISECOND, 2);
    sleeper->busy_ns = UINT64_MAX;
    sleeper->pause_ns = 1;
    sleeper->resume_ns = SECOND;
    simulation_run(&simulation, SECOND);
    assert_true(used(steady) >= SECOND && used(sleeper) == 0);
    uint64_t before = used(steady);
    simulation_run(&simulation, 100 * MILLISECOND);
    assert_in_range(used(sleeper), 48 * MILLISECOND, 52 * MILLISECOND);
    assert_in_range(used(steady) - before, 48 * MILLISECOND, 52 * MILLISECOND);
    simulation_finish(&simulation);
}

/* Whose queue runs empty for a moment between two launches keeps its place, so it has its share as
 * far as its own launches allow. */
static void moments_of_emptiness_cost_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation;
        simulation_init(&simulation, seed, 2);
        struct simulated_tenant *heavy =
            simulation_add(&simulation, 300, NORMAL, WHOLE, 20 * MICROSECOND, 2);
        struct simulated_tenant *light =
            simulation_add(&simulation, 100, NORMAL, WHOLE, 20 * MICROSECOND, 2);
        heavy->busy_ns = 400 * MICROSECOND;
        heavy->pause_ns = 1 + simulation_draw(&simulation, 10 * MICROSECOND);
        simulation_run(&simulation, SECOND);
        assert_in_range(parts_of(used(heavy), SECOND), 7400, 7600);
        assert_in_range(parts_of(used(light), SECOND), 2400, 2600);
        simulation_finish(&simulation);
    }
}

/* Random loads of all kinds: the simulation itself fails where the device stands still although
 * somebody may use it. */
static void nobody_waits_for_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        struct simulation simulation;
        simulation_init(&simulation, seed, 1 + (uint32_t)(seed % 3));
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t cap = simulation_draw(&simulation, 2)
                               ? WHOLE
                               : 100 + (uint32_t)simulation_draw(&simulation, 5000);
            struct simulated_tenant *tenant =
                simulation_add(&simulation, 1 + (uint32_t)simulation_draw(&simulation, 10000),
                               (uint32_t)simulation_draw(&simulation, WEFT_SHARE_CLASSES), cap,
                               MICROSECOND + simulation_draw(&simulation, MILLISECOND), 2);
            tenant->busy_ns = simulation_draw(&simulation, 5 * MILLISECOND);
            tenant->pause_ns = 1 + simulation_draw(&simulation, 20 * MILLISECOND);
        }
        simulation_run(&simulation, SECOND);
        simulation_finish(&simulation);
    }
}

/* Three classes with somebody who is always busy: 98 % for the first, the same again of what is
 * left for the next, and the last gets on too. */
static void classes_go_in_order(void **state)
{
    (void)state;
    struct simulation simulation;
    simulation_init(&simulation, 3, 2);
    for (uint32_t class = 0; class < WEFT_SHARE_CLASSES; class += 2)
        simulation_add(&simulation, 100, class, WHOLE, 20 * MICROSECOND, 2);
    simulation_run(&simulation, 2 * SECOND);
    assert_in_range(parts_of(used(&simulation.tenants[0]), 2 * SECOND), 9790, 9810);
    assert_in_range(parts_of(used(&simulation.tenants[1]), 2 * SECOND), 180, 200);
    assert_in_range(used(&simulation.tenants[2]), 500 * MICROSECOND, 1200 * MICROSECOND);
    simulation_finish(&simulation);
}

static void the_rest_keeps_its_floor(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation;
        simulation_init(&simulation, seed, 2);
        simulation_add(&simulation, 100, 0, WHOLE, 50 * MICROSECOND, 4);
        struct simulated_tenant *one =
            simulation_add(&simulation, 10000, 4, WHOLE, 2 * MILLISECOND, 4);
        struct simulated_tenant *two =
            simulation_add(&simulation, 5000, 4, WHOLE, 20 * MICROSECOND, 1);
        for (int window = 0; window < 3; window++) {
            uint64_t before_one = used(one), before_two = used(two);
            simulation_run(&simulation, SECOND);
            uint64_t a = used(one) - before_one, b = used(two) - before_two;
            assert_in_range(parts_of(a + b, SECOND), 190, 210);
            assert_in_range(a * 100 / b, 185, 215);
        }
        simulation_finish(&simulation);
    }
}

/* A request that comes after a pause is served at once: beside it runs what had begun, and the
 * floor. */
static void the_urgent_do_not_wait(void **state)
{
    (void)state;
    struct simulation simulation;
    simulation_init(&simulation, 5, 1);
    struct simulated_tenant *urgent =
        simulation_add(&simulation, 100, 0, WHOLE, 50 * MICROSECOND, 1);
    for (int i = 0; i < 3; i++)
        simulation_add(&simulation, 1000, NORMAL, WHOLE, 2 * MILLISECOND, 2);
    urgent->busy_ns = 1500 * MICROSECOND;
    urgent->pause_ns = 20 * MILLISECOND;
    for (int i = 0; i < 100; i++) {
        urgent->resume_ns = weft_share_clock(&simulation.share) + urgent->pause_ns;
        simulation_run(&simulation, urgent->pause_ns);
        uint64_t begin = weft_share_clock(&simulation.share), before = used(urgent);
        while (used(urgent) - before < urgent->busy_ns)
            simulation_run(&simulation, 10 * MICROSECOND);
        assert_true(weft_share_clock(&simulation.share) - begin < 1500 * 13 / 10 * MICROSECOND);
    }
    simulation_finish(&simulation);
}

/* Over any second, wherever it begins. */
static void check_cap(const struct simulation *simulation, uint32_t tenant, uint64_t most_ns)
{
    uint64_t sum = 0;
    for (uint32_t last = 0, first = 0; last < simulation->charge_count; last++) {
        const struct charge *end = &simulation->charges[last];
        if (end->tenant != tenant)
            continue;
        sum += end->time_ns;
        for (; simulation->charges[first].clock_ns + SECOND < end->clock_ns + end->time_ns;
             first++) {
            if (simulation->charges[first].tenant == tenant)
                sum -= simulation->charges[first].time_ns;
        }
        assert_true(sum <= most_ns);
    }
}

static void caps_hold_over_any_second(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation;
        simulation_init(&simulation, seed, 4);
        struct simulated_tenant *a =
            simulation_add(&simulation, 10000, NORMAL, 3000, 400 * MICROSECOND, 8);
        struct simulated_tenant *b =
            simulation_add(&simulation, 100, seed % 2 ? NORMAL : 4, 5000, 2 * MILLISECOND, 8);
        if (seed > 2) {
            a->busy_ns = 20 * MILLISECOND;
            a->pause_ns = simulation_draw(&simulation, 80 * MILLISECOND) + 1;
        }
        simulation_run(&simulation, 3 * SECOND);
        check_cap(&simulation, 0, 300 * MILLISECOND + 10 * MILLISECOND);
        check_cap(&simulation, 1, 500 * MILLISECOND + 10 * MILLISECOND);
        /* What the cap permits is also there. */
        assert_in_range(parts_of(used(b), 3 * SECOND), 4950, 5050);
        if (seed <= 2)
            assert_in_range(parts_of(used(a), 3 * SECOND), 2950, 3050);
        simulation_finish(&simulation);
    }
}

/* One launch of 2 s in one piece, which nothing could stop: the debt is carried over, and who has
 * no cap has the device meanwhile. */
static void debts_are_carried_over(void **state)
{
    (void)state;
    struct simulation simulation;
    simulation_init(&simulation, 1, 1);
    struct simulated_tenant *debtor = simulation_add(&simulation, 100, NORMAL, 2500, SECOND, 1);
    struct simulated_tenant *other =
        simulation_add(&simulation, 100, NORMAL, WHOLE, MILLISECOND, 1);
    weft_share_charge(&simulation.share, &debtor->line, 2 * SECOND);
    simulation_run(&simulation, 5900 * MILLISECOND);
    assert_int_equal(used(debtor), 2 * SECOND);
    assert_true(used(other) >= 5900 * MILLISECOND);
    simulation_run(&simulation, SECOND);
    assert_in_range(used(debtor) - 2 * SECOND, 200 * MILLISECOND, 260 * MILLISECOND);
    simulation_finish(&simulation);
}

/* A tenant that its cap has kept from its share for long: when the cap is lifted it is owed a
 * bounded lag, and not all of it. */
static void lag_is_bounded(void **state)
{
    (void)state;
    struct simulation simulation;
    simulation_init(&simulation, 2, 2);
    struct simulated_tenant *capped =
        simulation_add(&simulation, 300, NORMAL, 500, 400 * MICROSECOND, 2);
    struct simulated_tenant *other =
        simulation_add(&simulation, 100, NORMAL, WHOLE, 400 * MICROSECOND, 2);
    simulation_run(&simulation, 3 * SECOND);
    assert_in_range(parts_of(used(capped), 3 * SECOND), 490, 520);
    simulation_set(capped, 300, NORMAL, WHOLE);
    uint64_t before = used(other);
    simulation_run(&simulation, 100 * MILLISECOND);
    assert_in_range(used(other) - before, 20 * MILLISECOND, 26 * MILLISECOND);
    simulation_finish(&simulation);
}

static void a_change_holds_at_once(void **state)
{
    (void)state;
    struct simulation simulation;
    simulation_init(&simulation, 2, 2);
    struct simulated_tenant *a =
        simulation_add(&simulation, 900, NORMAL, WHOLE, 400 * MICROSECOND, 2);
    simulation_add(&simulation, 100, NORMAL, WHOLE, 400 * MICROSECOND, 2);
    simulation_run(&simulation, SECOND);
    simulation_set(a, 100, NORMAL, WHOLE);
    uint64_t before = used(a);
    simulation_run(&simulation, SECOND);
    assert_in_range(parts_of(used(a) - before, SECOND), 4900, 5100);
    simulation_set(a, 100, 1, WHOLE);
    before = used(a);
    simulation_run(&simulation, SECOND);
    assert_in_range(parts_of(used(a) - before, SECOND), 9750, 9850);
    simulation_finish(&simulation);
}

static void who_is_alone_has_all(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < WEFT_SHARE_CLASSES; class ++) {
        struct simulation simulation;
        simulation_init(&simulation, class + 1, 4);
        struct simulated_tenant *tenant =
            simulation_add(&simulation, 1, class, WHOLE, MILLISECOND, 4);
        simulation_add(&simulation, 10000, 0, WHOLE, MILLISECOND, 4)->resume_ns = UINT64_MAX;
        simulation.tenants[1].pause_ns = 1;
        simulation_run(&simulation, SECOND);
        assert_int_equal(used(tenant), weft_share_clock(&simulation.share));
        simulation_finish(&simulation);
    }
}

static void terms_come_back_as_they_were(void **state)
{
    (void)state;
    struct weft_share_terms none = weft_share_terms_unpack(0);
    assert_int_equal(none.weight, 100);
    assert_int_equal(none.class, NORMAL);
    assert_int_equal(none.cap_e4, WHOLE);
    const struct weft_share_terms terms = {9999, 4, 3050, 0x12345};
    struct weft_share_terms back = weft_share_terms_unpack(weft_share_terms_pack(&terms));
    assert_int_equal(back.weight, 9999);
    assert_int_equal(back.class, 4);
    assert_int_equal(back.cap_e4, 3050);
    assert_int_equal(back.sequence, 0x2345);
    /* What anybody may have scribbled there divides by nothing and indexes nothing. */
    struct simulation simulation;
    simulation_init(&simulation, 1, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t word = simulation_draw(&simulation, UINT64_MAX) << (i % 2);
        struct weft_share_terms any = weft_share_terms_unpack(word);
        assert_in_range(any.weight, 1, WEFT_SHARE_WEIGHT_MAX);
        assert_in_range(any.class, 0, WEFT_SHARE_CLASSES - 1);
        assert_in_range(any.cap_e4, 1, WHOLE);
    }
    simulation_finish(&simulation);
}

/* Two who saw the same standstill count it once. */
static void a_standstill_is_counted_once(void **state)
{
    (void)state;
    struct weft_share share = {.used_ns = 5, .idle_ns = 7};
    weft_share_stand_still(&share, 12, 100);
    weft_share_stand_still(&share, 12, 100);
    assert_int_equal(weft_share_clock(&share), 112);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(shares_follow_random_weights),
        cmocka_unit_test(pauses_save_nothing),
        cmocka_unit_test(moments_of_emptiness_cost_nothing),
        cmocka_unit_test(nobody_waits_for_nothing),
        cmocka_unit_test(classes_go_in_order),
        cmocka_unit_test(the_rest_keeps_its_floor),
        cmocka_unit_test(the_urgent_do_not_wait),
        cmocka_unit_test(caps_hold_over_any_second),
        cmocka_unit_test(debts_are_carried_over),
        cmocka_unit_test(lag_is_bounded),
        cmocka_unit_test(a_change_holds_at_once),
        cmocka_unit_test(who_is_alone_has_all),
        cmocka_unit_test(terms_come_back_as_they_were),
        cmocka_unit_test(a_standstill_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

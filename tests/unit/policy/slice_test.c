/* Slices. What would break it: a length out of its bounds, or one that does not follow what is
 * known of the tenant and the others; shares that a mode spoils; a kernel that is stopped where its
 * mode says that it is not, or holds others up where it says that it does not; a slice that
 * outlives its policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulation.h"

#define WHOLE WEFT_SHARE_CAP_WHOLE
#define NORMAL WEFT_SHARE_CLASS_DEFAULT

static const struct weft_slice_facts usual = {
    .least_ns = 100 * MICROSECOND, .most_ns = MILLISECOND, .class = NORMAL, .tenants = 2};

static void lengths_follow_what_is_known(void **state)
{
    (void)state;
    struct weft_slice_facts facts = usual;
    assert_int_equal(weft_slice_length_ns(&facts), MILLISECOND);
    facts.kernel_ns = 300 * MICROSECOND; /* whole kernels */
    assert_int_equal(weft_slice_length_ns(&facts), 900 * MICROSECOND);
    facts.kernel_ns = 3 * MILLISECOND;
    assert_int_equal(weft_slice_length_ns(&facts), MILLISECOND);
    facts = usual, facts.tenants = 8; /* load */
    assert_int_equal(weft_slice_length_ns(&facts), 250 * MICROSECOND);
    facts = usual, facts.stretch_ns = 150 * MICROSECOND; /* utilisation */
    assert_int_equal(weft_slice_length_ns(&facts), 150 * MICROSECOND);
    facts = usual, facts.class = NORMAL + 1; /* priority */
    assert_int_equal(weft_slice_length_ns(&facts), 500 * MICROSECOND);
    facts.class = NORMAL - 1;
    assert_int_equal(weft_slice_length_ns(&facts), MILLISECOND);
    facts.others_first = true;
    assert_int_equal(weft_slice_length_ns(&facts), 100 * MICROSECOND);
}

static void lengths_keep_their_bounds(void **state)
{
    (void)state;
    struct simulation simulation;
    simulation_init(&simulation, 11, 1);
    for (int i = 0; i < 20000; i++) {
        const struct weft_slice_facts facts = {
            .least_ns = 1 + simulation_draw(&simulation, MILLISECOND),
            .most_ns = simulation_draw(&simulation, 2 * MILLISECOND),
            .kernel_ns = simulation_draw(&simulation, 3 * MILLISECOND),
            .stretch_ns = simulation_draw(&simulation, 3 * MILLISECOND),
            .class = (uint32_t)simulation_draw(&simulation, WEFT_SHARE_CLASSES),
            .tenants = (uint32_t)simulation_draw(&simulation, 65),
            .others_first = simulation_draw(&simulation, 4) == 0};
        uint64_t length = weft_slice_length_ns(&facts);
        assert_true(length >= facts.least_ns);
        assert_true(length <= facts.least_ns || length <= facts.most_ns);
    }
    simulation_finish(&simulation);
}

static void modes_have_names(void **state)
{
    (void)state;
    enum weft_slice_mode mode = WEFT_SLICE_PREEMPTIVE;
    struct weft_err err;
    assert_int_equal(weft_slice_mode_parse("hybrid", &mode, &err), 0);
    assert_int_equal(mode, WEFT_SLICE_HYBRID);
    assert_int_equal(weft_slice_mode_parse("Hybrid", &mode, &err), -WEFT_EINVAL);
    assert_int_equal(weft_slice_mode_parse("", &mode, &err), -WEFT_EINVAL);
    assert_int_equal(mode, WEFT_SLICE_HYBRID);
}

/* Two tenants of weights 1:3 in each mode; how often a kernel that had begun was held. */
static uint32_t run_mode(enum weft_slice_mode mode, uint64_t light_ns, uint64_t heavy_ns)
{
    struct simulation simulation;
    simulation_init(&simulation, mode + light_ns, 2);
    simulation.share.slice_mode = mode;
    struct simulated_tenant *light = simulation_add(&simulation, 100, NORMAL, WHOLE, light_ns, 2),
                            *heavy = simulation_add(&simulation, 300, NORMAL, WHOLE, heavy_ns, 2);
    simulation_run(&simulation, SECOND);
    uint64_t light_before = light->line.used_ns, heavy_before = heavy->line.used_ns,
             begin = weft_share_clock(&simulation.share);
    simulation_run(&simulation, SECOND);
    uint64_t window = weft_share_clock(&simulation.share) - begin;
    assert_in_range((light->line.used_ns - light_before) * 1000 / window, 230, 270);
    assert_in_range((heavy->line.used_ns - heavy_before) * 1000 / window, 730, 770);
    assert_int_equal(simulation.share.idle_ns, 0);
    simulation_finish(&simulation);
    return simulation.held_in_kernel;
}

static void modes_stop_kernels_where_they_say(void **state)
{
    static const uint64_t kernels[] = {20 * MICROSECOND, 80 * MICROSECOND, 2 * MILLISECOND};
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        uint64_t light = kernels[i / 3], heavy = kernels[i % 3];
        bool has_long = light > MILLISECOND || heavy > MILLISECOND;
        assert_true(run_mode(WEFT_SLICE_PREEMPTIVE, light, heavy) > 0 || !has_long);
        assert_int_equal(run_mode(WEFT_SLICE_COOPERATIVE, light, heavy), 0);
        uint32_t held = run_mode(WEFT_SLICE_HYBRID, light, heavy);
        assert_true(light > MILLISECOND ? held > 0 : has_long || held == 0);
    }
}

/* What a critical request of 200 µs waits, beside kernels of 20 ms on one SM. */
static uint64_t worst_request(enum weft_slice_mode mode)
{
    struct simulation simulation;
    uint64_t worst = 0;
    simulation_init(&simulation, 5, 1);
    simulation.share.slice_mode = mode;
    struct simulated_tenant *urgent =
        simulation_add(&simulation, 100, 0, WHOLE, 50 * MICROSECOND, 1);
    simulation_add(&simulation, 1000, NORMAL, WHOLE, 20 * MILLISECOND, 1);
    urgent->busy_ns = 200 * MICROSECOND;
    urgent->pause_ns = 10 * MILLISECOND;
    for (int i = 0; i < 50; i++) {
        uint64_t begin = urgent->resume_ns > weft_share_clock(&simulation.share)
                             ? urgent->resume_ns
                             : weft_share_clock(&simulation.share);
        uint64_t before = urgent->line.used_ns;
        while (urgent->line.used_ns - before < urgent->busy_ns)
            simulation_run(&simulation, 10 * MICROSECOND);
        uint64_t took = weft_share_clock(&simulation.share) - begin;
        worst = took > worst ? took : worst;
    }
    simulation_finish(&simulation);
    return worst;
}

static void only_the_cooperative_make_the_urgent_wait(void **state)
{
    (void)state;
    assert_true(worst_request(WEFT_SLICE_PREEMPTIVE) < 400 * MICROSECOND);
    assert_true(worst_request(WEFT_SLICE_HYBRID) < 600 * MICROSECOND);
}

/* One that waits in its kernel for somebody who is held gives way, and one that never ends too. */
static void nobody_is_held_for_ever(void **state)
{
    (void)state;
    struct simulation simulation;
    struct weft_share_view view;
    uint64_t wait_ns;
    simulation_init(&simulation, 1, 1);
    simulation.share.slice_mode = WEFT_SLICE_COOPERATIVE;
    struct simulated_tenant *waiter = simulation_add(&simulation, 100, NORMAL, WHOLE, SECOND, 1);
    simulation_add(&simulation, 100, NORMAL, WHOLE, SECOND, 1);
    weft_share_charge(&simulation.share, &waiter->line, 20 * MILLISECOND);
    weft_share_view_begin(&view, &simulation.share);
    weft_share_view_add(&view, &simulation.tenants[0].line);
    weft_share_view_add(&view, &simulation.tenants[1].line);
    assert_int_equal(weft_slice_judge(&view, &waiter->line, WEFT_SLICE_IN_KERNEL, &wait_ns),
                     WEFT_SHARE_RUN);
    assert_int_equal(weft_slice_judge(&view, &waiter->line, WEFT_SLICE_STALLED, &wait_ns),
                     WEFT_SHARE_WAIT);
    weft_share_charge(&simulation.share, &waiter->line, WEFT_SLICE_KERNEL_MOST_NS);
    assert_int_equal(weft_slice_judge(&view, &waiter->line, WEFT_SLICE_IN_KERNEL, &wait_ns),
                     WEFT_SHARE_WAIT);
    simulation_finish(&simulation);
}

static void a_slice_ends_with_its_policy(void **state)
{
    (void)state;
    struct simulation simulation;
    struct weft_share_view view;
    uint64_t wait_ns;
    simulation_init(&simulation, 1, 1);
    struct simulated_tenant *first = simulation_add(&simulation, 100, NORMAL, WHOLE, SECOND, 1);
    struct simulated_tenant *other = simulation_add(&simulation, 100, NORMAL, WHOLE, SECOND, 1);
    weft_share_view_begin(&view, &simulation.share);
    weft_share_view_add(&view, &first->line);
    weft_share_view_add(&view, &other->line);
    assert_int_equal(weft_slice_judge(&view, &first->line, WEFT_SLICE_AT_KERNEL, &wait_ns),
                     WEFT_SHARE_RUN);
    first->line.virtual_ns = 1ull << 40; /* far before the others */
    assert_int_equal(weft_slice_judge(&view, &first->line, WEFT_SLICE_AT_KERNEL, &wait_ns),
                     WEFT_SHARE_RUN);
    const struct weft_share_terms changed = {100, NORMAL, WHOLE, 2};
    first->line.terms = weft_share_terms_pack(&changed);
    assert_int_equal(weft_slice_judge(&view, &first->line, WEFT_SLICE_AT_KERNEL, &wait_ns),
                     WEFT_SHARE_WAIT);
    simulation_finish(&simulation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_follow_what_is_known),
        cmocka_unit_test(lengths_keep_their_bounds),
        cmocka_unit_test(modes_have_names),
        cmocka_unit_test(modes_stop_kernels_where_they_say),
        cmocka_unit_test(only_the_cooperative_make_the_urgent_wait),
        cmocka_unit_test(nobody_is_held_for_ever),
        cmocka_unit_test(a_slice_ends_with_its_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Random loads under every mode of slices. What would break it: shares that are not those of the
 * weights while the same tenants have work, whoever came or went before; somebody who waits for
 * longer than weights and slack explain; a cap that is passed in a window of some length; a device
 * that stands still although somebody may use it, which the simulation itself fails on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulation.h"

#define WHOLE WEFT_SHARE_CAP_WHOLE
#define NORMAL WEFT_SHARE_CLASS_DEFAULT
#define SEEDS 12
#define EVENTS 6
#define PRESENT_MAX 8

static void begin(struct simulation *simulation, uint64_t seed)
{
    simulation_init(simulation, seed, 1 + (uint32_t)(seed % 3));
    simulation->share.slice_mode = seed % WEFT_SLICE_MODES;
}

static struct simulated_tenant *add_any(struct simulation *simulation, uint32_t cap_e4)
{
    uint32_t weight = 50 + (uint32_t)simulation_draw(simulation, 500);
    uint64_t kernel_ns = 20 * MICROSECOND + simulation_draw(simulation, MILLISECOND);
    return simulation_add(simulation, weight, NORMAL, cap_e4, kernel_ns,
                          1 + (uint32_t)simulation_draw(simulation, 4));
}

static uint32_t weight_of(const struct simulated_tenant *tenant)
{
    return weft_share_terms_unpack(tenant->line.terms).weight;
}

static bool is_there(const struct simulated_tenant *tenant)
{
    return tenant->pause_ns == 0;
}

/* Comes, or goes for good. */
static void toggle(struct simulated_tenant *tenant)
{
    tenant->pause_ns = is_there(tenant) ? 1 : 0;
    tenant->resume_ns = UINT64_MAX;
    tenant->busy_ns = UINT64_MAX;
}

static void check_window(struct simulation *simulation)
{
    uint64_t before[TENANTS_MAX], weights = 0, begin_ns = weft_share_clock(&simulation->share);
    for (uint32_t i = 0; i < simulation->tenant_count; i++) {
        before[i] = simulation->tenants[i].line.used_ns;
        weights += is_there(&simulation->tenants[i]) ? weight_of(&simulation->tenants[i]) : 0;
    }
    simulation_run(simulation, SECOND);
    uint64_t window_ns = weft_share_clock(&simulation->share) - begin_ns;
    for (uint32_t i = 0; i < simulation->tenant_count; i++) {
        const struct simulated_tenant *tenant = &simulation->tenants[i];
        uint64_t share = (tenant->line.used_ns - before[i]) * 10000 / window_ns,
                 fair = is_there(tenant) ? 10000ull * weight_of(tenant) / weights : 0;
        assert_in_range(share + 200, fair, fair + 400);
    }
}

static void shares_hold_whoever_comes_and_goes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation;
        begin(&simulation, seed);
        for (uint32_t i = 0; i < PRESENT_MAX; i++)
            add_any(&simulation, WHOLE);
        for (int event = 0; event < EVENTS; event++) {
            /* The first two stay, so that there is always somebody. */
            uint32_t who = 2 + (uint32_t)simulation_draw(&simulation, PRESENT_MAX - 2);
            toggle(&simulation.tenants[who]);
            simulation_run(&simulation, simulation_draw(&simulation, 20 * MILLISECOND));
            check_window(&simulation);
        }
        assert_int_equal(simulation.share.idle_ns, 0);
        simulation_finish(&simulation);
    }
}

/* The longest time on the device's clock in which the tenant, that always had work, used nothing.
 */
static uint64_t longest_wait(const struct simulation *simulation, uint32_t tenant)
{
    uint64_t longest = 0, last_ns = 0;
    for (uint32_t i = 0; i < simulation->charge_count; i++) {
        const struct charge *charge = &simulation->charges[i];
        if (charge->tenant != tenant)
            continue;
        uint64_t wait_ns = charge->clock_ns > last_ns ? charge->clock_ns - last_ns : 0;
        longest = wait_ns > longest ? wait_ns : longest;
        last_ns = charge->clock_ns + charge->time_ns;
    }
    return longest;
}

/* Who is ahead of its share by what it may be ahead, a slice and a kernel waits until the others
 * have used as much, each by its weight. */
static void nobody_starves(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation;
        begin(&simulation, seed);
        uint64_t weights = 0, ahead_ns = 0;
        for (uint32_t i = 0; i < PRESENT_MAX; i++) {
            const struct simulated_tenant *tenant = add_any(&simulation, WHOLE);
            weights += weight_of(tenant);
            ahead_ns = tenant->kernel_ns * tenant->threads > ahead_ns
                           ? tenant->kernel_ns * tenant->threads
                           : ahead_ns;
        }
        ahead_ns += 2 * simulation.share.slack_ns;
        simulation_run(&simulation, SECOND);
        for (uint32_t i = 0; i < PRESENT_MAX; i++)
            assert_true(longest_wait(&simulation, i) <
                        2 * ahead_ns * weights / weight_of(&simulation.tenants[i]));
        simulation_finish(&simulation);
    }
}

/* The most that the tenant used in any window of that length. */
static uint64_t most_in_window(const struct simulation *simulation, uint32_t tenant,
                               uint64_t window_ns)
{
    uint64_t sum = 0, most = 0;
    for (uint32_t last = 0, first = 0; last < simulation->charge_count; last++) {
        const struct charge *end = &simulation->charges[last];
        if (end->tenant != tenant)
            continue;
        sum += end->time_ns;
        for (; simulation->charges[first].clock_ns + window_ns < end->clock_ns + end->time_ns;
             first++)
            sum -= simulation->charges[first].tenant == tenant ? simulation->charges[first].time_ns
                                                               : 0;
        most = sum > most ? sum : most;
    }
    return most;
}

static void caps_hold_over_any_window(void **state)
{
    static const uint64_t windows[] = {10 * MILLISECOND, 100 * MILLISECOND, 317 * MILLISECOND,
                                       SECOND};
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation;
        begin(&simulation, seed);
        for (uint32_t i = 0; i < 4; i++) {
            struct simulated_tenant *tenant =
                add_any(&simulation, 500 + (uint32_t)simulation_draw(&simulation, 6000));
            tenant->busy_ns = simulation_draw(&simulation, 50 * MILLISECOND);
            tenant->pause_ns = simulation_draw(&simulation, 2) * (MILLISECOND + tenant->busy_ns);
        }
        simulation_run(&simulation, 2 * SECOND);
        for (uint32_t i = 0; i < 4; i++) {
            const struct simulated_tenant *tenant = &simulation.tenants[i];
            uint64_t cap_e4 = weft_share_terms_unpack(tenant->line.terms).cap_e4;
            /* Where kernels are not stopped, those that run come on top. */
            uint64_t on_top_ns = simulation.share.slice_mode == WEFT_SLICE_COOPERATIVE
                                     ? tenant->kernel_ns * tenant->threads
                                     : 0;
            for (size_t w = 0; w < 4; w++)
                assert_in_range(most_in_window(&simulation, i, windows[w]), 0,
                                windows[w] * cap_e4 / WHOLE + 10 * MILLISECOND + on_top_ns);
        }
        simulation_finish(&simulation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_hold_whoever_comes_and_goes),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(caps_hold_over_any_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

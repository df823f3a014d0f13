#include "simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Steps in a row that may change nothing, before somebody must have been let through. */
#define FRUITLESS_MAX 100000

void simulation_init(struct simulation *simulation, uint64_t seed, uint32_t sms)
{
    memset(simulation, 0, sizeof(*simulation));
    simulation->random = seed * 2654435769u + 1;
    simulation->sms = sms;
    simulation->slice_ns = 50 * MICROSECOND;
    simulation->share.slack_ns = 4 * simulation->slice_ns;
    simulation->share.slice_ns = simulation->slice_ns;
    simulation->charges = calloc(CHARGES_MAX, sizeof(*simulation->charges));
    assert_non_null(simulation->charges);
}

void simulation_finish(struct simulation *simulation)
{
    free(simulation->charges);
}

void simulation_set(struct simulated_tenant *tenant, uint32_t weight, uint32_t class,
                    uint32_t cap_e4)
{
    const struct weft_share_terms terms = {weight, class, cap_e4, 0};
    tenant->line.terms = weft_share_terms_pack(&terms);
}

struct simulated_tenant *simulation_add(struct simulation *simulation, uint32_t weight,
                                        uint32_t class, uint32_t cap_e4, uint64_t kernel_ns,
                                        uint32_t threads)
{
    struct simulated_tenant *tenant = &simulation->tenants[simulation->tenant_count++];
    tenant->kernel_ns = kernel_ns;
    tenant->threads = threads;
    simulation_set(tenant, weight, class, cap_e4);
    return tenant;
}

/* xorshift (Marsaglia, 2003) */
uint64_t simulation_draw(struct simulation *simulation, uint64_t below)
{
    uint64_t x = simulation->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    simulation->random = x;
    return x % below;
}

static void look(const struct simulation *simulation, struct weft_share_view *view)
{
    weft_share_view_begin(view, &simulation->share);
    for (uint32_t i = 0; i < simulation->tenant_count; i++) {
        if (simulation->tenants[i].wants)
            weft_share_view_add(view, &simulation->tenants[i].line);
    }
}

static bool has_work(const struct simulation *simulation, const struct simulated_tenant *tenant)
{
    return tenant->pause_ns == 0 || weft_share_clock(&simulation->share) >= tenant->resume_ns;
}

static bool runs(const struct simulated_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->threads; i++) {
        if (tenant->slice_ns[i])
            return true;
    }
    return false;
}

static void settle_wants(struct simulation *simulation)
{
    for (uint32_t i = 0; i < simulation->tenant_count; i++) {
        struct simulated_tenant *tenant = &simulation->tenants[i];
        bool wants = has_work(simulation, tenant) || runs(tenant);
        if (wants && !tenant->wants) {
            struct weft_share_view view;
            look(simulation, &view);
            weft_share_enter(&simulation->share, &view, &tenant->line);
        } else if (tenant->wants && !wants) {
            weft_share_leave(&simulation->share, &tenant->line);
        }
        tenant->wants = wants;
    }
}

static void end_slice(struct simulation *simulation, struct simulated_tenant *tenant,
                      uint32_t thread)
{
    uint64_t time_ns = tenant->slice_ns[thread];
    struct charge *charge = &simulation->charges[simulation->charge_count++];
    assert_true(simulation->charge_count <= CHARGES_MAX);
    charge->tenant = (uint32_t)(tenant - simulation->tenants);
    charge->clock_ns = weft_share_clock(&simulation->share);
    charge->time_ns = time_ns;
    weft_share_charge(&simulation->share, &tenant->line, time_ns);
    tenant->slice_ns[thread] = 0;
    if (tenant->into_kernel_ns[thread] + time_ns == tenant->kernel_ns)
        weft_slice_learn_kernel(&tenant->line, tenant->kernel_ns);
    tenant->into_kernel_ns[thread] = (tenant->into_kernel_ns[thread] + time_ns) % tenant->kernel_ns;
    tenant->worked_ns += time_ns;
    if (tenant->pause_ns && tenant->worked_ns >= tenant->busy_ns) {
        weft_slice_learn_stretch(&tenant->line, tenant->worked_ns);
        tenant->worked_ns = 0;
        tenant->resume_ns = weft_share_clock(&simulation->share) + tenant->pause_ns;
    }
    simulation->running--;
}

static enum weft_share_verdict judge(const struct simulation *simulation,
                                     struct simulated_tenant *tenant, uint32_t thread,
                                     uint64_t *wait_ns)
{
    struct weft_share_view view;
    look(simulation, &view);
    return weft_slice_judge(
        &view, &tenant->line,
        tenant->into_kernel_ns[thread] ? WEFT_SLICE_IN_KERNEL : WEFT_SLICE_AT_KERNEL, wait_ns);
}

/* False where it has to wait. */
static bool step(struct simulation *simulation, struct simulated_tenant *tenant, uint32_t thread)
{
    struct weft_share_view view;
    uint64_t wait_ns;
    if (tenant->slice_ns[thread]) {
        end_slice(simulation, tenant, thread);
        return true;
    }
    if (!has_work(simulation, tenant) || simulation->running == simulation->sms)
        return false;
    if (judge(simulation, tenant, thread, &wait_ns) != WEFT_SHARE_RUN) {
        simulation->held_in_kernel += tenant->into_kernel_ns[thread] != 0;
        return false;
    }
    look(simulation, &view);
    weft_share_begin(&simulation->share, &view);
    uint64_t left_ns = tenant->kernel_ns - tenant->into_kernel_ns[thread];
    tenant->slice_ns[thread] = left_ns < simulation->slice_ns ? left_ns : simulation->slice_ns;
    simulation->running++;
    return true;
}

/* Nobody can go on: the device stands still until somebody may. Work conservation: that is so only
 * where all who want the device have reached their caps. */
static void stand_still(struct simulation *simulation)
{
    struct weft_share_view view;
    uint64_t least_ns = UINT64_MAX;
    look(simulation, &view);
    for (uint32_t i = 0; i < simulation->tenant_count; i++) {
        struct simulated_tenant *tenant = &simulation->tenants[i];
        uint64_t wait_ns = tenant->resume_ns - view.clock_ns;
        if (tenant->wants)
            assert_int_equal(weft_share_judge(&view, &tenant->line, &wait_ns), WEFT_SHARE_CAPPED);
        least_ns = wait_ns < least_ns ? wait_ns : least_ns;
    }
    weft_share_stand_still(&simulation->share, view.clock_ns, least_ns);
}

static bool somebody_may_step(struct simulation *simulation)
{
    for (uint32_t i = 0; i < simulation->tenant_count; i++) {
        struct simulated_tenant tenant = simulation->tenants[i];
        uint64_t wait_ns;
        if (runs(&tenant))
            return true;
        for (uint32_t thread = 0; tenant.wants && thread < tenant.threads; thread++) {
            if (judge(simulation, &tenant, thread, &wait_ns) == WEFT_SHARE_RUN)
                return true;
        }
    }
    return false;
}

void simulation_run(struct simulation *simulation, uint64_t time_ns)
{
    uint64_t until_ns = weft_share_clock(&simulation->share) + time_ns;
    uint32_t fruitless = 0;
    while (weft_share_clock(&simulation->share) < until_ns) {
        settle_wants(simulation);
        struct simulated_tenant *tenant =
            &simulation->tenants[simulation_draw(simulation, simulation->tenant_count)];
        if (step(simulation, tenant, (uint32_t)simulation_draw(simulation, tenant->threads)))
            fruitless = 0;
        else if (!somebody_may_step(simulation))
            stand_still(simulation);
        else
            assert_true(++fruitless < FRUITLESS_MAX);
    }
}

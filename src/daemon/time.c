/* Device time: what each tenant is promised of a device, in the words that the processes of
 * the device share it by (policy/share.h), and what of that a dead process leaves behind. */
#include "daemon/daemon.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "policy/share.h"
#include "util/util.h"

#define PER_CENT 100.0

int weft_daemon_time_check(const struct weft_limits *limits,
                           struct weft_daemon_device *const *devices, uint32_t count,
                           struct weft_err *err)
{
    for (uint32_t i = 0; limits->kernel_timeout_us && i < count; i++) {
        if (devices[i]->kind != WEFT_DEVICE_SOFT)
            return weft_fail(err, WEFT_ENOSYS,
                             "--kernel-timeout holds on soft devices only, and %s is none; leave "
                             "it out",
                             devices[i]->name);
    }
    return 0;
}

/* A line that nobody has: such a one says nothing. */
static uint32_t free_line(const struct weft_device_time *time)
{
    for (uint32_t i = 1; i < WEFT_DEVICE_TENANTS; i++) {
        if (__atomic_load_n(&time->tenants[i].terms, __ATOMIC_RELAXED) == 0)
            return i;
    }
    return 0;
}

int weft_daemon_time_enter(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        int rc = weft_daemon_device_need_page(tenant->daemon, tenant->devices[i], err);
        if (rc)
            return rc;
        if (tenant->time_lines[i])
            continue;
        struct weft_device_time *time = tenant->devices[i]->time;
        uint32_t line = free_line(time);
        if (line == 0)
            return weft_fail(err, WEFT_ELIMIT, "%s has %d tenants; it can have no more",
                             tenant->devices[i]->name, WEFT_DEVICE_TENANTS - 1);
        tenant->time_lines[i] = line;
        time->tenants[line] =
            (struct weft_share_tenant){.terms = weft_share_terms_pack(&(struct weft_share_terms){
                                           .weight = WEFT_SHARE_WEIGHT_DEFAULT,
                                           .class = WEFT_SHARE_CLASS_DEFAULT,
                                           .cap_e4 = WEFT_SHARE_CAP_WHOLE})};
        __atomic_fetch_add(&time->turns.sharers, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

/* All who are held look again. */
static void wake_held(struct weft_device_time *time)
{
    __atomic_fetch_add(&time->turns.turn, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &time->turns.turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void weft_daemon_time_recall(struct weft_daemon_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        const struct weft_device_time *time = tenant->devices[i]->time;
        uint32_t line = tenant->record->devices[i].time_line;
        if (time && line < WEFT_DEVICE_TENANTS &&
            __atomic_load_n(&time->tenants[line].terms, __ATOMIC_RELAXED))
            tenant->time_lines[i] = line;
    }
}

void weft_daemon_time_go_on(struct weft_daemon_device *device, uint64_t used_ns, uint64_t idle_ns)
{
    if (!device->time || weft_share_clock(&device->time->share) >= used_ns + idle_ns)
        return;
    __atomic_store_n(&device->time->share.used_ns, used_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&device->time->share.idle_ns, idle_ns, __ATOMIC_RELAXED);
}

void weft_daemon_time_drop_unclaimed(struct weft_daemon *daemon, struct weft_daemon_device *device)
{
    bool claimed[WEFT_DEVICE_TENANTS] = {0};
    uint32_t sharers = 0;
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (uint32_t i = 0; i < tenant->device_count; i++) {
            if (tenant->devices[i] == device)
                claimed[tenant->time_lines[i]] = true;
        }
    }
    for (uint32_t line = 1; line < WEFT_DEVICE_TENANTS; line++) {
        sharers += claimed[line];
        if (!claimed[line])
            weft_daemon_space_leave(device, line);
        if (!claimed[line])
            __atomic_store_n(&device->time->tenants[line].terms, 0, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&device->time->turns.sharers, sharers, __ATOMIC_SEQ_CST);
    wake_held(device->time);
}

void weft_daemon_time_leave(struct weft_daemon_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        struct weft_device_time *time = tenant->devices[i]->time;
        if (tenant->time_lines[i] == 0)
            continue;
        weft_daemon_space_leave(tenant->devices[i], tenant->time_lines[i]);
        __atomic_store_n(&time->tenants[tenant->time_lines[i]].terms, 0, __ATOMIC_SEQ_CST);
        __atomic_fetch_sub(&time->turns.sharers, 1, __ATOMIC_SEQ_CST);
        tenant->time_lines[i] = 0;
    }
}

void weft_daemon_time_apply(struct weft_daemon_tenant *tenant, uint32_t sequence)
{
    const struct weft_limits *limits = &tenant->limits;
    struct weft_share_terms terms = {.weight = limits->weight,
                                     .class =
                                         (uint32_t)limits->class - (uint32_t)WEFT_CLASS_CRITICAL,
                                     .cap_e4 = limits->compute_cap_e4,
                                     .sequence = sequence};
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        struct weft_device_time *time = tenant->devices[i]->time;
        if (tenant->time_lines[i] == 0)
            continue;
        terms.stopped = tenant->stopped[i] = weft_daemon_pressure_stops(tenant, i);
        struct weft_share_tenant *line = &time->tenants[tenant->time_lines[i]];
        __atomic_store_n(&line->kernel_timeout_us, limits->kernel_timeout_us, __ATOMIC_RELAXED);
        __atomic_store_n(&line->terms, weft_share_terms_pack(&terms), __ATOMIC_SEQ_CST);
        wake_held(time);
    }
}

void weft_daemon_time_settle(struct weft_device_time *time, uint32_t slot)
{
    struct weft_device_turns *turns = &time->turns;
    uint64_t others = ~(1ull << (slot % 64));
    __atomic_fetch_and(&turns->held[slot / 64], others, __ATOMIC_SEQ_CST);
    uint64_t before = __atomic_fetch_and(&turns->wanting[slot / 64], others, __ATOMIC_SEQ_CST);
    if (before & ~others)
        wake_held(time);
}

/* What the level of classes leaves to this one where all tenants of the device have work. */
static double share_of_class(const struct weft_daemon_tenant *tenant, uint32_t index)
{
    const struct weft_daemon_tenant *other = tenant->daemon->tenants;
    enum weft_class class = tenant->limits.class;
    uint32_t classes = 0;
    for (; other; other = other->next) {
        for (uint32_t i = 0; i < other->device_count; i++)
            classes |=
                weft_daemon_space_meets(tenant, index, other, i) ? 1u << other->limits.class : 0;
    }
    double share = 1;
    for (enum weft_class above = WEFT_CLASS_CRITICAL; above < class; above++)
        share *= classes >> above & 1 ? WEFT_SHARE_FLOOR_PERCENT / PER_CENT : 1;
    return classes >> (class + 1) ? share * (1 - WEFT_SHARE_FLOOR_PERCENT / PER_CENT) : share;
}

static uint32_t weights_of_class(const struct weft_daemon_tenant *tenant, uint32_t index)
{
    const struct weft_daemon_tenant *other = tenant->daemon->tenants;
    uint32_t weights = 0;
    for (; other; other = other->next) {
        for (uint32_t i = 0; i < other->device_count && other->limits.class == tenant->limits.class;
             i++)
            weights += weft_daemon_space_meets(tenant, index, other, i) ? other->limits.weight : 0;
    }
    return weights;
}

double weft_daemon_time_share(const struct weft_daemon_tenant *tenant, uint32_t index)
{
    const struct weft_limits *limits = &tenant->limits;
    uint32_t weights = WEFT_MAX(weights_of_class(tenant, index), limits->weight);
    uint32_t sms = weft_daemon_space_count(tenant, index);
    double share = share_of_class(tenant, index) * limits->weight / weights;
    if (sms)
        share = WEFT_MIN(share, (double)sms / tenant->devices[index]->sm_count);
    return WEFT_MIN(share, (double)limits->compute_cap_e4 / WEFT_COMPUTE_WHOLE);
}

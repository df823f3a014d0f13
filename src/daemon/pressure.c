/* How full the devices' memory is: looked at from time to time, told at a change, and acted upon.
 * The bytes are those that the tenants show in the device's room, of what the device (a soft one:
 * this host) has. */
#include "daemon/daemon.h"

#include "policy/pressure.h"
#include "util/log.h"

#define LOOK_MS 100

static void say(const struct weft_daemon_device *device, enum weft_log_level level,
                const char *what)
{
    weft_log(level, "weftd", "%s: %s", device->name, what);
}

static void begin_warning(void *context)
{
    say(context, WEFT_LOG_WARN, "three quarters of its memory are held");
}

static void begin_restriction(void *context)
{
    struct weft_daemon_device *device = context;
    weft_room_restrict(device->room, true);
    say(device, WEFT_LOG_WARN,
        "85 % of its memory are held: nobody grows above his guarantee while another has one");
}

static void end_restriction(void *context)
{
    struct weft_daemon_device *device = context;
    weft_room_restrict(device->room, false);
    say(device, WEFT_LOG_INFO, "under 80 % of its memory are held: all may grow again");
}

static void begin_stop(void *context)
{
    say(context, WEFT_LOG_WARN,
        "95 % of its memory are held: the class idle waits while another class is there");
}

static void end_stop(void *context)
{
    say(context, WEFT_LOG_INFO, "under 90 % of its memory are held: the class idle goes on");
}

static const struct weft_pressure_action actions[] = {
    {WEFT_PRESSURE_WARN, begin_warning, NULL},
    {WEFT_PRESSURE_RESTRICT, begin_restriction, end_restriction},
    {WEFT_PRESSURE_STOP, begin_stop, end_stop},
};

static void look_at(struct weft_daemon_device *device)
{
    struct weft_room_sums sums = weft_room_sum(device->room, 0);
    enum weft_pressure before = device->pressure;
    device->pressure = weft_pressure_next(before, sums.held_bytes, sums.capacity_bytes);
    if (device->pressure == before)
        return;
    weft_log(WEFT_LOG_INFO, "weftd", "%s: memory pressure %u %%, was %u %%", device->name,
             weft_pressure_percent(device->pressure), weft_pressure_percent(before));
    weft_pressure_change(actions, WEFT_ARRAY_COUNT(actions), before, device->pressure, device);
}

/* Whether a process of another class is on the device: for the class idle alone nothing is gained
 * by its waiting. */
static bool has_others(const struct weft_daemon *daemon, const struct weft_daemon_device *device)
{
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (uint32_t i = 0; i < tenant->device_count; i++) {
            if (tenant->devices[i] == device && tenant->processes &&
                tenant->limits.class != WEFT_CLASS_IDLE)
                return true;
        }
    }
    return false;
}

bool weft_daemon_pressure_stops(const struct weft_daemon_tenant *tenant, uint32_t index)
{
    const struct weft_daemon_device *device = tenant->devices[index];
    return tenant->limits.class == WEFT_CLASS_IDLE && device->pressure == WEFT_PRESSURE_STOP &&
           has_others(tenant->daemon, device);
}

static void stop_or_let_go(struct weft_daemon_tenant *tenant)
{
    bool changed = false;
    for (uint32_t i = 0; i < tenant->device_count; i++)
        changed |= tenant->stopped[i] != weft_daemon_pressure_stops(tenant, i);
    if (changed)
        weft_daemon_time_apply(tenant, tenant->policy->sequence);
}

void weft_daemon_pressure_look(struct weft_daemon *daemon)
{
    for (size_t i = 0; i < daemon->device_count; i++) {
        if (daemon->devices[i]->room)
            look_at(daemon->devices[i]);
    }
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next)
        stop_or_let_go(tenant);
}

static void on_look(uv_timer_t *timer)
{
    struct weft_daemon *daemon = timer->data;
    weft_daemon_room_mend(daemon);
    weft_daemon_pressure_look(daemon);
    weft_daemon_record_times(daemon);
    if (!daemon->tenants)
        uv_timer_stop(timer);
}

void weft_daemon_pressure_watch(struct weft_daemon *daemon)
{
    if (!daemon->stopping && !uv_is_active((uv_handle_t *)&daemon->look_at_pressure))
        uv_timer_start(&daemon->look_at_pressure, on_look, LOOK_MS, LOOK_MS);
}

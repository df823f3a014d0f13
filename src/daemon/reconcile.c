/* What native devices' memory is used for beside what tenants have asked for (policy/reconcile.h).
 * A thread asks the management library, which may take milliseconds, and the loop acts on the
 * answer: what the driver takes for a process is charged to its tenant, by our own slot of the
 * ledger, and what programs outside of weft use leaves the device's room. */
#include "daemon/daemon.h"

#include <string.h>

#include "daemon/nvml.h"
#include "util/log.h"

#define LOOK_MS 500

/* What the process of that lease holds of the device, with its other leases. */
static uint64_t held_by(const struct weft_daemon_process *process, uint32_t index)
{
    return weft_daemon_process_held(process->tenant, process->pid, index);
}

static bool is_counted(const struct weft_daemon_process *process)
{
    return process->role == WEFT_DAEMON_PROGRAM && !weft_daemon_process_is_shown_later(process);
}

/* Has our slot hold for the process what the driver takes. Nobody can refuse what is taken already:
 * the tenant's next allocations are refused, where this leads over its limit. */
static void charge(struct weft_daemon_process *process, uint32_t index, uint64_t bytes)
{
    struct weft_ledger_account *ours = &process->tenant->account;
    uint64_t before = process->driver_charged[index];
    if (bytes > before && weft_ledger_charge(ours, index, bytes - before, UINT64_MAX))
        return;
    if (bytes < before)
        weft_ledger_discharge(ours, index, before - bytes);
    process->driver_charged[index] = bytes;
}

void weft_daemon_reconcile_forget(struct weft_daemon_process *process)
{
    for (uint32_t i = 0; i < process->tenant->device_count; i++)
        charge(process, i, 0);
}

static void tell_driver(struct weft_daemon_process *process, uint32_t index)
{
    struct weft_reconcile_figure *figure = &process->driver[index];
    char size[WEFT_SIZE_TEXT_BYTES];
    if (weft_reconcile_is_news(figure, WEFT_RECONCILE_DRIVER_TOLD_BYTES))
        weft_log(WEFT_LOG_WARN, "weftd",
                 "%s: the driver takes %s for pid %d of tenant %s beside what it has asked for",
                 process->tenant->devices[index]->name, weft_size_format(figure->steady, size),
                 (int)process->pid, process->tenant->name);
}

static void tell_outside(struct weft_daemon_device *device)
{
    char size[WEFT_SIZE_TEXT_BYTES];
    if (weft_reconcile_is_news(&device->outside, WEFT_RECONCILE_OUTSIDE_TOLD_BYTES))
        weft_log(WEFT_LOG_WARN, "weftd", "%s: %s of its memory are used outside of weft",
                 device->name, weft_size_format(device->outside.steady, size));
}

/* Returns what of the device is the process' for certain. */
static uint64_t look_at_process(struct weft_daemon_process *process, uint32_t index,
                                const struct weft_reconcile_sample *sample)
{
    struct weft_reconcile_figure *figure = &process->driver[index];
    if (!is_counted(process)) {
        weft_reconcile_take(figure, WEFT_RECONCILE_UNKNOWN);
        charge(process, index, 0);
        return 0;
    }
    uint64_t held = WEFT_MAX(process->held_before[index], held_by(process, index));
    uint64_t given = weft_reconcile_of_process(sample, (uint32_t)process->pid);
    weft_reconcile_take(figure, weft_reconcile_driver(given, held));
    charge(process, index, figure->steady == WEFT_RECONCILE_UNKNOWN ? 0 : figure->steady);
    tell_driver(process, index);
    return weft_reconcile_ours(given, held);
}

/* Of the tenant's processes on one device. */
static uint64_t look_at_tenant(struct weft_daemon_tenant *tenant,
                               const struct weft_daemon_device *device,
                               const struct weft_reconcile_sample *sample)
{
    uint64_t ours = 0;
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        for (struct weft_daemon_process *process = tenant->processes;
             process && tenant->devices[i] == device; process = process->next)
            ours += look_at_process(process, i, sample);
    }
    return ours;
}

uint64_t weft_daemon_reconcile_capacity(const struct weft_daemon_device *device)
{
    uint64_t outside = weft_daemon_reconcile_outside(device);
    return device->memory_bytes - WEFT_MIN(outside, device->memory_bytes);
}

uint64_t weft_daemon_reconcile_outside(const struct weft_daemon_device *device)
{
    if (device->kind != WEFT_DEVICE_NATIVE)
        return 0;
    if (device->outside.steady != WEFT_RECONCILE_UNKNOWN)
        return device->outside.steady;
    /* Before the second look: what tenants hold is not outside, and more is not known. */
    uint64_t held = device->room ? weft_room_sum(device->room, 0).held_bytes : 0;
    return device->used_bytes == WEFT_RECONCILE_UNKNOWN
               ? 0
               : device->used_bytes - WEFT_MIN(device->used_bytes, held);
}

static void act_on(struct weft_daemon *daemon, struct weft_daemon_device *device,
                   const struct weft_reconcile_sample *sample)
{
    uint64_t ours = 0;
    if (sample->used_bytes == WEFT_RECONCILE_UNKNOWN)
        return; /* what was known last stays true as far as anybody knows */
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next)
        ours += look_at_tenant(tenant, device, sample);
    device->used_bytes = sample->used_bytes;
    weft_reconcile_take(&device->outside, sample->used_bytes - WEFT_MIN(sample->used_bytes, ours));
    tell_outside(device);
    if (device->room)
        weft_daemon_room_set_capacity(device, weft_daemon_reconcile_capacity(device));
}

static bool has_samples(struct weft_daemon *daemon)
{
    if (!daemon->samples && daemon->native_count)
        daemon->samples = calloc(daemon->native_count, sizeof(*daemon->samples));
    return daemon->samples != NULL;
}

/* The devices' list begins with the native ones, and these never change. */
static void sample_all(struct weft_daemon *daemon)
{
    for (size_t i = 0; i < daemon->native_count; i++)
        weft_nvml_sample(daemon->nvml, daemon->devices[i]->card, &daemon->samples[i]);
}

static void on_work(uv_work_t *work)
{
    sample_all(work->data);
}

static void on_sampled(uv_work_t *work, int status)
{
    struct weft_daemon *daemon = work->data;
    daemon->sampling = false;
    for (size_t i = 0; i < daemon->native_count && status == 0 && !daemon->stopping; i++)
        act_on(daemon, daemon->devices[i], &daemon->samples[i]);
}

static void note_held(struct weft_daemon_tenant *tenant)
{
    for (struct weft_daemon_process *process = tenant->processes; process;
         process = process->next) {
        for (uint32_t i = 0; i < tenant->device_count; i++)
            process->held_before[i] =
                tenant->devices[i]->kind == WEFT_DEVICE_NATIVE ? held_by(process, i) : 0;
    }
}

/* Nobody looks any more: what is known now says nothing about later. */
static void forget_figures(struct weft_daemon *daemon)
{
    for (size_t i = 0; i < daemon->native_count; i++) {
        daemon->devices[i]->outside.last = WEFT_RECONCILE_UNKNOWN;
        daemon->devices[i]->outside.steady = WEFT_RECONCILE_UNKNOWN;
    }
}

static void on_look(uv_timer_t *timer)
{
    struct weft_daemon *daemon = timer->data;
    if (daemon->sampling)
        return;
    if (!daemon->tenants) {
        uv_timer_stop(timer);
        forget_figures(daemon);
        return;
    }
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next)
        note_held(tenant);
    daemon->sampling = uv_queue_work(&daemon->loop, &daemon->sample, on_work, on_sampled) == 0;
}

void weft_daemon_reconcile_watch(struct weft_daemon *daemon)
{
    if (daemon->stopping || !has_samples(daemon) ||
        uv_is_active((uv_handle_t *)&daemon->look_at_cards))
        return;
    daemon->sample.data = daemon;
    uv_timer_start(&daemon->look_at_cards, on_look, 0, LOOK_MS);
}

void weft_daemon_reconcile_look(struct weft_daemon *daemon)
{
    if (daemon->tenants || daemon->sampling || !has_samples(daemon))
        return;
    sample_all(daemon);
    for (size_t i = 0; i < daemon->native_count; i++)
        daemon->devices[i]->used_bytes = daemon->samples[i].used_bytes;
    forget_figures(daemon);
}

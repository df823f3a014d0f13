/* Devices for a tenant that asks for some of many: what this node's devices have left, and a
 * sentence about each where that is not enough. weftd serves one request after the other, so two
 * that come at once are not given the same place. */
#include "daemon/daemon.h"

#include <string.h>

#include "policy/place.h"
#include "util/util.h"

#define LABEL_BYTES 160

/* What a tenant is promised of each device's memory; 0 where nothing was said. */
static uint64_t promised_bytes(const struct weft_limits *limits)
{
    if (limits->guarantee_bytes)
        return limits->guarantee_bytes;
    return limits->memory_bytes == WEFT_MEMORY_WHOLE ? 0 : limits->memory_bytes;
}

/* What it may take of its time, in 1/100 %; 0 where that is all. */
static uint32_t booked_e4(const struct weft_limits *limits)
{
    uint32_t part = limits->sm_percent * (WEFT_COMPUTE_WHOLE / WEFT_SM_WHOLE);
    uint32_t least = WEFT_MIN(limits->compute_cap_e4, part);
    return least == WEFT_COMPUTE_WHOLE ? 0 : least;
}

static void add(struct weft_place_device *measured, const struct weft_limits *limits, uint64_t held)
{
    uint32_t booked = booked_e4(limits);
    uint64_t promised = promised_bytes(limits);
    measured->tenants++;
    measured->booked_e4 += booked;
    measured->open_tenants += booked == 0;
    measured->claimed_bytes += WEFT_MAX(promised, held);
}

void weft_daemon_place_plan(struct weft_daemon_device *const *devices, uint32_t count,
                            const struct weft_limits *limits)
{
    for (uint32_t i = 0; i < count; i++)
        add(&devices[i]->planned, limits, 0);
}

static struct weft_place_device measure(const struct weft_daemon *daemon,
                                        const struct weft_daemon_device *device)
{
    struct weft_place_device measured = device->planned;
    measured.memory_bytes = device->memory_bytes;
    measured.outside_bytes = weft_daemon_reconcile_outside(device);
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        const struct weft_limits *limits = tenant->planned ? tenant->planned : &tenant->limits;
        for (uint32_t i = 0; i < tenant->device_count && !tenant->ends; i++) {
            if (tenant->devices[i] == device)
                add(&measured, limits, weft_ledger_total(tenant->ledger, i));
        }
    }
    return measured;
}

/* "soft small:1", as `weft soft` names it; "GPU 0 (its model)". */
static void label(const struct weft_daemon_device *device, char text[LABEL_BYTES])
{
    if (device->kind != WEFT_DEVICE_SOFT)
        snprintf(text, LABEL_BYTES, "GPU %u (%s)", device->index, device->name);
    else if (device->index)
        snprintf(text, LABEL_BYTES, "soft %s:%u", device->profile->name, device->index);
    else
        snprintf(text, LABEL_BYTES, "soft %s", device->profile->name);
}

static void explain(const struct weft_daemon_device *device,
                    const struct weft_place_device *measured,
                    const struct weft_place_demand *demand, char *text, size_t size)
{
    char name[LABEL_BYTES], has[WEFT_SIZE_TEXT_BYTES], left[WEFT_SIZE_TEXT_BYTES],
        outside[WEFT_SIZE_TEXT_BYTES];
    label(device, name);
    weft_size_format(measured->memory_bytes, has);
    weft_size_format(weft_place_left(measured), left);
    weft_size_format(measured->outside_bytes, outside);
    switch (weft_place_judge(measured, demand)) {
    case WEFT_PLACE_TOO_SMALL:
        snprintf(text, size, "%s has %s", name, has);
        break;
    case WEFT_PLACE_FULL:
        snprintf(text, size, "%s has %s of %s left beside %u tenants%s%s%s", name, left, has,
                 measured->tenants, measured->outside_bytes ? " and " : "",
                 measured->outside_bytes ? outside : "",
                 measured->outside_bytes ? " used outside of weft" : "");
        break;
    case WEFT_PLACE_FITS:
        snprintf(text, size, "%s would do", name);
        break;
    }
}

static int too_few(struct weft_daemon_device *const *devices, uint32_t count,
                   const struct weft_place_demand *demand, struct weft_err *err)
{
    char text[WEFT_ERR_TEXT_BYTES] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof(text); i++) {
        char name[LABEL_BYTES];
        label(devices[i], name);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "", name);
    }
    return weft_fail(err, WEFT_ENOENT, "--gpus %u: there are %u devices to choose from: %s",
                     demand->devices, count, text);
}

static int no_room(const struct weft_gpu_list *list, struct weft_daemon_device *const *devices,
                   const struct weft_place_device *measured, uint32_t count,
                   const struct weft_place_demand *demand, struct weft_err *err)
{
    char text[WEFT_ERR_TEXT_BYTES] = "", wanted[WEFT_SIZE_TEXT_BYTES];
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof(text); i++) {
        char one[2 * LABEL_BYTES];
        explain(devices[i], &measured[i], demand, one, sizeof(one));
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? "; " : "", one);
    }
    weft_size_format(demand->memory_bytes, wanted);
    if (list->wanted)
        return weft_fail(err, WEFT_ENOENT, "--gpus %u: not so many devices have %s left: %s",
                         list->wanted, wanted, text);
    return weft_fail(err, WEFT_ENOENT, "--gpu any: no device has %s left: %s", wanted, text);
}

int weft_daemon_place(struct weft_daemon *daemon, const struct weft_gpu_list *list, uint32_t wanted,
                      const struct weft_limits *limits, struct weft_daemon_device **devices,
                      uint32_t *count, struct weft_err *err)
{
    struct weft_place_device measured[WEFT_DEVICES_MAX];
    struct weft_place_demand demand = {
        .devices = wanted, .memory_bytes = promised_bytes(limits), .booked_e4 = booked_e4(limits)};
    uint32_t chosen[WEFT_PLACE_CHOICE_MAX];
    if (wanted > *count)
        return too_few(devices, *count, &demand, err);
    weft_daemon_reconcile_look(daemon);
    for (uint32_t i = 0; i < *count; i++)
        measured[i] = measure(daemon, devices[i]);
    if (!weft_place_choose(list->placement, measured, *count, &demand, chosen, NULL))
        return no_room(list, devices, measured, *count, &demand, err);
    for (uint32_t i = 0; i < wanted; i++)
        devices[i] = devices[chosen[i]];
    *count = wanted;
    return 0;
}

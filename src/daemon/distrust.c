/* Ledgers that say what cannot be. A program can write over its tenant's ledger, and so get past
 * the limit or have others of its tenant refused; it reaches no other tenant. Who does is ended
 * with all of his tenant, as nobody can tell which of its processes it was. */
#include "daemon/daemon.h"

#include "util/log.h"

#define LOOK_MS 1000

/* Only what no instant of a sound ledger shows: memory that changes its payer counts twice for a
 * moment, and memory of cards that pages can be more than they have. */
static const char *contradiction_of(const struct weft_daemon_tenant *tenant)
{
    struct weft_ledger *opened;
    if (weft_ledger_open(&opened, tenant->ledger, weft_ledger_bytes(), NULL))
        return "its head is overwritten";
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        const struct weft_daemon_device *device = tenant->devices[i];
        if (device->kind != WEFT_DEVICE_SOFT)
            continue;
        if (weft_ledger_total(tenant->ledger, i) / 2 > device->memory_bytes)
            return "its sum is more than the device has";
        for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next) {
            if (p->slot && weft_ledger_slot_held(tenant->ledger, p->slot, i) > device->memory_bytes)
                return "a process holds more than the device has";
        }
    }
    return NULL;
}

static void look_at(struct weft_daemon_tenant *tenant)
{
    const char *why = tenant->processes && !tenant->distrusted ? contradiction_of(tenant) : NULL;
    if (!why)
        return;
    weft_log(WEFT_LOG_ERROR, "weftd", "tenant %s is ended: its ledger cannot be true: %s",
             tenant->name, why);
    tenant->distrusted = true;
    for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
        weft_daemon_process_end(p);
}

static void on_look(uv_timer_t *timer)
{
    struct weft_daemon *daemon = timer->data;
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next)
        look_at(tenant);
}

void weft_daemon_distrust_begin(struct weft_daemon *daemon)
{
    uv_timer_start(&daemon->look_at_ledgers, on_look, LOOK_MS, LOOK_MS);
}

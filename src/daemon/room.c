/* What tenants are guaranteed of a device's memory (policy/room.h): the room of each device, and
 * who sits there. It is in the device's page. */
#include "daemon/daemon.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "util/log.h"

int weft_daemon_room_enter(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        struct weft_daemon_device *device = tenant->devices[i];
        int rc = weft_daemon_device_need_page(tenant->daemon, device, err);
        if (rc)
            return rc;
        tenant->seats[i].line = weft_room_line_take(device->room, tenant->record->ledger_inode);
        if (tenant->seats[i].line == 0)
            return weft_fail(err, WEFT_ELIMIT, "%s has %d tenants; it can have no more",
                             device->name, WEFT_ROOM_LINES - 1);
        tenant->seats[i].room = device->room;
        weft_room_slot_begin(&tenant->seats[i], WEFT_LEDGER_DAEMON_SLOT);
        weft_room_sit(&tenant->seats[i], &tenant->account, i);
    }
    return 0;
}

void weft_daemon_room_leave(struct weft_daemon_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        if (tenant->seats[i].room)
            weft_room_line_drop(tenant->seats[i].room, tenant->seats[i].line);
        tenant->seats[i] = (struct weft_room_seat){0};
        tenant->account.mirrors[i] = NULL;
    }
}

int weft_daemon_room_check(const struct weft_daemon_device *device, uint64_t others, uint64_t bytes,
                           struct weft_err *err)
{
    char sum[WEFT_SIZE_TEXT_BYTES], has[WEFT_SIZE_TEXT_BYTES];
    if (others + bytes <= device->memory_bytes)
        return 0;
    return weft_fail(
        err, WEFT_ERANGE,
        "--memory: with this guarantee %s of %s (%llu bytes) would be promised, and it "
        "has %s (%llu bytes)",
        weft_size_format(others + bytes, sum), device->name, (unsigned long long)(others + bytes),
        weft_size_format(device->memory_bytes, has), (unsigned long long)device->memory_bytes);
}

static int promise_one(const struct weft_daemon_tenant *tenant, uint32_t index, uint64_t bytes,
                       struct weft_err *err)
{
    const struct weft_daemon_device *device = tenant->devices[index];
    const struct weft_room_seat *seat = &tenant->seats[index];
    struct weft_room_sums sums = weft_room_sum(seat->room, seat->line);
    char left[WEFT_SIZE_TEXT_BYTES];
    int rc = weft_daemon_room_check(device, sums.guaranteed_bytes - sums.own_guarantee_bytes, bytes,
                                    err);
    if (rc || weft_room_promise(seat, bytes, false))
        return rc;
    uint64_t own = WEFT_MAX(sums.own_held_bytes, sums.own_guarantee_bytes);
    uint64_t others = sums.committed_bytes - own;
    others = WEFT_MIN(others, sums.capacity_bytes);
    return weft_fail(err, WEFT_ERANGE,
                     "--memory: %llu bytes of %s cannot be guaranteed: others hold or are promised "
                     "all but %s of what it has now",
                     (unsigned long long)bytes, device->name,
                     weft_size_format(sums.capacity_bytes - others, left));
}

int weft_daemon_room_promise(struct weft_daemon_tenant *tenant, uint64_t bytes,
                             struct weft_err *err)
{
    uint64_t before[WEFT_DEVICES_MAX];
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < tenant->device_count; i++) {
        before[i] = weft_room_sum(tenant->seats[i].room, tenant->seats[i].line).own_guarantee_bytes;
        rc = promise_one(tenant, i, bytes, err);
        for (uint32_t j = 0; rc && j < i; j++)
            weft_room_promise(&tenant->seats[j], before[j], true);
    }
    return rc;
}

void weft_daemon_room_keep(struct weft_daemon_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->device_count; i++)
        weft_room_promise(&tenant->seats[i], tenant->limits.guarantee_bytes, true);
}

void weft_daemon_room_begin(const struct weft_daemon_tenant *tenant, uint32_t slot)
{
    for (uint32_t i = 0; i < tenant->device_count; i++)
        weft_room_slot_begin(&tenant->seats[i], slot);
}

void weft_daemon_room_end(const struct weft_daemon_tenant *tenant, uint32_t slot)
{
    for (uint32_t i = 0; i < tenant->device_count && slot != WEFT_LEDGER_DAEMON_SLOT; i++)
        weft_room_slot_end(&tenant->seats[i], slot);
}

static bool is_claimed(const struct weft_daemon *daemon, uint64_t id)
{
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        if (tenant->record->ledger_inode == id)
            return true;
    }
    return false;
}

void weft_daemon_room_drop_unclaimed(struct weft_daemon *daemon, struct weft_daemon_device *device)
{
    for (uint32_t line = 1; device->room && line < WEFT_ROOM_LINES; line++) {
        uint64_t id = weft_room_line_id(device->room, line);
        if (id && !is_claimed(daemon, id))
            weft_room_line_drop(device->room, line);
    }
}

void weft_daemon_room_set_capacity(struct weft_daemon_device *device, uint64_t bytes)
{
    device->capacity_bytes = bytes;
    weft_room_set_capacity(device->room, bytes);
}

static uint32_t slots_of(const struct weft_daemon_tenant *tenant)
{
    uint32_t slots = WEFT_LEDGER_DAEMON_SLOT + 1;
    for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
        slots = WEFT_MAX(slots, p->slot + 1);
    return slots;
}

/* The words of the tenant's processes, and of slots that none has. */
static uint32_t mend_words(struct weft_daemon_tenant *tenant, uint32_t index)
{
    const struct weft_room_seat *seat = &tenant->seats[index];
    uint64_t most = tenant->devices[index]->memory_bytes;
    bool taken[WEFT_LEDGER_SLOTS] = {[WEFT_LEDGER_DAEMON_SLOT] = true};
    uint32_t wrong = 0, slots = slots_of(tenant);
    for (struct weft_daemon_process *p = tenant->processes; p; p = p->next) {
        /* What cannot be is distrust.c's to act upon. */
        if (p->slot && weft_ledger_slot_held(tenant->ledger, p->slot, index) <= most)
            wrong += weft_room_mend_word(seat, p->slot, tenant->ledger, index, &p->looks[index]);
        taken[p->slot] = true;
    }
    wrong += weft_room_mend_word(seat, WEFT_LEDGER_DAEMON_SLOT, tenant->ledger, index, NULL);
    for (uint32_t slot = 0; slot < slots; slot++)
        wrong += !taken[slot] && weft_room_mend_word(seat, slot, NULL, index, NULL);
    return wrong;
}

static uint32_t mend_tenants(struct weft_daemon *daemon, struct weft_daemon_device *device)
{
    struct weft_room_terms terms[WEFT_DAEMON_TENANTS_MAX];
    size_t count = 0;
    uint32_t wrong = 0;
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (uint32_t i = 0; i < tenant->device_count; i++) {
            if (tenant->devices[i] != device || tenant->seats[i].room != device->room)
                continue;
            terms[count++] =
                (struct weft_room_terms){.line = tenant->seats[i].line,
                                         .slots = slots_of(tenant),
                                         .id = tenant->record->ledger_inode,
                                         .guarantee_bytes = tenant->limits.guarantee_bytes};
            wrong += tenant->distrusted ? 0 : mend_words(tenant, i);
        }
    }
    return wrong + weft_room_mend(device->room, terms, count, device->capacity_bytes,
                                  device->pressure >= WEFT_PRESSURE_RESTRICT);
}

void weft_daemon_room_mend(struct weft_daemon *daemon)
{
    for (size_t i = 0; i < daemon->device_count; i++) {
        struct weft_daemon_device *device = daemon->devices[i];
        uint32_t wrong = device->room ? mend_tenants(daemon, device) : 0;
        if (wrong && !device->overwritten)
            weft_log(WEFT_LOG_WARN, "weftd",
                     "%s: %u words about what tenants hold and are guaranteed were written over by "
                     "a program, and are put right",
                     device->name, wrong);
        device->overwritten = wrong != 0;
    }
}

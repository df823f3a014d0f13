/* Faults of soft devices, as a person injects them: words in the device's page, which every process
 * of the device reads between two pieces of work. */
#include "daemon/daemon.h"

#include <string.h>

#include "softgpu/faults.h"

/* "soft", "t4", "soft=t4:1" */
static bool is_named(const struct weft_daemon_device *device, const char *name)
{
    if (strcmp(name, "soft") == 0)
        name = WEFT_SOFT_PROFILE_DEFAULT;
    else if (strncmp(name, "soft=", 5) == 0)
        name += 5;
    size_t length = strlen(device->profile->name);
    if (strncmp(name, device->profile->name, length) != 0)
        return false;
    if (name[length] == '\0')
        return device->index == 0;
    char number[16];
    snprintf(number, sizeof(number), ":%u", device->index);
    return strcmp(name + length, number) == 0;
}

static int find_device(struct weft_daemon *daemon, const char *name,
                       struct weft_daemon_device **out, struct weft_err *err)
{
    uint8_t uuid[WEFT_UUID_BYTES];
    bool by_uuid = strncmp(name, "GPU-", 4) == 0 && weft_uuid_parse(name + 4, uuid, NULL) == 0;
    for (size_t i = 0; i < daemon->device_count; i++) {
        struct weft_daemon_device *device = daemon->devices[i];
        if (device->kind != WEFT_DEVICE_SOFT)
            continue;
        if (by_uuid ? memcmp(device->uuid, uuid, sizeof(uuid)) == 0 : is_named(device, name)) {
            *out = device;
            return 0;
        }
    }
    return weft_fail(err, WEFT_ENOENT, "no soft device \"%s\" is in use; `weft soft` lists them",
                     name);
}

/* A program of whoever asks, or of anybody for root and for who runs weftd. */
static int allow_all(uid_t uid, const struct weft_daemon_device *device, struct weft_err *err)
{
    if (uid == 0 || uid == geteuid())
        return 0;
    return weft_fail(err, WEFT_EPERM,
                     "%s may belong to several users; only root and uid %u, who runs weftd, may "
                     "do this to all of it: name a --tenant or --pid",
                     device->name, (unsigned)geteuid());
}

/* Another word than before, so that each context can tell. */
static void raise_word(uint64_t *word, uint32_t error)
{
    uint32_t sequence = WEFT_DEVICE_FAULT_SEQUENCE(__atomic_load_n(word, __ATOMIC_RELAXED)) + 1;
    __atomic_store_n(word, WEFT_DEVICE_FAULT(sequence ? sequence : 1, error), __ATOMIC_RELEASE);
}

static void count(struct weft_device_page *page, const struct weft_soft_xid *xid)
{
    __atomic_store_n(&page->last_xid, xid->number, __ATOMIC_RELAXED);
    __atomic_fetch_add(&page->xid_count, 1, __ATOMIC_RELAXED);
    if (!xid->is_double_bit)
        return;
    __atomic_fetch_add(&page->ecc_volatile, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&page->ecc_aggregate, 1, __ATOMIC_RELAXED);
}

static void hit_device(struct weft_device_page *page, const struct weft_soft_xid *xid)
{
    /* The state first: who sees the fault and makes a new context must not get one. */
    if (xid->state > __atomic_load_n(&page->state, __ATOMIC_RELAXED))
        __atomic_store_n(&page->state, xid->state, __ATOMIC_RELEASE);
    if (xid->reach == WEFT_SOFT_REACH_DEVICE)
        raise_word(&page->fault, xid->error);
    if (xid->reach == WEFT_SOFT_REACH_AT_WORK)
        raise_word(&page->fault_at_work, xid->error);
}

/* The slot of a process on the device; 0 where it has none or is not asked for. */
static uint32_t slot_hit(const struct weft_daemon_process *process,
                         const struct weft_daemon_device *device,
                         const struct weft_wire_fault *fault)
{
    const struct weft_daemon_tenant *tenant = process->tenant;
    if (process->role != WEFT_DAEMON_PROGRAM || (fault->pid && (pid_t)fault->pid != process->pid) ||
        (*fault->tenant && strcmp(fault->tenant, tenant->name) != 0))
        return 0;
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        if (tenant->devices[i] == device)
            return process->device_slots[i];
    }
    return 0;
}

/* Only those that are asked for. All are looked at before any is hit, so that a refusal changes
 * nothing. */
static int allow_processes(struct weft_daemon *daemon, const struct weft_daemon_device *device,
                           const struct weft_wire_fault *fault, uid_t uid, struct weft_err *err)
{
    uint32_t hits = 0;
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (struct weft_daemon_process *process = tenant->processes; process;
             process = process->next) {
            bool is_hit = slot_hit(process, device, fault) != 0;
            int rc = is_hit ? weft_daemon_tenant_allow(tenant, uid, err) : 0;
            if (rc)
                return rc;
            hits += is_hit;
        }
    }
    return hits ? 0
                : weft_fail(err, WEFT_ENOENT,
                            "no such process uses %s; `weft ps` lists tenants and processes",
                            device->name);
}

static void hit_processes(struct weft_daemon *daemon, const struct weft_daemon_device *device,
                          const struct weft_wire_fault *fault, uint32_t error)
{
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (struct weft_daemon_process *process = tenant->processes; process;
             process = process->next) {
            uint32_t slot = slot_hit(process, device, fault);
            if (slot)
                raise_word(&device->page->processes[slot].fault, error);
        }
    }
}

static int clear(struct weft_daemon_device *device, const struct weft_wire_fault *fault, uid_t uid,
                 struct weft_err *err)
{
    if (fault->pid || *fault->tenant)
        return weft_fail(err, WEFT_EINVAL,
                         "a device is cleared as a whole; what hit a process is its own for ever");
    int rc = allow_all(uid, device, err);
    if (rc)
        return rc;
    __atomic_store_n(&device->page->ecc_volatile, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&device->page->state, WEFT_SOFT_HEALTHY, __ATOMIC_RELEASE);
    return 0;
}

int weft_daemon_fault(struct weft_daemon *daemon, const struct weft_wire_fault *fault, uid_t uid,
                      struct weft_err *err)
{
    struct weft_daemon_device *device = NULL;
    int rc = find_device(daemon, fault->device, &device, err);
    if (rc)
        return rc;
    if (fault->xid == 0) {
        rc = clear(device, fault, uid, err);
        if (rc == 0)
            weft_daemon_audit_injection(daemon, device, fault, uid);
        return rc;
    }
    const struct weft_soft_xid *xid = weft_soft_xid_find(fault->xid);
    if (!xid)
        return weft_fail(err, WEFT_EINVAL, "Xid %u is not known here", fault->xid);
    bool targeted = fault->pid || *fault->tenant;
    if (targeted && (xid->state != WEFT_SOFT_HEALTHY || xid->reach == WEFT_SOFT_REACH_NONE))
        return weft_fail(err, WEFT_EINVAL,
                         "Xid %u (%s) is about the device as a whole: leave --tenant and --pid out",
                         xid->number, xid->text);
    rc = targeted ? allow_processes(daemon, device, fault, uid, err) : allow_all(uid, device, err);
    if (rc)
        return rc;
    weft_daemon_audit_injection(daemon, device, fault, uid);
    /* Counted first: who is hit looks there for its number. */
    count(device->page, xid);
    if (targeted)
        hit_processes(daemon, device, fault, xid->error);
    else
        hit_device(device->page, xid);
    return 0;
}

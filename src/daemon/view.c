#include "daemon/daemon.h"

#include <fcntl.h>
#include <string.h>

#include "softgpu/faults.h"

#define COMMAND_BYTES 256
#define NS_PER_S 1e9

/* The command line with blanks between its words, or the process' name where it has none; cut, and
 * in ASCII. */
static void read_command(pid_t pid, char command[COMMAND_BYTES])
{
    char path[32];
    int64_t size = 0;
    for (int attempt = 0; attempt < 2 && size <= 0; attempt++) {
        snprintf(path, sizeof(path), attempt == 0 ? "/proc/%d/cmdline" : "/proc/%d/comm", (int)pid);
        _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        size = fd < 0 ? 0 : weft_read_all(fd, command, COMMAND_BYTES - 1, NULL);
    }
    size = WEFT_MAX(size, 0);
    while (size > 0 && (command[size - 1] == '\0' || command[size - 1] == '\n'))
        size--;
    command[size] = '\0';
    for (int64_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)command[i];
        command[i] = c == '\0' ? ' ' : (c < ' ' || c > '~') ? '?' : (char)c;
    }
}

static json_t *device_uuid(const struct weft_daemon_device *device)
{
    char text[WEFT_UUID_TEXT_BYTES];
    return json_sprintf("GPU-%s", weft_uuid_format(device->uuid, text));
}

/* Of the processes of one number; of all, and those that are gone, for 0. */
static uint64_t time_used_ns(const struct weft_daemon_tenant *tenant, pid_t pid, uint32_t index)
{
    uint64_t total = pid ? 0 : tenant->ended_time_ns[index];
    const struct weft_daemon_device *device = tenant->devices[index];
    for (const struct weft_daemon_process *process = tenant->processes; process && device->page;
         process = process->next) {
        if (process->device_slots[index] && (pid == 0 || process->pid == pid))
            total += __atomic_load_n(
                &device->page->processes[process->device_slots[index]].device_time_ns,
                __ATOMIC_RELAXED);
    }
    return total;
}

static json_t *pressure_of(const struct weft_daemon_device *device)
{
    return json_integer((json_int_t)weft_pressure_percent(device->pressure));
}

/* What the driver takes for the tenant's processes, as far as that is known. */
static uint64_t driver_charged(const struct weft_daemon_tenant *tenant, uint32_t index)
{
    uint64_t sum = 0;
    for (const struct weft_daemon_process *process = tenant->processes; process;
         process = process->next)
        sum += process->driver_charged[index];
    return sum;
}

static json_t *tenant_device(const struct weft_daemon_tenant *tenant, uint32_t index)
{
    const struct weft_daemon_device *device = tenant->devices[index];
    uint64_t limit = WEFT_MIN(tenant->limits.memory_bytes, device->memory_bytes);
    json_t *entry = json_pack(
        "{s:o, s:i, s:s, s:I, s:I, s:I, s:f, s:f}", "device", device_uuid(device), "ordinal",
        (int)index, "name", device->name, "memory_used_bytes",
        (json_int_t)weft_ledger_total(tenant->ledger, index), "memory_limit_bytes",
        (json_int_t)limit, "memory_guarantee_bytes", (json_int_t)tenant->limits.guarantee_bytes,
        "time_used_s", (double)time_used_ns(tenant, 0, index) / NS_PER_S, "share",
        weft_daemon_time_share(tenant, index));
    uint32_t sms = weft_daemon_space_count(tenant, index);
    if (entry && sms)
        json_object_set_new(entry, "sm_count", json_integer((json_int_t)sms));
    if (entry) {
        json_object_set_new(entry, "pressure_percent", pressure_of(device));
        json_object_set_new(entry, "stopped", json_boolean(tenant->stopped[index]));
    }
    if (entry && device->kind == WEFT_DEVICE_NATIVE)
        json_object_set_new(entry, "memory_driver_bytes",
                            json_integer((json_int_t)driver_charged(tenant, index)));
    /* Beside what is used, so that the two are of one moment. */
    if (entry && device->time) {
        json_object_set_new(entry, "device_time_s",
                            json_real((double)weft_share_clock(&device->time->share) / NS_PER_S));
        json_object_set_new(
            entry, "device_idle_s",
            json_real((double)__atomic_load_n(&device->time->share.idle_ns, __ATOMIC_RELAXED) /
                      NS_PER_S));
    }
    return entry;
}

/* null: the management library does not tell. */
static json_t *bytes_or_null(uint64_t bytes)
{
    return bytes == WEFT_RECONCILE_UNKNOWN ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *process_device(const struct weft_daemon_process *process, uint32_t index)
{
    const struct weft_daemon_tenant *tenant = process->tenant;
    const struct weft_daemon_device *device = tenant->devices[index];
    json_t *entry = json_pack(
        "{s:o, s:i, s:I, s:f}", "device", device_uuid(device), "ordinal", (int)index,
        "memory_used_bytes", (json_int_t)weft_daemon_process_held(tenant, process->pid, index),
        "time_used_s", (double)time_used_ns(tenant, process->pid, index) / NS_PER_S);
    if (entry && device->kind == WEFT_DEVICE_NATIVE)
        json_object_set_new(entry, "memory_driver_bytes",
                            bytes_or_null(process->driver[index].steady));
    return entry;
}

static json_t *process_entry(const struct weft_daemon_process *process)
{
    char command[COMMAND_BYTES];
    json_t *devices = json_array();
    for (uint32_t i = 0; i < process->tenant->device_count; i++)
        json_array_append_new(devices, process_device(process, i));
    read_command(process->pid, command);
    return json_pack("{s:i, s:s, s:o}", "pid", (int)process->pid, "command", command, "devices",
                     devices);
}

static json_t *tenant_entry(const struct weft_daemon_tenant *tenant)
{
    json_t *devices = json_array(), *processes = json_array();
    for (uint32_t i = 0; i < tenant->device_count; i++)
        json_array_append_new(devices, tenant_device(tenant, i));
    for (const struct weft_daemon_process *process = tenant->processes; process;
         process = process->next) {
        if (process->role == WEFT_DAEMON_PROGRAM && !weft_daemon_process_is_shown_later(process))
            json_array_append_new(processes, process_entry(process));
    }
    const struct weft_limits *limits = &tenant->limits;
    return json_pack("{s:s, s:s, s:i, s:f, s:i, s:f, s:o, s:o}", "name", tenant->name, "class",
                     weft_class_name(limits->class), "weight", (int)limits->weight,
                     "compute_cap_percent", limits->compute_cap_e4 / 100.0, "sm_percent",
                     (int)limits->sm_percent, "kernel_timeout_s", limits->kernel_timeout_us / 1e6,
                     "devices", devices, "processes", processes);
}

json_t *weft_daemon_view_ps(struct weft_daemon *daemon, const struct weft_daemon_tenant *only)
{
    json_t *tenants = json_array();
    weft_daemon_pressure_look(daemon);
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        if (!only || tenant == only)
            json_array_insert_new(tenants, 0,
                                  tenant_entry(tenant)); /* the list has the youngest first */
    }
    return json_pack("{s:i, s:o}", "version", 1, "tenants", tenants);
}

static json_t *ids(const uint32_t *numbers, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(numbers[i]));
    return list;
}

static json_t *access_entry(const struct weft_access *access)
{
    return json_pack("{s:o, s:o}", "uids", ids(access->uids, access->uid_count), "gids",
                     ids(access->gids, access->gid_count));
}

/* A tenant as who administers it sees it: whose it is, where it comes from, who may use it. */
static json_t *administered_entry(const struct weft_daemon_tenant *tenant)
{
    static const char *const origins[] = {[WEFT_TENANT_OF_RUN] = "run",
                                          [WEFT_TENANT_OF_COMMAND] = "command",
                                          [WEFT_TENANT_OF_CONFIGURATION] = "configuration"};
    char mount[WEFT_PLACES_PATH_BYTES];
    json_t *entry = tenant_entry(tenant);
    bool has_mount =
        tenant->origin != WEFT_TENANT_OF_RUN && weft_daemon_mount_path(tenant, mount, NULL) == 0;
    json_object_set_new(entry, "owner", json_integer((json_int_t)tenant->uid));
    json_object_set_new(entry, "origin", json_string(origins[tenant->origin]));
    json_object_set_new(entry, "socket", json_string(tenant->listener->path));
    json_object_set_new(entry, "mount_socket", has_mount ? json_string(mount) : json_null());
    json_object_set_new(entry, "run", access_entry(&tenant->run));
    json_object_set_new(entry, "change", access_entry(&tenant->change));
    return entry;
}

json_t *weft_daemon_view_tenants(struct weft_daemon *daemon, const struct weft_daemon_tenant *only)
{
    json_t *tenants = json_array();
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        if (!only || tenant == only)
            json_array_insert_new(tenants, 0, administered_entry(tenant));
    }
    return json_pack("{s:i, s:o}", "version", 1, "tenants", tenants);
}

/* NULL for a soft device, whose memory nobody else uses. */
static json_t *outside_of(const struct weft_daemon_device *device)
{
    if (device->kind != WEFT_DEVICE_NATIVE)
        return NULL;
    return bytes_or_null(device->used_bytes == WEFT_RECONCILE_UNKNOWN
                             ? WEFT_RECONCILE_UNKNOWN
                             : weft_daemon_reconcile_outside(device));
}

json_t *weft_daemon_view_ls(struct weft_daemon *daemon)
{
    json_t *devices = json_array();
    weft_daemon_pressure_look(daemon);
    weft_daemon_reconcile_look(daemon);
    for (size_t i = 0; i < daemon->device_count; i++) {
        const struct weft_daemon_device *device = daemon->devices[i];
        char label[64];
        struct weft_room_sums sums =
            device->room ? weft_room_sum(device->room, 0) : (struct weft_room_sums){0};
        weft_daemon_device_label(device, label, sizeof(label));
        json_array_append_new(
            devices, json_pack("{s:s, s:o, s:s, s:s, s:I, s:i, s:s*, s:i, s:I, s:I, s:o, s:o*}",
                               "gpu", label, "device", device_uuid(device), "kind",
                               device->kind == WEFT_DEVICE_SOFT ? "soft" : "native", "name",
                               device->name, "memory_bytes", (json_int_t)device->memory_bytes,
                               "sm_count", (int)device->sm_count, "profile",
                               device->profile ? device->profile->name : NULL, "tenants",
                               (int)device->tenants, "memory_used_bytes",
                               (json_int_t)sums.held_bytes, "memory_guaranteed_bytes",
                               (json_int_t)sums.guaranteed_bytes, "pressure_percent",
                               pressure_of(device), "memory_outside_bytes", outside_of(device)));
    }
    return json_pack("{s:i, s:o}", "version", 1, "devices", devices);
}

static json_t *soft_entry(const struct weft_daemon_device *device)
{
    const struct weft_device_page *page = device->page;
    char name[64];
    int length = snprintf(name, sizeof(name), "%s", device->profile->name);
    if (device->index)
        snprintf(name + length, sizeof(name) - (size_t)length, ":%u", device->index);
    uint32_t last_xid = __atomic_load_n(&page->last_xid, __ATOMIC_RELAXED);
    return json_pack(
        "{s:s, s:o, s:s, s:i, s:s, s:I, s:i, s:o, s:I, s:I, s:I, s:f, s:f}", "name", name, "device",
        device_uuid(device), "profile", device->profile->name, "index", (int)device->index, "state",
        weft_soft_state_name(__atomic_load_n(&page->state, __ATOMIC_RELAXED)), "memory_used_bytes",
        (json_int_t)weft_ledger_total(device->ledger, 0), "tenants", (int)device->tenants,
        "last_xid", last_xid ? json_integer((json_int_t)last_xid) : json_null(), "xid_count",
        (json_int_t)__atomic_load_n(&page->xid_count, __ATOMIC_RELAXED), "ecc_volatile",
        (json_int_t)__atomic_load_n(&page->ecc_volatile, __ATOMIC_RELAXED), "ecc_aggregate",
        (json_int_t)__atomic_load_n(&page->ecc_aggregate, __ATOMIC_RELAXED), "time_s",
        (double)weft_share_clock(&device->time->share) / NS_PER_S, "idle_s",
        (double)__atomic_load_n(&device->time->share.idle_ns, __ATOMIC_RELAXED) / NS_PER_S);
}

json_t *weft_daemon_view_soft(struct weft_daemon *daemon)
{
    json_t *devices = json_array();
    for (size_t i = 0; i < daemon->device_count; i++) {
        if (daemon->devices[i]->kind == WEFT_DEVICE_SOFT)
            json_array_append_new(devices, soft_entry(daemon->devices[i]));
    }
    return json_pack("{s:i, s:o}", "version", 1, "devices", devices);
}

/* weftd's next life takes over what the last one left: the records say which tenants and processes
 * there were; those that live still have the shared memory open, and /proc gives it back. Programs
 * need not do, or notice, anything. */
#include "daemon/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "softgpu/shared_file.h"
#include "util/log.h"

#define RECORD_FILES_MAX 100000
#define DESCRIPTORS_MAX (1 << 20) /* of one process */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* Of one of our shared memories that a process has open. `fd` is borrowed. */
typedef void (*memory_fn)(void *context, const char *name, int fd);

/* Of a size that nobody can change under us, and, but for files that programs share, made by this
 * user's weftd. */
static int open_memory(int folder, const char *entry, const char *name)
{
    struct stat found;
    bool shared = strcmp(name, WEFT_SHARED_FILE_NAME) == 0;
    _cleanup_fd_ int fd = openat(folder, entry, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &found) || !S_ISREG(found.st_mode) ||
        (!shared && found.st_uid != geteuid()))
        return -1;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS ? weft_steal_fd(&fd) : -1;
}

/* Calls `take` for each of our memories that the process has open. */
static void each_memory(pid_t pid, memory_fn take, void *context)
{
    static const char before[] = "/memfd:", after[] = " (deleted)";
    char path[32], target[512];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *listing = opendir(path);
    const struct dirent *entry;
    for (int i = 0; listing && i < DESCRIPTORS_MAX && (entry = readdir(listing)); i++) {
        ssize_t size = readlinkat(dirfd(listing), entry->d_name, target, sizeof(target) - 1);
        if (size <= 0)
            continue;
        target[size] = '\0';
        char *end = strstr(target, after);
        if (strncmp(target, before, strlen(before)) != 0 || !end)
            continue;
        *end = '\0';
        const char *name = target + strlen(before);
        _cleanup_fd_ int fd =
            strncmp(name, "weft-", 5) == 0 ? open_memory(dirfd(listing), entry->d_name, name) : -1;
        if (fd >= 0)
            take(context, name, fd);
    }
    if (listing)
        closedir(listing);
}

/* A pidfd of a process of the record that lives still; -1 where its number is another's. */
static int open_recorded(const struct weft_record_process *recorded)
{
    uint64_t start_ticks;
    if (recorded->pid == 0)
        return -1;
    _cleanup_fd_ int fd = weft_daemon_process_open((pid_t)recorded->pid);
    if (fd < 0 || weft_process_start_time((int)recorded->pid, &start_ticks, NULL) ||
        start_ticks != recorded->start_ticks)
        return -1;
    return weft_steal_fd(&fd);
}

/* -- the pages of devices, before any tenant asks for a device */

struct device_search {
    struct weft_daemon *daemon;
    const struct weft_record *record;
};

static void take_device(void *context, const char *name, int fd)
{
    const struct device_search *search = context;
    for (uint32_t i = 0; i < search->record->device_count; i++) {
        const struct weft_record_device *device = &search->record->devices[i];
        char wanted[WEFT_DAEMON_MEMORY_NAME_BYTES];
        weft_daemon_device_memory_name(device->uuid, wanted);
        if (strcmp(name, wanted) != 0)
            continue;
        struct weft_err err = {0};
        if (weft_daemon_device_adopt(search->daemon, device, fd, &err))
            weft_log(WEFT_LOG_WARN, "weftd", "%s: %s", name, err.text);
    }
}

static void recover_devices(struct weft_daemon *daemon, const struct weft_record *record)
{
    struct device_search search = {daemon, record};
    for (size_t i = 0; i < WEFT_RECORD_PROCESSES; i++) {
        const struct weft_record_process *recorded = &record->processes[i];
        _cleanup_fd_ int pidfd = open_recorded(recorded);
        if (pidfd >= 0 && recorded->role == WEFT_DAEMON_PROGRAM)
            each_memory((pid_t)recorded->pid, take_device, &search);
    }
}

/* -- tenants and processes */

static void take_page(struct weft_daemon_tenant *tenant, const char *name, int fd)
{
    char wanted[WEFT_DAEMON_MEMORY_NAME_BYTES];
    struct stat found;
    struct weft_err err = {0};
    int rc = 0;
    snprintf(wanted, sizeof(wanted), "weft-ledger-%s", tenant->name);
    if (!tenant->ledger && strcmp(name, wanted) == 0 && fstat(fd, &found) == 0 &&
        found.st_ino == tenant->record->ledger_inode)
        rc = weft_daemon_tenant_take_ledger(tenant, fd, &err);
    snprintf(wanted, sizeof(wanted), "weft-policy-%s", tenant->name);
    if (!tenant->policy && strcmp(name, wanted) == 0)
        rc = weft_daemon_tenant_take_policy(tenant, fd, &err);
    if (rc)
        weft_log(WEFT_LOG_WARN, "weftd", "tenant %s: %s: %s", tenant->name, name, err.text);
}

static void take_memory(void *context, const char *name, int fd)
{
    struct weft_daemon_process *process = context;
    unsigned index, slot;
    if (sscanf(name, "weft-arena-%u-%u", &index, &slot) != 2) {
        take_page(process->tenant, name, fd);
        return;
    }
    if (slot == process->slot && index < process->tenant->device_count &&
        process->arena_fds[index] < 0)
        process->arena_fds[index] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void recover_process(struct weft_daemon_tenant *tenant, struct weft_record_process *recorded,
                            int pidfd)
{
    struct weft_daemon_process *process;
    struct weft_record_process was = *recorded;
    recorded->pid = 0; /* the lease takes an entry of its own */
    if (weft_daemon_process_create(tenant, (enum weft_daemon_role)was.role, (pid_t)was.pid, pidfd,
                                   &process, NULL))
        return;
    process->runner_pid = (pid_t)was.runner_pid;
    process->slot = was.slot < WEFT_LEDGER_SLOTS ? was.slot : 0;
    for (uint32_t i = 0; i < tenant->device_count; i++)
        process->device_slots[i] =
            was.device_slots[i] < WEFT_LEDGER_SLOTS ? was.device_slots[i] : 0;
    weft_daemon_record_process(process);
    if (process->role != WEFT_DAEMON_PROGRAM)
        return;
    each_memory(process->pid, take_memory, process);
    /* As one whose connection was closed: it may have executed another program meanwhile. */
    weft_daemon_process_hung_up(process);
}

/* It died while nobody looked. What it held comes back with the slots that nobody claims. Its
 * device time is in the device's page, unless nobody was left who had that open: then what the last
 * life saw of it counts. */
static void bury(struct weft_daemon_tenant *tenant, struct weft_record_process *recorded)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        const struct weft_device_page *page = tenant->devices[i]->page;
        uint32_t slot = recorded->device_slots[i];
        if (!page || !slot || slot >= WEFT_LEDGER_SLOTS || recorded->role != WEFT_DAEMON_PROGRAM)
            continue;
        uint64_t used_ns = WEFT_MAX(page->processes[slot].device_time_ns, recorded->time_ns[i]);
        weft_daemon_record_time(tenant, i, &recorded->device_slots[i], used_ns);
    }
    recorded->pid = 0;
}

/* Where nobody could give a page back there is a new one, and who lives with the old one is held by
 * his lease alone: his slot's number would be somebody else's. */
static void drop_unknown_slots(struct weft_daemon_tenant *tenant, bool has_ledger)
{
    for (struct weft_daemon_process *process = tenant->processes; process;
         process = process->next) {
        if (process->slot && !has_ledger) {
            weft_log(WEFT_LOG_WARN, "weftd",
                     "tenant %s, pid %d: its memory cannot be seen any more and is not counted",
                     tenant->name, (int)process->pid);
            process->slot = 0;
        }
        for (uint32_t i = 0; i < tenant->device_count; i++) {
            const struct weft_daemon_device *device = tenant->devices[i];
            if (!device->ledger ||
                !weft_ledger_slot_taken(device->ledger, process->device_slots[i]))
                process->device_slots[i] = 0;
        }
        weft_daemon_record_process(process);
    }
}

/* A death of weftd between the two words of a time that was on its way. */
static void finish_time(struct weft_record *record)
{
    uint32_t index = record->time_slot >> 16, slot = record->time_slot & 0xffff;
    if (record->time_slot == 0 || index >= WEFT_DEVICES_MAX)
        return;
    record->ended_time_ns[index] = record->time_next_ns;
    for (size_t i = 0; i < WEFT_RECORD_PROCESSES; i++) {
        if (record->processes[i].device_slots[index] == slot)
            record->processes[i].device_slots[index] = 0;
    }
    record->time_slot = 0;
}

static int recover_tenant(struct weft_daemon *daemon, struct weft_record *record,
                          struct weft_err *err)
{
    struct weft_daemon_tenant *tenant;
    finish_time(record);
    int rc = weft_daemon_tenant_recall(daemon, record, &tenant, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < WEFT_RECORD_PROCESSES; i++) {
        struct weft_record_process *recorded = &record->processes[i];
        int pidfd = open_recorded(recorded);
        if (pidfd >= 0)
            recover_process(tenant, recorded, pidfd);
        else if (recorded->pid)
            bury(tenant, recorded);
    }
    drop_unknown_slots(tenant, tenant->ledger);
    return weft_daemon_tenant_complete(tenant, err);
}

/* -- slots that no living process of any record has */

static void settle_tenant_slots(struct weft_daemon_tenant *tenant)
{
    bool claimed[WEFT_LEDGER_SLOTS] = {0};
    for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
        claimed[p->slot] = true;
    for (uint32_t slot = 1; slot < WEFT_LEDGER_SLOTS; slot++) {
        if (claimed[slot])
            continue;
        weft_ledger_slot_settle(tenant->ledger, slot);
        weft_daemon_room_end(tenant, slot);
    }
}

static void settle_device_slots(struct weft_daemon *daemon, struct weft_daemon_device *device)
{
    bool claimed[WEFT_LEDGER_SLOTS] = {0};
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next) {
            for (uint32_t i = 0; i < tenant->device_count; i++) {
                if (tenant->devices[i] == device)
                    claimed[p->device_slots[i]] = true;
            }
        }
    }
    for (uint32_t slot = 1; slot < WEFT_LEDGER_SLOTS; slot++) {
        if (!claimed[slot] && weft_ledger_slot_taken(device->ledger, slot))
            weft_daemon_device_settle(device, slot);
    }
}

/* -- files that programs share */

static void take_shared(void *context, const char *name, int fd)
{
    if (strcmp(name, WEFT_SHARED_FILE_NAME) == 0)
        weft_daemon_share_recall(context, fd);
}

/* Before the slots of the dead are settled, so that what they paid is charged all the time. */
static void recall_shares(struct weft_daemon *daemon)
{
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
            each_memory(p->pid, take_shared, daemon);
    }
    weft_daemon_share_recall_end(daemon);
}

/* -- the folder of records */

/* The tenant's name, of a file's; false where it is no record. */
static bool record_name(const char *file, char name[WEFT_WIRE_TENANT_BYTES])
{
    size_t length = strlen(file), suffix = strlen(WEFT_RECORD_SUFFIX);
    if (length <= suffix || length - suffix >= WEFT_WIRE_TENANT_BYTES ||
        strcmp(file + length - suffix, WEFT_RECORD_SUFFIX) != 0)
        return false;
    memcpy(name, file, length - suffix);
    name[length - suffix] = '\0';
    return true;
}

static size_t open_records(struct weft_daemon *daemon, struct weft_record **records)
{
    char folder[WEFT_PLACES_PATH_BYTES], name[WEFT_WIRE_TENANT_BYTES];
    size_t count = 0;
    DIR *listing =
        weft_places_join(daemon->dir, WEFT_RECORD_FOLDER, folder, NULL) ? NULL : opendir(folder);
    const struct dirent *entry;
    for (int i = 0; listing && i < RECORD_FILES_MAX && (entry = readdir(listing)); i++) {
        struct weft_err err = {0};
        if (count == WEFT_DAEMON_TENANTS_MAX || !record_name(entry->d_name, name))
            continue;
        if (weft_daemon_record_open(daemon, name, &records[count], &err) == 0) {
            count++;
            continue;
        }
        weft_log(WEFT_LOG_INFO, "weftd", "%s", err.text);
        weft_daemon_record_remove(daemon, name);
    }
    if (listing)
        closedir(listing);
    return count;
}

void weft_daemon_recover(struct weft_daemon *daemon)
{
    _cleanup_free_ struct weft_record **records =
        calloc(WEFT_DAEMON_TENANTS_MAX, sizeof(struct weft_record *));
    size_t count = records ? open_records(daemon, records) : 0;
    for (size_t i = 0; i < count; i++)
        recover_devices(daemon, records[i]);
    for (size_t i = 0; i < count; i++) {
        struct weft_err err = {0};
        char name[WEFT_WIRE_TENANT_BYTES];
        memcpy(name, records[i]->name, sizeof(name));
        if (recover_tenant(daemon, records[i], &err))
            weft_log(WEFT_LOG_ERROR, "weftd", "tenant %s is lost: %s", name, err.text);
    }
    recall_shares(daemon);
    for (size_t i = 0; i < daemon->device_count; i++) {
        if (!daemon->devices[i]->page)
            continue;
        settle_device_slots(daemon, daemon->devices[i]);
        weft_daemon_time_drop_unclaimed(daemon, daemon->devices[i]);
        weft_daemon_room_drop_unclaimed(daemon, daemon->devices[i]);
    }
    struct weft_daemon_tenant *next;
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = next) {
        next = tenant->next;
        settle_tenant_slots(tenant);
        weft_log(WEFT_LOG_INFO, "weftd", "tenant %s goes on", tenant->name);
        weft_daemon_tenant_check(tenant);
    }
    weft_daemon_record_times(daemon);
    weft_daemon_ceiling_divide(daemon);
}

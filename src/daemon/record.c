/* What weftd must know of a tenant to serve it in its next life, in a file beside the sockets. It
 * is mapped: a change is a few stores, which the kernel keeps when weftd is killed between any two
 * of them. A boot takes all processes, so the file names the boot that it is of. */
#include "daemon/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/daemon.h"
#include "util/log.h"

#define RECORD_MAGIC 0x63657277u /* "wrec" */
#define RECORD_VERSION 3

static void read_boot(char boot[WEFT_RECORD_BOOT_BYTES])
{
    memset(boot, 0, WEFT_RECORD_BOOT_BYTES);
    _cleanup_fd_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        weft_read_all(fd, boot, WEFT_RECORD_BOOT_BYTES - 1, NULL);
}

static int map_record(int fd, struct weft_record **out, struct weft_err *err)
{
    void *mapped = mmap(NULL, sizeof(**out), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "a tenant's record: mmap: %s", strerror(errno));
    *out = mapped;
    return 0;
}

static int record_path(const struct weft_daemon *daemon, const char *name,
                       char path[WEFT_PLACES_PATH_BYTES], struct weft_err *err)
{
    char folder[WEFT_PLACES_PATH_BYTES], file[WEFT_WIRE_TENANT_BYTES + 16];
    snprintf(file, sizeof(file), "%s" WEFT_RECORD_SUFFIX, name);
    int rc = weft_places_join(daemon->dir, WEFT_RECORD_FOLDER, folder, err);
    return rc ? rc : weft_places_join(folder, file, path, err);
}

int weft_daemon_record_create(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    char path[WEFT_PLACES_PATH_BYTES];
    int rc = record_path(tenant->daemon, tenant->name, path, err);
    if (rc)
        return rc;
    _cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno));
    /* Room for all of it now: a full disk would end us at a store. */
    int number = posix_fallocate(fd, 0, sizeof(struct weft_record));
    if (number)
        return weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(number));
    rc = map_record(fd, &tenant->record, err);
    if (rc)
        return rc;
    struct weft_record *record = tenant->record;
    record->version = RECORD_VERSION;
    record->bytes = sizeof(*record);
    read_boot(record->boot);
    memcpy(record->name, tenant->name, sizeof(record->name));
    weft_daemon_record_tenant(tenant);
    __atomic_store_n(&record->magic, RECORD_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

static bool terms_are_good(const struct weft_record_terms *terms)
{
    return terms->origin <= WEFT_TENANT_OF_CONFIGURATION &&
           terms->run.uid_count <= WEFT_ACCESS_MAX && terms->run.gid_count <= WEFT_ACCESS_MAX &&
           terms->change.uid_count <= WEFT_ACCESS_MAX && terms->change.gid_count <= WEFT_ACCESS_MAX;
}

int weft_daemon_record_open(const struct weft_daemon *daemon, const char *name,
                            struct weft_record **out, struct weft_err *err)
{
    char path[WEFT_PLACES_PATH_BYTES], boot[WEFT_RECORD_BOOT_BYTES];
    int rc = record_path(daemon, name, path, err);
    if (rc)
        return rc;
    _cleanup_fd_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || lseek(fd, 0, SEEK_END) != (off_t)sizeof(**out))
        return weft_fail(err, WEFT_EVERSION, "%s is of another version of weft", path);
    rc = map_record(fd, out, err);
    if (rc)
        return rc;
    struct weft_record *record = *out;
    read_boot(boot);
    bool good = record->magic == RECORD_MAGIC && record->version == RECORD_VERSION &&
                record->bytes == sizeof(*record) && memcmp(record->boot, boot, sizeof(boot)) == 0 &&
                memchr(record->name, '\0', sizeof(record->name)) &&
                strcmp(record->name, name) == 0 && record->device_count <= WEFT_DEVICES_MAX &&
                record->current < 2 && terms_are_good(&record->terms[record->current]);
    if (good)
        return 0;
    weft_daemon_record_close(record);
    *out = NULL;
    return weft_fail(err, WEFT_EVERSION, "%s is of another boot or version", path);
}

void weft_daemon_record_close(struct weft_record *record)
{
    if (record)
        munmap(record, sizeof(*record));
}

void weft_daemon_record_remove(const struct weft_daemon *daemon, const char *name)
{
    char path[WEFT_PLACES_PATH_BYTES];
    if (record_path(daemon, name, path, NULL) == 0)
        unlink(path);
}

/* Nobody may have the device's page open when weftd dies. */
static void record_clocks(const struct weft_daemon_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        const struct weft_device_time *time = tenant->devices[i]->time;
        struct weft_record_device *out = &tenant->record->devices[i];
        if (!time)
            continue;
        out->used_ns = __atomic_load_n(&time->share.used_ns, __ATOMIC_RELAXED);
        out->idle_ns = __atomic_load_n(&time->share.idle_ns, __ATOMIC_RELAXED);
    }
}

void weft_daemon_record_tenant(struct weft_daemon_tenant *tenant)
{
    struct weft_record *record = tenant->record;
    if (!record)
        return;
    /* The other copy, then the word that says which one holds. */
    uint32_t next = !record->current;
    record->terms[next] = (struct weft_record_terms){.uid = tenant->uid,
                                                     .origin = (uint32_t)tenant->origin,
                                                     .limits = tenant->limits,
                                                     .configured = tenant->configured,
                                                     .run = tenant->run,
                                                     .change = tenant->change};
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        const struct weft_daemon_device *device = tenant->devices[i];
        struct weft_record_device *out = &record->devices[i];
        out->kind = (uint32_t)device->kind;
        out->index = device->index;
        out->time_line = tenant->time_lines[i];
        memcpy(out->uuid, device->uuid, sizeof(out->uuid));
        if (device->profile)
            snprintf(out->profile, sizeof(out->profile), "%s", device->profile->name);
    }
    record->device_count = tenant->device_count;
    record_clocks(tenant);
    __atomic_store_n(&record->current, next, __ATOMIC_RELEASE);
}

void weft_daemon_record_process(struct weft_daemon_process *process)
{
    struct weft_record *record = process->tenant->record;
    struct weft_record_process *entry = NULL;
    for (uint32_t i = 0; record && !process->record && i < WEFT_RECORD_PROCESSES; i++) {
        if (record->processes[i].pid)
            continue;
        process->record = &record->processes[i];
        memset(process->record->time_ns, 0, sizeof(process->record->time_ns));
    }
    entry = process->record;
    if (!entry) {
        weft_log(WEFT_LOG_WARN, "weftd", "tenant %s: pid %d would not outlive a restart of weftd",
                 process->tenant->name, (int)process->pid);
        return;
    }
    entry->start_ticks = process->start_ticks;
    entry->runner_pid = (uint32_t)process->runner_pid;
    entry->slot = process->slot;
    memcpy(entry->device_slots, process->device_slots, sizeof(entry->device_slots));
    __atomic_store_n(&entry->role, (uint32_t)process->role, __ATOMIC_RELEASE);
    __atomic_store_n(&entry->pid, (uint32_t)process->pid, __ATOMIC_RELEASE);
}

static void record_times(const struct weft_daemon_process *process)
{
    const struct weft_daemon_tenant *tenant = process->tenant;
    for (uint32_t i = 0; process->record && i < tenant->device_count; i++) {
        const struct weft_device_page *page = tenant->devices[i]->page;
        uint32_t slot = process->device_slots[i];
        if (page && slot)
            process->record->time_ns[i] =
                __atomic_load_n(&page->processes[slot].device_time_ns, __ATOMIC_RELAXED);
    }
}

void weft_daemon_record_times(struct weft_daemon *daemon)
{
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        if (tenant->record)
            record_clocks(tenant);
        for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
            record_times(p);
    }
}

void weft_daemon_record_forget(struct weft_daemon_process *process)
{
    if (!process->record)
        return;
    record_clocks(process->tenant);
    __atomic_store_n(&process->record->pid, 0, __ATOMIC_RELEASE);
    process->record = NULL;
}

/* Announced, then made: a death in between counts it once. */
void weft_daemon_record_time(struct weft_daemon_tenant *tenant, uint32_t index,
                             uint32_t *slot_recorded, uint64_t more_ns)
{
    struct weft_record *record = tenant->record;
    uint64_t total = tenant->ended_time_ns[index] + more_ns;
    tenant->ended_time_ns[index] = total;
    if (!record || !slot_recorded)
        return;
    record->time_next_ns = total;
    __atomic_store_n(&record->time_slot, index << 16 | *slot_recorded, __ATOMIC_RELEASE);
    __atomic_store_n(&record->ended_time_ns[index], total, __ATOMIC_RELEASE);
    __atomic_store_n(slot_recorded, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&record->time_slot, 0, __ATOMIC_RELEASE);
}

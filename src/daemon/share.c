/* Device memory in files that several processes have. Who pays for such a file says a lock on it,
 * and the processes see to that among themselves (softgpu/shared_file.h). Only when one dies there
 * would be some milliseconds in which nobody pays: weftd, which was told of the files that each
 * process has, holds the dead one's charge in its own slots meanwhile. */
#include "daemon/daemon.h"

#include <sys/stat.h>

#include "softgpu/shared_file.h"
#include "util/log.h"

#define SHARES_MAX 16384 /* of one process; what comes after is not held */
#define LOOK_MS 5

/* A file that a process has. */
struct weft_daemon_share {
    struct weft_daemon_share *next;
    uint32_t device; /* of the tenant */
    uint64_t file;   /* the program's name for it */
    int fd;          /* owned; an open file of its own, without locks */
};

/* What a dead process paid for a file that others have, until one of them pays or none is left. */
struct weft_daemon_orphan {
    struct weft_daemon_orphan *next;
    struct weft_daemon_tenant *tenant; /* NULL: has ended since */
    struct weft_daemon_device *device;
    uint32_t place;                      /* of the device in the tenant's ledger */
    uint64_t device_bytes, tenant_bytes; /* in our slots of the two ledgers */
    int fd;                              /* owned */
    ino_t inode;                         /* where a former life held it; else 0 */
};

/* Memory of ours, and nothing that another file system answers for: looking at it must not wait. */
static bool is_sound(int fd, uint64_t *bytes)
{
    struct stat found;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & WEFT_SHARED_FILE_SEALS) != WEFT_SHARED_FILE_SEALS ||
        fstat(fd, &found) || found.st_size <= WEFT_SHARED_FILE_HEADER_BYTES)
        return false;
    *bytes = (uint64_t)found.st_size - WEFT_SHARED_FILE_HEADER_BYTES;
    return true;
}

static void share_destroy(struct weft_daemon_share *share)
{
    close(share->fd);
    free(share);
}

static void share_end(struct weft_daemon_process *process, uint32_t device, uint64_t file)
{
    struct weft_daemon_share **link = &process->shares;
    while (*link && ((*link)->device != device || (*link)->file != file))
        link = &(*link)->next;
    struct weft_daemon_share *share = *link;
    if (!share)
        return;
    *link = share->next;
    process->share_count--;
    share_destroy(share);
}

int weft_daemon_share_note(struct weft_daemon_process *process, const struct weft_wire_share *told,
                           int *fd, struct weft_err *err)
{
    uint64_t bytes;
    if (told->device >= process->tenant->device_count)
        return weft_fail(err, WEFT_EINVAL, "a SHARE of device %u, which is not there",
                         told->device);
    if (*fd < 0) {
        share_end(process, told->device, told->file);
        return 0;
    }
    if (!is_sound(*fd, &bytes))
        return weft_fail(err, WEFT_EINVAL, "a SHARE of a file that is no device memory");
    struct weft_daemon_share *share =
        process->share_count < SHARES_MAX ? calloc(1, sizeof(*share)) : NULL;
    if (!share)
        return weft_fail(err, WEFT_ELIMIT, "process %d shares more than %d allocations",
                         (int)process->pid, SHARES_MAX);
    *share = (struct weft_daemon_share){.next = process->shares,
                                        .device = told->device,
                                        .file = told->file,
                                        .fd = weft_steal_fd(fd)};
    process->shares = share;
    process->share_count++;
    return 0;
}

static bool is_orphaned(int fd, uint64_t bytes)
{
    return weft_shared_file_is_free(fd, bytes, WEFT_SHARED_FILE_PAYER) &&
           !weft_shared_file_is_free(fd, bytes, WEFT_SHARED_FILE_HOLDER);
}

static bool read_header(int fd, uint64_t bytes, struct weft_shared_file_header *header)
{
    if (pread(fd, header, sizeof(*header), (off_t)bytes) != (ssize_t)sizeof(*header))
        return false;
    header->charged_bytes = WEFT_MIN(header->charged_bytes, bytes);
    return true;
}

static uint64_t charged_bytes(int fd, uint64_t bytes)
{
    struct weft_shared_file_header header;
    return read_header(fd, bytes, &header) ? header.charged_bytes : 0;
}

/* Charges us with what the process held, at most. */
static uint64_t take_over(struct weft_ledger_account *ours, uint32_t slot, uint32_t place,
                          uint64_t *kept, uint64_t bytes)
{
    uint64_t held = weft_ledger_slot_held(ours->ledger, slot, place);
    bytes = WEFT_MIN(bytes, held - WEFT_MIN(held, *kept));
    if (weft_ledger_charge(ours, place, bytes, UINT64_MAX))
        return 0;
    *kept += bytes;
    return bytes;
}

static void orphan_end(struct weft_daemon_orphan *orphan)
{
    weft_ledger_discharge(&orphan->device->account, 0, orphan->device_bytes);
    if (orphan->tenant)
        weft_ledger_discharge(&orphan->tenant->account, orphan->place, orphan->tenant_bytes);
    close(orphan->fd);
    free(orphan);
}

static void on_look(uv_timer_t *timer)
{
    struct weft_daemon *daemon = timer->data;
    for (struct weft_daemon_orphan **link = &daemon->orphans; *link;) {
        struct weft_daemon_orphan *orphan = *link;
        uint64_t bytes;
        if (is_sound(orphan->fd, &bytes) && is_orphaned(orphan->fd, bytes)) {
            link = &orphan->next;
            continue;
        }
        *link = orphan->next;
        orphan_end(orphan);
    }
    if (!daemon->orphans)
        uv_timer_stop(timer);
}

static void begin_to_look(struct weft_daemon *daemon)
{
    if (daemon->orphans && !uv_is_active((uv_handle_t *)&daemon->look_at_orphans))
        uv_timer_start(&daemon->look_at_orphans, on_look, LOOK_MS, LOOK_MS);
}

/* What has been taken over already of what a process held, by ledger. */
struct kept {
    uint64_t device_bytes[WEFT_DEVICES_MAX], tenant_bytes[WEFT_DEVICES_MAX];
};

static void keep_charge(struct weft_daemon_process *process, struct weft_daemon_share *share,
                        struct kept *kept)
{
    struct weft_daemon_tenant *tenant = process->tenant;
    struct weft_daemon_device *device = tenant->devices[share->device];
    struct weft_daemon_orphan *orphan;
    uint64_t bytes;
    if (!is_sound(share->fd, &bytes) || !is_orphaned(share->fd, bytes) ||
        !(orphan = calloc(1, sizeof(*orphan))))
        return;
    bytes = charged_bytes(share->fd, bytes);
    *orphan = (struct weft_daemon_orphan){.next = tenant->daemon->orphans,
                                          .tenant = tenant,
                                          .device = device,
                                          .place = share->device,
                                          .fd = fcntl(share->fd, F_DUPFD_CLOEXEC, 0)};
    if (orphan->fd < 0) {
        free(orphan);
        return;
    }
    orphan->device_bytes = take_over(&device->account, process->device_slots[share->device], 0,
                                     &kept->device_bytes[share->device], bytes);
    orphan->tenant_bytes = take_over(&tenant->account, process->slot, share->device,
                                     &kept->tenant_bytes[share->device], bytes);
    tenant->daemon->orphans = orphan;
}

void weft_daemon_share_settle(struct weft_daemon_process *process)
{
    struct weft_daemon *daemon = process->tenant->daemon;
    struct kept kept = {0};
    while (process->shares) {
        struct weft_daemon_share *share = process->shares;
        process->shares = share->next;
        if (!daemon->stopping)
            keep_charge(process, share, &kept);
        share_destroy(share);
    }
    process->share_count = 0;
    begin_to_look(daemon);
}

void weft_daemon_share_forget_tenant(struct weft_daemon_tenant *tenant)
{
    for (struct weft_daemon_orphan *orphan = tenant->daemon->orphans; orphan;
         orphan = orphan->next) {
        if (orphan->tenant == tenant)
            orphan->tenant = NULL;
    }
}

void weft_daemon_share_stop(struct weft_daemon *daemon)
{
    /* Charged they stay: the programs go on, and so does the next life of the daemon. */
    while (daemon->orphans) {
        struct weft_daemon_orphan *orphan = daemon->orphans;
        daemon->orphans = orphan->next;
        close(orphan->fd);
        free(orphan);
    }
}

/* -- what a former life held, or would have
 *
 * The files say it themselves: those that have no payer, and somebody who has them. Our slots are
 * to hold what these were charged, and no more. */

static uint64_t device_orphaned(const struct weft_daemon *daemon,
                                const struct weft_daemon_device *device)
{
    uint64_t bytes = 0;
    for (const struct weft_daemon_orphan *orphan = daemon->orphans; orphan; orphan = orphan->next) {
        if (orphan->device == device)
            bytes += orphan->device_bytes;
    }
    return bytes;
}

static uint64_t tenant_orphaned(const struct weft_daemon_tenant *tenant, uint32_t place)
{
    uint64_t bytes = 0;
    for (const struct weft_daemon_orphan *orphan = tenant->daemon->orphans; orphan;
         orphan = orphan->next) {
        if (orphan->tenant == tenant && orphan->place == place)
            bytes += orphan->tenant_bytes;
    }
    return bytes;
}

/* What those who live hold of the device. */
static uint64_t device_living(const struct weft_daemon *daemon,
                              const struct weft_daemon_device *device)
{
    uint64_t bytes = 0;
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next) {
            for (uint32_t i = 0; i < tenant->device_count; i++) {
                if (tenant->devices[i] == device && p->device_slots[i])
                    bytes += weft_ledger_slot_held(device->ledger, p->device_slots[i], 0);
            }
        }
    }
    return bytes;
}

static uint64_t tenant_living(const struct weft_daemon_tenant *tenant, uint32_t place)
{
    uint64_t bytes = 0;
    for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next) {
        if (p->slot)
            bytes += weft_ledger_slot_held(tenant->ledger, p->slot, place);
    }
    return bytes;
}

/* Sees to it that our slot holds `bytes` beside the `orphaned` of others. Who wrote the file could
 * have written anything there: never more than the dead, and we, hold. */
static uint64_t hold_on(struct weft_ledger_account *ours, uint32_t place, uint64_t bytes,
                        uint64_t orphaned, uint64_t living)
{
    uint64_t total = weft_ledger_total(ours->ledger, place), taken = orphaned + living;
    uint64_t held = weft_ledger_slot_held(ours->ledger, ours->slot, place);
    bytes = WEFT_MIN(bytes, total - WEFT_MIN(total, taken));
    if (orphaned + bytes > held &&
        weft_ledger_charge(ours, place, orphaned + bytes - held, UINT64_MAX))
        return 0;
    return bytes;
}

static bool is_known(const struct weft_daemon *daemon, ino_t inode)
{
    for (const struct weft_daemon_orphan *orphan = daemon->orphans; orphan; orphan = orphan->next) {
        if (orphan->inode == inode)
            return true;
    }
    return false;
}

/* Who paid last, if it is still there: the number of a tenant's ledger names it. */
static struct weft_daemon_tenant *payer_of(struct weft_daemon *daemon,
                                           const struct weft_shared_file_header *header,
                                           const struct weft_daemon_device *device, uint32_t *place)
{
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (uint32_t i = 0; i < tenant->device_count; i++) {
            if (tenant->devices[i] == device &&
                tenant->record->ledger_inode == header->payer_tenant) {
                *place = i;
                return tenant;
            }
        }
    }
    return NULL;
}

/* Has our slots hold what was charged for the file; false where nothing is to be held. */
static bool pay_for(struct weft_daemon *daemon, struct weft_daemon_orphan *orphan,
                    const struct weft_shared_file_header *header)
{
    struct weft_daemon_device *device = orphan->device;
    struct weft_daemon_tenant *tenant = payer_of(daemon, header, device, &orphan->place);
    orphan->tenant = tenant;
    orphan->device_bytes = hold_on(&device->account, 0, header->charged_bytes,
                                   device_orphaned(daemon, device), device_living(daemon, device));
    if (tenant)
        orphan->tenant_bytes =
            hold_on(&tenant->account, orphan->place, header->charged_bytes,
                    tenant_orphaned(tenant, orphan->place), tenant_living(tenant, orphan->place));
    return orphan->device_bytes || orphan->tenant_bytes;
}

void weft_daemon_share_recall(struct weft_daemon *daemon, int fd)
{
    struct weft_shared_file_header header;
    struct stat found;
    uint64_t bytes;
    if (!is_sound(fd, &bytes) || !is_orphaned(fd, bytes) || !read_header(fd, bytes, &header) ||
        fstat(fd, &found) || is_known(daemon, found.st_ino))
        return;
    struct weft_daemon_device *device = weft_daemon_device_by_uuid(daemon, header.uuid);
    struct weft_daemon_orphan *orphan =
        device && device->ledger ? calloc(1, sizeof(*orphan)) : NULL;
    int copy = orphan ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy < 0) {
        free(orphan);
        return;
    }
    *orphan = (struct weft_daemon_orphan){.device = device, .fd = copy, .inode = found.st_ino};
    if (!pay_for(daemon, orphan, &header)) {
        close(copy);
        free(orphan);
        return;
    }
    orphan->next = daemon->orphans;
    daemon->orphans = orphan;
}

/* Gives back what our slot holds for files that nobody has any more, or somebody pays for. */
static void keep_only(struct weft_ledger_account *ours, uint32_t place, uint64_t orphaned)
{
    uint64_t held = weft_ledger_slot_held(ours->ledger, ours->slot, place);
    weft_ledger_discharge(ours, place, held - WEFT_MIN(held, orphaned));
}

void weft_daemon_share_recall_end(struct weft_daemon *daemon)
{
    for (size_t i = 0; i < daemon->device_count; i++) {
        struct weft_daemon_device *device = daemon->devices[i];
        if (device->ledger)
            keep_only(&device->account, 0, device_orphaned(daemon, device));
    }
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (uint32_t i = 0; i < tenant->device_count; i++)
            keep_only(&tenant->account, i, tenant_orphaned(tenant, i));
    }
    begin_to_look(daemon);
}

#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util/log.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif
#define REAPS_MAX 1000000 /* more than there can be leases */
#define LOOK_DELAY_MS 20  /* most who hang up are dead by then, and need no look */

int weft_daemon_process_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int weft_daemon_process_pidfd(const struct weft_daemon_connection *connection, uint64_t start_ticks,
                              struct weft_err *err)
{
    pid_t pid = connection->peer.pid;
    int fd = -1;
    socklen_t size = sizeof(fd);
    if (pid <= 0)
        return weft_fail(err, WEFT_EPERM,
                         "the process is in a PID namespace that weftd cannot see into");
    if (getsockopt(connection->link.fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0)
        return fd;
    _cleanup_fd_ int opened = weft_daemon_process_open(pid);
    if (opened < 0)
        return weft_fail(err, WEFT_ECONN, "process %d: %s", (int)pid, strerror(errno));
    /* Older kernels: the number may have gone to another process since; its start time tells. */
    uint64_t found;
    int rc = weft_process_start_time(pid, &found, err);
    if (rc)
        return rc;
    if (start_ticks && found != start_ticks)
        return weft_fail(err, WEFT_EPERM, "process %d is not the one that connected", (int)pid);
    return weft_steal_fd(&opened);
}

int weft_daemon_process_create(struct weft_daemon_tenant *tenant, enum weft_daemon_role role,
                               pid_t pid, int pidfd, struct weft_daemon_process **out,
                               struct weft_err *err)
{
    struct weft_daemon_process *process = calloc(1, sizeof(*process));
    const struct weft_reconcile_figure unknown = WEFT_RECONCILE_FIGURE_INIT;
    struct epoll_event death = {.events = EPOLLIN, .data.ptr = process};
    if (!process || epoll_ctl(tenant->daemon->leases_fd, EPOLL_CTL_ADD, pidfd, &death)) {
        free(process);
        close(pidfd);
        return weft_fail(err, WEFT_ENOMEM, "process %d cannot be watched", (int)pid);
    }
    process->tenant = tenant;
    process->role = role;
    process->pid = pid;
    process->pidfd = pidfd;
    weft_process_start_time((int)pid, &process->start_ticks, NULL);
    for (size_t i = 0; i < WEFT_DEVICES_MAX; i++) {
        process->arena_fds[i] = -1;
        process->driver[i] = unknown;
    }
    process->next = tenant->processes;
    tenant->processes = process;
    weft_daemon_record_process(process);
    if (tenant->leaving || tenant->distrusted)
        weft_daemon_process_end(process);
    *out = process;
    return 0;
}

/* A slot in the ledger of a device and, on a soft one, memory of its own. */
static int grant_device(struct weft_daemon_process *process, uint32_t index, struct weft_err *err)
{
    struct weft_daemon_device *device = process->tenant->devices[index];
    uint32_t slot;
    int rc = weft_ledger_slot_take(device->ledger, &slot, err);
    if (rc)
        return weft_wrap(err, rc, "%s", device->name);
    process->device_slots[index] = slot;
    memset(&device->page->processes[slot], 0, sizeof(device->page->processes[slot]));
    device->page->processes[slot].tenant = process->tenant->time_lines[index];
    if (device->kind != WEFT_DEVICE_SOFT)
        return 0;
    char name[WEFT_DAEMON_MEMORY_NAME_BYTES];
    snprintf(name, sizeof(name), "weft-arena-%u-%u", index, process->slot);
    int fd = weft_daemon_memory_create(name, device->memory_bytes, NULL, err);
    if (fd < 0)
        return fd;
    process->arena_fds[index] = fd;
    return 0;
}

int weft_daemon_process_grant(struct weft_daemon_process *process, struct weft_err *err)
{
    struct weft_daemon_tenant *tenant = process->tenant;
    int rc = weft_ledger_slot_take(tenant->ledger, &process->slot, err);
    if (rc == 0)
        weft_daemon_room_begin(tenant, process->slot);
    for (uint32_t i = 0; rc == 0 && i < tenant->device_count; i++)
        rc = grant_device(process, i, err);
    weft_daemon_record_process(process);
    return rc;
}

/* An arena on its way out. */
struct arena_release {
    uv_work_t work;
    int fd; /* owned */
    uint64_t bytes;
};

/* A forked child may still map it: the pages go back all the same. */
static void punch(uv_work_t *work)
{
    struct arena_release *release = work->data;
    fallocate(release->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)release->bytes);
    close(release->fd);
}

static void on_punched(uv_work_t *work, int status)
{
    struct arena_release *release = work->data;
    (void)status;
    free(release);
}

/* Giving gigabytes of pages back takes its time, so a thread of the loop's pool does it. */
static void release_arena(struct weft_daemon *daemon, int *fd, uint64_t bytes)
{
    struct stat found;
    if (*fd < 0)
        return;
    bool touched = fstat(*fd, &found) || found.st_blocks;
    struct arena_release *release = touched ? calloc(1, sizeof(*release)) : NULL;
    if (release) {
        *release = (struct arena_release){.fd = *fd, .bytes = bytes};
        release->work.data = release;
        uv_queue_work(&daemon->loop, &release->work, punch, on_punched);
    } else {
        close(*fd);
    }
    *fd = -1;
}

void weft_daemon_device_settle(struct weft_daemon_device *device, uint32_t slot)
{
    __atomic_store_n(&device->page->processes[slot].in_flight, 0, __ATOMIC_RELAXED);
    weft_daemon_time_settle(device->time, slot);
    weft_device_page_free_sms(device->page, slot);
    weft_ledger_slot_settle(device->ledger, slot);
}

static void settle_device(struct weft_daemon_process *process, uint32_t index)
{
    struct weft_daemon_device *device = process->tenant->devices[index];
    uint32_t slot = process->device_slots[index];
    if (slot == WEFT_LEDGER_DAEMON_SLOT)
        return;
    weft_daemon_record_time(
        process->tenant, index, process->record ? &process->record->device_slots[index] : NULL,
        __atomic_load_n(&device->page->processes[slot].device_time_ns, __ATOMIC_RELAXED));
    weft_daemon_device_settle(device, slot);
    process->device_slots[index] = WEFT_LEDGER_DAEMON_SLOT;
    release_arena(process->tenant->daemon, &process->arena_fds[index], device->memory_bytes);
}

/* Takes back all that the process held. */
static void settle(struct weft_daemon_process *process)
{
    weft_daemon_share_settle(process);
    for (uint32_t i = 0; i < process->tenant->device_count; i++)
        settle_device(process, i);
    if (process->slot != WEFT_LEDGER_DAEMON_SLOT)
        weft_ledger_slot_settle(process->tenant->ledger, process->slot);
    weft_daemon_room_end(process->tenant, process->slot);
    process->slot = WEFT_LEDGER_DAEMON_SLOT;
}

static void set_silent(struct weft_daemon_process *process, bool silent)
{
    struct weft_daemon *daemon = process->tenant->daemon;
    if (process->silent == silent)
        return;
    process->silent = silent;
    daemon->silent_count += silent ? 1 : -1;
}

/* Takes back what a process held that closed its connection and then, or by that, executed another
 * program. */
static void look_at(struct weft_daemon_process *process)
{
    if (!process->silent || !weft_daemon_stray_has_left(process->pid))
        return;
    settle(process);
    process->role = WEFT_DAEMON_CHILD;
    weft_daemon_record_process(process);
    set_silent(process, false);
}

static void look_at_silent(struct weft_daemon *daemon)
{
    if (daemon->silent_count == 0)
        return;
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (struct weft_daemon_process *process = tenant->processes; process;
             process = process->next)
            look_at(process);
    }
}

void weft_daemon_process_forget(struct weft_daemon_tenant *tenant, pid_t pid)
{
    for (struct weft_daemon_process *process = tenant->processes; process;
         process = process->next) {
        if (process->pid != pid || process->role != WEFT_DAEMON_PROGRAM)
            continue;
        /* That the former program hung up may not have been read yet. */
        if (process->connection)
            weft_daemon_connection_drain(process->connection);
        look_at(process);
    }
}

static void on_look(uv_timer_t *timer)
{
    look_at_silent(timer->data);
}

uint64_t weft_daemon_process_held(const struct weft_daemon_tenant *tenant, pid_t pid,
                                  uint32_t index)
{
    uint64_t held = 0;
    for (const struct weft_daemon_process *process = tenant->processes; process;
         process = process->next) {
        if (process->role == WEFT_DAEMON_PROGRAM && process->pid == pid && process->slot)
            held += weft_ledger_slot_held(tenant->ledger, process->slot, index);
    }
    return held;
}

bool weft_daemon_process_is_shown_later(const struct weft_daemon_process *process)
{
    for (const struct weft_daemon_process *later = process->next; later; later = later->next) {
        if (later->role == WEFT_DAEMON_PROGRAM && later->pid == process->pid)
            return true;
    }
    return false;
}

void weft_daemon_process_hung_up(struct weft_daemon_process *process)
{
    struct weft_daemon *daemon = process->tenant->daemon;
    process->connection = NULL;
    if (process->role != WEFT_DAEMON_PROGRAM || daemon->stopping)
        return;
    set_silent(process, true);
    if (!uv_is_active((uv_handle_t *)&daemon->look))
        uv_timer_start(&daemon->look, on_look, LOOK_DELAY_MS, 0);
}

void weft_daemon_process_resume(struct weft_daemon_process *process,
                                struct weft_daemon_connection *connection)
{
    struct weft_daemon_connection *old = process->connection;
    process->connection = connection;
    connection->process = process;
    set_silent(process, false);
    if (old) {
        old->process = NULL;
        weft_daemon_connection_close(old);
    }
}

/* They may have arrived and not been read, or over a socket that has not said whose it is. */
static void hear_last_words(struct weft_daemon_process *process)
{
    if (process->tenant->daemon->stopping)
        return;
    if (!process->connection && process->silent)
        weft_daemon_connection_drain_strangers(process->tenant, process->pid);
    if (process->connection)
        weft_daemon_connection_drain(process->connection);
}

static void unlink_process(struct weft_daemon_process *process)
{
    struct weft_daemon_process **link = &process->tenant->processes;
    while (*link && *link != process)
        link = &(*link)->next;
    if (*link)
        *link = process->next;
}

void weft_daemon_process_destroy(struct weft_daemon_process *process)
{
    struct weft_daemon *daemon = process->tenant->daemon;
    /* Explicitly and first: a forked child of ours could still have the descriptor open, and what
     * follows may look at the leases again. */
    epoll_ctl(daemon->leases_fd, EPOLL_CTL_DEL, process->pidfd, NULL);
    hear_last_words(process);
    /* Programs outlive a daemon that is told to end, and keep what they hold. */
    if (!daemon->stopping) {
        weft_daemon_reconcile_forget(process);
        settle(process);
        weft_daemon_record_forget(process);
    } else {
        weft_daemon_share_settle(process);
    }
    set_silent(process, false);
    for (uint32_t i = 0; i < process->tenant->device_count; i++) {
        if (process->arena_fds[i] >= 0)
            close(process->arena_fds[i]);
    }
    unlink_process(process);
    if (process->connection) {
        process->connection->process = NULL;
        weft_daemon_connection_close(process->connection);
    }
    close(process->pidfd);
    free(process->held);
    free(process);
}

static void reap(struct weft_daemon *daemon)
{
    struct epoll_event death;
    /* One at a time: what follows from a death may take other leases with it. */
    for (int i = 0; i < REAPS_MAX && epoll_wait(daemon->leases_fd, &death, 1, 0) == 1; i++) {
        struct weft_daemon_process *process = death.data.ptr;
        struct weft_daemon_tenant *tenant = process->tenant;
        weft_daemon_process_destroy(process);
        weft_daemon_tenant_check(tenant);
    }
}

void weft_daemon_process_catch_up(struct weft_daemon *daemon)
{
    if (daemon->drains)
        return;
    reap(daemon);
    look_at_silent(daemon);
}

static void on_death(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    reap(poll->data);
}

int weft_daemon_process_watch(struct weft_daemon *daemon, struct weft_err *err)
{
    daemon->leases_fd = epoll_create1(EPOLL_CLOEXEC);
    if (daemon->leases_fd < 0 || uv_poll_init(&daemon->loop, &daemon->leases, daemon->leases_fd))
        return weft_fail(err, WEFT_EIO, "epoll: %s", strerror(errno));
    daemon->leases.data = daemon;
    uv_poll_start(&daemon->leases, UV_READABLE, on_death);
    return 0;
}

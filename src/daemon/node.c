#include "daemon/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "util/log.h"

#define STALE_FILES_MAX 100000

/* For people, and for who must end a daemon that it did not start. */
static int write_pid(int fd, const char *path, struct weft_err *err)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)length, 0) != length)
        return weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno));
    return 0;
}

static int lock_folder(struct weft_daemon *daemon, struct weft_err *err)
{
    char path[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_join(daemon->dir, "weftd.lock", path, err);
    if (rc)
        return rc;
    daemon->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (daemon->lock_fd < 0)
        return weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno));
    if (flock(daemon->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return write_pid(daemon->lock_fd, path, err);
    if (errno == EWOULDBLOCK)
        return weft_fail(err, WEFT_EBUSY, "another weftd serves %s; its pid is in %s", daemon->dir,
                         path);
    return weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno));
}

/* Tenants' sockets of a daemon that was killed: with the lock in hand, nobody listens there. */
static int prepare_tenants_folder(struct weft_daemon *daemon, struct weft_err *err)
{
    char folder[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_join(daemon->dir, "tenants", folder, err);
    if (rc)
        return rc;
    if (mkdir(folder, 0755) && errno != EEXIST)
        return weft_fail(err, WEFT_EIO, "%s: %s", folder, strerror(errno));
    DIR *listing = opendir(folder);
    if (!listing)
        return weft_fail(err, WEFT_EIO, "%s: %s", folder, strerror(errno));
    const struct dirent *entry;
    for (int i = 0; i < STALE_FILES_MAX && (entry = readdir(listing)); i++) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".sock") == 0)
            unlinkat(dirfd(listing), entry->d_name, 0);
    }
    closedir(listing);
    return 0;
}

static int make_state_folder(struct weft_daemon *daemon, struct weft_err *err)
{
    char folder[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_join(daemon->dir, WEFT_RECORD_FOLDER, folder, err);
    if (rc == 0 && mkdir(folder, 0700) && errno != EEXIST)
        rc = weft_fail(err, WEFT_EIO, "%s: %s", folder, strerror(errno));
    return rc;
}

/* The lock's file stays: who removes it while another opens it lets two daemons hold "the" lock. */
static void remove_files(struct weft_daemon *daemon)
{
    char path[WEFT_PLACES_PATH_BYTES];
    if (weft_places_join(daemon->dir, "tenants", path, NULL) == 0)
        rmdir(path);
    /* Not empty where programs go on: it is the next daemon's then. */
    if (weft_places_join(daemon->dir, WEFT_RECORD_FOLDER, path, NULL) == 0)
        rmdir(path);
}

static int listen_control(struct weft_daemon *daemon, struct weft_err *err)
{
    char path[WEFT_PLACES_PATH_BYTES];
    struct stat found;
    int rc = weft_places_join(daemon->dir, WEFT_PLACES_CONTROL_NAME, path, err);
    if (rc)
        return rc;
    /* A folder that others may enter is a node's: every user may ask, and weftd looks at who does.
     */
    bool shared = stat(daemon->dir, &found) == 0 && (found.st_mode & 0011);
    return weft_daemon_listener_create(daemon, NULL, path, shared ? 0666 : 0600, (uid_t)-1,
                                       &daemon->control, err);
}

static int adopt_control(struct weft_daemon *daemon, int fd, struct weft_err *err)
{
    char path[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_join(daemon->dir, WEFT_PLACES_CONTROL_NAME, path, err);
    return rc ? rc : weft_daemon_listener_adopt(daemon, fd, path, &daemon->control, err);
}

/* What has arrived is audited and handed on: programs say nothing twice. */
static void drain_all(struct weft_daemon *daemon)
{
    struct weft_daemon_connection *next;
    for (struct weft_daemon_connection *c = daemon->connections; c; c = next) {
        next = c->next;
        if (c->process && c->process->role == WEFT_DAEMON_PROGRAM)
            weft_daemon_connection_drain(c);
    }
}

static void stop(struct weft_daemon *daemon)
{
    if (daemon->stopping)
        return;
    drain_all(daemon);
    weft_daemon_record_times(daemon);
    daemon->stopping = true;
    weft_daemon_listener_destroy(daemon->control);
    daemon->control = NULL;
    while (daemon->tenants)
        weft_daemon_tenant_destroy(daemon->tenants);
    while (daemon->connections)
        weft_daemon_connection_close(daemon->connections);
    weft_daemon_share_stop(daemon);
    uv_poll_stop(&daemon->leases);
    close(daemon->leases_fd);
    uv_close((uv_handle_t *)&daemon->leases, NULL);
    uv_close((uv_handle_t *)&daemon->idle, NULL);
    uv_close((uv_handle_t *)&daemon->look, NULL);
    uv_close((uv_handle_t *)&daemon->look_at_orphans, NULL);
    uv_close((uv_handle_t *)&daemon->look_at_ledgers, NULL);
    uv_close((uv_handle_t *)&daemon->look_at_pressure, NULL);
    uv_close((uv_handle_t *)&daemon->look_at_cards, NULL);
    uv_close((uv_handle_t *)&daemon->on_term, NULL);
    uv_close((uv_handle_t *)&daemon->on_int, NULL);
    uv_close((uv_handle_t *)&daemon->on_hup, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    weft_log(WEFT_LOG_INFO, "weftd", "ends on signal %d", number);
    stop(handle->data);
}

static void on_hang_up(uv_signal_t *handle, int number)
{
    (void)number;
    weft_daemon_reload(handle->data);
}

static void on_idle(uv_timer_t *timer)
{
    weft_log(WEFT_LOG_INFO, "weftd", "nobody needs it any more");
    stop(timer->data);
}

void weft_daemon_idle_check(struct weft_daemon *daemon)
{
    bool idle = !daemon->connections;
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next)
        idle &= tenant->origin == WEFT_TENANT_OF_CONFIGURATION && !tenant->processes;
    if (daemon->stopping || !daemon->idle_exit_ms)
        return;
    if (!idle)
        uv_timer_stop(&daemon->idle);
    else
        uv_timer_start(&daemon->idle, on_idle, daemon->idle_exit_ms, 0);
}

static int init_loop(struct weft_daemon *daemon, struct weft_err *err)
{
    int rc = uv_loop_init(&daemon->loop);
    if (rc)
        return weft_fail(err, WEFT_EIO, "event loop: %s", uv_strerror(rc));
    uv_timer_init(&daemon->loop, &daemon->idle);
    uv_timer_init(&daemon->loop, &daemon->look);
    uv_timer_init(&daemon->loop, &daemon->look_at_orphans);
    uv_timer_init(&daemon->loop, &daemon->look_at_ledgers);
    uv_timer_init(&daemon->loop, &daemon->look_at_pressure);
    uv_timer_init(&daemon->loop, &daemon->look_at_cards);
    daemon->look_at_cards.data = daemon;
    daemon->look_at_ledgers.data = daemon;
    weft_daemon_distrust_begin(daemon);
    uv_signal_init(&daemon->loop, &daemon->on_term);
    uv_signal_init(&daemon->loop, &daemon->on_int);
    uv_signal_init(&daemon->loop, &daemon->on_hup);
    daemon->look_at_orphans.data = daemon->look_at_pressure.data = daemon;
    daemon->idle.data = daemon->look.data = daemon->on_term.data = daemon->on_int.data = daemon;
    daemon->on_hup.data = daemon;
    uv_signal_start(&daemon->on_hup, on_hang_up, SIGHUP);
    uv_signal_start(&daemon->on_term, on_signal, SIGTERM);
    uv_signal_start(&daemon->on_int, on_signal, SIGINT);
    return weft_daemon_process_watch(daemon, err);
}

/* A process that holds the devices takes about four descriptors here, so those who have not said
 * who they are get a quarter of them at most. */
static void raise_descriptor_limit(struct weft_daemon *daemon)
{
    struct rlimit limit;
    daemon->strangers_max = WEFT_DAEMON_STRANGERS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) || getrlimit(RLIMIT_NOFILE, &limit))
        return;
    daemon->strangers_max = WEFT_MIN(daemon->strangers_max, (size_t)limit.rlim_cur / 4);
}

/* Every program that starts waits for our answer, and among many that start at once we would wait
 * for a core much longer than we need one. So the lowest real-time priority, where that is allowed:
 * for root. Threads of ours stay ordinary. */
static void go_before_programs(void)
{
    struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest))
        weft_log(WEFT_LOG_DEBUG, "weftd", "runs at ordinary priority: %s", strerror(errno));
}

int weft_daemon_init(struct weft_daemon *daemon, const struct weft_daemon_start *start,
                     struct weft_err *err)
{
    const char *dir = start->dir;
    *daemon = (struct weft_daemon){.lock_fd = -1,
                                   .reserve_fd = -1,
                                   .idle_exit_ms = start->idle_exit_ms,
                                   .watchdog_us = start->watchdog_us,
                                   .slice_mode = start->slice_mode,
                                   .config_path = start->config_path};
    if (strlen(dir) >= sizeof(daemon->dir))
        return weft_fail(err, WEFT_ERANGE, "--socket: the path is too long");
    snprintf(daemon->dir, sizeof(daemon->dir), "%s", dir);
    raise_descriptor_limit(daemon);
    go_before_programs();
    daemon->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int rc = lock_folder(daemon, err);
    if (rc == 0)
        rc = prepare_tenants_folder(daemon, err);
    if (rc == 0)
        rc = make_state_folder(daemon, err);
    if (rc)
        return rc;
    weft_daemon_native_discover(daemon);
    rc = init_loop(daemon, err);
    if (rc)
        return rc;
    weft_daemon_recover(daemon);
    rc = weft_daemon_configure(daemon, start->config, err);
    if (rc == 0)
        rc = start->control_fd < 0 ? listen_control(daemon, err)
                                   : adopt_control(daemon, start->control_fd, err);
    if (rc) {
        stop(daemon);
        weft_daemon_run(daemon);
        return rc;
    }
    weft_daemon_idle_check(daemon);
    return 0;
}

void weft_daemon_run(struct weft_daemon *daemon)
{
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    uv_loop_close(&daemon->loop);
    remove_files(daemon);
}

void weft_daemon_finish(struct weft_daemon *daemon)
{
    for (size_t i = 0; i < daemon->device_count; i++)
        weft_daemon_device_destroy(daemon->devices[i]);
    daemon->device_count = 0;
    weft_daemon_native_finish(daemon);
    free(daemon->rules);
    daemon->rules = NULL;
    if (daemon->reserve_fd >= 0)
        close(daemon->reserve_fd);
    if (daemon->lock_fd >= 0)
        close(daemon->lock_fd);
    daemon->reserve_fd = daemon->lock_fd = -1;
}

int weft_daemon_config_try(const struct weft_config *config, struct weft_err *err)
{
    static struct weft_daemon daemon = {.lock_fd = -1, .reserve_fd = -1};
    weft_daemon_native_discover(&daemon);
    int rc = weft_daemon_config_check(&daemon, config, err);
    weft_daemon_finish(&daemon);
    return rc;
}

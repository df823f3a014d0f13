#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

#define IDLE_EXIT_S "5"
#define START_TIMEOUT_MS 20000 /* the vendor's library may take its time to look at the cards */
#define START_TRIES 2000       /* looks for the daemon that another command is just starting */
#define START_PAUSE_MS 10
#define QUERY_TRIES 5 /* a daemon that is just leaving hangs up on us */
#define DESCRIPTORS_MAX (1 << 20)

int weft_cli_binary_dir(char dir[WEFT_PLACES_PATH_BYTES], struct weft_err *err)
{
    char path[WEFT_PLACES_PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (length <= 0)
        return weft_fail(err, WEFT_EIO, "/proc/self/exe: %s", strerror(errno));
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return weft_fail(err, WEFT_EIO, "/proc/self/exe: \"%s\" is no path", path);
    *slash = '\0';
    memcpy(dir, path, strlen(path) + 1);
    return 0;
}

/* True where the code says that nobody serves there, so that the next place may be tried. */
static bool is_nobody(int code)
{
    return code == -WEFT_ENOENT || code == -WEFT_ECONN;
}

static int connect_private(struct weft_link *link, struct weft_err *err)
{
    char dir[WEFT_PLACES_PATH_BYTES], path[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_private_dir(false, dir, err);
    if (rc == 0)
        rc = weft_places_join(dir, WEFT_PLACES_CONTROL_NAME, path, err);
    return rc ? rc : weft_unix_connect(path, link, err);
}

/* Where a socket is named, it is that or nothing. *named tells. */
static int connect_any(struct weft_link *link, bool *named, struct weft_err *err)
{
    const char *path;
    *named = weft_places_tenant_socket(&path, err) == 0;
    if (*named)
        return weft_unix_connect(path, link, err);
    int rc = weft_unix_connect(WEFT_PLACES_NODE_DIR "/" WEFT_PLACES_CONTROL_NAME, link, err);
    if (!is_nobody(rc))
        return rc;
    rc = connect_private(link, err);
    if (is_nobody(rc))
        return weft_fail(err, WEFT_ENOENT, "no weftd runs");
    return rc;
}

int weft_cli_connect(struct weft_link *link, struct weft_err *err)
{
    bool named;
    return connect_any(link, &named, err);
}

static int open_start_lock(const char *dir, struct weft_err *err)
{
    char path[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_join(dir, "start.lock", path, err);
    if (rc)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno));
}

/* What we were started with is none of the daemon's business: an inherited lock would stay locked,
 * a pipe open. */
static void close_inherited(int keep)
{
    DIR *listing = opendir("/proc/self/fd");
    const struct dirent *entry;
    if (!listing)
        return;
    for (int i = 0; i < DESCRIPTORS_MAX && (entry = readdir(listing)); i++) {
        int fd = atoi(entry->d_name);
        if (fd > STDERR_FILENO && fd != keep && fd != dirfd(listing))
            close(fd);
    }
    closedir(listing);
}

/* In the child: becomes a daemon of its own session, with its own log, and never with our libraries
 * inside. */
static void become_daemon(const char *program, const char *dir, int ready_fd)
{
    char log[WEFT_PLACES_PATH_BYTES], number[16];
    if (weft_places_join(dir, "weftd.log", log, NULL))
        _exit(1);
    setsid();
    int null = open("/dev/null", O_RDWR);
    int output = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (null < 0 || output < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || fcntl(ready_fd, F_SETFD, 0))
        _exit(1);
    close_inherited(ready_fd);
    if (chdir("/"))
        _exit(1);
    unsetenv("LD_PRELOAD");
    snprintf(number, sizeof(number), "%d", ready_fd);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl(program, "weftd", "--socket", dir, "--idle-exit", IDLE_EXIT_S, "--ready-fd", number,
          (char *)NULL);
    _exit(1);
}

/* Waits for the byte that says that it listens. */
static int wait_ready(int fd, const char *dir, struct weft_err *err)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready;
    char byte;
    do
        ready = poll(&wait, 1, START_TIMEOUT_MS);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return weft_fail(err, WEFT_ETIMEDOUT, "weftd does not start; its log is %s/weftd.log", dir);
    if (ready < 0 || read(fd, &byte, 1) != 1)
        return weft_fail(err, WEFT_EIO, "weftd could not start; its log is %s/weftd.log", dir);
    return 0;
}

static int start_daemon(const char *binary_dir, const char *dir, struct weft_err *err)
{
    char program[WEFT_PLACES_PATH_BYTES];
    int ends[2];
    int rc = weft_places_join(binary_dir, "weftd", program, err);
    if (rc)
        return rc;
    if (access(program, X_OK))
        return weft_fail(err, WEFT_ENOENT, "%s: %s; the installation is not complete", program,
                         strerror(errno));
    if (pipe2(ends, O_CLOEXEC))
        return weft_fail(err, WEFT_EIO, "pipe: %s", strerror(errno));
    _cleanup_fd_ int ready = ends[0];
    pid_t pid = fork();
    if (pid == 0) {
        /* Twice, so that the daemon is nobody's child who would have to be waited for. */
        pid = fork();
        if (pid == 0)
            become_daemon(program, dir, ends[1]);
        _exit(pid < 0);
    }
    close(ends[1]);
    if (pid < 0)
        return weft_fail(err, WEFT_EIO, "fork: %s", strerror(errno));
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return wait_ready(ready, dir, err);
}

/* Of all commands that find no daemon at the same time, one gets the lock and starts it; the others
 * look until it is there. */
static int start_or_wait(const char *binary_dir, const char *dir, struct weft_link *link,
                         struct weft_err *err)
{
    _cleanup_fd_ int lock = open_start_lock(dir, err);
    if (lock < 0)
        return lock;
    for (int i = 0; i < START_TRIES; i++) {
        bool locked = flock(lock, LOCK_EX | LOCK_NB) == 0;
        int rc = connect_private(link, err);
        if (!is_nobody(rc))
            return rc;
        if (locked) {
            rc = start_daemon(binary_dir, dir, err);
            return rc ? rc : connect_private(link, err);
        }
        poll(NULL, 0, START_PAUSE_MS);
    }
    return weft_fail(err, WEFT_ETIMEDOUT,
                     "%s/start.lock: another command holds it and starts no weftd", dir);
}

int weft_cli_connect_or_start(const char *binary_dir, struct weft_link *link, struct weft_err *err)
{
    char dir[WEFT_PLACES_PATH_BYTES];
    bool named;
    int rc = connect_any(link, &named, err);
    if (rc != -WEFT_ENOENT || named)
        return rc;
    rc = weft_places_private_dir(true, dir, err);
    return rc ? rc : start_or_wait(binary_dir, dir, link, err);
}

int weft_cli_exchange(struct weft_link *link, struct weft_packet *packet, enum weft_wire_type type,
                      enum weft_wire_type answer, struct weft_inbox *inbox, struct weft_err *err)
{
    weft_inbox_init(inbox, 0);
    int rc = weft_packet_seal(packet, type, 0, err);
    if (rc == 0)
        rc = weft_link_send(link, packet, NULL, 0, WEFT_TRANSPORT_TIMEOUT_MS, err);
    return rc ? rc : weft_link_expect(link, inbox, answer, WEFT_TRANSPORT_TIMEOUT_MS, err);
}

static int exchange_query(struct weft_link *link, enum weft_wire_query_kind kind, json_t **answer,
                          struct weft_err *err)
{
    struct weft_wire_query query = {.kind = (uint8_t)kind};
    struct weft_packet packet;
    struct weft_inbox inbox;
    json_error_t where;
    weft_packet_init(&packet);
    weft_wire_query_encode(&query, &packet.body);
    int rc = weft_cli_exchange(link, &packet, WEFT_WIRE_QUERY, WEFT_WIRE_ANSWER, &inbox, err);
    if (rc == 0) {
        *answer = json_loadb((const char *)inbox.payload, inbox.header.length, 0, &where);
        if (!*answer)
            rc = weft_fail(err, WEFT_EPROTO, "weftd's answer is not JSON: %s", where.text);
    }
    weft_inbox_finish(&inbox);
    return rc;
}

int weft_cli_query(enum weft_wire_query_kind kind, json_t **answer, struct weft_err *err)
{
    int rc = -WEFT_ECONN;
    *answer = NULL;
    for (int i = 0; i < QUERY_TRIES && rc == -WEFT_ECONN; i++) {
        struct weft_link link;
        bool named;
        rc = connect_any(&link, &named, err);
        if (rc)
            return rc == -WEFT_ENOENT && !named ? 0 : rc;
        rc = exchange_query(&link, kind, answer, err);
        weft_link_close(&link);
    }
    return rc ? weft_wrap(err, rc, "weftd") : 0;
}

/* Processes of a tenant that weftd was never told of, or that are no longer what they were. /proc
 * is read here, off every fast path. */
#include "daemon/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/log.h"

#define PROCESSES_MAX 4194304 /* the kernel's largest pid_max */
#define ENVIRON_BYTES (256u << 10)
#define MAPS_LINES_MAX 1000000
#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD, in field 9 of /proc/PID/stat */
#define LOOKS_MAX 20
#define LOOK_PAUSE_MS 1

enum found { NO, YES, LOOK_AGAIN };

/* A process has no environment while it is in the middle of an exec; kernel threads and zombies
 * never have one. */
static enum found look_again(int proc, const char *pid)
{
    char path[300], text[1024], state;
    unsigned flags;
    snprintf(path, sizeof(path), "%s/stat", pid);
    _cleanup_fd_ int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    int64_t size = fd < 0 ? -1 : weft_read_all(fd, text, sizeof(text) - 1, NULL);
    if (size <= 0)
        return NO;
    text[size] = '\0';
    const char *after_name = strrchr(text, ')');
    if (!after_name || sscanf(after_name + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
        return NO;
    return state == 'Z' || state == 'X' || (flags & KERNEL_THREAD) ? NO : LOOK_AGAIN;
}

/* Whether NAME=VALUE stands in a process' environment as it was at its exec. */
static enum found has_variable(int proc, const char *pid, const char *variable, char *buffer)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/environ", pid);
    _cleanup_fd_ int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    int64_t size = fd < 0 ? -1 : weft_read_all(fd, buffer, ENVIRON_BYTES - 1, NULL);
    if (size == 0)
        return look_again(proc, pid);
    if (size < 0)
        return NO;
    buffer[size] = '\0';
    for (const char *entry = buffer; entry < buffer + size; entry += strlen(entry) + 1) {
        if (strcmp(entry, variable) == 0)
            return YES;
    }
    return NO;
}

static void adopt(struct weft_daemon_tenant *tenant, pid_t pid)
{
    struct weft_daemon_process *process;
    int pidfd = weft_daemon_process_open(pid);
    if (pidfd < 0)
        return;
    if (weft_daemon_process_create(tenant, WEFT_DAEMON_CHILD, pid, pidfd, &process, NULL) == 0)
        weft_log(WEFT_LOG_DEBUG, "weftd", "tenant %s lives on in pid %d", tenant->name, (int)pid);
}

void weft_daemon_stray_adopt(struct weft_daemon_tenant *tenant)
{
    char variable[WEFT_WIRE_PATH_BYTES + 16];
    _cleanup_free_ char *buffer = malloc(ENVIRON_BYTES);
    DIR *proc = buffer ? opendir("/proc") : NULL;
    if (!proc)
        return;
    snprintf(variable, sizeof(variable), "WEFT_SOCKET=%s", tenant->listener->path);
    const struct dirent *entry;
    for (int i = 0; i < PROCESSES_MAX && (entry = readdir(proc)); i++) {
        struct stat found;
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || fstatat(dirfd(proc), entry->d_name, &found, 0) ||
            found.st_uid != tenant->uid)
            continue;
        enum found found_there = has_variable(dirfd(proc), entry->d_name, variable, buffer);
        for (int look = 0; found_there == LOOK_AGAIN && look < LOOKS_MAX; look++) {
            poll(NULL, 0, LOOK_PAUSE_MS);
            found_there = has_variable(dirfd(proc), entry->d_name, variable, buffer);
        }
        if (found_there == YES)
            adopt(tenant, (pid_t)pid);
    }
    closedir(proc);
}

bool weft_daemon_stray_has_left(pid_t pid)
{
    char path[32], line[1024];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return false; /* not ours to read, or gone: its pidfd tells */
    for (int i = 0; i < MAPS_LINES_MAX && !found && fgets(line, sizeof(line), maps); i++)
        found = strstr(line, "/memfd:weft-");
    bool complete = found || (feof(maps) && !ferror(maps));
    fclose(maps);
    return complete && !found;
}

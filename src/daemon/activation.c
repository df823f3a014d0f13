/* What a service manager hands over: the control socket that it listens at already, and where to
 * say that we are ready. The protocol is the environment's; no library is needed for it. */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/log.h"

#define FIRST_FD 3 /* of those that are handed over */

static bool is_listening_unix(int fd)
{
    int listening = 0, domain = 0;
    socklen_t size = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) || !listening)
        return false;
    size = sizeof(domain);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

int weft_daemon_activation_take(char path[WEFT_WIRE_PATH_BYTES], int *fd, struct weft_err *err)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    struct sockaddr_un address = {0};
    socklen_t size = sizeof(address);
    bool ours = pid && count && strtol(pid, NULL, 10) == (long)getpid();
    long fds = ours ? strtol(count, NULL, 10) : 0;
    unsetenv("LISTEN_PID"); /* what we start must not take them for its own */
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    *fd = -1;
    if (fds == 0)
        return 0;
    if (fds != 1 || !is_listening_unix(FIRST_FD) ||
        getsockname(FIRST_FD, (struct sockaddr *)&address, &size) || address.sun_path[0] != '/')
        return weft_fail(err, WEFT_EINVAL,
                         "the service manager hands over %ld sockets; one listening unix socket "
                         "with a path is understood",
                         fds);
    snprintf(path, WEFT_WIRE_PATH_BYTES, "%.*s", (int)sizeof(address.sun_path), address.sun_path);
    if (fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) || fcntl(FIRST_FD, F_SETFL, O_NONBLOCK))
        return weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno));
    *fd = FIRST_FD;
    return 0;
}

void weft_daemon_activation_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static const char ready[] = "READY=1";
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (*path == '@')
        address.sun_path[0] = '\0'; /* an abstract name */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        sendto(fd, ready, strlen(ready), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
        weft_log(WEFT_LOG_WARN, "weftd", "NOTIFY_SOCKET %s: %s", path, strerror(errno));
    unsetenv("NOTIFY_SOCKET");
}

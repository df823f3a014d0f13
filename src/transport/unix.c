#include "transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#define BACKLOG 4096
#define PEER_GROUPS_MAX 1024 /* of one user; who is in more is in none */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59 /* Linux 4.13 */
#endif

static int64_t unix_send(struct weft_link *link, const void *bytes, size_t size, const int *fds,
                         size_t fd_count, struct weft_err *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * WEFT_WIRE_FDS_MAX)];
    } control;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > WEFT_WIRE_FDS_MAX)
        return weft_fail(err, WEFT_EBUG, "%zu descriptors in one message", fd_count);
    if (fd_count) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
    }
    ssize_t sent;
    do
        sent = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 0;
    return weft_fail(err, WEFT_ECONN, "the other side of the socket is gone: %s", strerror(errno));
}

/* Takes over the descriptors of one received message; those over fd_room are closed and refused. */
static int take_descriptors(struct msghdr *message, int *fds, size_t *fd_count, size_t fd_room,
                            struct weft_err *err)
{
    bool cut = message->msg_flags & MSG_CTRUNC, refused = cut && fd_room == 0;
    size_t before = *fd_count;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (*fd_count < fd_room) {
                fds[(*fd_count)++] = fd;
            } else {
                close(fd);
                refused = true;
            }
        }
    }
    refused |= cut && *fd_count - before >= WEFT_WIRE_FDS_MAX;
    if (refused)
        return weft_fail(err, WEFT_EPROTO, "a message brings more descriptors than it may");
    if (cut)
        return weft_fail(err, WEFT_EIO,
                         "this process may open no more descriptors; raise `ulimit -n`");
    return 0;
}

static int64_t unix_receive(struct weft_link *link, void *bytes, size_t size, int *fds,
                            size_t *fd_count, size_t fd_room, struct weft_err *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * WEFT_WIRE_FDS_MAX)];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_room) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    ssize_t got;
    do
        got = recvmsg(link->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (got < 0)
        return weft_fail(err, WEFT_ECONN, "the other side of the socket is gone: %s",
                         strerror(errno));
    int rc = take_descriptors(&message, fds, fd_count, fd_room, err);
    if (rc)
        return rc;
    if (got == 0)
        return weft_fail(err, WEFT_ECONN, "the other side closed the socket");
    return got;
}

static const struct weft_link_ops unix_ops = {
    .name = "unix", .send = unix_send, .receive = unix_receive};

void weft_link_close(struct weft_link *link)
{
    if (link->ops && link->fd >= 0)
        close(link->fd);
    *link = (struct weft_link){.fd = -1};
}

int weft_unix_path_check(const char *path, struct weft_err *err)
{
    size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (strlen(path) > longest)
        return weft_fail(err, WEFT_ERANGE,
                         "socket %s: the path has %zu characters, a socket can have %zu; use a "
                         "shorter folder or name",
                         path, strlen(path), longest);
    return 0;
}

static int make_address(const char *path, struct sockaddr_un *address, struct weft_err *err)
{
    int rc = weft_unix_path_check(path, err);
    if (rc)
        return rc;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, strlen(path));
    return 0;
}

static int connect_failed(const char *path, int number, struct weft_err *err)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return weft_fail(err, WEFT_ENOENT, "socket %s: nothing is there", path);
    case ECONNREFUSED:
        return weft_fail(err, WEFT_ECONN, "socket %s: no daemon listens there", path);
    case EACCES:
    case EPERM:
        return weft_fail(err, WEFT_EPERM, "socket %s: not allowed for this user", path);
    case EAGAIN:
        return weft_fail(err, WEFT_ETIMEDOUT, "socket %s: nobody took the connection within %d s",
                         path, WEFT_TRANSPORT_TIMEOUT_MS / 1000);
    default:
        return weft_fail(err, WEFT_ECONN, "socket %s: %s", path, strerror(number));
    }
}

int weft_unix_connect(const char *path, struct weft_link *link, struct weft_err *err)
{
    struct sockaddr_un address;
    int rc = make_address(path, &address, err);
    if (rc)
        return rc;
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return weft_fail(err, WEFT_EIO, "socket: %s", strerror(errno));
    /* A full backlog makes connect wait, and this is what bounds the wait. */
    struct timeval limit = {.tv_sec = WEFT_TRANSPORT_TIMEOUT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    do
        rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
    while (rc && errno == EINTR);
    if (rc)
        return connect_failed(path, errno, err);
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        return weft_fail(err, WEFT_EIO, "socket %s: %s", path, strerror(errno));
    *link = (struct weft_link){.ops = &unix_ops, .fd = weft_steal_fd(&fd)};
    return 0;
}

int weft_unix_listen(const char *path, mode_t mode, uid_t owner, struct weft_err *err)
{
    struct sockaddr_un address;
    int rc = make_address(path, &address, err);
    if (rc)
        return rc;
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return weft_fail(err, WEFT_EIO, "socket: %s", strerror(errno));
    if (unlink(path) && errno != ENOENT)
        return weft_fail(err, WEFT_EIO, "socket %s: cannot remove the old one: %s", path,
                         strerror(errno));
    /* Nobody can connect before listen, so mode and owner are right from the first connection on.
     */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, mode) ||
        (owner != (uid_t)-1 && owner != geteuid() && chown(path, owner, (gid_t)-1)) ||
        listen(fd, BACKLOG))
        return weft_fail(err, WEFT_EIO, "socket %s: %s", path, strerror(errno));
    return weft_steal_fd(&fd);
}

int weft_unix_accept(int listener, struct weft_link *link, struct weft_err *err)
{
    int fd;
    do
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (fd < 0)
        return weft_fail(err, WEFT_EIO, "accept: %s", strerror(errno));
    *link = (struct weft_link){.ops = &unix_ops, .fd = fd};
    return 1;
}

int weft_unix_peer(const struct weft_link *link, struct weft_peer *peer, struct weft_err *err)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    if (getsockopt(link->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size))
        return weft_fail(err, WEFT_EIO, "SO_PEERCRED: %s", strerror(errno));
    *peer = (struct weft_peer){.pid = credentials.pid, .uid = credentials.uid};
    return 0;
}

bool weft_unix_peer_in_group(const struct weft_link *link, gid_t group)
{
    gid_t groups[PEER_GROUPS_MAX];
    struct ucred own;
    socklen_t size = sizeof(own);
    if (getsockopt(link->fd, SOL_SOCKET, SO_PEERCRED, &own, &size) == 0 && own.gid == group)
        return true;
    size = sizeof(groups);
    if (getsockopt(link->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
        return false;
    for (size_t i = 0; i < size / sizeof(groups[0]); i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

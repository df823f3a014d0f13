#include "daemon/daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "util/log.h"

#define ACCEPTS_A_TURN 256 /* then the loop looks at everything else */
#define TURN_AWAY_PAUSE_MS 10

/* Only who made a tenant, and root, may connect to its socket. */
static bool is_allowed(const struct weft_daemon_listener *listener, const struct weft_link *link,
                       struct weft_peer *peer)
{
    struct weft_err err = {0};
    int rc = weft_unix_peer(link, peer, &err);
    if (rc == 0 && listener->tenant)
        rc = weft_daemon_tenant_admit(listener->tenant, &listener->tenant->run, link, peer->uid,
                                      &err);
    if (rc)
        weft_log(WEFT_LOG_WARN, "weftd", "%s: %s", listener->path, err.text);
    return rc == 0;
}

/* Out of descriptors: the one kept in reserve takes the waiting connection, so that its peer is
 * told by its end, and the loop does not spin over it. */
static void turn_away(struct weft_daemon_listener *listener, const char *reason)
{
    struct weft_daemon *daemon = listener->daemon;
    struct weft_link link = {.fd = -1};
    weft_log(WEFT_LOG_ERROR, "weftd", "%s: a connection is turned away: %s", listener->path,
             reason);
    if (daemon->reserve_fd >= 0)
        close(daemon->reserve_fd);
    if (weft_unix_accept(listener->fd, &link, NULL) == 1)
        weft_link_close(&link);
    else
        poll(NULL, 0,
             TURN_AWAY_PAUSE_MS); /* the machine has none either: leave the core to others */
    daemon->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void weft_daemon_listener_take(struct weft_daemon_listener *listener)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct weft_err err = {0};
        struct weft_link link;
        int rc = weft_unix_accept(listener->fd, &link, &err);
        if (rc < 0)
            turn_away(listener, err.text);
        if (rc <= 0)
            return;
        struct weft_peer peer;
        if (is_allowed(listener, &link, &peer))
            weft_daemon_connection_create(listener->daemon, listener->tenant, &link, &peer);
        else
            weft_link_close(&link);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    if (status == 0)
        weft_daemon_listener_take(poll->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct weft_daemon_listener *listener = handle->data;
    free(listener);
}

/* Takes the descriptor over, also on failure. */
static int watch(struct weft_daemon *daemon, struct weft_daemon_tenant *tenant, int taken,
                 const char *path, struct weft_daemon_listener **out, struct weft_err *err)
{
    _cleanup_fd_ int fd = taken;
    struct weft_daemon_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return weft_fail(err, WEFT_ENOMEM, "socket %s", path);
    listener->daemon = daemon;
    listener->tenant = tenant;
    listener->poll.data = listener;
    snprintf(listener->path, sizeof(listener->path), "%s", path);
    if (uv_poll_init(&daemon->loop, &listener->poll, fd)) {
        free(listener);
        return weft_fail(err, WEFT_EIO, "socket %s: cannot be watched", path);
    }
    listener->fd = weft_steal_fd(&fd);
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    *out = listener;
    return 0;
}

int weft_daemon_listener_create(struct weft_daemon *daemon, struct weft_daemon_tenant *tenant,
                                const char *path, mode_t mode, uid_t owner,
                                struct weft_daemon_listener **out, struct weft_err *err)
{
    int fd = weft_unix_listen(path, mode, owner, err);
    return fd < 0 ? fd : watch(daemon, tenant, fd, path, out, err);
}

int weft_daemon_listener_adopt(struct weft_daemon *daemon, int fd, const char *path,
                               struct weft_daemon_listener **out, struct weft_err *err)
{
    int rc = watch(daemon, NULL, fd, path, out, err);
    if (rc == 0)
        (*out)->borrowed = true;
    return rc;
}

void weft_daemon_listener_destroy(struct weft_daemon_listener *listener)
{
    if (!listener)
        return;
    if (!listener->borrowed)
        unlink(listener->path);
    uv_poll_stop(&listener->poll);
    close(listener->fd);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
}

#include "daemon/daemon.h"

#include <fcntl.h>
#include <string.h>

#include "util/log.h"

#define FRAMES_A_TURN 64 /* of one connection; then the others have theirs */
#define TURNS_MAX 64     /* of one that has said its last: more than a socket holds */

struct weft_daemon_chunk {
    struct weft_daemon_chunk *next;
    size_t size, sent;
    size_t fd_count;
    int fds[WEFT_WIRE_FDS_MAX]; /* owned duplicates */
    uint8_t bytes[];
};

static void on_ready(uv_poll_t *poll, int status, int events);

static void chunk_destroy(struct weft_daemon_chunk *chunk)
{
    for (size_t i = 0; i < chunk->fd_count; i++)
        close(chunk->fds[i]);
    free(chunk);
}

static void on_closed(uv_handle_t *handle)
{
    struct weft_daemon_connection *connection = handle->data;
    if (--connection->open_handles == 0)
        free(connection);
}

void weft_daemon_connection_close(struct weft_daemon_connection *connection)
{
    if (connection->closing)
        return;
    connection->closing = true;
    struct weft_daemon_process *process = connection->process;
    connection->process = NULL;
    *connection->link_to_this = connection->next;
    if (connection->next)
        connection->next->link_to_this = connection->link_to_this;
    connection->daemon->connection_count--;
    while (connection->first_chunk) {
        struct weft_daemon_chunk *chunk = connection->first_chunk;
        connection->first_chunk = chunk->next;
        chunk_destroy(chunk);
    }
    weft_inbox_finish(&connection->inbox);
    uv_poll_stop(&connection->poll);
    weft_link_close(&connection->link);
    uv_close((uv_handle_t *)&connection->poll, on_closed);
    uv_close((uv_handle_t *)&connection->deadline, on_closed);
    if (process)
        weft_daemon_process_hung_up(process);
    weft_daemon_idle_check(connection->daemon);
}

static void watch(struct weft_daemon_connection *connection)
{
    int events = UV_READABLE | (connection->first_chunk ? UV_WRITABLE : 0);
    if (events != connection->watched)
        uv_poll_start(&connection->poll, events, on_ready);
    connection->watched = events;
}

static void on_deadline(uv_timer_t *timer)
{
    struct weft_daemon_connection *connection = timer->data;
    weft_log(WEFT_LOG_INFO, "weftd", "pid %d: a message did not arrive in time",
             (int)connection->peer.pid);
    weft_daemon_connection_close(connection);
}

/* A peer that has begun a frame, or never sent one, must end it in time; one that has said who it
 * is may be silent. */
static void set_deadline(struct weft_daemon_connection *connection)
{
    bool waiting = connection->inbox.got > 0 || !connection->process;
    if (!waiting)
        uv_timer_stop(&connection->deadline);
    else if (!uv_is_active((uv_handle_t *)&connection->deadline))
        uv_timer_start(&connection->deadline, on_deadline, WEFT_DAEMON_FRAME_TIMEOUT_MS, 0);
}

/* Says what was wrong with the peer's bytes, then hangs up: after a bad frame nobody knows where
 * the next one starts. */
static void refuse(struct weft_daemon_connection *connection, int code, const char *text)
{
    if (code != -WEFT_ECONN) {
        weft_log(WEFT_LOG_INFO, "weftd", "pid %d: %s", (int)connection->peer.pid, text);
        weft_daemon_connection_send_error(connection, code, text);
    }
    if (connection->closing)
        return;
    connection->close_after = true;
    if (!connection->first_chunk || code == -WEFT_ECONN)
        weft_daemon_connection_close(connection);
}

/* True where there may be more. */
static bool drain(struct weft_daemon_connection *connection)
{
    int i;
    if (connection->serving)
        return false;
    for (i = 0; i < FRAMES_A_TURN && !connection->closing && !connection->close_after; i++) {
        struct weft_err err = {0};
        int rc = weft_inbox_fill(&connection->inbox, &connection->link, &err);
        if (rc < 0)
            refuse(connection, rc, err.text);
        if (rc <= 0)
            break;
        uv_timer_stop(&connection->deadline);
        connection->serving = true;
        weft_daemon_serve(connection);
        connection->serving = false;
        if (!connection->closing)
            weft_inbox_next(&connection->inbox);
    }
    if (!connection->closing)
        set_deadline(connection);
    return i == FRAMES_A_TURN;
}

void weft_daemon_connection_drain(struct weft_daemon_connection *connection)
{
    connection->daemon->drains++;
    for (int i = 0; i < TURNS_MAX && drain(connection); i++)
        ;
    connection->daemon->drains--;
}

void weft_daemon_connection_drain_strangers(struct weft_daemon_tenant *tenant, pid_t pid)
{
    struct weft_daemon_connection *next;
    if (tenant->listener)
        weft_daemon_listener_take(tenant->listener);
    for (struct weft_daemon_connection *c = tenant->daemon->connections; c; c = next) {
        next = c->next;
        if (c->tenant == tenant && !c->process && !c->closing && (pid == 0 || c->peer.pid == pid))
            weft_daemon_connection_drain(c);
    }
}

/* Sends as much of the queue as the socket takes. */
static void flush(struct weft_daemon_connection *connection)
{
    while (connection->first_chunk) {
        struct weft_daemon_chunk *chunk = connection->first_chunk;
        int64_t sent = connection->link.ops->send(&connection->link, chunk->bytes + chunk->sent,
                                                  chunk->size - chunk->sent, chunk->fds,
                                                  chunk->sent ? 0 : chunk->fd_count, NULL);
        if (sent < 0) {
            weft_daemon_connection_close(connection);
            return;
        }
        chunk->sent += (size_t)sent;
        connection->queued_bytes -= (size_t)sent;
        if (chunk->sent < chunk->size)
            return;
        connection->first_chunk = chunk->next;
        if (!connection->first_chunk)
            connection->last_chunk = &connection->first_chunk;
        chunk_destroy(chunk);
    }
    if (connection->close_after)
        weft_daemon_connection_close(connection);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct weft_daemon_connection *connection = poll->data;
    if (status) {
        weft_daemon_connection_close(connection);
        return;
    }
    if (events & UV_WRITABLE)
        flush(connection);
    if (!connection->closing && (events & UV_READABLE))
        drain(connection);
    if (!connection->closing)
        watch(connection);
}

static struct weft_daemon_chunk *chunk_create(struct weft_daemon_connection *connection,
                                              size_t size, const int *fds, size_t fd_count)
{
    struct weft_daemon_chunk *chunk = NULL;
    if (connection->queued_bytes + size <= WEFT_DAEMON_QUEUE_MAX)
        chunk = calloc(1, sizeof(*chunk) + size);
    bool complete = chunk;
    for (size_t i = 0; complete && i < fd_count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        complete = copy >= 0;
        if (complete)
            chunk->fds[chunk->fd_count++] = copy;
    }
    if (complete) {
        chunk->size = size;
        return chunk;
    }
    if (chunk)
        chunk_destroy(chunk);
    return NULL;
}

/* Sends at once what the socket takes, and queues the rest: as a rule there is none. */
static void send_or_queue(struct weft_daemon_connection *connection, const uint8_t *bytes,
                          size_t size, const int *fds, size_t fd_count)
{
    int64_t sent = 0;
    if (!connection->first_chunk)
        sent = connection->link.ops->send(&connection->link, bytes, size, fds, fd_count, NULL);
    if (sent == (int64_t)size)
        return;
    struct weft_daemon_chunk *chunk = NULL;
    if (sent >= 0)
        chunk = chunk_create(connection, size - (size_t)sent, fds, sent ? 0 : fd_count);
    if (!chunk) {
        weft_log(WEFT_LOG_INFO, "weftd", "pid %d: an answer cannot be sent",
                 (int)connection->peer.pid);
        weft_daemon_connection_close(connection);
        return;
    }
    memcpy(chunk->bytes, bytes + sent, chunk->size);
    *connection->last_chunk = chunk;
    connection->last_chunk = &chunk->next;
    connection->queued_bytes += chunk->size;
    watch(connection);
}

void weft_daemon_connection_send(struct weft_daemon_connection *connection,
                                 struct weft_packet *packet, enum weft_wire_type type,
                                 const int *fds, size_t fd_count)
{
    struct weft_err err = {0};
    if (connection->closing)
        return;
    if (weft_packet_seal(packet, type, fd_count, &err)) {
        weft_log(WEFT_LOG_ERROR, "weftd", "%s", err.text);
        weft_daemon_connection_close(connection);
        return;
    }
    send_or_queue(connection, packet->bytes, packet->size, fds, fd_count);
}

void weft_daemon_connection_send_answer(struct weft_daemon_connection *connection, const char *text,
                                        size_t size)
{
    uint8_t head[WEFT_WIRE_HEADER_BYTES];
    struct weft_wire_header header = {.major = WEFT_WIRE_MAJOR,
                                      .minor = WEFT_WIRE_MINOR,
                                      .type = WEFT_WIRE_ANSWER,
                                      .length = (uint32_t)size};
    if (size > WEFT_WIRE_ANSWER_MAX) {
        weft_daemon_connection_send_error(connection, -WEFT_ERANGE,
                                          "the answer is larger than a message can be");
        return;
    }
    weft_wire_header_encode(&header, head);
    if (!connection->closing)
        send_or_queue(connection, head, sizeof(head), NULL, 0);
    if (!connection->closing)
        send_or_queue(connection, (const uint8_t *)text, size, NULL, 0);
}

void weft_daemon_connection_send_error(struct weft_daemon_connection *connection, int code,
                                       const char *text)
{
    struct weft_wire_error message = {.code = (uint16_t)(code < 0 ? -code : code)};
    struct weft_packet packet;
    snprintf(message.text, sizeof(message.text), "%s", text);
    weft_packet_init(&packet);
    weft_wire_error_encode(&message, &packet.body);
    weft_daemon_connection_send(connection, &packet, WEFT_WIRE_ERROR, NULL, 0);
}

/* Where too many have not said who they are, the one that has been silent the longest makes room:
 * the newest may be a program that starts. */
static void limit_strangers(struct weft_daemon *daemon)
{
    struct weft_daemon_connection *oldest = NULL; /* the list has the youngest first */
    size_t strangers = 0;
    if (daemon->connection_count < daemon->strangers_max)
        return;
    for (struct weft_daemon_connection *c = daemon->connections; c; c = c->next) {
        if (c->process || c->serving)
            continue;
        strangers++;
        oldest = c;
    }
    if (strangers < daemon->strangers_max)
        return;
    weft_log(WEFT_LOG_INFO, "weftd", "pid %d: hung up on, %zu others are as silent",
             (int)oldest->peer.pid, strangers - 1);
    weft_daemon_connection_close(oldest);
}

void weft_daemon_connection_create(struct weft_daemon *daemon, struct weft_daemon_tenant *tenant,
                                   struct weft_link *link, const struct weft_peer *peer)
{
    struct weft_daemon_connection *connection = NULL;
    limit_strangers(daemon);
    if (daemon->connection_count < WEFT_DAEMON_CONNECTIONS_MAX)
        connection = calloc(1, sizeof(*connection));
    if (!connection || uv_poll_init(&daemon->loop, &connection->poll, link->fd)) {
        weft_log(WEFT_LOG_ERROR, "weftd", "a connection is refused: %zu are open",
                 daemon->connection_count);
        free(connection);
        weft_link_close(link);
        return;
    }
    uv_timer_init(&daemon->loop, &connection->deadline);
    connection->open_handles = 2;
    connection->poll.data = connection->deadline.data = connection;
    connection->daemon = daemon;
    connection->tenant = tenant;
    connection->by_tenant_socket = tenant;
    connection->link = *link;
    connection->peer = *peer;
    connection->last_chunk = &connection->first_chunk;
    weft_inbox_init(&connection->inbox, tenant ? 1 : 0); /* SHARE brings one */
    connection->next = daemon->connections;
    if (connection->next)
        connection->next->link_to_this = &connection->next;
    connection->link_to_this = &daemon->connections;
    daemon->connections = connection;
    daemon->connection_count++;
    weft_daemon_idle_check(daemon);
    set_deadline(connection);
    watch(connection);
}

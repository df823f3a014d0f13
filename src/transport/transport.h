/* How frames travel. A link is one connection; its vtable is the seam where unix sockets, TCP, TLS
 * and shared memory differ. An inbox puts frames together from whatever has arrived, for a blocking
 * client as for weftd's event loop. */
#ifndef WEFT_TRANSPORT_TRANSPORT_H
#define WEFT_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/util.h"
#include "wire/wire.h"
#include <weft/err.h>

#define WEFT_TRANSPORT_TIMEOUT_MS 5000 /* what a client gives a daemon for one answer */

struct weft_link;

struct weft_link_ops {
    const char *name;
    /* Both return bytes moved, 0 where it would block, WEFT_ECONN where the other side is gone.
     * `send` takes the descriptors with the first byte; `receive` adds those that arrived at
     * fds[*fd_count], up to fd_room, and refuses more. */
    int64_t (*send)(struct weft_link *link, const void *bytes, size_t size, const int *fds,
                    size_t fd_count, struct weft_err *err);
    int64_t (*receive)(struct weft_link *link, void *bytes, size_t size, int *fds, size_t *fd_count,
                       size_t fd_room, struct weft_err *err);
};

struct weft_link {
    const struct weft_link_ops *ops;
    int fd; /* owned, non-blocking; -1 is none; poll it for POLLIN and POLLOUT */
};

void weft_link_close(struct weft_link *link);

/* -- unix sockets
 * ------------------------------------------------------------------------------------------------------
 */

/* WEFT_ERANGE where the path is longer than a socket's path can be; the text says by how much. */
int weft_unix_path_check(const char *path, struct weft_err *err);
/* WEFT_ENOENT: nothing there. WEFT_ECONN: nobody listens. WEFT_EPERM. WEFT_ETIMEDOUT. */
int weft_unix_connect(const char *path, struct weft_link *link, struct weft_err *err);
/* A non-blocking listener with the given mode and, unless -1, owner. What stood at the path is
 * removed first: the caller holds the lock that says it is stale. Returns the descriptor. */
int weft_unix_listen(const char *path, mode_t mode, uid_t owner, struct weft_err *err);
/* Takes one waiting connection: 1, or 0 where none waits. */
int weft_unix_accept(int listener, struct weft_link *link, struct weft_err *err);

struct weft_peer {
    pid_t pid; /* in our PID namespace; 0 where it has none there */
    uid_t uid;
};
int weft_unix_peer(const struct weft_link *link, struct weft_peer *peer, struct weft_err *err);
/* Whether the peer was in that group when it connected. */
bool weft_unix_peer_in_group(const struct weft_link *link, gid_t group);

/* -- access.c: users and groups as people name them, or by number. WEFT_EINVAL where the system
 * knows none of that name, WEFT_ELIMIT where a list is full. Not for programs: the system's lists
 * are asked.
 * ------------------------------------------------------------------------------------------------------
 */

#define WEFT_ACCESS_WORD_BYTES 65

int weft_access_user(const char *text, uint32_t *uid, struct weft_err *err);
/* Adds a user, or an @group. */
int weft_access_add(struct weft_access *access, const char *text, struct weft_err *err);
/* Reads `alice,@lab,1007`; an empty text is an empty list that was given. */
int weft_access_parse(const char *text, struct weft_access *access, struct weft_err *err);

/* -- frames
 * ------------------------------------------------------------------------------------------------------------
 */

/* A frame to send: encode the message into `body`, then seal. */
struct weft_packet {
    uint8_t bytes[WEFT_WIRE_HEADER_BYTES + WEFT_WIRE_REQUEST_MAX];
    size_t size;
    struct weft_writer body;
};

void weft_packet_init(struct weft_packet *packet);
/* WEFT_EBUG where the message did not fit. */
int weft_packet_seal(struct weft_packet *packet, enum weft_wire_type type, size_t fd_count,
                     struct weft_err *err);

/* Puts one frame after the other together. Init before use; finish frees what a half-read frame
 * holds. */
struct weft_inbox {
    uint8_t header_bytes[WEFT_WIRE_HEADER_BYTES];
    size_t got; /* of header and payload together */
    bool header_known;
    struct weft_wire_header header;
    uint8_t *payload; /* owned */
    size_t fd_room;   /* how many descriptors this side accepts in one frame */
    size_t fd_count;
    int fds[WEFT_WIRE_FDS_MAX]; /* owned */
};

void weft_inbox_init(struct weft_inbox *inbox, size_t fd_room);
void weft_inbox_finish(struct weft_inbox *inbox);
/* Reads what is there: 1 when a frame is complete, 0 when more must come. After a complete frame,
 * weft_inbox_next makes room for the following one. WEFT_ECONN, WEFT_EPROTO, WEFT_EVERSION (then
 * the frame in it is the peer's ERROR or empty). */
int weft_inbox_fill(struct weft_inbox *inbox, struct weft_link *link, struct weft_err *err);
void weft_inbox_next(struct weft_inbox *inbox);
struct weft_reader weft_inbox_reader(const struct weft_inbox *inbox);

/* Sends all of the packet, waiting at most `timeout_ms`. */
int weft_link_send(struct weft_link *link, const struct weft_packet *packet, const int *fds,
                   size_t fd_count, int timeout_ms, struct weft_err *err);
/* Waits for the next frame. If it is an ERROR message, returns its code with its text; if its type
 * is not `expected`, WEFT_EPROTO. */
int weft_link_expect(struct weft_link *link, struct weft_inbox *inbox, enum weft_wire_type expected,
                     int timeout_ms, struct weft_err *err);

#endif

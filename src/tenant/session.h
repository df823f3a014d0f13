/* A program's session with the node daemon: the socket that says which tenant it is, and what weftd
 * granted over it. */
#ifndef WEFT_TENANT_SESSION_H
#define WEFT_TENANT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/ledger.h"
#include "policy/page.h"
#include "policy/room.h"
#include <weft/backend.h>
#include <weft/err.h>

#define WEFT_SESSION_PATH_BYTES 108 /* a unix socket's can be no longer */

struct weft_session {
    int fd;                             /* owned; -1 is none; atomic */
    uint64_t socket_file;               /* which socket that is */
    struct weft_session_unsent *unsent; /* owned; what weftd is to be told yet */
    char path[WEFT_SESSION_PATH_BYTES]; /* of the tenant's socket */
    char tenant[65];
    size_t device_count;
    struct weft_device_grant devices[WEFT_DEVICES_MAX]; /* descriptors owned */
    struct weft_room_seat seats[WEFT_DEVICES_MAX];      /* rooms mapped, owned; NULL: none */
    /* Owned; kept open, so that weftd's next life finds by them what the last one shared. */
    int ledger_fd, policy_fd;
    struct weft_ledger *ledger; /* mapped, owned */
    size_t ledger_bytes;
    const struct weft_policy_page *policy; /* mapped read-only, owned */
    uint32_t slot;                         /* in the tenant's ledger */
    uint64_t tenant_id; /* the ledger's file: the same in all processes of the tenant */
    uint16_t minor;     /* of weftd */
};

/* Connects to the container's /run/weft/tenant.sock, or to $WEFT_SOCKET where that is not there,
 * says hello and takes the grants. WEFT_ECONN: no socket, or nobody who answers there. WEFT_EPROTO,
 * WEFT_EVERSION: not our daemon. Bounded by a time-out; starts no thread. */
int weft_session_open(struct weft_session *session, struct weft_err *err);
/* Closes our copies. weftd gives back what the process held only when the process is gone. */
void weft_session_close(struct weft_session *session);
/* A sentence for a person; weft run prints it. Where weftd is away a thread tells its next life.
 * Any thread. */
void weft_session_report(struct weft_session *session, const char *text);
/* The same of a fault that ends a context on the tenant's device; `text` may be empty. */
void weft_session_fault(struct weft_session *session, uint32_t device,
                        const struct weft_device_fault *fault);
/* Device memory of the tenant's device lies in the file `fd` (borrowed), or this process has that
 * file no more (-1). False where a weftd that is there does not listen. Any thread. */
bool weft_session_share(struct weft_session *session, uint32_t device, uint64_t file, int fd);

#endif

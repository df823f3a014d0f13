#include "tenant/session.h"
#include "tenant/session_report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "transport/places.h"
#include "transport/transport.h"
#include "util/util.h"

/* weftd knows SHARE since this minor; how long it is waited for where it is busy. */
#define SHARE_MINOR 3
#define SHARE_WAIT_MS 50
#define SHARE_TRIES_MAX 100

static int say_hello(struct weft_link *link, struct weft_err *err)
{
    struct weft_wire_hello hello = {.version = WEFT_VERSION};
    struct weft_packet packet;
    int rc = weft_process_start_time(getpid(), &hello.start_ticks, err);
    if (rc)
        return rc;
    weft_packet_init(&packet);
    weft_wire_hello_encode(&hello, &packet.body);
    rc = weft_packet_seal(&packet, WEFT_WIRE_HELLO, 0, err);
    if (rc)
        return rc;
    return weft_link_send(link, &packet, NULL, 0, WEFT_TRANSPORT_TIMEOUT_MS, err);
}

/* Maps all of a descriptor that weftd sealed; at least `minimum` bytes. */
static int map_shared(int fd, int protection, size_t minimum, const char *what, void **memory,
                      size_t *bytes, struct weft_err *err)
{
    struct statx found; /* fstat would need a glibc over our floor */
    if (statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &found) || found.stx_size < minimum)
        return weft_fail(err, WEFT_EPROTO, "%s: smaller than %zu bytes", what, minimum);
    void *mapped = mmap(NULL, (size_t)found.stx_size, protection, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "%s: mmap: %s", what, strerror(errno));
    *memory = mapped;
    *bytes = (size_t)found.stx_size;
    return 0;
}

static int map_policy(struct weft_session *session, int fd, struct weft_err *err)
{
    void *memory;
    size_t bytes;
    int rc = map_shared(fd, PROT_READ, sizeof(struct weft_policy_page), "the policy page", &memory,
                        &bytes, err);
    if (rc)
        return rc;
    session->policy = memory;
    if (session->policy->magic != WEFT_POLICY_MAGIC)
        return weft_fail(err, WEFT_EPROTO, "the policy page is not weft's");
    if (session->policy->major != WEFT_POLICY_MAJOR)
        return weft_fail(err, WEFT_EVERSION, "the policy page has version %u, this weft %d",
                         session->policy->major, WEFT_POLICY_MAJOR);
    return 0;
}

static int map_ledger(struct weft_session *session, int fd, struct weft_err *err)
{
    void *memory;
    int rc = map_shared(fd, PROT_READ | PROT_WRITE, weft_ledger_bytes(), "the ledger", &memory,
                        &session->ledger_bytes, err);
    if (rc)
        return rc;
    session->ledger = memory;
    return weft_ledger_open(&session->ledger, memory, session->ledger_bytes, err);
}

static int take_descriptor(struct weft_inbox *inbox, size_t *next, int *fd, struct weft_err *err)
{
    if (*next >= inbox->fd_count)
        return weft_fail(err, WEFT_EPROTO, "a WELCOME message with too few descriptors");
    *fd = weft_steal_fd(&inbox->fds[(*next)++]);
    return 0;
}

static int take_device(struct weft_inbox *inbox, size_t *next, const struct weft_wire_device *from,
                       struct weft_device_grant *to, struct weft_err *err)
{
    to->kind = from->kind;
    memcpy(to->uuid, from->uuid, sizeof(to->uuid));
    to->native_index = from->native_index;
    memcpy(to->profile, from->profile, sizeof(to->profile));
    to->slot = from->page_slot;
    int rc = from->has_arena ? take_descriptor(inbox, next, &to->arena_fd, err) : 0;
    if (rc == 0 && from->has_page)
        rc = take_descriptor(inbox, next, &to->page_fd, err);
    return rc;
}

uint64_t weft_session_file_number(int fd)
{
    struct statx found;
    return statx(fd, "", AT_EMPTY_PATH, STATX_INO, &found) ? 0 : found.stx_ino;
}

/* The room is the last part of a device's page. One of another version binds nobody here. */
static void map_room(struct weft_session *session, size_t index)
{
    int fd = session->devices[index].page_fd;
    struct weft_room_seat *seat = &session->seats[index];
    struct statx found;
    if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &found) ||
        found.stx_size < weft_room_bytes())
        return;
    void *memory = mmap(NULL, weft_room_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                        (off_t)(found.stx_size - weft_room_bytes()));
    if (memory == MAP_FAILED)
        return;
    if (weft_room_open(&seat->room, memory, weft_room_bytes(), NULL) == 0)
        seat->line = weft_room_line_find(seat->room, session->tenant_id);
    if (seat->line == 0) {
        munmap(memory, weft_room_bytes());
        seat->room = NULL;
    }
}

static int take_grants(struct weft_session *session, struct weft_inbox *inbox, struct weft_err *err)
{
    struct weft_wire_welcome welcome;
    int rc = weft_wire_welcome_decode(weft_inbox_reader(inbox), inbox->header.minor, &welcome, err);
    if (rc)
        return rc;
    if (inbox->fd_count < 2)
        return weft_fail(err, WEFT_EPROTO, "a WELCOME message with too few descriptors");
    memcpy(session->tenant, welcome.tenant, sizeof(session->tenant));
    session->slot = welcome.slot;
    session->minor = inbox->header.minor;
    session->tenant_id = weft_session_file_number(inbox->fds[0]);
    session->ledger_fd = weft_steal_fd(&inbox->fds[0]);
    session->policy_fd = weft_steal_fd(&inbox->fds[1]);
    rc = map_ledger(session, session->ledger_fd, err);
    if (rc == 0)
        rc = map_policy(session, session->policy_fd, err);
    size_t next = 2;
    for (uint32_t i = 0; rc == 0 && i < welcome.device_count; i++) {
        session->device_count = i + 1;
        rc = take_device(inbox, &next, &welcome.devices[i], &session->devices[i], err);
        if (rc == 0)
            map_room(session, i);
    }
    return rc;
}

static int exchange(struct weft_session *session, struct weft_link *link, struct weft_err *err)
{
    int rc = say_hello(link, err);
    if (rc)
        return rc;
    struct weft_inbox inbox;
    weft_inbox_init(&inbox, WEFT_WIRE_FDS_MAX);
    rc = weft_link_expect(link, &inbox, WEFT_WIRE_WELCOME, WEFT_TRANSPORT_TIMEOUT_MS, err);
    if (rc == 0)
        rc = take_grants(session, &inbox, err);
    weft_inbox_finish(&inbox);
    return rc;
}

/* Why ever there is no daemon that answers: to the program the system is not ready. Who is not our
 * daemon, or does not want us, keeps his own code. */
static int not_ready(int rc, struct weft_err *err)
{
    switch (rc) {
    case -WEFT_ENOENT:
    case -WEFT_ERANGE:
    case -WEFT_EIO:
    case -WEFT_ETIMEDOUT:
        if (err)
            err->code = -WEFT_ECONN;
        return -WEFT_ECONN;
    default:
        return rc;
    }
}

int weft_session_open(struct weft_session *session, struct weft_err *err)
{
    struct weft_session opened = {.fd = -1, .ledger_fd = -1, .policy_fd = -1};
    struct weft_link link;
    const char *path;
    for (size_t i = 0; i < WEFT_DEVICES_MAX; i++)
        opened.devices[i].arena_fd = opened.devices[i].page_fd = -1;
    int rc = weft_places_tenant_socket(&path, err);
    if (rc == 0)
        rc = weft_unix_connect(path, &link, err);
    if (rc)
        return not_ready(rc, err);
    opened.fd = link.fd;
    opened.socket_file = weft_session_file_number(opened.fd);
    opened.unsent = weft_session_unsent_create();
    snprintf(opened.path, sizeof(opened.path), "%s", path);
    rc = opened.unsent ? exchange(&opened, &link, err) : weft_fail(err, WEFT_ENOMEM, "the session");
    if (rc) {
        weft_session_close(&opened);
        return weft_wrap(err, not_ready(rc, err), "weftd at %s", path);
    }
    *session = opened;
    return 0;
}

static void close_descriptor(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void weft_session_close(struct weft_session *session)
{
    for (size_t i = 0; i < session->device_count; i++) {
        close_descriptor(&session->devices[i].arena_fd);
        close_descriptor(&session->devices[i].page_fd);
        if (session->seats[i].room)
            munmap(session->seats[i].room, weft_room_bytes());
    }
    if (session->policy)
        munmap((void *)session->policy, sizeof(*session->policy));
    if (session->ledger)
        munmap(session->ledger, session->ledger_bytes);
    weft_session_unsent_destroy(session->unsent);
    /* A zeroed session has descriptor 0, which is not its own. */
    if (session->ledger || session->fd > 0)
        close_descriptor(&session->fd);
    if (session->ledger_fd > 0)
        close_descriptor(&session->ledger_fd);
    if (session->policy_fd > 0)
        close_descriptor(&session->policy_fd);
    *session = (struct weft_session){.fd = -1, .ledger_fd = -1, .policy_fd = -1};
}

/* A frame that is small goes as a whole or not at all, so threads need no lock. */
static ssize_t send_frame(int socket, const struct weft_packet *packet, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)packet->bytes, .iov_len = packet->size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        control.align = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool weft_session_share(struct weft_session *session, uint32_t device, uint64_t file, int fd)
{
    struct weft_wire_share share = {.device = device, .file = file};
    struct weft_packet packet;
    if (session->fd < 0 || session->minor < SHARE_MINOR)
        return true;
    weft_packet_init(&packet);
    weft_wire_share_encode(&share, &packet.body);
    if (weft_packet_seal(&packet, WEFT_WIRE_SHARE, fd >= 0 ? 1 : 0, NULL))
        return false;
    for (int i = 0; i < SHARE_TRIES_MAX; i++) {
        if (send_frame(session->fd, &packet, fd) >= 0)
            return true;
        struct pollfd ready = {.fd = session->fd, .events = POLLOUT};
        if (errno == EAGAIN || errno == ETOOMANYREFS)
            poll(&ready, 1, SHARE_WAIT_MS);
        else if (errno != EINTR)
            return true; /* nobody is there who would take the charge away */
    }
    return false;
}

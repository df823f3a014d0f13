#include "transport/transport.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

void weft_packet_init(struct weft_packet *packet)
{
    packet->size = 0;
    packet->body = weft_writer_over(packet->bytes + WEFT_WIRE_HEADER_BYTES, WEFT_WIRE_REQUEST_MAX);
}

int weft_packet_seal(struct weft_packet *packet, enum weft_wire_type type, size_t fd_count,
                     struct weft_err *err)
{
    if (packet->body.failed)
        return weft_fail(err, WEFT_EBUG, "a %s message does not fit into its frame",
                         weft_wire_type_name(type));
    struct weft_wire_header header = {
        .major = WEFT_WIRE_MAJOR,
        .minor = WEFT_WIRE_MINOR,
        .type = (uint16_t)type,
        .fd_count = (uint16_t)fd_count,
        .length = (uint32_t)packet->body.used,
    };
    weft_wire_header_encode(&header, packet->bytes);
    packet->size = WEFT_WIRE_HEADER_BYTES + packet->body.used;
    return 0;
}

void weft_inbox_init(struct weft_inbox *inbox, size_t fd_room)
{
    *inbox = (struct weft_inbox){.fd_room = fd_room};
}

void weft_inbox_next(struct weft_inbox *inbox)
{
    free(inbox->payload);
    for (size_t i = 0; i < inbox->fd_count; i++) {
        if (inbox->fds[i] >= 0)
            close(inbox->fds[i]);
    }
    *inbox = (struct weft_inbox){.fd_room = inbox->fd_room};
}

void weft_inbox_finish(struct weft_inbox *inbox)
{
    weft_inbox_next(inbox);
}

struct weft_reader weft_inbox_reader(const struct weft_inbox *inbox)
{
    return weft_reader_over(inbox->payload, inbox->header_known ? inbox->header.length : 0);
}

/* The header is complete: makes room for the payload that it announces. */
static int open_payload(struct weft_inbox *inbox, struct weft_err *err)
{
    int rc = weft_wire_header_decode(inbox->header_bytes, &inbox->header, err);
    if (rc && rc != -WEFT_EVERSION)
        return rc;
    inbox->header_known = true;
    if (rc == -WEFT_EVERSION && inbox->header.length == 0)
        return rc;
    if (inbox->fd_count > inbox->header.fd_count || inbox->header.fd_count > inbox->fd_room)
        return weft_fail(err, WEFT_EPROTO, "a %s message brings more descriptors than it may",
                         weft_wire_type_name(inbox->header.type));
    if (inbox->header.length == 0)
        return 0;
    inbox->payload = malloc(inbox->header.length);
    if (!inbox->payload)
        return weft_fail(err, WEFT_ENOMEM, "a message of %u bytes", inbox->header.length);
    return 0;
}

static int complete(const struct weft_inbox *inbox, struct weft_err *err)
{
    if (inbox->fd_count != inbox->header.fd_count)
        return weft_fail(err, WEFT_EPROTO, "a %s message came with %zu descriptors instead of %u",
                         weft_wire_type_name(inbox->header.type), inbox->fd_count,
                         inbox->header.fd_count);
    if (inbox->header.major != WEFT_WIRE_MAJOR)
        return weft_fail(err, WEFT_EVERSION, "the peer speaks protocol %u.%u, this weft %d.%d",
                         inbox->header.major, inbox->header.minor, WEFT_WIRE_MAJOR,
                         WEFT_WIRE_MINOR);
    return 1;
}

/* Where the next bytes go, and how many the header or the payload still lacks. */
static uint8_t *next_room(struct weft_inbox *inbox, size_t *missing)
{
    if (!inbox->header_known) {
        *missing = WEFT_WIRE_HEADER_BYTES - inbox->got;
        return inbox->header_bytes + inbox->got;
    }
    size_t payload_got = inbox->got - WEFT_WIRE_HEADER_BYTES;
    *missing = inbox->header.length - payload_got;
    return *missing ? inbox->payload + payload_got : NULL;
}

int weft_inbox_fill(struct weft_inbox *inbox, struct weft_link *link, struct weft_err *err)
{
    for (;;) {
        size_t missing;
        uint8_t *room = next_room(inbox, &missing);
        if (missing == 0)
            return complete(inbox, err);
        int64_t got = link->ops->receive(link, room, missing, inbox->fds, &inbox->fd_count,
                                         inbox->fd_room, err);
        if (got <= 0)
            return (int)got;
        inbox->got += (size_t)got;
        if (!inbox->header_known && inbox->got == WEFT_WIRE_HEADER_BYTES) {
            int rc = open_payload(inbox, err);
            if (rc)
                return rc;
        }
    }
}

/* Waits until the link is ready for `events` or the deadline has come. */
static int wait_ready(const struct weft_link *link, short events, uint64_t deadline_ns,
                      struct weft_err *err)
{
    for (;;) {
        uint64_t now = weft_clock_ns();
        int left_ms = now >= deadline_ns ? 0 : (int)((deadline_ns - now + 999999) / 1000000);
        struct pollfd wait = {.fd = link->fd, .events = events};
        int ready = poll(&wait, 1, left_ms);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return weft_fail(err, WEFT_EIO, "poll: %s", strerror(errno));
        if (ready == 0 && left_ms == 0)
            return weft_fail(err, WEFT_ETIMEDOUT, "the other side of the socket does not answer");
    }
}

int weft_link_send(struct weft_link *link, const struct weft_packet *packet, const int *fds,
                   size_t fd_count, int timeout_ms, struct weft_err *err)
{
    uint64_t deadline_ns = weft_clock_ns() + (uint64_t)timeout_ms * 1000000u;
    for (size_t done = 0; done < packet->size;) {
        int64_t sent = link->ops->send(link, packet->bytes + done, packet->size - done, fds,
                                       done ? 0 : fd_count, err);
        if (sent < 0)
            return (int)sent;
        done += (size_t)sent;
        int rc = sent ? 0 : wait_ready(link, POLLOUT, deadline_ns, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* The peer answered with an ERROR message: its code and words become ours. */
static int take_error(const struct weft_inbox *inbox, struct weft_err *err)
{
    struct weft_wire_error message;
    int rc = weft_wire_error_decode(weft_inbox_reader(inbox), UINT16_MAX, &message, err);
    if (rc)
        return rc;
    enum weft_errno code =
        message.code >= WEFT_EINVAL && message.code <= WEFT_EBUG ? message.code : WEFT_EPROTO;
    return weft_fail(err, code, "%s", message.text);
}

int weft_link_expect(struct weft_link *link, struct weft_inbox *inbox, enum weft_wire_type expected,
                     int timeout_ms, struct weft_err *err)
{
    uint64_t deadline_ns = weft_clock_ns() + (uint64_t)timeout_ms * 1000000u;
    int rc;
    while ((rc = weft_inbox_fill(inbox, link, err)) == 0) {
        rc = wait_ready(link, POLLIN, deadline_ns, err);
        if (rc)
            return rc;
    }
    if (rc < 0)
        return rc;
    if (inbox->header.type == WEFT_WIRE_ERROR)
        return take_error(inbox, err);
    if (inbox->header.type != expected)
        return weft_fail(err, WEFT_EPROTO, "a %s message came where %s was due",
                         weft_wire_type_name(inbox->header.type), weft_wire_type_name(expected));
    return 0;
}

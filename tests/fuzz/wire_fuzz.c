/* Any bytes from a peer: the first says in what pieces they arrive, the rest goes through the
 * inbox, frame after frame. What a decoder takes must be encodable again into the same bytes, and
 * no frame may be larger than its type allows. */
#include <stdlib.h>
#include <string.h>

#include "transport/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

/* A link over memory. */
struct memory_link {
    struct weft_link link;
    const uint8_t *next;
    size_t left, piece;
};

static int64_t receive(struct weft_link *link, void *bytes, size_t size, int *fds, size_t *fd_count,
                       size_t fd_room, struct weft_err *err)
{
    struct memory_link *memory = WEFT_CONTAINER_OF(link, struct memory_link, link);
    (void)fds;
    (void)fd_count;
    (void)fd_room;
    size_t count = WEFT_MIN(size, WEFT_MIN(memory->left, memory->piece));
    if (count == 0)
        return weft_fail(err, WEFT_ECONN, "the end");
    memcpy(bytes, memory->next, count);
    memory->next += count;
    memory->left -= count;
    return (int64_t)count;
}

static const struct weft_link_ops memory_ops = {.name = "memory", .receive = receive};

/* Encoded again, a message of our own minor has the bytes that it came from; one of an older minor
 * has these and the fields that came since, one of a newer minor loses what we do not know. */
#define TYPES(X)                    \
    X(ERROR, error)                 \
    X(HELLO, hello)                 \
    X(WELCOME, welcome)             \
    X(REPORT, report)               \
    X(RUN_BEGIN, run_begin)         \
    X(RUN_READY, run_ready)         \
    X(RUN_CHILD, run_child)         \
    X(DONE, done)                   \
    X(QUERY, query)                 \
    X(SET, set)                     \
    X(FAULT, fault)                 \
    X(SHARE, share)                 \
    X(TENANT_ADD, tenant_add)       \
    X(TENANT_REMOVE, tenant_remove) \
    X(RESUME, resume)

static void check_frame(const struct weft_inbox *inbox)
{
    static uint8_t bytes[WEFT_WIRE_REQUEST_MAX];
    struct weft_writer writer = weft_writer_over(bytes, sizeof(bytes));
    struct weft_reader reader = weft_inbox_reader(inbox);
    uint16_t minor = inbox->header.minor;
    int rc = -1;
    REQUIRE(inbox->header.length <= weft_wire_payload_max(inbox->header.type));
    switch (inbox->header.type) {
#define X(type, name)                                                  \
    case WEFT_WIRE_##type: {                                           \
        static struct weft_wire_##name message;                        \
        rc = weft_wire_##name##_decode(reader, minor, &message, NULL); \
        if (rc == 0)                                                   \
            weft_wire_##name##_encode(&message, &writer);              \
        break;                                                         \
    }
        TYPES(X)
#undef X
    default:
        return;
    }
    if (rc)
        return;
    REQUIRE(!writer.failed);
    REQUIRE(minor < WEFT_WIRE_MINOR || writer.used <= reader.left);
    REQUIRE(minor > WEFT_WIRE_MINOR || writer.used >= reader.left);
    REQUIRE(memcmp(bytes, reader.next, WEFT_MIN(writer.used, reader.left)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_inbox inbox;
    if (size == 0)
        return 0;
    /* An exact copy, so that a read past its end is seen. */
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    struct memory_link memory = {.link = {.ops = &memory_ops, .fd = -1},
                                 .next = copy + 1,
                                 .left = size - 1,
                                 .piece = 1 + copy[0]};
    weft_inbox_init(&inbox, 0);
    while (weft_inbox_fill(&inbox, &memory.link, NULL) == 1) {
        check_frame(&inbox);
        weft_inbox_next(&inbox);
    }
    weft_inbox_finish(&inbox);
    free(copy);
    return 0;
}

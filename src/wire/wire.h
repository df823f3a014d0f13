/* What goes over the socket between programs, the command and weftd. A frame is a header of
 * WEFT_WIRE_HEADER_BYTES and a payload, fixed-width and little-endian; descriptors travel beside
 * it. docs/protocol.md has the same in prose.
 *
 * The header and the ERROR message keep their layout for ever, so that two majors can tell each
 * other apart in words. Within a major, a newer minor only appends fields: a decoder ignores what
 * follows the fields that it knows exactly if the peer's minor is newer than its own. Nothing here
 * allocates; every text has a named maximum, its terminating zero included. */
#ifndef WEFT_WIRE_WIRE_H
#define WEFT_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/access.h"
#include "policy/gpus.h"
#include "policy/limits.h"
#include "util/cursor.h"
#include <weft/backend.h>
#include <weft/err.h>

#define WEFT_WIRE_MAGIC 0x54464557u /* "WEFT" */
#define WEFT_WIRE_MAJOR 1
#define WEFT_WIRE_MINOR 7
#define WEFT_WIRE_HEADER_BYTES 16

#define WEFT_WIRE_FDS_MAX (2 + 2 * WEFT_DEVICES_MAX)
#define WEFT_WIRE_REQUEST_MAX 8192u      /* payload of any message but ANSWER */
#define WEFT_WIRE_ANSWER_MAX (16u << 20) /* payload of ANSWER */
#define WEFT_WIRE_TENANT_BYTES 65
#define WEFT_WIRE_VERSION_BYTES 33
#define WEFT_WIRE_TEXT_BYTES 1025 /* sentences for a person */
#define WEFT_WIRE_PATH_BYTES 108  /* a unix socket's path */
#define WEFT_WIRE_DEVICE_BYTES 65 /* how a person names a device */

/* X(NAME, number, largest payload). */
#define WEFT_WIRE_TYPES(X)                      \
    X(ERROR, 1, WEFT_WIRE_REQUEST_MAX)          \
    X(HELLO, 2, WEFT_WIRE_REQUEST_MAX)          \
    X(WELCOME, 3, WEFT_WIRE_REQUEST_MAX)        \
    X(REPORT, 4, WEFT_WIRE_REQUEST_MAX)         \
    X(RUN_BEGIN, 5, WEFT_WIRE_REQUEST_MAX)      \
    X(RUN_READY, 6, WEFT_WIRE_REQUEST_MAX)      \
    X(RUN_CHILD, 7, WEFT_WIRE_REQUEST_MAX)      \
    X(RUN_SYNC, 8, WEFT_WIRE_REQUEST_MAX)       \
    X(DONE, 9, WEFT_WIRE_REQUEST_MAX)           \
    X(QUERY, 10, WEFT_WIRE_REQUEST_MAX)         \
    X(ANSWER, 11, WEFT_WIRE_ANSWER_MAX)         \
    X(SET, 12, WEFT_WIRE_REQUEST_MAX)           \
    X(FAULT, 13, WEFT_WIRE_REQUEST_MAX)         \
    X(SHARE, 14, WEFT_WIRE_REQUEST_MAX)         \
    X(TENANT_ADD, 15, WEFT_WIRE_REQUEST_MAX)    \
    X(TENANT_REMOVE, 16, WEFT_WIRE_REQUEST_MAX) \
    X(RESUME, 17, WEFT_WIRE_REQUEST_MAX)

enum weft_wire_type {
#define X(name, number, maximum) WEFT_WIRE_##name = number,
    WEFT_WIRE_TYPES(X)
#undef X
};

struct weft_wire_header {
    uint16_t major, minor;
    uint16_t type;     /* enum weft_wire_type, or one that only a newer minor knows */
    uint16_t fd_count; /* descriptors that come with the frame */
    uint32_t length;   /* of the payload */
};

/* Something went wrong with what the peer asked for. */
struct weft_wire_error {
    uint16_t code; /* enum weft_errno */
    char text[WEFT_WIRE_TEXT_BYTES];
};

/* A program to its tenant's socket: grant me what this tenant has. */
struct weft_wire_hello {
    uint64_t start_ticks; /* the process' own start time, see weft_process_start_time */
    char version[WEFT_WIRE_VERSION_BYTES];
};

struct weft_wire_device {
    enum weft_device_kind kind;
    bool has_arena, has_page; /* their descriptors follow, in this order */
    uint32_t native_index;
    uint32_t page_slot;
    uint8_t uuid[WEFT_UUID_BYTES];
    char profile[WEFT_PROFILE_BYTES];
};

/* weftd to a program. Descriptors: the tenant's ledger, its policy page, then those of each device.
 */
struct weft_wire_welcome {
    uint32_t slot; /* in the tenant's ledger */
    uint32_t device_count;
    char tenant[WEFT_WIRE_TENANT_BYTES];
    struct weft_wire_device devices[WEFT_DEVICES_MAX];
};

/* A sentence for a person, and since minor 5 also that a context has ended by a fault: a program to
 * weftd, weftd to `weft run`. */
struct weft_wire_report {
    uint32_t pid;                    /* 0 from a program: weftd knows who it is */
    char text[WEFT_WIRE_TEXT_BYTES]; /* may be empty where there is an error */
    uint32_t error;  /* a CUresult, the context's from now on; 0: no context has ended */
    uint32_t device; /* the context's, of the tenant */
    uint32_t xid;    /* of an injected fault, softgpu/faults.h; 0: it was none */
};

/* `weft run` to weftd: make this tenant, or let me join it. */
struct weft_wire_run_begin {
    char tenant[WEFT_WIRE_TENANT_BYTES]; /* empty: run-PID */
    struct weft_gpu_list gpus;           /* how many, and their placement since minor 4 */
    struct weft_limits limits;           /* before minor 2 only the memory's ceiling */
    struct weft_access run, change;      /* since minor 4 */
};

struct weft_wire_run_ready {
    bool joined;
    uint32_t device_count;
    char tenant[WEFT_WIRE_TENANT_BYTES];
    char socket[WEFT_WIRE_PATH_BYTES];
    uint32_t mps_percent; /* of the SMs, what programs ask NVIDIA's MPS for; 0: nothing; minor 4 */
    bool soft;            /* the devices are soft ones; since minor 6 */
};

/* `weft run` to weftd: this is the program. Not answered. */
struct weft_wire_run_child {
    uint32_t pid;
};

/* What was asked for is done. `note` is empty or a sentence for a person. Also answers RUN_SYNC,
 * which has no fields and asks that all reports of the tenant's programs so far are handed on
 * first. */
struct weft_wire_done {
    char note[WEFT_WIRE_TEXT_BYTES];
};

enum weft_wire_query_kind {
    WEFT_WIRE_QUERY_PS = 1,
    WEFT_WIRE_QUERY_LS = 2,
    WEFT_WIRE_QUERY_SOFT = 3,   /* since minor 1 */
    WEFT_WIRE_QUERY_TENANTS = 4 /* since minor 4 */
};

/* Answered by ANSWER, whose payload is JSON text without a terminating zero. */
struct weft_wire_query {
    uint8_t kind;
};

/* Changes what a live tenant is held to: what `limits` gives. */
struct weft_wire_set {
    char tenant[WEFT_WIRE_TENANT_BYTES];
    struct weft_limits limits; /* before minor 2 only the memory's ceiling */
    struct weft_access run,
        change; /* since minor 4: a list that is given takes the old one's place */
};

/* Something happens to a soft device: since minor 1. Answered by DONE. */
struct weft_wire_fault {
    uint32_t xid;                        /* softgpu/faults.h; 0: all is well again */
    uint32_t pid;                        /* only this process; 0: not asked for */
    char tenant[WEFT_WIRE_TENANT_BYTES]; /* only processes of this tenant; empty: not asked for */
    char device[WEFT_WIRE_DEVICE_BYTES]; /* [soft=]PROFILE[:N] or GPU-uuid */
};

/* A program to weftd: it has device memory in a file that others may have too, whose descriptor
 * comes along; or, without one, it has the file no more. Not answered. Since minor 3. */
struct weft_wire_share {
    uint32_t device; /* of the tenant */
    uint64_t file;   /* the program's name for it */
};

#define WEFT_WIRE_OWNER_ASKS UINT32_MAX

/* A tenant that is there without processes, till it is removed. Answered by RUN_READY, with the
 * socket in the folder that a container mounts. Since minor 4. */
struct weft_wire_tenant_add {
    uint32_t owner; /* a uid; WEFT_WIRE_OWNER_ASKS: who asks */
    struct weft_wire_run_begin asked;
};

/* Answered by DONE; with force its processes are being ended then. Since minor 4. */
struct weft_wire_tenant_remove {
    bool force;
    char tenant[WEFT_WIRE_TENANT_BYTES];
};

/* A program to its tenant's socket, or `weft run` to weftd: weftd, or its former life, knows me;
 * this is my socket now. Not answered, but where weftd knows no such lease. Since minor 7. */
struct weft_wire_resume {
    char tenant[WEFT_WIRE_TENANT_BYTES];
    uint32_t slot;        /* in the tenant's ledger; 0: of `weft run` */
    uint64_t start_ticks; /* as in HELLO */
};

/* The largest payload of a type; 0 for a type that is not known. */
uint32_t weft_wire_payload_max(uint16_t type);
/* "HELLO"; "unknown" for a type that is not. */
const char *weft_wire_type_name(uint16_t type);

void weft_wire_header_encode(const struct weft_wire_header *header,
                             uint8_t bytes[WEFT_WIRE_HEADER_BYTES]);
/* WEFT_EPROTO: not ours, or lengths and counts over their maximum. WEFT_EVERSION: another major;
 * *header is filled then too, with the type ERROR and its length checked, so that the peer's own
 * words can be read. */
int weft_wire_header_decode(const uint8_t bytes[WEFT_WIRE_HEADER_BYTES],
                            struct weft_wire_header *header, struct weft_err *err);

/* Encoders fail only by leaving writer->failed set. Decoders read all of the payload; `minor` is
 * the peer's. WEFT_EPROTO. */
#define WEFT_WIRE_CODEC(name)                                                \
    void weft_wire_##name##_encode(const struct weft_wire_##name *message,   \
                                   struct weft_writer *writer);              \
    int weft_wire_##name##_decode(struct weft_reader reader, uint16_t minor, \
                                  struct weft_wire_##name *message, struct weft_err *err)
WEFT_WIRE_CODEC(error);
WEFT_WIRE_CODEC(hello);
WEFT_WIRE_CODEC(welcome);
WEFT_WIRE_CODEC(report);
WEFT_WIRE_CODEC(run_begin);
WEFT_WIRE_CODEC(run_ready);
WEFT_WIRE_CODEC(run_child);
WEFT_WIRE_CODEC(done);
WEFT_WIRE_CODEC(query);
WEFT_WIRE_CODEC(set);
WEFT_WIRE_CODEC(fault);
WEFT_WIRE_CODEC(share);
WEFT_WIRE_CODEC(tenant_add);
WEFT_WIRE_CODEC(tenant_remove);
WEFT_WIRE_CODEC(resume);
#undef WEFT_WIRE_CODEC

#endif

/* A GPU that cannot stop a kernel, in virtual time, behind the calls that the gate makes; its
 * streams wait for words in host memory, and write to them; a neighbour that always has work for
 * it; and an arbiter over policy/share.h between the two. Only launches, and sleeps of who is held,
 * let time pass. */
#ifndef WEFT_TESTS_UNIT_GATE_FAKE_GPU_H
#define WEFT_TESTS_UNIT_GATE_FAKE_GPU_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/cuda_table.h>

#include "policy/share.h"
#include "tenant/gate.h"

#define MICROSECOND 1000ull
#define MILLISECOND 1000000ull
#define SECOND 1000000000ull
#define FAKE_STREAMS 8
#define FAKE_EVENTS 1024
#define FAKE_OPS 1024 /* of a stream at once */
#define FAKE_WRITES 4096
#define FAKE_FOREVER (UINT64_MAX / 4)

/* What a stream was given and has not come to. */
struct fake_op {
    enum { FAKE_KERNEL, FAKE_EVENT, FAKE_WAIT, FAKE_WRITE } kind;
    uint64_t at_ns; /* when it was given */
    uint64_t time_ns;
    uintptr_t event;
    uint32_t *word, value;
};

struct fake_stream {
    struct fake_op ops[FAKE_OPS];
    uint32_t first, count;
    uint64_t end_ns; /* when what it came to has ended */
};

/* The stream comes to it then. */
struct fake_write {
    uint64_t at_ns;
    uint32_t *word, value;
};

struct fake_gpu {
    uint64_t now_ns, free_ns; /* when all that was launched has ended */
    uint64_t own_ns;          /* that our kernels took */
    uint64_t idle_ns;         /* that nobody's did */
    struct fake_stream streams[FAKE_STREAMS];
    struct fake_write writes[FAKE_WRITES];
    uint32_t write_count;
    bool cannot_wait; /* streams cannot wait for words */
    uint32_t begun;   /* kernels that the device has been given by their streams */
    uint64_t last_us; /* of these the last one's time */
    uint32_t destroyed;
    bool is_captured[FAKE_STREAMS];
    bool overlaps; /* kernels of several streams run at once */
    uint64_t events_ns[FAKE_EVENTS];
    uint32_t event_count, records, queries, launches, charges;
    CUstreamCaptureMode mode;
    CUcontext context;
    CUresult lost;    /* what queries answer, where not 0 */
    CUresult refused; /* what launches answer, where not 0 */
    bool is_free;
    uint32_t in_flight;    /* as the gate says */
    bool other_is_busy;    /* another process of the tenant has kernels on their way */
    bool wants;            /* we do */
    uint64_t neighbour_ns; /* of its kernels; 0: there is none */
    uint64_t ran_ns;       /* as the gate shows */
    const struct fake_beside *beside;
    struct weft_share share;
    struct weft_share_tenant own, neighbour;
};
extern struct fake_gpu fake;

/* Other processes beside ours: what is told to them, and when time has passed. NULL: none. */
struct fake_beside {
    void (*note_run)(uint64_t time_ns);
    uint64_t (*charge)(uint64_t time_ns); /* what is charged of that */
    void (*note_flights)(uint32_t count);
    void (*pass)(void);
};

/* A fresh one, with the gate before it. */
void fake_gpu_init(struct weft_cuda *table, uint32_t weight, uint32_t cap_e4);
CUresult fake_gpu_launch(struct weft_cuda *table, uintptr_t function, uintptr_t stream,
                         uint64_t time_us);
/* Time passes, and the gate looks. */
void fake_gpu_pass(uint64_t time_ns);
/* The same, but that the driver is stuck: only what calls nothing of it looks. */
void fake_gpu_pass_stuck(uint64_t time_ns);

#endif

/* A GPU that cannot stop a kernel, in virtual time, behind the calls that the gate makes; a
 * neighbour that always has work for it; and an arbiter over policy/share.h between the two. Only
 * launches, and sleeps of who is held, let time pass. */
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
#define FAKE_FOREVER (UINT64_MAX / 4)

struct fake_gpu {
    uint64_t now_ns, free_ns;         /* when all that was launched has ended */
    uint64_t own_ns;                  /* that our kernels took */
    uint64_t idle_ns;                 /* that nobody's did */
    uint64_t stream_ns[FAKE_STREAMS]; /* when what was launched there has ended */
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
    struct weft_share share;
    struct weft_share_tenant own, neighbour;
};
extern struct fake_gpu fake;

/* A fresh one, with the gate before it. */
void fake_gpu_init(struct weft_cuda *table, uint32_t weight, uint32_t cap_e4);
CUresult fake_gpu_launch(struct weft_cuda *table, uintptr_t function, uintptr_t stream,
                         uint64_t time_us);

#endif

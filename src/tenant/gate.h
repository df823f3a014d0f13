/* The gate: a layer that holds a tenant's launches to its share of a device whose kernels cannot be
 * stopped. Kernels (plain, with a configuration, cooperative) and graphs, on any stream, begin when
 * the arbiter lets the tenant through and not too much of its work is on its way
 * (policy/flight.h); what they took is measured between two events around each, without waiting for
 * anything, and charged as the union of the intervals.
 *
 * A launch that has to wait does so in its caller. It goes through after a bounded wait where the
 * tenant has unfinished work, since that may be waiting for it: collectives over several devices
 * come to their end, and are charged. Who is alone and uncapped is neither delayed nor measured;
 * streams that are being captured are not touched.
 *
 * A program that launches nothing more does not look whether its work has ended, and others would
 * wait for it: while measured work is on its way a thread looks, and ends soon after. */
#ifndef WEFT_TENANT_GATE_H
#define WEFT_TENANT_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/backend.h>

struct weft_cuda;

/* Who says whose turn it is on each device, by ordinal. Any thread, several at once; it calls
 * nothing of the backend. */
struct weft_gate_arbiter {
    void *context;
    uint32_t device_count;
    bool has_looker; /* a thread looks at work that is on its way */
    /* Nothing is asked, measured or charged while this says so. */
    bool (*is_free)(void *context, uint32_t device);
    /* The process begins or ends to have work for the device. */
    void (*want)(void *context, uint32_t device, bool wants);
    /* Whether work may begin. */
    bool (*ask)(void *context, uint32_t device);
    void (*charge)(void *context, uint32_t device, uint64_t time_ns);
    /* So many kernels of the process are on their way there. */
    void (*note_flights)(void *context, uint32_t device, uint32_t count);
    /* Whether the tenant has unfinished work, in any of its processes, on any device. */
    bool (*is_busy)(void *context);
    uint64_t (*now_ns)(void *context);
    /* Until something may have changed, at most so long. */
    void (*sleep)(void *context, uint32_t device, uint64_t most_ns);
};

/* A held launch goes through after so long where other work of the tenant is unfinished, in any of
 * its processes. */
#define WEFT_GATE_PATIENCE_NS 100000000ull
/* Contexts whose work is measured; launches in more of them are let through. */
#define WEFT_GATE_LANES_MAX 16
/* Kernels of a context that are on their way at once. */
#define WEFT_GATE_FLIGHTS_MAX 256

/* Keeps the entries that it replaces, and a copy of the arbiter. Once a process, before the table
 * is published. */
void weft_gate_install(struct weft_cuda *table, const struct weft_gate_arbiter *arbiter);
/* Sees what has ended meanwhile. To be called now and then while work is on its way, since a
 * program that launches nothing more does not look. Never waits. Any thread. */
void weft_gate_look(void);
/* In a child forked before cuInit. The parent's thread is not there. */
void weft_gate_drop_after_fork(void);

#endif

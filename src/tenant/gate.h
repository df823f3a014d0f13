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
 * Not installed yet: native devices have no words to share their time by. */
#ifndef WEFT_TENANT_GATE_H
#define WEFT_TENANT_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/share.h"

struct weft_cuda;

/* Who says whose turn it is. Any thread, several at once; it calls nothing of the backend. */
struct weft_gate_arbiter {
    void *context;
    /* Nothing is asked, measured or charged while this says so. */
    bool (*is_free)(void *context);
    /* The tenant begins or ends to have work for the device. */
    void (*want)(void *context, bool wants);
    /* Whether work may begin; *wait_ns is written where it is CAPPED. */
    enum weft_share_verdict (*ask)(void *context, uint64_t *wait_ns);
    void (*charge)(void *context, uint64_t time_ns);
    uint64_t (*now_ns)(void *context);
    /* Until something may have changed, at most so long. */
    void (*sleep)(void *context, uint64_t most_ns);
};

/* A held launch goes through after so long where other work of the tenant is unfinished. */
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
/* In a child forked before cuInit. */
void weft_gate_drop_after_fork(void);

#endif

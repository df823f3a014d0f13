/* The gate: a layer that holds a tenant's launches to its share of a device whose kernels cannot be
 * stopped. Kernels (plain, with a configuration, cooperative) and graphs, on any stream, begin when
 * the arbiter lets the tenant through and not too much of its work is on its way
 * (policy/flight.h); what they took is measured between two events around each, without waiting for
 * anything, and charged as the union of the intervals, of which the arbiter divides what others'
 * work ran in, too (tenant/overlap.h says how well).
 *
 * A launch that has to wait does so in its stream: the stream itself is made to wait for a word of
 * ours in host memory, the launch is given to the driver behind that and returns, and the word is
 * written when the arbiter lets it through. So order, events, copies and waits stay the driver's.
 * Past WEFT_GATE_HELD_MAX or WEFT_GATE_HELD_NS, and where a driver cannot make streams wait for
 * words, it waits in its caller.
 *
 * A held launch goes through after a bounded wait where other work of the tenant is unfinished,
 * since that may be waiting for it: collectives over several devices come to their end, and are
 * charged. The wait doubles each time until it is the tenant's turn again, so that long kernels do
 * not get past a cap that way. Who is alone and uncapped is neither delayed nor measured, once what
 * it held has ended; streams that are being captured are not touched.
 *
 * A program that launches nothing more does not look whether its work has ended, and others would
 * wait for it: while measured work is on its way a thread looks, and ends soon after. Another one,
 * which never calls the driver, lets held launches through, so that it comes to them whatever calls
 * of the program wait for them inside of the driver. */
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
    bool has_threads; /* of ours, that look and let through; without them the launches do */
    /* Nothing is asked, measured or charged while this says so. */
    bool (*is_free)(void *context, uint32_t device);
    /* The process begins or ends to have work for the device. */
    void (*want)(void *context, uint32_t device, bool wants);
    /* Whether work may begin. */
    bool (*ask)(void *context, uint32_t device);
    /* The three of a device are called one at a time. Work ran for so much longer: shown while it
     * runs, so that what tenants' work ran side by side can be divided among them. */
    void (*note_run)(void *context, uint32_t device, uint64_t time_ns);
    /* Work that ran for so long has ended; that was noted. */
    void (*charge)(void *context, uint32_t device, uint64_t time_ns);
    /* So many kernels of the process are on their way there. */
    void (*note_flights)(void *context, uint32_t device, uint32_t count);
    /* Whether the tenant has unfinished work in another process, on any device. */
    bool (*others_are_busy)(void *context);
    uint64_t (*now_ns)(void *context);
    /* Until something may have changed, at most so long. */
    void (*sleep)(void *context, uint32_t device, uint64_t most_ns);
};

/* A held launch goes through after so long where the tenant has unfinished work that it might wait
 * for: in another stream, context, or process. From then on, until it is the tenant's turn again,
 * after twice as long each time; not more than WEFT_GATE_DOUBLINGS_MAX times. */
#define WEFT_GATE_PATIENCE_NS 100000000ull
#define WEFT_GATE_DOUBLINGS_MAX 10
/* The same where all that is unfinished comes before it in its own stream, and its caller waits:
 * only what that caller does next could be waited for. */
#define WEFT_GATE_CALLER_PATIENCE_NS 10000000000ull
/* Launches of a process that wait in their streams; and for how much time, as far as it is known
 * how long they take: no more once so much is held. */
#define WEFT_GATE_HELD_MAX 64
#define WEFT_GATE_HELD_NS 1000000000ull
/* Contexts whose work is measured; launches in more of them are let through. */
#define WEFT_GATE_LANES_MAX 16
/* Kernels of a context that are on their way, or held in streams, at once. */
#define WEFT_GATE_FLIGHTS_MAX 256

/* Keeps the entries that it replaces, and a copy of the arbiter. Once a process, before the table
 * is published. */
void weft_gate_install(struct weft_cuda *table, const struct weft_gate_arbiter *arbiter);
/* Sees what has ended meanwhile, and lets through what may go on by that. To be called now and then
 * while work is on its way, since a program that launches nothing more does not look. Never waits
 * for work. Any thread. */
void weft_gate_look(void);
/* The same without a call of the driver, whoever is stuck in one. */
void weft_gate_let_through(void);
/* In a child forked before cuInit. The parent's threads are not there. */
void weft_gate_drop_after_fork(void);

#endif

/* Two sides tell what a device's memory is used for: the ledgers what programs have asked for, the
 * vendor's management library (NVML) what the device gives out. The difference is what the driver
 * takes beside what was asked for (contexts, modules, local memory, the rest of its chunks), and
 * what programs outside of weft use. Pure: samples come in, figures go out.
 *
 * The two are not read at one instant. So a process' ledger is read before and after the sample and
 * the larger one counts, and a figure is the smaller one of two samples in a row: what was between
 * its allocation and its charge at one of them is not taken for the driver's. */
#ifndef WEFT_POLICY_RECONCILE_H
#define WEFT_POLICY_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_RECONCILE_UNKNOWN UINT64_MAX
#define WEFT_RECONCILE_PROCESSES_MAX 1024 /* of one device; more are as if none were told */
/* Growth that is worth a line in the log. */
#define WEFT_RECONCILE_OUTSIDE_TOLD_BYTES (UINT64_C(256) << 20)
#define WEFT_RECONCILE_DRIVER_TOLD_BYTES (UINT64_C(1) << 30)

struct weft_reconcile_process {
    uint32_t pid;
    uint64_t bytes; /* UNKNOWN: the library knows of the process and no more */
};

/* What the library says of one device. */
struct weft_reconcile_sample {
    uint64_t used_bytes; /* UNKNOWN: it did not answer, and the rest is void */
    uint32_t count;
    struct weft_reconcile_process processes[WEFT_RECONCILE_PROCESSES_MAX];
};

/* A number of bytes over time. */
struct weft_reconcile_figure {
    uint64_t last;   /* of the last sample, or UNKNOWN */
    uint64_t steady; /* that is acted upon, or UNKNOWN */
    uint64_t told;   /* in the log */
};
#define WEFT_RECONCILE_FIGURE_INIT                                       \
    {                                                                    \
        .last = WEFT_RECONCILE_UNKNOWN, .steady = WEFT_RECONCILE_UNKNOWN \
    }

void weft_reconcile_take(struct weft_reconcile_figure *figure, uint64_t now);
/* Whether it has grown by more than `bound` since it was last told, or shrunk since; from then on
 * it counts as told. */
bool weft_reconcile_is_news(struct weft_reconcile_figure *figure, uint64_t bound);

/* What the device gives to the process; UNKNOWN where the library does not say. */
uint64_t weft_reconcile_of_process(const struct weft_reconcile_sample *sample, uint32_t pid);
/* What of it the process has not asked for. */
uint64_t weft_reconcile_driver(uint64_t given_bytes, uint64_t held_bytes);
/* What is the process' for certain: all that it is given, or at least what it holds. */
uint64_t weft_reconcile_ours(uint64_t given_bytes, uint64_t held_bytes);

#endif

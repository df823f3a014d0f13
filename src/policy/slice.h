/* For how long a tenant that was let through may go on before it is asked again, and where it may
 * be stopped: a slice of device time, adapted to what is known of the tenant and of the others.
 *
 * The length follows the multi-level queues of CTSS (Corbató and others, "An Experimental
 * Time-Sharing System", 1962): who uses its slices up has long ones, since changing costs more than
 * waiting, and who gives the device up early, or is of a low class, short ones. It shrinks with the
 * number of tenants, so that each has its turn within a bounded round. Slices end with kernels
 * where whole kernels fit into them.
 *
 * The modes are those of schedulers of real GPUs: a kernel that began goes on to its end, as
 * TimeGraph has it (Kato and others, 2011), which is all that a device without preemption can do;
 * or it is stopped between two instructions; or, as a mixture, it is stopped when it has gone over
 * its slice by more than a bound, so that short kernels are never cut and long ones hold nobody up.
 *
 * Pure, like share.h: words that processes share, each changed by one atomic instruction. */
#ifndef WEFT_POLICY_SLICE_H
#define WEFT_POLICY_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/share.h"
#include <weft/err.h>

enum weft_slice_mode {
    WEFT_SLICE_PREEMPTIVE,  /* between any two instructions */
    WEFT_SLICE_COOPERATIVE, /* between two kernels */
    WEFT_SLICE_HYBRID,      /* between two kernels, until the bound is passed */
    WEFT_SLICE_MODES,
};
/* One that takes longer is stopped in every mode: it may wait for somebody who is held. */
#define WEFT_SLICE_KERNEL_MOST_NS 1000000000ull

/* "preemptive", "cooperative" or "hybrid"; WEFT_EINVAL. */
int weft_slice_mode_parse(const char *text, enum weft_slice_mode *mode, struct weft_err *err);

/* What a length is made of; all times are device time. */
struct weft_slice_facts {
    uint64_t least_ns, most_ns; /* the device's bounds */
    uint64_t kernel_ns;         /* how long kernels are; 0: not known */
    uint64_t stretch_ns;        /* how much it uses before it has no work; 0: not known */
    uint32_t class;
    uint32_t tenants;  /* that want the device, with this one */
    bool others_first; /* somebody of a more urgent class wants it, or the tenant has a cap */
};
/* Never under least_ns nor, where that is not larger, over most_ns. */
uint64_t weft_slice_length_ns(const struct weft_slice_facts *facts);

/* Where the tenant's work is when it is asked. */
enum weft_slice_point {
    WEFT_SLICE_AT_KERNEL, /* before one */
    WEFT_SLICE_IN_KERNEL,
    WEFT_SLICE_STALLED, /* in one that waits for something */
};
/* As weft_share_judge; a tenant that it lets through has a new slice, and keeps it until it is used
 * up, the policy changes, or somebody more urgent comes. */
enum weft_share_verdict weft_slice_judge(const struct weft_share_view *view,
                                         struct weft_share_tenant *tenant,
                                         enum weft_slice_point point, uint64_t *wait_ns);

/* What is learnt: a kernel of that length ended; the tenant has no more work, after so much. */
void weft_slice_learn_kernel(struct weft_share_tenant *tenant, uint64_t time_ns);
void weft_slice_learn_stretch(struct weft_share_tenant *tenant, uint64_t time_ns);

#endif

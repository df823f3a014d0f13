/* What of a process' work on a native device ran beside others'. Processes show each other for how
 * long their work ran (`ran_ns` in the device page), while it runs, too. Over each window of time
 * those of a device count for no more than the window together: each tenant in proportion to how
 * long its work ran, as the union of its processes', and each of these in proportion again. So
 * kernels that took turns count in full, and those that ran side by side are divided.
 *
 * The error: what was not one after the other in a window of WEFT_OVERLAP_WINDOW_NS but would have
 * fit counts in full, so what is charged is over the union by no more than what the device stood
 * still for in the same window. What comes off is known at the window's end, and taken off what is
 * charged next: later by a window, and by as much as a process looks late at what has ended; what
 * ran in the last half of a window before a program's end counts in full. What is seen late shows
 * in the next window as if it had run there, and may take as much off there: beside busy others
 * about a look in a window, 200 us of 10 ms.
 *
 * One thread at a time for each of them; it neither waits nor looks at a clock. */
#ifndef WEFT_TENANT_OVERLAP_H
#define WEFT_TENANT_OVERLAP_H

#include <stdint.h>

#include "softgpu/device_page.h"

#define WEFT_OVERLAP_WINDOW_NS 10000000ull

/* Of one process on one device. Zeroed is one that has shown nothing. */
struct weft_overlap {
    uint64_t since_ns;                        /* when the window began; 0: there is none */
    uint64_t off_ns;                          /* to be taken off what is charged */
    uint64_t seen[WEFT_DEVICE_SLOT_WORDS];    /* processes that wanted the device in the window */
    uint64_t before_ns[WEFT_LEDGER_SLOTS];    /* `ran_ns` of each when it was first seen in it */
    uint64_t tenants_ns[WEFT_DEVICE_TENANTS]; /* that ran in the window */
};

/* The process has work for the device: a window begins, if there is none. */
void weft_overlap_begin(struct weft_overlap *overlap, const struct weft_device_place *place,
                        uint64_t now_ns);
/* Its work ran for so much longer. */
void weft_overlap_note(struct weft_overlap *overlap, const struct weft_device_place *place,
                       uint64_t now_ns, uint64_t time_ns);
/* It has no more work on its way. */
void weft_overlap_end(struct weft_overlap *overlap, const struct weft_device_place *place,
                      uint64_t now_ns);
/* What is to be charged of so much, that has ended. Where half of the window is over it ends. */
uint64_t weft_overlap_charge(struct weft_overlap *overlap, const struct weft_device_place *place,
                             uint64_t now_ns, uint64_t time_ns);

#endif

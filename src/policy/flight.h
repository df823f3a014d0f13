/* How much work of a tenant may be on its way on a device that cannot stop a kernel: bounded by
 * time, since a bound by count lets long kernels hold everybody up and short ones run dry. The
 * bound is eight times what it takes to see that work has ended, at least two kernels, and between
 * WEFT_FLIGHT_LEAST_NS and WEFT_FLIGHT_MOST_NS; a kernel of which nothing is known goes alone, and
 * so does one that takes WEFT_FLIGHT_LONG_NS: beside such a time the moment for which the device
 * stands still is short, and what is on its way counts against no cap before it has ended.
 *
 * Lengths are learnt from what was measured, by kernel; they grow fast and shrink slowly, since a
 * guess that is too short costs the others more than one that is too long costs the tenant.
 *
 * Pure; the caller's lock guards it. */
#ifndef WEFT_POLICY_FLIGHT_H
#define WEFT_POLICY_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#define WEFT_FLIGHT_KERNELS 1024
#define WEFT_FLIGHT_FIRST_NS 1000000ull /* of a kernel of which nothing is known */
#define WEFT_FLIGHT_LEAST_NS 200000ull
#define WEFT_FLIGHT_MOST_NS 1000000ull
#define WEFT_FLIGHT_LONG_NS 30000000ull
#define WEFT_FLIGHT_LATENCIES 8

struct weft_flight_kernel {
    uint64_t key; /* 0: free */
    uint64_t time_ns;
};

/* Zeroed is one of which nothing is known. */
struct weft_flight {
    struct weft_flight_kernel kernels[WEFT_FLIGHT_KERNELS];
    uint64_t in_flight_ns; /* by the guesses */
    uint32_t in_flight;    /* kernels */
    uint64_t latency_ns;   /* from the end of work until it was seen, on average */
};

/* WEFT_FLIGHT_FIRST_NS where nothing is known. A key is any number but 0. */
uint64_t weft_flight_guess_ns(const struct weft_flight *flight, uint64_t key);
/* Whether one more kernel may be given to the device. */
bool weft_flight_has_room(const struct weft_flight *flight, uint64_t key);
/* One was given, with the guess that `end` wants back. */
uint64_t weft_flight_begin(struct weft_flight *flight, uint64_t key);
void weft_flight_end(struct weft_flight *flight, uint64_t guess_ns);
/* A kernel took so long; its end was seen so long afterwards. */
void weft_flight_learn(struct weft_flight *flight, uint64_t key, uint64_t time_ns);
void weft_flight_learn_latency(struct weft_flight *flight, uint64_t latency_ns);

#endif

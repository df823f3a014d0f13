/* A device of several SMs and threads of several tenants that want it, as a simulation: at each
 * step one thread, drawn at random, begins a slice or ends the one that it runs, so slices overlap
 * in any way. The device's clock is the only clock. */
#ifndef WEFT_TESTS_UNIT_POLICY_SIMULATION_H
#define WEFT_TESTS_UNIT_POLICY_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/slice.h"

#define TENANTS_MAX 16
#define THREADS_MAX 16
#define CHARGES_MAX 400000
#define SECOND 1000000000ull
#define MILLISECOND 1000000ull
#define MICROSECOND 1000ull

struct simulated_tenant {
    struct weft_share_tenant line;
    uint32_t threads;
    uint64_t kernel_ns;                   /* no slice goes over the end of one */
    uint64_t busy_ns, pause_ns;           /* works and pauses by turns; 0: always has work */
    uint64_t worked_ns, resume_ns;        /* since the last pause; when the pause ends */
    uint64_t into_kernel_ns[THREADS_MAX]; /* by thread */
    uint64_t slice_ns[THREADS_MAX];       /* that runs; 0: none */
    bool wants;
};

struct charge {
    uint64_t clock_ns, time_ns;
    uint32_t tenant;
};

struct simulation {
    struct weft_share share;
    struct simulated_tenant tenants[TENANTS_MAX];
    uint32_t tenant_count, sms, running;
    uint32_t held_in_kernel; /* times that a kernel which had begun was kept from going on */
    uint64_t slice_ns, random;
    struct charge *charges; /* owned */
    uint32_t charge_count;
};

void simulation_init(struct simulation *simulation, uint64_t seed, uint32_t sms);
void simulation_finish(struct simulation *simulation);
/* Adds one that always has kernels of that length. */
struct simulated_tenant *simulation_add(struct simulation *simulation, uint32_t weight,
                                        uint32_t class, uint32_t cap_e4, uint64_t kernel_ns,
                                        uint32_t threads);
void simulation_set(struct simulated_tenant *tenant, uint32_t weight, uint32_t class,
                    uint32_t cap_e4);
uint64_t simulation_draw(struct simulation *simulation, uint64_t below);
/* Goes on until the device's clock has advanced by so much. */
void simulation_run(struct simulation *simulation, uint64_t time_ns);

#endif

/* Placement at the size of a data centre: 1000 nodes with eight devices each, and jobs that come,
 * stay and go, all by a fixed seed. Spread and pack, as weftd uses them on one node and here among
 * all, against the first device that fits and one at random. In one run: the same jobs for all. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../timing.h"
#include "policy/place.h"
#include "util/util.h"

#define NODES 1000
#define NODE_DEVICES 8
#define DEVICE_GIB 80
#define GIB ((uint64_t)1 << 30)
#define JOBS 45000
#define WARM_UP 23000
#define STAY_JOBS 11500 /* how many others come, on average, while one stays */
#define LARGE_PERCENT 9
#define SEED 7
#define LOOK_JOBS 100
#define ARRIVALS (2 * JOBS) /* the end of the longest */

struct job {
    struct weft_place_demand demand;
    uint32_t stay; /* arrivals until it ends */
};

struct placed {
    struct placed *next; /* of those who end with the same arrival */
    uint32_t node;
    uint32_t devices[WEFT_PLACE_CHOICE_MAX];
    const struct job *job;
};

enum rule { FIRST_FIT, RANDOM, SPREAD, PACK, RULES };
static const char *const names[RULES] = {"first fit", "random", "spread", "pack"};

struct result {
    double memory, refused, refused_large, stranded, empty_nodes, crowding, decision_us, worst_us;
};

struct world {
    struct weft_place_device devices[NODES][NODE_DEVICES];
    struct placed *ending[ARRIVALS]; /* by arrival */
    uint64_t claimed_bytes;
    uint32_t random;
};

static uint32_t draw(uint32_t *state, uint32_t bound)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)*state * bound) >> 32);
}

/* Many small jobs and few large ones: notebooks and services, some training on two to eight
 * devices, most of these on all of their memory. */
static struct job make_job(uint32_t *state)
{
    static const uint32_t sizes_gib[] = {4, 8, 10, 16, 20, 24, 40, 60};
    struct job job = {.demand = {.devices = 1}, .stay = 1 + draw(state, 2 * STAY_JOBS)};
    uint32_t kind = draw(state, 100);
    if (kind < LARGE_PERCENT) {
        job.demand.devices = 2u << draw(state, 3);
        job.demand.memory_bytes = DEVICE_GIB * GIB;
    } else {
        job.demand.memory_bytes = sizes_gib[draw(state, WEFT_ARRAY_COUNT(sizes_gib))] * GIB;
        job.demand.booked_e4 = draw(state, 2) ? 500 * (1 + draw(state, 16)) : 0;
    }
    return job;
}

/* The first devices of the node that fit. */
static bool first_of(const struct weft_place_device *devices,
                     const struct weft_place_demand *demand, uint32_t chosen[WEFT_PLACE_CHOICE_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NODE_DEVICES && count < demand->devices; i++) {
        if (weft_place_judge(&devices[i], demand) == WEFT_PLACE_FITS)
            chosen[count++] = i;
    }
    return count == demand->devices;
}

static bool by_baseline(struct world *world, const struct weft_place_demand *demand, bool random,
                        struct placed *placed)
{
    uint32_t first = random ? draw(&world->random, NODES) : 0;
    for (uint32_t i = 0; i < NODES; i++) {
        placed->node = (first + i) % NODES;
        if (first_of(world->devices[placed->node], demand, placed->devices))
            return true;
    }
    return false;
}

static bool by_policy(struct world *world, const struct weft_place_demand *demand,
                      enum weft_placement placement, struct placed *placed)
{
    bool found = false;
    struct weft_place_score best = {0}, score;
    uint32_t chosen[WEFT_PLACE_CHOICE_MAX];
    for (uint32_t node = 0; node < NODES; node++) {
        if (!weft_place_choose(placement, world->devices[node], NODE_DEVICES, demand, chosen,
                               &score) ||
            (found && !weft_place_is_better(&score, &best)))
            continue;
        best = score;
        placed->node = node;
        memcpy(placed->devices, chosen, sizeof(chosen));
        found = true;
    }
    return found;
}

static bool place(struct world *world, enum rule rule, const struct weft_place_demand *demand,
                  struct placed *placed)
{
    if (rule == FIRST_FIT || rule == RANDOM)
        return by_baseline(world, demand, rule == RANDOM, placed);
    return by_policy(world, demand, rule == PACK ? WEFT_PLACEMENT_PACK : WEFT_PLACEMENT_SPREAD,
                     placed);
}

static void count(struct world *world, const struct placed *placed, int change)
{
    const struct weft_place_demand *demand = &placed->job->demand;
    for (uint32_t i = 0; i < demand->devices; i++) {
        struct weft_place_device *device = &world->devices[placed->node][placed->devices[i]];
        device->claimed_bytes += (uint64_t)change * demand->memory_bytes;
        device->booked_e4 += (uint32_t)change * demand->booked_e4;
        device->open_tenants += demand->booked_e4 ? 0 : (uint32_t)change;
        device->tenants += (uint32_t)change;
        world->claimed_bytes += (uint64_t)change * demand->memory_bytes;
    }
}

static void end_jobs(struct world *world, uint32_t arrival)
{
    struct placed *next;
    for (struct placed *placed = world->ending[arrival]; placed; placed = next) {
        next = placed->next;
        count(world, placed, -1);
        free(placed);
    }
    world->ending[arrival] = NULL;
}

/* How the free memory lies: what of it no job for a whole device can have, how many nodes are
 * empty, and with how many others a tenant shares its device. */
static void look(const struct world *world, struct result *result)
{
    uint64_t free_bytes = 0, stranded_bytes = 0, tenants = 0, meetings = 0;
    uint32_t empty = 0;
    for (uint32_t node = 0; node < NODES; node++) {
        bool used = false;
        for (uint32_t i = 0; i < NODE_DEVICES; i++) {
            const struct weft_place_device *device = &world->devices[node][i];
            free_bytes += device->memory_bytes - device->claimed_bytes;
            stranded_bytes += device->tenants ? device->memory_bytes - device->claimed_bytes : 0;
            tenants += device->tenants;
            meetings += (uint64_t)device->tenants * device->tenants;
            used |= device->tenants != 0;
        }
        empty += !used;
    }
    result->memory +=
        (double)world->claimed_bytes / ((double)NODES * NODE_DEVICES * DEVICE_GIB * GIB);
    result->stranded += free_bytes ? (double)stranded_bytes / (double)free_bytes : 0;
    result->empty_nodes += (double)empty / NODES;
    result->crowding += tenants ? (double)meetings / (double)tenants : 0;
}

/* One job comes; false where it is refused, or memory is out. */
static bool arrive(struct world *world, enum rule rule, const struct job *job, uint32_t arrival,
                   double *time_ns)
{
    struct placed *placed = calloc(1, sizeof(*placed));
    if (!placed)
        return false;
    placed->job = job;
    double begin_ns = bench_now_ns();
    bool found = place(world, rule, &job->demand, placed);
    *time_ns = bench_now_ns() - begin_ns;
    if (!found) {
        free(placed);
        return false;
    }
    count(world, placed, 1);
    struct placed **end = &world->ending[WEFT_MIN(arrival + job->stay, ARRIVALS - 1)];
    placed->next = *end;
    *end = placed;
    return true;
}

static void average(struct result *result, uint32_t looks, uint32_t jobs, uint32_t large_jobs)
{
    result->refused /= jobs;
    result->refused_large /= large_jobs;
    result->memory /= looks;
    result->stranded /= looks;
    result->empty_nodes /= looks;
    result->crowding /= looks;
}

static void simulate(const struct job *jobs, enum rule rule, struct world *world, double *times_ns,
                     struct result *result)
{
    uint32_t looks = 0, large_jobs = 0;
    *world = (struct world){.random = SEED};
    for (uint32_t i = 0; i < NODES * NODE_DEVICES; i++)
        world->devices[i / NODE_DEVICES][i % NODE_DEVICES].memory_bytes = DEVICE_GIB * GIB;
    for (uint32_t arrival = 0; arrival < JOBS; arrival++) {
        end_jobs(world, arrival);
        bool large = jobs[arrival].demand.devices > 1;
        bool found = arrive(world, rule, &jobs[arrival], arrival, &times_ns[arrival]);
        if (arrival < WARM_UP)
            continue;
        large_jobs += large;
        result->refused += !found;
        result->refused_large += !found && large;
        if (arrival % LOOK_JOBS == 0) {
            look(world, result);
            looks++;
        }
    }
    for (uint32_t arrival = JOBS; arrival < ARRIVALS; arrival++)
        end_jobs(world, arrival);
    average(result, looks, JOBS - WARM_UP, large_jobs);
    result->decision_us = bench_quantile(times_ns, JOBS, 0.5) / 1e3;
    result->worst_us = bench_quantile(times_ns, JOBS, 0.99) / 1e3;
}

/* What weftd does for one `weft run`: a choice among the devices of its own node. */
static double node_decision_us(enum weft_placement placement, double *times_ns)
{
    struct weft_place_device devices[WEFT_PLACE_CHOICE_MAX];
    uint32_t state = SEED, chosen[WEFT_PLACE_CHOICE_MAX];
    for (uint32_t i = 0; i < WEFT_PLACE_CHOICE_MAX; i++)
        devices[i] = (struct weft_place_device){DEVICE_GIB * GIB, draw(&state, 40) * GIB,
                                                draw(&state, 9000), draw(&state, 2), 2};
    for (uint32_t i = 0; i < JOBS; i++) {
        struct job job = make_job(&state);
        double begin_ns = bench_now_ns();
        weft_place_choose(placement, devices, WEFT_PLACE_CHOICE_MAX, &job.demand, chosen, NULL);
        times_ns[i] = bench_now_ns() - begin_ns;
    }
    return bench_quantile(times_ns, JOBS, 0.5) / 1e3;
}

static void print_row(const char *what, const struct result *results, size_t offset,
                      const char *format)
{
    printf("  %-44s", what);
    for (int rule = 0; rule < RULES; rule++) {
        double value;
        memcpy(&value, (const char *)&results[rule] + offset, sizeof(value));
        printf(format, value);
    }
    puts("");
}

static void print_ratio(const char *what, double policy, double baseline)
{
    if (baseline > 0)
        printf("  %-58s %8.2f x\n", what, policy / baseline);
}

int main(void)
{
    struct world *world = calloc(1, sizeof(*world));
    double *times_ns = calloc(JOBS, sizeof(*times_ns));
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    struct result results[RULES] = {0};
    uint32_t state = SEED;
    if (!world || !times_ns || !jobs)
        return 1;
    for (uint32_t i = 0; i < JOBS; i++)
        jobs[i] = make_job(&state);
    for (int rule = 0; rule < RULES; rule++)
        simulate(jobs, (enum rule)rule, world, times_ns, &results[rule]);
    printf(
        "placement: %d nodes with %d devices of %d GiB, %d jobs after %d that fill them\n  %-44s",
        NODES, NODE_DEVICES, DEVICE_GIB, JOBS - WARM_UP, WARM_UP, "");
    for (int rule = 0; rule < RULES; rule++)
        printf("%12s", names[rule]);
    puts("");
#define ROW(what, member, format) print_row(what, results, offsetof(struct result, member), format)
    ROW("memory in use, of all", memory, "%12.3f");
    ROW("refused, of all jobs", refused, "%12.4f");
    ROW("refused, of jobs for 2 to 8 whole devices", refused_large, "%12.3f");
    ROW("free memory beside tenants, of what is free", stranded, "%12.3f");
    ROW("empty nodes, of all", empty_nodes, "%12.3f");
    ROW("tenants on a tenant's device", crowding, "%12.2f");
    ROW("a decision among all, median us", decision_us, "%12.1f");
    ROW("a decision among all, p99 us", worst_us, "%12.1f");
    const struct result *first = &results[FIRST_FIT], *random = &results[RANDOM],
                        *spread = &results[SPREAD], *pack = &results[PACK];
    print_ratio("pack: refused, against first fit", pack->refused, first->refused);
    print_ratio("pack: refused, against random", pack->refused, random->refused);
    print_ratio("pack: memory in use, against first fit", pack->memory, first->memory);
    print_ratio("pack: memory in use, against random", pack->memory, random->memory);
    print_ratio("pack: free memory beside tenants, against random", pack->stranded,
                random->stranded);
    print_ratio("spread: tenants on a tenant's device, against first fit", spread->crowding,
                first->crowding);
    print_ratio("spread: tenants on a tenant's device, against random", spread->crowding,
                random->crowding);
    print_ratio("spread: refused, against random", spread->refused, random->refused);
    printf("  a decision of weftd among %d devices, median: spread %.2f us, pack %.2f us\n",
           WEFT_PLACE_CHOICE_MAX, node_decision_us(WEFT_PLACEMENT_SPREAD, times_ns),
           node_decision_us(WEFT_PLACEMENT_PACK, times_ns));
    free(jobs);
    free(times_ns);
    free(world);
    return 0;
}

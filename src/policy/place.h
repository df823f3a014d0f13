/* Which devices a tenant gets that asks for some of many. Pure: what the devices have and what
 * their tenants were promised comes in, the choice goes out, the same for the same numbers.
 *
 * Memory binds: a device that has not so much left is never chosen. Compute does not, since time is
 * shared: it only says which one is the better.
 * Spread is worst fit, by load; pack is best fit (Johnson, Demers, Ullman, Garey, Graham,
 * "Worst-Case Performance Bounds for Simple One-Dimensional Packing Algorithms", SIAM Journal on
 * Computing 3, 1974), by what is left of memory and compute together, as the norm-based greedy rule
 * of Panigrahy, Talwar, Uyeda and Wieder, "Heuristics for Vector Bin Packing", 2011. */
#ifndef WEFT_POLICY_PLACE_H
#define WEFT_POLICY_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_PLACE_CHOICE_MAX 16       /* devices of one tenant */
#define WEFT_PLACE_COMPUTE_WHOLE 10000 /* in 1/100 % */

enum weft_placement {
    WEFT_PLACEMENT_DEFAULT = 0, /* nobody said: spread */
    WEFT_PLACEMENT_SPREAD = 1,  /* the least loaded that have the memory */
    WEFT_PLACEMENT_PACK = 2,    /* the fullest that have it, so that others stay free */
};

struct weft_place_device {
    uint64_t memory_bytes;
    uint64_t claimed_bytes; /* promised to tenants, or held by them */
    uint32_t booked_e4;    /* compute of tenants that have a cap or a part; may be over the whole */
    uint32_t open_tenants; /* those who may take all of it */
    uint32_t tenants;      /* all */
    uint64_t outside_bytes; /* used by programs that are nobody's tenants */
};

/* On each device. */
struct weft_place_demand {
    uint32_t devices;      /* 1 … WEFT_PLACE_CHOICE_MAX */
    uint64_t memory_bytes; /* 0: nothing in particular */
    uint32_t booked_e4;    /* 0: as much as it gets */
};

/* How good a choice is: the smaller `first`, then the smaller `second`, is the better. */
struct weft_place_score {
    uint64_t first, second;
};

/* What nobody has claimed and nobody else uses of its memory. */
uint64_t weft_place_left(const struct weft_place_device *device);

enum weft_place_verdict {
    WEFT_PLACE_FITS,
    WEFT_PLACE_TOO_SMALL, /* it would not fit an empty one */
    WEFT_PLACE_FULL,
};
enum weft_place_verdict weft_place_judge(const struct weft_place_device *device,
                                         const struct weft_place_demand *demand);
/* Chooses `demand->devices` of `count` different devices; their indices, ascending. Of equal ones
 * the first. False, and nothing is written, where not so many have the memory. `score` may be
 * NULL; it compares choices among several sets of devices. */
bool weft_place_choose(enum weft_placement placement, const struct weft_place_device *devices,
                       size_t count, const struct weft_place_demand *demand,
                       uint32_t chosen[WEFT_PLACE_CHOICE_MAX], struct weft_place_score *score);
bool weft_place_is_better(const struct weft_place_score *one, const struct weft_place_score *other);
/* "spread" or "pack". WEFT_EINVAL. */
int weft_placement_parse(const char *text, enum weft_placement *placement, struct weft_err *err);

#endif

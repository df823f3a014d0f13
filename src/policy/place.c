#include "policy/place.h"

#include <string.h>

#include "util/util.h"

#define PPM 1000000
/* Pack goes through devices in this order: in use, empty, with more compute booked than there is.
 */
#define IN_USE 0
#define EMPTY 1
#define OVERBOOKED 2

uint64_t weft_place_left(const struct weft_place_device *device)
{
    uint64_t left = device->memory_bytes - WEFT_MIN(device->memory_bytes, device->claimed_bytes);
    return left - WEFT_MIN(left, device->outside_bytes);
}

enum weft_place_verdict weft_place_judge(const struct weft_place_device *device,
                                         const struct weft_place_demand *demand)
{
    if (demand->memory_bytes > device->memory_bytes)
        return WEFT_PLACE_TOO_SMALL;
    return demand->memory_bytes > weft_place_left(device) ? WEFT_PLACE_FULL : WEFT_PLACE_FITS;
}

/* What would be left of the memory. */
static uint64_t memory_left_ppm(const struct weft_place_device *device,
                                const struct weft_place_demand *demand)
{
    double left = (double)(weft_place_left(device) - demand->memory_bytes);
    return device->memory_bytes ? (uint64_t)(left / (double)device->memory_bytes * PPM) : 0;
}

static struct weft_place_score score_spread(const struct weft_place_device *device,
                                            const struct weft_place_demand *demand)
{
    uint64_t load = device->booked_e4 + (uint64_t)device->open_tenants * WEFT_PLACE_COMPUTE_WHOLE;
    return (struct weft_place_score){load, PPM - memory_left_ppm(device, demand)};
}

static struct weft_place_score score_pack(const struct weft_place_device *device,
                                          const struct weft_place_demand *demand)
{
    uint64_t booked = (uint64_t)device->booked_e4 + demand->booked_e4;
    uint64_t over = booked - WEFT_MIN(booked, (uint64_t)WEFT_PLACE_COMPUTE_WHOLE);
    uint64_t compute_left =
        WEFT_PLACE_COMPUTE_WHOLE - WEFT_MIN(booked, (uint64_t)WEFT_PLACE_COMPUTE_WHOLE);
    return (struct weft_place_score){over              ? OVERBOOKED + over
                                     : device->tenants ? IN_USE
                                                       : EMPTY,
                                     memory_left_ppm(device, demand) +
                                         compute_left * PPM / WEFT_PLACE_COMPUTE_WHOLE};
}

bool weft_place_is_better(const struct weft_place_score *one, const struct weft_place_score *other)
{
    return one->first != other->first ? one->first < other->first : one->second < other->second;
}

/* The best of those that fit; in the order of their scores. */
struct best {
    size_t count, wanted;
    uint32_t devices[WEFT_PLACE_CHOICE_MAX];
    struct weft_place_score scores[WEFT_PLACE_CHOICE_MAX];
};

static void insert(struct best *best, uint32_t device, struct weft_place_score score)
{
    size_t at = best->count;
    while (at > 0 && weft_place_is_better(&score, &best->scores[at - 1]))
        at--;
    if (at == best->wanted)
        return;
    size_t moved = WEFT_MIN(best->count, best->wanted - 1) - at;
    memmove(&best->devices[at + 1], &best->devices[at], moved * sizeof(best->devices[0]));
    memmove(&best->scores[at + 1], &best->scores[at], moved * sizeof(best->scores[0]));
    best->devices[at] = device;
    best->scores[at] = score;
    best->count = WEFT_MIN(best->count + 1, best->wanted);
}

static void sort(uint32_t *devices, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t device = devices[i];
        size_t at = i;
        for (; at > 0 && devices[at - 1] > device; at--)
            devices[at] = devices[at - 1];
        devices[at] = device;
    }
}

bool weft_place_choose(enum weft_placement placement, const struct weft_place_device *devices,
                       size_t count, const struct weft_place_demand *demand,
                       uint32_t chosen[WEFT_PLACE_CHOICE_MAX], struct weft_place_score *score)
{
    struct best best = {.wanted = demand->devices};
    struct weft_place_score sum = {0};
    if (demand->devices == 0 || demand->devices > WEFT_PLACE_CHOICE_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (weft_place_judge(&devices[i], demand) != WEFT_PLACE_FITS)
            continue;
        insert(&best, (uint32_t)i,
               placement == WEFT_PLACEMENT_PACK ? score_pack(&devices[i], demand)
                                                : score_spread(&devices[i], demand));
    }
    if (best.count < best.wanted)
        return false;
    for (size_t i = 0; i < best.count; i++) {
        sum.first += best.scores[i].first;
        sum.second += best.scores[i].second;
    }
    sort(best.devices, best.count);
    memcpy(chosen, best.devices, best.count * sizeof(chosen[0]));
    if (score)
        *score = sum;
    return true;
}

int weft_placement_parse(const char *text, enum weft_placement *placement, struct weft_err *err)
{
    bool pack = strcmp(text, "pack") == 0;
    if (!pack && strcmp(text, "spread") != 0)
        return weft_fail(err, WEFT_EINVAL, "\"%.40s\": a placement is spread or pack", text);
    *placement = pack ? WEFT_PLACEMENT_PACK : WEFT_PLACEMENT_SPREAD;
    return 0;
}

#include "softgpu/mig.h"

#include <stdlib.h>
#include <string.h>

#include "util/util.h"

/* Where instances of so many memory slices may begin, the same on all models. */
#define STARTS_OF_1 .start_count = 7, .starts = {0, 1, 2, 3, 4, 5, 6}
#define STARTS_OF_2_IN_1G .start_count = 4, .starts = {0, 2, 4, 6}
#define STARTS_OF_2 .start_count = 3, .starts = {0, 2, 4}
#define STARTS_OF_3G .start_count = 2, .starts = {0, 4}
#define STARTS_OF_WHOLE .start_count = 1, .starts = {0}

/* The sizes, multiprocessors and copy engines are those that nvidia-smi shows of a card. They
 * change a little with the driver: the A100 of 40 GB as drivers of 2022 on show each instance
 * (4864, 9856, 19968 MiB; older ones said 9.75, 19.62 and 39.50 GiB in `mig -lgip`), the A100 of 80
 * GB by 9.50, 19.50, 39.25 and 78.75 GiB there, the H100 by 9.75, 19.62, 39.50 and 79.25 GiB: what
 * owners of such cards published of its output, each size in several places. Ids, shares and starts
 * are in NVIDIA's MIG User Guide (docs.nvidia.com/datacenter/tesla/mig-user-guide), "Supported MIG
 * Profiles". */
static const struct weft_mig_profile a100_40g[] = {
    {"1g.5gb", 19, 1, 1, 4864, 14, 1, false, STARTS_OF_1},
    {"1g.5gb+me", 20, 1, 1, 4864, 14, 1, true, STARTS_OF_1},
    {"1g.10gb", 15, 1, 2, 9856, 14, 1, false, STARTS_OF_2_IN_1G},
    {"2g.10gb", 14, 2, 2, 9856, 28, 2, false, STARTS_OF_2},
    {"3g.20gb", 9, 3, 4, 19968, 42, 3, false, STARTS_OF_3G},
    {"4g.20gb", 5, 4, 4, 19968, 56, 4, false, STARTS_OF_WHOLE},
    {"7g.40gb", 0, 7, 8, 40192, 98, 7, false, STARTS_OF_WHOLE},
};

static const struct weft_mig_profile a100_80g[] = {
    {"1g.10gb", 19, 1, 1, 9728, 14, 1, false, STARTS_OF_1},
    {"1g.10gb+me", 20, 1, 1, 9728, 14, 1, true, STARTS_OF_1},
    {"1g.20gb", 15, 1, 2, 19968, 14, 1, false, STARTS_OF_2_IN_1G},
    {"2g.20gb", 14, 2, 2, 19968, 28, 2, false, STARTS_OF_2},
    {"3g.40gb", 9, 3, 4, 40192, 42, 3, false, STARTS_OF_3G},
    {"4g.40gb", 5, 4, 4, 40192, 56, 4, false, STARTS_OF_WHOLE},
    {"7g.80gb", 0, 7, 8, 80640, 98, 7, false, STARTS_OF_WHOLE},
};

static const struct weft_mig_profile h100_80g[] = {
    {"1g.10gb", 19, 1, 1, 9984, 16, 1, false, STARTS_OF_1},
    {"1g.10gb+me", 20, 1, 1, 9984, 16, 1, true, STARTS_OF_1},
    {"1g.20gb", 15, 1, 2, 20096, 26, 1, false, STARTS_OF_2_IN_1G},
    {"2g.20gb", 14, 2, 2, 20096, 32, 2, false, STARTS_OF_2},
    {"3g.40gb", 9, 3, 4, 40448, 60, 3, false, STARTS_OF_3G},
    {"4g.40gb", 5, 4, 4, 40448, 64, 4, false, STARTS_OF_WHOLE},
    {"7g.80gb", 0, 7, 8, 81152, 132, 8, false, STARTS_OF_WHOLE},
};

static const struct {
    const char *model;
    const struct weft_mig_profile *profiles;
    size_t count;
} models[] = {
    {"a100-40g", a100_40g, WEFT_ARRAY_COUNT(a100_40g)},
    {"a100-80g", a100_80g, WEFT_ARRAY_COUNT(a100_80g)},
    {"h100-80g", h100_80g, WEFT_ARRAY_COUNT(h100_80g)},
};

const struct weft_mig_profile *weft_mig_profiles(const char *model, size_t *count)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(models); i++) {
        if (strcmp(models[i].model, model) == 0) {
            *count = models[i].count;
            return models[i].profiles;
        }
    }
    *count = 0;
    return NULL;
}

const struct weft_mig_profile *weft_mig_profile_find(const char *model, const char *name)
{
    size_t count;
    const struct weft_mig_profile *profiles = weft_mig_profiles(model, &count);
    size_t digits = strspn(name, "0123456789");
    bool is_number = digits && digits < 5 && name[digits] == '\0';
    for (size_t i = 0; i < count; i++) {
        if (is_number ? profiles[i].id == strtoul(name, NULL, 10)
                      : strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    }
    return NULL;
}

/* One bit a memory slice. */
static uint32_t slices_of(const struct weft_mig_instance *instance)
{
    return ((1u << instance->profile->memory_slices) - 1) << instance->start;
}

static bool may_start(const struct weft_mig_profile *profile, uint32_t start)
{
    for (uint32_t i = 0; i < profile->start_count; i++) {
        if (profile->starts[i] == start)
            return true;
    }
    return false;
}

int weft_mig_check(const struct weft_mig_instance *instances, size_t count, struct weft_err *err)
{
    uint32_t taken = 0, compute_slices = 0, media = 0;
    if (count > WEFT_MIG_COMPUTE_SLICES)
        return weft_fail(err, WEFT_EINVAL, "%zu instances; a GPU holds at most %d", count,
                         WEFT_MIG_COMPUTE_SLICES);
    for (size_t i = 0; i < count; i++) {
        const struct weft_mig_profile *profile = instances[i].profile;
        uint32_t start = instances[i].start;
        if (!may_start(profile, start))
            return weft_fail(err, WEFT_EINVAL, "%s cannot begin at memory slice %u", profile->name,
                             start);
        if (taken & slices_of(&instances[i]))
            return weft_fail(err, WEFT_EINVAL, "%s at %u overlaps another instance", profile->name,
                             start);
        taken |= slices_of(&instances[i]);
        compute_slices += profile->compute_slices;
        media += profile->media;
    }
    if (compute_slices > WEFT_MIG_COMPUTE_SLICES)
        return weft_fail(err, WEFT_EINVAL, "%u slices of computation; a GPU has %d", compute_slices,
                         WEFT_MIG_COMPUTE_SLICES);
    if (media > 1)
        return weft_fail(err, WEFT_EINVAL, "%u instances with media engines; a GPU has one set",
                         media);
    return 0;
}

int weft_mig_place(const struct weft_mig_instance *instances, size_t count,
                   const struct weft_mig_profile *profile)
{
    struct weft_mig_instance all[WEFT_MIG_COMPUTE_SLICES];
    if (count >= WEFT_MIG_COMPUTE_SLICES)
        return -1;
    memcpy(all, instances, count * sizeof(*instances));
    for (uint32_t i = 0; i < profile->start_count; i++) {
        all[count] = (struct weft_mig_instance){profile, profile->starts[i]};
        if (weft_mig_check(all, count + 1, NULL) == 0)
            return profile->starts[i];
    }
    return -1;
}

/* How GPUs can be carved in hardware (MIG): which kinds of instance a model has, and where each may
 * lie. A pure table; a GPU has 8 slices of memory and 7 of computation. Numbers are those that
 * NVIDIA publishes for the model; `nvidia-smi mig -lgip` and `-lgipp` show them on a card. */
#ifndef WEFT_SOFTGPU_MIG_H
#define WEFT_SOFTGPU_MIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_MIG_MEMORY_SLICES 8
#define WEFT_MIG_COMPUTE_SLICES 7
#define WEFT_MIG_STARTS_MAX 7

/* A kind of GPU instance. */
struct weft_mig_profile {
    const char *name; /* "1g.5gb" */
    uint32_t id;      /* of the GPU instance profile, as nvidia-smi numbers them */
    uint32_t compute_slices;
    uint32_t memory_slices;
    uint32_t memory_mib;
    uint32_t sm_count;
    uint32_t copy_engines;
    bool media; /* holds the engines for media of which there is one set: one at a time */
    uint32_t start_count;
    uint8_t starts[WEFT_MIG_STARTS_MAX]; /* memory slices at which one may begin */
};

/* The table of a soft profile by its name, `count` entries; NULL and 0 where it has no MIG. */
const struct weft_mig_profile *weft_mig_profiles(const char *model, size_t *count);
/* By name or number ("2g.10gb", "14"); NULL. */
const struct weft_mig_profile *weft_mig_profile_find(const char *model, const char *name);

/* An instance in its place. */
struct weft_mig_instance {
    const struct weft_mig_profile *profile; /* borrowed */
    uint32_t start;                         /* memory slice */
};

/* Whether all of them fit onto one GPU together. WEFT_EINVAL with what is wrong: a start that the
 * profile does not have, instances that overlap, too many slices of computation, or a second one
 * that holds the media engines. */
int weft_mig_check(const struct weft_mig_instance *instances, size_t count, struct weft_err *err);
/* The first start at which one more fits beside `instances`, or -1. */
int weft_mig_place(const struct weft_mig_instance *instances, size_t count,
                   const struct weft_mig_profile *profile);

#endif

/* NVIDIA's management library, by documented calls alone; what weftd knows of this machine's GPUs,
 * and of what their memory is used for. Never initialises CUDA. */
#ifndef WEFT_DAEMON_NVML_H
#define WEFT_DAEMON_NVML_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/reconcile.h"
#include <weft/backend.h>

struct weft_nvml;

struct weft_nvml_card {
    void *handle; /* the library's, for its life */
    uint8_t uuid[WEFT_UUID_BYTES];
    char name[96];
    uint64_t memory_bytes, used_bytes;
    uint32_t cc_major, cc_minor; /* 0 where not known */
};

/* NULL where there is none, or it lacks what is needed; that is logged. */
struct weft_nvml *weft_nvml_open(void);
void weft_nvml_close(struct weft_nvml *nvml);
uint32_t weft_nvml_count(const struct weft_nvml *nvml);
/* One GPU; false where the library does not tell enough about it. */
bool weft_nvml_describe(const struct weft_nvml *nvml, uint32_t index, struct weft_nvml_card *card);
/* What the card's memory is used for now. Takes milliseconds. Any thread. */
void weft_nvml_sample(const struct weft_nvml *nvml, void *handle,
                      struct weft_reconcile_sample *sample);

#endif

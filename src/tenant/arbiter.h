/* Whose turn it is on native devices: the gate's arbiter over the words that all processes of a
 * device share, the same that soft devices take turns by (softgpu/engine/turn.h). A process shows
 * there, too, how many kernels it has on their way, so that one that waits for another of its
 * tenant, as a collective does, is not held for ever. What a dead process said weftd takes back. */
#ifndef WEFT_TENANT_ARBITER_H
#define WEFT_TENANT_ARBITER_H

#include <stddef.h>

#include "tenant/gate.h"
#include <weft/backend.h>
#include <weft/err.h>

/* Over the tenant's devices, of which the program sees those at `places`, by ordinal. Devices for
 * which weftd gave no words bind nobody. The result is valid until the next call, and has no device
 * where none has words. WEFT_ENOMEM. */
int weft_arbiter_open(const struct weft_device_grant *devices, size_t device_count,
                      const uint32_t *places, size_t place_count, struct weft_gate_arbiter *arbiter,
                      struct weft_err *err);
/* In a child forked before cuInit. */
void weft_arbiter_drop_after_fork(void);

#endif

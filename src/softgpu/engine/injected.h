/* Faults that somebody injected into a device (`weft soft inject`): words in the device page, which
 * weftd changes and contexts compare with what they found when they were made. Reading them is a
 * load or two of memory that is almost never written. */
#ifndef WEFT_SOFTGPU_ENGINE_INJECTED_H
#define WEFT_SOFTGPU_ENGINE_INJECTED_H

#include "softgpu/engine/engine.h"

/* Of a new context: what happened before does not concern it. */
void weft_soft_injected_init(struct weft_soft_context *context);
/* The context begins to have work: what hit others at work before does not concern it. Scheduler
 * lock held. */
void weft_soft_injected_begin_work(struct weft_soft_context *context);
/* The error that has hit the context; 0 where there is none. Any thread. */
CUresult weft_soft_injected_error(const struct weft_soft_context *context);
/* The same, of a context with work on the device. */
CUresult weft_soft_injected_error_at_work(const struct weft_soft_context *context);
/* Tells the person, once a context. No lock is held. */
void weft_soft_injected_tell(struct weft_soft_context *context);

#endif

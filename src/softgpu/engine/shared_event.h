/* The state of an event that several processes use: a page that all of them map.
 *
 * Each record has a number. Who records announces it with its process, and reaches it in stream
 * order; who waits notes the last number that was announced. A record whose process has died is
 * over, so nobody waits for the dead. */
#ifndef WEFT_SOFTGPU_ENGINE_SHARED_EVENT_H
#define WEFT_SOFTGPU_ENGINE_SHARED_EVENT_H

#include "softgpu/engine/engine.h"
#include "softgpu/ticket.h"

struct weft_soft_shared_event;

/* Under a reference. OUT_OF_MEMORY. */
CUresult weft_soft_shared_event_create(struct weft_soft_shared_event **out);
/* Another process' event: INVALID_VALUE where the handle is none, or leads nowhere any more,
 * INVALID_CONTEXT for one of this process. */
CUresult weft_soft_shared_event_open(const char handle[WEFT_SOFT_TICKET_HANDLE_BYTES],
                                     struct weft_soft_shared_event **out);
struct weft_soft_shared_event *weft_soft_shared_event_get(struct weft_soft_shared_event *event);
/* NULL is left alone. */
void weft_soft_shared_event_put(struct weft_soft_shared_event *event);
void weft_soft_shared_event_name(const struct weft_soft_shared_event *event,
                                 char handle[WEFT_SOFT_TICKET_HANDLE_BYTES]);

/* A record begins; its number. */
uint64_t weft_soft_shared_event_announce(struct weft_soft_shared_event *event);
/* Its turn has come, or it never will. */
void weft_soft_shared_event_reach(struct weft_soft_shared_event *event, uint64_t number);
/* NOT_READY while the last record is not reached. */
CUresult weft_soft_shared_event_query(struct weft_soft_shared_event *event);
/* Sleeps until it is. */
void weft_soft_shared_event_wait(struct weft_soft_shared_event *event);
/* Holds the stream back until it is. */
CUresult weft_soft_shared_event_hold(struct weft_soft_shared_event *event,
                                     struct weft_soft_stream *stream);

#endif

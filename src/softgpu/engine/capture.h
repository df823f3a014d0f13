/* Stream capture: work that a program gives to a stream becomes nodes of a graph instead.
 *
 * A capture begins in one stream, its origin, and takes in others that wait for events recorded in
 * it. Each of its streams stands at a point: the nodes that the next one depends on. All of this is
 * the graph lock's, but for what is said to be read without it. Whether anything captures at all is
 * one word, and whether a stream does is its pointer, so that the calls of programs that capture
 * nothing pay for one branch. */
#ifndef WEFT_SOFTGPU_ENGINE_CAPTURE_H
#define WEFT_SOFTGPU_ENGINE_CAPTURE_H

#include "softgpu/engine/graph.h"
#include "softgpu/engine/schedule.h"

#define WEFT_SOFT_CAPTURE_NODES_MAX WEFT_SOFT_GRAPH_NODES_MAX

/* A capture sequence. Its streams, and events recorded in it, keep the record; it is in the list of
 * captures until it ends. */
struct weft_soft_capture {
    struct weft_soft_link link;
    atomic_uint references;
    uint64_t id;
    uint64_t thread; /* that began it, see weft_soft_capture_thread */
    CUstreamCaptureMode mode;
    CUstreamCaptureStatus status; /* NONE: it has ended */
    struct weft_soft_graph *graph;
    bool graph_is_given;           /* the program's own, by cuStreamBeginCaptureToGraph */
    struct weft_soft_link streams; /* the origin first */
};

struct weft_soft_capture_point {
    struct weft_soft_capture *capture; /* referenced */
    CUgraphNode *nodes;                /* owned */
    CUgraphEdgeData *edges;            /* owned; as many, all plain */
    size_t count;
};

/* A stream's part in a capture. */
struct weft_soft_captured {
    struct weft_soft_link link;
    struct weft_soft_stream *stream; /* referenced; NULL: it was destroyed */
    struct weft_soft_capture_point point;
};

/* Stands in a legacy stream for "in use by the capture of a stream that blocks on it". */
extern struct weft_soft_captured weft_soft_capture_implicit;

/* Below, with the graph lock held. */

/* A capture of `stream` alone, at the start of its graph. NULL where memory has run out. */
struct weft_soft_capture *weft_soft_capture_create(struct weft_soft_stream *stream,
                                                   CUstreamCaptureMode mode,
                                                   struct weft_soft_graph *graph, bool is_given);
/* Takes all streams out of it. What it captured is the caller's; the record goes with its last
 * point. */
void weft_soft_capture_finish(struct weft_soft_capture *capture);
void weft_soft_capture_invalidate(struct weft_soft_capture *capture);
/* Whether `stream` may go on capturing: its part in *out. INVALIDATED, IMPLICIT (which invalidates
 * what it would wait for), ILLEGAL_STATE where it captures nothing. */
CUresult weft_soft_capture_part(struct weft_soft_stream *stream, struct weft_soft_captured **out);
/* Moves a point, or adds to it what is not there yet. OUT_OF_MEMORY. */
CUresult weft_soft_capture_point_set(struct weft_soft_capture_point *point,
                                     const CUgraphNode *nodes, size_t count);
CUresult weft_soft_capture_point_add(struct weft_soft_capture_point *point,
                                     const CUgraphNode *nodes, size_t count);

/* weft_soft_capture_add. */
CUresult weft_soft_capture_add_locked(struct weft_soft_stream *stream, CUgraphNodeParams *params);
/* Lets the stream go on after `mark` too, which takes it into the capture where it is in none. A
 * NULL mark is an event that was not captured. */
CUresult weft_soft_capture_wait(struct weft_soft_stream *stream,
                                const struct weft_soft_capture_point *mark);
/* For a question that an event cannot answer: CAPTURED_EVENT; its capture is spoiled. NULL answers.
 */
CUresult weft_soft_capture_ask(const struct weft_soft_capture_point *mark);

/* Below, without it. */

/* The calling thread's number, never used again. */
uint64_t weft_soft_capture_thread(void);
/* Like cuThreadExchangeStreamCaptureMode, for a mode that there is. */
CUstreamCaptureMode weft_soft_capture_exchange_mode(CUstreamCaptureMode mode);

/* weft_soft_capture_add for a kernel. */
CUresult weft_soft_capture_add_kernel(struct weft_soft_stream *stream, CUgraphNodeParams *params,
                                      const CUlaunchAttribute *attributes,
                                      unsigned int attribute_count);

/* What an event that was recorded in a capture stands for: a copy of the stream's point. */
CUresult weft_soft_capture_mark(struct weft_soft_stream *stream,
                                struct weft_soft_capture_point **out);
void weft_soft_capture_mark_destroy(struct weft_soft_capture_point *mark);

/* A stream is destroyed, or a context with all that it has. */
void weft_soft_capture_forget(struct weft_soft_stream *stream);
void weft_soft_capture_forget_context(struct weft_soft_context *context);

/* For a wait for all of a context's work: UNSUPPORTED where some of its streams capture. */
CUresult weft_soft_capture_forbid_context(struct weft_soft_context *context);

static inline bool weft_soft_stream_captures(struct weft_soft_stream *stream)
{
    return __builtin_expect(atomic_load_explicit(&stream->captured, memory_order_relaxed) != NULL,
                            0);
}

#endif

/* The calls of stream capture. */
#include "softgpu/engine/capture.h"
#include "softgpu/flavours.h"

static CUresult exchange_mode(CUstreamCaptureMode *mode)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (!mode || (unsigned int)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = weft_soft_capture_exchange_mode(*mode);
    return CUDA_SUCCESS;
}

/* Stream and graph lock; given back by leave. */
static CUresult enter(CUstream handle, bool per_thread, struct weft_soft_stream **stream)
{
    CUresult result = weft_soft_stream_enter(handle, per_thread, stream);
    if (result == CUDA_SUCCESS)
        weft_soft_graph_lock();
    return result;
}

static CUresult leave(struct weft_soft_stream *stream, CUresult result)
{
    weft_soft_graph_unlock();
    weft_soft_stream_put(stream);
    return result;
}

/* The stream's part in a capture, invalidated or not; NULL where it has none. */
static struct weft_soft_captured *part_in_capture(struct weft_soft_stream *stream)
{
    struct weft_soft_captured *part = atomic_load(&stream->captured);
    return part == &weft_soft_capture_implicit ? NULL : part;
}

/* Where the nodes go and what the first ones depend on; no graph: a new one. */
struct target {
    CUgraph graph;
    const CUgraphNode *nodes;
    size_t count;
};

static CUresult check_target(const struct target *target, struct weft_soft_graph *graph)
{
    if (!graph || graph->is_captured || (target->count && !target->nodes))
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < target->count; i++) {
        const struct weft_soft_graph_node *node = weft_soft_graph_node_by_handle(target->nodes[i]);
        if (!node || node->graph != graph)
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult begin_in(struct weft_soft_stream *stream, CUstreamCaptureMode mode,
                         const struct target *target)
{
    struct weft_soft_graph *graph = NULL;
    if (stream->legacy)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (part_in_capture(stream))
        return CUDA_ERROR_ILLEGAL_STATE;
    if (target) {
        graph = weft_soft_graph_by_handle(target->graph);
        CUresult result = check_target(target, graph);
        if (result)
            return result;
    } else if (weft_soft_graph_create(&graph, true)) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    struct weft_soft_capture *capture =
        weft_soft_capture_create(stream, mode, graph, target != NULL);
    if (!capture && !target)
        weft_soft_graph_destroy(graph);
    if (!capture || !target)
        return capture ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    return weft_soft_capture_point_add(&part_in_capture(stream)->point, target->nodes,
                                       target->count);
}

static CUresult begin(CUstream handle, bool per_thread, CUstreamCaptureMode mode,
                      const struct target *target)
{
    struct weft_soft_stream *stream;
    CUresult result = enter(handle, per_thread, &stream);
    if (result)
        return result;
    if ((unsigned int)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return leave(stream, CUDA_ERROR_INVALID_VALUE);
    return leave(stream, begin_in(stream, mode, target));
}

/* Whether all that other streams captured is something that the origin waits for. */
static CUresult check_joined(struct weft_soft_capture *capture)
{
    const struct weft_soft_captured *origin =
        WEFT_CONTAINER_OF(capture->streams.next, struct weft_soft_captured, link);
    weft_soft_graph_mark_reached(capture->graph, origin->point.nodes, origin->point.count);
    for (struct weft_soft_link *link = origin->link.next; link != &capture->streams;
         link = link->next) {
        const struct weft_soft_captured *part =
            WEFT_CONTAINER_OF(link, struct weft_soft_captured, link);
        for (size_t i = 0; i < part->point.count; i++) {
            const struct weft_soft_graph_node *node =
                weft_soft_graph_node_by_handle(part->point.nodes[i]);
            if (node && !node->visited)
                return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
        }
    }
    return CUDA_SUCCESS;
}

static CUresult end_of(struct weft_soft_captured *part, CUgraph *out)
{
    struct weft_soft_capture *capture = part->point.capture;
    if (capture->streams.next != &part->link)
        return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
        capture->thread != weft_soft_capture_thread())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    CUresult result = capture->status == CU_STREAM_CAPTURE_STATUS_ACTIVE
                          ? check_joined(capture)
                          : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    struct weft_soft_graph *graph = capture->graph;
    bool is_given = capture->graph_is_given;
    weft_soft_capture_finish(capture);
    if (result == CUDA_SUCCESS)
        *out = (CUgraph)(uintptr_t)graph->handle;
    else if (!is_given)
        weft_soft_graph_destroy(graph);
    return result;
}

static CUresult end(CUstream handle, bool per_thread, CUgraph *out)
{
    struct weft_soft_stream *stream;
    CUresult result = enter(handle, per_thread, &stream);
    if (result)
        return result;
    struct weft_soft_captured *part = part_in_capture(stream);
    if (!out)
        return leave(stream, CUDA_ERROR_INVALID_VALUE);
    *out = NULL;
    return leave(stream, part ? end_of(part, out) : CUDA_ERROR_ILLEGAL_STATE);
}

/* What a program asks of a capture; all but the status may be NULL. */
struct question {
    CUstreamCaptureStatus *status;
    cuuint64_t *id;
    CUgraph *graph;
    const CUgraphNode **nodes;
    const CUgraphEdgeData **edges;
    size_t *count;
};

static void answer(const struct question *question, const struct weft_soft_captured *part)
{
    const struct weft_soft_capture *capture = part->point.capture;
    if (question->id)
        *question->id = capture->id;
    if (question->graph)
        *question->graph = (CUgraph)(uintptr_t)capture->graph->handle;
    if (question->nodes)
        *question->nodes = part->point.nodes;
    if (question->edges)
        *question->edges = part->point.edges;
    if (question->count)
        *question->count = part->point.count;
}

/* The status alone says something of a stream that captures nothing, or no more. A legacy stream
 * that a capture has taken out of use cannot be asked, which does the capture no harm. */
static CUresult ask(CUstream handle, bool per_thread, const struct question *question)
{
    struct weft_soft_stream *stream;
    CUresult result = enter(handle, per_thread, &stream);
    if (result)
        return result;
    const struct weft_soft_captured *part = atomic_load(&stream->captured);
    if (!question->status)
        return leave(stream, CUDA_ERROR_INVALID_VALUE);
    if (part == &weft_soft_capture_implicit)
        return leave(stream, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    *question->status = part ? part->point.capture->status : CU_STREAM_CAPTURE_STATUS_NONE;
    if (*question->status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
        answer(question, part);
    return leave(stream, CUDA_SUCCESS);
}

struct change {
    const CUgraphNode *nodes;
    const CUgraphEdgeData *edges;
    size_t count;
    unsigned int flags;
};

static CUresult change_point(struct weft_soft_captured *part, const struct change *change)
{
    struct target target = {.nodes = change->nodes, .count = change->count};
    struct weft_soft_graph *graph = part->point.capture->graph;
    if (change->flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES)
        return CUDA_ERROR_INVALID_VALUE;
    graph->is_captured = false;
    CUresult result = check_target(&target, graph);
    graph->is_captured = true;
    if (result)
        return result;
    if (change->flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES)
        return weft_soft_capture_point_set(&part->point, change->nodes, change->count);
    return weft_soft_capture_point_add(&part->point, change->nodes, change->count);
}

static CUresult update(CUstream handle, bool per_thread, const struct change *change)
{
    struct weft_soft_stream *stream;
    struct weft_soft_captured *part;
    CUresult result = weft_soft_graph_check_edges(change->edges, change->count);
    if (result)
        return result;
    result = enter(handle, per_thread, &stream);
    if (result)
        return result;
    result = weft_soft_capture_part(stream, &part);
    return leave(stream, result ? result : change_point(part, change));
}

WEFT_SOFT_PAIR(begin_v1, (CUstream stream),
               begin(stream, per_thread, CU_STREAM_CAPTURE_MODE_GLOBAL, NULL))
WEFT_SOFT_PAIR(begin_v2, (CUstream stream, CUstreamCaptureMode mode),
               begin(stream, per_thread, mode, NULL))
WEFT_SOFT_PAIR(end, (CUstream stream, CUgraph *out), end(stream, per_thread, out))
WEFT_SOFT_PAIR(is_capturing, (CUstream stream, CUstreamCaptureStatus *status),
               ask(stream, per_thread, &(struct question){.status = status}))
WEFT_SOFT_PAIR(info_v1, (CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id),
               ask(stream, per_thread, &(struct question){.status = status, .id = id}))
WEFT_SOFT_PAIR(info_v2,
               (CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
                const CUgraphNode **nodes, size_t *count),
               ask(stream, per_thread, &(struct question){status, id, graph, nodes, NULL, count}))
WEFT_SOFT_PAIR(info_v3,
               (CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
                const CUgraphNode **nodes, const CUgraphEdgeData **edges, size_t *count),
               ask(stream, per_thread, &(struct question){status, id, graph, nodes, edges, count}))
WEFT_SOFT_PAIR(update_v1, (CUstream stream, CUgraphNode *nodes, size_t count, unsigned int flags),
               update(stream, per_thread, &(struct change){nodes, NULL, count, flags}))
WEFT_SOFT_PAIR(update_v2,
               (CUstream stream, CUgraphNode *nodes, const CUgraphEdgeData *edges, size_t count,
                unsigned int flags),
               update(stream, per_thread, &(struct change){nodes, edges, count, flags}))

static CUresult begin_to_graph(CUstream stream, bool per_thread, const struct target *target,
                               const CUgraphEdgeData *edges, CUstreamCaptureMode mode)
{
    CUresult result = weft_soft_graph_check_edges(edges, target->count);
    return result ? result : begin(stream, per_thread, mode, target);
}

WEFT_SOFT_PAIR(begin_to_graph,
               (CUstream stream, CUgraph graph, const CUgraphNode *nodes,
                const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode),
               begin_to_graph(stream, per_thread, &(struct target){graph, nodes, count}, edges,
                              mode))

void weft_soft_capture_install(struct weft_cuda *table)
{
    table->cuThreadExchangeStreamCaptureMode = exchange_mode;
    table->cuStreamBeginCapture = begin_v1_legacy;
    table->cuStreamBeginCapture_ptsz = begin_v1_thread;
    table->cuStreamBeginCapture_v2 = begin_v2_legacy;
    table->cuStreamBeginCapture_v2_ptsz = begin_v2_thread;
    table->cuStreamBeginCaptureToGraph = begin_to_graph_legacy;
    table->cuStreamBeginCaptureToGraph_ptsz = begin_to_graph_thread;
    table->cuStreamEndCapture = end_legacy;
    table->cuStreamEndCapture_ptsz = end_thread;
    table->cuStreamIsCapturing = is_capturing_legacy;
    table->cuStreamIsCapturing_ptsz = is_capturing_thread;
    table->cuStreamGetCaptureInfo = info_v1_legacy;
    table->cuStreamGetCaptureInfo_ptsz = info_v1_thread;
    table->cuStreamGetCaptureInfo_v2 = info_v2_legacy;
    table->cuStreamGetCaptureInfo_v2_ptsz = info_v2_thread;
    table->cuStreamGetCaptureInfo_v3 = info_v3_legacy;
    table->cuStreamGetCaptureInfo_v3_ptsz = info_v3_thread;
    table->cuStreamUpdateCaptureDependencies = update_v1_legacy;
    table->cuStreamUpdateCaptureDependencies_ptsz = update_v1_thread;
    table->cuStreamUpdateCaptureDependencies_v2 = update_v2_legacy;
    table->cuStreamUpdateCaptureDependencies_v2_ptsz = update_v2_thread;
}

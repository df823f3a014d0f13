#include "softgpu/engine/capture.h"

#include <stdlib.h>
#include <string.h>

struct weft_soft_captured weft_soft_capture_implicit;

/* Graph lock; the count is read without it. */
static struct weft_soft_link captures = {&captures, &captures};
static atomic_uint capture_count;
static uint64_t last_id;

static __thread uint64_t thread_number;
static __thread CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

static struct weft_soft_capture *capture_of(struct weft_soft_link *link)
{
    return WEFT_CONTAINER_OF(link, struct weft_soft_capture, link);
}

static struct weft_soft_captured *part_of(struct weft_soft_link *link)
{
    return WEFT_CONTAINER_OF(link, struct weft_soft_captured, link);
}

#define EACH_CAPTURE(capture)                                           \
    for (struct weft_soft_capture *capture = capture_of(captures.next); \
         &capture->link != &captures; capture = capture_of(capture->link.next))
#define EACH_PART(part, capture)                                             \
    for (struct weft_soft_captured *part = part_of((capture)->streams.next); \
         &part->link != &(capture)->streams; part = part_of(part->link.next))

uint64_t weft_soft_capture_thread(void)
{
    static atomic_uint_fast64_t last;
    if (!thread_number)
        thread_number = atomic_fetch_add(&last, 1) + 1;
    return thread_number;
}

bool weft_soft_capture_is_on(void)
{
    return __builtin_expect(atomic_load_explicit(&capture_count, memory_order_relaxed) != 0, 0);
}

bool weft_soft_capture_holds(struct weft_soft_stream *stream)
{
    return weft_soft_stream_captures(stream);
}

static void put(struct weft_soft_capture *capture)
{
    if (capture && atomic_fetch_sub(&capture->references, 1) == 1)
        free(capture);
}

static void point_finish(struct weft_soft_capture_point *point)
{
    free(point->nodes);
    free(point->edges);
    put(point->capture);
}

CUresult weft_soft_capture_point_set(struct weft_soft_capture_point *point,
                                     const CUgraphNode *nodes, size_t count)
{
    CUgraphNode *copy = calloc(count + 1, sizeof(*copy));
    CUgraphEdgeData *edges = calloc(count + 1, sizeof(*edges));
    if (!copy || !edges) {
        free(copy);
        free(edges);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (count)
        memcpy(copy, nodes, count * sizeof(*copy));
    free(point->nodes);
    free(point->edges);
    point->nodes = copy;
    point->edges = edges;
    point->count = count;
    return CUDA_SUCCESS;
}

static bool stands_behind(const CUgraphNode *nodes, size_t count, CUgraphNode node)
{
    for (size_t i = 0; i < count; i++) {
        if (nodes[i] == node)
            return true;
    }
    return false;
}

CUresult weft_soft_capture_point_add(struct weft_soft_capture_point *point,
                                     const CUgraphNode *nodes, size_t count)
{
    size_t total = point->count;
    if (count > WEFT_SOFT_CAPTURE_NODES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    CUgraphNode *all = calloc(total + count + 1, sizeof(*all));
    if (!all)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (total)
        memcpy(all, point->nodes, total * sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        if (!stands_behind(all, total, nodes[i]))
            all[total++] = nodes[i];
    }
    CUresult result = weft_soft_capture_point_set(point, all, total);
    free(all);
    return result;
}

/* The stream goes into the capture; its legacy stream cannot be used meanwhile if it would wait for
 * it. */
static struct weft_soft_captured *join(struct weft_soft_capture *capture,
                                       struct weft_soft_stream *stream)
{
    struct weft_soft_captured *part = calloc(1, sizeof(*part));
    if (!part)
        return NULL;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(stream->context);
    weft_soft_handle_retain(stream->handle);
    part->stream = stream;
    part->point.capture = capture;
    atomic_fetch_add(&capture->references, 1);
    weft_soft_list_append(&capture->streams, &part->link);
    atomic_fetch_add(&engine->captured_count, 1);
    if (stream->blocking && engine->captured_blocking++ == 0)
        atomic_store(&engine->legacy->captured, &weft_soft_capture_implicit);
    atomic_store(&stream->captured, part);
    return part;
}

/* The stream goes out of it; its part stays. */
static void part_from(struct weft_soft_captured *part)
{
    struct weft_soft_stream *stream = weft_steal(part->stream);
    if (!stream)
        return;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(stream->context);
    atomic_store(&stream->captured, NULL);
    atomic_fetch_sub(&engine->captured_count, 1);
    if (stream->blocking && --engine->captured_blocking == 0)
        atomic_store(&engine->legacy->captured, NULL);
    weft_soft_handle_put(stream->handle);
}

struct weft_soft_capture *weft_soft_capture_create(struct weft_soft_stream *stream,
                                                   CUstreamCaptureMode mode,
                                                   struct weft_soft_graph *graph, bool is_given)
{
    struct weft_soft_capture *capture = calloc(1, sizeof(*capture));
    if (!capture)
        return NULL;
    atomic_init(&capture->references, 1);
    weft_soft_list_init(&capture->streams);
    capture->mode = mode;
    capture->thread = weft_soft_capture_thread();
    if (!join(capture, stream)) {
        put(capture);
        return NULL;
    }
    capture->id = ++last_id;
    capture->status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    capture->graph = graph;
    capture->graph_is_given = is_given;
    graph->is_captured = true;
    weft_soft_list_append(&captures, &capture->link);
    atomic_fetch_add(&capture_count, 1);
    return capture;
}

void weft_soft_capture_finish(struct weft_soft_capture *capture)
{
    for (struct weft_soft_link *link = capture->streams.next, *next; link != &capture->streams;
         link = next) {
        next = link->next;
        struct weft_soft_captured *part = part_of(link);
        part_from(part);
        point_finish(&part->point);
        free(part);
    }
    weft_soft_list_init(&capture->streams);
    capture->status = CU_STREAM_CAPTURE_STATUS_NONE;
    capture->graph->is_captured = false;
    capture->graph = NULL;
    weft_soft_list_remove(&capture->link);
    atomic_fetch_sub(&capture_count, 1);
    put(capture);
}

void weft_soft_capture_invalidate(struct weft_soft_capture *capture)
{
    if (capture->status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
        capture->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
}

/* The captures that have a stream in `context`, or only those with one that its legacy stream would
 * wait for, are spoiled; whether there were any. */
static bool invalidate_context(struct weft_soft_context *context, bool only_blocking)
{
    bool found = false;
    EACH_CAPTURE(capture)
    {
        EACH_PART(part, capture)
        {
            const struct weft_soft_stream *stream = part->stream;
            if (!stream || stream->context != context || (only_blocking && !stream->blocking))
                continue;
            weft_soft_capture_invalidate(capture);
            found = true;
        }
    }
    return found;
}

CUresult weft_soft_capture_part(struct weft_soft_stream *stream, struct weft_soft_captured **out)
{
    struct weft_soft_captured *part = atomic_load(&stream->captured);
    if (!part)
        return CUDA_ERROR_ILLEGAL_STATE;
    if (part == &weft_soft_capture_implicit) {
        invalidate_context(stream->context, true);
        return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    if (part->point.capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    *out = part;
    return CUDA_SUCCESS;
}

/* Graph lock held. */
static CUresult add(struct weft_soft_stream *stream, CUgraphNodeParams *params, CUgraphNode *node)
{
    struct weft_soft_captured *part;
    CUresult result = weft_soft_capture_part(stream, &part);
    if (result)
        return result;
    struct weft_soft_capture_point *point = &part->point;
    result =
        weft_soft_graph_add(node, point->capture->graph, point->nodes, NULL, point->count, params);
    return result ? result : weft_soft_capture_point_set(point, node, 1);
}

CUresult weft_soft_capture_add_locked(struct weft_soft_stream *stream, CUgraphNodeParams *params)
{
    CUgraphNode node;
    return add(stream, params, &node);
}

CUresult weft_soft_capture_add(struct weft_soft_stream *stream, CUgraphNodeParams *params)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    return weft_soft_graph_leave(weft_soft_capture_add_locked(stream, params));
}

CUresult weft_soft_capture_add_kernel(struct weft_soft_stream *stream, CUgraphNodeParams *params,
                                      const CUlaunchAttribute *attributes,
                                      unsigned int attribute_count)
{
    CUgraphNode node;
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    result = add(stream, params, &node);
    if (result)
        return weft_soft_graph_leave(result);
    struct weft_soft_graph_work *work = &weft_soft_graph_node_by_handle(node)->work;
    CUkernelNodeAttrValue priority = {.priority = stream->priority};
    result = weft_soft_graph_attribute_set(work, CU_LAUNCH_ATTRIBUTE_PRIORITY, &priority);
    if (result == CUDA_SUCCESS)
        result = weft_soft_graph_attributes_take(work, attributes, attribute_count);
    return weft_soft_graph_leave(result);
}

CUresult weft_soft_capture_refuse(struct weft_soft_stream *stream)
{
    struct weft_soft_captured *part;
    if (!weft_soft_stream_captures(stream))
        return CUDA_SUCCESS;
    weft_soft_graph_lock();
    CUresult result = weft_soft_capture_part(stream, &part);
    if (result == CUDA_SUCCESS) {
        weft_soft_capture_invalidate(part->point.capture);
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    weft_soft_graph_unlock();
    return result == CUDA_ERROR_ILLEGAL_STATE ? CUDA_SUCCESS : result;
}

/* Whether a capture of `mode`, begun by this thread or not, keeps the calling thread from what
 * could make it wait. */
static bool forbids(const struct weft_soft_capture *capture)
{
    if (capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED)
        return false;
    if (capture->thread == weft_soft_capture_thread())
        return true;
    return thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
           capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

CUresult weft_soft_capture_permit(void)
{
    if (!weft_soft_capture_is_on() || thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_SUCCESS;
    bool forbidden = false;
    weft_soft_graph_lock();
    EACH_CAPTURE(capture)
    {
        if (!forbids(capture))
            continue;
        weft_soft_capture_invalidate(capture);
        forbidden = true;
    }
    weft_soft_graph_unlock();
    return forbidden ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

CUresult weft_soft_capture_forbid_context(struct weft_soft_context *context)
{
    if (atomic_load(&weft_soft_engine_of(context)->captured_count) == 0)
        return weft_soft_capture_permit();
    weft_soft_graph_lock();
    bool found = invalidate_context(context, false);
    weft_soft_graph_unlock();
    return found ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

CUstreamCaptureMode weft_soft_capture_exchange_mode(CUstreamCaptureMode mode)
{
    CUstreamCaptureMode before = thread_mode;
    thread_mode = mode;
    return before;
}

CUresult weft_soft_capture_mark(struct weft_soft_stream *stream,
                                struct weft_soft_capture_point **out)
{
    struct weft_soft_captured *part;
    struct weft_soft_capture_point *mark = calloc(1, sizeof(*mark));
    if (!mark)
        return CUDA_ERROR_OUT_OF_MEMORY;
    weft_soft_graph_lock();
    CUresult result = weft_soft_capture_part(stream, &part);
    if (result == CUDA_SUCCESS)
        result = weft_soft_capture_point_set(mark, part->point.nodes, part->point.count);
    if (result == CUDA_SUCCESS) {
        mark->capture = part->point.capture;
        atomic_fetch_add(&mark->capture->references, 1);
    }
    weft_soft_graph_unlock();
    if (result)
        weft_soft_capture_mark_destroy(mark);
    else
        *out = mark;
    return result;
}

void weft_soft_capture_mark_destroy(struct weft_soft_capture_point *mark)
{
    if (mark)
        point_finish(mark);
    free(mark);
}

/* A stream that captures something waits for an event. */
static CUresult wait_captured(struct weft_soft_captured *part,
                              const struct weft_soft_capture_point *mark)
{
    struct weft_soft_capture *capture = part->point.capture;
    CUresult result = CUDA_SUCCESS;
    if (!mark || mark->capture->status == CU_STREAM_CAPTURE_STATUS_NONE)
        result = CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    else if (mark->capture != capture)
        result = CUDA_ERROR_STREAM_CAPTURE_MERGE;
    if (result == CUDA_SUCCESS)
        return weft_soft_capture_point_add(&part->point, mark->nodes, mark->count);
    weft_soft_capture_invalidate(capture);
    if (result == CUDA_ERROR_STREAM_CAPTURE_MERGE)
        weft_soft_capture_invalidate(mark->capture);
    return result;
}

/* One that captures nothing does, and follows the event into its capture. */
static CUresult wait_joining(struct weft_soft_stream *stream,
                             const struct weft_soft_capture_point *mark)
{
    if (!mark || mark->capture->status == CU_STREAM_CAPTURE_STATUS_NONE)
        return CUDA_ERROR_CAPTURED_EVENT;
    if (mark->capture->status == CU_STREAM_CAPTURE_STATUS_INVALIDATED)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (stream->legacy) {
        weft_soft_capture_invalidate(mark->capture);
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    struct weft_soft_captured *part = join(mark->capture, stream);
    return part ? weft_soft_capture_point_set(&part->point, mark->nodes, mark->count)
                : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult weft_soft_capture_wait(struct weft_soft_stream *stream,
                                const struct weft_soft_capture_point *mark)
{
    struct weft_soft_captured *part;
    CUresult result = weft_soft_capture_part(stream, &part);
    if (result == CUDA_SUCCESS)
        return wait_captured(part, mark);
    return result == CUDA_ERROR_ILLEGAL_STATE ? wait_joining(stream, mark) : result;
}

CUresult weft_soft_capture_ask(const struct weft_soft_capture_point *mark)
{
    if (mark)
        weft_soft_capture_invalidate(mark->capture);
    return mark ? CUDA_ERROR_CAPTURED_EVENT : CUDA_SUCCESS;
}

/* Nobody can end a capture without its origin. */
static void abandon(struct weft_soft_capture *capture)
{
    struct weft_soft_graph *graph = capture->graph_is_given ? NULL : capture->graph;
    weft_soft_capture_finish(capture);
    weft_soft_graph_destroy(graph);
}

static void forget(struct weft_soft_captured *part)
{
    struct weft_soft_capture *capture = part->point.capture;
    if (capture->streams.next == &part->link)
        abandon(capture);
    else
        part_from(part);
}

void weft_soft_capture_forget(struct weft_soft_stream *stream)
{
    if (!weft_soft_stream_captures(stream))
        return;
    weft_soft_graph_lock();
    struct weft_soft_captured *part = atomic_load(&stream->captured);
    if (part && part != &weft_soft_capture_implicit)
        forget(part);
    weft_soft_graph_unlock();
}

/* A stream of the context that captures; NULL. */
static struct weft_soft_captured *find_part(const struct weft_soft_context *context)
{
    EACH_CAPTURE(capture)
    {
        EACH_PART(part, capture)
        {
            if (part->stream && part->stream->context == context)
                return part;
        }
    }
    return NULL;
}

void weft_soft_capture_forget_context(struct weft_soft_context *context)
{
    if (atomic_load(&weft_soft_engine_of(context)->captured_count) == 0)
        return;
    weft_soft_graph_lock();
    for (struct weft_soft_captured *part; (part = find_part(context));)
        forget(part);
    weft_soft_graph_unlock();
}

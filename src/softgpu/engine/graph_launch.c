/* From a plan to operations of streams. */
#include "softgpu/engine/graph_plan.h"
#include "softgpu/engine/memory_ops.h"

CUresult weft_soft_fence_submit(struct weft_soft_stream *stream, enum weft_soft_op_kind kind,
                                struct weft_soft_fence *fence)
{
    struct weft_soft_op *op = weft_soft_op_create(kind);
    if (!op) {
        weft_soft_fence_put(fence);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    op->fence = fence;
    return weft_soft_op_submit(stream, op);
}

static CUresult wait_for(struct weft_soft_stream *stream, struct weft_soft_fence *fence)
{
    if (atomic_load(&fence->done))
        return CUDA_SUCCESS;
    weft_soft_fence_get(fence);
    return weft_soft_fence_submit(stream, WEFT_SOFT_OP_WAIT, fence);
}

/* A new fence that is reached when all before it in the stream is done. */
static CUresult record(struct weft_soft_stream *stream, struct weft_soft_fence **out)
{
    struct weft_soft_fence *fence = weft_soft_fence_create();
    if (!fence)
        return CUDA_ERROR_OUT_OF_MEMORY;
    weft_soft_fence_get(fence);
    CUresult result = weft_soft_fence_submit(stream, WEFT_SOFT_OP_RECORD, fence);
    if (result)
        weft_soft_fence_put(fence);
    else
        *out = fence;
    return result;
}

static CUresult submit_transfer(struct weft_soft_stream *stream, CUresult described,
                                const struct weft_soft_task *task)
{
    return described ? described : weft_soft_stream_submit(stream, task);
}

static CUresult launch_node(struct weft_soft_stream *stream, struct weft_soft_graph_node *node)
{
    const CUgraphNodeParams *params = &node->work.params;
    struct weft_soft_task task;
    switch ((int)params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return weft_soft_launch_packed(stream, &node->work.kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return submit_transfer(
            stream, weft_soft_memory_copy_task(&params->memcpy.copyParams, &task), &task);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return submit_transfer(stream, weft_soft_memory_set_task(&params->memset, &task), &task);
    case CU_GRAPH_NODE_TYPE_HOST:
        return weft_soft_stream_call_host(stream, params->host.fn, params->host.userData);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return weft_soft_graph_memory_launch(stream, node);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return weft_soft_memory_ops_submit(stream, params->memOp.paramArray, params->memOp.count);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return weft_soft_event_wait(params->eventWait.event, stream);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return weft_soft_event_record(params->eventRecord.event, stream);
    default:
        return CUDA_SUCCESS; /* an empty node only orders others */
    }
}

/* One launch: the stream that it goes to, and the point there at which its other lanes begin. */
struct launch {
    struct weft_soft_plan *plan;
    struct weft_soft_stream *stream;
    struct weft_soft_fence *start; /* referenced; NULL where all goes to that stream */
};

static CUresult make_stream(struct weft_soft_lane *lane, struct weft_soft_context *context)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_create(context, CU_STREAM_NON_BLOCKING, 0, &stream);
    if (result)
        return result;
    weft_soft_handle_retain(stream->handle);
    if (lane->stream) {
        weft_soft_stream_close(lane->stream->handle);
        weft_soft_stream_put(lane->stream);
    }
    lane->stream = stream;
    return CUDA_SUCCESS;
}

/* A lane's own stream: of its context, or for work of no particular one of the launch's. */
static CUresult own_stream(const struct launch *launch, struct weft_soft_lane *lane)
{
    if (lane->stream && !weft_soft_context_is_dropping(lane->stream->context))
        return CUDA_SUCCESS;
    if (!lane->context)
        return make_stream(lane, launch->stream->context);
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_get(lane->context, &context);
    if (result)
        return result;
    result = make_stream(lane, context);
    weft_soft_context_put(context);
    return result;
}

/* The first lane runs in the launch's own stream where that is of the right context. */
static bool runs_in_stream(const struct launch *launch)
{
    CUcontext context = launch->plan->lanes[0].context;
    return !context || context == launch->stream->context->handle;
}

static CUresult stream_of(const struct launch *launch, uint32_t number,
                          struct weft_soft_stream **out)
{
    struct weft_soft_lane *lane = &launch->plan->lanes[number];
    *out = launch->stream;
    if (number == 0 && runs_in_stream(launch))
        return CUDA_SUCCESS;
    CUresult result = own_stream(launch, lane);
    *out = lane->stream;
    return result;
}

/* Lets the step's stream wait for what the step depends on elsewhere. */
static CUresult await_dependencies(struct launch *launch, const struct weft_soft_step *step,
                                   struct weft_soft_stream *stream)
{
    const struct weft_soft_plan *plan = launch->plan;
    struct weft_soft_lane *lane = &launch->plan->lanes[step->lane];
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < step->dependency_count && result == CUDA_SUCCESS; i++) {
        const struct weft_soft_step *on = &plan->steps[plan->dependencies[step->dependency + i]];
        if (on->lane != step->lane)
            result = wait_for(stream, on->fence);
    }
    bool begins = !lane->has_begun && step->dependency_count == 0 && stream != launch->stream;
    lane->has_begun = true;
    return begins && result == CUDA_SUCCESS ? wait_for(stream, launch->start) : result;
}

static CUresult launch_step(struct launch *launch, struct weft_soft_step *step)
{
    struct weft_soft_stream *stream;
    CUresult result = stream_of(launch, step->lane, &stream);
    if (result == CUDA_SUCCESS)
        result = await_dependencies(launch, step, stream);
    if (result == CUDA_SUCCESS && step->node && !step->node->is_disabled)
        result = launch_node(stream, step->node);
    bool records = step->is_awaited && launch->start;
    return records && result == CUDA_SUCCESS ? record(stream, &step->fence) : result;
}

/* Lets the launch's stream go on after all lanes, also where not all steps were submitted. */
static CUresult join_lanes(struct launch *launch, size_t submitted)
{
    const struct weft_soft_plan *plan = launch->plan;
    CUresult result = CUDA_SUCCESS;
    bool whole = submitted == plan->step_count;
    for (size_t i = 0; i < submitted && result == CUDA_SUCCESS; i++) {
        const struct weft_soft_step *step = &plan->steps[i];
        bool counts = plan->lanes[step->lane].tail == i || !whole;
        if (step->fence && counts && (step->lane != 0 || !runs_in_stream(launch)))
            result = wait_for(launch->stream, step->fence);
    }
    for (size_t i = 0; i < submitted; i++) {
        weft_soft_fence_put(plan->steps[i].fence);
        plan->steps[i].fence = NULL;
    }
    return result;
}

CUresult weft_soft_plan_launch(struct weft_soft_plan *plan, struct weft_soft_stream *stream)
{
    struct launch launch = {.plan = plan, .stream = stream};
    CUresult result = CUDA_SUCCESS;
    if (plan->lane_count > 1 || !runs_in_stream(&launch))
        result = record(stream, &launch.start);
    for (uint32_t i = 0; i < plan->lane_count; i++)
        plan->lanes[i].has_begun = false;
    size_t submitted = 0;
    while (submitted < plan->step_count && result == CUDA_SUCCESS)
        result = launch_step(&launch, &plan->steps[submitted++]);
    CUresult joined = join_lanes(&launch, submitted);
    weft_soft_fence_put(launch.start);
    return result ? result : joined;
}

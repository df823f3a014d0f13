#include "softgpu/engine/graph_plan.h"

#include <stdlib.h>

#define NO_STEP SIZE_MAX

static CUresult add_dependency(struct weft_soft_plan *plan, size_t on)
{
    if (plan->dependency_count == plan->dependency_room) {
        size_t room = plan->dependency_room ? 2 * plan->dependency_room : 64;
        size_t *larger = realloc(plan->dependencies, room * sizeof(*larger));
        if (!larger)
            return CUDA_ERROR_OUT_OF_MEMORY;
        plan->dependencies = larger;
        plan->dependency_room = room;
    }
    plan->dependencies[plan->dependency_count++] = on;
    plan->steps[plan->step_count - 1].dependency_count++;
    return CUDA_SUCCESS;
}

/* A step without dependencies, the last one so far. */
static CUresult add_step(struct weft_soft_plan *plan, struct weft_soft_graph_node *node)
{
    if (plan->step_count >= WEFT_SOFT_GRAPH_STEPS_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (plan->step_count == plan->step_room) {
        size_t room = plan->step_room ? 2 * plan->step_room : 64;
        struct weft_soft_step *larger = realloc(plan->steps, room * sizeof(*larger));
        if (!larger)
            return CUDA_ERROR_OUT_OF_MEMORY;
        plan->steps = larger;
        plan->step_room = room;
    }
    plan->steps[plan->step_count++] =
        (struct weft_soft_step){.node = node, .dependency = plan->dependency_count};
    return CUDA_SUCCESS;
}

/* The node's step; without dependencies of its own it comes after `entry`. */
static CUresult add_node(struct weft_soft_plan *plan, struct weft_soft_graph_node *node,
                         bool has_work, size_t entry)
{
    CUresult result = add_step(plan, has_work ? node : NULL);
    for (size_t i = 0; i < node->dependency_count && result == CUDA_SUCCESS; i++)
        result = add_dependency(plan, node->dependencies[i]->exit);
    if (result == CUDA_SUCCESS && node->dependency_count == 0 && entry != NO_STEP)
        result = add_dependency(plan, entry);
    node->exit = plan->step_count - 1;
    return result;
}

/* Where a child graph's branches meet again. */
static CUresult add_meeting(struct weft_soft_plan *plan, struct weft_soft_graph *graph,
                            size_t entry)
{
    CUresult result = add_step(plan, NULL);
    if (result == CUDA_SUCCESS)
        result = add_dependency(plan, entry);
    WEFT_SOFT_GRAPH_EACH(node, graph)
    node->visited = 0;
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        for (size_t i = 0; i < node->dependency_count; i++)
            node->dependencies[i]->visited = 1;
    }
    WEFT_SOFT_GRAPH_EACH(node, graph)
    {
        if (!node->visited && result == CUDA_SUCCESS)
            result = add_dependency(plan, node->exit);
    }
    return result;
}

static CUresult add_graph(struct weft_soft_plan *plan, struct weft_soft_graph *graph, size_t entry)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        struct weft_soft_graph_node *node = graph->order[i];
        struct weft_soft_graph *child = node->work.child;
        CUresult result = add_node(plan, node, !child, entry);
        size_t inner = node->exit;
        if (result == CUDA_SUCCESS && child)
            result = add_graph(plan, child, inner);
        if (result == CUDA_SUCCESS && child)
            result = add_meeting(plan, child, inner);
        if (result)
            return result;
        node->exit = plan->step_count - 1;
    }
    return CUDA_SUCCESS;
}

/* Whose stream the step's work has to go to; NULL: anybody's. */
static CUcontext context_of(const struct weft_soft_step *step)
{
    CUcontext context = NULL;
    if (!step->node)
        return NULL;
    const CUgraphNodeParams *params = &step->node->work.params;
    if (params->type == CU_GRAPH_NODE_TYPE_KERNEL)
        return params->kernel.ctx;
    if (params->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
        weft_soft_event_context(params->eventRecord.event, &context);
    return context;
}

static bool suits(const struct weft_soft_lane *lane, CUcontext context)
{
    return !context || !lane->context || lane->context == context;
}

/* Whether all of the lane comes before `step`: one of its dependencies stands at or behind the step
 * that the lane was joined by. */
static bool lies_before(const struct weft_soft_plan *plan, const struct weft_soft_lane *lane,
                        const struct weft_soft_step *step)
{
    if (lane->joined == NO_STEP)
        return false;
    const struct weft_soft_step *joined = &plan->steps[lane->joined];
    for (size_t i = 0; i < step->dependency_count; i++) {
        const struct weft_soft_step *on = &plan->steps[plan->dependencies[step->dependency + i]];
        if (on->lane == joined->lane && on->position >= joined->position)
            return true;
    }
    return false;
}

/* The lane of a dependency that nothing follows yet, or one that all lies before the step, or a new
 * one, or, where there are too many, any. */
static uint32_t choose_lane(struct weft_soft_plan *plan, const struct weft_soft_step *step,
                            size_t index, CUcontext context)
{
    for (size_t i = 0; i < step->dependency_count; i++) {
        size_t on = plan->dependencies[step->dependency + i];
        uint32_t lane = plan->steps[on].lane;
        if (plan->lanes[lane].tail == on && suits(&plan->lanes[lane], context))
            return lane;
    }
    for (uint32_t lane = 0; lane < plan->lane_count; lane++) {
        if (suits(&plan->lanes[lane], context) && lies_before(plan, &plan->lanes[lane], step))
            return lane;
    }
    if (plan->lane_count < WEFT_SOFT_GRAPH_LANES_MAX)
        return plan->lane_count++;
    for (uint32_t i = 0; i < WEFT_SOFT_GRAPH_LANES_MAX; i++) {
        uint32_t lane = (uint32_t)((index + i) % WEFT_SOFT_GRAPH_LANES_MAX);
        if (suits(&plan->lanes[lane], context))
            return lane;
    }
    return UINT32_MAX;
}

static CUresult assign_lane(struct weft_soft_plan *plan, size_t index)
{
    struct weft_soft_step *step = &plan->steps[index];
    CUcontext context = context_of(step);
    uint32_t number = choose_lane(plan, step, index, context);
    if (number == UINT32_MAX)
        return CUDA_ERROR_NOT_SUPPORTED; /* kernels of more contexts than there are lanes */
    struct weft_soft_lane *lane = &plan->lanes[number];
    for (size_t i = 0; i < step->dependency_count; i++) {
        size_t on = plan->dependencies[step->dependency + i];
        struct weft_soft_step *before = &plan->steps[on];
        if (before->lane == number)
            continue;
        before->is_awaited = true;
        if (plan->lanes[before->lane].tail == on)
            plan->lanes[before->lane].joined = index;
    }
    if (context)
        lane->context = context;
    step->lane = number;
    step->position = lane->length++;
    lane->tail = index;
    lane->joined = NO_STEP;
    return CUDA_SUCCESS;
}

/* The lanes that nothing joins are waited for at the end. */
static void await_tails(struct weft_soft_plan *plan)
{
    for (uint32_t i = 0; i < plan->lane_count; i++) {
        if (plan->lanes[i].joined == NO_STEP)
            plan->steps[plan->lanes[i].tail].is_awaited = true;
    }
}

CUresult weft_soft_plan_create(struct weft_soft_plan **out, struct weft_soft_graph *graph)
{
    struct weft_soft_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = add_graph(plan, graph, NO_STEP);
    for (size_t i = 0; i < plan->step_count && result == CUDA_SUCCESS; i++)
        result = assign_lane(plan, i);
    if (result) {
        weft_soft_plan_destroy(plan);
        return result;
    }
    await_tails(plan);
    *out = plan;
    return CUDA_SUCCESS;
}

static void drop_lane(struct weft_soft_lane *lane)
{
    if (!lane->stream)
        return;
    weft_soft_stream_close(lane->stream->handle);
    weft_soft_stream_put(weft_steal(lane->stream));
}

void weft_soft_plan_destroy(struct weft_soft_plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->lane_count; i++)
        drop_lane(&plan->lanes[i]);
    free(plan->dependencies);
    free(plan->steps);
    free(plan);
}

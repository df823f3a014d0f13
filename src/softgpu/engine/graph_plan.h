/* How an executable graph is laid over streams: its nodes, those of child graphs among them, become
 * steps in lanes. Steps of one lane run one after the other; a step waits for fences of the steps
 * in other lanes that it depends on. Nodes that do not depend on each other stand in different
 * lanes, as long as there are lanes, so each gets on while another waits. */
#ifndef WEFT_SOFTGPU_ENGINE_GRAPH_PLAN_H
#define WEFT_SOFTGPU_ENGINE_GRAPH_PLAN_H

#include "softgpu/engine/graph.h"

/* As many kernels as a card runs at once. */
#define WEFT_SOFT_GRAPH_LANES_MAX 128
#define WEFT_SOFT_GRAPH_STEPS_MAX (1u << 20)

struct weft_soft_step {
    struct weft_soft_graph_node *node;   /* borrowed; NULL: nothing but a meeting point */
    size_t dependency, dependency_count; /* in the plan's dependencies */
    uint32_t lane, position;             /* its place in the lane */
    bool is_awaited;                     /* by a step of another lane */
    struct weft_soft_fence *fence;       /* while a launch is submitted; referenced */
};

struct weft_soft_lane {
    CUcontext context; /* whose stream it must be; NULL: anybody's */
    size_t tail;       /* its last step */
    uint32_t length;
    size_t joined; /* a step of another lane that depends on `tail`; SIZE_MAX: none */
    struct weft_soft_stream *stream; /* referenced and owned; NULL until a launch needs it */
    bool has_begun;                  /* in the launch that is submitted */
};

struct weft_soft_plan {
    struct weft_soft_step *steps; /* owned; each behind those that it depends on */
    size_t step_count, step_room;
    size_t *dependencies; /* owned; numbers of steps */
    size_t dependency_count, dependency_room;
    struct weft_soft_lane lanes[WEFT_SOFT_GRAPH_LANES_MAX]; /* the first is the launch's stream */
    uint32_t lane_count;
};

/* For a graph that is ordered and stays as it is. OUT_OF_MEMORY. */
CUresult weft_soft_plan_create(struct weft_soft_plan **out, struct weft_soft_graph *graph);
/* What was launched goes on. */
void weft_soft_plan_destroy(struct weft_soft_plan *plan);
/* Submits all steps; what comes next in `stream` comes after all of them. */
CUresult weft_soft_plan_launch(struct weft_soft_plan *plan, struct weft_soft_stream *stream);
/* A fence in the stream: `kind` says whether it is waited for or reached there. Takes over the
 * caller's reference. */
CUresult weft_soft_fence_submit(struct weft_soft_stream *stream, enum weft_soft_op_kind kind,
                                struct weft_soft_fence *fence);

#endif

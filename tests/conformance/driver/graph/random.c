/* random ROUNDS: random graphs against the same operations done one after the other on the host:
 * kernels, copies, sets, host functions, child graphs (cloned and moved), memory that lives in the
 * graph, edges of every kind, nodes added in any order, updates, other parameters of single nodes,
 * nodes switched off. Operations that touch the same words are ordered by edges, as a program has
 * to do, and nothing else is, so what would break it is any edge that is lost, turned round or made
 * up between the wrong nodes, and an update that mistakes one node for another. */
#include <stdbool.h>

#include "program.h"

#define OPS 24
#define BUFFERS 5
#define HOST_WORDS 2
#define RESOURCES (BUFFERS + HOST_WORDS)
#define DEPENDENCIES 8
#define CHAIN 3

enum kind { STEP, JOIN, COPY, SET, HOST, CHILD, TEMPORARY, KINDS };

struct op {
    enum kind kind;
    int to, from, other; /* resources; those that the kind has */
    uint32_t factor, term;
    int dependencies[DEPENDENCIES];
    bool is_programmatic[DEPENDENCIES];
    int count;
    bool is_inner, is_moved, is_off;
    CUgraphNode first, last;
};

struct plan {
    struct op ops[OPS];
    int count;
};

static CUdeviceptr buffers[BUFFERS];
static uint32_t host_words[HOST_WORDS], model[RESOURCES];
static CUstream stream;
static CUcontext context;
static uint64_t state;
/* What the host functions of launches are given: one plan is launched at a time. */
static struct plan launched;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void draw_numbers(struct op *op)
{
    op->factor = 1 + draw(1000);
    op->term = draw(1000);
}

static void depend(struct op *op, int on, struct op *ops)
{
    for (int i = 0; i < op->count; i++) {
        if (op->dependencies[i] == on)
            return;
    }
    if (on < 0 || op->count == DEPENDENCIES)
        return;
    ops[on].is_inner = true;
    op->dependencies[op->count++] = on;
}

static bool is_kernel(const struct op *op)
{
    return op->kind == STEP || op->kind == JOIN;
}

static void draw_op(struct op *op)
{
    *op = (struct op){.kind = (enum kind)draw(KINDS), .is_moved = draw(2)};
    op->to = op->kind == HOST ? BUFFERS + (int)draw(HOST_WORDS) : (int)draw(BUFFERS);
    op->from = op->kind == JOIN || op->kind == COPY ? (int)draw(BUFFERS) : op->to;
    op->other = op->kind == JOIN ? (int)draw(BUFFERS) : op->to;
    if (op->kind == COPY && op->from == op->to)
        op->from = (op->to + 1) % BUFFERS;
    draw_numbers(op);
}

/* Each resource is a chain: an operation depends on the one before that touched it, read or not. */
static void draw_plan(struct plan *plan)
{
    int last[RESOURCES];
    memset(last, -1, sizeof(last));
    plan->count = 2 + (int)draw(OPS - 1);
    for (int i = 0; i < plan->count; i++) {
        struct op *op = &plan->ops[i];
        draw_op(op);
        int touched[] = {op->to, op->from, op->other};
        uint32_t turn = draw(3);
        for (uint32_t k = 0; k < 3; k++)
            depend(op, last[touched[(k + turn) % 3]], plan->ops);
        if (i && draw(3) == 0)
            depend(op, (int)draw((uint32_t)i), plan->ops);
        for (int k = 0; k < 3; k++)
            last[touched[k]] = i;
        for (int k = 0; k < op->count; k++)
            op->is_programmatic[k] =
                is_kernel(op) && is_kernel(&plan->ops[op->dependencies[k]]) && draw(2);
    }
}

static void apply(const struct op *op, uint32_t *words)
{
    uint32_t *to = &words[op->to];
    if (op->is_off)
        return;
    switch (op->kind) {
    case STEP:
    case HOST:
    case TEMPORARY:
        *to = *to * op->factor + op->term;
        break;
    case CHILD:
        for (uint32_t i = 0; i < CHAIN; i++)
            *to = *to * (op->factor + i) + op->term;
        break;
    case JOIN:
        *to = 31 * words[op->from] + words[op->other];
        break;
    case COPY:
        *to = words[op->from];
        break;
    default:
        *to = op->term;
    }
}

static void CUDA_CB host_step(void *user_data)
{
    const struct op *op = user_data;
    uint32_t *word = &host_words[op->to - BUFFERS];
    *word = *word * op->factor + op->term;
}

static CUDA_MEMCPY3D copy_of(CUdeviceptr to, CUdeviceptr from)
{
    return (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                           .srcDevice = from,
                           .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                           .dstDevice = to,
                           .WidthInBytes = THREADS * 4,
                           .Height = 1,
                           .Depth = 1};
}

static CUgraphNode add_copy(CUgraph graph, CUgraphNode after, CUdeviceptr to, CUdeviceptr from)
{
    CUDA_MEMCPY3D copy = copy_of(to, from);
    CUgraphNode node;
    OK(cuGraphAddMemcpyNode(&node, graph, &after, after != NULL, &copy, context));
    return node;
}

static CUgraphNode add_join(CUgraph graph, const struct op *op)
{
    CUdeviceptr to = buffers[op->to], left = buffers[op->from], right = buffers[op->other];
    void *params[] = {&to, &left, &right};
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(join, params);
    CUgraphNode node;
    OK(cuGraphAddKernelNode(&node, graph, NULL, 0, &kernel));
    return node;
}

static CUDA_MEMSET_NODE_PARAMS set_of(const struct op *op)
{
    return (CUDA_MEMSET_NODE_PARAMS){
        .dst = buffers[op->to], .value = op->term, .elementSize = 4, .width = THREADS, .height = 1};
}

static CUgraphNode add_set(CUgraph graph, const struct op *op)
{
    CUDA_MEMSET_NODE_PARAMS set = set_of(op);
    CUgraphNode node;
    OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, context));
    return node;
}

static CUgraphNode add_host(CUgraph graph, struct op *op)
{
    CUDA_HOST_NODE_PARAMS host = {.fn = host_step, .userData = op};
    CUgraphNode node;
    OK(cuGraphAddHostNode(&node, graph, NULL, 0, &host));
    return node;
}

static CUgraphNode add_child(CUgraph graph, const struct op *op)
{
    CUgraph child;
    CUgraphNode node = NULL;
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_GRAPH};
    OK(cuGraphCreate(&child, 0));
    for (uint32_t i = 0; i < CHAIN; i++)
        node = add_step(child, node, buffers[op->to], op->factor + i, op->term);
    params.graph.graph = child;
    params.graph.ownership =
        op->is_moved ? CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE : CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE;
    OK(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    if (!op->is_moved)
        OK(cuGraphDestroy(child));
    return node;
}

static void add_temporary(CUgraph graph, struct op *op)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
        .bytesize = THREADS * 4};
    OK(cuGraphAddMemAllocNode(&op->first, graph, NULL, 0, &params));
    CUgraphNode node = add_copy(graph, op->first, params.dptr, buffers[op->to]);
    node = add_step(graph, node, params.dptr, op->factor, op->term);
    node = add_copy(graph, node, buffers[op->to], params.dptr);
    OK(cuGraphAddMemFreeNode(&op->last, graph, &node, 1, params.dptr));
}

static void add_op(CUgraph graph, struct op *op)
{
    switch (op->kind) {
    case STEP:
        op->first = add_step(graph, NULL, buffers[op->to], op->factor, op->term);
        break;
    case JOIN:
        op->first = add_join(graph, op);
        break;
    case COPY:
        op->first = add_copy(graph, NULL, buffers[op->to], buffers[op->from]);
        break;
    case SET:
        op->first = add_set(graph, op);
        break;
    case HOST:
        op->first = add_host(graph, op);
        break;
    case CHILD:
        op->first = add_child(graph, op);
        break;
    default:
        add_temporary(graph, op);
        return;
    }
    op->last = op->first;
}

static void add_edges(CUgraph graph, struct plan *plan, const struct op *op)
{
    static const CUgraphEdgeData programmatic = {
        CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC, 0, CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC, {0}};
    CUgraphNode from[DEPENDENCIES], to[DEPENDENCIES];
    CUgraphEdgeData edges[DEPENDENCIES] = {0};
    for (int i = 0; i < op->count; i++) {
        from[i] = plan->ops[op->dependencies[i]].last;
        to[i] = op->first;
        if (op->is_programmatic[i])
            edges[i] = programmatic;
    }
    OK(cuGraphAddDependencies(graph, from, to, edges, (size_t)op->count));
}

/* Inner nodes in any order, then those where the graph ends in theirs. */
static CUgraph build(struct plan *plan)
{
    CUgraph graph;
    int order[OPS];
    for (int i = 0; i < plan->count; i++) {
        int place = (int)draw((uint32_t)i + 1);
        order[i] = order[place];
        order[place] = i;
    }
    OK(cuGraphCreate(&graph, 0));
    for (int i = 0; i < plan->count; i++) {
        if (plan->ops[order[i]].is_inner)
            add_op(graph, &plan->ops[order[i]]);
    }
    for (int i = 0; i < plan->count; i++) {
        if (!plan->ops[i].is_inner)
            add_op(graph, &plan->ops[i]);
    }
    for (int i = 0; i < plan->count; i++)
        add_edges(graph, plan, &plan->ops[order[i]]);
    return graph;
}

static void launch_and_compare(CUgraphExec exec, const struct plan *plan)
{
    for (int times = 1 + (int)draw(3); times > 0; times--) {
        OK(cuGraphLaunch(exec, stream));
        for (int i = 0; i < plan->count; i++)
            apply(&plan->ops[i], model);
    }
    OK(cuStreamSynchronize(stream));
    for (int i = 0; i < BUFFERS; i++)
        CHECK(only_word(buffers[i]) == model[i]);
    CHECK(memcmp(host_words, model + BUFFERS, sizeof(host_words)) == 0);
}

/* The nodes of `names` stand for those of the executable graph, whatever it was updated with. */
static void change_node(CUgraphExec exec, struct op *op, CUgraphNode name)
{
    bool may_be_off = op->kind == STEP || op->kind == SET || op->kind == COPY;
    if (may_be_off && draw(3) == 0) {
        op->is_off = !op->is_off;
        OK(cuGraphNodeSetEnabled(exec, name, !op->is_off));
    } else if (op->kind == STEP) {
        draw_numbers(op);
        void *params[] = {&buffers[op->to], &op->factor, &op->term};
        CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(step, params);
        OK(cuGraphExecKernelNodeSetParams(exec, name, &kernel));
    } else if (op->kind == SET) {
        draw_numbers(op);
        CUDA_MEMSET_NODE_PARAMS set = set_of(op);
        OK(cuGraphExecMemsetNodeSetParams(exec, name, &set, context));
    }
}

/* The same shape with other numbers. */
static void update_all(CUgraphExec exec, struct plan *plan)
{
    CUgraphExecUpdateResultInfo info;
    for (int i = 0; i < plan->count; i++)
        draw_numbers(&plan->ops[i]);
    CUgraph other = build(plan);
    OK(cuGraphExecUpdate(exec, other, &info));
    OK(cuGraphDestroy(other));
}

/* One more node where the graph ends: nothing of the executable graph may change. */
static void refuse_other(CUgraphExec exec, const struct plan *plan)
{
    static struct plan more;
    CUgraphExecUpdateResultInfo info;
    more = *plan;
    CUgraph other = build(&more);
    CUgraphNode node;
    OK(cuGraphAddEmptyNode(&node, other, NULL, 0));
    EXPECT(cuGraphExecUpdate(exec, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    OK(cuGraphDestroy(other));
}

static void play_round(void)
{
    struct plan *plan = &launched;
    CUgraphNode names[OPS];
    CUgraphExec exec;
    draw_plan(plan);
    CUgraph graph = build(plan);
    for (int i = 0; i < plan->count; i++)
        names[i] = plan->ops[i].first;
    OK(cuGraphInstantiate(&exec, graph, 0));
    launch_and_compare(exec, plan);
    for (int i = 0; i < 4; i++) {
        int at = (int)draw((uint32_t)plan->count);
        if (draw(2))
            update_all(exec, plan);
        else if (draw(4) == 0)
            refuse_other(exec, plan);
        else
            change_node(exec, &plan->ops[at], names[at]);
        launch_and_compare(exec, plan);
    }
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
}

int main(int count, char **arguments)
{
    int rounds = count > 1 ? atoi(arguments[1]) : 100;
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 0) : 1;
    start_graphs();
    OK(cuCtxGetCurrent(&context));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (uint32_t i = 0; i < BUFFERS; i++)
        buffers[i] = words(model[i] = i + 1);
    for (int round = 0; round < rounds; round++) {
        state = seed + (uint64_t)round;
        fprintf(stderr, "round %d of seed %llu\n", round, (unsigned long long)seed);
        play_round();
    }
    return 0;
}

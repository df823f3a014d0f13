/* Updates of executable graphs: which nodes are taken for the same, what is refused and where, and
 * graphs that allocate. What would break it: nodes that are paired as they were added, an update
 * that loses memory or frees it twice, a verdict that names the wrong node. */
#include "program.h"

#define STEPS 50

static CUstream stream;

static CUgraphExecUpdateResultInfo update(CUgraphExec exec, CUgraph graph)
{
    CUgraphExecUpdateResultInfo info;
    memset(&info, 0xff, sizeof(info));
    CUresult result = cuGraphExecUpdate(exec, graph, &info);
    CHECK(result == (info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS
                         ? CUDA_SUCCESS
                         : CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE));
    if (result == CUDA_SUCCESS)
        CHECK(!info.errorNode && !info.errorFromNode);
    return info;
}

static void expect_refused(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResult why,
                           CUgraphNode node, CUgraphNode from)
{
    CUgraphExecUpdateResultInfo info = update(exec, graph);
    if (info.result != why)
        fprintf(stderr, "%d, not %d\n", (int)info.result, (int)why);
    CHECK(info.result == why && info.errorNode == node && info.errorFromNode == from);
    OK(cuGraphDestroy(graph));
}

static CUgraph new_graph(void)
{
    CUgraph graph;
    OK(cuGraphCreate(&graph, 0));
    return graph;
}

static CUgraphNode add_empty(CUgraph graph, const CUgraphNode *after, size_t count)
{
    CUgraphNode node;
    OK(cuGraphAddEmptyNode(&node, graph, after, count));
    return node;
}

static CUgraphNode add_host(CUgraph graph, CUgraphNode after)
{
    static void (*const nothing)(void *) = free;
    CUDA_HOST_NODE_PARAMS host = {.fn = nothing};
    CUgraphNode node;
    OK(cuGraphAddHostNode(&node, graph, &after, after != NULL, &host));
    return node;
}

static uint32_t run(CUgraphExec exec, CUdeviceptr data, uint32_t first)
{
    OK(cuMemsetD32(data, first, THREADS));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    return only_word(data);
}

/* The same chain, its nodes added from the end to the start: the names stay with the places. */
static void pairs_follow_edges(void)
{
    CUdeviceptr data = words(0);
    CUgraph graph = new_graph(), other = new_graph();
    CUgraphNode chain[3], nodes[3];
    CUgraphExec exec;
    for (uint32_t i = 0; i < 3; i++)
        chain[i] = add_step(graph, i ? chain[i - 1] : NULL, data, i + 2, i);
    OK(cuGraphInstantiate(&exec, graph, 0));
    CHECK(run(exec, data, 1) == ((1 * 2 + 0) * 3 + 1) * 4 + 2);
    for (uint32_t i = 3; i-- > 0;)
        nodes[i] = add_step(other, NULL, data, i + 10, i);
    OK(cuGraphAddDependencies(other, (CUgraphNode[]){nodes[1], nodes[0]},
                              (CUgraphNode[]){nodes[2], nodes[1]}, NULL, 2));
    CHECK(update(exec, other).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    CHECK(run(exec, data, 1) == ((1 * 10 + 0) * 11 + 1) * 12 + 2);
    OK(cuGraphNodeSetEnabled(exec, chain[1], 0));
    CHECK(run(exec, data, 1) == (1 * 10 + 0) * 12 + 2);
    CHECK(update(exec, graph).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    CHECK(run(exec, data, 1) == (1 * 2 + 0) * 4 + 2);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuGraphDestroy(other));
    OK(cuMemFree(data));
}

/* Two branches into one node, with the edges the other way round: what was the left branch is taken
 * for the right one, so where they differ in kind that is what is wrong. */
static void edge_order_counts(void)
{
    CUgraph graph = new_graph(), other;
    CUgraphNode left = add_empty(graph, NULL, 0), right = add_host(graph, NULL), nodes[3];
    CUgraphExec exec;
    add_empty(graph, (CUgraphNode[]){left, right}, 2);
    OK(cuGraphInstantiate(&exec, graph, 0));
    other = new_graph();
    nodes[1] = add_host(other, NULL);
    nodes[0] = add_empty(other, NULL, 0);
    add_empty(other, nodes, 2);
    CHECK(update(exec, other).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    OK(cuGraphDestroy(other));
    other = new_graph();
    nodes[0] = add_empty(other, NULL, 0);
    nodes[1] = add_host(other, NULL);
    add_empty(other, (CUgraphNode[]){nodes[1], nodes[0]}, 2);
    expect_refused(exec, other, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, nodes[1], NULL);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
}

/* a, b, c with a before b and c, both of which end the graph. */
static void shapes_are_compared(void)
{
    CUgraph graph = new_graph(), other = new_graph();
    CUgraphNode a = add_empty(graph, NULL, 0), b, c, d;
    CUgraphExec exec;
    b = add_empty(graph, &a, 1);
    c = add_empty(graph, &a, 1);
    add_empty(graph, (CUgraphNode[]){b, c}, 2);
    OK(cuGraphInstantiate(&exec, graph, 0));
    add_empty(other, NULL, 0);
    expect_refused(exec, other, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, NULL, NULL);
    other = new_graph(); /* one end more */
    a = add_empty(other, NULL, 0);
    b = add_empty(other, &a, 1);
    add_empty(other, &b, 1);
    d = add_empty(other, &a, 1);
    expect_refused(exec, other, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, d, NULL);
    other = new_graph(); /* the end depends on one node */
    a = add_empty(other, NULL, 0);
    b = add_empty(other, &a, 1);
    c = add_empty(other, &b, 1);
    d = add_empty(other, &c, 1);
    expect_refused(exec, other, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, d, NULL);
    other = new_graph(); /* c depends on b, which is somebody else already */
    a = add_empty(other, NULL, 0);
    b = add_empty(other, &a, 1);
    c = add_empty(other, &b, 1);
    add_empty(other, (CUgraphNode[]){b, c}, 2);
    expect_refused(exec, other, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, c, b);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
}

static CUgraphNode add_priority(CUgraph graph, CUdeviceptr data, int priority)
{
    CUgraphNode node = add_step(graph, NULL, data, 1, 1);
    CUkernelNodeAttrValue value = {.priority = priority};
    OK(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
    return node;
}

static void priorities_are_kept(unsigned int flags, CUgraphExecUpdateResult wanted)
{
    CUdeviceptr data = words(0);
    CUgraph graph = new_graph(), other = new_graph();
    CUgraphExec exec;
    add_priority(graph, data, -1);
    OK(cuGraphInstantiate(&exec, graph, flags));
    CUgraphNode node = add_priority(other, data, -2);
    expect_refused(exec, other, wanted, wanted ? node : NULL, NULL);
    other = new_graph();
    add_priority(other, data, -1);
    CHECK(update(exec, other).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(other));
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(data));
}

static CUgraphNode add_plane(CUgraph graph, CUdeviceptr data, unsigned int value, size_t height)
{
    CUDA_MEMSET_NODE_PARAMS set = {
        .dst = data, .pitch = 16, .value = value, .elementSize = 4, .width = 2, .height = height};
    CUcontext context;
    CUgraphNode node;
    OK(cuCtxGetCurrent(&context));
    OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, context));
    return node;
}

static void planes_keep_their_size(void)
{
    CUdeviceptr data = words(0);
    CUgraph graph = new_graph(), other = new_graph();
    CUgraphExec exec;
    uint32_t found;
    add_plane(graph, data, 1, 3);
    OK(cuGraphInstantiate(&exec, graph, 0));
    CUgraphNode node = add_plane(other, data, 1, 4);
    expect_refused(exec, other, CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED, node, NULL);
    other = new_graph();
    add_plane(other, data + 32, 7, 3);
    CHECK(update(exec, other).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemcpyDtoH(&found, data, 4));
    CHECK(found == 0);
    OK(cuMemcpyDtoH(&found, data + 64, 4));
    CHECK(found == 7);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(other));
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(data));
}

/* A step of a program: memory for the time of the step, filled, used and freed. */
static CUgraph capture_step(CUdeviceptr data, uint32_t term, size_t bytes)
{
    CUgraph graph;
    CUdeviceptr inner;
    uint32_t factor = 3;
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemAllocAsync(&inner, bytes, stream));
    OK(cuMemcpyDtoDAsync(inner, data, THREADS * 4, stream));
    void *params[] = {&inner, &factor, &term};
    OK(cuLaunchKernel(step, 1, 1, 1, THREADS, 1, 1, 0, stream, params, NULL));
    OK(cuMemcpyDtoDAsync(data, inner, THREADS * 4, stream));
    OK(cuMemFreeAsync(inner, stream));
    OK(cuStreamEndCapture(stream, &graph));
    return graph;
}

static cuuint64_t used_bytes(void)
{
    cuuint64_t bytes;
    OK(cuDeviceGetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &bytes));
    return bytes;
}

/* Capture, update, launch, again and again, while the launches before are still under way. */
static void captured_steps_update(void)
{
    CUdeviceptr data = words(1);
    CUgraph graph = capture_step(data, 0, 4096);
    CUgraphExec exec;
    uint32_t wanted = 1;
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphDestroy(graph));
    for (uint32_t i = 0; i < STEPS; i++) {
        graph = capture_step(data, i, 4096 << (i % 5));
        CHECK(update(exec, graph).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
        OK(cuGraphLaunch(exec, stream));
        OK(cuGraphDestroy(graph));
        wanted = wanted * 3 + i;
    }
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == wanted);
    OK(cuGraphExecDestroy(exec));
    CHECK(used_bytes() == 0);
    OK(cuMemFree(data));
}

static CUgraph allocating(CUdeviceptr *address, unsigned int value)
{
    CUgraph graph;
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemAllocAsync(address, THREADS * 4, stream));
    OK(cuMemsetD32Async(*address, value, THREADS, stream));
    OK(cuStreamEndCapture(stream, &graph));
    return graph;
}

/* Of one graph there is one executable graph, whether by instantiating or by updating. */
static void memory_has_one_owner(void)
{
    CUdeviceptr one, two;
    CUgraph first = allocating(&one, 1), second = allocating(&two, 2);
    CUgraphExec exec, other;
    CUgraphNode nodes[2];
    size_t count = 2;
    OK(cuGraphInstantiate(&exec, first, 0));
    OK(cuGraphInstantiate(&other, second, 0));
    OK(cuGraphGetNodes(second, nodes, &count));
    CUgraphExecUpdateResultInfo info = update(exec, second);
    CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED && info.errorNode == nodes[0]);
    OK(cuGraphExecDestroy(other));
    CHECK(update(exec, first).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    CHECK(update(exec, second).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    EXPECT(cuGraphInstantiate(&other, second, 0), CUDA_ERROR_NOT_SUPPORTED);
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(two) == 2);
    OK(cuGraphInstantiate(&other, first, 0));
    CHECK(update(exec, first).result == CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED);
    EXPECT(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE); /* `two` is still there */
    OK(cuMemFree(two));
    OK(cuGraphExecDestroy(other));
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(first));
    OK(cuGraphDestroy(second));
    CHECK(used_bytes() == 0);
}

/* A launch frees what the launch before it left, also where that was of another graph. */
static void launches_free_what_was_left(void)
{
    CUdeviceptr one, two;
    CUgraph first = allocating(&one, 1), second = allocating(&two, 2);
    CUgraphExec exec;
    OK(cuGraphInstantiate(&exec, first, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
    for (int i = 0; i < 3; i++) {
        CHECK(update(exec, i % 2 ? second : first).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
        OK(cuGraphLaunch(exec, stream));
        OK(cuStreamSynchronize(stream));
        CHECK(only_word(i % 2 ? two : one) == 1 + (uint32_t)(i % 2));
    }
    CHECK(update(exec, second).result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    CHECK(only_word(one) == 1); /* it is the program's until the launch */
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    EXPECT(cuMemFree(one), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphExecDestroy(exec));
    CHECK(only_word(two) == 2);
    OK(cuMemFree(two));
    OK(cuGraphDestroy(first));
    OK(cuGraphDestroy(second));
    CHECK(used_bytes() == 0);
}

int main(void)
{
    start_graphs();
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    pairs_follow_edges();
    edge_order_counts();
    shapes_are_compared();
    priorities_are_kept(CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY,
                        CU_GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED);
    priorities_are_kept(0, CU_GRAPH_EXEC_UPDATE_SUCCESS);
    planes_keep_their_size();
    captured_steps_update();
    memory_has_one_owner();
    launches_free_what_was_left();
    OK(cuStreamDestroy(stream));
    return 0;
}

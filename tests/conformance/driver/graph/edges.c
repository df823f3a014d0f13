/* What edges say besides their two nodes, and graphs that become a node's own. What would break it:
 * data of an edge that is lost or told to who did not ask, an edge that no longer orders, a graph
 * with two owners or none, memory that only one of two graphs knows. */
#include "program.h"

#define PROGRAMMATIC    \
    ((CUgraphEdgeData){ \
        CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC, 0, CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC, {0}})
#define LAUNCH_ORDER    \
    ((CUgraphEdgeData){ \
        CU_GRAPH_KERNEL_NODE_PORT_LAUNCH_ORDER, 0, CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC, {0}})

static CUstream stream;

static CUgraph new_graph(void)
{
    CUgraph graph;
    OK(cuGraphCreate(&graph, 0));
    return graph;
}

static void run(CUgraph graph)
{
    CUgraphExec exec;
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuGraphExecDestroy(exec));
}

static void data_is_kept(void)
{
    CUdeviceptr data = words(1);
    CUgraph graph = new_graph(), clone;
    CUgraphNode nodes[3], from[4], to[4];
    CUgraphEdgeData edges[4], wanted[2] = {PROGRAMMATIC, LAUNCH_ORDER};
    size_t count = 4;
    for (uint32_t i = 0; i < 3; i++)
        nodes[i] = add_step(graph, NULL, data, i + 2, i);
    OK(cuGraphAddDependencies(graph, nodes, nodes + 1, wanted, 2));
    OK(cuGraphGetEdges(graph, from, to, edges, &count));
    CHECK(count == 2 && from[0] == nodes[0] && to[0] == nodes[1] && !from[2] && !to[3]);
    CHECK(memcmp(edges, wanted, sizeof(wanted)) == 0);
    EXPECT(cuGraphGetEdges(graph, from, to, NULL, &count), CUDA_ERROR_LOSSY_QUERY);
    OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
    CHECK(count == 2);
    EXPECT(cuGraphGetEdges(graph, NULL, NULL, edges, &count), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphNodeGetDependencies(nodes[2], from, edges, &count));
    CHECK(count == 1 && from[0] == nodes[1] && memcmp(edges, wanted + 1, sizeof(*edges)) == 0);
    EXPECT(cuGraphNodeGetDependencies(nodes[2], from, NULL, &count), CUDA_ERROR_LOSSY_QUERY);
    OK(cuGraphNodeGetDependentNodes(nodes[0], from, edges, &count));
    CHECK(count == 1 && from[0] == nodes[1] && memcmp(edges, wanted, sizeof(*edges)) == 0);
    EXPECT(cuGraphNodeGetDependentNodes(nodes[0], from, NULL, &count), CUDA_ERROR_LOSSY_QUERY);
    run(graph);
    CHECK(only_word(data) == ((1 * 2 + 0) * 3 + 1) * 4 + 2);
    OK(cuGraphClone(&clone, graph));
    count = 2;
    OK(cuGraphGetEdges(clone, from, to, edges, &count));
    CHECK(memcmp(edges, wanted, sizeof(wanted)) == 0);
    OK(cuGraphDestroy(clone));
    EXPECT(cuGraphRemoveDependencies(graph, nodes, nodes + 1, NULL, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphRemoveDependencies(graph, nodes, nodes + 1, wanted + 1, 1),
           CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphRemoveDependencies(graph, nodes, nodes + 1, wanted, 1));
    OK(cuGraphNodeGetDependencies(nodes[2], from, edges, &count));
    CHECK(memcmp(edges, wanted + 1, sizeof(*edges)) == 0);
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(data));
}

static void expect_wrong(CUgraph graph, CUgraphNode from, CUgraphNode to, CUgraphEdgeData edge)
{
    CUgraphNode node;
    CUgraphNodeParams empty = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
    size_t before, after;
    OK(cuGraphGetNodes(graph, NULL, &before));
    EXPECT(cuGraphAddDependencies(graph, &from, &to, &edge, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphAddNode(&node, graph, &from, &edge, 1, &empty), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphGetNodes(graph, NULL, &after));
    CHECK(before == after);
    OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &after));
    CHECK(after == 0);
}

static void wrong_data_is_refused(void)
{
    CUdeviceptr data = words(1);
    CUgraph graph = new_graph();
    CUgraphNode one = add_step(graph, NULL, data, 1, 1), two = add_step(graph, NULL, data, 1, 1);
    CUgraphNode empty;
    OK(cuGraphAddEmptyNode(&empty, graph, NULL, 0));
    expect_wrong(graph, one, empty, PROGRAMMATIC);
    expect_wrong(graph, empty, two, PROGRAMMATIC);
    expect_wrong(graph, empty, two, (CUgraphEdgeData){.from_port = 2});
    expect_wrong(graph, one, empty, (CUgraphEdgeData){.from_port = 1});
    expect_wrong(graph, one, empty, (CUgraphEdgeData){.from_port = 3});
    expect_wrong(graph, one, empty, (CUgraphEdgeData){.to_port = 1});
    expect_wrong(graph, one, empty, (CUgraphEdgeData){.type = 1});
    expect_wrong(graph, one, empty, (CUgraphEdgeData){.type = 2});
    expect_wrong(graph, one, empty, (CUgraphEdgeData){.reserved = {0, 0, 0, 0, 1}});
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(data));
}

/* An update keeps to what the edges say. */
static void updates_compare_data(void)
{
    CUdeviceptr data = words(1);
    CUgraph graph = new_graph(), other = new_graph();
    CUgraphEdgeData edge = PROGRAMMATIC;
    CUgraphNode first = add_step(graph, NULL, data, 2, 1), second;
    CUgraphExecUpdateResultInfo info;
    CUgraphExec exec;
    second = add_step(graph, NULL, data, 3, 2);
    OK(cuGraphAddDependencies(graph, &first, &second, &edge, 1));
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphExecUpdate(exec, graph, &info));
    first = add_step(other, NULL, data, 2, 1);
    second = add_step(other, first, data, 3, 2);
    EXPECT(cuGraphExecUpdate(exec, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    CHECK(info.errorNode == second && info.errorFromNode == first);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuGraphDestroy(other));
    OK(cuMemFree(data));
}

static CUgraphNode add_child(CUgraph graph, CUgraphNode after, CUgraph child, CUresult wanted)
{
    CUgraphNode node = NULL;
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_GRAPH,
                                .graph = {child, CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE}};
    EXPECT(cuGraphAddNode(&node, graph, &after, NULL, after != NULL, &params), wanted);
    CHECK(params.graph.graph == child);
    return node;
}

static void a_graph_is_moved(void)
{
    CUdeviceptr data = words(1);
    CUgraph graph = new_graph(), child = new_graph(), other = new_graph(), found;
    CUgraphNode first = add_step(graph, NULL, data, 2, 1), inner, node;
    CUgraphExecUpdateResultInfo info;
    CUgraphExec exec;
    inner = add_step(child, NULL, data, 3, 2);
    node = add_child(graph, first, child, CUDA_SUCCESS);
    add_step(graph, node, data, 4, 3);
    OK(cuGraphChildGraphNodeGetGraph(node, &found));
    CHECK(found == child);
    add_step(child, inner, data, 5, 4); /* it can still be added to */
    run(graph);
    CHECK(only_word(data) == (((1 * 2 + 1) * 3 + 2) * 5 + 4) * 4 + 3);
    EXPECT(cuGraphDestroy(child), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphInstantiate(&exec, child, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphAddChildGraphNode(&node, other, NULL, 0, child), CUDA_ERROR_INVALID_VALUE);
    add_child(other, NULL, child, CUDA_ERROR_INVALID_VALUE);
    add_child(child, NULL, graph, CUDA_ERROR_INVALID_VALUE); /* one in the other in the one */
    add_child(graph, NULL, graph, CUDA_ERROR_INVALID_VALUE);
    add_child(graph, first, other, CUDA_SUCCESS);
    CUgraph lonely = new_graph();
    CUgraphNode wrong = inner; /* of another graph: nothing is taken */
    add_child(graph, wrong, lonely, CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphInstantiate(&exec, lonely, 0));
    EXPECT(cuGraphExecUpdate(exec, other, &info), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(lonely));
    OK(cuGraphDestroy(graph));
    EXPECT(cuGraphDestroy(child), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphDestroyNode(inner), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree(data));
}

static CUgraphNode allocate(CUgraph graph, CUdeviceptr *address, CUresult wanted)
{
    CUgraphNode node = NULL;
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
        .bytesize = THREADS * 4};
    EXPECT(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params), wanted);
    *address = params.dptr;
    return node;
}

static CUgraphNode add_set(CUgraph graph, CUgraphNode after, CUdeviceptr to, unsigned int value)
{
    CUcontext context;
    CUgraphNode node;
    CUDA_MEMSET_NODE_PARAMS set = {
        .dst = to, .value = value, .elementSize = 4, .width = THREADS, .height = 1};
    OK(cuCtxGetCurrent(&context));
    OK(cuGraphAddMemsetNode(&node, graph, &after, after != NULL, &set, context));
    return node;
}

static cuuint64_t used_bytes(void)
{
    cuuint64_t bytes;
    OK(cuDeviceGetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &bytes));
    return bytes;
}

/* The child allocates, and the graph around it frees what it does not. */
static void memory_moves_along(void)
{
    CUdeviceptr out = words(0), inner, unused;
    CUgraph graph = new_graph(), child = new_graph(), clone;
    CUgraphNode node;
    CUgraphExec exec, second;
    node = allocate(child, &inner, CUDA_SUCCESS);
    add_set(child, node, inner, 5);
    EXPECT(cuGraphAddChildGraphNode(&node, graph, NULL, 0, child), CUDA_ERROR_NOT_SUPPORTED);
    node = add_child(graph, NULL, child, CUDA_SUCCESS);
    void *params[] = {&out, &inner, &inner};
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(join, params);
    OK(cuGraphAddKernelNode(&node, graph, &node, 1, &kernel));
    OK(cuGraphAddMemFreeNode(&node, graph, &node, 1, inner));
    allocate(child, &unused, CUDA_ERROR_NOT_SUPPORTED);
    EXPECT(cuGraphClone(&clone, graph), CUDA_ERROR_NOT_SUPPORTED);
    OK(cuGraphInstantiate(&exec, graph, 0));
    EXPECT(cuGraphInstantiate(&second, graph, 0), CUDA_ERROR_NOT_SUPPORTED);
    for (int i = 0; i < 3; i++) {
        OK(cuMemsetD32(out, 0, THREADS));
        OK(cuGraphLaunch(exec, stream));
        OK(cuStreamSynchronize(stream));
        CHECK(only_word(out) == 31 * 5 + 5);
        EXPECT(cuMemFree(inner), CUDA_ERROR_INVALID_VALUE);
    }
    CHECK(used_bytes() > 0);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    CHECK(used_bytes() == 0);
    OK(cuMemFree(out));
}

int main(void)
{
    start_graphs();
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    data_is_kept();
    wrong_data_is_refused();
    updates_compare_data();
    a_graph_is_moved();
    memory_moves_along();
    OK(cuStreamDestroy(stream));
    return 0;
}

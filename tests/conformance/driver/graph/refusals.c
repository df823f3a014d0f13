/* What a graph does not take, and that it is as it was afterwards. What would break it is a crash
 * on a handle that is stale, or a circle that is launched. */
#include "program.h"

static void circles_are_refused(void)
{
    CUgraph graph;
    CUgraphExec exec = NULL;
    CUdeviceptr data = words(0);
    OK(cuGraphCreate(&graph, 0));
    CUgraphNode first = add_step(graph, NULL, data, 1, 1);
    CUgraphNode second = add_step(graph, first, data, 1, 1);
    EXPECT(cuGraphAddDependencies(graph, &first, &second, NULL, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphAddDependencies(graph, &first, &first, NULL, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphRemoveDependencies(graph, &second, &first, NULL, 1), CUDA_ERROR_INVALID_VALUE);
    /* The first edge of a list is taken back when the second is refused. */
    CUgraphNode third = add_step(graph, NULL, data, 1, 1);
    CUgraphNode from[] = {second, first}, to[] = {third, second};
    size_t count;
    EXPECT(cuGraphAddDependencies(graph, from, to, NULL, 2), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
    CHECK(count == 1);
    OK(cuGraphAddDependencies(graph, &second, &first, NULL, 1));
    EXPECT(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK(exec == NULL);
    CUDA_GRAPH_INSTANTIATE_PARAMS how = {0};
    EXPECT(cuGraphInstantiateWithParams(&exec, graph, &how), CUDA_ERROR_INVALID_VALUE);
    CHECK(how.result_out == CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE);
    EXPECT(cuGraphInstantiateWithFlags(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD),
           CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphDestroy(graph));
}

static void stale_handles_are_refused(void)
{
    CUgraph graph, other;
    CUgraphExec exec;
    CUgraphNode node, empty;
    CUgraphNodeType type;
    CUdeviceptr data = words(0);
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphCreate(&other, 0));
    node = add_step(graph, NULL, data, 1, 1);
    EXPECT(cuGraphAddEmptyNode(&empty, other, &node, 1), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuGraphNodeGetType(node, &type));
    CHECK(type == CU_GRAPH_NODE_TYPE_KERNEL);
    OK(cuGraphDestroy(graph));
    EXPECT(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphNodeGetType(node, &type), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphExecDestroy(exec));
    EXPECT(cuGraphLaunch(exec, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphExecDestroy(exec), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphDestroy(other));
}

static void bad_nodes_are_refused(void)
{
    CUgraph graph;
    CUgraphNode node;
    CUcontext context;
    CUdeviceptr data = words(0);
    uint32_t one = 1;
    void *params[] = {&data, &one, &one};
    size_t count;
    OK(cuCtxGetCurrent(&context));
    OK(cuGraphCreate(&graph, 0));
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(step, params);
    kernel.blockDimX = 4096;
    EXPECT(cuGraphAddKernelNode(&node, graph, NULL, 0, &kernel), CUDA_ERROR_INVALID_VALUE);
    kernel = kernel_of(step, NULL);
    EXPECT(cuGraphAddKernelNode(&node, graph, NULL, 0, &kernel), CUDA_ERROR_INVALID_VALUE);
    CUDA_MEMSET_NODE_PARAMS set = {.dst = data, .elementSize = 3, .width = 1, .height = 1};
    EXPECT(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, context), CUDA_ERROR_INVALID_VALUE);
    set.elementSize = 4;
    set.width = 1 << 30;
    EXPECT(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, context), CUDA_ERROR_INVALID_VALUE);
    CUDA_HOST_NODE_PARAMS host = {0};
    EXPECT(cuGraphAddHostNode(&node, graph, NULL, 0, &host), CUDA_ERROR_INVALID_VALUE);
    CUgraphNodeParams conditional = {.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
    EXPECT(cuGraphAddNode(&node, graph, NULL, NULL, 0, &conditional), CUDA_ERROR_NOT_SUPPORTED);
    OK(cuGraphGetNodes(graph, NULL, &count));
    CHECK(count == 0);
    OK(cuGraphDestroy(graph));
}

int main(void)
{
    start_graphs();
    circles_are_refused();
    stale_handles_are_refused();
    bad_nodes_are_refused();
    return 0;
}

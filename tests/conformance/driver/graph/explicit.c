/* Graphs built node by node. What would break it is a node that runs before what it depends on, a
 * launch that forgets a node or its parameters, or a copy of a graph that still hangs on the graph
 * it was copied from. */
#include "program.h"

#define CHAIN 100
#define LAUNCHES 1000

static CUstream stream;

static uint32_t factor_at(uint32_t i)
{
    return 2 * i + 3;
}

/* 100 kernels in a row, 1000 times, against the same arithmetic on the host; launches go to two
 * streams in turn, since launches of one executable graph are in order wherever they go. */
static void chain_equals_plain_launches(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode last = NULL;
    CUstream other;
    CUdeviceptr data = words(1);
    OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    OK(cuGraphCreate(&graph, 0));
    for (uint32_t i = 0; i < CHAIN; i++)
        last = add_step(graph, last, data, factor_at(i), i);
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuGraphDestroy(graph)); /* the executable graph stands on its own */
    OK(cuGraphUpload(exec, stream));
    uint32_t wanted = 1;
    for (int launch = 0; launch < LAUNCHES; launch++) {
        OK(cuGraphLaunch(exec, launch % 2 ? stream : other));
        for (uint32_t i = 0; i < CHAIN; i++)
            wanted = wanted * factor_at(i) + i;
    }
    OK(cuGraphExecDestroy(exec)); /* what was launched goes on */
    OK(cuCtxSynchronize());
    CHECK(only_word(data) == wanted);
    OK(cuStreamDestroy(other));
    OK(cuMemFree(data));
}

/* Nodes are added in the wrong order, and only the edges say what comes first. */
static void diamond_keeps_order(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode top, left, right, bottom;
    CUdeviceptr a = words(0), b = words(0), out = words(0), source = words(5);
    OK(cuGraphCreate(&graph, 0));
    void *params[] = {&out, &a, &b};
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(join, params);
    OK(cuGraphAddKernelNode(&bottom, graph, NULL, 0, &kernel));
    right = add_step(graph, NULL, b, 7, 1);
    left = add_step(graph, NULL, a, 10, 2);
    CUgraphNode copies[2];
    CUcontext context;
    OK(cuCtxGetCurrent(&context));
    for (int i = 0; i < 2; i++) {
        CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                              .srcDevice = source,
                              .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                              .dstDevice = i ? b : a,
                              .WidthInBytes = THREADS * 4,
                              .Height = 1,
                              .Depth = 1};
        OK(cuGraphAddMemcpyNode(&copies[i], graph, NULL, 0, &copy, context));
    }
    top = add_step(graph, NULL, source, 2, 1);
    CUgraphNode from[] = {top, top, copies[0], copies[1], left, right};
    CUgraphNode to[] = {copies[0], copies[1], left, right, bottom, bottom};
    OK(cuGraphAddDependencies(graph, from, to, NULL, 6));
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    uint32_t value = 5;
    for (int i = 0; i < 3; i++) {
        OK(cuGraphLaunch(exec, stream));
        OK(cuStreamSynchronize(stream));
        value = value * 2 + 1;
        CHECK(only_word(out) == 31 * (value * 10 + 2) + value * 7 + 1);
    }

    size_t count = 10;
    CUgraphNode found[10];
    OK(cuGraphGetRootNodes(graph, found, &count));
    CHECK(count == 1 && found[0] == top);
    count = 10;
    OK(cuGraphNodeGetDependencies(bottom, found, NULL, &count));
    CHECK(count == 2 && found[0] == left && found[1] == right && found[2] == NULL);
    count = 10;
    OK(cuGraphNodeGetDependentNodes(top, found, NULL, &count));
    CHECK(count == 2);
    OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
    CHECK(count == 6);
    OK(cuGraphGetNodes(graph, NULL, &count));
    CHECK(count == 6);
    OK(cuGraphRemoveDependencies(graph, from, to, NULL, 2));
    OK(cuGraphGetRootNodes(graph, NULL, &count));
    CHECK(count == 3);
    OK(cuGraphDestroyNode(left));
    OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
    CHECK(count == 2);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
}

struct host_step {
    uint32_t *word, seen;
};

static void CUDA_CB look_and_change(void *data)
{
    struct host_step *host = data;
    host->seen = *host->word;
    *host->word = 77;
}

/* Set, copy to pageable memory, host function, copy back: each sees what the one before left,
 * although the program touches none of it in between. */
static void mixed_nodes_see_each_other(void)
{
    CUgraph graph, child, inner;
    CUgraphExec exec;
    CUgraphNode nodes[5];
    CUcontext context;
    CUevent event;
    static uint32_t word;
    struct host_step host = {&word, 0};
    CUdeviceptr data = words(0), result = words(0);
    OK(cuCtxGetCurrent(&context));
    OK(cuEventCreate(&event, 0));
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphCreate(&child, 0));
    CUDA_MEMSET_NODE_PARAMS set = {
        .dst = data, .value = 0x01020304, .elementSize = 4, .width = THREADS, .height = 1};
    OK(cuGraphAddMemsetNode(&nodes[0], graph, NULL, 0, &set, context));
    CUDA_MEMCPY3D down = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcDevice = data,
                          .dstMemoryType = CU_MEMORYTYPE_HOST,
                          .dstHost = &word,
                          .WidthInBytes = 4,
                          .Height = 1,
                          .Depth = 1};
    OK(cuGraphAddMemcpyNode(&nodes[1], graph, &nodes[0], 1, &down, context));
    CUDA_HOST_NODE_PARAMS call = {look_and_change, &host};
    OK(cuGraphAddHostNode(&nodes[2], graph, &nodes[1], 1, &call));
    CUDA_MEMCPY3D up = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                        .srcHost = &word,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstDevice = result,
                        .WidthInBytes = 4,
                        .Height = 1,
                        .Depth = 1};
    CUgraphNode copied;
    OK(cuGraphAddMemcpyNode(&copied, child, NULL, 0, &up, context));
    add_step(child, copied, result, 3, 0);
    OK(cuGraphAddChildGraphNode(&nodes[3], graph, &nodes[2], 1, child));
    OK(cuGraphDestroy(child));
    OK(cuGraphChildGraphNodeGetGraph(nodes[3], &inner));
    size_t count;
    OK(cuGraphGetNodes(inner, NULL, &count));
    CHECK(count == 2);
    EXPECT(cuGraphDestroy(inner), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphAddEventRecordNode(&nodes[4], graph, &nodes[3], 1, event));
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuEventSynchronize(event));
    CHECK(host.seen == 0x01020304);
    uint32_t found;
    OK(cuMemcpyDtoH(&found, result, 4));
    CHECK(found == 77 * 3);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuEventDestroy(event));
}

/* An executable graph changes only when it is told to: node by node, or as a whole. */
static void updates_take_effect(void)
{
    CUgraph graph, clone;
    CUgraphExec exec;
    CUgraphNode first, second, found;
    CUdeviceptr data = words(1);
    OK(cuGraphCreate(&graph, 0));
    first = add_step(graph, NULL, data, 2, 0);
    second = add_step(graph, first, data, 1, 3);
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuGraphClone(&clone, graph));

    uint32_t factor = 10, term = 0;
    void *params[] = {&data, &factor, &term};
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(step, params), read;
    OK(cuGraphKernelNodeSetParams(first, &kernel));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == 1 * 2 + 3);

    OK(cuGraphExecKernelNodeSetParams(exec, second, &kernel));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == 5 * 2 * 10);

    CUgraphExecUpdateResultInfo info;
    OK(cuGraphExecUpdate(exec, graph, &info));
    CHECK(info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == 100 * 10 + 3);

    OK(cuGraphNodeSetEnabled(exec, first, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == 1003 + 3);

    OK(cuGraphNodeFindInClone(&found, first, clone));
    CHECK(found != first);
    OK(cuGraphKernelNodeGetParams(found, &read));
    CHECK(read.func == step && *(uint32_t *)read.kernelParams[1] == 2);
    OK(cuGraphKernelNodeGetParams(first, &read));
    CHECK(*(uint32_t *)read.kernelParams[1] == 10);

    add_step(graph, second, data, 1, 1);
    EXPECT(cuGraphExecUpdate(exec, graph, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == 1006 + 3);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(clone));
    OK(cuGraphDestroy(graph));
}

/* Each kind of node tells what it was given, and takes something else, in the graph and in the
 * executable one, by its own calls and by those for all kinds. */
static void nodes_tell_and_change(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode node[3];
    CUcontext context;
    CUevent event, other, told;
    CUdeviceptr data = words(0), copy = words(0);
    OK(cuCtxGetCurrent(&context));
    OK(cuEventCreate(&event, 0));
    OK(cuEventCreate(&other, 0));
    OK(cuGraphCreate(&graph, 0));
    CUDA_MEMSET_NODE_PARAMS set = {
        .dst = data, .value = 5, .elementSize = 4, .width = THREADS, .height = 1};
    OK(cuGraphAddMemsetNode(&node[0], graph, NULL, 0, &set, context));
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEMCPY,
                                .memcpy = {.copyCtx = context,
                                           .copyParams = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                                                          .srcDevice = data,
                                                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                                                          .dstDevice = copy,
                                                          .WidthInBytes = THREADS * 4,
                                                          .Height = 1,
                                                          .Depth = 1}}};
    OK(cuGraphAddNode(&node[1], graph, &node[0], NULL, 1, &params));
    OK(cuGraphAddEventWaitNode(&node[2], graph, &node[1], 1, event));

    CUDA_MEMSET_NODE_PARAMS read_set;
    CUDA_MEMCPY3D read_copy;
    OK(cuGraphMemsetNodeGetParams(node[0], &read_set));
    CHECK(read_set.dst == data && read_set.value == 5 && read_set.width == THREADS);
    OK(cuGraphMemcpyNodeGetParams(node[1], &read_copy));
    CHECK(read_copy.srcDevice == data && read_copy.dstDevice == copy);
    EXPECT(cuGraphMemcpyNodeGetParams(node[0], &read_copy), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphEventWaitNodeGetEvent(node[2], &told));
    CHECK(told == event);
    OK(cuGraphEventWaitNodeSetEvent(node[2], other));
    OK(cuGraphEventWaitNodeGetEvent(node[2], &told));
    CHECK(told == other);

    CUDA_GRAPH_INSTANTIATE_PARAMS how = {0};
    OK(cuGraphInstantiateWithParams(&exec, graph, &how));
    CHECK(how.result_out == CUDA_GRAPH_INSTANTIATE_SUCCESS);
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(copy) == 5);
    set.value = 6;
    OK(cuGraphExecMemsetNodeSetParams(exec, node[0], &set, context));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(copy) == 6);
    params.memcpy.copyParams.dstDevice = data; /* now it copies nothing anywhere else */
    OK(cuMemsetD32(copy, 1, THREADS));
    OK(cuGraphExecNodeSetParams(exec, node[1], &params));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(copy) == 1);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuEventDestroy(event));
    OK(cuEventDestroy(other));
}

int main(void)
{
    start_graphs();
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    chain_equals_plain_launches();
    diamond_keeps_order();
    mixed_nodes_see_each_other();
    updates_take_effect();
    nodes_tell_and_change();
    return 0;
}

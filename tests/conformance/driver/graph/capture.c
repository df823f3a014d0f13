/* Streams whose work is captured. What would break it is work that runs while it is captured, that
 * is missing from the graph, or that loses its place in it. */
#include "program.h"

#define CHAIN 100
#define LAUNCHES 1000

static CUstream stream;

static void launch_step(CUstream into, CUdeviceptr data, uint32_t factor, uint32_t term)
{
    void *params[] = {&data, &factor, &term};
    OK(cuLaunchKernel(step, 1, 1, 1, THREADS, 1, 1, 0, into, params, NULL));
}

static void launch_chain(CUstream into, CUdeviceptr data)
{
    for (uint32_t i = 0; i < CHAIN; i++)
        launch_step(into, data, 2 * i + 3, i);
}

static size_t count_nodes(CUgraph graph)
{
    size_t count;
    OK(cuGraphGetNodes(graph, NULL, &count));
    return count;
}

static size_t count_edges(CUgraph graph)
{
    size_t count;
    OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
    return count;
}

/* A captured graph of 100 nodes, launched 1000 times, equals the same launches without one. The
 * mode makes no difference to the graph. */
static void chain_equals_plain_launches(CUstreamCaptureMode mode, int launches)
{
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr captured = words(1), plain = words(1);
    OK(cuStreamBeginCapture(stream, mode));
    launch_chain(stream, captured);
    OK(cuStreamEndCapture(stream, &graph));
    CHECK(only_word(captured) == 1); /* nothing has run */
    CHECK(count_nodes(graph) == CHAIN && count_edges(graph) == CHAIN - 1);
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphDestroy(graph));
    for (int i = 0; i < launches; i++) {
        OK(cuGraphLaunch(exec, stream));
        launch_chain(stream, plain);
    }
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(captured) == only_word(plain));
    CHECK(only_word(plain) != 1);
    OK(cuGraphExecDestroy(exec));
    OK(cuMemFree(captured));
    OK(cuMemFree(plain));
}

struct host_step {
    uint32_t *word, seen;
};

static void CUDA_CB look_and_change(void *data)
{
    struct host_step *host = data;
    host->seen = *host->word;
    *host->word += 1;
}

/* Every kind of asynchronous work, in one stream; the types of the nodes say what became of it. */
static void all_kinds_are_captured(void)
{
    static const CUgraphNodeType wanted[] = {
        CU_GRAPH_NODE_TYPE_MEMSET, CU_GRAPH_NODE_TYPE_MEMSET, CU_GRAPH_NODE_TYPE_MEMCPY,
        CU_GRAPH_NODE_TYPE_HOST,   CU_GRAPH_NODE_TYPE_MEMCPY, CU_GRAPH_NODE_TYPE_KERNEL,
        CU_GRAPH_NODE_TYPE_KERNEL, CU_GRAPH_NODE_TYPE_KERNEL, CU_GRAPH_NODE_TYPE_MEMCPY,
        CU_GRAPH_NODE_TYPE_MEMCPY, CU_GRAPH_NODE_TYPE_MEMCPY, CU_GRAPH_NODE_TYPE_EVENT_RECORD};
    enum { COUNT = sizeof(wanted) / sizeof(wanted[0]) };
    CUdeviceptr data = words(0), copy = words(0);
    uint32_t word = 0, result = 0;
    struct host_step host = {&word, 0};
    CUevent event;
    CUgraph graph;
    CUgraphExec exec;
    uint32_t factor = 3, term = 1;
    void *params[] = {&data, &factor, &term};
    CUlaunchAttribute cooperative = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
    CUlaunchConfig config = {.gridDimX = 1,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = THREADS,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .hStream = stream,
                             .attrs = &cooperative,
                             .numAttrs = 1};
    CUDA_MEMCPY2D rows = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcDevice = copy,
                          .srcPitch = THREADS * 2,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstDevice = data,
                          .dstPitch = THREADS * 2,
                          .WidthInBytes = THREADS * 2,
                          .Height = 2};
    OK(cuEventCreate(&event, 0));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemsetD8Async(data, 0xff, THREADS * 4, stream));
    OK(cuMemsetD2D32Async(data, THREADS * 2, 10, THREADS / 2, 2, stream));
    OK(cuMemcpyDtoHAsync(&word, data, 4, stream));
    OK(cuLaunchHostFunc(stream, look_and_change, &host));
    OK(cuMemcpyHtoDAsync(data, &word, 4, stream));
    launch_step(stream, data, 2, 0);
    OK(cuLaunchCooperativeKernel(step, 1, 1, 1, THREADS, 1, 1, 0, stream, params));
    OK(cuLaunchKernelEx(&config, step, params, NULL));
    OK(cuMemcpyDtoDAsync(copy, data, THREADS * 4, stream));
    OK(cuMemcpy2DAsync(&rows, stream));
    OK(cuMemcpyAsync((CUdeviceptr)(uintptr_t)&result, copy, 4, stream));
    OK(cuEventRecordWithFlags(event, stream, CU_EVENT_RECORD_EXTERNAL));
    OK(cuStreamEndCapture(stream, &graph));
    CHECK(word == 0 && host.seen == 0);
    CUgraphNode nodes[COUNT];
    size_t count = COUNT;
    OK(cuGraphGetNodes(graph, nodes, &count));
    CHECK(count == COUNT && count_nodes(graph) == COUNT && count_edges(graph) == COUNT - 1);
    for (size_t i = 0; i < count; i++) {
        CUgraphNodeType type;
        OK(cuGraphNodeGetType(nodes[i], &type));
        CHECK(type == wanted[i]);
    }
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuEventSynchronize(event));
    CHECK(host.seen == 10 && word == 11);
    CHECK(result == (11 * 2 * 3 + 1) * 3 + 1);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuEventDestroy(event));
    OK(cuMemFree(data));
    OK(cuMemFree(copy));
}

/* A fork into a second stream and the join back become edges, and nothing else does. */
static void forks_join(void)
{
    CUdeviceptr a = words(1), b = words(1), out = words(0);
    CUstream side;
    CUevent fork, joined;
    CUgraph graph;
    CUgraphExec exec;
    CUstreamCaptureStatus status;
    OK(cuStreamCreate(&side, 0));
    OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
    OK(cuEventCreate(&joined, CU_EVENT_DISABLE_TIMING));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    launch_step(stream, a, 2, 3);
    OK(cuEventRecord(fork, stream));
    launch_step(stream, a, 5, 0);
    OK(cuStreamWaitEvent(side, fork, 0));
    OK(cuStreamIsCapturing(side, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
    OK(cuMemcpyDtoDAsync(b, a, THREADS * 4, side));
    launch_step(side, b, 7, 1);
    OK(cuEventRecord(joined, side));
    OK(cuStreamWaitEvent(stream, joined, 0));
    void *params[] = {&out, &a, &b};
    OK(cuLaunchKernel(join, 1, 1, 1, THREADS, 1, 1, 0, stream, params, NULL));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuStreamIsCapturing(side, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
    CHECK(count_nodes(graph) == 5 && count_edges(graph) == 5);
    size_t count;
    OK(cuGraphGetRootNodes(graph, NULL, &count));
    CHECK(count == 1);
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuEventDestroy(fork));
    OK(cuEventDestroy(joined));
    OK(cuStreamDestroy(side));
}

/* What a program may ask while it captures, and how it may change where the stream stands. */
static void captures_tell_and_change(void)
{
    CUdeviceptr data = words(1);
    CUstreamCaptureStatus status;
    cuuint64_t first, second;
    CUgraph graph, told;
    const CUgraphNode *nodes;
    const CUgraphEdgeData *edges;
    CUgraphNode empty;
    size_t count;
    OK(cuStreamGetCaptureInfo(stream, &status, NULL, NULL, NULL, NULL, NULL));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuStreamGetCaptureInfo(stream, &status, &first, &told, &nodes, &edges, &count));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE && count == 0);
    launch_step(stream, data, 1, 1);
    OK(cuStreamGetCaptureInfo(stream, &status, &second, &told, &nodes, &edges, &count));
    CHECK(first == second && count == 1);
    EXPECT(cuGraphDestroy(told), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphDestroyNode(nodes[0]), CUDA_ERROR_INVALID_VALUE);
    /* A node that the program adds, put behind the captured one and before the next. */
    OK(cuGraphAddEmptyNode(&empty, told, nodes, count));
    OK(cuStreamUpdateCaptureDependencies(stream, &empty, NULL, 1,
                                         CU_STREAM_SET_CAPTURE_DEPENDENCIES));
    launch_step(stream, data, 1, 1);
    OK(cuStreamUpdateCaptureDependencies(stream, &empty, NULL, 1,
                                         CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
    OK(cuStreamGetCaptureInfo(stream, &status, NULL, NULL, &nodes, NULL, &count));
    CHECK(count == 2 && nodes[1] == empty);
    EXPECT(cuStreamUpdateCaptureDependencies(stream, &empty, NULL, 1, 7), CUDA_ERROR_INVALID_VALUE);
    OK(cuStreamEndCapture(stream, &graph));
    CHECK(graph == told && count_nodes(graph) == 3 && count_edges(graph) == 2);
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuStreamGetCaptureInfo(stream, &status, &second, NULL, NULL, NULL, NULL));
    CHECK(first != second);
    OK(cuStreamEndCapture(stream, &told));
    CHECK(count_nodes(told) == 0);
    OK(cuGraphDestroy(told));
    OK(cuGraphDestroy(graph));
    EXPECT(cuStreamUpdateCaptureDependencies(stream, &empty, NULL, 0, 0), CUDA_ERROR_ILLEGAL_STATE);
}

/* Into a graph that is there, behind one of its nodes. */
static void captures_go_into_graphs(void)
{
    CUdeviceptr data = words(1);
    CUgraph graph, told;
    CUgraphExec exec;
    OK(cuGraphCreate(&graph, 0));
    CUgraphNode node = add_step(graph, NULL, data, 2, 1);
    OK(cuStreamBeginCaptureToGraph(stream, graph, &node, NULL, 1, CU_STREAM_CAPTURE_MODE_GLOBAL));
    EXPECT(cuGraphInstantiate(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
    launch_step(stream, data, 10, 0);
    OK(cuStreamEndCapture(stream, &told));
    CHECK(told == graph && count_nodes(graph) == 2 && count_edges(graph) == 1);
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == 30);

    /* A launch that is captured is a child graph. */
    CUgraph outer, inner;
    CUgraphNode child;
    CUgraphNodeType type;
    size_t count = 1;
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuGraphLaunch(exec, stream));
    launch_step(stream, data, 1, 1);
    OK(cuStreamEndCapture(stream, &outer));
    OK(cuGraphGetRootNodes(outer, &child, &count));
    OK(cuGraphNodeGetType(child, &type));
    CHECK(type == CU_GRAPH_NODE_TYPE_GRAPH);
    OK(cuGraphChildGraphNodeGetGraph(child, &inner));
    CHECK(count_nodes(inner) == 2);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphInstantiate(&exec, outer, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == (30 * 2 + 1) * 10 + 1);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(outer));
    OK(cuGraphDestroy(graph));
}

int main(void)
{
    start_graphs();
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
         mode <= CU_STREAM_CAPTURE_MODE_RELAXED; mode++)
        chain_equals_plain_launches(mode, mode == CU_STREAM_CAPTURE_MODE_GLOBAL ? LAUNCHES : 10);
    all_kinds_are_captured();
    forks_join();
    captures_tell_and_change();
    captures_go_into_graphs();
    return 0;
}

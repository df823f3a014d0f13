/* What hangs on graphs and nodes: user objects, attributes, operations on words, the text for
 * Graphviz, and what an update refuses. What would break it is an object that goes while something
 * may still use it, or never, and a change that is taken although CUDA refuses it. */
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "program.h"

static CUstream stream;
static CUcontext context;
static atomic_int destroyed;

static void CUDA_CB destroy(void *data)
{
    int value;
    CHECK(data == &destroyed);
    CHECK(cuDriverGetVersion(&value) == CUDA_SUCCESS);
    CHECK(cuCtxGetDevice(&value) == CUDA_ERROR_NOT_PERMITTED);
    atomic_fetch_add(&destroyed, 1);
}

/* Destructors run on a thread of the driver's. */
static void await_destroyed(int count)
{
    while (atomic_load(&destroyed) < count)
        usleep(1000);
    CHECK(atomic_load(&destroyed) == count);
}

static CUuserObject new_object(unsigned int count)
{
    CUuserObject object;
    OK(cuUserObjectCreate(&object, &destroyed, destroy, count, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
    return object;
}

static void CUDA_CB wait_for_flag(void *flag)
{
    while (!atomic_load((atomic_int *)flag))
        usleep(1000);
}

static void objects_live_as_long_as_needed(void)
{
    CUuserObject object;
    CUgraph graph, clone;
    CUgraphExec exec;
    CUgraphNode node;
    atomic_int flag = 0;
    CUDA_HOST_NODE_PARAMS host = {wait_for_flag, &flag};
    EXPECT(cuUserObjectCreate(&object, NULL, destroy, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuUserObjectCreate(&object, NULL, destroy, 0, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC),
           CUDA_ERROR_INVALID_VALUE);
    object = new_object(2);
    OK(cuUserObjectRetain(object, 1));
    OK(cuUserObjectRelease(object, 2));
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddHostNode(&node, graph, NULL, 0, &host));
    OK(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
    EXPECT(cuGraphReleaseUserObject(graph, object, 2), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphClone(&clone, graph));
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphDestroy(graph));
    OK(cuGraphReleaseUserObject(clone, object, 1));
    OK(cuGraphDestroy(clone));
    OK(cuGraphLaunch(exec, stream));
    OK(cuGraphExecDestroy(exec));
    CHECK(atomic_load(&destroyed) == 0); /* the launch still runs */
    atomic_store(&flag, 1);
    OK(cuStreamSynchronize(stream));
    await_destroyed(1);
    EXPECT(cuUserObjectRetain(object, 1), CUDA_ERROR_INVALID_VALUE);
    object = new_object(1);
    OK(cuUserObjectRelease(object, 1));
    await_destroyed(2);
}

static void attributes_are_kept(void)
{
    CUgraph graph, clone;
    CUgraphNode first, second, cloned;
    CUdeviceptr data = words(0);
    CUlaunchAttributeValue value = {.priority = -3}, found;
    OK(cuGraphCreate(&graph, 0));
    first = add_step(graph, NULL, data, 1, 1);
    second = add_step(graph, first, data, 1, 1);
    OK(cuGraphKernelNodeGetAttribute(first, CU_LAUNCH_ATTRIBUTE_PRIORITY, &found));
    CHECK(found.priority == 0);
    OK(cuGraphKernelNodeSetAttribute(first, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
    OK(cuGraphKernelNodeCopyAttributes(second, first));
    OK(cuGraphKernelNodeGetAttribute(second, CU_LAUNCH_ATTRIBUTE_PRIORITY, &found));
    CHECK(found.priority == -3);
    OK(cuGraphClone(&clone, graph));
    OK(cuGraphNodeFindInClone(&cloned, second, clone));
    OK(cuGraphKernelNodeGetAttribute(cloned, CU_LAUNCH_ATTRIBUTE_PRIORITY, &found));
    CHECK(found.priority == -3);
    EXPECT(cuGraphKernelNodeGetAttribute(first, CU_LAUNCH_ATTRIBUTE_IGNORE, &found),
           CUDA_ERROR_INVALID_VALUE);
    value.clusterDim.x = 2;
    value.clusterDim.y = value.clusterDim.z = 1;
    EXPECT(cuGraphKernelNodeSetAttribute(first, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value),
           CUDA_ERROR_NOT_SUPPORTED);
    OK(cuGraphDestroy(clone));
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(data));
}

static CUgraphExecUpdateResult update(CUgraphExec exec, CUgraph graph, CUgraphNode *at)
{
    CUgraphExecUpdateResultInfo info;
    CUresult result = cuGraphExecUpdate(exec, graph, &info);
    CHECK(result == (info.result ? CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE : CUDA_SUCCESS));
    *at = info.errorNode;
    return info.result;
}

static CUgraph two_nodes(CUdeviceptr data, CUgraphNode *first, CUgraphNode *second, bool copies)
{
    CUgraph graph;
    CUDA_MEMSET_NODE_PARAMS set = {
        .dst = data, .value = 1, .elementSize = 4, .width = THREADS, .height = 1};
    OK(cuGraphCreate(&graph, 0));
    *first = add_step(graph, NULL, data, 1, 1);
    if (copies)
        OK(cuGraphAddMemsetNode(second, graph, first, 1, &set, context));
    else
        *second = add_step(graph, *first, data, 1, 1);
    return graph;
}

static void updates_say_what_they_refuse(void)
{
    CUdeviceptr data = words(0);
    CUgraphNode first, second, at;
    CUgraphExec exec;
    CUgraph graph = two_nodes(data, &first, &second, true);
    OK(cuGraphInstantiate(&exec, graph, 0));
    CHECK(update(exec, graph, &at) == CU_GRAPH_EXEC_UPDATE_SUCCESS && at == NULL);
    OK(cuGraphDestroy(graph));
    graph = two_nodes(data, &first, &second, false);
    CHECK(update(exec, graph, &at) == CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
    CHECK(at == second);
    OK(cuGraphDestroy(graph));
    graph = two_nodes(data, &first, &second, true);
    OK(cuGraphRemoveDependencies(graph, &first, &second, NULL, 1));
    CHECK(update(exec, graph, &at) == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    CHECK(at == second);
    OK(cuGraphDestroy(graph));
    graph = two_nodes(data, &first, &second, true);
    CUlaunchAttributeValue cooperative = {.cooperative = 1};
    OK(cuGraphKernelNodeSetAttribute(first, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &cooperative));
    CHECK(update(exec, graph, &at) == CU_GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED);
    CHECK(at == first);
    OK(cuGraphDestroy(graph));
    graph = two_nodes(data, &first, &second, true);
    CUDA_MEMSET_NODE_PARAMS rows = {
        .dst = data, .elementSize = 4, .width = 8, .pitch = 32, .height = 2};
    OK(cuGraphMemsetNodeSetParams(second, &rows));
    CHECK(update(exec, graph, &at) == CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED);
    CHECK(at == second);
    OK(cuGraphDestroy(graph));
    OK(cuGraphExecDestroy(exec));
    OK(cuMemFree(data));
}

/* One branch waits for a word that the other writes; captured, and added by hand. */
static void words_are_waited_for(void)
{
    CUdeviceptr word = words(0), data = words(1);
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode wait, write;
    CUgraphNodeType type;
    CUstreamBatchMemOpParams op = {.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
                                                 .address = word,
                                                 .value = 5,
                                                 .flags = CU_STREAM_WAIT_VALUE_EQ}};
    CUDA_BATCH_MEM_OP_NODE_PARAMS params = {.ctx = context, .count = 1, .paramArray = &op}, told;
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddBatchMemOpNode(&wait, graph, NULL, 0, &params));
    add_step(graph, wait, data, 7, 0);
    op.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
    op.writeValue.flags = 0;
    OK(cuGraphAddBatchMemOpNode(&write, graph, NULL, 0, &params));
    OK(cuGraphBatchMemOpNodeGetParams(wait, &told));
    CHECK(told.count == 1 && told.paramArray[0].operation == CU_STREAM_MEM_OP_WAIT_VALUE_32);
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(data) == 7);
    op.operation = (CUstreamBatchMemOpType)77;
    EXPECT(cuGraphBatchMemOpNodeSetParams(wait, &params), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuStreamWriteValue32(stream, word, 9, 0));
    OK(cuStreamEndCapture(stream, &graph));
    size_t count = 1;
    OK(cuGraphGetNodes(graph, &write, &count));
    OK(cuGraphNodeGetType(write, &type));
    CHECK(type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP && only_word(data) == 7);
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(word));
    OK(cuMemFree(data));
}

static void graphs_are_printed(void)
{
    char path[] = "/tmp/weft-graph-XXXXXX", text[4096] = "";
    CUdeviceptr data = words(0);
    CUgraphNode first, second, child;
    CUgraph graph = two_nodes(data, &first, &second, true), inner;
    OK(cuGraphCreate(&inner, 0));
    add_step(inner, NULL, data, 1, 1);
    OK(cuGraphAddChildGraphNode(&child, graph, &second, 1, inner));
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    OK(cuGraphDebugDotPrint(graph, path, CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE));
    CHECK(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    unlink(path);
    CHECK(strstr(text, "digraph dot {") == text);
    CHECK(strstr(text, "\"graph_1_node_0\" -> \"graph_1_node_1\""));
    CHECK(strstr(text, "\"graph_1_node_1\" -> \"graph_1_node_2\""));
    CHECK(strstr(text, "KERNEL\\nstep") && strstr(text, "block (64,1,1)"));
    CHECK(strstr(text, "MEMSET") && strstr(text, "GRAPH\\ngraph_2"));
    EXPECT(cuGraphDebugDotPrint(graph, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuGraphDebugDotPrint(graph, "/no/such/folder/file", 0), CUDA_ERROR_OPERATING_SYSTEM);
    OK(cuGraphDestroy(inner));
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(data));
}

int main(void)
{
    start_graphs();
    OK(cuCtxGetCurrent(&context));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    objects_live_as_long_as_needed();
    attributes_are_kept();
    updates_say_what_they_refuse();
    words_are_waited_for();
    graphs_are_printed();
    return 0;
}

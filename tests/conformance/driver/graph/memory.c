/* Graphs that allocate and free. What would break it is an address that moves, memory that a launch
 * gives twice or keeps for ever, or a device that does not see what graphs hold. */
#include "program.h"

#define MIB ((size_t)1 << 20)

static CUstream stream;
static CUdevice device;

static CUmemPoolProps on_device(void)
{
    return (CUmemPoolProps){.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}};
}

static cuuint64_t attribute(CUgraphMem_attribute which)
{
    cuuint64_t value;
    OK(cuDeviceGetGraphMemAttribute(device, which, &value));
    return value;
}

static size_t free_bytes(void)
{
    size_t free, total;
    OK(cuMemGetInfo(&free, &total));
    return free;
}

static CUgraphNode add_allocation(CUgraph graph, CUgraphNode after, size_t bytes,
                                  CUdeviceptr *address)
{
    CUgraphNode node;
    CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = on_device(), .bytesize = bytes};
    OK(cuGraphAddMemAllocNode(&node, graph, &after, after != NULL, &params));
    CHECK(params.dptr);
    *address = params.dptr;
    return node;
}

static CUgraphNode add_free(CUgraph graph, CUgraphNode after, CUdeviceptr address)
{
    CUgraphNode node;
    OK(cuGraphAddMemFreeNode(&node, graph, &after, after != NULL, address));
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

static CUgraphNode add_copy(CUgraph graph, CUgraphNode after, CUdeviceptr to, CUdeviceptr from)
{
    CUcontext context;
    CUgraphNode node;
    CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcDevice = from,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstDevice = to,
                          .WidthInBytes = THREADS * 4,
                          .Height = 1,
                          .Depth = 1};
    OK(cuCtxGetCurrent(&context));
    OK(cuGraphAddMemcpyNode(&node, graph, &after, after != NULL, &copy, context));
    return node;
}

/* Allocate, fill, use, free: launched many times without growing, and nothing stays but what the
 * device keeps for the next graph until it is trimmed. */
static void inside_a_graph(void)
{
    CUgraph graph, clone;
    CUgraphExec exec, second = NULL;
    CUdeviceptr inner, out = words(0), told;
    CUDA_MEM_ALLOC_NODE_PARAMS read;
    size_t before = free_bytes();
    OK(cuGraphCreate(&graph, 0));
    CUgraphNode alloc = add_allocation(graph, NULL, 3 * MIB, &inner);
    CUgraphNode node = add_set(graph, alloc, inner, 7);
    node = add_step(graph, node, inner, 3, 1);
    node = add_copy(graph, node, out, inner);
    node = add_free(graph, node, inner);
    OK(cuGraphMemAllocNodeGetParams(alloc, &read));
    CHECK(read.dptr == inner && read.bytesize == 3 * MIB);
    OK(cuGraphMemFreeNodeGetParams(node, &told));
    CHECK(told == inner);
    EXPECT(cuMemFree(inner), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphInstantiate(&exec, graph, 0));
    CHECK(free_bytes() == before); /* nothing is taken before it is needed */
    OK(cuGraphUpload(exec, stream));
    CHECK(before - free_bytes() == 4 * MIB);
    for (int i = 0; i < 50; i++) {
        OK(cuMemsetD32(out, 0, THREADS));
        OK(cuGraphLaunch(exec, stream));
        OK(cuStreamSynchronize(stream));
        CHECK(only_word(out) == 22);
    }
    CHECK(before - free_bytes() == 4 * MIB);
    CHECK(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT) == 4 * MIB);
    CHECK(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) == 4 * MIB);
    EXPECT(cuGraphInstantiate(&second, graph, 0), CUDA_ERROR_NOT_SUPPORTED);
    EXPECT(cuGraphClone(&clone, graph), CUDA_ERROR_NOT_SUPPORTED);
    EXPECT(cuGraphDestroyNode(node), CUDA_ERROR_NOT_SUPPORTED);
    EXPECT(cuMemFree(inner), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    CHECK(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT) == 0);
    CHECK(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) == 4 * MIB);
    CHECK(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) == 4 * MIB);
    OK(cuDeviceGraphMemTrim(device));
    CHECK(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) == 0);
    CHECK(free_bytes() == before);
    cuuint64_t zero = 0, one = 1;
    OK(cuDeviceSetGraphMemAttribute(device, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero));
    CHECK(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) == 0);
    EXPECT(cuDeviceSetGraphMemAttribute(device, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &one),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuDeviceSetGraphMemAttribute(device, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &zero),
           CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree(out));
}

/* What a graph does not free is the program's, and stands against another launch until it is freed,
 * by a call, by another graph, or by the next launch where that was asked for. */
static void out_of_a_graph(void)
{
    CUgraph graph, freeing;
    CUgraphExec exec, free_exec;
    CUdeviceptr address = 0;
    OK(cuGraphCreate(&graph, 0));
    CUgraphNode node = add_allocation(graph, NULL, THREADS * 4, &address);
    add_set(graph, node, address, 5);
    OK(cuGraphCreate(&freeing, 0));
    add_free(freeing, NULL, address);
    OK(cuGraphInstantiate(&free_exec, freeing, 0));
    OK(cuGraphInstantiate(&exec, graph, 0));
    EXPECT(cuGraphLaunch(free_exec, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphLaunch(exec, stream));
    EXPECT(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(address) == 5);
    OK(cuMemFree(address));
    EXPECT(cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphLaunch(exec, stream));
    OK(cuMemFreeAsync(address, stream));
    OK(cuGraphLaunch(exec, stream));
    OK(cuGraphLaunch(free_exec, stream));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(address) == 5);
    OK(cuGraphExecDestroy(exec));
    OK(cuMemFree(address)); /* it outlives the graph */
    OK(cuGraphInstantiate(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
    for (int i = 0; i < 20; i++)
        OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(address) == 5);
    OK(cuMemFree(address));
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphExecDestroy(free_exec));
    OK(cuGraphDestroy(graph));
    OK(cuGraphDestroy(freeing));
}

/* An address that is free again is used again, but only behind the free. */
static void addresses_are_reused(void)
{
    CUgraph graph;
    CUdeviceptr first, second, third, beside;
    OK(cuGraphCreate(&graph, 0));
    CUgraphNode node = add_allocation(graph, NULL, MIB, &first);
    CUgraphNode freed = add_free(graph, node, first);
    add_allocation(graph, node, MIB, &beside);
    CHECK(beside != first);
    node = add_allocation(graph, freed, MIB, &second);
    CHECK(second == first);
    add_allocation(graph, freed, MIB, &third);
    CHECK(third != first);
    CUgraphNode wrong;
    EXPECT(cuGraphAddMemFreeNode(&wrong, graph, NULL, 0, 4096), CUDA_ERROR_INVALID_VALUE);
    add_free(graph, node, second);
    EXPECT(cuGraphAddMemFreeNode(&wrong, graph, NULL, 0, second), CUDA_ERROR_INVALID_VALUE);
    CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = on_device()};
    EXPECT(cuGraphAddMemAllocNode(&wrong, graph, NULL, 0, &params), CUDA_ERROR_INVALID_VALUE);
    params.bytesize = 512;
    params.poolProps.location.id = 77;
    EXPECT(cuGraphAddMemAllocNode(&wrong, graph, NULL, 0, &params), CUDA_ERROR_INVALID_VALUE);
    OK(cuGraphDestroy(graph));
}

/* cuMemAllocAsync and cuMemFreeAsync in a stream that captures. */
static void captured(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr inner, kept, out = words(0), foreign;
    uint32_t factor = 2, term = 1;
    OK(cuMemAllocAsync(&foreign, 4096, stream));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemAllocAsync(&inner, THREADS * 4, stream));
    OK(cuMemAllocAsync(&kept, THREADS * 4, stream));
    OK(cuMemsetD32Async(inner, 4, THREADS, stream));
    void *params[] = {&inner, &factor, &term};
    OK(cuLaunchKernel(step, 1, 1, 1, THREADS, 1, 1, 0, stream, params, NULL));
    OK(cuMemcpyDtoDAsync(kept, inner, THREADS * 4, stream));
    OK(cuMemcpyDtoDAsync(out, inner, THREADS * 4, stream));
    EXPECT(cuMemFreeAsync(foreign, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFreeAsync(inner, stream));
    OK(cuStreamEndCapture(stream, &graph));
    size_t count;
    OK(cuGraphGetNodes(graph, NULL, &count));
    CHECK(count == 7);
    OK(cuGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 10; i++) {
        OK(cuGraphLaunch(exec, stream));
        OK(cuStreamSynchronize(stream));
        CHECK(only_word(out) == 9 && only_word(kept) == 9);
        OK(cuMemFreeAsync(kept, stream));
    }
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuMemFreeAsync(foreign, stream));
    OK(cuMemFree(out));
    OK(cuStreamSynchronize(stream));
}

/* More than the device has: refused at the launch, after what other graphs left was given up. */
static void limits_hold(void)
{
    CUgraph graph, small;
    CUgraphExec exec;
    CUdeviceptr address = 0;
    size_t free = free_bytes();
    OK(cuGraphCreate(&small, 0));
    CUgraphNode node = add_allocation(small, NULL, free / 2, &address);
    add_free(small, node, address);
    OK(cuGraphInstantiate(&exec, small, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(small));
    CHECK(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) >= free / 2);
    OK(cuMemAlloc(&address, free / 4 * 3));
    OK(cuMemFree(address));
    OK(cuGraphCreate(&graph, 0));
    add_allocation(graph, NULL, free * 2, &address);
    OK(cuGraphInstantiate(&exec, graph, 0));
    EXPECT(cuGraphLaunch(exec, stream), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT(cuGraphUpload(exec, stream), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuDeviceGraphMemTrim(device));
    CHECK(free_bytes() == free);
}

int main(void)
{
    start_graphs();
    OK(cuCtxGetDevice(&device));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    inside_a_graph();
    out_of_a_graph();
    addresses_are_reused();
    captured();
    OK(cuDeviceGraphMemTrim(device));
    limits_hold();
    return 0;
}

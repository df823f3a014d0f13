/* Clusters of blocks through the driver: by a launch's attribute and by what the kernel states.
 * What would break it is a block that does not see the others of its cluster, or sees another's. */
#include "check.h"

#define BLOCKS 32
#define THREADS 48

/* Each block leaves 100 + its index in its shared memory; after the cluster has met, it adds up
 * what all ranks have. */
#define BODY                                                                                     \
    "    .reg .pred %p; .reg .u32 %me, %rank, %n, %at, %v, %sum, %cell, %t;\n"                   \
    "    .reg .u64 %out, %place; .shared .align 4 .u32 mine;\n"                                  \
    "    ld.param.u64 %out, [p_out]; mov.u32 %me, %ctaid.x; mov.u32 %t, %tid.x;\n"               \
    "    add.u32 %v, %me, 100; mov.u32 %cell, mine; setp.eq.u32 %p, %t, 0;\n"                    \
    "    @%p st.shared.u32 [mine], %v;\n"                                                        \
    "    barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;\n"        \
    "    mov.u32 %n, %cluster_nctarank; mov.u32 %rank, 0; mov.u32 %sum, 0;\n"                    \
    "next: mapa.shared::cluster.u32 %at, %cell, %rank; ld.shared::cluster.u32 %v, [%at];\n"      \
    "    add.u32 %sum, %sum, %v; add.u32 %rank, %rank, 1; setp.lt.u32 %p, %rank, %n;\n"          \
    "    @%p bra next;\n"                                                                        \
    "    barrier.cluster.arrive; barrier.cluster.wait;\n"                                        \
    "    mul.wide.u32 %place, %me, 4; add.u64 %out, %out, %place; st.global.u32 [%out], %sum;\n" \
    "    ret;\n}\n"

static const char ptx[] =
    ".version 8.0\n.target sm_90\n.address_size 64\n"
    ".visible .entry free(.param .u64 p_out)\n{\n" BODY ".visible .entry pairs(.param .u64 p_out)\n"
    ".explicitcluster\n.reqnctapercluster 2\n{\n" BODY;

static void expect_sums(CUdeviceptr out, uint32_t size)
{
    uint32_t sums[BLOCKS];
    OK(cuMemcpyDtoH(sums, out, sizeof(sums)));
    for (uint32_t block = 0; block < BLOCKS; block++) {
        uint32_t first = block / size * size;
        CHECK(sums[block] == size * 100 + size * first + size * (size - 1) / 2);
    }
}

static CUlaunchConfig configure(CUlaunchAttribute *attribute, unsigned int size)
{
    *attribute = (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION};
    attribute->value.clusterDim.x = size;
    attribute->value.clusterDim.y = attribute->value.clusterDim.z = 1;
    return (CUlaunchConfig){.gridDimX = BLOCKS,
                            .gridDimY = 1,
                            .gridDimZ = 1,
                            .blockDimX = THREADS,
                            .blockDimY = 1,
                            .blockDimZ = 1,
                            .attrs = attribute,
                            .numAttrs = 1};
}

static int attribute_of(CUfunction function, CUfunction_attribute attribute)
{
    int value = -1;
    OK(cuFuncGetAttribute(&value, attribute, function));
    return value;
}

static void check_sizes(CUfunction function, CUdeviceptr out, void **params)
{
    CUlaunchAttribute attribute;
    for (unsigned int size = 1; size <= 8; size *= 2) {
        CUlaunchConfig config = configure(&attribute, size);
        OK(cuMemsetD8(out, 0, BLOCKS * 4));
        OK(cuLaunchKernelEx(&config, function, params, NULL));
        expect_sums(out, size);
    }
    CUlaunchConfig config = configure(&attribute, 16);
    EXPECT(cuLaunchKernelEx(&config, function, params, NULL), CUDA_ERROR_INVALID_CLUSTER_SIZE);
    OK(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
    OK(cuLaunchKernelEx(&config, function, params, NULL));
    expect_sums(out, 16);
    config = configure(&attribute, 5);
    EXPECT(cuLaunchKernelEx(&config, function, params, NULL), CUDA_ERROR_INVALID_CLUSTER_SIZE);
}

static void check_stated(CUfunction pairs, CUdeviceptr out, void **params)
{
    CUlaunchAttribute attribute;
    CHECK(attribute_of(pairs, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH) == 2);
    CHECK(attribute_of(pairs, CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET) == 0);
    EXPECT(cuFuncSetAttribute(pairs, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, 4),
           CUDA_ERROR_INVALID_VALUE);
    OK(cuLaunchKernel(pairs, BLOCKS, 1, 1, THREADS, 1, 1, 0, NULL, params, NULL));
    expect_sums(out, 2);
    EXPECT(cuLaunchKernel(pairs, BLOCKS + 1, 1, 1, THREADS, 1, 1, 0, NULL, params, NULL),
           CUDA_ERROR_INVALID_CLUSTER_SIZE);
    CUlaunchConfig config = configure(&attribute, 4);
    EXPECT(cuLaunchKernelEx(&config, pairs, params, NULL), CUDA_ERROR_INVALID_CLUSTER_SIZE);
}

/* A node keeps its cluster: set, captured, copied and cloned. */
static void check_graphs(CUfunction function, CUdeviceptr out, void **params)
{
    CUlaunchAttribute attribute;
    CUkernelNodeAttrValue value = {0}, found;
    CUgraph graph;
    CUgraphNode node, captured;
    CUgraphExec exec;
    CUstream stream;
    size_t count = 1;
    CUDA_KERNEL_NODE_PARAMS kernel = {.func = function,
                                      .gridDimX = BLOCKS,
                                      .gridDimY = 1,
                                      .gridDimZ = 1,
                                      .blockDimX = THREADS,
                                      .blockDimY = 1,
                                      .blockDimZ = 1,
                                      .kernelParams = params};
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddKernelNode(&node, graph, NULL, 0, &kernel));
    value.clusterDim.x = 5;
    value.clusterDim.y = value.clusterDim.z = 1;
    EXPECT(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value),
           CUDA_ERROR_INVALID_CLUSTER_SIZE);
    value.clusterDim.x = 4;
    OK(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value));
    OK(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &found));
    CHECK(found.clusterDim.x == 4 && found.clusterDim.y == 1);
    OK(cuGraphKernelNodeSetParams(node, &kernel));
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuMemsetD8(out, 0, BLOCKS * 4));
    OK(cuGraphLaunch(exec, NULL));
    OK(cuCtxSynchronize());
    expect_sums(out, 4);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    CUlaunchConfig config = configure(&attribute, 2);
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    config.hStream = stream;
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuLaunchKernelEx(&config, function, params, NULL));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphGetNodes(graph, &captured, &count));
    OK(cuGraphKernelNodeGetAttribute(captured, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &found));
    CHECK(found.clusterDim.x == 2);
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    expect_sums(out, 2);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuStreamDestroy(stream));
}

/* A kernel that states its cluster is asked for no other. */
static void check_stated_occupancy(CUfunction pairs, int blocks)
{
    CUlaunchAttribute attribute;
    CUlaunchConfig config = configure(&attribute, 4);
    int number = 0;
    OK(cuOccupancyMaxPotentialClusterSize(&number, pairs, &config));
    CHECK(number == 2);
    EXPECT(cuOccupancyMaxActiveClusters(&number, pairs, &config), CUDA_ERROR_INVALID_CLUSTER_SIZE);
    config = configure(&attribute, 2);
    OK(cuOccupancyMaxActiveClusters(&number, pairs, &config));
    CHECK(number == blocks / 2);
    config.numAttrs = 0;
    OK(cuOccupancyMaxActiveClusters(&number, pairs, &config));
    CHECK(number == blocks / 2);
}

int main(void)
{
    CUmodule module = start(ptx);
    CUfunction function = function_of(module, "free");
    CUfunction pairs = function_of(module, "pairs");
    CUdeviceptr out;
    CUlaunchAttribute attribute;
    int number = 0;
    OK(cuDeviceGetAttribute(&number, CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, 0));
    CHECK(number == 1);
    OK(cuMemAlloc(&out, BLOCKS * 4));
    void *params[] = {&out};
    CUlaunchConfig config = configure(&attribute, 4);
    OK(cuOccupancyMaxPotentialClusterSize(&number, function, &config));
    CHECK(number == 8);
    int alone = 0;
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&alone, function, THREADS, 0));
    OK(cuOccupancyMaxActiveClusters(&number, function, &config));
    int multiprocessors = 0;
    OK(cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    CHECK(number == alone * multiprocessors / 4);
    check_stated_occupancy(pairs, alone * multiprocessors);
    config.numAttrs = 0;
    EXPECT(cuOccupancyMaxActiveClusters(&number, function, &config),
           CUDA_ERROR_INVALID_CLUSTER_SIZE);
    check_sizes(function, out, params);
    check_stated(pairs, out, params);
    check_graphs(function, out, params);
    return 0;
}

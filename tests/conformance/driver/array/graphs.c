/* Copies of arrays as nodes of graphs and in streams: what breaks it is a node that forgets that a
 * side is an array, one that runs out of order, or a freed array that a launch still writes. */
#include "model.h"

#define WIDTH 24
#define HEIGHT 6
#define DEPTH 4
#define BYTES (WIDTH * HEIGHT * DEPTH)

static unsigned char input[BYTES], output[BYTES];

static CUarray make(void)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = {WIDTH, HEIGHT, DEPTH, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0};
    CUarray array;
    DO(cuArray3DCreate(&array, &shape));
    return array;
}

static CUDA_MEMCPY3D whole(void)
{
    return (CUDA_MEMCPY3D){.srcPitch = WIDTH,
                           .srcHeight = HEIGHT,
                           .dstPitch = WIDTH,
                           .dstHeight = HEIGHT,
                           .WidthInBytes = WIDTH,
                           .Height = HEIGHT,
                           .Depth = DEPTH};
}

static CUDA_MEMCPY3D into(CUarray array, const void *from)
{
    CUDA_MEMCPY3D copy = whole();
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = from;
    copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    copy.dstArray = array;
    return copy;
}

static CUDA_MEMCPY3D out_of(CUarray array, void *to)
{
    CUDA_MEMCPY3D copy = whole();
    copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
    copy.srcArray = array;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = to;
    return copy;
}

static CUDA_MEMCPY3D between(CUarray to, CUarray from)
{
    CUDA_MEMCPY3D copy = whole();
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    copy.srcArray = from;
    copy.dstArray = to;
    return copy;
}

static void fill(unsigned int seed)
{
    for (size_t i = 0; i < BYTES; i++)
        input[i] = (unsigned char)model_random(&seed);
    memset(output, 0, sizeof(output));
}

/* In, across and out again, in order, at each of three launches. */
static void launches(CUcontext context)
{
    CUarray first = make(), second = make();
    CUDA_MEMCPY3D copies[] = {into(first, input), between(second, first), out_of(second, output)};
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode nodes[3];
    DO(cuGraphCreate(&graph, 0));
    for (int i = 0; i < 3; i++)
        DO(cuGraphAddMemcpyNode(&nodes[i], graph, i ? &nodes[i - 1] : NULL, i ? 1 : 0, &copies[i],
                                context));
    DO(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (unsigned int i = 0; i < 3; i++) {
        fill(i);
        DO(cuGraphLaunch(exec, NULL));
        DO(cuStreamSynchronize(NULL));
        TRUE(memcmp(input, output, BYTES) == 0);
    }
    CUDA_MEMCPY3D told;
    DO(cuGraphMemcpyNodeGetParams(nodes[1], &told));
    TRUE(told.srcArray == first && told.dstArray == second);
    /* The executable graph learns another array; then one that is gone. */
    CUarray third = make();
    CUDA_MEMCPY3D changed = out_of(third, output);
    DO(cuGraphExecMemcpyNodeSetParams(exec, nodes[2], &changed, context));
    fill(9);
    DO(cuGraphLaunch(exec, NULL));
    DO(cuStreamSynchronize(NULL));
    TRUE(output[0] == 0 && memcmp(output, output + 1, BYTES - 1) == 0);
    DO(cuArrayDestroy(third));
    TRUE(cuGraphExecMemcpyNodeSetParams(exec, nodes[2], &changed, context) != CUDA_SUCCESS);
    TRUE(cuGraphLaunch(exec, NULL) != CUDA_SUCCESS);
    TRUE(cuGraphAddMemcpyNode(&nodes[0], graph, NULL, 0, &changed, context) != CUDA_SUCCESS);
    DO(cuGraphExecDestroy(exec));
    DO(cuGraphDestroy(graph));
    DO(cuArrayDestroy(first));
    DO(cuArrayDestroy(second));
}

/* A copy that waits behind a kernel: what it reads of pageable memory it has read by return, and
 * what is destroyed meanwhile waits for it. */
static void streams(const struct program *program)
{
    unsigned int *flag;
    unsigned char *pinned;
    CUstream stream;
    CUarray array = make();
    DO(cuMemHostAlloc((void **)&flag, 4, CU_MEMHOSTALLOC_DEVICEMAP));
    DO(cuMemAllocHost((void **)&pinned, BYTES));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    *flag = 0;
    fill(3);
    program_spin(program, flag, stream);
    CUDA_MEMCPY3D in = into(array, input), out = out_of(array, pinned);
    DO(cuMemcpy3DAsync(&in, stream));
    DO(cuMemcpy3DAsync(&out, stream));
    memcpy(output, input, BYTES);
    memset(input, 0xee, BYTES);
    EXPECT(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    __atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
    DO(cuArrayDestroy(array));
    TRUE(memcmp(pinned, output, BYTES) == 0);
    DO(cuStreamDestroy(stream));
    DO(cuMemFreeHost(pinned));
    DO(cuMemFreeHost(flag));
}

/* The same copies captured: nothing runs before the graph does. */
static void captures(void)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = {BYTES, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0};
    CUarray line, volume = make();
    CUdeviceptr device;
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    size_t count;
    DO(cuArray3DCreate(&line, &shape));
    DO(cuMemAlloc(&device, BYTES));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CUDA_MEMCPY3D in = into(volume, output), out = out_of(volume, output);
    fill(5);
    DO(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    DO(cuMemcpyHtoAAsync(line, 0, input, BYTES, stream));
    DO(cuMemcpyAtoHAsync(output, line, 0, BYTES, stream));
    DO(cuMemcpy3DAsync(&in, stream));
    DO(cuMemsetD8Async((CUdeviceptr)device, 0, BYTES, stream));
    DO(cuMemcpy3DAsync(&out, stream));
    DO(cuStreamEndCapture(stream, &graph));
    DO(cuGraphGetNodes(graph, NULL, &count));
    TRUE(count == 5 && output[0] == 0 && memcmp(output, output + 1, BYTES - 1) == 0);
    DO(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (unsigned int i = 6; i < 9; i++) {
        fill(i);
        DO(cuGraphLaunch(exec, stream));
        DO(cuStreamSynchronize(stream));
        TRUE(memcmp(input, output, BYTES) == 0);
    }
    DO(cuGraphExecDestroy(exec));
    DO(cuGraphDestroy(graph));
    DO(cuStreamDestroy(stream));
    DO(cuMemFree(device));
    DO(cuArrayDestroy(line));
    DO(cuArrayDestroy(volume));
}

int main(void)
{
    struct program program = program_start();
    launches(program.context);
    captures();
    streams(&program);
    return 0;
}

// Graphs: built by nodes and captured, updated and launched again; equal to plain launches.
#include "check.h"

__global__ void add(int *values, int term)
{
    values[threadIdx.x] += term;
}

static cudaGraphExec_t make_ready(cudaGraph_t graph)
{
    cudaGraphExec_t exec;
#if CUDART_VERSION >= 12000
    OK(cudaGraphInstantiate(&exec, graph, 0));
#else
    OK(cudaGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
#endif
    return exec;
}

int main()
{
    const int n = 64;
    int *device, host[n], term = 3;
    cudaStream_t stream, other;
    OK(cudaMalloc(&device, sizeof(host)));
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamCreate(&other));

    cudaGraph_t graph, captured;
    cudaGraphNode_t set, run, copy;
    OK(cudaGraphCreate(&graph, 0));
    cudaMemsetParams zero = {};
    zero.dst = device;
    zero.elementSize = 4;
    zero.width = n;
    zero.height = 1;
    OK(cudaGraphAddMemsetNode(&set, graph, nullptr, 0, &zero));
    void *arguments[] = {&device, &term};
    cudaKernelNodeParams kernel = {};
    kernel.func = reinterpret_cast<void *>(add);
    kernel.gridDim = dim3(1);
    kernel.blockDim = dim3(n);
    kernel.kernelParams = arguments;
    OK(cudaGraphAddKernelNode(&run, graph, &set, 1, &kernel));
    OK(cudaGraphAddMemcpyNode1D(&copy, graph, &run, 1, host, device, sizeof(host),
                                cudaMemcpyDeviceToHost));
    size_t count = 0;
    OK(cudaGraphGetNodes(graph, nullptr, &count));
    CHECK(count == 3);
    cudaGraphExec_t exec = make_ready(graph);
    OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    CHECK(host[0] == 3 && host[n - 1] == 3);
    term = 11;
    OK(cudaGraphExecKernelNodeSetParams(exec, run, &kernel));
    OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    CHECK(host[5] == 11);

    // A fork into another stream and back, captured.
    cudaEvent_t forked, joined;
    OK(cudaEventCreate(&forked));
    OK(cudaEventCreate(&joined));
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    for (int i = 0; i < 98; i++)
        add<<<1, n, 0, stream>>>(device, i);
    OK(cudaEventRecord(forked, stream));
    OK(cudaStreamWaitEvent(other, forked, 0));
    add<<<1, n / 2, 0, other>>>(device, 1);
    OK(cudaEventRecord(joined, other));
    OK(cudaStreamWaitEvent(stream, joined, 0));
    add<<<1, n, 0, stream>>>(device, 1);
    OK(cudaStreamEndCapture(stream, &captured));
    OK(cudaGraphGetNodes(captured, nullptr, &count));
    CHECK(count == 100);
    cudaGraphExec_t many = make_ready(captured);
    OK(cudaMemset(device, 0, sizeof(host)));
    for (int i = 0; i < 1000; i++)
        OK(cudaGraphLaunch(many, stream));
    OK(cudaMemcpyAsync(host, device, sizeof(host), cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    for (int i = 0; i < n; i++)
        CHECK(host[i] == 1000 * (97 * 98 / 2 + 1 + (i < n / 2)));
    OK(cudaGraphExecDestroy(many));
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(captured));
    OK(cudaGraphDestroy(graph));
    OK(cudaFree(device));
}

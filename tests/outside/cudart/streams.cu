// Streams, events and callbacks: work in one stream keeps its order, events order two streams.
#include "check.h"
#include <vector>

__global__ void multiply_add(unsigned *values, unsigned factor, unsigned term)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    values[i] = values[i] * factor + term;
}

static void CUDART_CB count(void *data)
{
    ++*static_cast<int *>(data);
}

static void CUDART_CB called(cudaStream_t, cudaError_t status, void *data)
{
    CHECK(status == cudaSuccess);
    ++*static_cast<int *>(data);
}

int main()
{
    const unsigned n = 1 << 16;
    unsigned *device, *host;
    cudaStream_t first, second;
    cudaEvent_t begin, middle, end;
    int counted = 0, least, greatest;
    OK(cudaMalloc(&device, n * sizeof(unsigned)));
    OK(cudaMallocHost(&host, n * sizeof(unsigned)));
    OK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    OK(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithPriority(&second, cudaStreamNonBlocking, greatest));
    OK(cudaEventCreate(&begin));
    OK(cudaEventCreateWithFlags(&middle, cudaEventDisableTiming));
    OK(cudaEventCreate(&end));
    for (unsigned i = 0; i < n; i++)
        host[i] = i;
    OK(cudaEventRecord(begin, first));
    OK(cudaMemcpyAsync(device, host, n * sizeof(unsigned), cudaMemcpyHostToDevice, first));
    for (unsigned i = 0; i < 5; i++)
        multiply_add<<<n / 256, 256, 0, first>>>(device, 3, i);
    OK(cudaEventRecord(middle, first));
    OK(cudaStreamWaitEvent(second, middle, 0));
    multiply_add<<<n / 256, 256, 0, second>>>(device, 1, 1000);
    OK(cudaMemcpyAsync(host, device, n * sizeof(unsigned), cudaMemcpyDeviceToHost, second));
    OK(cudaLaunchHostFunc(second, count, &counted));
    OK(cudaStreamAddCallback(second, called, &counted, 0));
    OK(cudaEventRecord(end, second));
    OK(cudaEventSynchronize(end));
    OK(cudaStreamSynchronize(second));
    CHECK(counted == 2);
    for (unsigned i = 0; i < n; i++) {
        unsigned expected = i;
        for (unsigned k = 0; k < 5; k++)
            expected = expected * 3 + k;
        CHECK(host[i] == expected + 1000);
    }
    float ms = -1;
    OK(cudaEventElapsedTime(&ms, begin, end));
    CHECK(ms >= 0);
    CHECK(cudaEventElapsedTime(&ms, begin, middle) == cudaErrorInvalidResourceHandle);
    CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle && cudaGetLastError() == cudaSuccess);
    CHECK(cudaStreamQuery(first) == cudaSuccess);
    OK(cudaStreamDestroy(first));
    OK(cudaStreamDestroy(second));
    OK(cudaFreeHost(host));
    OK(cudaFree(device));
}

// Two devices: each thread's own, copies between them, peer access, a symbol for each, streams and events across.
// gpu: soft=PROFILEx2
#include "check.h"
#include <thread>

__device__ int factor = 2;

__global__ void scale(int *values, int n)
{
    int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        values[i] *= factor;
}

static const int N = 1000;

static void work(int device, int *host)
{
    int *values, current, mine = device + 3;
    OK(cudaSetDevice(device));
    OK(cudaMemcpyToSymbol(factor, &mine, sizeof(int)));
    OK(cudaMalloc(&values, N * sizeof(int)));
    OK(cudaMemcpy(values, host, N * sizeof(int), cudaMemcpyHostToDevice));
    scale<<<(N + 127) / 128, 128>>>(values, N);
    OK(cudaGetLastError());
    OK(cudaMemcpy(host, values, N * sizeof(int), cudaMemcpyDeviceToHost));
    OK(cudaFree(values));
    OK(cudaGetDevice(&current));
    CHECK(current == device);
}

static void own_threads()
{
    int hosts[2][N];
    for (int i = 0; i < N; i++)
        hosts[0][i] = hosts[1][i] = i;
    std::thread first(work, 0, hosts[0]), second(work, 1, hosts[1]);
    first.join();
    second.join();
    for (int i = 0; i < N; i++)
        CHECK(hosts[0][i] == 3 * i && hosts[1][i] == 4 * i);
}

static void peers()
{
    int *memory[2], host[N], may = 0;
    cudaStream_t streams[2];
    cudaEvent_t done;
    for (int i = 0; i < N; i++)
        host[i] = i;
    for (int device = 0; device < 2; device++) {
        OK(cudaSetDevice(device));
        OK(cudaMalloc(&memory[device], N * sizeof(int)));
        OK(cudaStreamCreate(&streams[device]));
    }
    OK(cudaDeviceCanAccessPeer(&may, 1, 0));
    CHECK(may);
    OK(cudaSetDevice(0));
    OK(cudaEventCreate(&done));
    OK(cudaMemcpyAsync(memory[0], host, sizeof(host), cudaMemcpyHostToDevice, streams[0]));
    scale<<<8, 128, 0, streams[0]>>>(memory[0], N);
    OK(cudaEventRecord(done, streams[0]));
    OK(cudaSetDevice(1));
    OK(cudaStreamWaitEvent(streams[1], done, 0));
    OK(cudaMemcpyPeerAsync(memory[1], 1, memory[0], 0, sizeof(host), streams[1]));
    OK(cudaStreamSynchronize(streams[1]));
    OK(cudaDeviceEnablePeerAccess(0, 0));
    CHECK(cudaDeviceEnablePeerAccess(0, 0) == cudaErrorPeerAccessAlreadyEnabled);
    CHECK(cudaGetLastError() == cudaErrorPeerAccessAlreadyEnabled);
    scale<<<8, 128, 0, streams[1]>>>(memory[0], N); // the other device's memory, with this one's symbol
    OK(cudaMemcpyAsync(host, memory[0], sizeof(host), cudaMemcpyDefault, streams[1]));
    OK(cudaStreamSynchronize(streams[1]));
    for (int i = 0; i < N; i++)
        CHECK(host[i] == 3 * 4 * i);
    OK(cudaMemcpy(host, memory[1], sizeof(host), cudaMemcpyDeviceToHost));
    for (int i = 0; i < N; i++)
        CHECK(host[i] == 3 * i);
    CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
    cudaGetLastError();
}

int main()
{
    int count = 0;
    OK(cudaGetDeviceCount(&count));
    CHECK(count == 2);
    own_threads();
    peers();
}

// Separate compilation: a kernel that calls what separate_other.cu defines.
#include "check.h"

extern __device__ int table[4];
extern __device__ int twice(int value);

__global__ void call(int *out)
{
    out[threadIdx.x] = twice(threadIdx.x) + table[threadIdx.x % 4];
}

int main()
{
    int *device, host[32];
    OK(cudaMalloc(&device, sizeof(host)));
    call<<<1, 32>>>(device);
    OK(cudaMemcpy(host, device, sizeof(host), cudaMemcpyDeviceToHost));
    for (int i = 0; i < 32; i++)
        CHECK(host[i] == 2 * i + (i % 4 + 1) * 10);
}

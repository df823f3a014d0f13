/* counts[v] += how often v occurs in data[0 ... n), for bytes: first in shared memory, then in global memory. */
extern "C" __global__ void histogram(const unsigned char *data, unsigned n, unsigned *counts)
{
    __shared__ unsigned held[256];
    for (unsigned v = threadIdx.x; v < 256; v += blockDim.x)
        held[v] = 0;
    __syncthreads();
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&held[data[i]], 1);
    __syncthreads();
    for (unsigned v = threadIdx.x; v < 256; v += blockDim.x)
        if (held[v])
            atomicAdd(&counts[v], held[v]);
}

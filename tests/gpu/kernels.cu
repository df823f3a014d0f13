// The kernels of driver_program.c. Sums are of integers, so that the order of atomics changes no result.
extern "C" __global__ void fill(unsigned int *data, unsigned int count, unsigned int seed)
{
    unsigned int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count)
        data[index] = (index + seed) * 2654435761u;
}

extern "C" __global__ void sum(const unsigned int *data, unsigned int count, unsigned long long *total)
{
    unsigned long long value = 0;
    for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        value += data[i];
    for (int distance = 16; distance > 0; distance /= 2)
        value += __shfl_down_sync(0xffffffffu, value, distance);
    if (threadIdx.x % 32 == 0)
        atomicAdd(total, value);
}

extern "C" __global__ void histogram(const unsigned int *data, unsigned int count, unsigned int *bins)
{
    __shared__ unsigned int local[256];
    local[threadIdx.x] = 0;
    __syncthreads();
    for (unsigned int i = blockIdx.x * 256 + threadIdx.x; i < count; i += gridDim.x * 256)
        atomicAdd(&local[data[i] >> 24], 1);
    __syncthreads();
    atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}

extern "C" __global__ void nothing()
{
}

/* Reverses each block's piece of data: as many unsigned as the block has threads, in shared memory whose size the launch
 * gives (4 bytes a thread). */
extern __shared__ unsigned held[];

extern "C" __global__ void dynamic_shared(unsigned *data)
{
    unsigned first = blockIdx.x * blockDim.x;
    held[threadIdx.x] = data[first + threadIdx.x];
    __syncthreads();
    data[first + threadIdx.x] = held[blockDim.x - 1 - threadIdx.x];
}

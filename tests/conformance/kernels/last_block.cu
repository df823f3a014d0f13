/* *result = sum of the blocks' sums, added up by the block that comes last; `partial` has one cell a block, *finished is 0
 * before. Blocks of 128 threads. */
__device__ unsigned sum_block(unsigned value, unsigned *held)
{
    held[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half)
            held[threadIdx.x] += held[threadIdx.x + half];
        __syncthreads();
    }
    return held[0];
}

extern "C" __global__ void last_block(const unsigned *in, unsigned *partial, unsigned *finished,
                                      unsigned *result)
{
    __shared__ unsigned held[128];
    __shared__ bool last;
    unsigned sum = sum_block(in[blockIdx.x * 128 + threadIdx.x], held);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(finished, 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last)
        return;
    unsigned all = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += 128)
        all += *(volatile unsigned *)&partial[i];
    __syncthreads();
    all = sum_block(all, held);
    if (threadIdx.x == 0)
        *result = all;
}

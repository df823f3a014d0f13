/* *total += sum of in[0 ... n): shuffles within a warp, shared memory within a block, an atomic for the grid. Blocks of at
 * most 1024 threads, a multiple of 32. */
extern "C" __global__ void reduction(const unsigned *in, unsigned n, unsigned *total)
{
    __shared__ unsigned sums[32];
    unsigned sum = 0, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i];
    for (int distance = 16; distance > 0; distance /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, distance);
    if (lane == 0)
        sums[warp] = sum;
    __syncthreads();
    if (warp != 0)
        return;
    sum = lane < blockDim.x / 32 ? sums[lane] : 0;
    for (int distance = 16; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffff, sum, distance);
    if (lane == 0)
        atomicAdd(total, sum);
}

/* What a block agrees on: out[3 * i + k] = how many of in[] are odd, whether all are below 100, whether one is 7; and each
 * second warp meets at a barrier of its own. Blocks of 128 threads. */
extern "C" __global__ void block_votes(const int *in, int *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, v = in[i];
    out[3 * i] = __syncthreads_count(v & 1);
    out[3 * i + 1] = __syncthreads_and(v < 100);
    out[3 * i + 2] = __syncthreads_or(v == 7);
}

/* Inclusive sum of each block's 256 elements: out[i] = in[first of the block] + ... + in[i]; sums[block] is the block's
 * total. Blocks of 256 threads. */
extern "C" __global__ void scan(const int *in, int *out, int *sums)
{
    __shared__ int held[2][256];
    int t = threadIdx.x, i = blockIdx.x * 256 + t, from = 0;
    held[0][t] = in[i];
    __syncthreads();
    for (int distance = 1; distance < 256; distance *= 2, from ^= 1) {
        held[from ^ 1][t] = held[from][t] + (t >= distance ? held[from][t - distance] : 0);
        __syncthreads();
    }
    out[i] = held[from][t];
    if (t == 255)
        sums[blockIdx.x] = held[from][t];
}

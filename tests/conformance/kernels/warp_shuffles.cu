/* Each way of shuffling, with narrower widths too: out[5 * i + k] for a grid of whole warps. */
extern "C" __global__ void warp_shuffles(const int *in, int *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, v = in[i], *o = out + 5 * i;
    o[0] = __shfl_sync(0xffffffff, v, 5);
    o[1] = __shfl_up_sync(0xffffffff, v, 3);
    o[2] = __shfl_down_sync(0xffffffff, v, 2, 8);
    o[3] = __shfl_xor_sync(0xffffffff, v, 9, 16);
    o[4] = __shfl_sync(0xffffffff, v, i * 7);
}

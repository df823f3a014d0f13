/* What a warp agrees on about in[i]: out[6 * i + k] for a grid of whole warps. */
extern "C" __global__ void warp_votes(const unsigned *in, unsigned *out)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, v = in[i], *o = out + 6 * i;
    o[0] = __ballot_sync(0xffffffff, v & 1);
    o[1] = __any_sync(0xffffffff, v > 1000);
    o[2] = __all_sync(0xffffffff, v < 5000);
    o[3] = __match_any_sync(0xffffffff, v % 4);
    int same;
    unsigned matched = __match_all_sync(0xffffffff, v / 1000000, &same);
    o[4] = matched + same;
    o[5] = v & 2 ? __activemask() != 0 : 7;
}

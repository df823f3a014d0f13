/* Arithmetic of 64 bits: out[8 * i + k] from a[i] and b[i], b[i] not 0. */
extern "C" __global__ void wide_integers(const long long *a, const long long *b, unsigned long long *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    long long x = a[i], y = b[i];
    unsigned long long ux = x, uy = y, *o = out + 8 * i;
    o[0] = ux * uy;
    o[1] = __umul64hi(ux, uy);
    o[2] = __mul64hi(x, y);
    o[3] = ux / uy;
    o[4] = x % y;
    o[5] = (ux << (uy & 63)) ^ (x >> (uy & 63));
    o[6] = __popcll(ux) + __clzll(x) * 100 + __ffsll(x) * 10000;
    o[7] = __brevll(ux) + (x < y) + (ux < uy) * 2ull;
}

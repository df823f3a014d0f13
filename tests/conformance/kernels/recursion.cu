/* out[i] = the Fibonacci number of in[i] % 16, by a function that calls itself; depth[i] = Ackermann(2, in[i] % 4). */
__device__ __noinline__ unsigned fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__device__ __noinline__ unsigned ackermann(unsigned m, unsigned n)
{
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

extern "C" __global__ void recursion(const unsigned *in, unsigned *out, unsigned *depth)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = fibonacci(in[i] % 16);
    depth[i] = ackermann(2, in[i] % 4);
}

/* out[i] = the function number i % 4 of a table in device memory, applied twice to in[i]. */
typedef int (*step_function)(int);

__device__ int increment(int v)
{
    return v + 1;
}
__device__ int twice(int v)
{
    return v * 2;
}
__device__ int square(int v)
{
    return v * v;
}
__device__ int opposite(int v)
{
    return -v;
}

__device__ step_function steps[4] = {increment, twice, square, opposite};

extern "C" __global__ void function_pointers(const int *in, int *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    step_function step = steps[i % 4];
    out[i] = step(step(in[i]));
}

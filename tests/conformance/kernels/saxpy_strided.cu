/* y[i] = factor * x[i] + y[i] for i < n, whatever the grid: every thread strides. */
extern "C" __global__ void saxpy_strided(float factor, const float *x, float *y, unsigned n)
{
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = factor * x[i] + y[i];
}

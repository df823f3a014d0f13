// Vectors: plain, by a stride over the grid, and in fours.
extern "C" __global__ void vector_add(const float *a, const float *b, float *c, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        c[i] = a[i] + b[i];
}

extern "C" __global__ void axpy_strided(float alpha, const float *x, float *y, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = alpha * x[i] + y[i];
}

extern "C" __global__ void scale_fours(float4 *v, float4 factor, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float4 x = v[i];
    v[i] = make_float4(x.x * factor.x, x.y * factor.y, x.z * factor.z, x.w * factor.w);
}

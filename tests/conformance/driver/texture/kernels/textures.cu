// What a program does with texture and surface objects; compiled at run time.
extern "C" __global__ void buffer(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    out[threadIdx.x] = tex1Dfetch<float4>(t, (int)at[threadIdx.x].x);
}

extern "C" __global__ void plane(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    float4 p = at[threadIdx.x];
    out[threadIdx.x] = make_float4(tex2D<float>(t, p.x, p.y), tex2DLod<float>(t, p.x, p.y, p.z),
                                   tex2DGrad<float>(t, p.x, p.y, make_float2(p.w, 0), make_float2(0, p.w)), 0);
}

extern "C" __global__ void gather(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    out[threadIdx.x] = tex2Dgather<float4>(t, at[threadIdx.x].x, at[threadIdx.x].y, 0);
}

extern "C" __global__ void bytes(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    out[threadIdx.x] = tex2D<float4>(t, at[threadIdx.x].x, at[threadIdx.x].y);
}

extern "C" __global__ void volume(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    float4 p = at[threadIdx.x];
    out[threadIdx.x] = make_float4(tex3D<float>(t, p.x, p.y, p.z), 0, 0, 0);
}

extern "C" __global__ void layers(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    float4 p = at[threadIdx.x];
    out[threadIdx.x] = make_float4(tex2DLayered<float>(t, p.x, p.y, (int)p.z), 0, 0, 0);
}

extern "C" __global__ void cube(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    float4 p = at[threadIdx.x];
    out[threadIdx.x] = make_float4(texCubemap<float>(t, p.x, p.y, p.z), 0, 0, 0);
}

extern "C" __global__ void cube_layers(cudaTextureObject_t t, const float4 *at, float4 *out)
{
    float4 p = at[threadIdx.x];
    out[threadIdx.x] = make_float4(texCubemapLayered<float>(t, p.x, p.y, p.z, (int)p.w), 0, 0, 0);
}

extern "C" __global__ void surface(cudaSurfaceObject_t s, const float4 *at, float4 *out)
{
    int x = (int)at[threadIdx.x].x, y = (int)at[threadIdx.x].y;
    float old = surf2Dread<float>(s, x * 4, y, cudaBoundaryModeZero);
    float near = surf2Dread<float>(s, x * 4, y, cudaBoundaryModeClamp);
    __syncthreads();
    surf2Dwrite(at[threadIdx.x].z, s, x * 4, y, cudaBoundaryModeZero);
    __syncthreads();
    out[threadIdx.x] = make_float4(old, near, surf2Dread<float>(s, x * 4, y, cudaBoundaryModeZero), 0);
}

extern "C" __global__ void trapping(cudaSurfaceObject_t s, const float4 *at, float4 *out)
{
    surf2Dwrite(1.0f, s, (int)at[threadIdx.x].x * 4, (int)at[threadIdx.x].y, cudaBoundaryModeTrap);
    out[threadIdx.x].x = 1;
}

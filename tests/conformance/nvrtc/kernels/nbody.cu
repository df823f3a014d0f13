// Bodies that attract each other: one step, positions in tiles of shared memory.
extern "C" __global__ void nbody_step(const float4 *bodies, float4 *accelerations, int n, float soft)
{
    extern __shared__ float4 tile[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float4 own = i < n ? bodies[i] : make_float4(0, 0, 0, 0);
    float x = 0, y = 0, z = 0;
    for (int start = 0; start < n; start += blockDim.x) {
        int j = start + threadIdx.x;
        tile[threadIdx.x] = j < n ? bodies[j] : make_float4(0, 0, 0, 0);
        __syncthreads();
#pragma unroll 4
        for (int k = 0; k < blockDim.x; k++) {
            float dx = tile[k].x - own.x, dy = tile[k].y - own.y, dz = tile[k].z - own.z;
            float r = rsqrtf(dx * dx + dy * dy + dz * dz + soft);
            float s = tile[k].w * r * r * r;
            x += dx * s;
            y += dy * s;
            z += dz * s;
        }
        __syncthreads();
    }
    if (i < n)
        accelerations[i] = make_float4(x, y, z, 0);
}

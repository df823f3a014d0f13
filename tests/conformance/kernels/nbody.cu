/* One step of n bodies that attract one another: position holds x, y, z and the mass; out gets the accelerations. Blocks of
 * 64 threads; n is a multiple of 64. */
#define BLOCK 64
#define SOFTENING 0.01f

extern "C" __global__ void nbody(const float4 *position, float4 *out, int n)
{
    __shared__ float4 held[BLOCK];
    int i = blockIdx.x * BLOCK + threadIdx.x;
    float4 own = position[i], sum = {0, 0, 0, 0};
    for (int first = 0; first < n; first += BLOCK) {
        held[threadIdx.x] = position[first + threadIdx.x];
        __syncthreads();
        for (int k = 0; k < BLOCK; k++) {
            float x = held[k].x - own.x, y = held[k].y - own.y, z = held[k].z - own.z;
            float inverse = rsqrtf(x * x + y * y + z * z + SOFTENING);
            float pull = held[k].w * inverse * inverse * inverse;
            sum.x += x * pull;
            sum.y += y * pull;
            sum.z += z * pull;
        }
        __syncthreads();
    }
    out[i] = sum;
}

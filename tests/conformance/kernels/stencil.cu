/* out = four times the middle minus its neighbours, on a grid of width x height with its edge copied: what lies outside the
 * block is read from global memory. Blocks of 32 x 8. */
extern "C" __global__ void stencil(const double *in, double *out, int width, int height)
{
    __shared__ double held[10][34];
    int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 8 + threadIdx.y;
    for (int dy = threadIdx.y; dy < 10; dy += 8) {
        for (int dx = threadIdx.x; dx < 34; dx += 32) {
            int sx = min(max((int)blockIdx.x * 32 + dx - 1, 0), width - 1);
            int sy = min(max((int)blockIdx.y * 8 + dy - 1, 0), height - 1);
            held[dy][dx] = in[sy * width + sx];
        }
    }
    __syncthreads();
    int hx = threadIdx.x + 1, hy = threadIdx.y + 1;
    if (x < width && y < height)
        out[y * width + x] = 4 * held[hy][hx] - held[hy - 1][hx] - held[hy + 1][hx] -
                             held[hy][hx - 1] - held[hy][hx + 1];
}

/* out[y * width + x] = the steps until the point leaves the circle of radius 2, at most `most`. */
extern "C" __global__ void mandelbrot(unsigned *out, int width, int height, unsigned most)
{
    int px = blockIdx.x * blockDim.x + threadIdx.x, py = blockIdx.y * blockDim.y + threadIdx.y;
    if (px >= width || py >= height)
        return;
    float cx = -2.0f + 3.0f * px / width, cy = -1.5f + 3.0f * py / height;
    float x = 0, y = 0;
    unsigned steps = 0;
    while (steps < most && x * x + y * y <= 4.0f) {
        float next = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = next;
        steps++;
    }
    out[py * width + px] = steps;
}

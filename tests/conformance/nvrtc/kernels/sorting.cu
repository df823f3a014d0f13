// A bitonic sort in shared memory, and the game of life with a border that wraps around.
extern "C" __global__ void bitonic(unsigned *keys)
{
    __shared__ unsigned cells[256];
    unsigned i = threadIdx.x;
    cells[i] = keys[blockIdx.x * 256 + i];
    for (unsigned size = 2; size <= 256; size *= 2)
        for (unsigned step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            unsigned other = i ^ step;
            if (other > i) {
                bool up = (i & size) == 0;
                unsigned a = cells[i], b = cells[other];
                if ((a > b) == up) {
                    cells[i] = b;
                    cells[other] = a;
                }
            }
        }
    __syncthreads();
    keys[blockIdx.x * 256 + i] = cells[i];
}

extern "C" __global__ void life(const unsigned char *from, unsigned char *to, int width, int height)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height)
        return;
    int neighbours = 0;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            if (dx || dy)
                neighbours += from[(y + dy + height) % height * width + (x + dx + width) % width];
    to[y * width + x] = neighbours == 3 || (neighbours == 2 && from[y * width + x]);
}

// Counts of a divergent loop. The host counts the same way, so products and sums must not be fused.
extern "C" __global__ void mandelbrot(int *counts, int width, int height, int most)
{
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= width || row >= height)
        return;
    float cx = __fadd_rn(-2.0f, __fdiv_rn(3.0f * column, (float)width));
    float cy = __fadd_rn(-1.0f, __fdiv_rn(2.0f * row, (float)height));
    float x = 0, y = 0;
    int count = 0;
    while (count < most) {
        float xx = __fmul_rn(x, x), yy = __fmul_rn(y, y);
        if (__fadd_rn(xx, yy) > 4.0f)
            break;
        y = __fadd_rn(__fmul_rn(2.0f, __fmul_rn(x, y)), cy);
        x = __fadd_rn(__fsub_rn(xx, yy), cx);
        count++;
    }
    counts[row * width + column] = count;
}

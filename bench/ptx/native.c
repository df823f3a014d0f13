/* The same work as plain loops, which the compiler vectorises where it can. */
#include "kernels.h"

void native_saxpy(float *y, const float *x, float a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = __builtin_fmaf(a, x[i], y[i]);
}

void native_matmul(float *out, const float *a, const float *b, uint32_t rounds)
{
    for (uint32_t row = 0; row < MATMUL_TILE; row++) {
        float sums[MATMUL_TILE] = {0};
        for (uint32_t round = 0; round < rounds; round++)
            for (uint32_t k = 0; k < MATMUL_TILE; k++)
                for (uint32_t column = 0; column < MATMUL_TILE; column++)
                    sums[column] = __builtin_fmaf(a[row * MATMUL_TILE + k],
                                                  b[k * MATMUL_TILE + column], sums[column]);
        for (uint32_t column = 0; column < MATMUL_TILE; column++)
            out[row * MATMUL_TILE + column] = sums[column];
    }
}

static uint32_t escape_time(float cx, float cy, uint32_t limit)
{
    float x = 0, y = 0;
    uint32_t count = 0;
    do {
        float xx = x * x, yy = y * y;
        if (xx + yy > 4)
            break;
        y = __builtin_fmaf(x + x, y, cy);
        x = xx - yy + cx;
        count++;
    } while (count < limit);
    return count;
}

void native_mandelbrot(uint32_t *out, uint32_t width, uint32_t pixels, float scale, uint32_t limit)
{
    for (uint32_t i = 0; i < pixels; i++)
        out[i] = escape_time(__builtin_fmaf((float)(i % width), scale, -2),
                             __builtin_fmaf((float)(i / width), scale, -1.25f), limit);
}

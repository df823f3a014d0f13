// Warp matrices of half precision, half and bfloat16 arithmetic.
#include "check.h"
#include <cmath>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

using namespace nvcuda;

__global__ void multiply(float *out, const half *a, const half *b)
{
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> left;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> right;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    for (int k = 0; k < 2; k++) {
        wmma::load_matrix_sync(left, a + 16 * k, 32);
        wmma::load_matrix_sync(right, b + 16 * k, 32);
        wmma::mma_sync(sum, left, right, sum);
    }
    wmma::store_matrix_sync(out, sum, 16, wmma::mem_row_major);
}

__global__ void halves(half2 *x, __nv_bfloat16 *y, int n)
{
    int i = threadIdx.x;
    if (i < n) {
        x[i] = __hfma2(x[i], __floats2half2_rn(2, 0.5f), __float2half2_rn(1));
        y[i] = __float2bfloat16(__bfloat162float(y[i]) * 3);
    }
}

int main()
{
    half a[16 * 32], b[32 * 16], *device_a, *device_b;
    float out[256], *device_out;
    for (int i = 0; i < 512; i++) {
        a[i] = __float2half(float((i * 7) % 11 - 5));
        b[i] = __float2half(float((i * 5) % 13 - 6));
    }
    OK(cudaMalloc(&device_a, sizeof(a)));
    OK(cudaMalloc(&device_b, sizeof(b)));
    OK(cudaMalloc(&device_out, sizeof(out)));
    OK(cudaMemcpy(device_a, a, sizeof(a), cudaMemcpyHostToDevice));
    OK(cudaMemcpy(device_b, b, sizeof(b), cudaMemcpyHostToDevice));
    multiply<<<1, 32>>>(device_out, device_a, device_b);
    OK(cudaMemcpy(out, device_out, sizeof(out), cudaMemcpyDeviceToHost));
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 16; column++) {
            float sum = 0;
            for (int k = 0; k < 32; k++)
                sum += __half2float(a[row * 32 + k]) * __half2float(b[column * 32 + k]);
            CHECK(out[row * 16 + column] == sum);
        }

    half2 x[32], *device_x;
    __nv_bfloat16 y[32], *device_y;
    for (int i = 0; i < 32; i++) {
        x[i] = __floats2half2_rn(float(i), float(-i));
        y[i] = __float2bfloat16(float(i));
    }
    OK(cudaMalloc(&device_x, sizeof(x)));
    OK(cudaMalloc(&device_y, sizeof(y)));
    OK(cudaMemcpy(device_x, x, sizeof(x), cudaMemcpyHostToDevice));
    OK(cudaMemcpy(device_y, y, sizeof(y), cudaMemcpyHostToDevice));
    halves<<<1, 32>>>(device_x, device_y, 32);
    OK(cudaMemcpy(x, device_x, sizeof(x), cudaMemcpyDeviceToHost));
    OK(cudaMemcpy(y, device_y, sizeof(y), cudaMemcpyDeviceToHost));
    for (int i = 0; i < 32; i++) {
        CHECK(__low2float(x[i]) == 2 * i + 1 && __high2float(x[i]) == -i / 2.0f + 1);
        CHECK(__bfloat162float(y[i]) == 3 * i);
    }
}

// Tiles of every kind that mma.h has. A is M x K by rows, B is K x N by columns, D is M x N by rows;
// each warp makes one tile of D, over all of K.
#include <mma.h>
using namespace nvcuda;

template <int m, int n, int k, class Factor, class Store, class Sum>
__device__ void product(const Store *a, const Store *b, Sum *d, int columns, int depth)
{
    wmma::fragment<wmma::matrix_a, m, n, k, Factor, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, m, n, k, Factor, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, m, n, k, Sum> sum;
    int row = blockIdx.y * m, column = blockIdx.x * n;
    wmma::fill_fragment(sum, (Sum)1);
    for (int at = 0; at < depth; at += k) {
        wmma::load_matrix_sync(fa, a + row * depth + at, depth);
        wmma::load_matrix_sync(fb, b + column * depth + at, depth);
        wmma::mma_sync(sum, fa, fb, sum);
    }
    wmma::store_matrix_sync(d + row * columns + column, sum, columns, wmma::mem_row_major);
}

#define PRODUCT(name, m, n, k, Factor, Store, Sum)                                            \
    extern "C" __global__ void name(const Store *a, const Store *b, Sum *d, int columns,      \
                                    int depth)                                                \
    {                                                                                         \
        product<m, n, k, Factor, Store, Sum>(a, b, d, columns, depth);                        \
    }
PRODUCT(half_float_16, 16, 16, 16, half, half, float)
PRODUCT(half_float_32, 32, 8, 16, half, half, float)
PRODUCT(half_float_8, 8, 32, 16, half, half, float)
PRODUCT(half_half_16, 16, 16, 16, half, half, half)
PRODUCT(bf16_float_16, 16, 16, 16, __nv_bfloat16, __nv_bfloat16, float)
PRODUCT(bf16_float_32, 32, 8, 16, __nv_bfloat16, __nv_bfloat16, float)
PRODUCT(tf32_float, 16, 16, 8, wmma::precision::tf32, float, float)
PRODUCT(double_double, 8, 8, 4, double, double, double)
PRODUCT(s8_int_16, 16, 16, 16, signed char, signed char, int)
PRODUCT(u8_int_32, 32, 8, 16, unsigned char, unsigned char, int)

// Four and one bit an element: leading dimensions count elements, pointers count bytes.
template <int k, class Factor>
__device__ void load_small(const unsigned *a, const unsigned *b, int at, int depth, int bits,
                           wmma::fragment<wmma::matrix_a, 8, 8, k, Factor, wmma::row_major> &fa,
                           wmma::fragment<wmma::matrix_b, 8, 8, k, Factor, wmma::col_major> &fb)
{
    int words = depth * bits / 32;
    wmma::load_matrix_sync(fa, a + blockIdx.y * 8 * words + at * bits / 32, depth);
    wmma::load_matrix_sync(fb, b + blockIdx.x * 8 * words + at * bits / 32, depth);
}

template <class Factor>
__device__ void product_four(const unsigned *a, const unsigned *b, int *d, int columns, int depth)
{
    wmma::fragment<wmma::matrix_a, 8, 8, 32, Factor, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 8, 8, 32, Factor, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, 8, 8, 32, int> sum;
    wmma::fill_fragment(sum, 1);
    for (int at = 0; at < depth; at += 32) {
        load_small(a, b, at, depth, 4, fa, fb);
        wmma::mma_sync(sum, fa, fb, sum);
    }
    wmma::store_matrix_sync(d + blockIdx.y * 8 * columns + blockIdx.x * 8, sum, columns,
                            wmma::mem_row_major);
}

extern "C" __global__ void s4_int(const unsigned *a, const unsigned *b, int *d, int columns,
                                  int depth)
{
    product_four<wmma::experimental::precision::s4>(a, b, d, columns, depth);
}

extern "C" __global__ void u4_int(const unsigned *a, const unsigned *b, int *d, int columns,
                                  int depth)
{
    product_four<wmma::experimental::precision::u4>(a, b, d, columns, depth);
}

template <wmma::experimental::bmmaBitOp op>
__device__ void product_bits(const unsigned *a, const unsigned *b, int *d, int columns, int depth)
{
    using bit = wmma::experimental::precision::b1;
    wmma::fragment<wmma::matrix_a, 8, 8, 128, bit, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 8, 8, 128, bit, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, 8, 8, 128, int> sum;
    wmma::fill_fragment(sum, 1);
    for (int at = 0; at < depth; at += 128) {
        load_small(a, b, at, depth, 1, fa, fb);
        wmma::bmma_sync(sum, fa, fb, sum, op);
    }
    wmma::store_matrix_sync(d + blockIdx.y * 8 * columns + blockIdx.x * 8, sum, columns,
                            wmma::mem_row_major);
}

extern "C" __global__ void b1_xor(const unsigned *a, const unsigned *b, int *d, int columns,
                                  int depth)
{
    product_bits<wmma::experimental::bmmaBitOpXOR>(a, b, d, columns, depth);
}

extern "C" __global__ void b1_and(const unsigned *a, const unsigned *b, int *d, int columns,
                                  int depth)
{
    product_bits<wmma::experimental::bmmaBitOpAND>(a, b, d, columns, depth);
}

// By way of shared memory: A by columns, B by rows, the sum stored by columns and scaled by element.
extern "C" __global__ void half_turned(const half *a, const half *b, float *d, int columns,
                                       int depth)
{
    __shared__ half turned_a[16 * 24], turned_b[16 * 24];
    __shared__ float turned_d[16 * 20];
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::col_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.5f);
    for (int at = 0; at < depth; at += 16) {
        for (int i = threadIdx.x; i < 256; i += 32) {
            turned_a[i % 16 * 24 + i / 16] = a[(blockIdx.y * 16 + i / 16) * depth + at + i % 16];
            turned_b[i % 16 * 24 + i / 16] = b[(blockIdx.x * 16 + i / 16) * depth + at + i % 16];
        }
        __syncwarp();
        wmma::load_matrix_sync(fa, turned_a, 24);
        wmma::load_matrix_sync(fb, turned_b, 24);
        wmma::mma_sync(sum, fa, fb, sum);
        __syncwarp();
    }
    for (int i = 0; i < sum.num_elements; i++)
        sum.x[i] = 2 * sum.x[i] - 0; // 2 (P + 1/2) = 2 P + 1
    wmma::store_matrix_sync(turned_d, sum, 20, wmma::mem_col_major);
    __syncwarp();
    for (int i = threadIdx.x; i < 256; i += 32)
        d[(blockIdx.y * 16 + i / 16) * columns + blockIdx.x * 16 + i % 16] =
            (turned_d[i % 16 * 20 + i / 16] - 1) / 2 + 1;
}

/* c = a b for square matrices of n x n, row by row, in tiles of 16 x 16 held in shared memory. n need not be a multiple of
 * 16. Blocks of 16 x 16 threads. */
#define TILE 16

extern "C" __global__ void matrix_product(const float *a, const float *b, float *c, int n)
{
    __shared__ float left[TILE][TILE], right[TILE][TILE];
    int x = threadIdx.x, y = threadIdx.y;
    int column = blockIdx.x * TILE + x, row = blockIdx.y * TILE + y;
    float sum = 0;
    for (int tile = 0; tile < n; tile += TILE) {
        left[y][x] = row < n && tile + x < n ? a[row * n + tile + x] : 0;
        right[y][x] = column < n && tile + y < n ? b[(tile + y) * n + column] : 0;
        __syncthreads();
        for (int k = 0; k < TILE; k++)
            sum += left[y][k] * right[k][x];
        __syncthreads();
    }
    if (row < n && column < n)
        c[row * n + column] = sum;
}

// A matrix product from tiles in shared memory, with edges; and a transposition.
#define TILE 16

struct matrix {
    const float *cells;
    int rows, columns;
};

extern "C" __global__ void tiled_product(matrix a, matrix b, float *c)
{
    __shared__ float left[TILE][TILE];
    __shared__ float right[TILE][TILE + 1];
    int row = blockIdx.y * TILE + threadIdx.y;
    int column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int start = 0; start < a.columns; start += TILE) {
        int k = start + threadIdx.x;
        left[threadIdx.y][threadIdx.x] =
            row < a.rows && k < a.columns ? a.cells[row * a.columns + k] : 0;
        k = start + threadIdx.y;
        right[threadIdx.y][threadIdx.x] =
            k < b.rows && column < b.columns ? b.cells[k * b.columns + column] : 0;
        __syncthreads();
        for (int i = 0; i < TILE; i++)
            sum += left[threadIdx.y][i] * right[i][threadIdx.x];
        __syncthreads();
    }
    if (row < a.rows && column < b.columns)
        c[row * b.columns + column] = sum;
}

extern "C" __global__ void transpose(const unsigned short *from, unsigned short *to, int rows,
                                     int columns)
{
    extern __shared__ unsigned short tile[];
    int x = blockIdx.x * TILE + threadIdx.x;
    int y = blockIdx.y * TILE + threadIdx.y;
    if (x < columns && y < rows)
        tile[threadIdx.y * (TILE + 1) + threadIdx.x] = from[y * columns + x];
    __syncthreads();
    x = blockIdx.y * TILE + threadIdx.x;
    y = blockIdx.x * TILE + threadIdx.y;
    if (x < rows && y < columns)
        to[y * rows + x] = tile[threadIdx.x * (TILE + 1) + threadIdx.y];
}

/* out[i] = a polynomial whose coefficients the host writes into constant memory (8 floats, `coefficients`), at in[i]; plus
 * the entry i % 5 of a table that is there from the beginning, and a global variable `offset`, 0.5 unless written. */
__constant__ float coefficients[8];
__constant__ short table[5] = {3, -1, 4, -1, 5};
__device__ float offset = 0.5f;

extern "C" __global__ void constant_memory(const float *in, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float sum = 0;
    for (int k = 7; k >= 0; k--)
        sum = sum * in[i] + coefficients[k];
    out[i] = sum + table[i % 5] + offset;
}

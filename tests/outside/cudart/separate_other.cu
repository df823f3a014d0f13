// The other half of separate.cu.
__device__ int table[4] = {10, 20, 30, 40};

__device__ int twice(int value)
{
    return 2 * value;
}

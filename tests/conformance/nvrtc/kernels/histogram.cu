// Histograms by atomics in shared and global memory, and by what lanes of a warp have in common.
#define BINS 64

extern "C" __global__ void histogram(const unsigned char *data, int n, unsigned *bins)
{
    __shared__ unsigned own[BINS];
    for (int i = threadIdx.x; i < BINS; i += blockDim.x)
        own[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&own[data[i] % BINS], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < BINS; i += blockDim.x)
        if (own[i])
            atomicAdd(&bins[i], own[i]);
}

extern "C" __global__ void histogram_ballot(const unsigned char *data, int n, unsigned *bins)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned bin = i < n ? data[i] % 4 : 4;
    for (unsigned b = 0; b < 4; b++) {
        unsigned votes = __ballot_sync(0xffffffff, bin == b);
        if (threadIdx.x % 32 == 0)
            atomicAdd(&bins[b], (unsigned)__popc(votes));
    }
}

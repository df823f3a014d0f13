// Cooperative groups: a grid that meets, tiles, and what an occupancy query says of it.
#include "check.h"
#include <cooperative_groups.h>
#include <vector>

namespace cg = cooperative_groups;

__global__ void reverse(int *values, int n)
{
    cg::grid_group grid = cg::this_grid();
    int i = int(grid.thread_rank());
    if (i < n)
        values[i] = i * 3;
    grid.sync();
    int other = i < n ? values[n - 1 - i] : 0;
    grid.sync();
    if (i < n)
        values[i] = other;
}

__global__ void add_tiles(int *out, const int *in)
{
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<8> tile = cg::tiled_partition<8>(block);
    int value = in[block.thread_rank()];
    for (int step = 4; step; step /= 2)
        value += tile.shfl_down(value, step);
    if (tile.thread_rank() == 0)
        out[block.thread_rank() / 8] = value;
}

int main()
{
    int blocks = 0, n;
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reverse, 128, 0));
    cudaDeviceProp device;
    OK(cudaGetDeviceProperties(&device, 0));
    CHECK(device.cooperativeLaunch && blocks > 0);
    unsigned grid = unsigned(blocks * device.multiProcessorCount);
    if (grid > 16)
        grid = 16;
    n = int(grid) * 128 - 5;
    int *values;
    std::vector<int> host(n);
    OK(cudaMalloc(&values, n * sizeof(int)));
    void *arguments[] = {&values, &n};
    OK(cudaLaunchCooperativeKernel(reinterpret_cast<void *>(reverse), dim3(grid), dim3(128), arguments));
    OK(cudaMemcpy(host.data(), values, n * sizeof(int), cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++)
        CHECK(host[i] == (n - 1 - i) * 3);
    OK(cudaMemcpy(values, host.data(), 64 * sizeof(int), cudaMemcpyHostToDevice));
    int *sums, eight[8];
    OK(cudaMalloc(&sums, sizeof(eight)));
    add_tiles<<<1, 64>>>(sums, values);
    OK(cudaMemcpy(eight, sums, sizeof(eight), cudaMemcpyDeviceToHost));
    for (int i = 0; i < 8; i++) {
        int sum = 0;
        for (int k = 0; k < 8; k++)
            sum += host[i * 8 + k];
        CHECK(eight[i] == sum);
    }
}

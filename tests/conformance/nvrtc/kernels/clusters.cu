// Of compute capability 9.0. Clusters of blocks by cooperative groups: a histogram whose bins lie over the blocks' shared memory,
// and a ring in which each block reads its neighbour's.
#include <cooperative_groups.h>
#include <cuda/barrier>
namespace cg = cooperative_groups;

#define BINS_A_BLOCK 32

extern "C" __global__ void spread_histogram(const unsigned *in, unsigned *out, int count)
{
    __shared__ unsigned bins[BINS_A_BLOCK];
    cg::cluster_group cluster = cg::this_cluster();
    unsigned ranks = cluster.num_blocks();
    if (threadIdx.x < BINS_A_BLOCK)
        bins[threadIdx.x] = 0;
    cluster.sync();
    unsigned first = blockIdx.x / ranks * ranks * blockDim.x + cluster.thread_rank();
    for (unsigned i = first; i < count; i += gridDim.x * blockDim.x) {
        unsigned bin = in[i] % (ranks * BINS_A_BLOCK);
        unsigned *there = cluster.map_shared_rank(bins, bin / BINS_A_BLOCK);
        atomicAdd(there + bin % BINS_A_BLOCK, 1);
    }
    cluster.sync();
    if (threadIdx.x < BINS_A_BLOCK)
        atomicAdd(out + cluster.block_rank() * BINS_A_BLOCK + threadIdx.x, bins[threadIdx.x]);
}

extern "C" __global__ void __cluster_dims__(4, 1, 1) ring(const unsigned *in, unsigned *out, int count)
{
    __shared__ unsigned mine[64];
    cg::cluster_group cluster = cg::this_cluster();
    unsigned at = blockIdx.x * 64 + threadIdx.x;
    mine[threadIdx.x] = at < count ? in[at] : 0;
    auto token = cluster.barrier_arrive();
    unsigned next = (cluster.block_rank() + 1) % cluster.num_blocks();
    unsigned *theirs = cluster.map_shared_rank(mine, next);
    cluster.barrier_wait(std::move(token));
    unsigned value = theirs[63 - threadIdx.x] + 1000 * cluster.query_shared_rank(theirs);
    cluster.sync();
    if (at < count)
        out[at] = value + 100000 * cluster.dim_blocks().x + 1000000 * cluster.block_index().x;
}

#define COUNT 512

// A bulk copy that a barrier counts: out[i] = 3 in[i] + 1, COUNT words a block.
extern "C" __global__ void by_bulk(const unsigned *in, unsigned *out)
{
    __shared__ __align__(16) unsigned stage[COUNT];
    __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
    if (threadIdx.x == 0)
        init(&barrier, blockDim.x);
    __syncthreads();
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    cuda::barrier<cuda::thread_scope_block>::arrival_token token;
    if (threadIdx.x == 0) {
        cuda::device::memcpy_async_tx(stage, in, cuda::aligned_size_t<16>(sizeof stage), barrier);
        token = cuda::device::barrier_arrive_tx(barrier, 1, sizeof stage);
    } else {
        token = barrier.arrive();
    }
    barrier.wait(std::move(token));
    for (unsigned i = threadIdx.x; i < COUNT; i += blockDim.x)
        out[i] = 3 * stage[i] + 1;
}

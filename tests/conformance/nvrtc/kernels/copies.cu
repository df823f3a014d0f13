// Asynchronous copies by libcu++, cooperative groups and the pipeline primitives. Each kernel gives
// out[i] = 3 in[i] + 1 for COUNT words a block.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/barrier>
#include <cuda/pipeline>
#include <cuda_pipeline.h>
namespace cg = cooperative_groups;

#define COUNT 512
#define PART 128

__device__ unsigned change(unsigned x)
{
    return 3 * x + 1;
}

extern "C" __global__ void by_barrier(const unsigned *in, unsigned *out)
{
    __shared__ __align__(16) unsigned stage[COUNT];
    __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
    auto block = cg::this_thread_block();
    if (block.thread_rank() == 0)
        init(&barrier, block.size());
    block.sync();
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    cuda::memcpy_async(block, stage, in, cuda::aligned_size_t<16>(sizeof stage), barrier);
    barrier.arrive_and_wait();
    for (unsigned i = threadIdx.x; i < COUNT; i += blockDim.x)
        out[i] = change(stage[i]);
}

extern "C" __global__ void by_tokens(const unsigned *in, unsigned *out)
{
    __shared__ unsigned stage[COUNT];
    __shared__ cuda::barrier<cuda::thread_scope_block> full, empty;
    if (threadIdx.x == 0) {
        init(&full, blockDim.x);
        init(&empty, blockDim.x);
    }
    __syncthreads();
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    for (unsigned at = 0; at < COUNT; at += PART) {
        for (unsigned i = threadIdx.x; i < PART; i += blockDim.x)
            cuda::memcpy_async(&stage[i], &in[at + i], 4, full);
        auto token = full.arrive();
        full.wait(std::move(token));
        for (unsigned i = threadIdx.x; i < PART; i += blockDim.x)
            out[at + PART - 1 - i] = change(stage[PART - 1 - i]);
        empty.arrive_and_wait();
    }
}

extern "C" __global__ void by_pipeline(const unsigned *in, unsigned *out)
{
    constexpr auto scope = cuda::thread_scope_block;
    __shared__ __align__(16) unsigned stage[2][PART];
    __shared__ cuda::pipeline_shared_state<scope, 2> state;
    auto block = cg::this_thread_block();
    auto pipeline = cuda::make_pipeline(block, &state);
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    for (unsigned use = 0, load = 0; use < COUNT / PART; use++) {
        for (; load < COUNT / PART && load < use + 2; load++) {
            pipeline.producer_acquire();
            cuda::memcpy_async(block, stage[load % 2], in + load * PART,
                               cuda::aligned_size_t<16>(sizeof stage[0]), pipeline);
            pipeline.producer_commit();
        }
        pipeline.consumer_wait();
        for (unsigned i = threadIdx.x; i < PART; i += blockDim.x)
            out[use * PART + i] = change(stage[use % 2][i]);
        pipeline.consumer_release();
    }
}

// Half of the threads produce, half consume.
extern "C" __global__ void by_roles(const unsigned *in, unsigned *out)
{
    constexpr auto scope = cuda::thread_scope_block;
    __shared__ unsigned stage[2][PART];
    __shared__ cuda::pipeline_shared_state<scope, 2> state;
    auto block = cg::this_thread_block();
    bool produces = threadIdx.x < blockDim.x / 2;
    auto pipeline = cuda::make_pipeline(block, &state,
                                        produces ? cuda::pipeline_role::producer
                                                 : cuda::pipeline_role::consumer);
    unsigned half = blockDim.x / 2, me = threadIdx.x % half;
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    for (unsigned part = 0; part < COUNT / PART; part++) {
        if (produces) {
            pipeline.producer_acquire();
            for (unsigned i = me; i < PART; i += half)
                cuda::memcpy_async(&stage[part % 2][i], &in[part * PART + i], 4, pipeline);
            pipeline.producer_commit();
        } else {
            pipeline.consumer_wait();
            for (unsigned i = me; i < PART; i += half)
                out[part * PART + i] = change(stage[part % 2][PART - 1 - i]) -
                                       3 * stage[part % 2][PART - 1 - i] + 3 * stage[part % 2][i];
            pipeline.consumer_release();
        }
    }
}

extern "C" __global__ void by_groups(const unsigned *in, unsigned *out)
{
    __shared__ __align__(16) unsigned stage[2][PART];
    auto block = cg::this_thread_block();
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    cg::memcpy_async(block, stage[0], in, sizeof stage[0]);
    for (unsigned part = 0; part < COUNT / PART; part++) {
        if (part + 1 < COUNT / PART) {
            cg::memcpy_async(block, stage[(part + 1) % 2], in + (part + 1) * PART, sizeof stage[0]);
            cg::wait_prior<1>(block);
        } else {
            cg::wait(block);
        }
        for (unsigned i = threadIdx.x; i < PART; i += blockDim.x)
            out[part * PART + i] = change(stage[part % 2][i]);
        block.sync();
    }
}

extern "C" __global__ void by_tile(const unsigned *in, unsigned *out)
{
    __shared__ __align__(16) unsigned stage[COUNT];
    auto block = cg::this_thread_block();
    auto tile = cg::tiled_partition<32>(block);
    unsigned each = COUNT / tile.meta_group_size(), first = each * tile.meta_group_rank();
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    cg::memcpy_async(tile, stage + first, in + first, cuda::aligned_size_t<16>(4 * each));
    cg::wait(tile);
    for (unsigned i = tile.thread_rank(); i < each; i += 32)
        out[first + i] = change(stage[first + i]);
}

extern "C" __global__ void by_primitives(const unsigned *in, unsigned *out)
{
    __shared__ __align__(16) unsigned stage[COUNT];
    in += blockIdx.x * COUNT, out += blockIdx.x * COUNT;
    for (unsigned i = 4 * threadIdx.x; i < COUNT; i += 4 * blockDim.x)
        __pipeline_memcpy_async(&stage[i], &in[i], 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < COUNT; i += blockDim.x)
        out[i] = change(stage[i]);
}

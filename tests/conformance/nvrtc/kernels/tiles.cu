// A product of halves as fast kernels write it: cp.async to shared memory in two stages, ldmatrix,
// mma.sync by inline assembly. A is M x K by rows, B is K x N by rows here, D is M x N by rows of
// float, all multiples of the tile. A block of four warps makes 32 x 16 of D.
#include <cuda_fp16.h>

#define TILE_K 16

__device__ unsigned shared_address(const void *place)
{
    return (unsigned)__cvta_generic_to_shared(place);
}

__device__ void fetch(void *to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from)
                 : "memory");
}

extern "C" __global__ void tiles(const half *a, const half *b, float *d, int columns, int depth)
{
    __shared__ __align__(16) half stage_a[2][32][TILE_K + 8];
    __shared__ __align__(16) half stage_b[2][TILE_K][16 + 8];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row = blockIdx.y * 32, column = blockIdx.x * 16;
    auto load = [&](int stage, int at) {
        if (threadIdx.x < 64)
            fetch(&stage_a[stage][threadIdx.x / 2][threadIdx.x % 2 * 8],
                  a + (row + threadIdx.x / 2) * depth + at + threadIdx.x % 2 * 8);
        else if (threadIdx.x < 96)
            fetch(&stage_b[stage][lane / 2][lane % 2 * 8],
                  b + (at + lane / 2) * columns + column + lane % 2 * 8);
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    float sum[4] = {1, 1, 1, 1};
    load(0, 0);
    for (int at = 0, stage = 0; at < depth; at += TILE_K, stage ^= 1) {
        if (at + TILE_K < depth) {
            load(stage ^ 1, at + TILE_K);
            asm volatile("cp.async.wait_group 1;" ::: "memory");
        } else {
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        }
        __syncthreads();
        unsigned fa[4], fb[2];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3])
                     : "r"(shared_address(&stage_a[stage][warp / 2 * 16 + lane % 16][lane / 16 * 8])));
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                     : "=r"(fb[0]), "=r"(fb[1])
                     : "r"(shared_address(&stage_b[stage][lane % 16][warp % 2 * 8])));
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                     : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
        __syncthreads();
    }
    float *to = d + (row + warp / 2 * 16 + lane / 4) * columns + column + warp % 2 * 8 + lane % 4 * 2;
    to[0] = sum[0];
    to[1] = sum[1];
    to[8 * columns] = sum[2];
    to[8 * columns + 1] = sum[3];
}

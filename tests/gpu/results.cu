// What a GPU computes, for compare.py: the same program runs on a card and on the soft GPU. A line `exact NAME HASH` is of values
// that every GPU must have alike, bit by bit: integers, and what IEEE 754 rounds correctly. `near NAME ULPS VALUE…` is of functions
// that are only so exact: twice the error that the CUDA C++ Programming Guide states, since either side may have it.
#include <cstdio>
#include <cstring>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector>

#define CHECK(call)                                                                                         \
    do {                                                                                                    \
        cudaError_t result_ = (call);                                                                       \
        if (result_ != cudaSuccess) {                                                                       \
            std::printf("line %d: %s: %s\n", __LINE__, #call, cudaGetErrorName(result_));                   \
            return 1;                                                                                       \
        }                                                                                                   \
    } while (0)

typedef unsigned int u32;
typedef unsigned long long u64;
static const u32 N = 1 << 14, BLOCK = 256, NEAR = 64;

__device__ u32 mixed(u32 x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

__device__ u64 integers(u32 a, u32 b)
{
    u64 wide = (u64)a << 32 | b;
    u32 some = __umulhi(a, b) ^ __popc(a) ^ __clz(b) ^ __brev(a) ^ __byte_perm(a, b, b & 0x7777) ^ __funnelshift_l(a, b, b) ^
               __sad((int)a, (int)b, 7) ^ (u32)__ffs((int)b) ^ __uhadd(a, b) ^ __vadd4(a, b) ^ __dp4a((int)a, (int)b, 3);
    int quotient = (int)a / ((int)(b | 1)), rest = (int)a % ((int)(b | 1));
    return wide / (b | 3) ^ wide % (a | 5) ^ some ^ (u64)(u32)quotient << 20 ^ (u32)rest ^ __umul64hi(wide, ~wide) ^
           (u64)((long long)wide >> (b & 63));
}

__device__ u64 rounded(u32 a, u32 b)
{
    float x = __uint_as_float((a & 0x807fffffu) | 0x3f000000u + (a % 40 << 23)), y = __uint_as_float(b & 0x7f7fffffu);
    double v = (double)x * 1.25, w = (double)y + 0.5;
    u64 bits = __float_as_uint(x + y) ^ (u64)__float_as_uint(x * y) << 7 ^ (u64)__float_as_uint(fmaf(x, y, x)) << 13 ^
               (u64)__float_as_uint(__fdiv_rn(x, y)) << 21 ^ (u64)__float_as_uint(__fsqrt_rn(y)) << 29 ^
               (u64)__float_as_uint(__frcp_rn(x)) << 5 ^ (u64)__float_as_uint(__fadd_rz(x, y)) << 17;
    bits ^= (u64)__double_as_longlong(v / w) ^ (u64)__double_as_longlong(sqrt(w)) << 3 ^ (u64)__double_as_longlong(fma(v, w, v)) << 9;
    bits ^= (u64)__half_as_ushort(__float2half_rn(x)) << 31 ^ (u64)__bfloat16_as_ushort(__float2bfloat16_rn(x)) << 11;
    __half h = __hfma(__float2half_rn(x), __float2half_rn(0.37f), __float2half_rn(1.5f));
    return bits ^ (u64)__half_as_ushort(h) << 40 ^ (u32)__float2int_rd(x) ^ (u64)__double2ull_rn(fabs(v)) << 2 ^
           __float_as_uint(__int2float_ru((int)a));
}

__device__ u64 warps(u32 a, u32 b)
{
    u32 sum = a, lane = threadIdx.x % 32;
    for (int distance = 1; distance < 32; distance *= 2) {
        u32 other = __shfl_up_sync(~0u, sum, distance);
        sum += lane >= (u32)distance ? other : 0;
    }
    u64 votes = __ballot_sync(~0u, b & 1) + (u64)__any_sync(~0u, b == 7) + (u64)__popc(__activemask());
    return votes << 20 ^ sum ^ __shfl_xor_sync(~0u, b, 5) ^ (u64)__shfl_down_sync(~0u, a, 3) << 9;
}

template <u64 (*function)(u32, u32)> __global__ void apply(u64 *out)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = function(mixed(2 * i), mixed(2 * i + 1));
}

// Sums, extremes and counts, whose result does not depend on the order.
__global__ void atomics(u64 *out)
{
    __shared__ u32 bins[64];
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, value = mixed(i);
    if (threadIdx.x < 64)
        bins[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&bins[value >> 26], 1);
    atomicAdd(&out[0], (u64)value);
    atomicMax(&out[1], (u64)value * value);
    atomicXor(&out[2], (u64)value << 17);
    atomicMin((u32 *)&out[3], value | 1u << 31);
    __syncthreads();
    if (threadIdx.x < 64)
        atomicAdd(&out[8 + threadIdx.x], (u64)bins[threadIdx.x]);
}

#define FUNCTIONS(X)            \
    X(sinf, 4, x)               \
    X(cosf, 4, x)               \
    X(tanf, 8, x)               \
    X(expf, 4, x)               \
    X(exp2f, 4, x)              \
    X(logf, 2, fabsf(x) + 0.01f) \
    X(log2f, 2, fabsf(x) + 0.01f) \
    X(rsqrtf, 4, fabsf(x) + 0.01f) \
    X(cbrtf, 2, x)              \
    X(tanhf, 4, x)              \
    X(erff, 4, x)               \
    X(atanf, 4, x)              \
    X(lgammaf, 12, fabsf(x) + 3)

enum { FIRST = -1
#define X(name, ulps, argument) , AT_##name
FUNCTIONS(X)
#undef X
};

__global__ void functions(float *out)
{
    u32 i = threadIdx.x;
    float x = ((float)i - 31.5f) * 0.17f;
#define X(name, ulps, argument) out[AT_##name * NEAR + i] = name(argument);
    FUNCTIONS(X)
#undef X
}

static int show_exact(const char *name, void (*kernel)(u64 *))
{
    std::vector<u64> host(N);
    u64 *out, hash = 1469598103934665603ull;
    CHECK(cudaMalloc(&out, N * sizeof(u64)));
    CHECK(cudaMemset(out, kernel == atomics ? 0 : 255, N * sizeof(u64)));
    if (kernel == atomics)
        CHECK(cudaMemset(out + 3, 255, 4));
    kernel<<<N / BLOCK, BLOCK>>>(out);
    CHECK(cudaGetLastError());
    CHECK(cudaMemcpy(host.data(), out, N * sizeof(u64), cudaMemcpyDeviceToHost));
    for (u64 value : host)
        hash = (hash ^ value) * 1099511628211ull;
    std::printf("exact %s %016llx\n", name, hash);
    CHECK(cudaFree(out));
    return 0;
}

static int show_near()
{
    static float host[64 * NEAR];
    float *out;
    CHECK(cudaMalloc(&out, sizeof(host)));
    functions<<<1, NEAR>>>(out);
    CHECK(cudaGetLastError());
    CHECK(cudaMemcpy(host, out, sizeof(host), cudaMemcpyDeviceToHost));
    CHECK(cudaFree(out));
#define X(name, ulps, argument)                                            \
    std::printf("near " #name " %d", ulps);                                \
    for (u32 i = 0; i < NEAR; i++) {                                       \
        u32 bits;                                                          \
        std::memcpy(&bits, &host[AT_##name * NEAR + i], sizeof(bits));     \
        std::printf(" %08x", bits);                                        \
    }                                                                      \
    std::puts("");
    FUNCTIONS(X)
#undef X
    return 0;
}

int main()
{
    int failed = show_exact("integers", apply<integers>) || show_exact("rounded", apply<rounded>) ||
                 show_exact("warps", apply<warps>) || show_exact("atomics", atomics) || show_near();
    std::puts(failed ? "failed" : "done");
    return failed;
}

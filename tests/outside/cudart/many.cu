// Separate compilation of more text than is read at once: a hundred kernels, of which some are
// used, call through tables, virtual functions and functions that both objects have.
#include "check.h"
#include "many.h"

#include <utility>

#define KERNELS 100

template <int N> __global__ void kernel(unsigned *out)
{
    out[threadIdx.x] = mix<N>(threadIdx.x);
}

__global__ void through(unsigned *out)
{
    __shared__ alignas(8) unsigned char memory[64];
    if (threadIdx.x == 0)
        make_square(memory);
    __syncthreads();
    const shape *made = reinterpret_cast<const shape *>(memory);
    out[threadIdx.x] = mixes[threadIdx.x % 2](threadIdx.x) + made->area(threadIdx.x);
}

typedef void (*kernel_fn)(unsigned *);
typedef unsigned (*mix_fn)(unsigned);

template <int... N> static void run(std::integer_sequence<int, N...>, unsigned *device)
{
    static const kernel_fn kernels[] = {kernel<N>...};
    static const mix_fn expected[] = {mix_here<N>...};
    unsigned host[32];
    for (int k = 3; k < KERNELS; k += 31) {
        kernels[k]<<<1, 32>>>(device);
        OK(cudaMemcpy(host, device, sizeof(host), cudaMemcpyDeviceToHost));
        for (unsigned i = 0; i < 32; i++)
            CHECK(host[i] == expected[k](i));
    }
}

int main()
{
    unsigned *device, host[32];
    OK(cudaMalloc(&device, sizeof(host)));
    run(std::make_integer_sequence<int, KERNELS>(), device);
    through<<<1, 32>>>(device);
    OK(cudaMemcpy(host, device, sizeof(host), cudaMemcpyDeviceToHost));
    for (unsigned i = 0; i < 32; i++)
        CHECK(host[i] == (i % 2 ? mix_here<34>(i) : mix_here<3>(i)) + i * i);
}

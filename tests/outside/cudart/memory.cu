// Symbols, constants, managed and pitched memory, dynamic shared memory, device printf and heap.
#include "check.h"
#include <vector>

__constant__ float weights[8];
__device__ unsigned total;
__managed__ int visits = 40;
extern __shared__ float tile[];

__global__ void weigh(float *out, const float *in, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < n ? in[i] : 0;
    __syncthreads();
    float sum = 0;
    for (int k = 0; k < 8; k++)
        sum += weights[k] * tile[(threadIdx.x + k) % blockDim.x];
    if (i < n)
        out[i] = sum;
    atomicAdd(&total, 1u);
    if (i == 0)
        visits += 2;
}

__global__ void fill_rows(char *base, size_t pitch, int width)
{
    char *row = base + blockIdx.x * pitch;
    for (int x = threadIdx.x; x < width; x += blockDim.x)
        row[x] = char(blockIdx.x * 7 + x);
}

__global__ void use_heap(int *out)
{
    int *mine = static_cast<int *>(malloc(sizeof(int) * 4));
    for (int i = 0; i < 4; i++)
        mine[i] = threadIdx.x + i;
    out[threadIdx.x] = mine[0] + mine[3];
    free(mine);
    if (threadIdx.x == 3)
        printf("thread %d says %s %.2f\n", threadIdx.x, "hello", 1.5);
}

static void check_shared(int n)
{
    std::vector<float> host(n), back(n);
    float *in, *out, w[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    unsigned none = 0, counted;
    for (int i = 0; i < n; i++)
        host[i] = float(i % 13);
    OK(cudaMemcpyToSymbol(weights, w, sizeof(w)));
    OK(cudaMemcpyToSymbol(total, &none, sizeof(none)));
    OK(cudaMalloc(&in, n * sizeof(float)));
    OK(cudaMalloc(&out, n * sizeof(float)));
    OK(cudaMemcpy(in, host.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    weigh<<<n / 128, 128, 128 * sizeof(float)>>>(out, in, n);
    OK(cudaGetLastError());
    OK(cudaMemcpy(back.data(), out, n * sizeof(float), cudaMemcpyDeviceToHost));
    OK(cudaMemcpyFromSymbol(&counted, total, sizeof(counted)));
    CHECK(counted == unsigned(n));
    CHECK(visits == 42);
    for (int i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < 8; k++)
            sum += w[k] * host[i / 128 * 128 + (i % 128 + k) % 128];
        CHECK(back[i] == sum);
    }
    OK(cudaFree(in));
    OK(cudaFree(out));
}

static void check_pitched()
{
    const int width = 1000, height = 17;
    char *device;
    size_t pitch;
    std::vector<char> host(width * height);
    OK(cudaMallocPitch(&device, &pitch, width, height));
    CHECK(pitch >= size_t(width));
    fill_rows<<<height, 64>>>(device, pitch, width);
    OK(cudaMemcpy2D(host.data(), width, device, pitch, width, height, cudaMemcpyDeviceToHost));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            CHECK(host[y * width + x] == char(y * 7 + x));
    OK(cudaMemset2D(device, pitch, 9, width / 2, height));
    OK(cudaMemcpy2D(host.data(), width, device, pitch, width, height, cudaMemcpyDeviceToHost));
    CHECK(host[3] == 9 && host[width - 1] == char(width - 1));
    OK(cudaFree(device));
}

int main()
{
    check_shared(1 << 14);
    check_pitched();
    int *out, host[32];
    OK(cudaMallocManaged(&out, sizeof(host)));
    use_heap<<<1, 32>>>(out);
    OK(cudaDeviceSynchronize());
    for (int i = 0; i < 32; i++)
        CHECK(out[i] == 2 * i + 3);
    cudaPointerAttributes attributes;
    OK(cudaPointerGetAttributes(&attributes, out));
    CHECK(attributes.type == cudaMemoryTypeManaged);
    OK(cudaFree(out));
    CHECK(cudaMalloc(&out, size_t(1) << 50) == cudaErrorMemoryAllocation);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
    CHECK(cudaMemcpy(host, nullptr, 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
}

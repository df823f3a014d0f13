// A program of the runtime API, built with the static runtime as nvcc does by default. What it prints depends on the card
// alone. With "fill" it allocates until it is refused and prints how many MiB it got.
#include <cstdio>
#include <cstring>
#include <vector>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        cudaError_t result = (call);                                                               \
        if (result != cudaSuccess) {                                                               \
            std::printf("line %d: %s: %s\n", __LINE__, #call, cudaGetErrorName(result));           \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static const int SIDE = 512;
static const int TILE = 16;
static const int REPLAYS = 10;

__constant__ float scale = 0.5f;

__global__ void product(const float *a, const float *b, float *c)
{
    __shared__ float left[TILE][TILE], right[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float value = 0;
    for (int tile = 0; tile < SIDE; tile += TILE) {
        left[threadIdx.y][threadIdx.x] = a[row * SIDE + tile + threadIdx.x];
        right[threadIdx.y][threadIdx.x] = b[(tile + threadIdx.y) * SIDE + column];
        __syncthreads();
        for (int i = 0; i < TILE; i++)
            value += left[threadIdx.y][i] * right[i][threadIdx.x];
        __syncthreads();
    }
    c[row * SIDE + column] = scale * value;
}

__global__ void increment(int *data, int count)
{
    int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count)
        data[index]++;
}

static int multiply()
{
    size_t bytes = sizeof(float) * SIDE * SIDE;
    std::vector<float> a(SIDE * SIDE), b(SIDE * SIDE), c(SIDE * SIDE);
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i] = (float)(i % 13) / 13;
        b[i] = (float)(i % 7) / 7;
    }
    float *device[3];
    for (float *&pointer : device)
        CHECK(cudaMalloc(&pointer, bytes));
    CHECK(cudaMemcpy(device[0], a.data(), bytes, cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(device[1], b.data(), bytes, cudaMemcpyHostToDevice));
    product<<<dim3(SIDE / TILE, SIDE / TILE), dim3(TILE, TILE)>>>(device[0], device[1], device[2]);
    CHECK(cudaMemcpy(c.data(), device[2], bytes, cudaMemcpyDeviceToHost));
    unsigned long long hash = 1469598103934665603ull;
    for (float value : c) {
        unsigned int bits;
        std::memcpy(&bits, &value, 4);
        hash = (hash ^ bits) * 1099511628211ull;
    }
    std::printf("product: %016llx\n", hash);
    for (float *pointer : device)
        CHECK(cudaFree(pointer));
    return 0;
}

static int replay_graph()
{
    const int count = 1 << 20;
    int *data, first;
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMallocAsync(&data, count * sizeof(int), stream));
    CHECK(cudaMemsetAsync(data, 0, count * sizeof(int), stream));
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    increment<<<count / 256, 256, 0, stream>>>(data, count);
    increment<<<count / 256, 256, 0, stream>>>(data, count);
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&executable, graph, 0));
    for (int i = 0; i < REPLAYS; i++)
        CHECK(cudaGraphLaunch(executable, stream));
    CHECK(cudaMemcpyAsync(&first, data + count - 1, sizeof(int), cudaMemcpyDeviceToHost, stream));
    CHECK(cudaFreeAsync(data, stream));
    CHECK(cudaStreamSynchronize(stream));
    std::printf("graph: %d\n", first);
    return 0;
}

static int show_device()
{
    cudaDeviceProp properties;
    int count;
    CHECK(cudaGetDeviceCount(&count));
    CHECK(cudaGetDeviceProperties(&properties, 0));
    std::printf("%s, %d.%d, %d multiprocessors\n", properties.name, properties.major, properties.minor,
                properties.multiProcessorCount);
    return 0;
}

static int fill()
{
    int mebibytes = 0;
    void *data;
    while (cudaMalloc(&data, 1 << 20) == cudaSuccess)
        mebibytes++;
    std::printf("%d %s\n", mebibytes, cudaGetErrorName(cudaGetLastError()));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && std::strcmp(argv[1], "fill") == 0)
        return fill();
    int failed = show_device() || multiply() || replay_graph();
    std::puts(failed ? "failed" : "done");
    return failed;
}

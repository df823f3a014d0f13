// Objects whose constructors and destructors use the runtime, kernels included, and a function that runs at exit.
#include "check.h"

__device__ int calls = 3;

__global__ void add(int *to, int value)
{
    *to += value + calls;
}

struct Buffer {
    int *memory = nullptr;
    cudaStream_t stream = nullptr;

    Buffer()
    {
        OK(cudaStreamCreate(&stream));
        OK(cudaMallocManaged(&memory, sizeof(int)));
        *memory = 0;
    }
    ~Buffer()
    {
        if (cudaStreamSynchronize(stream) != cudaSuccess || *memory != expected) {
            std::fprintf(stderr, "at the end: %d, and not %d\n", *memory, expected);
            std::_Exit(1);
        }
        if (cudaFree(memory) != cudaSuccess || cudaStreamDestroy(stream) != cudaSuccess)
            std::_Exit(2);
    }
    int expected = 0;
};

// Before main; a function's object is made when it is first used, and ends before those of the file.
static Buffer of_file;

static Buffer &of_function()
{
    static Buffer buffer;
    return buffer;
}

static void at_exit()
{
    add<<<1, 1, 0, of_file.stream>>>(of_file.memory, 100);
    if (cudaGetLastError() != cudaSuccess || cudaStreamSynchronize(of_file.stream) != cudaSuccess)
        std::_Exit(3);
    of_file.expected += 103;
}

int main()
{
    std::atexit(at_exit);
    Buffer &buffer = of_function();
    for (int i = 0; i < 5; i++) {
        add<<<1, 1, 0, buffer.stream>>>(buffer.memory, i);
        buffer.expected += i + 3;
    }
    OK(cudaGetLastError());
    return 0;
}

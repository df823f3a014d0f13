// Two threads whose kernels wait for each other, each in its thread's own default stream.
// nvcc: --default-stream per-thread
#include "check.h"
#include <thread>

__global__ void meet(volatile int *mine, volatile int *others, int rounds)
{
    for (int i = 1; i <= rounds; i++) {
        *mine = i;
        while (*others < i)
            ;
        __threadfence();
    }
}

static const int ROUNDS = 20;

static void run(int *mine, int *others)
{
    int done = 0;
    meet<<<1, 1>>>(mine, others, ROUNDS);
    OK(cudaGetLastError());
    OK(cudaMemcpyAsync(&done, mine, sizeof(int), cudaMemcpyDeviceToHost, 0));
    OK(cudaStreamSynchronize(0));
    CHECK(done == ROUNDS);
}

int main()
{
    int *words;
    OK(cudaMalloc(&words, 2 * sizeof(int)));
    OK(cudaMemset(words, 0, 2 * sizeof(int)));
    OK(cudaDeviceSynchronize());
    std::thread other(run, words + 1, words);
    run(words, words + 1);
    other.join();
    OK(cudaFree(words));
}

// A program that looks at every error, names the first one and ends with status 3; for refused.sh.
#include <cstdio>
#ifdef USE_CUBLAS
#include <cublas_v2.h>
#endif

__global__ void store(int *to)
{
    *to = 7;
}

static int give_up(const char *what)
{
    std::fprintf(stderr, "the program: %s\n", what);
    return 3;
}

int main()
{
    int *to;
    cudaError_t error = cudaMallocManaged(&to, sizeof(int));
    if (error == cudaSuccess) {
        store<<<1, 1>>>(to);
        error = cudaGetLastError();
    }
    if (error == cudaSuccess)
        error = cudaDeviceSynchronize();
    if (error != cudaSuccess)
        return give_up(cudaGetErrorName(error));
#ifdef USE_CUBLAS
    cublasHandle_t handle;
    if (cublasCreate(&handle) != CUBLAS_STATUS_SUCCESS)
        return give_up("cublasCreate failed");
#endif
    return *to == 7 ? 0 : 4;
}

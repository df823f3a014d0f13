/* A driver that does nothing, as fast as can be: what a call costs beyond it is what weft costs. */
#include <weft/cuda_table.h>

#define EXPORTED __attribute__((visibility("default")))
#define DECLARE(name, ...) EXPORTED CUresult name(__VA_ARGS__)
DECLARE(cuInit, unsigned int flags);
DECLARE(cuDeviceGetCount, int *count);
DECLARE(cuDeviceGet, CUdevice *device, int ordinal);
DECLARE(cuCtxGetDevice, CUdevice *device);
DECLARE(cuCtxGetCurrent, CUcontext *context);
DECLARE(cuMemAlloc_v2, CUdeviceptr *address, size_t bytes);
DECLARE(cuMemFree_v2, CUdeviceptr address);
DECLARE(cuLaunchKernel, CUfunction function, unsigned int grid_x, unsigned int grid_y,
        unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z,
        unsigned int shared_bytes, CUstream stream, void **parameters, void **extra);

CUresult cuInit(unsigned int flags)
{
    (void)flags;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    *count = 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    *context = (CUcontext)0x1000;
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    static CUdeviceptr next = 0x700000000000;
    *address = next;
    next += (bytes + 511) & ~(size_t)511;
    return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    (void)address;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                        void **parameters, void **extra)
{
    (void)function, (void)grid_x, (void)grid_y, (void)grid_z, (void)block_x, (void)block_y,
        (void)block_z;
    (void)shared_bytes, (void)stream, (void)parameters, (void)extra;
    return CUDA_SUCCESS;
}

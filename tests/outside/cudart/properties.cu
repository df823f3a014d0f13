// cudaDeviceProp as NVIDIA's own header lays it out, against the attributes one by one.
#include "check.h"

int main()
{
    cudaDeviceProp device;
    int value, version = 0;
    OK(cudaGetDeviceProperties(&device, 0));
    OK(cudaRuntimeGetVersion(&version));
    CHECK(version / 1000 == CUDART_VERSION / 1000);
#define SAME(field, attribute)                                               \
    OK(cudaDeviceGetAttribute(&value, cudaDevAttr##attribute, 0));           \
    if (int(device.field) != value)                                          \
        std::fprintf(stderr, "%s is %d\n", #attribute, value);               \
    CHECK(int(device.field) == value)
    SAME(sharedMemPerBlock, MaxSharedMemoryPerBlock);
    SAME(regsPerBlock, MaxRegistersPerBlock);
    SAME(warpSize, WarpSize);
    SAME(maxThreadsPerBlock, MaxThreadsPerBlock);
    SAME(maxThreadsDim[2], MaxBlockDimZ);
    SAME(maxGridSize[1], MaxGridDimY);
    SAME(totalConstMem, TotalConstantMemory);
    SAME(major, ComputeCapabilityMajor);
    SAME(minor, ComputeCapabilityMinor);
    SAME(multiProcessorCount, MultiProcessorCount);
    SAME(maxTexture3D[2], MaxTexture3DDepth);
    SAME(maxSurface2D[1], MaxSurface2DHeight);
    SAME(pciBusID, PciBusId);
    SAME(memoryBusWidth, GlobalMemoryBusWidth);
    SAME(l2CacheSize, L2CacheSize);
    SAME(maxThreadsPerMultiProcessor, MaxThreadsPerMultiProcessor);
    SAME(sharedMemPerMultiprocessor, MaxSharedMemoryPerMultiprocessor);
    SAME(managedMemory, ManagedMemory);
    SAME(concurrentManagedAccess, ConcurrentManagedAccess);
    SAME(cooperativeLaunch, CooperativeLaunch);
    SAME(sharedMemPerBlockOptin, MaxSharedMemoryPerBlockOptin);
    SAME(maxBlocksPerMultiProcessor, MaxBlocksPerMultiprocessor);
    SAME(reservedSharedMemPerBlock, ReservedSharedMemoryPerBlock);
#if CUDART_VERSION >= 12000
    SAME(hostRegisterSupported, HostRegisterSupported);
    SAME(memoryPoolsSupported, MemoryPoolsSupported);
    SAME(ipcEventSupported, IpcEventSupport);
    SAME(clusterLaunch, ClusterLaunch);
#endif
}

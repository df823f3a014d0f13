/* Copies and sets end where the allocation ends, to the byte, also where another one follows at
 * once; mappings that lie side by side are one run. What looks only at whole blocks of memory lets
 * the copies over an end through, and what looks at one mapping alone refuses the last ones. */
#include "program.h"

#define WHOLE 8192 /* bytes, so that the next allocation of the size lies behind it */
#define NEIGHBOURS 64

static char host[4 * MIB + 1];

static void expect_end(CUdeviceptr address, size_t bytes)
{
    DO(cuMemcpyHtoD(address, host, bytes));
    DO(cuMemcpyDtoH(host, address, bytes));
    DO(cuMemsetD8(address, 1, bytes));
    DO(cuMemcpyHtoD(address + bytes, host, 0));
    EXPECT(cuMemcpyHtoD(address, host, bytes + 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoH(host, address, bytes + 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoD(address + bytes - 1, host, 2), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoD(address, address + 1, bytes), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoDAsync(address, host, bytes + 1, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD8(address, 0, bytes + 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD8Async(address, 0, bytes + 1, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD2D8(address, bytes, 0, bytes, 2), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD2D8(address, bytes - 4, 0, 5, 2), CUDA_ERROR_INVALID_VALUE);
}

/* Some of so many lie side by side, however the driver places them. */
static void neighbours(size_t bytes)
{
    CUdeviceptr all[NEIGHBOURS];
    int beside = 0;
    for (int i = 0; i < NEIGHBOURS; i++)
        DO(cuMemAlloc(&all[i], bytes));
    for (int i = 0; i < NEIGHBOURS; i++) {
        for (int j = 0; j < NEIGHBOURS; j++)
            beside += all[j] == all[i] + WHOLE;
        expect_end(all[i], bytes);
    }
    TRUE(bytes < WHOLE || beside > 0);
    for (int i = 0; i < NEIGHBOURS; i++)
        DO(cuMemFree(all[i]));
}

static void rest_of_a_block(void)
{
    CUdeviceptr address;
    DO(cuMemAlloc(&address, 100));
    EXPECT(cuMemsetD8(address + 100, 0, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoD(address + 200, host, 10), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFree(address));
}

static void other_kinds(void)
{
    CUdeviceptr managed, pooled, mapped;
    void *pinned;
    DO(cuMemAllocManaged(&managed, 5000, CU_MEM_ATTACH_GLOBAL));
    expect_end(managed, 5000);
    DO(cuMemFree(managed));
    for (int i = 0; i < 4; i++) {
        DO(cuMemAllocAsync(&pooled, 1000, NULL));
        DO(cuStreamSynchronize(NULL));
        expect_end(pooled, 1000);
    }
    DO(cuMemHostAlloc(&pinned, 700, CU_MEMHOSTALLOC_DEVICEMAP));
    DO(cuMemHostGetDevicePointer(&mapped, pinned, 0));
    DO(cuMemsetD8(mapped, 0, 700));
    EXPECT(cuMemsetD8(mapped, 0, 701), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFreeHost(pinned));
}

static CUdeviceptr map(CUdeviceptr at, const CUmemAllocationProp *properties, size_t bytes)
{
    CUmemAccessDesc access = {properties->location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle handle;
    DO(cuMemCreate(&handle, bytes, properties, 0));
    DO(cuMemMap(at, bytes, 0, handle, 0));
    DO(cuMemSetAccess(at, bytes, &access, 1));
    DO(cuMemRelease(handle));
    return at;
}

static void mappings(CUdevice device)
{
    CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}};
    CUdeviceptr start;
    DO(cuMemAddressReserve(&start, 8 * MIB, 0, 0, 0));
    map(start, &properties, 2 * MIB);
    expect_end(start, 2 * MIB);
    map(start + 2 * MIB, &properties, 2 * MIB);
    DO(cuMemcpyHtoD(start + MIB, host, 3 * MIB));
    DO(cuMemcpyDtoH(host, start, 4 * MIB));
    DO(cuMemsetD8(start + MIB, 3, 2 * MIB));
    EXPECT(cuMemsetD8(start, 3, 4 * MIB + 1), CUDA_ERROR_INVALID_VALUE);
}

int main(void)
{
    struct program program = program_start();
    neighbours(WHOLE);
    neighbours(100);
    neighbours(512);
    rest_of_a_block();
    other_kinds();
    mappings(program.device);
    return 0;
}

/* What the driver refuses, and that memory which is not there ends the context and nothing else.
 * Argument: how the kernel meets memory that is not there. */
#include <string.h>

#include "program.h"

static void bad_arguments(void)
{
    CUdeviceptr address, other;
    size_t free_bytes, total;
    char host[16] = {0};
    EXPECT(cuMemAlloc(&address, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemAlloc(NULL, 1), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemGetInfo(&free_bytes, &total));
    EXPECT(cuMemAlloc(&address, total + 1), CUDA_ERROR_OUT_OF_MEMORY);
    DO(cuMemAlloc(&address, 16));
    EXPECT(cuMemFree(address + 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoD(address, host, 17), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoD(address, address + 4096, 8), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD32(address + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemFreeHost((void *)address), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemHostUnregister(host), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    EXPECT(cuPointerGetAttribute(&other, CU_POINTER_ATTRIBUTE_CONTEXT, (CUdeviceptr)host),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFree(address));
    EXPECT(cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFree(0));
    DO(cuCtxSynchronize());
}

static void without_context(const struct program *program)
{
    CUdeviceptr address;
    DO(cuCtxSetCurrent(NULL));
    EXPECT(cuMemAlloc(&address, 1), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuMemFree(1), CUDA_ERROR_INVALID_CONTEXT);
    DO(cuCtxSetCurrent(program->context));
}

static CUdeviceptr freed(void)
{
    CUdeviceptr address;
    DO(cuMemAlloc(&address, 512));
    DO(cuMemFree(address));
    return address;
}

static CUdeviceptr past_the_end(void)
{
    CUdeviceptr address;
    DO(cuMemAlloc(&address, 512));
    return address + 512;
}

static CUdeviceptr unmapped(const struct program *program)
{
    CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, program->device}};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    DO(cuMemCreate(&handle, 2 * MIB, &properties, 0));
    DO(cuMemAddressReserve(&address, 2 * MIB, 0, 0, 0));
    DO(cuMemMap(address, 2 * MIB, 0, handle, 0)); /* and no cuMemSetAccess */
    return address;
}

static CUdeviceptr pageable(void)
{
    static unsigned int word;
    return (CUdeviceptr)&word;
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "";
    struct program program = program_start();
    bad_arguments();
    without_context(&program);
    CUdeviceptr address = strcmp(how, "freed") == 0      ? freed()
                          : strcmp(how, "past") == 0     ? past_the_end()
                          : strcmp(how, "unmapped") == 0 ? unmapped(&program)
                                                         : pageable();
    void *params[] = {&address};
    DO(cuLaunchKernel(program.touch, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuMemAlloc(&address, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuMemsetD8(address, 0, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
    return 0;
}

/* An old driver with four cards: it has few functions, calls its devices 10 to 13, and knows one
 * name more than the list. */
#include <string.h>

#include <weft/cuda_table.h>

#define EXPORTED __attribute__((visibility("default")))
#define DEVICES 4

EXPORTED unsigned int small_driver_inits;

#define DECLARE(name, ...) EXPORTED CUresult name(__VA_ARGS__)
DECLARE(cuInit, unsigned int flags);
DECLARE(cuDriverGetVersion, int *version);
DECLARE(cuDeviceGetCount, int *count);
DECLARE(cuDeviceGet, CUdevice *device, int ordinal);
DECLARE(cuDeviceGetUuid, CUuuid *uuid, CUdevice device);
DECLARE(cuDeviceGetByPCIBusId, CUdevice *device, const char *id);
DECLARE(cuDeviceTotalMem_v2, size_t *bytes, CUdevice device);
DECLARE(cuCtxGetDevice, CUdevice *device);
DECLARE(cuPointerGetAttribute, void *data, CUpointer_attribute attribute, CUdeviceptr pointer);
DECLARE(cuMemCreate, CUmemGenericAllocationHandle *handle, size_t bytes,
        const CUmemAllocationProp *property, unsigned long long flags);
DECLARE(cuMemGetAllocationPropertiesFromHandle, CUmemAllocationProp *property,
        CUmemGenericAllocationHandle handle);
DECLARE(cuMemSetAccess, CUdeviceptr address, size_t bytes, const CUmemAccessDesc *access,
        size_t count);
DECLARE(cuMemAlloc, CUdeviceptr_v1 *address, unsigned int bytes);
DECLARE(cuGetProcAddress_v2, const char *symbol, void **pfn, int version, cuuint64_t flags,
        CUdriverProcAddressQueryResult *status);

static unsigned int inits(void)
{
    return __atomic_load_n(&small_driver_inits, __ATOMIC_RELAXED);
}

CUresult cuInit(unsigned int flags)
{
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    __atomic_add_fetch(&small_driver_inits, 1, __ATOMIC_RELAXED);
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = 11030;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    *count = DEVICES;
    return inits() ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    if (!inits())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (ordinal < 0 || ordinal >= DEVICES)
        return CUDA_ERROR_INVALID_DEVICE;
    *device = 10 + ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    memset(uuid->bytes, device, sizeof(uuid->bytes));
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *id)
{
    *device = 10 + id[0] - '0';
    return CUDA_SUCCESS;
}

/* What the calls below got is told in what they answer. */
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    *bytes = (size_t)device;
    return device >= 10 && device < 10 + DEVICES ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    *device = 11;
    return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr pointer)
{
    (void)pointer;
    *(int *)data = attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL ? 12 : 11;
    return CUDA_SUCCESS;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
                     const CUmemAllocationProp *property, unsigned long long flags)
{
    (void)bytes;
    (void)flags;
    *handle = (CUmemGenericAllocationHandle)property->location.id;
    return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *property,
                                                CUmemGenericAllocationHandle handle)
{
    *property = (CUmemAllocationProp){.location = {CU_MEM_LOCATION_TYPE_DEVICE, (int)handle}};
    return CUDA_SUCCESS;
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t bytes, const CUmemAccessDesc *access,
                        size_t count)
{
    (void)address;
    (void)bytes;
    return access && count == 2 && access[0].location.id == 12 && access[1].location.id == 11
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAlloc(CUdeviceptr_v1 *address, unsigned int bytes)
{
    *address = bytes;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    (void)version;
    (void)flags;
    *pfn = strcmp(symbol, "cuOnlyTheDriverKnows") == 0 ? (void *)cuInit : NULL;
    *status = *pfn ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return CUDA_SUCCESS;
}

#include "backend/native_view.h"

struct weft_native weft_native = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define NO_DEVICE INT32_MAX /* the driver refuses it as it refuses any wrong ordinal */

size_t weft_native_device_count(void)
{
    return __atomic_load_n(&weft_native.device_count, __ATOMIC_ACQUIRE);
}

CUdevice weft_native_device_in(CUdevice device)
{
    size_t count = weft_native_device_count();
    if (count == 0 || device < 0)
        return device;
    return (size_t)device < count ? weft_native.devices[device] : NO_DEVICE;
}

void weft_native_device_out(CUdevice *device)
{
    size_t count = weft_native_device_count();
    for (size_t i = 0; device && i < count; i++) {
        if (weft_native.devices[i] == *device) {
            *device = (CUdevice)i;
            return;
        }
    }
}

CUmemLocation weft_native_location_in(CUmemLocation location)
{
    if (location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        location.id = weft_native_device_in(location.id);
    return location;
}

/* Before cuInit the driver refuses by itself, and gets what the program passed. */
static bool translates(const void *given)
{
    return given && weft_native_device_count() > 0;
}

CUmemLocation *weft_native_location_copy(const CUmemLocation *given, CUmemLocation *copy)
{
    if (!translates(given))
        return (CUmemLocation *)given;
    *copy = weft_native_location_in(*given);
    return copy;
}

CUmemAllocationProp *weft_native_property_copy(const CUmemAllocationProp *given,
                                               CUmemAllocationProp *copy)
{
    if (!translates(given))
        return (CUmemAllocationProp *)given;
    *copy = *given;
    copy->location = weft_native_location_in(given->location);
    return copy;
}

void weft_native_property_out(CUmemAllocationProp *property)
{
    if (property->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        weft_native_device_out(&property->location.id);
}

CUmemPoolProps *weft_native_pool_copy(const CUmemPoolProps *given, CUmemPoolProps *copy)
{
    if (!translates(given))
        return (CUmemPoolProps *)given;
    *copy = *given;
    copy->location = weft_native_location_in(given->location);
    return copy;
}

CUmemAccessDesc *weft_native_access_copy(const CUmemAccessDesc *given, size_t count,
                                         CUmemAccessDesc copy[WEFT_NATIVE_ACCESS_MAX])
{
    if (!translates(given))
        return (CUmemAccessDesc *)given;
    if (count > WEFT_NATIVE_ACCESS_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        copy[i] = given[i];
        copy[i].location = weft_native_location_in(given[i].location);
    }
    return copy;
}

static CUresult view_cuDeviceGetCount(int *count)
{
    CUresult result = weft_native.driver.cuDeviceGetCount(count);
    if (result == CUDA_SUCCESS)
        *count = (int)weft_native_device_count();
    return result;
}

/* Before cuInit the driver says itself what is wrong. */
static CUresult view_cuDeviceGet(CUdevice *device, int ordinal)
{
    size_t count = weft_native_device_count();
    if (count == 0)
        return weft_native.driver.cuDeviceGet(device, ordinal);
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (ordinal < 0 || (size_t)ordinal >= count)
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

static CUresult view_cuDeviceGetByPCIBusId(CUdevice *device, const char *id)
{
    CUdevice found;
    size_t count = weft_native_device_count();
    if (count == 0 || !device)
        return weft_native.driver.cuDeviceGetByPCIBusId(device, id);
    CUresult result = weft_native.driver.cuDeviceGetByPCIBusId(&found, id);
    if (result != CUDA_SUCCESS)
        return result;
    for (size_t i = 0; i < count; i++) {
        if (weft_native.devices[i] == found) {
            *device = (CUdevice)i;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

static CUresult view_cuPointerGetAttribute(void *data, CUpointer_attribute attribute,
                                           CUdeviceptr pointer)
{
    CUresult result = weft_native.driver.cuPointerGetAttribute(data, attribute, pointer);
    if (result == CUDA_SUCCESS && attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
        weft_native_device_out(data);
    return result;
}

static CUresult view_cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes,
                                            void **data, CUdeviceptr pointer)
{
    CUresult result = weft_native.driver.cuPointerGetAttributes(count, attributes, data, pointer);
    for (unsigned int i = 0; result == CUDA_SUCCESS && i < count; i++)
        if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            weft_native_device_out(data[i]);
    return result;
}

void weft_native_view_install(struct weft_cuda *table)
{
    for (size_t i = 0; i < weft_native_replacement_count; i++) {
        size_t index = weft_native_replacements[i].index;
        if (!weft_cuda_is_unsupported(table, index))
            *weft_cuda_slot(table, index) = weft_native_replacements[i].function;
    }
    table->cuDeviceGetCount = view_cuDeviceGetCount;
    table->cuDeviceGet = view_cuDeviceGet;
    table->cuDeviceGetByPCIBusId = view_cuDeviceGetByPCIBusId;
    table->cuPointerGetAttribute = view_cuPointerGetAttribute;
    table->cuPointerGetAttributes = view_cuPointerGetAttributes;
}

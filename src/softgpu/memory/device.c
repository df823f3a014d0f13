/* What a device says of itself, and the driver's version and error texts. */
#include <stdio.h>
#include <string.h>

#include <weft/cuda_table.h>

#include "cuda/entries.h"
#include "softgpu/memory/array.h"
#include "softgpu/memory/attributes.h"
#include "softgpu/memory/format.h"
#include "softgpu/memory/memory.h"
#include "util/util.h"

static CUresult driver_get_version(int *version)
{
    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    *version = WEFT_SOFT_DRIVER_VERSION;
    return CUDA_SUCCESS;
}

static CUresult get_error_name(CUresult result, const char **name)
{
    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    *name = weft_cuda_result_name(result);
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_error_string(CUresult result, const char **text)
{
    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    *text = weft_cuda_result_text(result);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* For a call that asks a device something: first the device must be
 * right, then where the answer goes. */
static CUresult enter(CUdevice ordinal, const void *out, struct weft_soft_device **device)
{
    CUresult result = weft_soft_device_get(ordinal, device);
    return result == CUDA_SUCCESS && !out ? CUDA_ERROR_INVALID_VALUE : result;
}

static CUresult device_get(CUdevice *device, int ordinal)
{
    struct weft_soft_device *found;
    CUresult result = enter(ordinal, device, &found);
    if (result != CUDA_SUCCESS)
        return result;
    *device = ordinal;
    return CUDA_SUCCESS;
}

static CUresult device_get_count(int *count)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = (int)weft_soft.device_count;
    return CUDA_SUCCESS;
}

static CUresult device_get_name(char *name, int bytes, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, name, &device);
    if (result != CUDA_SUCCESS)
        return result;
    if (bytes <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)bytes, "weft soft %s", device->profile->name);
    return CUDA_SUCCESS;
}

static CUresult device_get_uuid(CUuuid *uuid, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, uuid, &device);
    if (result != CUDA_SUCCESS)
        return result;
    memcpy(uuid, device->uuid, sizeof(device->uuid));
    return CUDA_SUCCESS;
}

static CUresult device_total_mem(size_t *bytes, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, bytes, &device);
    if (result != CUDA_SUCCESS)
        return result;
    *bytes = device->profile->memory_bytes;
    return CUDA_SUCCESS;
}

/* In 32 bits: at most all of them. */
static CUresult device_total_mem_v1(unsigned int *bytes, CUdevice ordinal)
{
    size_t wide;
    CUresult result = device_total_mem(bytes ? &wide : NULL, ordinal);
    if (result == CUDA_SUCCESS)
        *bytes = (unsigned int)WEFT_MIN(wide, (size_t)UINT32_MAX);
    return result;
}

static CUresult device_get_attribute(int *value, CUdevice_attribute attribute, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, value, &device);
    return result ? result : weft_soft_attribute_get(device, attribute, value);
}

static CUresult device_compute_capability(int *major, int *minor, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, major, &device);
    if (result != CUDA_SUCCESS)
        return result;
    if (!minor)
        return CUDA_ERROR_INVALID_VALUE;
    *major = (int)device->profile->cc_major;
    *minor = (int)device->profile->cc_minor;
    return CUDA_SUCCESS;
}

static CUresult device_get_properties(CUdevprop *properties, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, properties, &device);
    if (result != CUDA_SUCCESS)
        return result;
    const struct weft_soft_profile *profile = device->profile;
    *properties = (CUdevprop){
        .maxThreadsPerBlock = (int)profile->max_threads_per_block,
        .sharedMemPerBlock = (int)profile->shared_bytes_per_block,
        .totalConstantMemory = (int)profile->const_bytes,
        .SIMDWidth = (int)profile->warp_lanes,
        .memPitch = WEFT_SOFT_PITCH_MAX,
        .regsPerBlock = (int)profile->registers_per_block,
        .clockRate = (int)profile->clock_khz,
        .textureAlign = 512,
    };
    for (int i = 0; i < 3; i++) {
        properties->maxThreadsDim[i] = (int)profile->max_block_dim[i];
        properties->maxGridSize[i] = (int)profile->max_grid_dim[i];
    }
    return CUDA_SUCCESS;
}

static CUresult device_get_pci_bus_id(char *text, int bytes, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, text, &device);
    if (result != CUDA_SUCCESS)
        return result;
    char id[16];
    int length = snprintf(id, sizeof(id), "0000:%02X:00.0", weft_soft_attribute_bus(device));
    if (bytes <= length)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(text, id, (size_t)length + 1);
    return CUDA_SUCCESS;
}

static CUresult device_get_by_pci_bus_id(CUdevice *ordinal, const char *text)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    unsigned int domain = 0, bus, slot, function = 0;
    if (!ordinal || !text)
        return CUDA_ERROR_INVALID_VALUE;
    /* The domain and the function may be left out. */
    if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3) {
        domain = 0;
        if (sscanf(text, "%x:%x.%x", &bus, &slot, &function) < 2)
            return CUDA_ERROR_INVALID_VALUE;
    }
    for (size_t i = 0; i < weft_soft.device_count; i++) {
        if (domain == 0 && slot == 0 && function == 0 &&
            bus == weft_soft_attribute_bus(&weft_soft.devices[i])) {
            *ordinal = (CUdevice)i;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

static CUresult get_pair(CUdevice ordinal, CUdevice peer, struct weft_soft_device **device,
                         struct weft_soft_device **other)
{
    CUresult result = weft_soft_device_get(ordinal, device);
    return result ? result : weft_soft_device_get(peer, other);
}

/* All soft devices of a process lie in one window, so each can reach all others. */
static CUresult device_can_access_peer(int *can, CUdevice ordinal, CUdevice peer)
{
    struct weft_soft_device *device, *other;
    CUresult result = get_pair(ordinal, peer, &device, &other);
    if (result != CUDA_SUCCESS)
        return result;
    if (!can)
        return CUDA_ERROR_INVALID_VALUE;
    *can = device != other;
    return CUDA_SUCCESS;
}

static CUresult device_get_p2p_attribute(int *value, CUdevice_P2PAttribute attribute,
                                         CUdevice ordinal, CUdevice peer)
{
    struct weft_soft_device *device, *other;
    CUresult result = get_pair(ordinal, peer, &device, &other);
    if (result != CUDA_SUCCESS)
        return result;
    if (!value || device == other)
        return device == other ? CUDA_ERROR_INVALID_DEVICE : CUDA_ERROR_INVALID_VALUE;
    switch ((int)attribute) {
    case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
    case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
        *value = 0;
        return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
        *value = 1;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult device_get_exec_affinity_support(int *supported, CUexecAffinityType type,
                                                 CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, supported, &device);
    if (result != CUDA_SUCCESS)
        return result;
    if (type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    *supported = 0;
    return CUDA_SUCCESS;
}

static CUresult device_get_linear_width(size_t *texels, CUarray_format format,
                                        unsigned int channels, CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = enter(ordinal, texels, &device);
    if (result == CUDA_SUCCESS)
        result = weft_soft_format_check(format, channels);
    if (result != CUDA_SUCCESS)
        return result;
    *texels =
        (size_t)weft_soft_extent_max(device, WEFT_EXEC_IMAGE_LINEAR, WEFT_SOFT_USE_TEXTURE).width;
    return CUDA_SUCCESS;
}

void weft_soft_device_install(struct weft_cuda *table)
{
    table->cuDriverGetVersion = driver_get_version;
    table->cuGetErrorName = get_error_name;
    table->cuGetErrorString = get_error_string;
    table->cuDeviceGet = device_get;
    table->cuDeviceGetCount = device_get_count;
    table->cuDeviceGetName = device_get_name;
    table->cuDeviceGetUuid = device_get_uuid;
    table->cuDeviceGetUuid_v2 = device_get_uuid;
    table->cuDeviceTotalMem = device_total_mem_v1;
    table->cuDeviceTotalMem_v2 = device_total_mem;
    table->cuDeviceGetAttribute = device_get_attribute;
    table->cuDeviceComputeCapability = device_compute_capability;
    table->cuDeviceGetProperties = device_get_properties;
    table->cuDeviceGetPCIBusId = device_get_pci_bus_id;
    table->cuDeviceGetByPCIBusId = device_get_by_pci_bus_id;
    table->cuDeviceCanAccessPeer = device_can_access_peer;
    table->cuDeviceGetP2PAttribute = device_get_p2p_attribute;
    table->cuDeviceGetTexture1DLinearMaxWidth = device_get_linear_width;
    table->cuDeviceGetExecAffinitySupport = device_get_exec_affinity_support;
}

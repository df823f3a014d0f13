#include "softgpu/memory/attributes.h"

#include <string.h>

#include "util/util.h"

#define A(name) CU_DEVICE_ATTRIBUTE_##name

/* The same on every profile; what is not named here or below is 0: not there. Textures and surfaces
 * state the limits that all cards since 7.5 share. */
static const int fixed[CU_DEVICE_ATTRIBUTE_MAX] = {
    [A(MAX_PITCH)] = WEFT_SOFT_PITCH_MAX,
    [A(TEXTURE_ALIGNMENT)] = 512,
    [A(TEXTURE_PITCH_ALIGNMENT)] = 32,
    [A(SURFACE_ALIGNMENT)] = 512,
    [A(GPU_OVERLAP)] = 1,
    [A(CAN_MAP_HOST_MEMORY)] = 1,
    [A(CONCURRENT_KERNELS)] = 1,
    [A(UNIFIED_ADDRESSING)] = 1,
    [A(CAN_TEX2D_GATHER)] = 1,
    [A(STREAM_PRIORITIES_SUPPORTED)] = 1,
    [A(GLOBAL_L1_CACHE_SUPPORTED)] = 1,
    [A(LOCAL_L1_CACHE_SUPPORTED)] = 1,
    [A(MANAGED_MEMORY)] = 1,
    [A(CONCURRENT_MANAGED_ACCESS)] = 1,
    [A(COMPUTE_PREEMPTION_SUPPORTED)] = 1,
    [A(CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM)] = 1,
    [A(CAN_USE_STREAM_MEM_OPS_V1)] = 1,
    [A(CAN_USE_64_BIT_STREAM_MEM_OPS_V1)] = 1,
    [A(CAN_USE_STREAM_WAIT_VALUE_NOR_V1)] = 1,
    [A(CAN_USE_64_BIT_STREAM_MEM_OPS)] = 1,
    [A(CAN_USE_STREAM_WAIT_VALUE_NOR)] = 1,
    [A(CAN_FLUSH_REMOTE_WRITES)] = 1,
    [A(COOPERATIVE_LAUNCH)] = 1,
    [A(HOST_REGISTER_SUPPORTED)] = 1,
    [A(READ_ONLY_HOST_REGISTER_SUPPORTED)] = 1,
    [A(VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED)] = 1,
    [A(MEMORY_POOLS_SUPPORTED)] = 1,
    [A(MEMPOOL_SUPPORTED_HANDLE_TYPES)] = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
    [A(IPC_EVENT_SUPPORTED)] = 1,
    [A(HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED)] = 1,
    [A(MEM_SYNC_DOMAIN_COUNT)] = 1,
    [A(NUMA_ID)] = -1,
    [A(HOST_NUMA_ID)] = -1,
    [A(MAXIMUM_TEXTURE1D_WIDTH)] = 131072,
    [A(MAXIMUM_TEXTURE1D_LINEAR_WIDTH)] = 268435456,
    [A(MAXIMUM_TEXTURE1D_MIPMAPPED_WIDTH)] = 32768,
    [A(MAXIMUM_TEXTURE1D_LAYERED_WIDTH)] = 32768,
    [A(MAXIMUM_TEXTURE1D_LAYERED_LAYERS)] = 2048,
    [A(MAXIMUM_TEXTURE2D_WIDTH)] = 131072,
    [A(MAXIMUM_TEXTURE2D_HEIGHT)] = 65536,
    [A(MAXIMUM_TEXTURE2D_LINEAR_WIDTH)] = 131072,
    [A(MAXIMUM_TEXTURE2D_LINEAR_HEIGHT)] = 65000,
    [A(MAXIMUM_TEXTURE2D_LINEAR_PITCH)] = 2097120,
    [A(MAXIMUM_TEXTURE2D_MIPMAPPED_WIDTH)] = 32768,
    [A(MAXIMUM_TEXTURE2D_MIPMAPPED_HEIGHT)] = 32768,
    [A(MAXIMUM_TEXTURE2D_GATHER_WIDTH)] = 32768,
    [A(MAXIMUM_TEXTURE2D_GATHER_HEIGHT)] = 32768,
    [A(MAXIMUM_TEXTURE2D_LAYERED_WIDTH)] = 32768,
    [A(MAXIMUM_TEXTURE2D_LAYERED_HEIGHT)] = 32768,
    [A(MAXIMUM_TEXTURE2D_LAYERED_LAYERS)] = 2048,
    [A(MAXIMUM_TEXTURE3D_WIDTH)] = 16384,
    [A(MAXIMUM_TEXTURE3D_HEIGHT)] = 16384,
    [A(MAXIMUM_TEXTURE3D_DEPTH)] = 16384,
    [A(MAXIMUM_TEXTURE3D_WIDTH_ALTERNATE)] = 8192,
    [A(MAXIMUM_TEXTURE3D_HEIGHT_ALTERNATE)] = 8192,
    [A(MAXIMUM_TEXTURE3D_DEPTH_ALTERNATE)] = 32768,
    [A(MAXIMUM_TEXTURECUBEMAP_WIDTH)] = 32768,
    [A(MAXIMUM_TEXTURECUBEMAP_LAYERED_WIDTH)] = 32768,
    [A(MAXIMUM_TEXTURECUBEMAP_LAYERED_LAYERS)] = 2046,
    [A(MAXIMUM_SURFACE1D_WIDTH)] = 32768,
    [A(MAXIMUM_SURFACE1D_LAYERED_WIDTH)] = 32768,
    [A(MAXIMUM_SURFACE1D_LAYERED_LAYERS)] = 2048,
    [A(MAXIMUM_SURFACE2D_WIDTH)] = 131072,
    [A(MAXIMUM_SURFACE2D_HEIGHT)] = 65536,
    [A(MAXIMUM_SURFACE2D_LAYERED_WIDTH)] = 32768,
    [A(MAXIMUM_SURFACE2D_LAYERED_HEIGHT)] = 32768,
    [A(MAXIMUM_SURFACE2D_LAYERED_LAYERS)] = 2048,
    [A(MAXIMUM_SURFACE3D_WIDTH)] = 16384,
    [A(MAXIMUM_SURFACE3D_HEIGHT)] = 16384,
    [A(MAXIMUM_SURFACE3D_DEPTH)] = 16384,
    [A(MAXIMUM_SURFACECUBEMAP_WIDTH)] = 32768,
    [A(MAXIMUM_SURFACECUBEMAP_LAYERED_WIDTH)] = 32768,
    [A(MAXIMUM_SURFACECUBEMAP_LAYERED_LAYERS)] = 2046,
};

/* Read from the profile. */
struct field {
    CUdevice_attribute attribute;
    uint16_t offset, bytes;
};

#define FIELD(name, member)                                          \
    {                                                                \
        A(name), offsetof(struct weft_soft_profile, member),         \
            sizeof(((const struct weft_soft_profile *)NULL)->member) \
    }

static const struct field fields[] = {
    FIELD(MAX_THREADS_PER_BLOCK, max_threads_per_block),
    FIELD(MAX_BLOCK_DIM_X, max_block_dim[0]),
    FIELD(MAX_BLOCK_DIM_Y, max_block_dim[1]),
    FIELD(MAX_BLOCK_DIM_Z, max_block_dim[2]),
    FIELD(MAX_GRID_DIM_X, max_grid_dim[0]),
    FIELD(MAX_GRID_DIM_Y, max_grid_dim[1]),
    FIELD(MAX_GRID_DIM_Z, max_grid_dim[2]),
    FIELD(MAX_SHARED_MEMORY_PER_BLOCK, shared_bytes_per_block),
    FIELD(TOTAL_CONSTANT_MEMORY, const_bytes),
    FIELD(WARP_SIZE, warp_lanes),
    FIELD(MAX_REGISTERS_PER_BLOCK, registers_per_block),
    FIELD(CLOCK_RATE, clock_khz),
    FIELD(MEMORY_CLOCK_RATE, memory_clock_khz),
    FIELD(GLOBAL_MEMORY_BUS_WIDTH, memory_bus_bits),
    FIELD(L2_CACHE_SIZE, l2_cache_bytes),
    FIELD(MAX_THREADS_PER_MULTIPROCESSOR, max_threads_per_sm),
    FIELD(ASYNC_ENGINE_COUNT, copy_engines),
    FIELD(COMPUTE_CAPABILITY_MAJOR, cc_major),
    FIELD(COMPUTE_CAPABILITY_MINOR, cc_minor),
    FIELD(MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, shared_bytes_per_sm),
    FIELD(MAX_REGISTERS_PER_MULTIPROCESSOR, registers_per_sm),
    FIELD(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, shared_bytes_per_block_optin),
    FIELD(MAX_BLOCKS_PER_MULTIPROCESSOR, max_blocks_per_sm),
    FIELD(RESERVED_SHARED_MEMORY_PER_BLOCK, shared_bytes_reserved_per_block),
};

static bool read_field(const struct weft_soft_profile *profile, CUdevice_attribute attribute,
                       int *value)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(fields); i++) {
        if (fields[i].attribute != attribute)
            continue;
        uint64_t wide = 0; /* little-endian: a narrow field fills its low bytes */
        memcpy(&wide, (const char *)profile + fields[i].offset, fields[i].bytes);
        *value = (int)WEFT_MIN(wide, (uint64_t)INT32_MAX);
        return true;
    }
    return false;
}

/* What follows from the device or its generation. */
static int derive(const struct weft_soft_device *device, CUdevice_attribute attribute)
{
    const struct weft_soft_profile *profile = device->profile;
    bool ampere = profile->cc_major >= 8;
    switch ((int)attribute) {
    case A(PCI_BUS_ID):
        return (int)weft_soft_attribute_bus(device);
    case A(MULTIPROCESSOR_COUNT):
        return (int)device->sm_count;
    case A(MULTI_GPU_BOARD_GROUP_ID):
        return (int)device->ordinal;
    case A(KERNEL_EXEC_TIMEOUT):
        return weft_soft_watchdog_us(device) != 0;
    case A(ECC_ENABLED):
        return ampere;
    case A(CLUSTER_LAUNCH):
        return profile->cc_major >= 9;
    case A(SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO):
        return ampere ? 2 : 32;
    case A(MAX_PERSISTING_L2_CACHE_SIZE):
        return ampere ? (int)(profile->l2_cache_bytes / 4 * 3) : 0;
    case A(MAX_ACCESS_POLICY_WINDOW_SIZE):
        return ampere ? 128 << 20 : 0;
    default:
        return fixed[attribute];
    }
}

CUresult weft_soft_attribute_get(const struct weft_soft_device *device,
                                 CUdevice_attribute attribute, int *value)
{
    if ((int)attribute <= 0 || attribute >= CU_DEVICE_ATTRIBUTE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (!read_field(device->profile, attribute, value))
        *value = derive(device, attribute);
    return CUDA_SUCCESS;
}

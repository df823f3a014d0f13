/* The calls that make, ask and end arrays and mipmapped arrays. The versions with 32-bit sizes say
 * the same in other structs. */
#include <weft/cuda_table.h>

#include "softgpu/memory/array.h"
#include "softgpu/memory/memory.h"
#include "util/util.h"

static CUresult create_any(void **out, const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                           unsigned int level_count)
{
    struct weft_soft_context *context;
    uint64_t handle;
    CUresult result = weft_soft_context_current_unsafe(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!out || !descriptor)
        return CUDA_ERROR_INVALID_VALUE;
    result = weft_soft_array_create(context, descriptor, level_count, &handle);
    if (result == CUDA_SUCCESS)
        *out = (void *)(uintptr_t)handle;
    return result;
}

static CUresult create_3d_v2(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    return create_any((void **)out, descriptor, 0);
}

/* The narrow and flat descriptors name their fields like the wide one. */
#define WIDEN(from)                                      \
    ((CUDA_ARRAY3D_DESCRIPTOR){.Width = (from)->Width,   \
                               .Height = (from)->Height, \
                               .Format = (from)->Format, \
                               .NumChannels = (from)->NumChannels})

static CUresult create_3d(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR_v1 *descriptor)
{
    if (!descriptor)
        return create_3d_v2(out, NULL);
    CUDA_ARRAY3D_DESCRIPTOR wide = WIDEN(descriptor);
    wide.Depth = descriptor->Depth;
    wide.Flags = descriptor->Flags;
    return create_3d_v2(out, &wide);
}

static CUresult create_v2(CUarray *out, const CUDA_ARRAY_DESCRIPTOR *descriptor)
{
    if (!descriptor)
        return create_3d_v2(out, NULL);
    CUDA_ARRAY3D_DESCRIPTOR wide = WIDEN(descriptor);
    return create_3d_v2(out, &wide);
}

static CUresult create(CUarray *out, const CUDA_ARRAY_DESCRIPTOR_v1 *descriptor)
{
    if (!descriptor)
        return create_3d_v2(out, NULL);
    CUDA_ARRAY3D_DESCRIPTOR wide = WIDEN(descriptor);
    return create_3d_v2(out, &wide);
}

static CUresult create_mipmapped(CUmipmappedArray *out, const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                                 unsigned int level_count)
{
    return create_any((void **)out, descriptor, WEFT_MAX(level_count, 1u));
}

/* The array under a reference. */
static CUresult enter(CUarray handle, struct weft_soft_array **array)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    *array = weft_soft_array_get(handle);
    return *array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult enter_mipmapped(CUmipmappedArray handle, struct weft_soft_array **array)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    *array = weft_soft_array_get_mipmapped(handle);
    return *array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult describe(CUarray handle, const void *out, CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    struct weft_soft_array *array;
    CUresult result = enter(handle, &array);
    if (result != CUDA_SUCCESS)
        return result;
    *descriptor = array->descriptor;
    weft_soft_array_put(array);
    return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_descriptor_3d_v2(CUDA_ARRAY3D_DESCRIPTOR *out, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR descriptor;
    CUresult result = describe(handle, out, &descriptor);
    if (result == CUDA_SUCCESS)
        *out = descriptor;
    return result;
}

/* No side of an array passes 32 bits. */
static CUresult get_descriptor_3d(CUDA_ARRAY3D_DESCRIPTOR_v1 *out, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR wide;
    CUresult result = describe(handle, out, &wide);
    if (result == CUDA_SUCCESS)
        *out = (CUDA_ARRAY3D_DESCRIPTOR_v1){.Width = (unsigned int)wide.Width,
                                            .Height = (unsigned int)wide.Height,
                                            .Depth = (unsigned int)wide.Depth,
                                            .Format = wide.Format,
                                            .NumChannels = wide.NumChannels,
                                            .Flags = wide.Flags};
    return result;
}

static CUresult get_descriptor_v2(CUDA_ARRAY_DESCRIPTOR *out, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR wide;
    CUresult result = describe(handle, out, &wide);
    if (result == CUDA_SUCCESS)
        *out = (CUDA_ARRAY_DESCRIPTOR){.Width = wide.Width,
                                       .Height = wide.Height,
                                       .Format = wide.Format,
                                       .NumChannels = wide.NumChannels};
    return result;
}

static CUresult get_descriptor(CUDA_ARRAY_DESCRIPTOR_v1 *out, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR wide;
    CUresult result = describe(handle, out, &wide);
    if (result == CUDA_SUCCESS)
        *out = (CUDA_ARRAY_DESCRIPTOR_v1){.Width = (unsigned int)wide.Width,
                                          .Height = (unsigned int)wide.Height,
                                          .Format = wide.Format,
                                          .NumChannels = wide.NumChannels};
    return result;
}

/* CUDA tells the needs of an array only where its memory is mapped later, which no array here is.
 */
static CUresult get_memory_requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out, CUarray handle,
                                        CUdevice ordinal)
{
    struct weft_soft_device *device;
    struct weft_soft_array *array;
    (void)out;
    CUresult result = enter(handle, &array);
    if (result != CUDA_SUCCESS)
        return result;
    weft_soft_array_put(array);
    result = weft_soft_device_get(ordinal, &device);
    return result ? result : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_mipmapped_memory_requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out,
                                                  CUmipmappedArray handle, CUdevice ordinal)
{
    struct weft_soft_device *device;
    struct weft_soft_array *array;
    (void)out;
    CUresult result = enter_mipmapped(handle, &array);
    if (result != CUDA_SUCCESS)
        return result;
    weft_soft_array_put(array);
    result = weft_soft_device_get(ordinal, &device);
    return result ? result : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_level(CUarray *out, CUmipmappedArray handle, unsigned int level)
{
    struct weft_soft_array *array;
    CUresult result = enter_mipmapped(handle, &array);
    if (result != CUDA_SUCCESS)
        return result;
    if (!out || level >= array->image.level_count)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        *out = (CUarray)(uintptr_t)array->level_handles[level];
    weft_soft_array_put(array);
    return result;
}

static CUresult destroy(CUarray handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    return result ? result
                  : weft_soft_array_destroy(WEFT_SOFT_HANDLE_ARRAY, (uint64_t)(uintptr_t)handle);
}

static CUresult destroy_mipmapped(CUmipmappedArray handle)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current_unsafe(&context);
    return result ? result
                  : weft_soft_array_destroy(WEFT_SOFT_HANDLE_MIPMAPPED_ARRAY,
                                            (uint64_t)(uintptr_t)handle);
}

void weft_soft_array_install(struct weft_cuda *table)
{
    table->cuArrayCreate = create;
    table->cuArrayCreate_v2 = create_v2;
    table->cuArray3DCreate = create_3d;
    table->cuArray3DCreate_v2 = create_3d_v2;
    table->cuMipmappedArrayCreate = create_mipmapped;
    table->cuArrayGetDescriptor = get_descriptor;
    table->cuArrayGetDescriptor_v2 = get_descriptor_v2;
    table->cuArray3DGetDescriptor = get_descriptor_3d;
    table->cuArray3DGetDescriptor_v2 = get_descriptor_3d_v2;
    table->cuArrayGetMemoryRequirements = get_memory_requirements;
    table->cuMipmappedArrayGetMemoryRequirements = get_mipmapped_memory_requirements;
    table->cuMipmappedArrayGetLevel = get_level;
    table->cuArrayDestroy = destroy;
    table->cuMipmappedArrayDestroy = destroy_mipmapped;
}

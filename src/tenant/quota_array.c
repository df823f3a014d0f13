/* Arrays and mipmaps. How a device lays them out it tells nobody, so they are charged by their
 * elements: width × height × depth × channels × bytes a channel, the sum over the levels, rounded
 * up. Arrays without memory of their own (sparse, or mapped later) are not charged: what is mapped
 * into them is. */
#include "tenant/quota_layer.h"

#include <stddef.h>

#include "util/util.h"

#define LEVELS_MAX 32
/* No device address and no handle has the uppermost bit, so handles of arrays share a table with
 * addresses under keys that have it. */
#define ARRAY_KEY(handle) ((uint64_t)(uintptr_t)(handle) | 1ull << 63)

static uint64_t channel_bytes(CUarray_format format)
{
    switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
    case CU_AD_FORMAT_UNORM_INT16X1:
    case CU_AD_FORMAT_UNORM_INT16X2:
    case CU_AD_FORMAT_UNORM_INT16X4:
    case CU_AD_FORMAT_SNORM_INT16X1:
    case CU_AD_FORMAT_SNORM_INT16X2:
    case CU_AD_FORMAT_SNORM_INT16X4:
        return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
        return 4;
    default:
        return 1; /* packed and block-compressed formats: a byte or less a channel */
    }
}

/* 0 where the array has no memory of its own; UINT64_MAX where the size passes 64 bits. A dimension
 * of 0 is one that the array does not have. */
static uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned int levels)
{
    uint64_t sum = 0, width = shape->Width, height = shape->Height, depth = shape->Depth;
    uint64_t element = channel_bytes(shape->Format) * WEFT_MAX(shape->NumChannels, 1);
    bool layers = shape->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
    if (shape->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING))
        return 0;
    levels = WEFT_MIN(WEFT_MAX(levels, 1), LEVELS_MAX);
    for (unsigned int level = 0; level < levels; level++) {
        uint64_t bytes;
        if (__builtin_mul_overflow(WEFT_MAX(width, 1), WEFT_MAX(height, 1), &bytes) ||
            __builtin_mul_overflow(bytes, WEFT_MAX(depth, 1), &bytes) ||
            __builtin_mul_overflow(bytes, element, &bytes) ||
            __builtin_add_overflow(sum, bytes, &sum))
            return UINT64_MAX;
        width /= 2;
        height /= 2;
        depth = layers ? depth : depth / 2;
    }
    return weft_quota_round(sum, WEFT_QUOTA_ROUND_BYTES);
}

static CUDA_ARRAY3D_DESCRIPTOR flat(size_t width, size_t height, CUarray_format format,
                                    unsigned int channels)
{
    return (CUDA_ARRAY3D_DESCRIPTOR){
        .Width = width, .Height = height, .Format = format, .NumChannels = channels};
}

/* A creating call of any version, with its arguments. */
struct creation {
    CUresult (*call)(const struct creation *creation, void *handle);
    const void *shape;
    unsigned int levels;
};

static CUresult create(void **handle, const struct creation *creation, uint64_t bytes,
                       CUresult (*destroy)(void *handle))
{
    struct weft_quota_place place;
    void *made = NULL;
    CUresult rc = weft_quota_place_current(&place);
    if (rc == CUDA_SUCCESS)
        rc = weft_quota_reserve(place.device, bytes);
    if (rc)
        return rc;
    rc = creation->call(creation, handle ? &made : NULL);
    if (rc == CUDA_SUCCESS && !weft_quota_entry_put(&place, ARRAY_KEY(made), bytes)) {
        destroy(made);
        rc = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (rc)
        weft_quota_release(place.device, bytes);
    else
        *handle = made;
    return rc;
}

/* The entry leaves the table first: once the backend has destroyed it, another thread may be given
 * the same handle. */
static CUresult destroy_with(void *handle, CUresult (*destroy)(void *handle))
{
    struct weft_quota_entry entry, replaced;
    bool known = handle && weft_quota_map_take(&weft_quota.allocations, ARRAY_KEY(handle), &entry);
    CUresult rc = destroy(handle);
    if (known && rc)
        weft_quota_map_put(&weft_quota.allocations, &entry, &replaced);
    else if (known)
        weft_quota_entry_forget(&entry);
    return rc;
}

static CUresult backend_destroy(void *handle)
{
    return weft_quota.next.cuArrayDestroy(handle);
}

static CUresult backend_destroy_mipmapped(void *handle)
{
    return weft_quota.next.cuMipmappedArrayDestroy(handle);
}

static CUresult backend_create(const struct creation *creation, void *handle)
{
    return weft_quota.next.cuArrayCreate(handle, creation->shape);
}

static CUresult backend_create_v2(const struct creation *creation, void *handle)
{
    return weft_quota.next.cuArrayCreate_v2(handle, creation->shape);
}

static CUresult backend_create_3d(const struct creation *creation, void *handle)
{
    return weft_quota.next.cuArray3DCreate(handle, creation->shape);
}

static CUresult backend_create_3d_v2(const struct creation *creation, void *handle)
{
    return weft_quota.next.cuArray3DCreate_v2(handle, creation->shape);
}

static CUresult backend_create_mipmapped(const struct creation *creation, void *handle)
{
    return weft_quota.next.cuMipmappedArrayCreate(handle, creation->shape, creation->levels);
}

static CUresult array_create(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR_v1 *shape)
{
    if (!shape)
        return weft_quota.next.cuArrayCreate(handle, shape);
    struct creation creation = {.call = backend_create, .shape = shape};
    CUDA_ARRAY3D_DESCRIPTOR wide =
        flat(shape->Width, shape->Height, shape->Format, shape->NumChannels);
    return create((void **)handle, &creation, array_bytes(&wide, 1), backend_destroy);
}

static CUresult array_create_v2(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR *shape)
{
    if (!shape)
        return weft_quota.next.cuArrayCreate_v2(handle, shape);
    struct creation creation = {.call = backend_create_v2, .shape = shape};
    CUDA_ARRAY3D_DESCRIPTOR wide =
        flat(shape->Width, shape->Height, shape->Format, shape->NumChannels);
    return create((void **)handle, &creation, array_bytes(&wide, 1), backend_destroy);
}

static CUresult array_create_3d(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR_v1 *shape)
{
    if (!shape)
        return weft_quota.next.cuArray3DCreate(handle, shape);
    struct creation creation = {.call = backend_create_3d, .shape = shape};
    CUDA_ARRAY3D_DESCRIPTOR wide =
        flat(shape->Width, shape->Height, shape->Format, shape->NumChannels);
    wide.Depth = shape->Depth;
    wide.Flags = shape->Flags;
    return create((void **)handle, &creation, array_bytes(&wide, 1), backend_destroy);
}

static CUresult array_create_3d_v2(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR *shape)
{
    if (!shape)
        return weft_quota.next.cuArray3DCreate_v2(handle, shape);
    struct creation creation = {.call = backend_create_3d_v2, .shape = shape};
    return create((void **)handle, &creation, array_bytes(shape, 1), backend_destroy);
}

static CUresult mipmapped_create(CUmipmappedArray *handle, const CUDA_ARRAY3D_DESCRIPTOR *shape,
                                 unsigned int levels)
{
    if (!shape)
        return weft_quota.next.cuMipmappedArrayCreate(handle, shape, levels);
    struct creation creation = {.call = backend_create_mipmapped, .shape = shape, .levels = levels};
    return create((void **)handle, &creation, array_bytes(shape, levels),
                  backend_destroy_mipmapped);
}

static CUresult array_destroy(CUarray handle)
{
    return destroy_with(handle, backend_destroy);
}

static CUresult mipmapped_destroy(CUmipmappedArray handle)
{
    return destroy_with(handle, backend_destroy_mipmapped);
}

void weft_quota_array_install(struct weft_cuda *table)
{
    table->cuArrayCreate = array_create;
    table->cuArrayCreate_v2 = array_create_v2;
    table->cuArray3DCreate = array_create_3d;
    table->cuArray3DCreate_v2 = array_create_3d_v2;
    table->cuMipmappedArrayCreate = mipmapped_create;
    table->cuArrayDestroy = array_destroy;
    table->cuMipmappedArrayDestroy = mipmapped_destroy;
}

#include "softgpu/memory/array.h"

#include <stdio.h>
#include <stdlib.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

static CUresult back(struct weft_soft_context *context, struct weft_soft_array *array)
{
    /* The program asked for it, and who limits the program has charged it. */
    uint64_t address = 0;
    CUresult result = weft_soft_linear_allocate(context, array->bytes, WEFT_SOFT_OWN, 0, &address);
    array->allocation = address;
    for (uint32_t i = 0; i < array->image.level_count && result == CUDA_SUCCESS; i++)
        array->image.levels[i].address += array->allocation;
    return result;
}

static struct weft_soft_array *make_level(const struct weft_soft_array *whole, uint32_t index)
{
    struct weft_soft_array *level = calloc(1, sizeof(*level));
    if (!level)
        return NULL;
    const struct weft_exec_image_level *place = &whole->image.levels[index];
    level->device = whole->device;
    level->context = whole->context;
    level->descriptor = whole->descriptor;
    level->descriptor.Width = place->width;
    level->descriptor.Height = whole->descriptor.Height ? place->height : 0;
    level->descriptor.Depth = whole->descriptor.Depth ? place->depth : 0;
    level->image = whole->image;
    level->image.level_count = 1;
    level->image.levels[0] = *place;
    level->bytes = place->slice_bytes * place->depth;
    return level;
}

static CUresult open_levels(struct weft_soft_context *context, struct weft_soft_array *whole)
{
    for (uint32_t i = 0; i < whole->image.level_count; i++) {
        struct weft_soft_array *level = make_level(whole, i);
        if (!level)
            return CUDA_ERROR_OUT_OF_MEMORY;
        CUresult result = weft_soft_held_open(&level->held, WEFT_SOFT_HANDLE_ARRAY, context);
        if (result != CUDA_SUCCESS) {
            free(level);
            return result;
        }
        whole->level_handles[i] = level->held.handle;
    }
    return CUDA_SUCCESS;
}

static void close_levels(const struct weft_soft_array *whole)
{
    for (uint32_t i = 0; i < whole->image.level_count; i++) {
        if (whole->level_handles[i])
            weft_soft_handle_close(WEFT_SOFT_HANDLE_ARRAY, whole->level_handles[i]);
    }
}

static CUresult open_all(struct weft_soft_context *context, struct weft_soft_array *array,
                         bool mipmapped)
{
    CUresult result = back(context, array);
    if (result != CUDA_SUCCESS)
        return result;
    if (mipmapped)
        result = open_levels(context, array);
    if (result == CUDA_SUCCESS)
        result = weft_soft_held_open(
            &array->held, mipmapped ? WEFT_SOFT_HANDLE_MIPMAPPED_ARRAY : WEFT_SOFT_HANDLE_ARRAY,
            context);
    if (result == CUDA_SUCCESS)
        return result;
    close_levels(array);
    weft_soft_memory_free(context, array->allocation);
    return result;
}

/* The program learns only that it is not supported; the person is told what. */
static void tell_refused(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    char sentence[160];
    snprintf(sentence, sizeof(sentence),
             "the soft GPU has no arrays of format %u with flags 0x%x: compressed and planar "
             "formats, sparse and deferred memory are not supported",
             (unsigned int)descriptor->Format, descriptor->Flags);
    if (weft_soft.report)
        weft_soft.report(sentence);
}

CUresult weft_soft_array_create(struct weft_soft_context *context,
                                const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned int level_count,
                                uint64_t *handle)
{
    _cleanup_free_ struct weft_soft_array *array = calloc(1, sizeof(*array));
    if (!array)
        return CUDA_ERROR_OUT_OF_MEMORY;
    array->device = context->device;
    array->context = context->handle;
    array->descriptor = *descriptor;
    CUresult result = weft_soft_array_lay_out(context->device, descriptor, level_count,
                                              &array->image, &array->bytes);
    if (result == CUDA_ERROR_NOT_SUPPORTED)
        tell_refused(descriptor);
    if (result == CUDA_SUCCESS)
        result = open_all(context, array, level_count > 0);
    if (result == CUDA_SUCCESS)
        *handle = weft_steal(array)->held.handle;
    return result;
}

/* What runs may still use the memory. A context that is gone has given it back itself. */
static void give_back(const struct weft_soft_array *array)
{
    struct weft_soft_context *context;
    if (weft_soft_context_get(array->context, &context) != CUDA_SUCCESS)
        return;
    weft_soft_context_wait(context);
    weft_soft_memory_free(context, array->allocation);
    weft_soft_context_put(context);
}

CUresult weft_soft_array_destroy(enum weft_soft_handle_type type, uint64_t handle)
{
    struct weft_soft_array *array = weft_soft_handle_get(type, handle);
    if (!array)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = CUDA_ERROR_INVALID_HANDLE;
    if (array->allocation && weft_soft_handle_close(type, handle)) {
        close_levels(array);
        give_back(array);
        result = CUDA_SUCCESS;
    }
    weft_soft_handle_put(handle);
    return result;
}

struct weft_soft_array *weft_soft_array_get(CUarray handle)
{
    return weft_soft_handle_get(WEFT_SOFT_HANDLE_ARRAY, (uint64_t)(uintptr_t)handle);
}

struct weft_soft_array *weft_soft_array_get_mipmapped(CUmipmappedArray handle)
{
    return weft_soft_handle_get(WEFT_SOFT_HANDLE_MIPMAPPED_ARRAY, (uint64_t)(uintptr_t)handle);
}

void weft_soft_array_put(struct weft_soft_array *array)
{
    weft_soft_handle_put(array->held.handle);
}

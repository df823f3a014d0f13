/* One side of a copy that is an array. */
#include "softgpu/memory/array.h"
#include "softgpu/memory/memory.h"

static bool holds(const struct weft_soft_array *array, const struct weft_soft_array_box *box)
{
    const struct weft_exec_image_level *level = &array->image.levels[0];
    uint32_t texel = array->image.texel_bytes;
    return box->x <= level->row_bytes && box->width <= level->row_bytes - box->x &&
           box->y <= level->height && box->height <= level->height - box->y &&
           box->z <= level->depth && box->depth <= level->depth - box->z && box->x % texel == 0 &&
           box->width % texel == 0;
}

static CUresult place(const struct weft_soft_array *array, CUcontext context,
                      const struct weft_soft_array_box *box, struct weft_soft_side *side)
{
    const struct weft_exec_image_level *level = &array->image.levels[0];
    if (context && array->context != context)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!holds(array, box))
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t address =
        level->address + box->z * level->slice_bytes + box->y * level->row_bytes + box->x;
    *side =
        (struct weft_soft_side){.bytes = weft_soft_window_alias(&weft_soft.memory->window, address),
                                .pitch = level->row_bytes,
                                .slice = level->slice_bytes};
    return CUDA_SUCCESS;
}

CUresult weft_soft_array_side(CUarray handle, CUcontext context,
                              const struct weft_soft_array_box *box, struct weft_soft_side *side)
{
    struct weft_soft_array *array = weft_soft_array_get(handle);
    if (!array)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = place(array, context, box, side);
    weft_soft_array_put(array);
    return result;
}

CUresult weft_soft_array_run(CUarray handle, CUcontext context, uint64_t offset, uint64_t bytes,
                             struct weft_soft_side *side, uint32_t *texel_bytes)
{
    struct weft_soft_array *array = weft_soft_array_get(handle);
    if (!array)
        return CUDA_ERROR_INVALID_HANDLE;
    struct weft_soft_array_box box = {.x = offset, .width = bytes, .height = 1, .depth = 1};
    CUresult result = array->image.shape == WEFT_EXEC_IMAGE_1D ? place(array, context, &box, side)
                                                               : CUDA_ERROR_INVALID_VALUE;
    *texel_bytes = array->image.texel_bytes;
    weft_soft_array_put(array);
    return result;
}

/* CUDA arrays and mipmapped arrays: images in device memory, row after row without gaps, level
 * after level. What a card keeps secret about its layout is here as simple as it can be, so a copy
 * of whole rows is one run of bytes. */
#ifndef WEFT_SOFTGPU_MEMORY_ARRAY_H
#define WEFT_SOFTGPU_MEMORY_ARRAY_H

#include "softgpu/exec/texture.h"
#include "softgpu/memory/held.h"
#include "softgpu/memory/transfer.h"
#include "softgpu/soft.h"

/* An array, a mipmapped array, or one level of such. Immutable while it is open, but for what names
 * its lock. */
struct weft_soft_array {
    struct weft_soft_held held;
    struct weft_soft_device *device;
    CUcontext context;
    CUDA_ARRAY3D_DESCRIPTOR descriptor; /* as the program gave it; of a level with its own sizes */
    struct weft_exec_image image;
    uint64_t bytes;         /* of all levels */
    CUdeviceptr allocation; /* 0 in a level, whose memory is the mipmapped array's */
    uint64_t level_handles[WEFT_EXEC_IMAGE_LEVELS_MAX]; /* of a mipmapped array */
};

/* Makes an array of `level_count` levels, which is brought into range; 0 makes one that is not
 * mipmapped. INVALID_VALUE, NOT_SUPPORTED, OUT_OF_MEMORY. */
CUresult weft_soft_array_create(struct weft_soft_context *context,
                                const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned int level_count,
                                uint64_t *handle);
/* Waits for what runs in its context. INVALID_HANDLE, also for a level. `type` says which of the
 * two kinds the handle must be. */
CUresult weft_soft_array_destroy(enum weft_soft_handle_type type, uint64_t handle);

/* The array behind a handle, under a reference that weft_soft_array_put gives back; NULL. */
struct weft_soft_array *weft_soft_array_get(CUarray handle);
struct weft_soft_array *weft_soft_array_get_mipmapped(CUmipmappedArray handle);
void weft_soft_array_put(struct weft_soft_array *array);

/* A part of an array: x and width in bytes, rows, slices. */
struct weft_soft_array_box {
    uint64_t x, y, z, width, height, depth;
};

/* That part as a side of a transfer. INVALID_HANDLE, also where the array is not one of `context`
 * (NULL: of any); INVALID_VALUE where the array does not hold it, or it cuts texels. */
CUresult weft_soft_array_side(CUarray handle, CUcontext context,
                              const struct weft_soft_array_box *box, struct weft_soft_side *side);
/* The same for a run of bytes of an array of one dimension; tells the size of its texels too. */
CUresult weft_soft_array_run(CUarray handle, CUcontext context, uint64_t offset, uint64_t bytes,
                             struct weft_soft_side *side, uint32_t *texel_bytes);

/* What an image of that shape may measure at most on the device: width, height, depth; 0 where it
 * has no such side. */
struct weft_soft_extent {
    int width, height, depth;
};

enum weft_soft_image_use { WEFT_SOFT_USE_TEXTURE, WEFT_SOFT_USE_SURFACE, WEFT_SOFT_USE_MIPMAPPED };
struct weft_soft_extent weft_soft_extent_max(const struct weft_soft_device *device,
                                             enum weft_exec_image_shape shape,
                                             enum weft_soft_image_use use);

/* The limits of a texture over pitched memory; the pitch is in bytes. */
struct weft_soft_pitched_max {
    uint64_t width, height, pitch;
};
struct weft_soft_pitched_max weft_soft_pitched_max(const struct weft_soft_device *device);

/* array_layout.c: checks the descriptor against CUDA's rules and the device's limits, and lays out
 * its levels one behind the other from address 0 on; `bytes` is what they take. `level_count` as
 * for weft_soft_array_create. INVALID_VALUE, NOT_SUPPORTED. */
CUresult weft_soft_array_lay_out(const struct weft_soft_device *device,
                                 const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                                 unsigned int level_count, struct weft_exec_image *image,
                                 uint64_t *bytes);

void weft_soft_array_copy_install(struct weft_cuda *table);
void weft_soft_array_install(struct weft_cuda *table);

#endif

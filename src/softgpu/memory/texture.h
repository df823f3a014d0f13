/* Texture and surface descriptions made from what a program asks for. */
#ifndef WEFT_SOFTGPU_MEMORY_TEXTURE_H
#define WEFT_SOFTGPU_MEMORY_TEXTURE_H

#include "softgpu/memory/texture_table.h"
#include "softgpu/soft.h"

/* Base addresses of textures over linear memory, and the distance of their rows, are multiples of
 * these. */
#define WEFT_SOFT_TEXTURE_ALIGNMENT 512u
#define WEFT_SOFT_TEXTURE_PITCH_ALIGNMENT 32u
#define WEFT_SOFT_ANISOTROPY_MAX 16u

/* Checks all that CUDA demands of a texture over that resource. `view` may be NULL. INVALID_VALUE,
 * INVALID_HANDLE, NOT_SUPPORTED. */
CUresult weft_soft_texture_describe(const struct weft_soft_device *device,
                                    const CUDA_RESOURCE_DESC *resource,
                                    const CUDA_TEXTURE_DESC *texture,
                                    const CUDA_RESOURCE_VIEW_DESC *view,
                                    struct weft_exec_texture *out);
/* Of a surface, which only an array made with CUDA_ARRAY3D_SURFACE_LDST can be. */
CUresult weft_soft_surface_describe(const struct weft_soft_device *device,
                                    const CUDA_RESOURCE_DESC *resource,
                                    struct weft_exec_texture *out);

/* texture_resource.c: the image of a resource. */
CUresult weft_soft_resource_describe(const struct weft_soft_device *device,
                                     const CUDA_RESOURCE_DESC *resource,
                                     struct weft_exec_image *image);
/* Narrows the image of an array to what the view shows. INVALID_VALUE, NOT_SUPPORTED. */
CUresult weft_soft_resource_view(const CUDA_RESOURCE_DESC *resource,
                                 const CUDA_RESOURCE_VIEW_DESC *view,
                                 struct weft_exec_image *image);

void weft_soft_texture_install(struct weft_cuda *table);

#endif

/* Textures and surfaces as kernels see them: where the texels lie, and how they are read. The
 * driver fills these descriptions in; the executor and its scalar reference only read them.
 *
 * Texels lie in device memory, row after row: an image's level has `height` rows of `row_bytes`,
 * and `depth` slices of `slice_bytes`. A slice is a depth of a volume, a layer of a layered image,
 * or a face of a cube (layer × 6 + face). What an image lacks is 1, not 0. */
#ifndef WEFT_SOFTGPU_EXEC_TEXTURE_H
#define WEFT_SOFTGPU_EXEC_TEXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/cuda_abi.h>

#define WEFT_EXEC_IMAGE_LEVELS_MAX 17 /* 65536 texels a side, and all halves of it */

enum weft_exec_image_shape {
    WEFT_EXEC_IMAGE_LINEAR, /* memory of the program, one row, read by integer index */
    WEFT_EXEC_IMAGE_1D,
    WEFT_EXEC_IMAGE_2D, /* also pitched memory of the program */
    WEFT_EXEC_IMAGE_3D,
    WEFT_EXEC_IMAGE_CUBE,
    WEFT_EXEC_IMAGE_1D_LAYERED,
    WEFT_EXEC_IMAGE_2D_LAYERED,
    WEFT_EXEC_IMAGE_CUBE_LAYERED,
};

struct weft_exec_image_level {
    uint64_t address; /* device address of the first texel */
    uint64_t row_bytes, slice_bytes;
    uint32_t width, height, depth; /* in texels; rows; slices */
};

struct weft_exec_image {
    enum weft_exec_image_shape shape;
    CUarray_format format; /* of a channel, or of a texel for the packed ones */
    uint32_t channels;     /* 1, 2 or 4 */
    uint32_t texel_bytes;
    uint32_t level_count; /* 1 where there is no mipmap */
    struct weft_exec_image_level levels[WEFT_EXEC_IMAGE_LEVELS_MAX];
};

/* What a 64-bit handle in device code names. A surface uses level 0 of the image alone, in raw
 * texels. */
struct weft_exec_texture {
    struct weft_exec_image image;
    CUaddress_mode address_mode[3];
    CUfilter_mode filter, mipmap_filter;
    float mipmap_bias, mipmap_clamp_min, mipmap_clamp_max; /* in levels */
    float border[4];
    uint32_t max_anisotropy; /* known to who asks; filtering is isotropic */
    bool normalised_coordinates;
    bool read_as_integer; /* integer texels are not made floats of 0…1 or -1…1 */
    bool srgb;            /* 8-bit texels are decoded from sRGB */
    bool seamless_cube;
    bool is_surface;
};

#endif

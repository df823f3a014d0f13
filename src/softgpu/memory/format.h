/* What a texel of each format of an array is. */
#ifndef WEFT_SOFTGPU_MEMORY_FORMAT_H
#define WEFT_SOFTGPU_MEMORY_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/cuda_abi.h>

struct weft_soft_format {
    CUarray_format format;
    uint8_t channel_bytes;
    uint8_t channels; /* 0: as many as the array is made with */
    bool is_integer; /* reads give integers, or floats of 0…1 or -1…1 where they are promoted */
    bool is_normalised; /* reads always give floats of 0…1 or -1…1 */
};

/* NULL for a format that no array of the soft GPU has. */
const struct weft_soft_format *weft_soft_format_find(CUarray_format format);
/* 0, NOT_SUPPORTED for a format of CUDA that is not served (compressed, planar), INVALID_VALUE for
 * what is none, or a count of channels that it does not have. */
CUresult weft_soft_format_check(CUarray_format format, unsigned int channels);
/* Of a format and count that passed the check. */
uint32_t weft_soft_format_texel_bytes(CUarray_format format, unsigned int channels);

#endif

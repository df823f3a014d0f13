#include "softgpu/memory/format.h"

#include <stddef.h>

#include "util/util.h"

#define F(name) CU_AD_FORMAT_##name

static const struct weft_soft_format formats[] = {
    {F(UNSIGNED_INT8), 1, 0, true, false},  {F(UNSIGNED_INT16), 2, 0, true, false},
    {F(UNSIGNED_INT32), 4, 0, true, false}, {F(SIGNED_INT8), 1, 0, true, false},
    {F(SIGNED_INT16), 2, 0, true, false},   {F(SIGNED_INT32), 4, 0, true, false},
    {F(HALF), 2, 0, false, false},          {F(FLOAT), 4, 0, false, false},
    {F(UNORM_INT8X1), 1, 1, false, true},   {F(UNORM_INT8X2), 1, 2, false, true},
    {F(UNORM_INT8X4), 1, 4, false, true},   {F(UNORM_INT16X1), 2, 1, false, true},
    {F(UNORM_INT16X2), 2, 2, false, true},  {F(UNORM_INT16X4), 2, 4, false, true},
    {F(SNORM_INT8X1), 1, 1, false, true},   {F(SNORM_INT8X2), 1, 2, false, true},
    {F(SNORM_INT8X4), 1, 4, false, true},   {F(SNORM_INT16X1), 2, 1, false, true},
    {F(SNORM_INT16X2), 2, 2, false, true},  {F(SNORM_INT16X4), 2, 4, false, true},
};

const struct weft_soft_format *weft_soft_format_find(CUarray_format format)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(formats); i++) {
        if (formats[i].format == format)
            return &formats[i];
    }
    return NULL;
}

/* CUDA numbers its compressed, planar and packed formats so. */
static bool is_foreign(CUarray_format format)
{
    return format == F(UNORM_INT_101010_2) ||
           (format >= F(BC1_UNORM) && format <= F(YUV444_16bit_SemiPlanar));
}

CUresult weft_soft_format_check(CUarray_format format, unsigned int channels)
{
    const struct weft_soft_format *found = weft_soft_format_find(format);
    if (!found)
        return is_foreign(format) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
    bool counted = channels == 1 || channels == 2 || channels == 4;
    bool fits = found->channels == 0 || found->channels == channels;
    return counted && fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

uint32_t weft_soft_format_texel_bytes(CUarray_format format, unsigned int channels)
{
    return weft_soft_format_find(format)->channel_bytes * channels;
}

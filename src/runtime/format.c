#include "runtime/format.h"

/* Plain formats: bits of a channel and its kind. */
static const struct {
    int bits;
    enum cudaChannelFormatKind kind;
    CUarray_format format;
} plain[] = {
    {8, cudaChannelFormatKindUnsigned, CU_AD_FORMAT_UNSIGNED_INT8},
    {16, cudaChannelFormatKindUnsigned, CU_AD_FORMAT_UNSIGNED_INT16},
    {32, cudaChannelFormatKindUnsigned, CU_AD_FORMAT_UNSIGNED_INT32},
    {8, cudaChannelFormatKindSigned, CU_AD_FORMAT_SIGNED_INT8},
    {16, cudaChannelFormatKindSigned, CU_AD_FORMAT_SIGNED_INT16},
    {32, cudaChannelFormatKindSigned, CU_AD_FORMAT_SIGNED_INT32},
    {16, cudaChannelFormatKindFloat, CU_AD_FORMAT_HALF},
    {32, cudaChannelFormatKindFloat, CU_AD_FORMAT_FLOAT},
};

/* Formats that name their channels themselves. */
static const struct {
    enum cudaChannelFormatKind kind;
    CUarray_format format;
    int bits;
    unsigned int channels;
} packed[] = {
    {cudaChannelFormatKindUnsignedNormalized8X1, CU_AD_FORMAT_UNORM_INT8X1, 8, 1},
    {cudaChannelFormatKindUnsignedNormalized8X2, CU_AD_FORMAT_UNORM_INT8X2, 8, 2},
    {cudaChannelFormatKindUnsignedNormalized8X4, CU_AD_FORMAT_UNORM_INT8X4, 8, 4},
    {cudaChannelFormatKindUnsignedNormalized16X1, CU_AD_FORMAT_UNORM_INT16X1, 16, 1},
    {cudaChannelFormatKindUnsignedNormalized16X2, CU_AD_FORMAT_UNORM_INT16X2, 16, 2},
    {cudaChannelFormatKindUnsignedNormalized16X4, CU_AD_FORMAT_UNORM_INT16X4, 16, 4},
    {cudaChannelFormatKindSignedNormalized8X1, CU_AD_FORMAT_SNORM_INT8X1, 8, 1},
    {cudaChannelFormatKindSignedNormalized8X2, CU_AD_FORMAT_SNORM_INT8X2, 8, 2},
    {cudaChannelFormatKindSignedNormalized8X4, CU_AD_FORMAT_SNORM_INT8X4, 8, 4},
    {cudaChannelFormatKindSignedNormalized16X1, CU_AD_FORMAT_SNORM_INT16X1, 16, 1},
    {cudaChannelFormatKindSignedNormalized16X2, CU_AD_FORMAT_SNORM_INT16X2, 16, 2},
    {cudaChannelFormatKindSignedNormalized16X4, CU_AD_FORMAT_SNORM_INT16X4, 16, 4},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* 1, 2 or 4 channels that are all as wide as the first; 0 else. */
static unsigned int count_channels(const struct cudaChannelFormatDesc *desc)
{
    const int bits[4] = {desc->x, desc->y, desc->z, desc->w};
    unsigned int count = 0;
    while (count < 4 && bits[count])
        count++;
    for (unsigned int i = 0; i < 4; i++)
        if (bits[i] != (i < count ? bits[0] : 0))
            return 0;
    return count == 3 ? 0 : count;
}

cudaError_t weft_cudart_format_of(const struct cudaChannelFormatDesc *desc,
                                  struct weft_cudart_format *out)
{
    unsigned int channels = count_channels(desc);
    for (size_t i = 0; i < COUNT(packed); i++) {
        if (packed[i].kind != desc->f)
            continue;
        *out = (struct weft_cudart_format){.format = packed[i].format,
                                           .channels = packed[i].channels,
                                           .texel_bytes = (unsigned int)packed[i].bits / 8 *
                                                          packed[i].channels};
        return cudaSuccess;
    }
    for (size_t i = 0; i < COUNT(plain) && channels; i++) {
        if (plain[i].kind != desc->f || plain[i].bits != desc->x)
            continue;
        *out =
            (struct weft_cudart_format){.format = plain[i].format,
                                        .channels = channels,
                                        .texel_bytes = (unsigned int)plain[i].bits / 8 * channels};
        return cudaSuccess;
    }
    return cudaErrorInvalidChannelDescriptor;
}

static struct cudaChannelFormatDesc desc(int bits, unsigned int channels,
                                         enum cudaChannelFormatKind kind)
{
    return (struct cudaChannelFormatDesc){.x = bits,
                                          .y = channels > 1 ? bits : 0,
                                          .z = channels > 2 ? bits : 0,
                                          .w = channels > 3 ? bits : 0,
                                          .f = kind};
}

struct cudaChannelFormatDesc weft_cudart_desc_of(CUarray_format format, unsigned int channels)
{
    for (size_t i = 0; i < COUNT(plain); i++)
        if (plain[i].format == format)
            return desc(plain[i].bits, channels, plain[i].kind);
    for (size_t i = 0; i < COUNT(packed); i++)
        if (packed[i].format == format)
            return desc(packed[i].bits, packed[i].channels, packed[i].kind);
    return desc(0, 0, cudaChannelFormatKindNone);
}

unsigned int weft_cudart_array_texel_bytes(cudaArray_const_t array)
{
    CUDA_ARRAY3D_DESCRIPTOR shape;
    struct weft_cudart_format format;
    if (weft_cudart_driver()->cuArray3DGetDescriptor_v2(&shape, (CUarray)(uintptr_t)array))
        return 0;
    struct cudaChannelFormatDesc same = weft_cudart_desc_of(shape.Format, shape.NumChannels);
    return weft_cudart_format_of(&same, &format) ? 0 : format.texel_bytes;
}

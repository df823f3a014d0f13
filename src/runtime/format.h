/* How the two APIs call the format of a texel. */
#ifndef WEFT_RUNTIME_FORMAT_H
#define WEFT_RUNTIME_FORMAT_H

#include "runtime/runtime.h"

struct weft_cudart_format {
    CUarray_format format;
    unsigned int channels;
    unsigned int texel_bytes;
};

/* InvalidChannelDescriptor for what is no format of the driver's. */
cudaError_t weft_cudart_format_of(const struct cudaChannelFormatDesc *desc,
                                  struct weft_cudart_format *out);
struct cudaChannelFormatDesc weft_cudart_desc_of(CUarray_format format, unsigned int channels);
/* 0 for an array that the driver does not know. */
unsigned int weft_cudart_array_texel_bytes(cudaArray_const_t array);

#endif

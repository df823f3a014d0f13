/* Out of a fat binary: what of it the soft GPU runs. */
#ifndef WEFT_SOFTGPU_ENGINE_FAT_H
#define WEFT_SOFTGPU_ENGINE_FAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/cuda_abi.h>
#include <weft/err.h>

struct weft_soft_fat_content {
    char *text; /* the caller frees it: PTX, or an image of texts to be linked */
    size_t bytes;
    bool linked;
};

/* The PTX of one fat binary, of at most `bytes`, that is best for `sm`; the caller frees the text.
 * Errors as weft_soft_fat_read. */
CUresult weft_soft_fat_read_one(char **text, size_t *text_bytes, const void *image, size_t bytes,
                                uint32_t sm, struct weft_err *err);

/* `image` is a wrapper or a fat binary of at most `bytes`, SIZE_MAX where its header alone bounds
 * it. Where nvcc left several to be linked (-rdc=true), the PTX of each. NO_BINARY_FOR_GPU where
 * there is no PTX for `sm`, INVALID_IMAGE for a damaged one, OUT_OF_MEMORY. */
CUresult weft_soft_fat_read(struct weft_soft_fat_content *out, const void *image, size_t bytes,
                            uint32_t sm, struct weft_err *err);

#endif

/* Images for texture tests: made in the rig's memory from a few numbers, and found by handle. */
#ifndef WEFT_TESTS_CONFORMANCE_PTX_IMAGES_H
#define WEFT_TESTS_CONFORMANCE_PTX_IMAGES_H

#include "rig.h"
#include "values.h"

#define IMAGE_HANDLE(index) (0x1000ull + (index))
#define IMAGES_MAX 8

/* What the rig's textures are: handle IMAGE_HANDLE(i) names image_textures[i], up to the count. */
extern struct weft_exec_texture image_textures[IMAGES_MAX];
extern unsigned image_count;

struct image_spec {
    enum weft_exec_image_shape shape;
    uint32_t width, height, depth; /* of level 0; depth counts slices */
    uint32_t level_count;
    CUarray_format format;
    uint32_t channels;
};

/* Adds an image of that kind, with random texels that are no NaN; its index. Everything about
 * sampling is zero: the caller sets it. */
unsigned image_add(struct rig *rig, const struct image_spec *spec, struct dice *dice);
/* Bytes of a texel. */
uint32_t image_texel_bytes(CUarray_format format, uint32_t channels);
/* Where a texel lies in the rig's host memory. */
void *image_texel(struct rig *rig, unsigned image, uint32_t level, uint32_t i, uint32_t j,
                  uint32_t k);

#endif

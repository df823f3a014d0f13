/* A plain model of images in memory, which the tests of arrays compare the driver with: bytes in
 * rows in slices, copied one by one. */
#ifndef WEFT_TESTS_ARRAY_MODEL_H
#define WEFT_TESTS_ARRAY_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../memory/program.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Where the bytes of an image lie, and what it is for the driver. */
struct image {
    CUmemorytype type;
    CUarray array;
    CUdeviceptr device;
    unsigned char *host;
    size_t row, rows, slices;   /* bytes of a row, rows of a slice, slices */
    size_t pitch, pitched_rows; /* as it lies in memory; of an array the same as row and rows */
    unsigned char *model;       /* pitch × pitched_rows × slices bytes */
};

struct box {
    size_t width, height, depth;
};

struct corner {
    size_t x, y, z;
};

static inline unsigned int model_random(unsigned int *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static inline size_t image_bytes(const struct image *image)
{
    return image->pitch * image->pitched_rows * image->slices;
}

static inline void model_copy(const struct image *to, struct corner at, const struct image *from,
                              struct corner out, struct box box)
{
    for (size_t z = 0; z < box.depth; z++)
        for (size_t y = 0; y < box.height; y++)
            for (size_t x = 0; x < box.width; x++)
                to->model[((at.z + z) * to->pitched_rows + at.y + y) * to->pitch + at.x + x] =
                    from->model[((out.z + z) * from->pitched_rows + out.y + y) * from->pitch +
                                out.x + x];
}

/* The copy of the driver's that should do the same. */
static inline CUDA_MEMCPY3D model_describe(const struct image *to, struct corner at,
                                           const struct image *from, struct corner out,
                                           struct box box)
{
    return (CUDA_MEMCPY3D){.srcXInBytes = out.x,
                           .srcY = out.y,
                           .srcZ = out.z,
                           .srcMemoryType = from->type,
                           .srcHost = from->host,
                           .srcDevice = from->device,
                           .srcArray = from->array,
                           .srcPitch = from->pitch,
                           .srcHeight = from->pitched_rows,
                           .dstXInBytes = at.x,
                           .dstY = at.y,
                           .dstZ = at.z,
                           .dstMemoryType = to->type,
                           .dstHost = to->host,
                           .dstDevice = to->device,
                           .dstArray = to->array,
                           .dstPitch = to->pitch,
                           .dstHeight = to->pitched_rows,
                           .WidthInBytes = box.width,
                           .Height = box.height,
                           .Depth = box.depth};
}

static inline CUDA_MEMCPY2D model_flatten(const CUDA_MEMCPY3D *copy)
{
    return (CUDA_MEMCPY2D){.srcXInBytes = copy->srcXInBytes,
                           .srcY = copy->srcY,
                           .srcMemoryType = copy->srcMemoryType,
                           .srcHost = copy->srcHost,
                           .srcDevice = copy->srcDevice,
                           .srcArray = copy->srcArray,
                           .srcPitch = copy->srcPitch,
                           .dstXInBytes = copy->dstXInBytes,
                           .dstY = copy->dstY,
                           .dstMemoryType = copy->dstMemoryType,
                           .dstHost = copy->dstHost,
                           .dstDevice = copy->dstDevice,
                           .dstArray = copy->dstArray,
                           .dstPitch = copy->dstPitch,
                           .WidthInBytes = copy->WidthInBytes,
                           .Height = copy->Height};
}

#endif

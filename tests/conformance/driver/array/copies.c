/* Arrays of each format and shape, copied at random to and from arrays, device memory and the host
 * by every call that can, beside a plain model. What breaks it: a byte that a copy puts elsewhere
 * than the model does, a format whose texels have another size, memory that an array keeps. */
#include "model.h"

struct format {
    CUarray_format format;
    unsigned int channel_bytes, channels; /* 0: 1, 2 and 4 */
};

static const struct format formats[] = {
    {CU_AD_FORMAT_UNSIGNED_INT8, 1, 0},  {CU_AD_FORMAT_UNSIGNED_INT16, 2, 0},
    {CU_AD_FORMAT_UNSIGNED_INT32, 4, 0}, {CU_AD_FORMAT_SIGNED_INT8, 1, 0},
    {CU_AD_FORMAT_SIGNED_INT16, 2, 0},   {CU_AD_FORMAT_SIGNED_INT32, 4, 0},
    {CU_AD_FORMAT_HALF, 2, 0},           {CU_AD_FORMAT_FLOAT, 4, 0},
    {CU_AD_FORMAT_UNORM_INT8X1, 1, 1},   {CU_AD_FORMAT_UNORM_INT8X2, 1, 2},
    {CU_AD_FORMAT_UNORM_INT8X4, 1, 4},   {CU_AD_FORMAT_UNORM_INT16X1, 2, 1},
    {CU_AD_FORMAT_UNORM_INT16X2, 2, 2},  {CU_AD_FORMAT_UNORM_INT16X4, 2, 4},
    {CU_AD_FORMAT_SNORM_INT8X1, 1, 1},   {CU_AD_FORMAT_SNORM_INT8X2, 1, 2},
    {CU_AD_FORMAT_SNORM_INT8X4, 1, 4},   {CU_AD_FORMAT_SNORM_INT16X1, 2, 1},
    {CU_AD_FORMAT_SNORM_INT16X2, 2, 2},  {CU_AD_FORMAT_SNORM_INT16X4, 2, 4},
};

struct shape {
    size_t width, height, depth;
    unsigned int flags;
};

static const struct shape shapes[] = {
    {37, 0, 0, 0},
    {37, 11, 0, 0},
    {16, 9, 5, 0},
    {23, 0, 4, CUDA_ARRAY3D_LAYERED},
    {13, 7, 3, CUDA_ARRAY3D_LAYERED},
    {8, 8, 6, CUDA_ARRAY3D_CUBEMAP},
    {6, 6, 12, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED},
    {12, 10, 0, CUDA_ARRAY3D_SURFACE_LDST},
    {12, 10, 0, CUDA_ARRAY3D_TEXTURE_GATHER},
};

#define ROUNDS 40
#define IMAGES 4

static size_t at_least_one(size_t side)
{
    return side ? side : 1;
}

static struct image make_array(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, size_t texel)
{
    struct image image = {.type = CU_MEMORYTYPE_ARRAY,
                          .row = descriptor->Width * texel,
                          .rows = at_least_one(descriptor->Height),
                          .slices = at_least_one(descriptor->Depth)};
    CUDA_ARRAY3D_DESCRIPTOR told;
    image.pitch = image.row;
    image.pitched_rows = image.rows;
    DO(cuArray3DCreate(&image.array, descriptor));
    DO(cuArray3DGetDescriptor(&told, image.array));
    TRUE(told.Width == descriptor->Width && told.Height == descriptor->Height &&
         told.Depth == descriptor->Depth && told.Format == descriptor->Format &&
         told.NumChannels == descriptor->NumChannels && told.Flags == descriptor->Flags);
    image.model = calloc(1, image_bytes(&image));
    return image;
}

/* The same sides in memory with gaps, on the host or the device. */
static struct image make_pitched(const struct image *like, CUmemorytype type, size_t texel)
{
    struct image image = *like;
    image.type = type;
    image.array = NULL;
    image.pitch = image.row + 3 * texel;
    image.pitched_rows = image.rows + 2;
    size_t bytes = image_bytes(&image);
    image.model = calloc(1, bytes);
    image.host = NULL;
    if (type == CU_MEMORYTYPE_HOST) {
        image.host = calloc(1, bytes);
    } else {
        DO(cuMemAlloc(&image.device, bytes));
        DO(cuMemsetD8(image.device, 0, bytes));
    }
    return image;
}

static void end(struct image *image)
{
    if (image->array)
        DO(cuArrayDestroy(image->array));
    if (image->type == CU_MEMORYTYPE_DEVICE)
        DO(cuMemFree(image->device));
    free(image->host);
    free(image->model);
}

static void fill(struct image *host, unsigned int *state)
{
    for (size_t i = 0; i < image_bytes(host); i++)
        host->host[i] = host->model[i] = (unsigned char)model_random(state);
}

static size_t between(size_t most, unsigned int *state)
{
    return model_random(state) % (most + 1);
}

/* One of the calls that can do the copy, chosen at random; asynchronous ones are waited for. */
static void run(const CUDA_MEMCPY3D *copy, unsigned int *state)
{
    CUDA_MEMCPY2D flat = model_flatten(copy);
    bool is_flat = copy->Depth == 1 && copy->srcZ == 0 && copy->dstZ == 0;
    unsigned int choice = model_random(state) % (is_flat ? 5 : 2);
    if (choice == 0)
        DO(cuMemcpy3D(copy));
    else if (choice == 1)
        DO(cuMemcpy3DAsync(copy, NULL));
    else if (choice == 2)
        DO(cuMemcpy2D(&flat));
    else if (choice == 3)
        DO(cuMemcpy2DUnaligned(&flat));
    else
        DO(cuMemcpy2DAsync(&flat, NULL));
    DO(cuStreamSynchronize(NULL));
}

static void copy_at_random(const struct image images[IMAGES], size_t texel, unsigned int *state)
{
    const struct image *to = &images[model_random(state) % IMAGES];
    const struct image *from = &images[model_random(state) % IMAGES];
    struct corner at = {between(to->row / texel - 1, state) * texel, between(to->rows - 1, state),
                        between(to->slices - 1, state)};
    struct corner out = {between(to->row / texel - 1, state) * texel, between(to->rows - 1, state),
                         between(to->slices - 1, state)};
    size_t x = at.x > out.x ? at.x : out.x, y = at.y > out.y ? at.y : out.y;
    size_t z = at.z > out.z ? at.z : out.z;
    struct box box = {between((to->row - x) / texel, state) * texel, between(to->rows - y, state),
                      between(to->slices - z, state)};
    /* What a copy within one image gives where it overlaps, CUDA does not say. */
    if (to == from || box.width * box.height * box.depth == 0)
        return;
    CUDA_MEMCPY3D copy = model_describe(to, at, from, out, box);
    run(&copy, state);
    model_copy(to, at, from, out, box);
}

static void check(const struct image *image)
{
    size_t bytes = image_bytes(image);
    unsigned char *got = calloc(1, bytes);
    struct image plain = *image;
    plain.type = CU_MEMORYTYPE_HOST;
    plain.host = got;
    CUDA_MEMCPY3D copy = model_describe(&plain, (struct corner){0}, image, (struct corner){0},
                                        (struct box){image->row, image->rows, image->slices});
    DO(cuMemcpy3D(&copy));
    for (size_t z = 0; z < image->slices; z++)
        for (size_t y = 0; y < image->rows; y++) {
            size_t row = (z * image->pitched_rows + y) * image->pitch;
            TRUE(memcmp(got + row, image->model + row, image->row) == 0);
        }
    free(got);
}

/* Arrays of one dimension have copies of their own. */
static void copy_runs(struct image images[IMAGES], size_t texel)
{
    size_t bytes = images[0].row - texel;
    DO(cuMemcpyHtoA(images[0].array, texel, images[2].host, bytes));
    model_copy(&images[0], (struct corner){texel, 0, 0}, &images[2], (struct corner){0},
               (struct box){bytes, 1, 1});
    DO(cuMemcpyAtoA(images[1].array, 0, images[0].array, texel, bytes));
    model_copy(&images[1], (struct corner){0}, &images[0], (struct corner){texel, 0, 0},
               (struct box){bytes, 1, 1});
    DO(cuMemcpyAtoD(images[3].device, images[1].array, texel, bytes));
    model_copy(&images[3], (struct corner){0}, &images[1], (struct corner){texel, 0, 0},
               (struct box){bytes, 1, 1});
    DO(cuMemcpyDtoA(images[0].array, 0, images[3].device, bytes));
    model_copy(&images[0], (struct corner){0}, &images[3], (struct corner){0},
               (struct box){bytes, 1, 1});
    DO(cuMemcpyAtoHAsync(images[2].host, images[0].array, 0, bytes, NULL));
    DO(cuStreamSynchronize(NULL));
    model_copy(&images[2], (struct corner){0}, &images[0], (struct corner){0},
               (struct box){bytes, 1, 1});
    DO(cuMemcpyHtoAAsync(images[1].array, 0, images[2].host, bytes, NULL));
    DO(cuStreamSynchronize(NULL));
    model_copy(&images[1], (struct corner){0}, &images[2], (struct corner){0},
               (struct box){bytes, 1, 1});
    DO(cuMemcpyAtoH(images[2].host, images[1].array, texel, bytes));
    model_copy(&images[2], (struct corner){0}, &images[1], (struct corner){texel, 0, 0},
               (struct box){bytes, 1, 1});
}

static void try_kind(const struct format *format, unsigned int channels, const struct shape *shape)
{
    size_t texel = (size_t)format->channel_bytes * channels, before, during, after, total;
    unsigned int state = (unsigned int)(texel * 31 + shape->width + shape->flags);
    CUDA_ARRAY3D_DESCRIPTOR descriptor = {.Width = shape->width,
                                          .Height = shape->height,
                                          .Depth = shape->depth,
                                          .Format = format->format,
                                          .NumChannels = channels,
                                          .Flags = shape->flags};
    struct image images[IMAGES];
    DO(cuMemGetInfo(&before, &total));
    images[0] = make_array(&descriptor, texel);
    DO(cuMemGetInfo(&during, &total));
    TRUE(before - during == (image_bytes(&images[0]) + 511) / 512 * 512);
    images[1] = make_array(&descriptor, texel);
    images[2] = make_pitched(&images[0], CU_MEMORYTYPE_HOST, texel);
    images[3] = make_pitched(&images[0], CU_MEMORYTYPE_DEVICE, texel);
    fill(&images[2], &state);
    for (int i = 0; i < ROUNDS; i++)
        copy_at_random(images, texel, &state);
    if (shape->height == 0 && shape->depth == 0)
        copy_runs(images, texel);
    for (int i = 0; i < IMAGES; i++)
        check(&images[i]);
    for (int i = 0; i < IMAGES; i++)
        end(&images[i]);
    DO(cuMemGetInfo(&after, &total));
    TRUE(before == after);
}

int main(void)
{
    program_start();
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        for (unsigned int channels = 1; channels <= 4; channels *= 2)
            for (size_t j = 0; j < COUNT_OF(shapes); j++)
                if (formats[i].channels == 0 || formats[i].channels == channels)
                    try_kind(&formats[i], channels, &shapes[j]);
    return 0;
}

/* What CUDA forbids of arrays, copies with them, texture and surface objects. What breaks it: one
 * of these accepted, another answer, or something made by a call that failed. */
#include "model.h"

#define F(name) CU_AD_FORMAT_##name

struct shape_case {
    size_t width, height, depth;
    CUarray_format format;
    unsigned int channels, flags;
    CUresult result;
};

static const struct shape_case shape_cases[] = {
    {0, 0, 0, F(FLOAT), 1, 0, CUDA_ERROR_INVALID_VALUE},
    {16, 0, 0, F(FLOAT), 3, 0, CUDA_ERROR_INVALID_VALUE},
    {16, 0, 0, F(FLOAT), 0, 0, CUDA_ERROR_INVALID_VALUE},
    {16, 0, 0, (CUarray_format)5, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {16, 16, 0, F(UNORM_INT8X4), 1, 0, CUDA_ERROR_INVALID_VALUE},
    {16, 16, 0, F(UNORM_INT8X4), 4, 0, CUDA_SUCCESS},
    {16, 16, 0, F(BC1_UNORM), 4, 0, CUDA_ERROR_NOT_SUPPORTED},
    {16, 16, 0, F(NV12), 1, 0, CUDA_ERROR_NOT_SUPPORTED},
    {131072, 0, 0, F(UNSIGNED_INT8), 1, 0, CUDA_SUCCESS},
    {131073, 0, 0, F(UNSIGNED_INT8), 1, 0, CUDA_ERROR_INVALID_VALUE},
    {32769, 0, 0, F(UNSIGNED_INT8), 1, CUDA_ARRAY3D_SURFACE_LDST, CUDA_ERROR_INVALID_VALUE},
    {4, 65537, 0, F(UNSIGNED_INT8), 1, 0, CUDA_ERROR_INVALID_VALUE},
    {16, 0, 4, F(FLOAT), 1, 0, CUDA_ERROR_INVALID_VALUE},
    {2, 2, 16385, F(UNSIGNED_INT8), 1, 0, CUDA_SUCCESS},
    {8193, 1, 16385, F(UNSIGNED_INT8), 1, 0, CUDA_ERROR_INVALID_VALUE},
    {16, 0, 0, F(FLOAT), 1, CUDA_ARRAY3D_LAYERED, CUDA_ERROR_INVALID_VALUE},
    {16, 0, 2049, F(FLOAT), 1, CUDA_ARRAY3D_LAYERED, CUDA_ERROR_INVALID_VALUE},
    {16, 16, 5, F(FLOAT), 1, CUDA_ARRAY3D_CUBEMAP, CUDA_ERROR_INVALID_VALUE},
    {16, 8, 6, F(FLOAT), 1, CUDA_ARRAY3D_CUBEMAP, CUDA_ERROR_INVALID_VALUE},
    {16, 16, 13, F(FLOAT), 1, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED,
     CUDA_ERROR_INVALID_VALUE},
    {16, 16, 4, F(FLOAT), 1, CUDA_ARRAY3D_TEXTURE_GATHER, CUDA_ERROR_INVALID_VALUE},
    {32769, 16, 0, F(UNSIGNED_INT8), 1, CUDA_ARRAY3D_TEXTURE_GATHER, CUDA_ERROR_INVALID_VALUE},
    {16, 16, 0, F(FLOAT), 1, CUDA_ARRAY3D_SPARSE, CUDA_ERROR_NOT_SUPPORTED},
    {16, 16, 0, F(FLOAT), 1, CUDA_ARRAY3D_DEFERRED_MAPPING, CUDA_ERROR_NOT_SUPPORTED},
    {16, 16, 0, F(FLOAT), 1, CUDA_ARRAY3D_DEPTH_TEXTURE, CUDA_ERROR_NOT_SUPPORTED},
    {16, 16, 0, F(FLOAT), 1, 1u << 30, CUDA_ERROR_INVALID_VALUE},
    {131072, 65536, 0, F(FLOAT), 4, 0, CUDA_ERROR_OUT_OF_MEMORY},
};

static void shapes(void)
{
    for (size_t i = 0; i < COUNT_OF(shape_cases); i++) {
        const struct shape_case *one = &shape_cases[i];
        CUDA_ARRAY3D_DESCRIPTOR shape = {one->width,  one->height,   one->depth,
                                         one->format, one->channels, one->flags};
        CUarray array = NULL;
        CUresult result = cuArray3DCreate(&array, &shape);
        if (result != one->result)
            fprintf(stderr, "shape %zu\n", i);
        EXPECT(result, one->result);
        if (result == CUDA_SUCCESS)
            DO(cuArrayDestroy(array));
    }
    EXPECT(cuArray3DCreate(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
}

static CUarray make(size_t width, size_t height, size_t depth, unsigned int flags)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = {width, height, depth, F(FLOAT), 1, flags};
    CUarray array;
    DO(cuArray3DCreate(&array, &shape));
    return array;
}

static void handles(void)
{
    CUarray array = make(8, 8, 0, 0);
    CUDA_ARRAY3D_DESCRIPTOR shape;
    CUDA_ARRAY_MEMORY_REQUIREMENTS needs;
    CUdevice device;
    DO(cuCtxGetDevice(&device));
    EXPECT(cuArrayGetMemoryRequirements(&needs, array, device), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuArray3DGetDescriptor(NULL, array), CUDA_ERROR_INVALID_VALUE);
    DO(cuArrayDestroy(array));
    EXPECT(cuArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuArray3DGetDescriptor(&shape, array), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuArrayDestroy(NULL), CUDA_ERROR_INVALID_HANDLE);
}

struct copy_case {
    size_t x, y, z, width, height, depth, lod;
    CUresult result;
};

/* Of a volume of 8 × 4 × 2 words. */
static const struct copy_case copy_cases[] = {
    {0, 0, 0, 32, 4, 2, 0, CUDA_SUCCESS},
    {4, 0, 0, 32, 1, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {2, 0, 0, 4, 1, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {0, 0, 0, 6, 1, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {0, 1, 0, 32, 4, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {0, 0, 1, 32, 4, 2, 0, CUDA_ERROR_INVALID_VALUE},
    {0, 0, 2, 32, 4, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {(size_t)-4, 0, 0, 8, 1, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {0, (size_t)-1, 0, 8, 2, 1, 0, CUDA_ERROR_INVALID_VALUE},
    {0, 0, 0, 32, 4, 2, 1, CUDA_ERROR_INVALID_VALUE},
    {0, 0, 0, 0, 4, 2, 0, CUDA_SUCCESS},
};

static void copies(void)
{
    static float host[8 * 4 * 2];
    CUarray array = make(8, 4, 2, 0), line = make(8, 0, 0, 0), flat = make(8, 4, 0, 0);
    for (size_t i = 0; i < COUNT_OF(copy_cases); i++) {
        const struct copy_case *one = &copy_cases[i];
        CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                              .srcHost = host,
                              .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                              .dstArray = array,
                              .dstXInBytes = one->x,
                              .dstY = one->y,
                              .dstZ = one->z,
                              .dstLOD = one->lod,
                              .WidthInBytes = one->width,
                              .Height = one->height,
                              .Depth = one->depth};
        if (cuMemcpy3D(&copy) != one->result)
            fprintf(stderr, "copy %zu\n", i);
        EXPECT(cuMemcpy3D(&copy), one->result);
    }
    EXPECT(cuMemcpyHtoA(line, 4, host, 32), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoA(line, 2, host, 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoA(flat, 0, host, 4), CUDA_ERROR_INVALID_VALUE);
    DO(cuArrayDestroy(line));
    EXPECT(cuMemcpyHtoA(line, 0, host, 4), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuMemcpyAtoH(host, NULL, 0, 4), CUDA_ERROR_INVALID_HANDLE);
    DO(cuArrayDestroy(array));
    DO(cuArrayDestroy(flat));
}

/* An array belongs to its context. */
static void contexts(const struct program *program)
{
    static float host[8];
    CUcontext other;
    CUarray line = make(8, 0, 0, 0), theirs;
    size_t before, after, total;
    DO(cuMemGetInfo(&before, &total));
    DO(cuCtxCreate(&other, NULL, 0, program->device));
    theirs = make(8, 0, 0, 0);
    EXPECT(cuMemcpyHtoA(line, 0, host, 32), CUDA_ERROR_INVALID_HANDLE);
    CUDA_MEMCPY3D_PEER peer = {.srcMemoryType = CU_MEMORYTYPE_ARRAY,
                               .srcArray = line,
                               .srcContext = program->context,
                               .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                               .dstArray = theirs,
                               .dstContext = other,
                               .WidthInBytes = 32,
                               .Height = 1,
                               .Depth = 1};
    DO(cuMemcpy3DPeer(&peer));
    peer.srcContext = other;
    EXPECT(cuMemcpy3DPeer(&peer), CUDA_ERROR_INVALID_HANDLE);
    /* What a context held ends with it. */
    DO(cuCtxDestroy(other));
    DO(cuCtxSetCurrent(program->context));
    EXPECT(cuArrayDestroy(theirs), CUDA_ERROR_INVALID_HANDLE);
    DO(cuMemGetInfo(&after, &total));
    TRUE(before == after);
    DO(cuArrayDestroy(line));
}

static void mipmaps(void)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = {64, 16, 0, F(FLOAT), 2, 0}, told;
    CUmipmappedArray mipmap;
    CUarray level, same;
    size_t before, during, total, bytes = 0;
    DO(cuMemGetInfo(&before, &total));
    DO(cuMipmappedArrayCreate(&mipmap, &shape, 100));
    DO(cuMemGetInfo(&during, &total));
    for (unsigned int i = 0; i < 7; i++) {
        DO(cuMipmappedArrayGetLevel(&level, mipmap, i));
        DO(cuMipmappedArrayGetLevel(&same, mipmap, i));
        DO(cuArray3DGetDescriptor(&told, level));
        TRUE(level == same && told.Width == 64u >> i);
        TRUE(told.Height == (i < 5 ? 16u >> i : 1) && told.Depth == 0);
        bytes += told.Width * told.Height * 8;
    }
    TRUE(before - during == (bytes + 511) / 512 * 512);
    EXPECT(cuMipmappedArrayGetLevel(&level, mipmap, 7), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuArrayDestroy(same), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuArrayDestroy((CUarray)mipmap), CUDA_ERROR_INVALID_HANDLE);
    DO(cuMipmappedArrayDestroy(mipmap));
    EXPECT(cuArray3DGetDescriptor(&told, same), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuMipmappedArrayDestroy(mipmap), CUDA_ERROR_INVALID_HANDLE);
    shape.Width = 32769;
    EXPECT(cuMipmappedArrayCreate(&mipmap, &shape, 2), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemGetInfo(&during, &total));
    TRUE(before == during);
}

int main(void)
{
    struct program program = program_start();
    shapes();
    handles();
    copies();
    contexts(&program);
    mipmaps();
    return 0;
}

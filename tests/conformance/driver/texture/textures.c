/* Texture and surface objects of CUDA C, compiled at run time, through the driver API: arrays of
 * every shape hold a ramp, so that what each fetch gives follows from its coordinates. Breaks where
 * driver and executor disagree about an image, or where a fetch is off. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#include "../../nvrtc/stage.h"

#define POINTS 8
#define SIZE 16

static int failures;

#define REQUIRE(call) require(call, #call)
static void require(CUresult result, const char *what)
{
    const char *name = "?";
    if (result == CUDA_SUCCESS)
        return;
    cuGetErrorName(result, &name);
    printf("%s: %s\n", what, name);
    exit(1);
}

struct point {
    float x, y, z, w;
};

static CUmodule module;
static CUdeviceptr points_memory, results_memory;

static CUresult launch(const char *kernel, unsigned long long object, const struct point *at,
                       unsigned count, struct point *out)
{
    CUfunction function;
    REQUIRE(cuModuleGetFunction(&function, module, kernel));
    REQUIRE(cuMemcpyHtoD(points_memory, at, count * sizeof *at));
    void *arguments[] = {&object, &points_memory, &results_memory};
    REQUIRE(cuLaunchKernel(function, 1, 1, 1, count, 1, 1, 0, NULL, arguments, NULL));
    CUresult result = cuCtxSynchronize();
    if (result == CUDA_SUCCESS)
        REQUIRE(cuMemcpyDtoH(out, results_memory, count * sizeof *out));
    return result;
}

static void expect(const char *kernel, unsigned long long object, const struct point *at,
                   const struct point *wanted, unsigned count)
{
    struct point got[POINTS];
    require(launch(kernel, object, at, count, got), kernel);
    for (unsigned i = 0; i < count; i++) {
        const float *g = &got[i].x, *w = &wanted[i].x;
        for (int c = 0; c < 4; c++)
            if (!(fabsf(g[c] - w[c]) <= 1e-4f * fmaxf(1, fabsf(w[c])))) {
                printf("%s at %g %g %g %g: component %d is %g, not %g\n", kernel, (double)at[i].x,
                       (double)at[i].y, (double)at[i].z, (double)at[i].w, c, (double)g[c],
                       (double)w[c]);
                failures++;
            }
    }
}

/* Texel i, j, k of a ramp is i + 16 j + 256 k. */
static CUarray make_ramp(unsigned depth, unsigned flags, unsigned size)
{
    static float texels[12 * SIZE * SIZE];
    unsigned slices = depth ? depth : 1;
    for (unsigned i = 0; i < slices * size * size; i++)
        texels[i] = (float)(i % size + 16 * (i / size % size) + 256 * (i / size / size));
    CUarray array;
    CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = size,
                                    .Height = size,
                                    .Depth = depth,
                                    .Format = CU_AD_FORMAT_FLOAT,
                                    .NumChannels = 1,
                                    .Flags = flags};
    REQUIRE(cuArray3DCreate(&array, &desc));
    CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = texels,
                          .srcPitch = size * 4,
                          .srcHeight = size,
                          .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                          .dstArray = array,
                          .WidthInBytes = size * 4,
                          .Height = size,
                          .Depth = slices};
    REQUIRE(cuMemcpy3D(&copy));
    return array;
}

static CUDA_TEXTURE_DESC sampling(CUaddress_mode mode, CUfilter_mode filter, unsigned flags)
{
    return (CUDA_TEXTURE_DESC){.addressMode = {mode, mode, mode},
                               .filterMode = filter,
                               .mipmapFilterMode = filter,
                               .flags = flags,
                               .maxMipmapLevelClamp = 8};
}

static CUtexObject of_array(CUarray array, const CUDA_TEXTURE_DESC *desc)
{
    CUtexObject object;
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};
    REQUIRE(cuTexObjectCreate(&object, &resource, desc, NULL));
    return object;
}

static void check_buffer(void)
{
    struct point data[4] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}, {13, 14, 15, 16}};
    CUdeviceptr memory;
    REQUIRE(cuMemAlloc(&memory, sizeof data));
    REQUIRE(cuMemcpyHtoD(memory, data, sizeof data));
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR,
                                   .res.linear = {memory, CU_AD_FORMAT_FLOAT, 4, sizeof data}};
    CUDA_TEXTURE_DESC desc = sampling(CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, 0);
    CUtexObject object;
    REQUIRE(cuTexObjectCreate(&object, &resource, &desc, NULL));
    const struct point at[] = {{.x = 0}, {.x = 3}, {.x = 4}, {.x = -1}};
    const struct point wanted[] = {data[0], data[3], {0}, {0}};
    expect("buffer", object, at, wanted, 4);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuMemFree(memory));
}

static void check_plane(void)
{
    CUarray array = make_ramp(0, CUDA_ARRAY3D_TEXTURE_GATHER, SIZE);
    CUDA_TEXTURE_DESC linear = sampling(CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_LINEAR, 0);
    CUtexObject object = of_array(array, &linear);
    const struct point at[] = {{3.25f, 2.5f, 0, 1}, {0, 0, 3, 9}, {99, 15.75f, 1, 2}};
    const struct point wanted[] = {{34.75f, 34.75f, 34.75f, 0}, {0}, {255, 255, 255, 0}};
    expect("plane", object, at, wanted, 3);
    const struct point gathered[] = {{16, 17, 1, 0}};
    expect("gather", object, (struct point[]){{1, 1, 0, 0}}, gathered, 1);
    REQUIRE(cuTexObjectDestroy(object));
    CUDA_TEXTURE_DESC wrapped =
        sampling(CU_TR_ADDRESS_MODE_WRAP, CU_TR_FILTER_MODE_POINT, CU_TRSF_NORMALIZED_COORDINATES);
    object = of_array(array, &wrapped);
    const struct point around[] = {{1.1f, -0.1f, 0, 0}};
    expect("plane", object, around, (struct point[]){{1 + 16 * 14, 225, 225, 0}}, 1);
    REQUIRE(cuTexObjectDestroy(object));
    CUDA_TEXTURE_DESC border = sampling(CU_TR_ADDRESS_MODE_BORDER, CU_TR_FILTER_MODE_POINT, 0);
    border.borderColor[0] = 7;
    object = of_array(array, &border);
    expect("plane", object, (struct point[]){{-1, 3, 0, 0}}, (struct point[]){{7, 7, 7, 0}}, 1);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuArrayDestroy(array));
}

static void check_bytes(void)
{
    static const unsigned char texels[2][2][4] = {{{0, 51, 102, 255}, {255, 0, 0, 0}},
                                                  {{0, 0, 0, 0}, {51, 51, 51, 51}}};
    CUarray array;
    CUDA_ARRAY_DESCRIPTOR desc = {
        .Width = 2, .Height = 2, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 4};
    REQUIRE(cuArrayCreate(&array, &desc));
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = texels,
                          .srcPitch = 8,
                          .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                          .dstArray = array,
                          .WidthInBytes = 8,
                          .Height = 2};
    REQUIRE(cuMemcpy2D(&copy));
    CUDA_TEXTURE_DESC linear = sampling(CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_LINEAR, 0);
    CUtexObject object = of_array(array, &linear);
    const struct point at[] = {{0.5f, 0.5f, 0, 0}, {1, 0.5f, 0, 0}, {5, 5, 0, 0}};
    const struct point wanted[] = {
        {0, 0.2f, 0.4f, 1}, {0.5f, 0.1f, 0.2f, 0.5f}, {0.2f, 0.2f, 0.2f, 0.2f}};
    expect("bytes", object, at, wanted, 3);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuArrayDestroy(array));
}

static void check_deep(void)
{
    CUDA_TEXTURE_DESC linear = sampling(CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_LINEAR, 0);
    CUarray array = make_ramp(8, 0, SIZE);
    CUtexObject object = of_array(array, &linear);
    expect("volume", object, (struct point[]){{3.25f, 2.5f, 4.75f, 0}, {1.5f, 0, 50, 0}},
           (struct point[]){{2.75f + 32 + 256 * 4.25f}, {1 + 256 * 7}}, 2);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuArrayDestroy(array));
    array = make_ramp(5, CUDA_ARRAY3D_LAYERED, SIZE);
    object = of_array(array, &linear);
    expect("layers", object, (struct point[]){{3.25f, 2.5f, 3, 0}, {0, 0, 9, 0}},
           (struct point[]){{34.75f + 768}, {1024}}, 2);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuArrayDestroy(array));
}

/* Each face is its number times 256 at its first texel. */
static void check_cubes(void)
{
    CUDA_TEXTURE_DESC nearest =
        sampling(CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, CU_TRSF_NORMALIZED_COORDINATES);
    const struct point at[] = {{1, 0.95f, 0.95f, 0},   {-1, 0.95f, -0.95f, 1},
                               {-0.95f, 1, -0.95f, 0}, {-0.95f, -1, 0.95f, 1},
                               {-0.95f, 0.95f, 1, 0},  {0.95f, 0.95f, -1, 7}};
    const struct point wanted[] = {{0}, {256}, {512}, {768}, {1024}, {1280}};
    CUarray array = make_ramp(6, CUDA_ARRAY3D_CUBEMAP, SIZE);
    CUtexObject object = of_array(array, &nearest);
    expect("cube", object, at, wanted, 6);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuArrayDestroy(array));
    const struct point second[] = {{0}, {256 * 7}, {512}, {256 * 9}, {1024}, {256 * 11}};
    array = make_ramp(12, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED, SIZE);
    object = of_array(array, &nearest);
    expect("cube_layers", object, at, second, 6);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuArrayDestroy(array));
}

/* Level n of the mipmap is 1000 n everywhere. */
static void check_mipmap(void)
{
    CUmipmappedArray mipmap;
    CUDA_ARRAY3D_DESCRIPTOR desc = {
        .Width = SIZE, .Height = SIZE, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    REQUIRE(cuMipmappedArrayCreate(&mipmap, &desc, 4));
    for (unsigned level = 0; level < 4; level++) {
        float texels[SIZE * SIZE];
        unsigned size = SIZE >> level;
        for (unsigned i = 0; i < size * size; i++)
            texels[i] = 1000 * (float)level;
        CUarray array;
        REQUIRE(cuMipmappedArrayGetLevel(&array, mipmap, level));
        CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                              .srcHost = texels,
                              .srcPitch = size * 4,
                              .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                              .dstArray = array,
                              .WidthInBytes = size * 4,
                              .Height = size};
        REQUIRE(cuMemcpy2D(&copy));
    }
    CUDA_TEXTURE_DESC linear =
        sampling(CU_TR_ADDRESS_MODE_WRAP, CU_TR_FILTER_MODE_LINEAR, CU_TRSF_NORMALIZED_COORDINATES);
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY,
                                   .res.mipmap.hMipmappedArray = mipmap};
    CUtexObject object;
    REQUIRE(cuTexObjectCreate(&object, &resource, &linear, NULL));
    const struct point at[] = {{0.3f, 0.7f, 1.5f, 4.0f / SIZE}, {0.3f, 0.7f, 9, 1.0f / SIZE}};
    expect("plane", object, at, (struct point[]){{0, 1500, 2000, 0}, {0, 3000, 0, 0}}, 2);
    REQUIRE(cuTexObjectDestroy(object));
    REQUIRE(cuMipmappedArrayDestroy(mipmap));
}

static CUsurfObject of_surface(CUarray array)
{
    CUsurfObject object;
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = array};
    REQUIRE(cuSurfObjectCreate(&object, &resource));
    return object;
}

static void check_surface(void)
{
    CUarray array = make_ramp(0, CUDA_ARRAY3D_SURFACE_LDST, SIZE);
    CUsurfObject object = of_surface(array);
    const struct point at[] = {{3, 2, -5, 0}, {16, 2, -6, 0}, {-1, -1, -7, 0}, {4, 40, -8, 0}};
    const struct point wanted[] = {{35, 35, -5, 0}, {0, 47, 0, 0}, {0, 0, 0, 0}, {0, 244, 0, 0}};
    expect("surface", object, at, wanted, 4);
    expect("surface", object, at, (struct point[]){{-5, -5, -5, 0}}, 1);
    REQUIRE(cuSurfObjectDestroy(object));
    REQUIRE(cuArrayDestroy(array));
}

/* The last one: it ends the context. */
static void check_trap(void)
{
    struct point out[POINTS];
    CUarray array = make_ramp(0, CUDA_ARRAY3D_SURFACE_LDST, SIZE);
    CUsurfObject object = of_surface(array);
    CUresult result = launch("trapping", object, (struct point[]){{2, 2, 0, 0}}, 1, out);
    CUresult outside = launch("trapping", object, (struct point[]){{2, 16, 0, 0}}, 1, out);
    if (result != CUDA_SUCCESS || outside != CUDA_ERROR_ILLEGAL_ADDRESS) {
        printf("a write inside gives %d, one outside %d\n", result, outside);
        failures++;
    }
}

int main(void)
{
    CUdevice device;
    CUcontext context;
    if (compile_unavailable()) {
        printf("%s\n", compile_unavailable());
        return 77;
    }
    REQUIRE(cuInit(0));
    REQUIRE(cuDeviceGet(&device, 0));
    REQUIRE(cuDevicePrimaryCtxRetain(&context, device));
    REQUIRE(cuCtxSetCurrent(context));
    char *ptx = compile_kernels("textures", 75);
    if (!ptx)
        return 1;
    REQUIRE(cuModuleLoadData(&module, ptx));
    free(ptx);
    REQUIRE(cuMemAlloc(&points_memory, POINTS * sizeof(struct point)));
    REQUIRE(cuMemAlloc(&results_memory, POINTS * sizeof(struct point)));
    check_buffer();
    check_plane();
    check_bytes();
    check_deep();
    check_cubes();
    check_mipmap();
    check_surface();
    check_trap();
    printf("%d failures\n", failures);
    return failures != 0;
}

/* Texture and surface objects: what CUDA forbids of them is refused, what they were made from they
 * tell, and they end with their context. What breaks it: a description that is accepted against the
 * rules, or a handle that outlives its object. */
#include "model.h"

#define F(name) CU_AD_FORMAT_##name

static CUDA_RESOURCE_DESC linear(CUdeviceptr address, CUarray_format format, unsigned int channels,
                                 size_t bytes)
{
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR};
    resource.res.linear.devPtr = address;
    resource.res.linear.format = format;
    resource.res.linear.numChannels = channels;
    resource.res.linear.sizeInBytes = bytes;
    return resource;
}

static CUDA_RESOURCE_DESC pitched(CUdeviceptr address, size_t width, size_t height, size_t pitch)
{
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_PITCH2D};
    resource.res.pitch2D.devPtr = address;
    resource.res.pitch2D.format = F(UNSIGNED_INT8);
    resource.res.pitch2D.numChannels = 4;
    resource.res.pitch2D.width = width;
    resource.res.pitch2D.height = height;
    resource.res.pitch2D.pitchInBytes = pitch;
    return resource;
}

static CUDA_RESOURCE_DESC of_array(CUarray array)
{
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
    resource.res.array.hArray = array;
    return resource;
}

static CUresult try_texture(const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *texture,
                            const CUDA_RESOURCE_VIEW_DESC *view)
{
    CUtexObject object;
    CUresult result = cuTexObjectCreate(&object, resource, texture, view);
    if (result == CUDA_SUCCESS)
        DO(cuTexObjectDestroy(object));
    return result;
}

static CUarray make(CUarray_format format, unsigned int channels, unsigned int flags)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = {32, 32, 0, format, channels, flags};
    CUarray array;
    DO(cuArray3DCreate(&array, &shape));
    return array;
}

static void memory(CUdeviceptr address)
{
    CUDA_TEXTURE_DESC plain = {0};
    CUDA_RESOURCE_DESC resource = linear(address, F(FLOAT), 4, 4096);
    DO(try_texture(&resource, &plain, NULL));
    resource.flags = 1;
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = linear(address + 16, F(FLOAT), 4, 4096);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = linear(address, F(FLOAT), 3, 4096);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = linear(address, F(FLOAT), 4, 15);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = linear(address, F(UNSIGNED_INT8), 1, ((size_t)1 << 28) + 1);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = linear(0, F(FLOAT), 4, 4096);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = pitched(address, 16, 16, 64);
    DO(try_texture(&resource, &plain, NULL));
    resource = pitched(address, 17, 16, 64);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = pitched(address, 8, 16, 48);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = pitched(address + 32, 16, 16, 64);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource = pitched(address, 16, 65001, 64);
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
    resource.resType = (CUresourcetype)9;
    EXPECT(try_texture(&resource, &plain, NULL), CUDA_ERROR_INVALID_VALUE);
}

struct filter_case {
    CUarray_format format;
    unsigned int flags;
    CUresult result;
};

/* With a linear filter. */
static const struct filter_case filter_cases[] = {
    {F(FLOAT), 0, CUDA_SUCCESS},
    {F(HALF), CU_TRSF_READ_AS_INTEGER, CUDA_SUCCESS},
    {F(UNSIGNED_INT8), 0, CUDA_SUCCESS},
    {F(UNSIGNED_INT8), CU_TRSF_READ_AS_INTEGER, CUDA_ERROR_INVALID_VALUE},
    {F(SIGNED_INT16), 0, CUDA_SUCCESS},
    {F(SIGNED_INT32), 0, CUDA_ERROR_INVALID_VALUE},
    {F(UNSIGNED_INT32), CU_TRSF_READ_AS_INTEGER, CUDA_ERROR_INVALID_VALUE},
    {F(FLOAT), 1u << 12, CUDA_ERROR_INVALID_VALUE},
};

static void filters(CUdeviceptr address)
{
    for (size_t i = 0; i < COUNT_OF(filter_cases); i++) {
        CUarray array = make(filter_cases[i].format, 1, 0);
        CUDA_RESOURCE_DESC resource = of_array(array);
        CUDA_TEXTURE_DESC texture = {.filterMode = CU_TR_FILTER_MODE_LINEAR,
                                     .flags = filter_cases[i].flags};
        EXPECT(try_texture(&resource, &texture, NULL), filter_cases[i].result);
        DO(cuArrayDestroy(array));
    }
    /* Linear memory is never filtered, whatever is asked for. */
    CUDA_RESOURCE_DESC resource = linear(address, F(SIGNED_INT32), 1, 64);
    CUDA_TEXTURE_DESC texture = {.filterMode = CU_TR_FILTER_MODE_LINEAR};
    DO(try_texture(&resource, &texture, NULL));
    texture.addressMode[2] = (CUaddress_mode)4;
    EXPECT(try_texture(&resource, &texture, NULL), CUDA_ERROR_INVALID_VALUE);
}

static void views(CUdeviceptr address)
{
    CUarray array = make(F(UNSIGNED_INT8), 4, 0);
    CUDA_RESOURCE_DESC resource = of_array(array), flat = linear(address, F(FLOAT), 1, 64);
    CUDA_TEXTURE_DESC texture = {0};
    CUDA_RESOURCE_VIEW_DESC view = {
        .format = CU_RES_VIEW_FORMAT_FLOAT_1X32, .width = 32, .height = 32};
    DO(try_texture(&resource, &texture, &view));
    EXPECT(try_texture(&flat, &texture, &view), CUDA_ERROR_INVALID_VALUE);
    view.format = CU_RES_VIEW_FORMAT_UINT_1X16;
    EXPECT(try_texture(&resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
    view.format = CU_RES_VIEW_FORMAT_UNSIGNED_BC1;
    EXPECT(try_texture(&resource, &texture, &view), CUDA_ERROR_NOT_SUPPORTED);
    view.format = CU_RES_VIEW_FORMAT_NONE;
    DO(try_texture(&resource, &texture, &view));
    view.lastMipmapLevel = 1;
    EXPECT(try_texture(&resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
    view.lastMipmapLevel = 0;
    view.lastLayer = 1;
    EXPECT(try_texture(&resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
    view.lastLayer = 0;
    view.width = 16;
    EXPECT(try_texture(&resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
    DO(cuArrayDestroy(array));
    EXPECT(try_texture(&resource, &texture, NULL), CUDA_ERROR_INVALID_HANDLE);
}

static void answers(void)
{
    CUarray array = make(F(HALF), 2, CUDA_ARRAY3D_SURFACE_LDST), plain = make(F(HALF), 2, 0);
    CUDA_RESOURCE_DESC resource = of_array(array), unstorable = of_array(plain), told;
    CUDA_TEXTURE_DESC texture = {.addressMode = {CU_TR_ADDRESS_MODE_WRAP}, .maxAnisotropy = 3}, got;
    CUDA_RESOURCE_VIEW_DESC view = {.width = 32, .height = 32}, seen;
    CUtexObject object, viewed;
    CUsurfObject surface;
    DO(cuTexObjectCreate(&object, &resource, &texture, NULL));
    DO(cuTexObjectCreate(&viewed, &resource, &texture, &view));
    TRUE(object != viewed && object && viewed);
    DO(cuTexObjectGetResourceDesc(&told, object));
    TRUE(told.resType == CU_RESOURCE_TYPE_ARRAY && told.res.array.hArray == array);
    DO(cuTexObjectGetTextureDesc(&got, object));
    TRUE(memcmp(&got, &texture, sizeof(got)) == 0);
    EXPECT(cuTexObjectGetResourceViewDesc(&seen, object), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexObjectGetResourceViewDesc(&seen, viewed));
    TRUE(seen.width == 32);
    EXPECT(cuSurfObjectCreate(&surface, &unstorable), CUDA_ERROR_INVALID_VALUE);
    DO(cuSurfObjectCreate(&surface, &resource));
    DO(cuSurfObjectGetResourceDesc(&told, surface));
    TRUE(told.res.array.hArray == array);
    EXPECT(cuTexObjectDestroy(surface), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuSurfObjectDestroy(object), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuTexObjectGetTextureDesc(&got, surface), CUDA_ERROR_INVALID_VALUE);
    DO(cuSurfObjectDestroy(surface));
    DO(cuTexObjectDestroy(object));
    DO(cuTexObjectDestroy(viewed));
    EXPECT(cuTexObjectDestroy(object), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuTexObjectGetTextureDesc(&got, object), CUDA_ERROR_INVALID_VALUE);
    DO(cuArrayDestroy(array));
    DO(cuArrayDestroy(plain));
}

/* A place in the table is used again, its handle is not. */
static void ends(const struct program *program, CUdeviceptr address)
{
    CUDA_RESOURCE_DESC resource = linear(address, F(FLOAT), 1, 64);
    CUDA_TEXTURE_DESC texture = {0}, got;
    CUtexObject first, second;
    CUcontext other;
    DO(cuCtxCreate(&other, NULL, 0, program->device));
    DO(cuTexObjectCreate(&first, &resource, &texture, NULL));
    DO(cuCtxDestroy(other));
    DO(cuCtxSetCurrent(program->context));
    EXPECT(cuTexObjectGetTextureDesc(&got, first), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexObjectCreate(&second, &resource, &texture, NULL));
    TRUE(first != second);
    EXPECT(cuTexObjectDestroy(first), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexObjectDestroy(second));
}

int main(void)
{
    struct program program = program_start();
    CUdeviceptr address;
    size_t texels;
    DO(cuMemAlloc(&address, 1 << 20));
    memory(address);
    filters(address);
    views(address);
    answers();
    ends(&program, address);
    DO(cuDeviceGetTexture1DLinearMaxWidth(&texels, F(FLOAT), 4, program.device));
    TRUE(texels == (size_t)1 << 28);
    DO(cuMemFree(address));
    return 0;
}

/* Kernels that read and write arrays through texture and surface objects and references, end to
 * end. What breaks it: a description of an image that points elsewhere than the copies do, a
 * reference whose variable device code does not find, a binding that changes under a launch. */
#include "model.h"

#define WIDTH 20u
#define HEIGHT 12u
#define TEXELS (WIDTH * HEIGHT)

/* What each kernel begins and ends with: %d1 is the address of out's word for the thread. */
#define BEGIN                                                                            \
    "{\n  .reg .u64 %d<4>;\n  .reg .u32 %r<12>;\n  .reg .f32 %f<2>;\n  .reg .pred %p;\n" \
    "  mov.u32 %r0, %tid.x;\n  mov.u32 %r1, %tid.y;\n  mov.u32 %r2, %ntid.x;\n"          \
    "  mad.lo.u32 %r3, %r1, %r2, %r0;\n  ld.param.u64 %d0, [out];\n"                     \
    "  mul.wide.u32 %d1, %r3, 4;\n  add.u64 %d1, %d0, %d1;\n"
#define END "  st.global.u32 [%d1], %r4;\n  ret;\n}\n"

/* One block of WIDTH × HEIGHT threads; out[y * WIDTH + x] = what the thread read.
 * flat: a texture of words at (x, y).  level: its mipmap level 1 at (0.25, 0.75).
 * run: linear words at y * WIDTH + x.  bound: the module's own texture at (x, y), after *flag is
 * not 0.  store, stored: writes a word to the surface at (x, y). */
static const char *const textures_ptx =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".global .texref image;\n.global .surfref board;\n"
    ".visible .entry flat(.param .u64 out, .param .u64 handle)\n" BEGIN
    "  ld.param.u64 %d2, [handle];\n"
    "  tex.2d.v4.u32.s32 {%r4, %r5, %r6, %r7}, [%d2, {%r0, %r1}];\n" END
    ".visible .entry level(.param .u64 out, .param .u64 handle)\n" BEGIN
    "  ld.param.u64 %d2, [handle];\n  mov.f32 %f0, 0f3E800000;\n  mov.f32 %f1, 0f3F400000;\n"
    "  tex.level.2d.v4.u32.f32 {%r4, %r5, %r6, %r7}, [%d2, {%f0, %f1}], 0f3F800000;\n" END
    ".visible .entry run(.param .u64 out, .param .u64 handle)\n" BEGIN
    "  ld.param.u64 %d2, [handle];\n"
    "  tex.1d.v4.u32.s32 {%r4, %r5, %r6, %r7}, [%d2, {%r3}];\n" END
    ".visible .entry bound(.param .u64 out, .param .u64 flag)\n" BEGIN
    "  ld.param.u64 %d2, [flag];\n"
    "again:\n  ld.volatile.u32 %r8, [%d2];\n  setp.eq.u32 %p, %r8, 0;\n  @%p bra again;\n"
    "  tex.2d.v4.u32.s32 {%r4, %r5, %r6, %r7}, [image, {%r0, %r1}];\n" END
    ".visible .entry store(.param .u64 out, .param .u64 handle)\n" BEGIN
    "  ld.param.u64 %d2, [handle];\n  ld.global.u32 %r4, [%d1];\n  shl.b32 %r9, %r0, 2;\n"
    "  sust.b.2d.b32.trap [%d2, {%r9, %r1}], {%r4};\n  ret;\n}\n"
    ".visible .entry stored(.param .u64 out, .param .u64 handle)\n" BEGIN
    "  ld.global.u32 %r4, [%d1];\n  shl.b32 %r9, %r0, 2;\n"
    "  sust.b.2d.b32.trap [board, {%r9, %r1}], {%r4};\n  ret;\n}\n";

static CUmodule module;
static CUdeviceptr out;
static unsigned int got[TEXELS];

static void start(const char *kernel, unsigned long long argument, CUstream stream)
{
    CUfunction function;
    void *params[] = {&out, &argument};
    DO(cuModuleGetFunction(&function, module, kernel));
    DO(cuLaunchKernel(function, 1, 1, 1, WIDTH, HEIGHT, 1, 0, stream, params, NULL));
}

static void expect_words(unsigned int first)
{
    DO(cuMemcpyDtoH(got, out, sizeof(got)));
    for (unsigned int i = 0; i < TEXELS; i++)
        TRUE(got[i] == first + i);
}

static CUDA_ARRAY3D_DESCRIPTOR words_of(size_t width, size_t height)
{
    return (CUDA_ARRAY3D_DESCRIPTOR){
        width, height, 0, CU_AD_FORMAT_UNSIGNED_INT32, 1, CUDA_ARRAY3D_SURFACE_LDST};
}

static void fill(CUarray array, unsigned int first)
{
    unsigned int words[TEXELS];
    for (unsigned int i = 0; i < TEXELS; i++)
        words[i] = first + i;
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = words,
                          .srcPitch = WIDTH * 4,
                          .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                          .dstArray = array,
                          .WidthInBytes = WIDTH * 4,
                          .Height = HEIGHT};
    DO(cuMemcpy2D(&copy));
}

static CUarray make(unsigned int first)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = words_of(WIDTH, HEIGHT);
    CUarray array;
    DO(cuArray3DCreate(&array, &shape));
    fill(array, first);
    return array;
}

static CUtexObject texture_of(const CUDA_RESOURCE_DESC *resource, unsigned int flags)
{
    CUDA_TEXTURE_DESC texture = {.flags = flags, .maxMipmapLevelClamp = 16};
    CUtexObject object;
    for (int i = 0; i < 3; i++)
        texture.addressMode[i] = CU_TR_ADDRESS_MODE_CLAMP;
    DO(cuTexObjectCreate(&object, resource, &texture, NULL));
    return object;
}

static void objects(void)
{
    CUarray array = make(100);
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
    resource.res.array.hArray = array;
    CUtexObject object = texture_of(&resource, CU_TRSF_READ_AS_INTEGER);
    start("flat", object, NULL);
    expect_words(100);
    fill(array, 500);
    start("flat", object, NULL);
    expect_words(500);
    DO(cuTexObjectDestroy(object));
    DO(cuArrayDestroy(array));
}

static void linear(void)
{
    CUdeviceptr memory;
    unsigned int words[TEXELS];
    DO(cuMemAlloc(&memory, 65536));
    for (unsigned int i = 0; i < TEXELS; i++)
        words[i] = 7 + i;
    DO(cuMemcpyHtoD(memory + 512, words, sizeof(words)));
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR};
    resource.res.linear.devPtr = memory + 512;
    resource.res.linear.format = CU_AD_FORMAT_UNSIGNED_INT32;
    resource.res.linear.numChannels = 1;
    resource.res.linear.sizeInBytes = sizeof(words);
    CUtexObject object = texture_of(&resource, CU_TRSF_READ_AS_INTEGER);
    start("run", object, NULL);
    expect_words(7);
    DO(cuTexObjectDestroy(object));
    resource = (CUDA_RESOURCE_DESC){.resType = CU_RESOURCE_TYPE_PITCH2D};
    resource.res.pitch2D.devPtr = memory + 512;
    resource.res.pitch2D.format = CU_AD_FORMAT_UNSIGNED_INT32;
    resource.res.pitch2D.numChannels = 1;
    resource.res.pitch2D.width = WIDTH;
    resource.res.pitch2D.height = HEIGHT;
    resource.res.pitch2D.pitchInBytes = 96;
    for (unsigned int y = 0; y < HEIGHT; y++)
        DO(cuMemcpyHtoD(memory + 512 + y * 96, words + y * WIDTH, WIDTH * 4));
    object = texture_of(&resource, CU_TRSF_READ_AS_INTEGER);
    start("flat", object, NULL);
    expect_words(7);
    DO(cuTexObjectDestroy(object));
    DO(cuMemFree(memory));
}

/* Level 1 of 4 × 4 words has 2 × 2: (0.25, 0.75) is its texel (0, 1). */
static void mipmaps(void)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = words_of(4, 4);
    CUmipmappedArray mipmap;
    CUarray level;
    unsigned int words[] = {11, 22, 33, 44};
    DO(cuMipmappedArrayCreate(&mipmap, &shape, 3));
    DO(cuMipmappedArrayGetLevel(&level, mipmap, 1));
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = words,
                          .srcPitch = 8,
                          .dstMemoryType = CU_MEMORYTYPE_ARRAY,
                          .dstArray = level,
                          .WidthInBytes = 8,
                          .Height = 2};
    DO(cuMemcpy2D(&copy));
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY};
    resource.res.mipmap.hMipmappedArray = mipmap;
    CUtexObject object =
        texture_of(&resource, CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES);
    start("level", object, NULL);
    DO(cuMemcpyDtoH(got, out, sizeof(got)));
    TRUE(got[0] == 33 && got[TEXELS - 1] == 33);
    DO(cuTexObjectDestroy(object));
    DO(cuMipmappedArrayDestroy(mipmap));
}

/* A kernel that was launched reads what was bound at its launch, however late it gets there: it is
 * let go by the stream's own callback, while the program already binds another array. */
static void CUDA_CB let_go(void *flag)
{
    __atomic_store_n((unsigned int *)flag, 1, __ATOMIC_SEQ_CST);
}

static void references(void)
{
    CUarray first = make(1000), second = make(2000);
    CUtexref image;
    CUstream stream, other;
    unsigned int *flag;
    CUdeviceptr address;
    DO(cuMemHostAlloc((void **)&flag, 4, CU_MEMHOSTALLOC_DEVICEMAP));
    DO(cuMemHostGetDevicePointer(&address, flag, 0));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    DO(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    DO(cuModuleGetTexRef(&image, module, "image"));
    DO(cuTexRefSetFlags(image, CU_TRSF_READ_AS_INTEGER));
    DO(cuTexRefSetArray(image, first, CU_TRSA_OVERRIDE_FORMAT));
    *flag = 0;
    start("bound", address, stream);
    DO(cuLaunchHostFunc(other, let_go, flag));
    DO(cuTexRefSetArray(image, second, CU_TRSA_OVERRIDE_FORMAT));
    DO(cuStreamSynchronize(stream));
    expect_words(1000);
    start("bound", address, stream);
    DO(cuStreamSynchronize(stream));
    expect_words(2000);
    DO(cuStreamDestroy(stream));
    DO(cuStreamDestroy(other));
    DO(cuMemFreeHost(flag));
    DO(cuArrayDestroy(first));
    DO(cuArrayDestroy(second));
}

static void expect_array(CUarray array, unsigned int first)
{
    memset(got, 0, sizeof(got));
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_ARRAY,
                          .srcArray = array,
                          .dstMemoryType = CU_MEMORYTYPE_HOST,
                          .dstHost = got,
                          .dstPitch = WIDTH * 4,
                          .WidthInBytes = WIDTH * 4,
                          .Height = HEIGHT};
    DO(cuMemcpy2D(&copy));
    for (unsigned int i = 0; i < TEXELS; i++)
        TRUE(got[i] == first + i);
}

/* What a surface stores, the copies see. */
static void surfaces(void)
{
    CUarray array = make(0), other = make(0);
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY};
    CUsurfObject surface;
    CUsurfref board;
    resource.res.array.hArray = array;
    for (unsigned int i = 0; i < TEXELS; i++)
        got[i] = 70000 + i;
    DO(cuMemcpyHtoD(out, got, sizeof(got)));
    DO(cuSurfObjectCreate(&surface, &resource));
    start("store", surface, NULL);
    expect_array(array, 70000);
    expect_array(other, 0);
    DO(cuModuleGetSurfRef(&board, module, "board"));
    DO(cuSurfRefSetArray(board, other, 0));
    start("stored", 0, NULL);
    expect_array(other, 70000);
    DO(cuSurfObjectDestroy(surface));
    DO(cuArrayDestroy(array));
    DO(cuArrayDestroy(other));
}

int main(void)
{
    program_start();
    DO(cuModuleLoadData(&module, textures_ptx));
    DO(cuMemAlloc(&out, sizeof(got)));
    objects();
    linear();
    mipmaps();
    references();
    surfaces();
    DO(cuMemFree(out));
    return 0;
}

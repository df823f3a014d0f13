/* Texture and surface references, and their variables in a module: what a program sets it is told
 * again, and device code finds a handle exactly while something usable is bound. What breaks it: a
 * setting that is lost or accepted out of range, a variable that keeps the handle of what is gone.
 */
#include "model.h"

static const char *const references_ptx =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".global .texref image;\n.global .surfref board;\n.global .u32 word;\n";

static CUarray make_array(unsigned int flags, CUarray_format format)
{
    CUDA_ARRAY3D_DESCRIPTOR shape = {
        .Width = 32, .Height = 16, .Format = format, .NumChannels = 4, .Flags = flags};
    CUarray array;
    DO(cuArray3DCreate(&array, &shape));
    return array;
}

static void settings(CUtexref image)
{
    float border[4] = {1, 2, 3, 4}, got[4], least, most;
    CUarray_format format;
    CUaddress_mode mode;
    CUfilter_mode filter;
    unsigned int flags;
    int channels, anisotropy;
    DO(cuTexRefSetFormat(image, CU_AD_FORMAT_SIGNED_INT16, 2));
    DO(cuTexRefGetFormat(&format, &channels, image));
    TRUE(format == CU_AD_FORMAT_SIGNED_INT16 && channels == 2);
    EXPECT(cuTexRefSetFormat(image, CU_AD_FORMAT_FLOAT, 3), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefSetAddressMode(image, 1, CU_TR_ADDRESS_MODE_MIRROR));
    DO(cuTexRefGetAddressMode(&mode, image, 1));
    TRUE(mode == CU_TR_ADDRESS_MODE_MIRROR);
    DO(cuTexRefGetAddressMode(&mode, image, 0));
    TRUE(mode == CU_TR_ADDRESS_MODE_CLAMP);
    EXPECT(cuTexRefSetAddressMode(image, 3, CU_TR_ADDRESS_MODE_WRAP), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefSetFilterMode(image, CU_TR_FILTER_MODE_LINEAR));
    DO(cuTexRefGetFilterMode(&filter, image));
    TRUE(filter == CU_TR_FILTER_MODE_LINEAR);
    DO(cuTexRefSetMipmapFilterMode(image, CU_TR_FILTER_MODE_LINEAR));
    DO(cuTexRefGetMipmapFilterMode(&filter, image));
    TRUE(filter == CU_TR_FILTER_MODE_LINEAR);
    DO(cuTexRefSetMipmapLevelBias(image, 0.5f));
    DO(cuTexRefGetMipmapLevelBias(got, image));
    TRUE(got[0] == 0.5f);
    DO(cuTexRefSetMipmapLevelClamp(image, 1.0f, 2.0f));
    DO(cuTexRefGetMipmapLevelClamp(&least, &most, image));
    TRUE(least == 1.0f && most == 2.0f);
    DO(cuTexRefSetMaxAnisotropy(image, 8));
    DO(cuTexRefGetMaxAnisotropy(&anisotropy, image));
    TRUE(anisotropy == 8);
    EXPECT(cuTexRefSetMaxAnisotropy(image, 17), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefSetBorderColor(image, border));
    DO(cuTexRefGetBorderColor(got, image));
    TRUE(memcmp(got, border, sizeof(border)) == 0);
    DO(cuTexRefSetFlags(image, CU_TRSF_NORMALIZED_COORDINATES));
    DO(cuTexRefGetFlags(&flags, image));
    TRUE(flags == CU_TRSF_NORMALIZED_COORDINATES);
    EXPECT(cuTexRefSetFlags(image, 1u << 20), CUDA_ERROR_INVALID_VALUE);
}

static void linear(CUtexref image)
{
    CUdeviceptr memory, told;
    size_t offset = 99;
    CUarray array;
    DO(cuMemAlloc(&memory, 65536));
    EXPECT(cuTexRefGetAddress(&told, image), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefSetFormat(image, CU_AD_FORMAT_FLOAT, 1));
    DO(cuTexRefSetAddress(&offset, image, memory, 4096));
    TRUE(offset == 0);
    DO(cuTexRefGetAddress(&told, image));
    TRUE(told == memory);
    EXPECT(cuTexRefGetArray(&array, image), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefSetAddress(&offset, image, memory + 516, 1024));
    TRUE(offset == 4);
    EXPECT(cuTexRefSetAddress(NULL, image, memory + 516, 1024), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuTexRefSetAddress(&offset, image, memory, (size_t)1 << 40), CUDA_ERROR_INVALID_VALUE);
    CUDA_ARRAY_DESCRIPTOR shape = {
        .Width = 16, .Height = 16, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 4};
    DO(cuTexRefSetAddress2D(image, &shape, memory, 64));
    EXPECT(cuTexRefSetAddress2D(image, &shape, memory, 65), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuTexRefSetAddress2D(image, &shape, memory + 4, 64), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuTexRefSetAddress2D(image, &shape, memory, 32), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefSetAddress(NULL, image, 0, 0));
    EXPECT(cuTexRefGetAddress(&told, image), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFree(memory));
}

static void arrays(CUtexref image, CUsurfref board)
{
    CUarray array = make_array(CUDA_ARRAY3D_SURFACE_LDST, CU_AD_FORMAT_HALF), told;
    CUarray plain = make_array(0, CU_AD_FORMAT_HALF);
    CUmipmappedArray mipmap, told_mipmap;
    CUDA_ARRAY3D_DESCRIPTOR shape = {
        .Width = 32, .Height = 16, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    CUarray_format format;
    int channels;
    DO(cuTexRefSetArray(image, array, CU_TRSA_OVERRIDE_FORMAT));
    EXPECT(cuTexRefSetArray(image, array, 0), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefGetArray(&told, image));
    TRUE(told == array);
    DO(cuTexRefGetFormat(&format, &channels, image));
    TRUE(format == CU_AD_FORMAT_HALF && channels == 4);
    DO(cuMipmappedArrayCreate(&mipmap, &shape, 3));
    DO(cuTexRefSetMipmappedArray(image, mipmap, CU_TRSA_OVERRIDE_FORMAT));
    DO(cuTexRefGetMipmappedArray(&told_mipmap, image));
    TRUE(told_mipmap == mipmap);
    EXPECT(cuTexRefGetArray(&told, image), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuSurfRefGetArray(&told, board), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuSurfRefSetArray(board, plain, 0), CUDA_ERROR_INVALID_VALUE);
    DO(cuSurfRefSetArray(board, array, 0));
    EXPECT(cuSurfRefSetArray(board, array, 1), CUDA_ERROR_INVALID_VALUE);
    DO(cuSurfRefGetArray(&told, board));
    TRUE(told == array);
    DO(cuArrayDestroy(array));
    EXPECT(cuTexRefSetArray(image, array, CU_TRSA_OVERRIDE_FORMAT), CUDA_ERROR_INVALID_HANDLE);
    DO(cuArrayDestroy(plain));
    DO(cuMipmappedArrayDestroy(mipmap));
}

static void handles(CUmodule module, CUtexref image)
{
    CUtexref again, own;
    CUsurfref board;
    CUdeviceptr address;
    size_t bytes;
    DO(cuModuleGetTexRef(&again, module, "image"));
    TRUE(again == image);
    EXPECT(cuModuleGetTexRef(&again, module, "board"), CUDA_ERROR_NOT_FOUND);
    EXPECT(cuModuleGetTexRef(&again, module, "word"), CUDA_ERROR_NOT_FOUND);
    EXPECT(cuModuleGetSurfRef(&board, module, "image"), CUDA_ERROR_NOT_FOUND);
    EXPECT(cuModuleGetGlobal(&address, &bytes, module, "image"), CUDA_ERROR_NOT_FOUND);
    DO(cuModuleGetGlobal(&address, &bytes, module, "word"));
    EXPECT(cuTexRefDestroy(image), CUDA_ERROR_INVALID_VALUE);
    DO(cuTexRefCreate(&own));
    settings(own);
    DO(cuTexRefDestroy(own));
    EXPECT(cuTexRefDestroy(own), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuTexRefSetFlags(own, 0), CUDA_ERROR_INVALID_HANDLE);
}

int main(void)
{
    CUmodule module;
    CUtexref image;
    CUsurfref board;
    unsigned int flags;
    size_t before, after, total;
    program_start();
    DO(cuMemGetInfo(&before, &total));
    DO(cuModuleLoadData(&module, references_ptx));
    DO(cuModuleGetTexRef(&image, module, "image"));
    DO(cuModuleGetSurfRef(&board, module, "board"));
    settings(image);
    linear(image);
    arrays(image, board);
    handles(module, image);
    DO(cuModuleUnload(module));
    EXPECT(cuTexRefGetFlags(&flags, image), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuSurfRefSetArray(board, NULL, 0), CUDA_ERROR_INVALID_HANDLE);
    DO(cuMemGetInfo(&after, &total));
    TRUE(before == after);
    return 0;
}

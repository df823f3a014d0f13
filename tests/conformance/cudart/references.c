/* Texture and surface references of CUDA 11, bound in each way and read by a kernel. What would
 * break it: a setting of the program's variable that does not arrive, integers read in the wrong
 * mode, a binding that stays. */
#include "program.h"

static const char ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".global .texref image;\n.global .texref line;\n.global .surfref board;\n"
    ".visible .entry gather(.param .u64 out) {\n"
    " .reg .b64 %d<3>;\n .reg .b32 %r<9>;\n .reg .f32 %f<9>;\n"
    " ld.param.u64 %d0, [out];\n mov.u32 %r0, %tid.x;\n mul.wide.u32 %d1, %r0, 8;\n"
    " add.u64 %d0, %d0, %d1;\n cvt.rn.f32.u32 %f0, %r0;\n add.f32 %f0, %f0, 0f3F000000;\n"
    " mov.f32 %f1, 0f3FC00000;\n"
    " tex.2d.v4.f32.f32 {%f2, %f3, %f4, %f5}, [image, {%f0, %f1}];\n"
    " tex.1d.v4.u32.s32 {%r1, %r2, %r3, %r4}, [line, {%r0}];\n"
    " st.global.f32 [%d0], %f2;\n st.global.u32 [%d0+4], %r1;\n"
    " shl.b32 %r5, %r0, 2;\n mov.u32 %r6, 0;\n add.u32 %r7, %r0, 40;\n"
    " sust.b.2d.b32.trap [board, {%r5, %r6}], {%r7};\n ret;\n}\n";

static const char stub;
static struct textureReference image = {
    .addressMode = {cudaAddressModeClamp, cudaAddressModeClamp, cudaAddressModeClamp}};
static struct textureReference line;
static struct surfaceReference board;

static const struct cudaChannelFormatDesc floats = {32, 0, 0, 0, cudaChannelFormatKindFloat};
static const struct cudaChannelFormatDesc bytes = {8, 0, 0, 0, cudaChannelFormatKindUnsigned};

struct pair {
    float texel;
    uint32_t word;
};

static void gather(struct pair *device, struct pair *out)
{
    dim3 one = {1, 1, 1}, block = {4, 1, 1};
    void *arguments[] = {&device};
    OK(cudaLaunchKernel(&stub, one, block, arguments, 0, NULL));
    OK(cudaMemcpy(out, device, 4 * sizeof(*out), cudaMemcpyDeviceToHost));
}

static void check(const struct pair *out, float first, float step, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        CHECK(out[i].texel == first + step * (float)i && out[i].word == word + (uint32_t)i);
}

int main(void)
{
    float rows[2][4] = {{0, 1, 2, 3}, {10, 11, 12, 13}};
    unsigned char words[16] = {5, 6, 7, 8};
    uint32_t written[4];
    cudaArray_t array, target;
    struct pair *device, out[4];
    void *linear, *pitched;
    size_t offset = 9, pitch;
    const struct textureReference *found;

    void **handle = program_register(ptx);
    program_kernel(handle, &stub, "gather");
    __cudaRegisterTexture(handle, &image, NULL, "image", 2, 0, 0);
    __cudaRegisterTexture(handle, &line, NULL, "line", 1, 0, 0);
    __cudaRegisterSurface(handle, &board, NULL, "board", 2, 0);

    OK(cudaMallocArray(&array, &floats, 4, 2, 0));
    OK(cudaMallocArray(&target, &floats, 4, 1, cudaArraySurfaceLoadStore));
    OK(cudaMemcpy2DToArray(array, 0, 0, rows, 16, 16, 2, cudaMemcpyHostToDevice));
    OK(cudaMalloc(&linear, sizeof(words)));
    OK(cudaMemcpy(linear, words, sizeof(words), cudaMemcpyHostToDevice));
    OK(cudaMalloc((void **)&device, sizeof(out)));

    OK(cudaBindTextureToArray(&image, array, &floats));
    OK(cudaBindTexture(&offset, &line, linear, &bytes, UINT32_MAX));
    CHECK(offset == 0);
    OK(cudaBindSurfaceToArray(&board, target, &floats));
    gather(device, out);
    check(out, 10, 1, 5);
    OK(cudaMemcpy2DFromArray(written, 16, target, 0, 0, 16, 1, cudaMemcpyDeviceToHost));
    for (uint32_t i = 0; i < 4; i++)
        CHECK(written[i] == 40 + i);

    /* The y of 1.5 is behind the only row of what is bound now, and held at its edge. */
    OK(cudaMallocPitch(&pitched, &pitch, 16, 1));
    OK(cudaMemcpy2D(pitched, pitch, rows, 16, 16, 1, cudaMemcpyHostToDevice));
    OK(cudaBindTexture2D(&offset, &image, pitched, &floats, 4, 1, pitch));
    gather(device, out);
    check(out, 0, 1, 5);
    /* Coordinates of 0 to 1: all four are at the right edge or beyond it, but the first. */
    image.normalized = 1;
    OK(cudaBindTexture2D(&offset, &image, pitched, &floats, 4, 1, pitch));
    gather(device, out);
    CHECK(out[0].texel == 2 && out[1].texel == 3 && out[3].texel == 3);

    OK(cudaGetTextureAlignmentOffset(&offset, &line));
    CHECK(offset == 0);
    OK(cudaGetTextureReference(&found, &line));
    CHECK(found == &line);
    OK(cudaUnbindTexture(&line));
    FAILS(cudaBindTexture(&offset, &(struct textureReference){0}, linear, &bytes, 16),
          cudaErrorInvalidTexture);
    FAILS(cudaGetTextureReference(&found, &board), cudaErrorInvalidTexture);
    __cudaUnregisterFatBinary(handle);
    FAILS(cudaUnbindTexture(&line), cudaErrorInvalidTexture);
    return 0;
}

/* Fetches whose results follow by hand from the CUDA programming guide's appendix on fetching:
 * Breaks where address modes, fractions, conversions or faces differ from what it says, also where
 * executor and reference are wrong alike. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "images.h"

#define TEXT_BYTES 2048

struct golden {
    const char *name, *insn; /* reads %f0 … %f3, gives %r0 … %r3 */
    struct image_spec spec;
    CUaddress_mode mode;
    CUfilter_mode filter;
    bool normalised, as_integer, srgb;
    float coordinate[4];
    float expected; /* of the first channel */
};

#define LINE(n)                                               \
    {                                                         \
        WEFT_EXEC_IMAGE_1D, n, 1, 1, 1, CU_AD_FORMAT_FLOAT, 1 \
    }
#define PLANE(w, h)                                           \
    {                                                         \
        WEFT_EXEC_IMAGE_2D, w, h, 1, 1, CU_AD_FORMAT_FLOAT, 1 \
    }
#define BYTES(format)                             \
    {                                             \
        WEFT_EXEC_IMAGE_1D, 8, 1, 1, 1, format, 1 \
    }
#define CUBE                                                    \
    {                                                           \
        WEFT_EXEC_IMAGE_CUBE, 4, 4, 6, 1, CU_AD_FORMAT_FLOAT, 1 \
    }
#define MIPMAP                                                \
    {                                                         \
        WEFT_EXEC_IMAGE_2D, 4, 4, 1, 3, CU_AD_FORMAT_FLOAT, 1 \
    }
#define TEX_1D "tex.1d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%h, {%f0}]"
#define TEX_2D "tex.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%h, {%f0, %f1}]"
#define TEX_CUBE "tex.cube.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%h, {%f0, %f1, %f2, %f2}]"
#define TEX_LEVEL "tex.level.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%h, {%f0, %f1}], %f2"
#define TEX_FETCH "cvt.rni.s32.f32 %i0, %f0;\ntex.1d.v4.f32.s32 {%r0, %r1, %r2, %r3}, [%h, {%i0}]"
#define GATHER "tld4.r.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%h, {%f0, %f1}]"

#define WRAP CU_TR_ADDRESS_MODE_WRAP
#define CLAMP CU_TR_ADDRESS_MODE_CLAMP
#define MIRROR CU_TR_ADDRESS_MODE_MIRROR
#define BORDER CU_TR_ADDRESS_MODE_BORDER
#define POINT CU_TR_FILTER_MODE_POINT
#define LINEAR CU_TR_FILTER_MODE_LINEAR

/* A float texel is 10 k + 100 j + i + 1000 level, for slice k, row j, place i; one of whole numbers
 * holds its place times 51, signed ones -128 at place 0. The border is 9. */
static const struct golden goldens[] = {
    {"nearest", TEX_1D, LINE(4), CLAMP, POINT, false, false, false, {2.99f}, 2},
    {"nearest, clamped low", TEX_1D, LINE(4), CLAMP, POINT, false, false, false, {-3}, 0},
    {"nearest, clamped high", TEX_1D, LINE(4), CLAMP, POINT, false, false, false, {17}, 3},
    {"nearest, wrapped", TEX_1D, LINE(4), WRAP, POINT, true, false, false, {1.3f}, 1},
    {"nearest, wrapped below", TEX_1D, LINE(4), WRAP, POINT, true, false, false, {-0.1f}, 3},
    {"nearest, mirrored", TEX_1D, LINE(4), MIRROR, POINT, true, false, false, {1.3f}, 2},
    {"nearest, mirrored below", TEX_1D, LINE(4), MIRROR, POINT, true, false, false, {-0.3f}, 1},
    {"nearest, mirrored on an edge",
     TEX_1D,
     LINE(4),
     MIRROR,
     POINT,
     true,
     false,
     false,
     {1.25f},
     3},
    {"nearest, border", TEX_1D, LINE(4), BORDER, POINT, true, false, false, {1.0f}, 9},
    {"wrap needs normalised coordinates",
     TEX_1D,
     LINE(4),
     WRAP,
     POINT,
     false,
     false,
     false,
     {5},
     3},
    {"linear between texels", TEX_1D, LINE(4), CLAMP, LINEAR, false, false, false, {1.75f}, 1.25f},
    {"a fraction has eight bits",
     TEX_1D,
     LINE(4),
     CLAMP,
     LINEAR,
     false,
     false,
     false,
     {1.7509f},
     1.25f},
    {"linear, clamped", TEX_1D, LINE(4), CLAMP, LINEAR, false, false, false, {3.9f}, 3},
    {"linear, wrapped", TEX_1D, LINE(4), WRAP, LINEAR, true, false, false, {0}, 1.5f},
    {"linear, mirrored", TEX_1D, LINE(4), MIRROR, LINEAR, true, false, false, {1}, 3},
    {"linear, border", TEX_1D, LINE(4), BORDER, LINEAR, true, false, false, {1}, 6},
    {"the middle of four", TEX_2D, PLANE(2, 2), CLAMP, LINEAR, false, false, false, {1, 1}, 50.5f},
    {"rows and columns", TEX_2D, PLANE(4, 4), CLAMP, POINT, false, false, false, {3.5f, 1.5f}, 103},
    {"gather begins lower left",
     GATHER,
     PLANE(2, 2),
     CLAMP,
     POINT,
     false,
     false,
     false,
     {1, 1},
     100},
    {"bytes are fractions",
     TEX_1D,
     BYTES(CU_AD_FORMAT_UNSIGNED_INT8),
     CLAMP,
     POINT,
     false,
     false,
     false,
     {1.5f},
     0.2f},
    {"bytes are filtered as fractions",
     TEX_1D,
     BYTES(CU_AD_FORMAT_UNSIGNED_INT8),
     CLAMP,
     LINEAR,
     false,
     false,
     false,
     {2},
     0.3f},
    {"-128 is -1",
     TEX_1D,
     BYTES(CU_AD_FORMAT_SIGNED_INT8),
     CLAMP,
     POINT,
     false,
     false,
     false,
     {0},
     -1},
    {"102 of 127",
     TEX_1D,
     BYTES(CU_AD_FORMAT_SIGNED_INT8),
     CLAMP,
     POINT,
     false,
     false,
     false,
     {2},
     102.0f / 127},
    {"sRGB",
     TEX_1D,
     BYTES(CU_AD_FORMAT_UNSIGNED_INT8),
     CLAMP,
     POINT,
     false,
     false,
     true,
     {1},
     0.0331048f},
    {"a buffer's element",
     TEX_FETCH,
     {WEFT_EXEC_IMAGE_LINEAR, 8, 1, 1, 1, CU_AD_FORMAT_FLOAT, 1},
     CLAMP,
     POINT,
     false,
     false,
     false,
     {5},
     5},
    {"outside of a buffer",
     TEX_FETCH,
     {WEFT_EXEC_IMAGE_LINEAR, 8, 1, 1, 1, CU_AD_FORMAT_FLOAT, 1},
     CLAMP,
     POINT,
     false,
     false,
     false,
     {8},
     0},
    {"below a buffer",
     TEX_FETCH,
     {WEFT_EXEC_IMAGE_LINEAR, 8, 1, 1, 1, CU_AD_FORMAT_FLOAT, 1},
     WRAP,
     POINT,
     true,
     false,
     false,
     {-1},
     0},
    {"+x", TEX_CUBE, CUBE, CLAMP, POINT, true, false, false, {2, -0.5f, -0.5f}, 202},
    {"-x", TEX_CUBE, CUBE, CLAMP, POINT, true, false, false, {-2, 0.1f, 1.9f}, 113},
    {"+y", TEX_CUBE, CUBE, CLAMP, POINT, true, false, false, {0.9f, 1, -0.9f}, 23},
    {"-y", TEX_CUBE, CUBE, CLAMP, POINT, true, false, false, {0.9f, -1, -0.9f}, 333},
    {"+z", TEX_CUBE, CUBE, CLAMP, POINT, true, false, false, {-0.9f, 0.9f, 1}, 40},
    {"-z", TEX_CUBE, CUBE, CLAMP, POINT, true, false, false, {-0.9f, 0.9f, -1}, 53},
    {"the base level", TEX_2D, MIPMAP, CLAMP, POINT, true, false, false, {0.1f, 0.1f}, 0},
    {"a level", TEX_LEVEL, MIPMAP, CLAMP, POINT, true, false, false, {0.1f, 0.1f, 2}, 2000},
    {"between levels",
     TEX_LEVEL,
     MIPMAP,
     CLAMP,
     POINT,
     true,
     false,
     false,
     {0.1f, 0.1f, 0.25f},
     250},
    {"beyond the last level",
     TEX_LEVEL,
     MIPMAP,
     CLAMP,
     POINT,
     true,
     false,
     false,
     {0.1f, 0.1f, 7},
     2000},
};

static void fill_texel(struct rig *rig, unsigned image, uint32_t level, const uint32_t at[3])
{
    void *texel = image_texel(rig, image, level, at[0], at[1], at[2]);
    float value = (float)(at[0] + 100 * at[1] + 10 * at[2] + 1000 * level);
    switch (image_textures[image].image.format) {
    case CU_AD_FORMAT_FLOAT:
        memcpy(texel, &value, sizeof value);
        break;
    case CU_AD_FORMAT_SIGNED_INT8:
        *(int8_t *)texel = at[0] ? (int8_t)(51 * at[0]) : -128;
        break;
    default:
        *(uint8_t *)texel = (uint8_t)(51 * at[0]);
    }
}

static void make_image(struct rig *rig, const struct golden *golden)
{
    struct dice dice = {1};
    image_count = 0;
    unsigned image = image_add(rig, &golden->spec, &dice);
    struct weft_exec_texture *texture = &image_textures[image];
    for (uint32_t l = 0; l < texture->image.level_count; l++) {
        const struct weft_exec_image_level *level = &texture->image.levels[l];
        for (uint32_t k = 0; k < level->depth; k++)
            for (uint32_t j = 0; j < level->height; j++)
                for (uint32_t i = 0; i < level->width; i++)
                    fill_texel(rig, image, l, (uint32_t[]){i, j, k});
    }
    for (int axis = 0; axis < 3; axis++)
        texture->address_mode[axis] = golden->mode;
    texture->filter = golden->filter;
    texture->mipmap_filter = CU_TR_FILTER_MODE_LINEAR;
    texture->mipmap_clamp_max = 16;
    texture->normalised_coordinates = golden->normalised;
    texture->srgb = golden->srgb;
    texture->border[0] = 9;
}

static void check(const char *who, const struct golden *golden, const void *out,
                  const struct rig_result *result)
{
    float got[4];
    if (result->status)
        fail_msg("%s: %s", who, result->err.text);
    memcpy(got, out, sizeof got);
    if (!(fabsf(got[0] - golden->expected) <= 1e-5f * fmaxf(1, fabsf(golden->expected))))
        fail_msg("%s gives %g, not %g", who, (double)got[0], (double)golden->expected);
    /* Channels that the image lacks. */
    bool gathers = golden->insn[1] == 'l';
    if (!gathers && (got[1] != 0 || got[2] != 0 || got[3] != 1))
        fail_msg("%s gives %g %g %g behind it", who, (double)got[1], (double)got[2],
                 (double)got[3]);
}

static void run_golden(void **state)
{
    const struct golden *golden = *state;
    char text[TEXT_BYTES];
    struct rig rig;
    struct rig_program program;
    struct rig_result result;
    struct weft_err err = {0};
    snprintf(text, sizeof text,
             ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry kernel(.param .u64 "
             "p_out, .param .u64 p_handle, .param .v4 .f32 p_at)\n{\n.reg .b32 %%r<4>, %%i<1>;\n"
             ".reg .f32 %%f<4>;\n.reg .b64 %%h, %%out;\nld.param.u64 %%out, [p_out];\n"
             "ld.param.u64 %%h, [p_handle];\nld.param.v4.f32 {%%f0, %%f1, %%f2, %%f3}, [p_at];\n"
             "%s;\nst.global.v4.u32 [%%out], {%%r0, %%r1, %%r2, %%r3};\nret;\n}\n",
             golden->insn);
    rig_init(&rig);
    if (rig_load(&rig, text, &program, &err))
        fail_msg("%s", err.text);
    make_image(&rig, golden);
    struct {
        uint64_t out, handle;
        float at[4];
    } params = {.out = rig_alloc(&rig, 16), .handle = IMAGE_HANDLE(0)};
    memcpy(params.at, golden->coordinate, sizeof params.at);
    struct rig_run run = {.entry = "kernel",
                          .params = &params,
                          .params_bytes = sizeof params,
                          .grid = {1, 1, 1},
                          .block = {1, 1, 1}};
    rig_execute(&rig, &program, &run, &result);
    check("the executor", golden, rig_host(&rig, params.out), &result);
    rig_refer(&rig, &program, &run, &result);
    check("the reference", golden, rig_host(&rig, params.out), &result);
    rig_unload(&program);
    rig_finish(&rig);
}

/* A texture whose memory is gone faults like a load, naming the address; so does no texture. */
static void dead_texels_fault(void **state)
{
    (void)state;
    static const char text[] =
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry kernel(.param .u64 "
        "p_handle)"
        "\n{\n.reg .b32 %r<5>;\n.reg .b64 %h;\nld.param.u64 %h, [p_handle];\nmov.u32 %r4, %tid.x;\n"
        "tex.1d.v4.u32.s32 {%r0, %r1, %r2, %r3}, [%h, {%r4}];\nret;\n}\n";
    const struct image_spec spec = {WEFT_EXEC_IMAGE_LINEAR, 1024, 1, 1, 1, CU_AD_FORMAT_FLOAT, 4};
    struct rig rig;
    struct rig_program program;
    struct rig_result result;
    struct dice dice = {1};
    rig_init(&rig);
    assert_int_equal(rig_load(&rig, text, &program, NULL), 0);
    image_count = 0;
    image_add(&rig, &spec, &dice);
    uint64_t address = image_textures[0].image.levels[0].address, handle = IMAGE_HANDLE(0);
    rig_kill(&rig, address + 512);
    struct rig_run run = {.entry = "kernel",
                          .params = &handle,
                          .params_bytes = 8,
                          .grid = {1, 1, 1},
                          .block = {64, 1, 1}};
    rig_execute(&rig, &program, &run, &result);
    assert_int_equal(result.status, -WEFT_EFAULT);
    assert_int_equal(result.fault.kind, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS);
    assert_int_equal(result.fault.address, address + 512);
    assert_int_equal(result.fault.thread[0], 32);
    handle = 77;
    rig_execute(&rig, &program, &run, &result);
    assert_int_equal(result.status, -WEFT_EFAULT);
    assert_int_equal(result.fault.address, 77);
    rig_unload(&program);
    rig_finish(&rig);
}

#define GOLDEN_COUNT (sizeof goldens / sizeof *goldens)

int main(void)
{
    struct CMUnitTest tests[GOLDEN_COUNT + 1] = {0};
    for (size_t i = 0; i < GOLDEN_COUNT; i++)
        tests[i] = (struct CMUnitTest){
            .name = goldens[i].name, .test_func = run_golden, .initial_state = (void *)&goldens[i]};
    tests[GOLDEN_COUNT] = (struct CMUnitTest)cmocka_unit_test(dead_texels_fault);
    return _cmocka_run_group_tests("golden textures", tests, GOLDEN_COUNT + 1, NULL, NULL);
}

/* Every form of tex and tld4 over random images: shapes, formats, address modes, filters, levels.
 * Breaks where one result differs from the reference, on any instruction set, or in turns of any
 * length. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compare.h"
#include "images.h"

#define THREADS 96u
#define WORDS 16u /* of input and of output, a thread */
#define CONFIGURATIONS 64u
#define TEXT_BYTES 4096

/* Operands of the forms: %f0 … %f8 are floats around the image, %g0 … %g5 small derivatives, %i0 …
 * %i2 whole coordinates, %o0 … %o2 offsets, %l a layer, %h the handle; %lod and %cmp. */
struct form {
    const char *text;
    enum weft_exec_image_shape shape;
    uint32_t levels;
};

#define D "{%r0, %r1, %r2, %r3}"
#define H "{%q0, %q1, %q2, %q3}"
#define P "{%r0, %r1}"

static const struct form forms[] = {
    {"tex.1d.v4.f32.s32 " D ", [%h, {%i0}]", WEFT_EXEC_IMAGE_LINEAR, 1},
    {"tex.1d.v4.u32.f32 " D ", [%h, {%f0}]", WEFT_EXEC_IMAGE_LINEAR, 1},
    {"tex.1d.v4.f32.s32 " D "|%p, [%h, %i0]", WEFT_EXEC_IMAGE_1D, 1},
    {"tex.1d.v4.f32.f32 " D ", [%h, {%f0}]", WEFT_EXEC_IMAGE_1D, 1},
    {"tex.1d.v4.f32.f32 " D ", [%h, {%f0}], {%o0}", WEFT_EXEC_IMAGE_1D, 1},
    {"tex.1d.v4.f16.f32 " H ", [%h, {%f0}]", WEFT_EXEC_IMAGE_1D, 1},
    {"tex.level.1d.v4.s32.f32 " D ", [%h, {%f0}], %lod", WEFT_EXEC_IMAGE_1D, 5},
    {"tex.grad.1d.v4.f32.f32 " D "|%p, [%h, {%f0}], {%g0}, {%g1}", WEFT_EXEC_IMAGE_1D, 5},
    {"tex.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.u32.f32 " D ", [%h, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 4},
    {"tex.2d.v4.f32.s32 " D ", [%h, {%i0, %i1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.s32.s32 " D ", [%h, {%i0, %i1}], {%o0, %o1}", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v2.f16x2.f32 " P "|%p, [%h, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}], {%o0, %o1}", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}], {-8, 7}, %cmp", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}], %cmp", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.base.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 4},
    {"tex.level.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}], %lod", WEFT_EXEC_IMAGE_2D, 6},
    {"tex.level.2d.v4.f32.s32 " D ", [%h, {%i0, %i1}], %i2", WEFT_EXEC_IMAGE_2D, 6},
    {"tex.level.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}], %lod, {%o0, %o1}", WEFT_EXEC_IMAGE_2D, 3},
    {"tex.grad.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}], {%g0, %g1}, {%g2, %g3}", WEFT_EXEC_IMAGE_2D,
     6},
    {"tex.3d.v4.f32.f32 " D ", [%h, {%f0, %f1, %f2, %f2}]", WEFT_EXEC_IMAGE_3D, 1},
    {"tex.3d.v4.s32.s32 " D ", [%h, {%i0, %i1, %i2, %i2}]", WEFT_EXEC_IMAGE_3D, 1},
    {"tex.3d.v4.f32.f32 " D ", [%h, {%f0, %f1, %f2, 0}], {%o0, %o1, %o2, 0}", WEFT_EXEC_IMAGE_3D,
     1},
    {"tex.level.3d.v4.f32.f32 " D ", [%h, {%f0, %f1, %f2, %f2}], %lod", WEFT_EXEC_IMAGE_3D, 4},
    {"tex.grad.3d.v4.f32.f32 " D
     ", [%h, {%f0, %f1, %f2, %f2}], {%g0, %g1, %g2, %g2}, {%g3, %g4, %g5, %g5}",
     WEFT_EXEC_IMAGE_3D, 4},
    {"tex.a1d.v4.f32.f32 " D ", [%h, {%l, %f0}]", WEFT_EXEC_IMAGE_1D_LAYERED, 1},
    {"tex.a1d.v4.u32.s32 " D ", [%h, {%l, %i0}]", WEFT_EXEC_IMAGE_1D_LAYERED, 1},
    {"tex.level.a1d.v4.f32.f32 " D ", [%h, {%l, %f0}], %lod", WEFT_EXEC_IMAGE_1D_LAYERED, 4},
    {"tex.grad.a1d.v4.f32.f32 " D ", [%h, {%l, %f0}], {%g0}, {%g1}", WEFT_EXEC_IMAGE_1D_LAYERED, 4},
    {"tex.a2d.v4.f32.f32 " D ", [%h, {%l, %f0, %f1, %f1}]", WEFT_EXEC_IMAGE_2D_LAYERED, 1},
    {"tex.a2d.v4.f32.s32 " D ", [%h, {%l, %i0, %i1, %i1}]", WEFT_EXEC_IMAGE_2D_LAYERED, 1},
    {"tex.level.a2d.v4.f32.f32 " D "|%p, [%h, {%l, %f0, %f1, %f1}], %lod",
     WEFT_EXEC_IMAGE_2D_LAYERED, 4},
    {"tex.grad.a2d.v4.f32.f32 " D ", [%h, {%l, %f0, %f1, %f1}], {%g0, %g1}, {%g2, %g3}, {%o0, %o1}",
     WEFT_EXEC_IMAGE_2D_LAYERED, 4},
    {"tex.cube.v4.f32.f32 " D ", [%h, {%f0, %f1, %f2, %f2}]", WEFT_EXEC_IMAGE_CUBE, 1},
    {"tex.cube.v4.f32.f32 " D ", [%h, {%f0, %f1, %f2, %f2}], %cmp", WEFT_EXEC_IMAGE_CUBE, 1},
    {"tex.level.cube.v4.f32.f32 " D ", [%h, {%f0, %f1, %f2, %f2}], %lod", WEFT_EXEC_IMAGE_CUBE, 4},
    {"tex.grad.cube.v4.f32.f32 " D
     ", [%h, {%f0, %f1, %f2, %f2}], {%g0, %g1, %g2, %g2}, {%g3, %g4, %g5, %g5}",
     WEFT_EXEC_IMAGE_CUBE, 4},
    {"tex.acube.v4.f32.f32 " D ", [%h, {%l, %f0, %f1, %f2}]", WEFT_EXEC_IMAGE_CUBE_LAYERED, 1},
    {"tex.level.acube.v4.f32.f32 " D ", [%h, {%l, %f0, %f1, %f2}], %lod",
     WEFT_EXEC_IMAGE_CUBE_LAYERED, 3},
    {"tex.grad.acube.v4.f32.f32 " D
     ", [%h, {%l, %f0, %f1, %f2}], {%g0, %g1, %g2, %g2}, {%g3, %g4, %g5, %g5}",
     WEFT_EXEC_IMAGE_CUBE_LAYERED, 3},
    {"tld4.r.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"tld4.g.2d.v4.u32.f32 " D "|%p, [%h, {%f0, %f1}], {%o0, %o1}", WEFT_EXEC_IMAGE_2D, 1},
    {"tld4.b.a2d.v4.f32.f32 " D ", [%h, {%l, %f0, %f1, %f1}]", WEFT_EXEC_IMAGE_2D_LAYERED, 1},
    {"tld4.a.cube.v4.s32.f32 " D ", [%h, {%f0, %f1, %f2, %f2}]", WEFT_EXEC_IMAGE_CUBE, 1},
    {"tld4.r.acube.v4.f32.f32 " D ", [%h, {%l, %f0, %f1, %f2}], %cmp", WEFT_EXEC_IMAGE_CUBE_LAYERED,
     1},
    /* A sampler of another texture, and one that is written in the module. */
    {"tex.2d.v4.f32.f32 " D ", [%h, %s, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.f32.f32 " D ", [%h, state, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.f32.f32 " D ", [%h, unset, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"mov.u64 %t, state;\ntex.level.2d.v4.f32.f32 " D ", [%h, %t, {%f0, %f1}], %lod",
     WEFT_EXEC_IMAGE_2D, 3},
    /* Handles elsewhere: variables, their addresses, parameters. */
    {"tex.2d.v4.f32.f32 " D ", [picture, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"mov.u64 %t, picture;\ntex.2d.v4.f32.f32 " D ", [%t, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"tex.2d.v4.f32.f32 " D ", [p_handle, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    /* Lanes that read different textures, and lanes that read none. */
    {"selp.b64 %t, %h, %s, %odd;\ntex.2d.v4.f32.f32 " D ", [%t, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D,
     1},
    {"@%odd tex.2d.v4.f32.f32 " D ", [%h, {%f0, %f1}]", WEFT_EXEC_IMAGE_2D, 1},
    {"@!%odd tex.level.3d.v4.f32.f32 " D ", [%h, {%f0, %f1, %f2, %f2}], %lod", WEFT_EXEC_IMAGE_3D,
     4},
    {"tex.1d.v4.f32.s32 {%r0, _, %r2, _}, [%h, {%i0}]", WEFT_EXEC_IMAGE_LINEAR, 1},
};

static void make_text(const struct form *form, char text[TEXT_BYTES])
{
    int used = snprintf(
        text, TEXT_BYTES,
        ".version 8.0\n.target sm_80, texmode_unified\n.address_size 64\n"
        ".global .texref picture;\n"
        ".global .samplerref state = {addr_mode_0 = wrap, addr_mode_1 = mirror, "
        "addr_mode_2 = clamp_to_border, filter_mode = linear};\n.global .samplerref unset;\n"
        ".visible .entry kernel(.param .u64 p_out, .param .u64 p_in, .param .u64 p_handle, "
        ".param .u64 p_other)\n{\n.reg .b32 %%r<4>, %%i<3>, %%o<3>, %%l, %%w<4>;\n"
        ".reg .b16 %%q<4>;\n.reg .f32 %%f<3>, %%g<6>, %%lod, %%cmp;\n"
        ".reg .b64 %%h, %%s, %%t, %%in, %%out, %%a;\n.reg .pred %%p, %%odd;\n"
        "ld.param.u64 %%out, [p_out];\nld.param.u64 %%in, [p_in];\n"
        "ld.param.u64 %%h, [p_handle];\nld.param.u64 %%s, [p_other];\n"
        "st.global.u64 [picture], %%h;\n"
        "mov.u32 %%w0, %%tid.x;\nmul.wide.u32 %%a, %%w0, %u;\nadd.u64 %%in, %%in, %%a;\n"
        "add.u64 %%out, %%out, %%a;\nand.b32 %%w1, %%w0, 1;\nsetp.ne.u32 %%odd, %%w1, 0;\n"
        "setp.eq.u32 %%p, %%w0, %%w0;\n"
        "ld.global.v2.f32 {%%f0, %%f1}, [%%in];\nld.global.f32 %%f2, [%%in+8];\n"
        "ld.global.f32 %%lod, [%%in+12];\nld.global.v4.f32 {%%g0, %%g1, %%g2, %%g3}, [%%in+16];\n"
        "ld.global.v2.f32 {%%g4, %%g5}, [%%in+32];\nld.global.f32 %%cmp, [%%in+40];\n"
        "ld.global.u32 %%l, [%%in+44];\nld.global.v2.u32 {%%i0, %%i1}, [%%in+48];\n"
        "ld.global.u32 %%i2, [%%in+56];\nld.global.u32 %%w2, [%%in+60];\n"
        "bfe.s32 %%o0, %%w2, 0, 4;\nbfe.s32 %%o1, %%w2, 4, 4;\nbfe.s32 %%o2, %%w2, 8, 4;\n",
        WORDS * 4);
    bool halves = strstr(form->text, "%q0") != NULL;
    used += snprintf(text + used, TEXT_BYTES - (size_t)used, "%s;\n%s", form->text,
                     halves ? "mov.b32 %r0, {%q0, %q1};\nmov.b32 %r1, {%q2, %q3};\n" : "");
    snprintf(text + used, TEXT_BYTES - (size_t)used,
             "st.global.v4.u32 [%%out], {%%r0, %%r1, %%r2, %%r3};\n"
             "selp.u32 %%w3, 1, 0, %%p;\nst.global.u32 [%%out+16], %%w3;\nret;\n}\n");
}

static float around(struct dice *dice, float size)
{
    static const float special[] = {0.0f,  -0.0f,    1.0f,      -1.0f, 2.0f,   0.5f,   1e9f,
                                    -1e9f, INFINITY, -INFINITY, NAN,   1e-30f, -1e-30f};
    uint64_t roll = dice_roll(dice);
    if (roll % 16 == 0)
        return special[roll / 16 % (sizeof special / sizeof *special)];
    if (roll % 16 == 1) /* a texel's centre or edge */
        return (float)((int64_t)(roll / 16 % 64) - 16) * 0.5f;
    float unit = (float)(dice_roll(dice) % 1000003) / 1000003;
    return (unit * 3 - 1) * size;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void fill_inputs(struct rig *rig, uint64_t in, const struct weft_exec_texture *texture,
                        struct dice *dice)
{
    uint32_t *words = rig_host(rig, in);
    const struct weft_exec_image_level *level = &texture->image.levels[0];
    bool normalised = texture->normalised_coordinates ||
                      texture->image.shape == WEFT_EXEC_IMAGE_CUBE ||
                      texture->image.shape == WEFT_EXEC_IMAGE_CUBE_LAYERED;
    const uint32_t sizes[] = {level->width, level->height, level->depth};
    for (uint32_t thread = 0; thread < THREADS; thread++, words += WORDS) {
        for (int axis = 0; axis < 3; axis++) {
            words[axis] = bits_of(around(dice, normalised ? 1 : (float)sizes[axis]));
            words[12 + axis] = (uint32_t)(dice_roll(dice) % (sizes[axis] + 8)) - 4;
        }
        words[3] = bits_of((float)((int64_t)(dice_roll(dice) % 1024) - 128) / 128);
        for (int i = 4; i < 10; i++)
            words[i] = bits_of(around(dice, normalised ? 0.3f : 4));
        words[10] = bits_of(around(dice, 1));
        words[11] = (uint32_t)(dice_roll(dice) % 16) - 2;
        words[15] = (uint32_t)dice_roll(dice);
    }
    words -= WORDS; /* the last thread: whole coordinates at their limits */
    words[12] = 0x7fffffff;
    words[13] = 0x80000000;
}

struct channel_format {
    CUarray_format format;
    uint32_t channels;
};

static const struct channel_format formats[] = {
    {CU_AD_FORMAT_FLOAT, 4},
    {CU_AD_FORMAT_FLOAT, 1},
    {CU_AD_FORMAT_FLOAT, 2},
    {CU_AD_FORMAT_UNSIGNED_INT8, 4},
    {CU_AD_FORMAT_UNSIGNED_INT8, 1},
    {CU_AD_FORMAT_SIGNED_INT8, 2},
    {CU_AD_FORMAT_SIGNED_INT8, 4},
    {CU_AD_FORMAT_UNSIGNED_INT16, 1},
    {CU_AD_FORMAT_SIGNED_INT16, 4},
    {CU_AD_FORMAT_UNSIGNED_INT16, 2},
    {CU_AD_FORMAT_UNSIGNED_INT32, 2},
    {CU_AD_FORMAT_SIGNED_INT32, 4},
    {CU_AD_FORMAT_HALF, 1},
    {CU_AD_FORMAT_HALF, 4},
    {CU_AD_FORMAT_UNORM_INT8X4, 4},
    {CU_AD_FORMAT_SNORM_INT16X2, 2},
    {CU_AD_FORMAT_UNORM_INT_101010_2, 4},
};

/* A random way to sample; the index goes over what matters most in turn. */
static void configure(struct weft_exec_texture *texture, unsigned index, struct dice *dice)
{
    static const CUaddress_mode modes[] = {CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_WRAP,
                                           CU_TR_ADDRESS_MODE_MIRROR, CU_TR_ADDRESS_MODE_BORDER};
    texture->address_mode[0] = modes[index % 4];
    texture->address_mode[1] = modes[dice_roll(dice) % 4];
    texture->address_mode[2] = modes[dice_roll(dice) % 4];
    texture->filter = index / 4 % 2 ? CU_TR_FILTER_MODE_LINEAR : CU_TR_FILTER_MODE_POINT;
    texture->mipmap_filter =
        dice_roll(dice) % 2 ? CU_TR_FILTER_MODE_LINEAR : CU_TR_FILTER_MODE_POINT;
    texture->normalised_coordinates = index / 8 % 2 == 0;
    texture->read_as_integer = index / 16 % 3 == 0;
    texture->srgb = dice_roll(dice) % 4 == 0;
    texture->seamless_cube = dice_roll(dice) % 2;
    texture->mipmap_bias = (float)(dice_roll(dice) % 9) / 4 - 1;
    texture->mipmap_clamp_min = (float)(dice_roll(dice) % 3);
    texture->mipmap_clamp_max = texture->mipmap_clamp_min + (float)(dice_roll(dice) % 5);
    for (int i = 0; i < 4; i++)
        texture->border[i] = around(dice, 2);
    if (texture->border[3] != texture->border[3])
        texture->border[3] = 7;
}

static struct image_spec make_spec(const struct form *form, unsigned index, struct dice *dice)
{
    static const uint32_t widths[] = {16, 33, 1, 2, 61};
    const struct channel_format *format = &formats[index % (sizeof formats / sizeof *formats)];
    uint32_t width = widths[dice_roll(dice) % 5];
    bool cube = form->shape == WEFT_EXEC_IMAGE_CUBE || form->shape == WEFT_EXEC_IMAGE_CUBE_LAYERED;
    bool flat = form->shape == WEFT_EXEC_IMAGE_LINEAR || form->shape == WEFT_EXEC_IMAGE_1D ||
                form->shape == WEFT_EXEC_IMAGE_1D_LAYERED;
    struct image_spec spec = {.shape = form->shape,
                              .width = width,
                              .level_count = form->levels,
                              .format = format->format,
                              .channels = format->channels};
    spec.height = flat ? 1 : cube ? width : 1 + (uint32_t)(dice_roll(dice) % 24);
    spec.depth = form->shape == WEFT_EXEC_IMAGE_CUBE           ? 6
                 : form->shape == WEFT_EXEC_IMAGE_CUBE_LAYERED ? 18
                 : form->shape == WEFT_EXEC_IMAGE_3D           ? 1 + (uint32_t)(dice_roll(dice) % 9)
                 : form->shape >= WEFT_EXEC_IMAGE_1D_LAYERED   ? 5
                                                               : 1;
    return spec;
}

static bool has_nan(const float *values, int count)
{
    for (int i = 0; i < count; i++)
        if (values[i] != values[i])
            return true;
    return false;
}

static int run_configuration(struct rig *rig, const struct form *form, const char *text,
                             unsigned index, struct dice *dice)
{
    static const uint64_t budgets[] = {0, 5};
    struct rig_program program;
    struct weft_err err = {0};
    rig_reset(rig);
    image_count = 0;
    if (rig_load(rig, text, &program, &err)) {
        printf("%s: %s\n", form->text, err.text);
        return -1;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct image_spec spec = make_spec(form, index + i, dice);
        unsigned image = image_add(rig, &spec, dice);
        do
            configure(&image_textures[image], index, dice);
        while (has_nan(image_textures[image].border, 4));
    }
    uint64_t params[4] = {rig_alloc(rig, THREADS * WORDS * 4), rig_alloc(rig, THREADS * WORDS * 4),
                          IMAGE_HANDLE(0), IMAGE_HANDLE(1)};
    fill_inputs(rig, params[1], &image_textures[0], dice);
    struct rig_run run = {.entry = "kernel",
                          .params = params,
                          .params_bytes = sizeof params,
                          .grid = {1, 1, 1},
                          .block = {THREADS - 9, 1, 1}};
    uint64_t at = 0;
    int status = compare_run(rig, &program, &run, budgets, 1 + (index % 8 == 0), &at);
    if (status)
        printf("%s, configuration %u: thread %u, word %u\n", form->text, index,
               (unsigned)((at - params[0]) / (4 * WORDS)),
               (unsigned)((at - params[0]) / 4 % WORDS));
    rig_unload(&program);
    return status;
}

static void run_form(void **state)
{
    const struct form *form = *state;
    struct rig rig;
    struct dice dice = {7};
    char text[TEXT_BYTES];
    int failed = 0;
    make_text(form, text);
    rig_init(&rig);
    for (unsigned i = 0; i < CONFIGURATIONS && !failed; i++)
        failed = run_configuration(&rig, form, text, i, &dice);
    rig_finish(&rig);
    assert_int_equal(failed, 0);
}

#define FORM_COUNT (sizeof forms / sizeof *forms)

int main(void)
{
    struct CMUnitTest tests[FORM_COUNT] = {0};
    for (size_t i = 0; i < FORM_COUNT; i++)
        tests[i] = (struct CMUnitTest){
            .name = forms[i].text, .test_func = run_form, .initial_state = (void *)&forms[i]};
    return _cmocka_run_group_tests("textures", tests, FORM_COUNT, NULL, NULL);
}

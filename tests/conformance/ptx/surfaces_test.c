/* Every form of suld, sust and sured over random images, formats and coordinates inside and
 * outside, and the queries of both textures and surfaces. Breaks where one byte of the surface, one
 * result or the fault differs from the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compare.h"
#include "images.h"

#define THREADS 64u
#define WORDS 16u /* of input and of output, a thread */
#define CONFIGURATIONS 48u
#define TEXT_BYTES 4096

/* Operands: %x a place in the row, in bytes, aligned to `unit`, or in texels; %y %z rows and
 * slices; %l a layer; %d0 … %d3, %e0 … %e3 (64 bits), %q0 … %q3 (16 bits) the data; %h the handle.
 */
struct form {
    const char *text;
    enum weft_exec_image_shape shape;
    uint32_t unit;         /* bytes of the access; 0: x counts texels */
    uint32_t outside;      /* of 16 coordinates, how many may be outside */
    CUarray_format format; /* 0: any */
    uint32_t channels;
};

static const struct form forms[] = {
    {"suld.b.1d.b32.zero %d0, [%h, {%x}]", WEFT_EXEC_IMAGE_1D, 4, 6, 0, 0},
    {"suld.b.1d.v2.b64.clamp {%e0, %e1}, [%h, {%x}]", WEFT_EXEC_IMAGE_1D, 16, 6, 0, 0},
    {"suld.b.2d.b32.trap {%d0}, [%h, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 4, 0, 0, 0},
    {"suld.b.2d.b32.trap %d0, [%h, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 4, 1, 0, 0},
    {"suld.b.2d.cg.v4.b32.clamp {%d0, %d1, %d2, %d3}, [%h, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 16, 6, 0,
     0},
    {"suld.b.2d.v2.b8.zero {%q0, %q1}, [%h, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 2, 6, 0, 0},
    {"suld.b.2d.b8.clamp %d0, [%h, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 1, 6, 0, 0},
    {"suld.b.2d.v4.b16.zero {%q0, %q1, %q2, %q3}, [%h, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 8, 6, 0, 0},
    {"suld.b.3d.v4.b8.zero {%q0, %q1, %q2, %q3}, [%h, {%x, %y, %z, %z}]", WEFT_EXEC_IMAGE_3D, 4, 4,
     0, 0},
    {"suld.b.3d.b64.clamp %e0, [%h, {%x, %y, %z, 0}]", WEFT_EXEC_IMAGE_3D, 8, 6, 0, 0},
    {"suld.b.a1d.v2.b32.zero {%d0, %d1}, [%h, {%l, %x}]", WEFT_EXEC_IMAGE_1D_LAYERED, 8, 4, 0, 0},
    {"suld.b.a2d.v4.b32.clamp {%d0, %d1, _, %d3}, [%h, {%l, %x, %y, %y}]",
     WEFT_EXEC_IMAGE_2D_LAYERED, 16, 4, 0, 0},
    {"sust.b.1d.b32.trap [%h, {%x}], {%d0}", WEFT_EXEC_IMAGE_1D, 4, 0, 0, 0},
    {"sust.b.1d.v4.b8.zero [%h, {%x}], {%q0, %q1, %q2, %q3}", WEFT_EXEC_IMAGE_1D, 4, 6, 0, 0},
    {"sust.b.1d.v4.b32.clamp [%h, {%x}], {%d0, %d1, %d2, %d3}", WEFT_EXEC_IMAGE_1D, 16, 6, 0, 0},
    {"sust.b.2d.b32.trap [%h, {%x, %y}], %d0", WEFT_EXEC_IMAGE_2D, 4, 1, 0, 0},
    {"sust.b.2d.b64.zero [%h, {%x, %y}], {%e0}", WEFT_EXEC_IMAGE_2D, 8, 6, 0, 0},
    {"sust.b.2d.v2.b16.clamp [%h, {%x, %y}], {%d0, %d1}", WEFT_EXEC_IMAGE_2D, 4, 6, 0, 0},
    {"@%odd sust.b.2d.v4.b32.zero [%h, {%x, %y}], {%d0, 7, %d2, %d3}", WEFT_EXEC_IMAGE_2D, 16, 6, 0,
     0},
    {"sust.b.3d.b8.clamp [%h, {%x, %y, %z, %z}], %q0", WEFT_EXEC_IMAGE_3D, 1, 6, 0, 0},
    {"sust.b.a1d.b16.zero [%h, {%l, %x}], {%q0}", WEFT_EXEC_IMAGE_1D_LAYERED, 2, 6, 0, 0},
    {"sust.b.a2d.v4.b32.trap [%h, {%l, %x, %y, %y}], {%d0, %d1, %d2, %d3}",
     WEFT_EXEC_IMAGE_2D_LAYERED, 16, 0, 0, 0},
    {"sust.p.1d.b32.zero [%h, {%x}], %d0", WEFT_EXEC_IMAGE_1D, 0, 6, 0, 0},
    {"sust.p.2d.v2.b32.clamp [%h, {%x, %y}], {%d0, %d1}", WEFT_EXEC_IMAGE_2D, 0, 6, 0, 0},
    {"sust.p.2d.v4.b32.zero [%h, {%x, %y}], {%d0, %d1, %d2, %d3}", WEFT_EXEC_IMAGE_2D, 0, 6, 0, 0},
    {"sust.p.3d.v4.b32.trap [%h, {%x, %y, %z, %z}], {%d0, %d1, %d2, %d3}", WEFT_EXEC_IMAGE_3D, 0, 0,
     0, 0},
    {"sured.b.add.1d.u32.zero [%h, {%x}], %d0", WEFT_EXEC_IMAGE_1D, 4, 4, 0, 0},
    {"sured.b.add.2d.u64.clamp [%h, {%x, %y}], %e0", WEFT_EXEC_IMAGE_2D, 8, 4, 0, 0},
    {"sured.b.min.2d.s32.trap [%h, {%x, %y}], %d0", WEFT_EXEC_IMAGE_2D, 4, 1, 0, 0},
    {"sured.b.max.3d.u32.zero [%h, {%x, %y, %z, %z}], %d0", WEFT_EXEC_IMAGE_3D, 4, 4, 0, 0},
    {"sured.b.max.2d.s64.zero [%h, {%x, %y}], %e0", WEFT_EXEC_IMAGE_2D, 8, 4, 0, 0},
    {"sured.b.and.2d.b32.clamp [%h, {%x, %y}], %d0", WEFT_EXEC_IMAGE_2D, 4, 4, 0, 0},
    {"sured.b.or.1d.b32.zero [%h, {%x}], %d0", WEFT_EXEC_IMAGE_1D, 4, 4, 0, 0},
    {"sured.p.min.2d.b32.zero [%h, {%x, %y}], %d0", WEFT_EXEC_IMAGE_2D, 0, 4,
     CU_AD_FORMAT_SIGNED_INT32, 1},
    {"sured.p.min.2d.b32.clamp [%h, {%x, %y}], %d0", WEFT_EXEC_IMAGE_2D, 0, 4,
     CU_AD_FORMAT_UNSIGNED_INT32, 1},
    {"sured.p.add.1d.b64.zero [%h, {%x}], %e0", WEFT_EXEC_IMAGE_1D, 0, 4,
     CU_AD_FORMAT_UNSIGNED_INT32, 2},
    {"suld.b.2d.b32.zero %d0, [screen, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 4, 4, 0, 0},
    {"suld.b.2d.b32.clamp %d0, [p_texture, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 4, 4, 0, 0},
    {"suld.b.2d.b32.zero %d0, [%h, {%z, %y}]", WEFT_EXEC_IMAGE_2D, 4, 4, 0,
     0}, /* may be misaligned */
    {"suq.width.b32 %d0, [%h];\nsuq.height.b32 %d1, [%h];\nsuq.depth.b32 %d2, "
     "[%h];\nsuq.array_size.b32 %d3, [%h]",
     WEFT_EXEC_IMAGE_3D, 4, 0, 0, 0},
    {"suq.width.b32 %d0, [screen];\nsuq.channel_order.b32 %d1, [%h];\nsuq.channel_data_type.b32 "
     "%d2, [%h];\nsuq.memory_layout.b32 %d3, [%h]",
     WEFT_EXEC_IMAGE_2D_LAYERED, 4, 0, 0, 0},
    {"txq.width.b32 %d0, [%t];\ntxq.height.b32 %d1, [%t];\ntxq.depth.b32 %d2, "
     "[%t];\ntxq.channel_data_type.b32 %d3, [%t]",
     WEFT_EXEC_IMAGE_3D, 4, 0, 0, 0},
    {"txq.channel_order.b32 %d0, [%t];\ntxq.normalized_coords.b32 %d1, [%t];\ntxq.array_size.b32 "
     "%d2, [%t];\ntxq.num_mipmap_levels.b32 %d3, [%t]",
     WEFT_EXEC_IMAGE_CUBE_LAYERED, 4, 0, 0, 0},
    {"txq.num_samples.b32 %d0, [%t];\ntxq.filter_mode.b32 %d1, [%t];\ntxq.addr_mode_0.b32 %d2, "
     "[%t];\ntxq.addr_mode_1.b32 %d3, [%t]",
     WEFT_EXEC_IMAGE_1D_LAYERED, 4, 0, 0, 0},
    {"txq.addr_mode_2.b32 %d0, [%t];\ntxq.level.width.b32 %d1, [%t], 1;\ntxq.level.height.b32 %d2, "
     "[%t], %l;\ntxq.force_unnormalized_coords.b32 %d3, [%t]",
     WEFT_EXEC_IMAGE_2D, 4, 0, 0, 0},
    {"txq.addr_mode_0.b32 %d0, [state];\ntxq.addr_mode_1.b32 %d1, [state];\ntxq.filter_mode.b32 "
     "%d2, [state];\ntxq.force_unnormalized_coords.b32 %d3, [state]",
     WEFT_EXEC_IMAGE_2D, 4, 0, 0, 0},
    {"istypep.texref %p, %t;\nselp.u32 %d0, 1, 0, %p;\nistypep.surfref %p, %t;\nselp.u32 %d1, 1, "
     "0, %p;\nistypep.samplerref %p, %h;\nselp.u32 %d2, 1, 0, %p",
     WEFT_EXEC_IMAGE_2D, 4, 0, 0, 0},
    {"istypep.texref %p, %h;\nselp.u32 %d0, 1, 0, %p;\nistypep.surfref %p, %h;\nselp.u32 %d1, 1, "
     "0, %p;\nmov.u64 %e1, state;\nistypep.samplerref %p, %e1;\nselp.u32 %d2, 1, 0, %p",
     WEFT_EXEC_IMAGE_2D, 4, 0, 0, 0},
    /* What is no surface, and no texture. */
    {"suld.b.2d.b32.zero %d0, [%t, {%x, %y}]", WEFT_EXEC_IMAGE_2D, 4, 0, 0, 0},
    {"@%odd txq.width.b32 %d0, [%in]", WEFT_EXEC_IMAGE_2D, 4, 0, 0, 0},
    {"@%odd tex.1d.v4.u32.s32 {%d0, %d1, %d2, %d3}, [%h, {%x}]", WEFT_EXEC_IMAGE_1D, 0, 0, 0, 0},
};

static void make_text(const struct form *form, char text[TEXT_BYTES])
{
    snprintf(text, TEXT_BYTES,
             ".version 8.0\n.target sm_80\n.address_size 64\n.global .surfref screen;\n"
             ".global .samplerref state = {addr_mode_0 = clamp_to_edge, addr_mode_1 = mirror, "
             "force_unnormalized_coords = 1, filter_mode = nearest};\n"
             ".visible .entry kernel(.param .u64 p_out, .param .u64 p_in, .param .u64 p_surface, "
             ".param .u64 p_texture)\n{\n.reg .b32 %%x, %%y, %%z, %%l, %%d<4>, %%w<4>;\n"
             ".reg .b16 %%q<4>;\n.reg .b64 %%e<4>, %%h, %%t, %%in, %%out, %%a;\n"
             ".reg .pred %%p, %%odd;\n"
             "ld.param.u64 %%out, [p_out];\nld.param.u64 %%in, [p_in];\n"
             "ld.param.u64 %%h, [p_surface];\nld.param.u64 %%t, [p_texture];\n"
             "st.global.u64 [screen], %%h;\n"
             "mov.u32 %%w0, %%tid.x;\nmul.wide.u32 %%a, %%w0, %u;\nadd.u64 %%in, %%in, %%a;\n"
             "add.u64 %%out, %%out, %%a;\nand.b32 %%w1, %%w0, 1;\nsetp.ne.u32 %%odd, %%w1, 0;\n"
             "ld.global.v4.u32 {%%x, %%y, %%z, %%l}, [%%in];\n"
             "ld.global.v2.u64 {%%e0, %%e1}, [%%in+16];\nld.global.v2.u64 {%%e2, %%e3}, "
             "[%%in+32];\nld.global.v4.u32 {%%d0, %%d1, %%d2, %%d3}, [%%in+16];\n"
             "ld.global.v4.u16 {%%q0, %%q1, %%q2, %%q3}, [%%in+48];\n"
             "%s;\n"
             "st.global.v4.u32 [%%out], {%%d0, %%d1, %%d2, %%d3};\n"
             "st.global.v2.u64 [%%out+16], {%%e0, %%e1};\n"
             "st.global.v4.u16 [%%out+32], {%%q0, %%q1, %%q2, %%q3};\nret;\n}\n",
             WORDS * 4, form->text);
}

/* A place in `count`, or, sometimes where that is wanted, outside. */
static int32_t place(struct dice *dice, int32_t count, uint32_t outside)
{
    static const int32_t far[] = {-1, -100, INT32_MAX, INT32_MIN, 1000};
    if (dice_below(dice, 16) >= outside)
        return (int32_t)dice_below(dice, (uint32_t)(count > 0 ? count : 1));
    return dice_below(dice, 2) ? count : far[dice_below(dice, 5)];
}

static uint32_t data(struct dice *dice)
{
    float value = (float)((int32_t)dice_below(dice, 4000) - 2000) / 700;
    uint32_t bits = (uint32_t)dice_roll(dice);
    if (dice_below(dice, 2))
        memcpy(&bits, &value, sizeof bits);
    else if (dice_below(dice, 2))
        bits = (uint32_t)((int32_t)dice_below(dice, 600) - 300);
    return bits;
}

/* Data is no NaN: its bits in a narrower float are not the ISA's. */
static bool is_nan(uint32_t bits)
{
    return (bits & 0x7fffffff) > 0x7f800000;
}

static void fill_inputs(struct rig *rig, uint64_t in, const struct form *form, struct dice *dice)
{
    const struct weft_exec_image *image = &image_textures[0].image;
    const struct weft_exec_image_level *level = &image->levels[0];
    uint32_t *words = rig_host(rig, in);
    int32_t unit = form->unit ? (int32_t)form->unit : 1;
    int32_t row =
        form->unit ? (int32_t)(level->width * image->texel_bytes) / unit : (int32_t)level->width;
    for (uint32_t thread = 0; thread < THREADS; thread++, words += WORDS) {
        words[0] = (uint32_t)place(dice, row, form->outside) * (uint32_t)unit;
        words[1] = (uint32_t)place(dice, (int32_t)level->height, form->outside);
        words[2] = (uint32_t)place(dice, (int32_t)level->depth, form->outside);
        words[3] = (uint32_t)place(dice, (int32_t)level->depth, form->outside);
        for (int i = 4; i < 14; i++) {
            do
                words[i] = data(dice);
            while (is_nan(words[i]));
        }
    }
}

static const struct {
    CUarray_format format;
    uint32_t channels;
} formats[] = {
    {CU_AD_FORMAT_FLOAT, 4},          {CU_AD_FORMAT_FLOAT, 1},
    {CU_AD_FORMAT_UNSIGNED_INT8, 4},  {CU_AD_FORMAT_UNSIGNED_INT8, 1},
    {CU_AD_FORMAT_SIGNED_INT8, 2},    {CU_AD_FORMAT_UNSIGNED_INT16, 1},
    {CU_AD_FORMAT_SIGNED_INT16, 4},   {CU_AD_FORMAT_SIGNED_INT32, 2},
    {CU_AD_FORMAT_UNSIGNED_INT32, 4}, {CU_AD_FORMAT_HALF, 4},
    {CU_AD_FORMAT_HALF, 1},           {CU_AD_FORMAT_UNORM_INT8X4, 4},
    {CU_AD_FORMAT_SNORM_INT16X2, 2},  {CU_AD_FORMAT_UNORM_INT_101010_2, 4},
};

static unsigned add_image(struct rig *rig, const struct form *form, unsigned index,
                          struct dice *dice)
{
    static const uint32_t widths[] = {16, 48, 64, 4};
    size_t format = index % (sizeof formats / sizeof *formats);
    bool flat = form->shape == WEFT_EXEC_IMAGE_1D || form->shape == WEFT_EXEC_IMAGE_1D_LAYERED;
    bool deep = form->shape >= WEFT_EXEC_IMAGE_1D_LAYERED || form->shape == WEFT_EXEC_IMAGE_3D;
    struct image_spec spec = {.shape = form->shape,
                              .width = widths[dice_below(dice, 4)],
                              .height = flat ? 1 : 1 + dice_below(dice, 12),
                              .depth = !deep                                         ? 1
                                       : form->shape == WEFT_EXEC_IMAGE_CUBE_LAYERED ? 12
                                                                                     : 5,
                              .level_count = 1 + index % 3,
                              .format = form->format ? form->format : formats[format].format,
                              .channels = form->format ? form->channels : formats[format].channels};
    unsigned image = image_add(rig, &spec, dice);
    struct weft_exec_texture *texture = &image_textures[image];
    texture->filter = index % 2 ? CU_TR_FILTER_MODE_LINEAR : CU_TR_FILTER_MODE_POINT;
    texture->normalised_coordinates = index / 2 % 2;
    for (unsigned axis = 0; axis < 3; axis++)
        texture->address_mode[axis] = (CUaddress_mode)((index + axis) % 4);
    return image;
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
    image_textures[add_image(rig, form, index, dice)].is_surface = true;
    add_image(rig, form, index, dice);
    bool surface_parameter = strstr(form->text, "[p_texture") != NULL;
    uint64_t params[4] = {rig_alloc(rig, THREADS * WORDS * 4), rig_alloc(rig, THREADS * WORDS * 4),
                          IMAGE_HANDLE(0), IMAGE_HANDLE(surface_parameter ? 0 : 1)};
    fill_inputs(rig, params[1], form, dice);
    struct rig_run run = {.entry = "kernel",
                          .params = params,
                          .params_bytes = sizeof params,
                          .grid = {1, 1, 1},
                          .block = {THREADS - 3, 1, 1}};
    int status = compare_run(rig, &program, &run, budgets, 2, NULL);
    if (status)
        printf("%s, configuration %u\n", form->text, index);
    rig_unload(&program);
    return status;
}

static void run_form(void **state)
{
    const struct form *form = *state;
    struct rig rig;
    struct dice dice = {11};
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
    return _cmocka_run_group_tests("surfaces", tests, FORM_COUNT, NULL, NULL);
}

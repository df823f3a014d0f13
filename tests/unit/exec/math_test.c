/* The approximate functions against libm, on every instruction set: within the errors that the PTX
 * ISA states, and what it says of zeros, infinities and NaN. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

#define COUNT 1024

static double reciprocal_root(double x)
{
    return 1 / sqrt(x);
}

struct function {
    const char *name;
    double (*exact)(double);
    double low, high;
    double absolute, relative; /* the error that is allowed: the larger of the two */
};
static const struct function functions[] = {
    {"sin.approx.f32", sin, -3.14159265, 3.14159265, 0x1p-22, 0},
    {"sin.approx.f32", sin, -100000, 100000, 0x1p-22, 0},
    {"sin.approx.f32", sin, 1e6, 1e30, 0x1p-22, 0},
    {"cos.approx.f32", cos, -3.14159265, 3.14159265, 0x1p-22, 0},
    {"cos.approx.f32", cos, -250000, 250000, 0x1p-22, 0},
    {"ex2.approx.f32", exp2, -126, 128, 0, 0x1p-23},
    {"ex2.approx.f32", exp2, -150, -126, 0x1p-149, 0x1p-23},
    {"lg2.approx.f32", log2, 0x1p-126, 1e-30, 0, 0x1p-23},
    {"lg2.approx.f32", log2, 0.5, 2, 0x1p-40, 0x1p-23},
    {"lg2.approx.f32", log2, 1, 3e38, 0, 0x1p-23},
    {"tanh.approx.f32", tanh, -1e-3, 1e-3, 0, 0x1p-20},
    {"tanh.approx.f32", tanh, -0.1, 0.1, 0, 0x1p-20},
    {"tanh.approx.f32", tanh, -20, 20, 0, 0x1p-22},
    {"rsqrt.approx.f32", reciprocal_root, 1e-38, 3e38, 0, 0x1p-23},
};

static void open_function(struct rig *rig, const char *name)
{
    char text[1024];
    snprintf(text, sizeof(text),
             ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %%r<4>;\n.reg .f32 %%f<4>;\n"
             ".reg .b64 %%rd<4>;\nld.param.u64 %%rd1, [out];\nmov.u32 %%r1, %%tid.x;\n"
             "mad.wide.u32 %%rd1, %%r1, 4, %%rd1;\nld.global.f32 %%f1, [%%rd1+%d];\n"
             "%s %%f2, %%f1;\nst.global.f32 [%%rd1], %%f2;\nret;\n}\n",
             4 * COUNT, name);
    rig_open(rig, text);
}

static void check_function(const struct function *function)
{
    struct rig rig;
    open_function(&rig, function->name);
    float *out = (float *)rig.window;
    float *in = out + COUNT;
    for (int i = 0; i < COUNT; i++)
        in[i] = (float)(function->low + (function->high - function->low) * i / (COUNT - 1));
    uint64_t params = RIG_BASE;
    rig_run(&rig, 1, COUNT, &params);
    for (int i = 0; i < COUNT; i++) {
        double exact = function->exact((double)in[i]);
        double allowed = fmax(function->absolute, fabs(exact) * function->relative);
        if (isinf((float)exact) && out[i] == (float)exact)
            continue;
        if (!(fabs((double)out[i] - exact) <= allowed))
            fail_msg("%s of %.9g: %.9g, not %.9g", function->name, (double)in[i], (double)out[i],
                     exact);
    }
    rig_close(&rig);
}

/* Breaks where a polynomial or a reduction of an argument is wrong, on one instruction set or on
 * all. */
static void test_accuracy(void **state)
{
    (void)state;
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
        if (!weft_exec_isa_force((enum weft_exec_isa)isa))
            continue;
        for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
            check_function(&functions[i]);
    }
    weft_exec_isa_force(weft_exec_isa_best());
}

static const uint32_t special_values[] = {0x00000000, 0x80000000, 0x7f800000, 0xff800000,
                                          0x7fc00001, 0xbf800000, 0x00000001, 0x3f800000};
#define SPECIALS (sizeof(special_values) / sizeof(special_values[0]))
#define NAN_BITS 0x7fffffff
#define ANY 0x12345678 /* not looked at */

static const struct {
    const char *name;
    uint32_t results[SPECIALS];
} special_cases[] = {
    {"sin.approx.f32", {0, 0x80000000, NAN_BITS, NAN_BITS, NAN_BITS, ANY, 1, ANY}},
    {"cos.approx.f32",
     {0x3f800000, 0x3f800000, NAN_BITS, NAN_BITS, NAN_BITS, ANY, 0x3f800000, ANY}},
    {"ex2.approx.f32",
     {0x3f800000, 0x3f800000, 0x7f800000, 0, NAN_BITS, 0x3f000000, 0x3f800000, 0x40000000}},
    {"ex2.approx.ftz.f32",
     {0x3f800000, 0x3f800000, 0x7f800000, 0, NAN_BITS, 0x3f000000, 0x3f800000, 0x40000000}},
    {"lg2.approx.f32",
     {0xff800000, 0xff800000, 0x7f800000, NAN_BITS, NAN_BITS, NAN_BITS, 0xc3150000, 0}},
    {"lg2.approx.ftz.f32",
     {0xff800000, 0xff800000, 0x7f800000, NAN_BITS, NAN_BITS, NAN_BITS, 0xff800000, 0}},
    {"rsqrt.approx.f32",
     {0x7f800000, 0xff800000, 0, NAN_BITS, NAN_BITS, NAN_BITS, ANY, 0x3f800000}},
    {"tanh.approx.f32", {0, 0x80000000, 0x3f800000, 0xbf800000, NAN_BITS, ANY, 1, ANY}},
};

/* Breaks where an infinity or a zero takes the way of ordinary numbers. */
static void test_special_values(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof(special_cases) / sizeof(special_cases[0]); c++) {
        struct rig rig;
        open_function(&rig, special_cases[c].name);
        uint32_t *out = (uint32_t *)rig.window;
        memcpy(out + COUNT, special_values, sizeof(special_values));
        uint64_t params = RIG_BASE;
        rig_run(&rig, 1, SPECIALS, &params);
        for (size_t i = 0; i < SPECIALS; i++)
            if (special_cases[c].results[i] != ANY && special_cases[c].results[i] != out[i])
                fail_msg("%s of %08x: %08x, not %08x", special_cases[c].name, special_values[i],
                         out[i], special_cases[c].results[i]);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_special_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

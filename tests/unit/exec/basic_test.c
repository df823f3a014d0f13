/* The common path: arithmetic, loads and stores of all widths, special registers, parameters,
 * constants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

/* Breaks where threads beyond the bound store, or lanes mix up their elements. */
static void test_saxpy(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             ".visible .entry k(.param .u64 x, .param .u64 y, .param .f32 a, .param .u32 n)\n"
             "{\n.reg .pred %p<2>;\n.reg .b32 %r<8>;\n.reg .f32 %f<5>;\n.reg .b64 %rd<8>;\n"
             "ld.param.u64 %rd1, [x];\nld.param.u64 %rd2, [y];\nld.param.f32 %f1, [a];\n"
             "ld.param.u32 %r2, [n];\nmov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\n"
             "mov.u32 %r5, %tid.x;\nmad.lo.s32 %r1, %r3, %r4, %r5;\n"
             "setp.ge.s32 %p1, %r1, %r2;\n@%p1 bra DONE;\n"
             "cvta.to.global.u64 %rd3, %rd1;\ncvta.to.global.u64 %rd4, %rd2;\n"
             "mul.wide.s32 %rd5, %r1, 4;\nadd.s64 %rd6, %rd3, %rd5;\nadd.s64 %rd7, %rd4, %rd5;\n"
             "ld.global.f32 %f2, [%rd6];\nld.global.f32 %f3, [%rd7];\n"
             "fma.rn.f32 %f4, %f1, %f2, %f3;\nst.global.f32 [%rd7], %f4;\nDONE:\nret;\n}\n");
    float *x = (float *)rig.window;
    float *y = x + 1024;
    for (int i = 0; i < 1024; i++) {
        x[i] = (float)i;
        y[i] = 1000;
    }
    struct {
        uint64_t x, y;
        float a;
        uint32_t n;
    } params = {RIG_BASE, RIG_BASE + 4096, 2, 1000};
    rig_run(&rig, 8, 128, &params);
    for (int i = 0; i < 1024; i++)
        assert_true(y[i] == (i < 1000 ? 1000 + 2.0f * (float)i : 1000));
    rig_close(&rig);
}

/* Breaks where the flag after a subtraction says what was borrowed: compilers read it with addc, as
 * the complement's carry, and divide 128-bit numbers wrongly else. */
static void test_carry_of_subtraction(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("sub.cc.u32 %r2, %r1, 5;\naddc.u32 %r3, 0, 0;\n"
                              "sub.cc.u32 %r2, %r1, 5;\nsubc.cc.u32 %r4, 7, 0;\n"
                              "addc.u32 %r5, 0, 0;\nmad.lo.u32 %r3, %r4, 10, %r3;\n"
                              "mad.lo.u32 %r3, %r5, 100, %r3;\nst.global.u32 [%rd1], %r3;\n"));
    uint32_t *out = rig_run_words(&rig, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(out[i], i < 5 ? 160 : 171);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saxpy),
        cmocka_unit_test(test_carry_of_subtraction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

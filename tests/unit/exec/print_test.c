/* What kernels print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static char printed[4096];
static bool was_error;

static void keep(void *context, bool is_error, const char *text, uint64_t bytes)
{
    (void)context;
    was_error = is_error;
    strncat(printed, text, bytes);
}

/* The kernel stores `%r1, 3.25, 'x', "three", -7` as printf's arguments are stored, in local
 * memory. */
static void print_with(const char *format, const char *expected)
{
    char text[4096];
    size_t used =
        (size_t)snprintf(text, sizeof(text),
                         ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
                         ".global .align 1 .b8 word[6] = {116, 104, 114, 101, 101, 0};\n"
                         ".global .align 1 .b8 format[%zu] = {",
                         strlen(format) + 1);
    for (size_t i = 0; i <= strlen(format); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d", i ? "," : "", format[i]);
    snprintf(
        text + used, sizeof(text) - used,
        "};\n.visible .entry k(.param .u64 out)\n{\n.local .align 8 .b8 args[48];\n"
        ".reg .b32 %%r<4>;\n.reg .b64 %%rd<8>;\nmov.u32 %%r1, %%tid.x;\n"
        "mov.u64 %%rd1, args;\ncvta.local.u64 %%rd2, %%rd1;\nst.local.u32 [%%rd1], %%r1;\n"
        "mov.u64 %%rd3, 0x400a000000000000;\nst.local.u64 [%%rd1+8], %%rd3;\n"
        "st.local.u32 [%%rd1+16], 120;\nmov.u64 %%rd4, word;\ncvta.global.u64 %%rd4, %%rd4;\n"
        "st.local.u64 [%%rd1+24], %%rd4;\nmov.u64 %%rd5, -7;\nst.local.u64 [%%rd1+32], %%rd5;\n"
        "mov.u64 %%rd5, 0;\nst.local.u64 [%%rd1+40], %%rd5;\n"
        "mov.u64 %%rd6, format;\ncvta.global.u64 %%rd6, %%rd6;\n{\n.param .b64 f;\n.param .b64 a;\n"
        ".param .b32 r;\nst.param.b64 [f], %%rd6;\nst.param.b64 [a], %%rd2;\n"
        "call.uni (r), vprintf, (f, a);\nld.param.b32 %%r2, [r];\n}\n"
        "ld.param.u64 %%rd7, [out];\nst.global.u32 [%%rd7], %%r2;\nret;\n}\n");
    struct rig rig;
    rig_open(&rig, text);
    rig.print = keep;
    printed[0] = 0;
    rig_run_words(&rig, 2);
    assert_string_equal(printed, expected);
    assert_false(was_error);
    rig_close(&rig);
}

/* Breaks where an argument is read from another's place, or with another's width. */
static void test_formats(void **state)
{
    (void)state;
    print_with("%d %.3f %c %s %lld\n", "0 3.250 x three -7\n1 3.250 x three -7\n");
    print_with("%03u|%-8.2e|%5c|%7s|%llx%%\n", "000|3.25e+00|    x|  three|fffffffffffffff9%\n"
                                               "001|3.25e+00|    x|  three|fffffffffffffff9%\n");
    print_with("none\n", "none\nnone\n");
    print_with("%d%.0f%c%s%lld%s\n", "03xthree-7(null)\n13xthree-7(null)\n");
}

/* Breaks where a failed assertion does not say which thread it was, or does not end the kernel. */
static void test_assertion(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l,\n"
             ".param .b64 n, .param .b64 s) .noreturn;\n"
             ".global .align 1 .b8 word[3] = {110, 111, 0};\n" RIG_KERNEL(
                 "setp.ne.u32 %p1, %r1, 33;\n@%p1 ret;\nmov.u64 %rd2, word;\n"
                 "cvta.global.u64 %rd2, %rd2;\n{\n.param .b64 m;\n.param .b64 f;\n.param .b32 l;\n"
                 ".param .b64 n;\n.param .b64 s;\nst.param.b64 [m], %rd2;\n"
                 "st.param.b64 [f], %rd2;\nst.param.b32 [l], 12;\nst.param.b64 [n], %rd2;\n"
                 "st.param.b64 [s], 1;\ncall.uni __assertfail, (m, f, l, n, s);\n}\n"));
    rig.print = keep;
    printed[0] = 0;
    uint64_t out = RIG_BASE;
    assert_int_equal(rig_launch(&rig, 1, 64, &out), WEFT_EXEC_FAULTED);
    assert_int_equal(rig.fault.kind, WEFT_EXEC_FAULT_ASSERT);
    assert_int_equal(rig.fault.thread[0], 33);
    assert_string_equal(printed,
                        "no:12: no: block: [0,0,0], thread: [33,0,0] Assertion `no` failed.\n");
    assert_true(was_error);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

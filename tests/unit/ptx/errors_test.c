/* Where and how malformed text is refused: the text that the driver's error log shows. Breaks when
 * a place or a reason changes, or when something wrong is taken. */
#include "ptx_test.h"

struct malformed {
    const char *text;
    unsigned line, column;
    const char *reason; /* a part of it */
};

/* Statements of a body that begins in line 4, behind its declarations. */
static const struct malformed statements[] = {
    {"frobnicate.s32 %r1, %r2;", 4, 1, "unknown instruction: \"frobnicate\""},
    {"add.frob.s32 %r1, %r2, %r3;", 4, 5, "unknown modifier: \"frob\""},
    {"add.wrap.s32 %r1, %r2, %r3;", 4, 5, "does not take the modifier: \"wrap\""},
    {"ld\n .global\n .frob.u32 %r1, [%rd1];", 6, 3, "unknown modifier: \"frob\""},
    {"add.pred %p1, %p2, %p3;", 4, 5, "does not take the type: \"pred\""},
    {"add %r1, %r2, %r3;", 4, 1, "the type is missing: \"add\""},
    {"mul.s32 %r1, %r2, %r3;", 4, 1, "needs .lo, .hi or .wide: \"mul.s32\""},
    {"setp.s32 %p1, %r2, %r3;", 4, 1, "needs a comparison"},
    {"cvt.f32.s32 %f1, %r1;", 4, 1, "needs a rounding"},
    {"cvt.s32.f32 %r1, %f1;", 4, 1, "needs .rni, .rzi, .rmi or .rpi"},
    {"atom.global.add.b32 %r1, [%rd1], 1;", 4, 1, "operation does not take the type"},
    {"setp.lo.s32 %p1, %r1, 0;", 4, 1, "comparison does not take the type"},
    {"add.sat.sat.s32 %r1, %r2, %r3;", 4, 9, "second modifier of its kind"},
    {"add.s32 %r1, %r2;", 4, 1, "\"add.s32\" cannot have 2 operands"},
    {"add.s32 %r1, %r2, %r3, %r4;", 4, 1, "cannot have 4 operands"},
    {"ret %r1;", 4, 1, "\"ret\" cannot have 1 operand"},
    {"mov.u32 %nope, 1;", 4, 9, "\"%nope\" is not declared"},
    {"mov.u32 %r1, %r99;", 4, 14, "\"%r99\" is not declared"},
    {"mov.u32 %r1, %r01;", 4, 14, "\"%r01\" is not declared"},
    {"add.s32 %r1, %f1, %r2;", 4, 14, "\"%f1\" is .f32, which does not fit the .s32"},
    {"add.s64 %rd1, %rd2, %r1;", 4, 21, "\"%r1\" is .b32, which does not fit"},
    {"ld.global.u64 %r1, [%rd1];", 4, 15, "\"%r1\" is .b32, which does not fit"},
    {"ld.global.u32 %r1, %rd1;", 4, 20, "an address in brackets is expected"},
    {"ld.global.v2.u32 {%r1, %r2, %r3}, [%rd1];", 4, 18, "not the size"},
    {"ld.global.v2.u32 %r1, [%rd1];", 4, 18, "a vector in braces is expected"},
    {"ld.global.u32 %r1, [%f1];", 4, 20, "32 or 64 bits is expected as address"},
    {"add.s32 %r1, %r2, %tid.x;", 4, 19, "a special register is read by mov alone"},
    {"mov.u32 %r1, %tid;", 4, 14, "a component as .x"},
    {"mov.u32 %r1, %tid.q;", 4, 18, "a component as .x"},
    {"add.f32 %f1, %f2, 1;", 4, 19, "an integer cannot stand for a float"},
    {"add.s32 %r1, %r2, 1.5;", 4, 19, "a float cannot stand here"},
    {"add.s32 %r1, %r2, -%r3;", 4, 19, "the register stands here alone"},
    {"add.s32 5, %r2, %r3;", 4, 9, "a register is expected"},
    {"add.s32 %r1, , %r3;", 4, 14, "a constant expected, not \",\""},
    {"mov.u32 %r1, 1", 5, 1, "';' expected, not \"}\""},
    {"mov.u32 %r1, (1 + 2;", 4, 20, "')' expected, not \";\""},
    {"mov.u32 %r1, 1 / 0;", 4, 16, "\"/\" by zero"},
    {"mov.u32 %r1, 1.5 % 2;", 4, 18, "\"%\" takes integers only"},
    {"mov.u32 %r1, 0x;", 4, 14, "malformed number: \"0x\""},
    {"mov.u32 %r1, 089;", 4, 14, "malformed number"},
    {"mov.u32 %r1, 12abc;", 4, 14, "malformed number: \"12abc\""},
    {"mov.u64 %rd1, 0x10000000000000000;", 4, 15, "does not fit in 64 bits"},
    {"mov.f32 %f1, 0f3F80;", 4, 14, "8 hexadecimal digits"},
    {"mov.f64 %fd1, 0d3F80;", 4, 15, "16 hexadecimal digits"},
    {"mov.f32 %f1, 0f3F80000G;", 4, 14, "not a hexadecimal digit"},
    {"mov.u32 %r1, 5 `;", 4, 16, "unexpected character: \"`\""},
    {"/* never closed", 4, 1, "the comment is not closed"},
    {".pragma \"never closed;\n", 4, 9, "no closing quote"},
    {"bra NOWHERE;", 4, 5, "the label \"NOWHERE\" is not there"},
    {"{ X: ret; } bra X;", 4, 17, "the label \"X\" is not there"},
    {"brx.idx %r1, ts;", 4, 14, "the .branchtargets \"ts\" is not there"},
    {"L: ret; L: ret;", 4, 9, "\"L\" is already declared in line 4"},
    {".reg .b32 %r1;", 4, 11, "\"%r1\" is already declared in line 3"},
    {".reg .b32 %r<4>;", 4, 11, "\"%r<\" is already declared in line 3"},
    {".reg .b32 x, x;", 4, 14, "\"x\" is already declared in line 4"},
    {".reg .b32 %tid;", 4, 11, "\"%tid\" is a special register"},
    {".reg .b32 y<z>;", 4, 13, "a number of registers expected, not \"z\""},
    {".reg %z;", 4, 6, "a type expected, not \"%z\""},
    {".reg .tf32 z;", 4, 6, "\".tf32\" cannot be declared here"},
    {"@%r1 bra L;", 4, 2, "\"%r1\" is not a predicate"},
    {"@%nope ret;", 4, 2, "\"%nope\" is not declared"},
    {"call nope, (%r1);", 4, 6, "\"nope\" is not declared"},
    {"call f, (%r1);", 4, 6, "the call has 0 results, the function 1"},
    {"call (%r1), f;", 4, 13, "the call has 0 arguments, the function 1"},
    {"call (%r1), f, (%rd1);", 4, 16, "has 8 bytes, the function's has 4"},
    {"call (%r1), %rd1, (%r2);", 4, 24, "needs a .callprototype"},
    {"call (%r1), %rd1, (%r2), L; L:", 4, 26, "\"L\" is not the label of a .callprototype"},
    {"call k, ();", 4, 6, "\"k\" is an .entry"},
    {"shfl.sync.idx.b32 %r1, %r2, 0, 31;", 4, 1, "cannot have 4 operands"},
    {"match.any.sync.b32 %r1|%p1, %r2, -1;", 4, 1, "cannot have"},
    {"add.s32 %r1|%p1, %r2, %r3;", 4, 13, "no second result"},
    {"mov.b64 {%r1, %rd2}, %rd1;", 4, 9, "do not fill the type"},
    {".loc 1 2;", 4, 9, "a constant expected"},
};

/* Whole modules. */
static const struct malformed modules[] = {
    {"", 1, 1, "\".version MAJOR.MINOR\" expected, but the text ends"},
    {".target sm_75\n", 1, 1, "\".version MAJOR.MINOR\" expected, not \".target\""},
    {".version 9\n", 1, 10, "\".version MAJOR.MINOR\""},
    {".version 9.0\n.target sm_\n", 2, 9, "a target as sm_75 expected, not \"sm_\""},
    {".version 9.0\n.target debug\n", 2, 1, "names no sm_NN"},
    {".version 9.0\n.target sm_75\n.address_size 48\n", 3, 15, "32 or 64 bits, not 48"},
    {MODULE_HEAD "garbage", 4, 1, "a directive or declaration expected, not \"garbage\""},
    {MODULE_HEAD ".global .u8 x[3] = {1,2,3,4};", 4, 27, "more values than its array"},
    {MODULE_HEAD ".global .u8 x[2][2] = {1,2};", 4, 24, "'{' expected, not \"1\""},
    {MODULE_HEAD ".global .u8 x[];", 4, 13, "has no size"},
    {MODULE_HEAD ".global .u32 x = 1.5;", 4, 18, "a float cannot initialise type \".u32\""},
    {MODULE_HEAD ".global .f32 x = 1;", 4, 18, "an integer cannot initialise"},
    {MODULE_HEAD ".shared .u32 x = 5;", 4, 18, "neither .global nor .const"},
    {MODULE_HEAD ".global .u64 x = nope;", 4, 18, "\"nope\" is not a variable or function"},
    {MODULE_HEAD ".global .u16 x = x;", 4, 18, "an address does not fit type \".u16\""},
    {MODULE_HEAD ".global .u8 x = 0xFE(x);", 4, 17, "a mask of one byte"},
    {MODULE_HEAD ".global .align 3 .u32 x;", 4, 16, "3 is not a power of two"},
    {MODULE_HEAD ".global .u32 x;\n.global .u32 x;", 5, 14, "\"x\" is already declared in line 4"},
    {MODULE_HEAD ".global .u32 x[-1];", 4, 16, "is not between 0 and"},
    {MODULE_HEAD ".reg .b32 x;", 4, 1, "may stand outside of functions"},
    {MODULE_HEAD ".func f() {ret;}\n.func f() {ret;}", 5, 7, "\"f\" is already defined in line 4"},
    {MODULE_HEAD ".func f(.param .b32 a);\n.func f() {ret;}", 5, 7, "with other parameters"},
    {MODULE_HEAD ".entry k(.reg .b32 a) {ret;}", 4, 10, ".param expected, not \".reg\""},
    {MODULE_HEAD ".entry k(.param .b8 a[40000]) {ret;}", 4, 21, "more than 32764 bytes"},
    {MODULE_HEAD ".entry k() {ret;", 4, 17, "an instruction expected, but the text ends"},
    {MODULE_HEAD ".entry k() { { ret; }", 4, 22, "an instruction expected, but the text ends"},
    {MODULE_HEAD ".entry k() .frob {ret;}", 4, 12, "';' expected, not \".frob\""},
    {MODULE_HEAD ".func f .attribute(", 4, 20, "an attribute expected, but the text ends"},
    {MODULE_HEAD ".section .debug_x {", 4, 20, "'}' expected, but the text ends"},
    {MODULE_HEAD ".global .samplerref s = {", 4, 26, "a name expected, but the text ends"},
    {MODULE_HEAD ".alias a, b;", 4, 8, "\"a\" is not a declared function"},
};

static void check(const char *text, const struct malformed *wrong)
{
    struct weft_ptx_module *module = (void *)1;
    struct weft_err err = {0};
    char place[40];
    int code = weft_ptx_parse(&module, text, strlen(text), &err);
    snprintf(place, sizeof(place), "ptx:%u:%u: ", wrong->line, wrong->column);
    if (code == 0)
        fail_msg("taken: %s", wrong->text);
    if (strncmp(err.text, place, strlen(place)) != 0 || !strstr(err.text, wrong->reason))
        fail_msg("%s\nis \"%s\", not \"%s… %s\"", wrong->text, err.text, place, wrong->reason);
    assert_true(code == -WEFT_ESYNTAX || code == -WEFT_ERANGE);
    assert_ptr_equal(module, (void *)1); /* outputs are written on success only */
    assert_int_equal(weft_ptx_parse(&module, text, strlen(text), NULL), code);
}

static void test_statements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        char text[1024];
        snprintf(
            text, sizeof(text),
            ".version 9.0 .target sm_90 .address_size 64 .func (.param .b32 r) f(.param .b32 a);\n"
            ".entry k() {\n.reg .pred %%p<9>; .reg .b32 %%r<9>; .reg .b64 %%rd<9>; "
            ".reg .f32 %%f<9>; .reg .f64 %%fd<9>;\n%s\n}\n",
            statements[i].text);
        check(text, &statements[i]);
    }
}

static void test_modules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        check(modules[i].text, &modules[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Constant expressions in the ISA's integer types, and literals. Breaks when an operator, its
 * precedence, its type or a literal is read otherwise. The values were checked against the field's
 * own assembler. */
#include "ptx_test.h"

static uint64_t evaluate(const char *expression)
{
    char text[512];
    snprintf(text, sizeof(text), MODULE_HEAD ".global .u64 x = %s;", expression);
    struct weft_ptx_module *module = parse_good(text);
    uint64_t value;
    assert_int_equal(module->variables[0].init_bytes, sizeof(value));
    memcpy(&value, module->variables[0].init, sizeof(value));
    weft_ptx_destroy(module);
    return value;
}

static void test_expressions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } cases[] = {
        {"1 + 2 * 3 << 1", 14},
        {"10 - 3 - 2", 5},
        {"100 / 7 / 2", 7},
        {"5 & 3 | 8 ^ 1", 9},
        {"(1 + 2) * 3", 9},
        {"2 && 3", 1},
        {"0 || 4", 1},
        {"1 ? 2 : 3", 2},
        {"0 ? 1 : 0 ? 2 : 3", 3},
        {"-7 / 2", (uint64_t)-3},
        {"-7 % 3", (uint64_t)-1},
        {"-7 % 3U", 0},
        {"-7 / 2U", 9223372036854775804u},
        {"7 - 9U", (uint64_t)-2},
        {"~0", UINT64_MAX},
        {"(~0) / 2", INT64_MAX},
        {"(-1 | 0) / 2", 0},
        {"(-1 | 0U) / 2", INT64_MAX},
        {"!5", 0},
        {"!0", 1},
        {"- -5", 5},
        {"+5", 5},
        {"-5 >> 1", (uint64_t)-3},
        {"(.u64)-5 >> 1", 9223372036854775805u},
        {"(.s64)(0 - 1U) >> 1", UINT64_MAX},
        {"1 << 40", (uint64_t)1 << 40},
        {"1 << 64", 1},
        {"-1 >> 64", UINT64_MAX},
        {"-1 < 5", 1},
        {"-1 < 5U", 0},
        {"3 <= 3", 1},
        {"3 >= 4", 0},
        {"5 == 5U", 1},
        {"5 != 5", 0},
        {"-0x8000000000000000 / -1", 0},
        {"0xFFFFFFFFFFFFFFFF >> 60", 15},
        {"9223372036854775808 - 1", INT64_MAX},
        {"WARP_SZ * 2", 64},
        {"017", 15},
        {"0b1011", 11},
        {"0XfFU", 255},
        {"0", 0},
        {"0U", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = evaluate(cases[i].text);
        if (value != cases[i].value)
            fail_msg("%s is %llx, not %llx", cases[i].text, (unsigned long long)value,
                     (unsigned long long)cases[i].value);
    }
}

static void test_floats(void **state)
{
    (void)state;
    static const char text[] =
        MODULE_HEAD ".global .f32 a[4] = {1.5, 0f7FC00001, -0f3F800000, 1.0 / 3.0};\n"
                    ".global .f64 b[4] = {0d400921FB54442D18, 1e-3, 0f3F800000, -2.5};\n"
                    ".global .b32 c = 0f3F800000;\n.global .b64 d = 0d3FF0000000000000;\n";
    struct weft_ptx_module *module = parse_good(text);
    const uint32_t a[] = {0x3FC00000, 0x7FC00001, 0xBF800000, 0x3EAAAAAB};
    assert_memory_equal(module->variables[0].init, a, sizeof(a));
    const double b[] = {3.141592653589793, 1e-3, 1.0, -2.5};
    assert_memory_equal(module->variables[1].init, b, sizeof(b));
    const uint32_t c = 0x3F800000;
    assert_memory_equal(module->variables[2].init, &c, sizeof(c));
    const double d = 1.0;
    assert_memory_equal(module->variables[3].init, &d, sizeof(d));
    weft_ptx_destroy(module);
}

/* A constant operand keeps the bits that were written. */
static void test_operands(void **state)
{
    (void)state;
    struct weft_ptx_module *module =
        parse_good(MODULE_HEAD ".entry k() { .reg .f32 %f; .reg .f64 %d; .reg .b32 %r;\n"
                               "mov.f32 %f, 0f40490FDB; mov.f32 %f, 2.5; mov.b32 %r, -1;\n"
                               "mov.f64 %d, -0d3FF0000000000000; add.s32 %r, %r, 3+4*2; ret; }");
    const struct weft_ptx_insn *insns = module->functions[0].insns;
    assert_int_equal(insns[0].operands[1].kind, WEFT_PTX_OPERAND_FLOAT);
    assert_int_equal(insns[0].operands[1].type, WEFT_PTX_F32);
    assert_true(insns[0].operands[1].bits == 0x40490FDB);
    assert_int_equal(insns[1].operands[1].type, WEFT_PTX_F64);
    assert_true(insns[1].operands[1].bits == 0x4004000000000000);
    assert_int_equal(insns[2].operands[1].kind, WEFT_PTX_OPERAND_INTEGER);
    assert_true(insns[2].operands[1].bits == UINT64_MAX);
    assert_true(insns[3].operands[1].bits == 0xBFF0000000000000);
    assert_true(insns[4].operands[2].bits == 11);
    weft_ptx_destroy(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

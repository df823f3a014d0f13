/* Named maxima, and text of a size at which a quadratic step or unbounded recursion would not end.
 * Breaks when a maximum is not held, or when memory follows the numbers in the text and not its
 * length. */
#include "ptx_test.h"

#define DEEP 100000
#define MANY 200000

static void check_refused(const char *text, size_t size, int code, const char *reason)
{
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    assert_int_equal(weft_ptx_parse(&module, text, size, &err), -code);
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" has no \"%s\"", err.text, reason);
}

static void check_nesting(const char *before, char open, const char *reason)
{
    size_t length = strlen(before);
    char *text = malloc(length + DEEP);
    assert_non_null(text);
    memcpy(text, before, length);
    memset(text + length, open, DEEP);
    check_refused(text, length + DEEP, WEFT_ERANGE, reason);
    free(text);
}

static void test_depth(void **state)
{
    (void)state;
    check_nesting(MODULE_HEAD ".global .u32 x = ", '(', "nested deeper than 64");
    check_nesting(MODULE_HEAD ".global .u32 x = ", '-', "nested deeper than 64");
    check_nesting(MODULE_HEAD ".global .u32 x = ", '~', "nested deeper than 64");
    check_nesting(MODULE_HEAD ".entry k() ", '{', "nested deeper than 127");
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *reason;
    } cases[] = {
        {".global .u8 x[2][1099511627776];", WEFT_ERANGE, "the array is too large"},
        {".global .u8 x[2][1000000000] = {{1}, {2}};", WEFT_ERANGE, "initialisers are larger"},
        {".global .u8 x[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1];", WEFT_ERANGE,
         "at most 16 dimensions"},
        {".entry k() { .reg .b32 %r<4294967296>; }", WEFT_ESYNTAX, "a number of registers"},
        {".func f(.param .b8 a[2000000]);", WEFT_ERANGE, "more than 1048576 bytes"},
        {".entry k() { add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add."
         "add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add.add"
         ".add.add; }",
         WEFT_ERANGE, "name is too long"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        int length = snprintf(text, sizeof(text), MODULE_HEAD "%s", cases[i].text);
        check_refused(text, (size_t)length, cases[i].code, cases[i].reason);
    }
}

/* A hundred million registers that nobody uses take no memory: a thousand functions declare them.
 */
static void test_unused_registers(void **state)
{
    (void)state;
    char *text = malloc(1 << 20);
    assert_non_null(text);
    int at = sprintf(text, MODULE_HEAD);
    for (int i = 0; i < 1000; i++)
        at +=
            sprintf(text + at,
                    ".func f%d() { .reg .b32 %%r<100000000>; mov.b32 %%r99999999, 1; ret; }\n", i);
    struct weft_ptx_module *module = parse_good(text);
    for (uint32_t i = 0; i < module->function_count; i++)
        assert_int_equal(module->functions[i].register_count, 1);
    weft_ptx_destroy(module);
    free(text);
}

/* Ten megabytes: labels used long before they come, from within scopes, and as many registers. */
static void test_large(void **state)
{
    (void)state;
    char *text = malloc((size_t)MANY * 80);
    assert_non_null(text);
    int at = sprintf(text, MODULE_HEAD ".entry k() { .reg .b32 %%r<%d>;\n", MANY);
    for (int i = 0; i < MANY; i++)
        at += sprintf(text + at, "{ L%d: bra M%d; } mov.b32 %%r%d, %%r%d;\n", i, MANY - 1 - i, i,
                      MANY - 1 - i);
    for (int i = 0; i < MANY; i++)
        at += sprintf(text + at, "M%d:\n", i);
    sprintf(text + at, "ret; }\n");
    struct weft_ptx_module *module = parse_good(text);
    const struct weft_ptx_function *k = &module->functions[0];
    assert_int_equal(k->insn_count, 2 * MANY + 1);
    assert_int_equal(k->register_count, MANY);
    assert_int_equal(k->insns[0].operands[0].index, 2 * MANY);
    weft_ptx_destroy(module);
    free(text);
}

static void test_destroy_null(void **state)
{
    (void)state;
    weft_ptx_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_unused_registers),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_destroy_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

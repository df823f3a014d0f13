/* Bodies that are read late are what they are when a text is read in one go: the same contents, the
 * same names in sight, the same errors. What would break it: losing the place or the line of a
 * body, braces in comments and strings, names from behind it, one body's failure in the next, two
 * threads at once. */
#include <pthread.h>

#include "ptx_test.h"

#define THREADS 4
#define MANY 200
#define KERNEL_BYTES 256

static struct weft_ptx_module *parse_late(const char *text)
{
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    char *copy = strdup(text); /* which need not outlive the call */
    if (weft_ptx_parse_heads(&module, copy, strlen(copy), &err) < 0)
        fail_msg("%s\nin: %s", err.text, text);
    free(copy);
    return module;
}

static const struct weft_ptx_function *read(const struct weft_ptx_module *module, const char *name)
{
    struct weft_err err = {0};
    uint32_t index = weft_ptx_find_function(module, name);
    assert_int_not_equal(index, WEFT_PTX_NONE);
    if (weft_ptx_read_body(module, index, &err))
        fail_msg("%s", err.text);
    return &module->functions[index];
}

static void same_function(const struct weft_ptx_function *one,
                          const struct weft_ptx_function *other)
{
    assert_int_equal(one->register_count, other->register_count);
    assert_int_equal(one->variable_count, other->variable_count);
    assert_int_equal(one->insn_count, other->insn_count);
    for (uint32_t i = 0; i < one->register_count; i++)
        assert_string_equal(one->registers[i].name, other->registers[i].name);
    for (uint32_t i = 0; i < one->insn_count; i++) {
        assert_int_equal(one->insns[i].opcode, other->insns[i].opcode);
        assert_int_equal(one->insns[i].line, other->insns[i].line);
        assert_int_equal(one->insns[i].column, other->insns[i].column);
        for (uint32_t n = 0; n < one->insns[i].operand_count; n++)
            assert_int_equal(one->insns[i].operands[n].index, other->insns[i].operands[n].index);
    }
}

static const char text[] =
    MODULE_HEAD ".global .u32 g = 7;\n"
                ".func (.reg .u32 %result) add(.reg .u32 %one, .param .u32 two)\n"
                "{ .reg .u32 %r<4>; // } not here\n"
                "  ld.param.u32 %r1, [two]; /* nor }}\n here */ .pragma \"nor } \\\" {\";\n"
                "  { .reg .u32 %inner; mov.u32 %inner, %one; add.u32 %result, %inner, %r1; }\n"
                "  ret; }\n"
                ".func (.reg .u32 %result) plus(.reg .u32 %one, .param .u32 two);\n"
                ".alias plus, add;\n"
                ".visible .entry k(.param .u64 out) { .reg .u64 %f; .reg .pred p;\n"
                " // a .callprototype that is none\n"
                " again: ld.param.u64 %f, [out];\n"
                " proto: .callprototype _ (.param .u64 a);\n"
                " { .param .u64 a; st.param.u64 [a], %f; call %f, (a), proto; }\n"
                " @p bra again;\n"
                " ret; }\n"
                ".visible .entry last() { .reg .u32 %r<2>; ld.global.u32 %r1, [g]; ret; }\n";

static void test_same(void **state)
{
    static const char *const names[] = {"last", "plus", "k", "add", "last"};
    struct weft_ptx_module *whole = parse_good(text), *late = parse_late(text);
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        same_function(&whole->functions[weft_ptx_find_function(whole, names[i])],
                      read(late, names[i]));
    const struct weft_ptx_call *call = read(late, "k")->insns[2].call;
    assert_true(late->functions[call->prototype].prototype);
    assert_int_equal(late->functions[call->prototype].parameter_count, 1);
    assert_string_equal(late->functions[call->prototype].parameters[0].name, "a");
    weft_ptx_destroy(whole);
    weft_ptx_destroy(late);
}

static void test_unread(void **state)
{
    struct weft_ptx_module *late = parse_late(text);
    uint32_t index = weft_ptx_find_function(late, "k");
    (void)state;
    assert_true(late->functions[index].body && late->functions[index].entry);
    assert_int_equal(late->functions[index].parameter_bytes, 8);
    assert_null(late->functions[index].insns);
    weft_ptx_destroy(late);
}

/* The error of a body comes with its place each time, and only for that body. */
static void test_failing(void **state)
{
    static const char failing[] =
        MODULE_HEAD ".visible .entry good() { ret; }\n"
                    ".visible .entry bad()\n"
                    "{ .reg .u32 %r<4>;\n { { mov.u32 %r1, (1 + nothing; } }\n"
                    " ret; }\n"
                    ".visible .entry other() { .reg .u32 %r<4>;\n"
                    " early: mov.u32 %r1, %r2; bra early; }\n";
    struct weft_ptx_module *late = parse_late(failing);
    struct weft_err err = {0}, again = {0}, whole = {0};
    struct weft_ptx_module *none = NULL;
    uint32_t bad = weft_ptx_find_function(late, "bad");
    (void)state;
    assert_int_equal(weft_ptx_read_body(late, bad, &err), -WEFT_ESYNTAX);
    assert_int_equal(weft_ptx_read_body(late, bad, &again), -WEFT_ESYNTAX);
    assert_int_equal(weft_ptx_parse(&none, failing, strlen(failing), &whole), -WEFT_ESYNTAX);
    assert_string_equal(err.text, whole.text);
    assert_string_equal(again.text, whole.text);
    assert_memory_equal(err.text, "ptx:7:", 6);
    assert_int_equal(read(late, "other")->register_count, 2);
    assert_int_equal(read(late, "good")->insn_count, 1);
    weft_ptx_destroy(late);
}

/* What stands behind a body is unknown in it, as where a text is read in one go. */
static void test_later_names(void **state)
{
    static const char *const texts[] = {
        ".entry k() { .reg .u32 %r; ld.global.u32 %r, [later]; ret; } .global .u32 later;\n",
        ".entry k() { call later; ret; } .func later() { ret; }\n",
        ".entry k() { t: .calltargets later; ret; } .func later() { ret; }\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char whole[512];
        struct weft_err err = {0}, late_err = {0};
        struct weft_ptx_module *none = NULL;
        snprintf(whole, sizeof(whole), MODULE_HEAD "%s", texts[i]);
        struct weft_ptx_module *late = parse_late(whole);
        assert_true(weft_ptx_parse(&none, whole, strlen(whole), &err) < 0);
        assert_int_equal(weft_ptx_read_body(late, 0, &late_err), err.code);
        assert_string_equal(late_err.text, err.text);
        weft_ptx_destroy(late);
    }
}

/* A body without an end is an error of the load, and the same. */
static void test_endless(void **state)
{
    static const char *const bodies[] = {"{ ret;", "{ ret; \" }", "{ ret; /* }", "{ { ret; }",
                                         "{ .pragma \"\\\" }\n\"; }"};
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        char whole[256];
        struct weft_err err = {0}, late = {0};
        struct weft_ptx_module *none = NULL;
        snprintf(whole, sizeof(whole), MODULE_HEAD ".entry k() %s", bodies[i]);
        assert_true(weft_ptx_parse(&none, whole, strlen(whole), &err) < 0);
        assert_int_equal(weft_ptx_parse_heads(&none, whole, strlen(whole), &late), err.code);
        assert_string_equal(late.text, err.text);
    }
}

static void *read_all(void *argument)
{
    const struct weft_ptx_module *module = argument;
    for (uint32_t i = 0; i < module->function_count; i++)
        if (weft_ptx_read_body(module, i, NULL) || module->functions[i].insn_count != 2)
            return argument;
    return NULL;
}

static void test_threads(void **state)
{
    char *whole = malloc(sizeof(MODULE_HEAD) + MANY * KERNEL_BYTES);
    pthread_t threads[THREADS];
    (void)state;
    assert_non_null(whole);
    size_t used = (size_t)sprintf(whole, MODULE_HEAD);
    for (int i = 0; i < MANY; i++)
        used += (size_t)sprintf(whole + used,
                                ".entry k%d(.param .u32 n) { .reg .u32 %%r<4>;\n"
                                " ld.param.u32 %%r1, [n]; ret; }\n",
                                i);
    struct weft_ptx_module *late = parse_late(whole);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, late), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    weft_ptx_destroy(late);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),    cmocka_unit_test(test_unread),
        cmocka_unit_test(test_failing), cmocka_unit_test(test_later_names),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

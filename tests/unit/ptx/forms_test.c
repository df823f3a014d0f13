/* Every form that programs were seen to use, and every type that a form takes or refuses. Breaks
 * when a modifier, a type or an operand is taken that should not be, or the other way round. The
 * lists were checked against the field's own assembler: forms.txt holds what was counted in public
 * programs, types.txt and refused.txt one mnemonic with each type. */
#include "ptx_test.h"

static const char prelude[] =
    MODULE_HEAD ".const .align 16 .b8 cc[64];\n.global .texref tx;\n.global .surfref su;\n"
                ".func callee { ret; }\n"
                ".func (.param .align 16 .b8 q[64]) f(.param .align 16 .b8 pa[64])\n{\n"
                ".reg .pred %p<10>; .reg .b16 %h<20>; .reg .b32 %r<20>; .reg .b64 %rd<20>;\n"
                ".reg .f32 %f<20>; .reg .f64 %d<20>; .reg .b128 %q<9>;\n"
                ".shared .align 16 .b8 sm[64]; .shared .align 8 .b64 mb;\n"
                ".local .align 16 .b8 lo[64];\n";

static int parse_line(struct weft_ptx_module **module, const char *line, struct weft_err *err)
{
    char text[4096];
    int length = snprintf(text, sizeof(text), "%s%s\nL: ret;\n}\n", prelude, line);
    assert_true(length > 0 && (size_t)length < sizeof(text));
    return weft_ptx_parse(module, text, (size_t)length, err);
}

/* The instruction keeps its text and has an operand for each that was written. */
static void check_kept(const struct weft_ptx_module *module, const char *line)
{
    const struct weft_ptx_function *function = &module->functions[1];
    assert_int_equal(function->insn_count, 2);
    const struct weft_ptx_insn *insn = &function->insns[0];
    size_t length = strcspn(line, " ;");
    assert_int_equal(strlen(insn->text), length);
    assert_memory_equal(insn->text, line, length);
    bool operands = line[length] == ' ';
    assert_true(operands == (insn->operand_count > 0 || insn->call));
}

static void check_accepted(const char *file, unsigned least)
{
    char *text = read_data(file), *rest = text, *line;
    unsigned count = 0;
    for (; (line = strsep(&rest, "\n")) && *line; count++) {
        struct weft_ptx_module *module = NULL;
        struct weft_err err = {0};
        if (parse_line(&module, line, &err) < 0)
            fail_msg("%s\n%s", line, err.text);
        check_kept(module, line);
        weft_ptx_destroy(module);
    }
    assert_true(count >= least);
    free(text);
}

static void test_seen_forms(void **state)
{
    (void)state;
    check_accepted("forms.txt", 632);
}

static void test_types(void **state)
{
    (void)state;
    check_accepted("types.txt", 600);
}

static void test_refused(void **state)
{
    (void)state;
    char *text = read_data("refused.txt"), *rest = text, *line;
    for (; (line = strsep(&rest, "\n")) && *line;) {
        struct weft_ptx_module *module = NULL;
        struct weft_err err = {0};
        if (parse_line(&module, line, &err) == 0)
            fail_msg("taken, though it is no PTX: %s", line);
        assert_int_equal(err.code, -WEFT_ESYNTAX);
        if (!strstr(err.text, "ptx:14:"))
            fail_msg("%s\nis not reported in its line: %s", line, err.text);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_forms),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

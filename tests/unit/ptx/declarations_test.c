/* Variables, registers, functions and what surrounds them. Breaks when a size, an offset, an
 * initialiser, a relocation or a directive is read otherwise. */
#include "ptx_test.h"

static const struct weft_ptx_variable *variable(const struct weft_ptx_module *module,
                                                const char *name)
{
    uint32_t index = weft_ptx_find_variable(module, name);
    assert_true(index != WEFT_PTX_NONE);
    return &module->variables[index];
}

static void test_head(void **state)
{
    (void)state;
    struct weft_ptx_module *module = parse_good(
        "// comment\n/* another\n one */\n.version 8.5\n.target sm_90a, texmode_independent, "
        "debug\n.address_size 64\n.file 1 \"a\\\"b.cu\", 1, 2\n.pragma \"x\";\n"
        ".section .debug_str { L0: .b8 1,2; .b32 .debug_info+4; .b64 L0 }\n");
    assert_int_equal(module->version_major, 8);
    assert_int_equal(module->version_minor, 5);
    assert_int_equal(module->target_sm, 90);
    assert_int_equal(module->address_bits, 64);
    assert_int_equal(module->function_count + module->variable_count, 0);
    weft_ptx_destroy(module);
    static const char old[] = ".version 3.1\n.target sm_30\n\0\0";
    assert_int_equal(weft_ptx_parse(&module, old, sizeof(old), NULL), 0);
    assert_int_equal(module->address_bits, 32);
    weft_ptx_destroy(module);
}

static void test_variables(void **state)
{
    (void)state;
    struct weft_ptx_module *module = parse_good(
        MODULE_HEAD
        ".visible .global .align 8 .b8 a[3][4];\n.extern .shared .align 16 .b8 s[];\n"
        ".const .v4 .f32 v[2] = {{1.0, 2.0, 3.0, 4.0}, {5.0}};\n"
        ".weak .global .attribute(.managed) .u16 m = 258;\n.common .global .u32 c, d[2];\n"
        ".global .u8 t[] = {1, 2, 3};\n.global .u8 n[2][3] = {{1}, {2, 3}};\n"
        ".extern .global .u32 e;\n.global .u32 e = 7;\n");
    assert_int_equal(variable(module, "a")->bytes, 12);
    assert_int_equal(variable(module, "a")->align, 8);
    assert_int_equal(variable(module, "a")->linkage, WEFT_PTX_VISIBLE);
    assert_null(variable(module, "a")->init);
    assert_int_equal(variable(module, "s")->bytes, 0);
    assert_int_equal(variable(module, "s")->space, WEFT_PTX_SHARED);
    assert_int_equal(variable(module, "v")->align, 16);
    assert_int_equal(variable(module, "v")->bytes, 32);
    const float v[] = {1, 2, 3, 4, 5};
    assert_int_equal(variable(module, "v")->init_bytes, sizeof(v));
    assert_memory_equal(variable(module, "v")->init, v, sizeof(v));
    assert_true(variable(module, "m")->managed);
    assert_memory_equal(variable(module, "m")->init, "\2\1", 2);
    assert_int_equal(variable(module, "d")->bytes, 8);
    assert_int_equal(variable(module, "d")->linkage, WEFT_PTX_COMMON);
    assert_int_equal(variable(module, "t")->bytes, 3);
    assert_memory_equal(variable(module, "n")->init, "\1\0\0\2\3", 5);
    assert_int_equal(variable(module, "e")->linkage, WEFT_PTX_STATIC);
    assert_int_equal(variable(module, "e")->init[0], 7);
    assert_int_equal(module->variable_count, 9);
    weft_ptx_destroy(module);
}

static void check_relocation(const struct weft_ptx_variable *of, uint32_t number, uint64_t offset,
                             uint8_t symbol, uint32_t index, int64_t addend)
{
    assert_true(number < of->relocation_count);
    const struct weft_ptx_relocation *relocation = &of->relocations[number];
    assert_int_equal(relocation->offset, offset);
    assert_int_equal(relocation->symbol, symbol);
    assert_int_equal(relocation->index, index);
    assert_int_equal(relocation->addend, addend);
}

static void test_relocations(void **state)
{
    (void)state;
    struct weft_ptx_module *module = parse_good(
        MODULE_HEAD ".global .u32 g[4];\n.extern .func f();\n"
                    ".global .u64 p[4] = {g+8, 5, generic(g)-4, f};\n"
                    ".global .u8 q[3] = {0xFF(g), 0xFF00(generic(g)+1), 0xFF0000(f)};\n");
    const struct weft_ptx_variable *p = variable(module, "p"), *q = variable(module, "q");
    assert_int_equal(p->relocation_count, 3);
    check_relocation(p, 0, 0, WEFT_PTX_SYMBOL_VARIABLE, 0, 8);
    check_relocation(p, 1, 16, WEFT_PTX_SYMBOL_VARIABLE, 0, -4);
    check_relocation(p, 2, 24, WEFT_PTX_SYMBOL_FUNCTION, 0, 0);
    assert_false(p->relocations[0].generic);
    assert_true(p->relocations[1].generic);
    assert_int_equal(p->relocations[0].bytes, 8);
    assert_int_equal(p->init_bytes, 32);
    assert_int_equal(p->init[8], 5);
    assert_int_equal(q->relocation_count, 3);
    check_relocation(q, 1, 1, WEFT_PTX_SYMBOL_VARIABLE, 0, 1);
    assert_int_equal(q->relocations[2].shift, 2);
    assert_int_equal(q->relocations[2].bytes, 1);
    weft_ptx_destroy(module);
}

static void test_functions(void **state)
{
    (void)state;
    struct weft_ptx_module *module = parse_good(
        MODULE_HEAD ".extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);\n"
                    ".func later(.param .align 8 .b8 s[12], .param .b8 c);\n"
                    ".visible .entry k(.param .u8 a, .param .u64 .ptr .global .align 8 b,\n"
                    ".param .align 16 .b8 c[20]) .maxntid 128, 2 .reqntid 64 .minnctapersm 3\n"
                    ".maxnreg 40 .pragma \"nounroll\";\n{ ret; }\n"
                    ".weak .func (.reg .u32 %out) later2(.reg .u64 %in) .attribute(.unified(1, 2)) "
                    ".noreturn\n{ ret; }\n"
                    ".func later(.param .align 8 .b8 s[12], .param .b8 c) { ret; }\n");
    assert_int_equal(module->function_count, 4);
    const struct weft_ptx_function *k = &module->functions[weft_ptx_find_function(module, "k")];
    assert_true(k->entry && k->body && k->linkage == WEFT_PTX_VISIBLE);
    assert_int_equal(k->parameter_count, 3);
    assert_int_equal(k->parameters[1].offset, 8);
    assert_int_equal(k->parameters[2].offset, 16);
    assert_int_equal(k->parameters[2].bytes, 20);
    assert_int_equal(k->parameters[2].align, 16);
    assert_int_equal(k->parameter_bytes, 36);
    assert_int_equal(k->maxntid[0] * k->maxntid[1] * k->maxntid[2], 256);
    assert_int_equal(k->reqntid[0], 64);
    assert_int_equal(k->minnctapersm, 3);
    assert_int_equal(k->maxnreg, 40);
    const struct weft_ptx_function *later = &module->functions[1];
    assert_string_equal(later->name, "later");
    assert_true(later->body && later->insn_count == 1);
    const struct weft_ptx_function *regs = &module->functions[3];
    assert_true(regs->noreturn && regs->parameters[0].space == WEFT_PTX_REG);
    assert_string_equal(regs->registers[regs->parameters[0].reg].name, "%in");
    assert_string_equal(regs->registers[regs->returns[0].reg].name, "%out");
    assert_false(module->functions[0].body);
    assert_int_equal(module->functions[0].linkage, WEFT_PTX_EXTERN);
    assert_int_equal(weft_ptx_find_function(module, "none"), WEFT_PTX_NONE);
    weft_ptx_destroy(module);
}

/* The style of GCC's back end: scopes for calls, names with a percent sign everywhere, the stack as
 * a register. */
static void test_gcc_style(void **state)
{
    (void)state;
    struct weft_ptx_module *module = parse_good(
        "// BEGIN PREAMBLE\n\t.version\t3.1\n\t.target\tsm_30\n\t.address_size 64\n// END "
        "PREAMBLE\n"
        "// BEGIN GLOBAL FUNCTION DECL: f\n.visible .func (.param .u32 %value_out) f "
        "(.param .u64 %in_ar0);\n// BEGIN VAR DEF: buf\n.visible .global .align 4 .u32 buf[2] = { "
        "1,2 };\n"
        "// BEGIN GLOBAL FUNCTION DEF: f\n.visible .func (.param .u32 %value_out) f "
        "(.param .u64 %in_ar0)\n{\n\t.reg .u32 %value;\n\t.reg .u64 %ar0;\n"
        "\tld.param.u64 %ar0, [%in_ar0];\n\t.local .align 16 .b8 %frame_ar[16];\n"
        "\t.reg .u64 %frame;\n\tcvta.local.u64 %frame, %frame_ar;\n\t.reg .pred %r30;\n"
        "\t.reg .u32 %r22;\n\t\tst.u32\t[%frame+4], %r22;\n"
        "\t\tsetp.eq.u32\t%r30, %r22, 0;\n\t@%r30\tbra\t$L2;\n\t{\n"
        "\t\t.param .u32 %value_in;\n\t\t.param .u64 %out_arg1;\n"
        "\t\tst.param.u64 [%out_arg1], %ar0;\n"
        "\t\tcall (%value_in), f, (%out_arg1);\n\t\tld.param.u32\t%r22, [%value_in];\n\t}\n"
        "$L2:\n\t\tshfl.down.b32\t%r22, %r22, 1, 31;\n\t\tbar.sync\t0;\n"
        "\t\tmov.u32\t%value, %r22;\n\tst.param.u32\t[%value_out], %value;\n\tret;\n}\n");
    const struct weft_ptx_function *f = &module->functions[0];
    assert_int_equal(module->function_count, 1);
    assert_int_equal(f->insn_count, 13);
    assert_int_equal(f->insns[4].operands[0].index, 8);
    assert_int_equal(f->variable_count, 3);
    assert_int_equal(f->insns[6].call->target.index, 0);
    weft_ptx_destroy(module);
}

/* As GCC declares what it passes to a function. Breaks where the range is one variable, or an
 * element has another's type. */
static void test_ranges_of_variables(void **state)
{
    (void)state;
    struct weft_ptx_module *module =
        parse_good(MODULE_HEAD ".visible .entry k() {\n.param .u64 %P<2>; .local .b32 l<1>, m;\n"
                               "st.param.u64 [%P0], 1; st.param.u64 [%P1], 2; ret;\n}\n");
    const struct weft_ptx_function *function = &module->functions[0];
    static const char *const names[] = {"%P0", "%P1", "l0", "m"};
    assert_int_equal(function->variable_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(function->variables[i].name, names[i]);
        assert_int_equal(function->variables[i].bytes, i < 2 ? 8 : 4);
    }
    assert_int_equal(function->insns[1].operands[0].index, 1);
    weft_ptx_destroy(module);
    struct weft_err err = {0};
    static const char endless[] = MODULE_HEAD ".func f() {\n.param .u64 %P<4097>; ret;\n}\n";
    assert_true(weft_ptx_parse(&module, endless, strlen(endless), &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_relocations), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_gcc_style),   cmocka_unit_test(test_ranges_of_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

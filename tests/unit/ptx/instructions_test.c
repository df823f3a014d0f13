/* Instructions as the executor gets them: modifiers as fields, names as indices. Breaks when a
 * field is filled otherwise, or a name is found in the wrong scope. */
#include "ptx_test.h"

#define KERNEL MODULE_HEAD ".global .b32 g[8];\n.entry k(.param .u64 pa)\n{\n"
#define REGISTERS \
    ".reg .pred %p<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<9>; .reg .v4 .f32 %v;\n"

static struct weft_ptx_module *parse_kernel(const char *body)
{
    char text[4096];
    snprintf(text, sizeof(text), "%s%s\n}\n", KERNEL REGISTERS, body);
    return parse_good(text);
}

static const char *register_name(const struct weft_ptx_module *module, uint32_t index)
{
    const struct weft_ptx_function *function = &module->functions[0];
    assert_true(index < function->register_count);
    return function->registers[index].name;
}

static void test_modifiers(void **state)
{
    (void)state;
    struct weft_ptx_module *module = parse_kernel(
        "ld.relaxed.gpu.global.v4.f32 {%f1, %f2, _, %f4}, [%rd1+16];\n"
        "cvt.rzi.ftz.sat.u32.f32 %r1, %f1;\nmad.wide.u32 %rd1, %r1, 3, %rd2;\n"
        "atom.shared.cta.cas.b32 %r1, [%rd1], %r2, %r3;\nsetp.ltu.and.ftz.f32 %p1|%p2, %f1, %f2, "
        "!%p3;\n"
        "bar.red.popc.u32 %r1, 0, %p1;\nbarrier.sync 1, 64;\nbar.warp.sync -1;\n"
        "shf.r.clamp.b32 %r1, %r2, %r3, %r4;\nshfl.sync.bfly.b32 %r1|%p1, %r2, 1, 31, -1;\n"
        "membar.gl;\nfence.acq_rel.cluster;\ncp.async.cg.shared.global [%rd1], [%rd2], 16;\n"
        "vote.sync.uni.pred %p1, %p2, -1;\nprmt.b32.rc16 %r1, %r2, %r3, %r4;");
    const struct weft_ptx_insn *i = module->functions[0].insns;
    assert_int_equal(i[0].opcode, WEFT_PTX_LD);
    assert_int_equal(i[0].order, WEFT_PTX_RELAXED);
    assert_int_equal(i[0].scope, WEFT_PTX_GPU);
    assert_int_equal(i[0].space, WEFT_PTX_GLOBAL);
    assert_int_equal(i[0].vector, 4);
    assert_int_equal(i[0].operands[0].kind, WEFT_PTX_OPERAND_VECTOR);
    assert_int_equal(i[0].operands[0].element_count, 4);
    assert_int_equal(i[0].operands[0].elements[2].kind, WEFT_PTX_OPERAND_SINK);
    assert_true(i[0].operands[1].register_base && i[0].operands[1].offset == 16);
    assert_string_equal(i[0].text, "ld.relaxed.gpu.global.v4.f32");
    assert_int_equal(i[1].rounding, WEFT_PTX_RZI);
    assert_int_equal(i[1].flags, WEFT_PTX_FTZ | WEFT_PTX_SAT);
    assert_int_equal(i[1].types[0], WEFT_PTX_U32);
    assert_int_equal(i[1].types[1], WEFT_PTX_F32);
    assert_int_equal(i[1].type_count, 2);
    assert_int_equal(i[2].flags, WEFT_PTX_WIDE);
    assert_int_equal(i[3].operation, WEFT_PTX_OP_CAS);
    assert_int_equal(i[3].scope, WEFT_PTX_CTA);
    assert_int_equal(i[4].compare, WEFT_PTX_LTU);
    assert_int_equal(i[4].operation, WEFT_PTX_OP_AND);
    assert_true(i[4].paired && i[4].operand_count == 5 && i[4].operands[4].negated);
    assert_int_equal(i[5].mode, WEFT_PTX_BAR_RED);
    assert_int_equal(i[5].operation, WEFT_PTX_OP_POPC);
    assert_true(i[5].flags & WEFT_PTX_ALIGNED);
    assert_int_equal(i[6].mode, WEFT_PTX_BAR_SYNC);
    assert_false(i[6].flags & WEFT_PTX_ALIGNED);
    assert_int_equal(i[7].mode, WEFT_PTX_BAR_WARP);
    assert_int_equal(i[8].mode, WEFT_PTX_RIGHT_CLAMP);
    assert_int_equal(i[9].mode, WEFT_PTX_BFLY);
    assert_true(i[9].flags & WEFT_PTX_SYNC);
    assert_int_equal(i[10].scope, WEFT_PTX_GPU);
    assert_int_equal(i[11].order, WEFT_PTX_ACQ_REL);
    assert_int_equal(i[11].scope, WEFT_PTX_CLUSTER);
    assert_int_equal(i[12].opcode, WEFT_PTX_CP_ASYNC);
    assert_int_equal(i[12].space, WEFT_PTX_SHARED);
    assert_int_equal(i[12].space2, WEFT_PTX_GLOBAL);
    assert_int_equal(i[13].mode, WEFT_PTX_UNIFORM);
    assert_int_equal(i[14].mode, WEFT_PTX_RC16);
    weft_ptx_destroy(module);
}

static void test_operands(void **state)
{
    (void)state;
    struct weft_ptx_module *module = parse_kernel(
        "mov.u32 %r1, %ctaid.z;\nmov.f32 %f1, %v.y;\nld.global.v4.f32 %v, [g];\n"
        "mov.u64 %rd1, g+4;\nmov.u64 %rd1, g[3];\nld.global.b32 %r1, g[2];\n"
        "ld.param.u64 %rd1, [pa];\nld.local.u32 %r1, [1024];\nmov.b64 {%r1, _}, %rd1;\n"
        "vmad.u32.u32.s32 %r1, %r2.b3, -%r3.h1, %r2;\n"
        "tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%rd1, {%f5, %f6}];\n"
        "@!%p1 st.shared.u32 [%r1+-4], WARP_SZ;");
    const struct weft_ptx_insn *i = module->functions[0].insns;
    assert_int_equal(i[0].operands[1].kind, WEFT_PTX_OPERAND_SPECIAL);
    assert_int_equal(i[0].operands[1].index, WEFT_PTX_SPECIAL_CTAID);
    assert_int_equal(i[0].operands[1].component, 2);
    assert_int_equal(i[1].operands[1].component, 1);
    assert_int_equal(i[2].operands[0].kind, WEFT_PTX_OPERAND_VECTOR);
    assert_int_equal(i[2].operands[0].elements[3].component, 3);
    assert_int_equal(i[2].operands[1].symbol, WEFT_PTX_SYMBOL_VARIABLE);
    assert_int_equal(i[3].operands[1].kind, WEFT_PTX_OPERAND_SYMBOL);
    assert_int_equal(i[3].operands[1].offset, 4);
    assert_int_equal(i[4].operands[1].kind, WEFT_PTX_OPERAND_SYMBOL);
    assert_int_equal(i[4].operands[1].offset, 12);
    assert_int_equal(i[5].operands[1].kind, WEFT_PTX_OPERAND_ADDRESS);
    assert_int_equal(i[5].operands[1].offset, 8);
    assert_int_equal(i[6].operands[1].symbol, WEFT_PTX_SYMBOL_PARAMETER);
    assert_int_equal(i[7].operands[1].symbol, WEFT_PTX_SYMBOL_NONE);
    assert_int_equal(i[7].operands[1].offset, 1024);
    assert_int_equal(i[8].operands[0].elements[1].kind, WEFT_PTX_OPERAND_SINK);
    assert_int_equal(i[9].operands[1].selector, WEFT_PTX_SELECT_B3);
    assert_int_equal(i[9].operands[2].selector, WEFT_PTX_SELECT_H1);
    assert_true(i[9].operands[2].minus);
    assert_int_equal(i[10].operands[1].element_count, 1);
    assert_int_equal(i[10].operands[1].elements[0].element_count, 2);
    assert_string_equal(register_name(module, i[11].guard), "%p1");
    assert_true(i[11].guard_negated);
    assert_int_equal(i[11].operands[0].offset, -4);
    assert_true(i[11].operands[1].bits == 32);
    weft_ptx_destroy(module);
}

/* Only what is used becomes a register, and an inner declaration hides an outer one. */
static void test_scopes(void **state)
{
    (void)state;
    struct weft_ptx_module *module =
        parse_kernel("mov.b32 %r5, 1;\n{ .reg .f32 %r5; mov.f32 %r5, 0f00000000; "
                     "{ .reg .b64 %r<9>; mov.b64 %r5, 2; } mov.f32 %r5, 0f00000000; }\n"
                     "mov.b32 %r5, %r6;");
    const struct weft_ptx_function *k = &module->functions[0];
    const struct weft_ptx_insn *i = k->insns;
    static const uint8_t types[] = {WEFT_PTX_B32, WEFT_PTX_F32, WEFT_PTX_B64, WEFT_PTX_F32,
                                    WEFT_PTX_B32};
    for (int n = 0; n < 5; n++)
        assert_int_equal(k->registers[i[n].operands[0].index].type, types[n]);
    assert_int_equal(i[0].operands[0].index, i[4].operands[0].index);
    assert_int_equal(i[1].operands[0].index, i[3].operands[0].index);
    assert_int_equal(k->register_count, 5); /* %v, three of the name %r5, %r6 */
    weft_ptx_destroy(module);
}

static void test_labels(void **state)
{
    (void)state;
    struct weft_ptx_module *module =
        parse_kernel("bra END;\nL:\n{ L: bra L; bra M; }\nbra L;\nM: { bra END; }\n"
                     "ts: .branchtargets L, M, END;\nbrx.idx %r1, ts;\nEND:");
    const struct weft_ptx_function *k = &module->functions[0];
    const struct weft_ptx_insn *i = k->insns;
    assert_int_equal(k->insn_count, 6);
    assert_int_equal(i[0].operands[0].kind, WEFT_PTX_OPERAND_LABEL);
    assert_int_equal(i[0].operands[0].index, 6);
    assert_int_equal(i[1].operands[0].index, 1);
    assert_int_equal(i[2].operands[0].index, 4);
    assert_int_equal(i[3].operands[0].index, 1);
    assert_int_equal(i[4].operands[0].index, 6);
    assert_non_null(i[5].table);
    assert_int_equal(i[5].table->count, 3);
    assert_int_equal(i[5].table->targets[1], 4);
    weft_ptx_destroy(module);
}

static void test_calls(void **state)
{
    (void)state;
    struct weft_ptx_module *module =
        parse_good(MODULE_HEAD
                   ".func (.param .b32 r) f(.param .b32 a, .param .b64 b);\n.func h;\n"
                   ".entry k() {\n.reg .b64 %fp; .reg .b32 %x; .param .b32 r0; .param .b64 a1;\n"
                   "call.uni (r0), f, (%x, a1);\ncall h;\n"
                   "P: .callprototype (.param .b32 _) _ (.param .b32 _, .param .b64 _) .noreturn;\n"
                   "call (r0), %fp, (5, a1), P;\nC: .calltargets f;\n"
                   "call (r0), %fp, (%x, a1), C;\nret;\n}\n.alias h, h;\n");
    const struct weft_ptx_function *k = &module->functions[weft_ptx_find_function(module, "k")];
    const struct weft_ptx_insn *i = k->insns;
    assert_true(i[0].flags & WEFT_PTX_UNI);
    assert_int_equal(i[0].call->target.symbol, WEFT_PTX_SYMBOL_FUNCTION);
    assert_int_equal(i[0].call->target.index, 0);
    assert_int_equal(i[0].call->return_count, 1);
    assert_int_equal(i[0].call->argument_count, 2);
    assert_int_equal(i[0].call->arguments[1].symbol, WEFT_PTX_SYMBOL_LOCAL);
    assert_int_equal(i[1].call->argument_count, 0);
    assert_int_equal(i[2].call->target.kind, WEFT_PTX_OPERAND_REGISTER);
    const struct weft_ptx_function *prototype = &module->functions[i[2].call->prototype];
    assert_true(prototype->prototype && prototype->noreturn && !prototype->body);
    assert_int_equal(prototype->parameters[1].offset, 8);
    assert_int_equal(weft_ptx_find_function(module, "P"), WEFT_PTX_NONE);
    assert_int_equal(i[3].call->prototype, 0);
    weft_ptx_destroy(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modifiers), cmocka_unit_test(test_operands),
        cmocka_unit_test(test_scopes),    cmocka_unit_test(test_labels),
        cmocka_unit_test(test_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

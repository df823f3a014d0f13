/* Divergence, turns, calls and the ends of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "rig.h"

/* A lock that threads of one warp spin for. `read` is how a spinning lane looks at the lock. */
#define SPIN_LOCK(look)                                                                      \
    ".global .u32 lock;\n.global .u32 sum;\n" RIG_KERNEL(                                    \
        "mov.u64 %rd2, lock;\nmov.u64 %rd3, sum;\n"                                          \
        "SPIN:\n" look "setp.ne.u32 %p1, %r2, 0;\n@%p1 bra SPIN;\n"                          \
        "atom.global.cas.b32 %r2, [%rd2], 0, 1;\nsetp.ne.u32 %p1, %r2, 0;\n@%p1 bra SPIN;\n" \
        "ld.global.u32 %r3, [%rd3];\nadd.u32 %r3, %r3, %r1;\nst.global.u32 [%rd3], %r3;\n"   \
        "membar.gl;\natom.global.exch.b32 %r2, [%rd2], 0;\nst.global.u32 [%rd1], %r3;\n")

static void spin(const char *text, uint64_t budget)
{
    struct rig rig;
    rig_open(&rig, text);
    rig.budget = budget;
    rig.runs_max = 100000000;
    uint32_t *out = rig_run_words(&rig, 64);
    uint32_t most = 0;
    for (int i = 0; i < 64; i++)
        most = out[i] > most ? out[i] : most;
    assert_int_equal(most, 64 * 63 / 2);
    rig_close(&rig);
}

/* Breaks where lanes that spin at a low PC starve the lane that holds the lock, whatever the length
 * of turns. */
static void test_spin_lock(void **state)
{
    (void)state;
    spin(SPIN_LOCK("ld.volatile.global.u32 %r2, [%rd2];\n"), UINT64_MAX);
    spin(SPIN_LOCK("ld.volatile.global.u32 %r2, [%rd2];\n"), 1);
    spin(SPIN_LOCK("mov.u32 %r2, 0;\n"), 3);
    spin(SPIN_LOCK("ld.global.u32 %r2, [%rd2];\n"), 1000);
}

/* Breaks where a budget is not kept to, or where a turn's end changes what is computed. */
static void test_any_budget(void **state)
{
    (void)state;
    static const uint64_t budgets[] = {1, 2, 7, 100, UINT64_MAX};
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        struct rig rig;
        rig_open(&rig, RIG_KERNEL("mov.u32 %r2, 0;\nmov.u32 %r3, 0;\n"
                                  "LOOP:\nsetp.gt.u32 %p1, %r3, %r1;\n@%p1 bra OUT;\n"
                                  "mad.lo.u32 %r2, %r3, %r3, %r2;\nadd.u32 %r3, %r3, 1;\n"
                                  "bra LOOP;\nOUT:\nbar.sync 0;\nst.global.u32 [%rd1], %r2;\n"));
        rig.budget = budgets[i];
        uint32_t *out = rig_run_words(&rig, 70);
        for (uint32_t n = 0; n < 70; n++)
            assert_int_equal(out[n], n * (n + 1) * (2 * n + 1) / 6);
        rig_close(&rig);
    }
}

/* Breaks where lanes that part do not come together again: the lanes behind the branch are counted.
 */
static void test_reconvergence(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("and.b32 %r2, %r1, 3;\nsetp.eq.u32 %p1, %r2, 0;\n@%p1 bra A;\n"
                              "setp.eq.u32 %p1, %r2, 1;\n@%p1 bra B;\nadd.u32 %r2, %r2, 1;\n"
                              "bra JOIN;\nA:\nadd.u32 %r2, %r2, 2;\nbra JOIN;\nB:\n"
                              "add.u32 %r2, %r2, 3;\nJOIN:\nactivemask.b32 %r3;\n"
                              "st.global.u32 [%rd1], %r3;\n"));
    uint32_t *out = rig_run_words(&rig, 48);
    for (int i = 0; i < 48; i++)
        assert_int_equal(out[i], i < 32 ? 0xffffffff : 0xffff);
    rig_close(&rig);
}

static const char fibonacci[] =
    ".func (.param .b32 r) fib(.param .b32 n)\n{\n.reg .pred %p1;\n.reg .b32 %r<6>;\n"
    "ld.param.u32 %r1, [n];\nsetp.lt.u32 %p1, %r1, 2;\n@%p1 bra LEAF;\n"
    "add.s32 %r2, %r1, -1;\n{\n.param .b32 a;\n.param .b32 b;\nst.param.b32 [a], %r2;\n"
    "call (b), fib, (a);\nld.param.b32 %r3, [b];\n}\n"
    "add.s32 %r4, %r1, -2;\n{\n.param .b32 a;\n.param .b32 b;\nst.param.b32 [a], %r4;\n"
    "call (b), fib, (a);\nld.param.b32 %r5, [b];\n}\n"
    "add.s32 %r1, %r3, %r5;\nLEAF:\nst.param.b32 [r], %r1;\nret;\n}\n";

/* Breaks where frames of lanes at different depths mix. */
static void test_recursion(void **state)
{
    (void)state;
    char text[4096];
    snprintf(text, sizeof(text), "%s%s", fibonacci,
             RIG_KERNEL("and.b32 %r2, %r1, 15;\n{\n.param .b32 a;\n.param .b32 b;\n"
                        "st.param.b32 [a], %r2;\ncall (b), fib, (a);\nld.param.b32 %r3, [b];\n}\n"
                        "st.global.u32 [%rd1], %r3;\n"));
    struct rig rig;
    rig_open(&rig, text);
    uint32_t *out = rig_run_words(&rig, 64);
    uint32_t expected[16] = {0, 1};
    for (int i = 2; i < 16; i++)
        expected[i] = expected[i - 1] + expected[i - 2];
    for (int i = 0; i < 64; i++)
        assert_int_equal(out[i], expected[i & 15]);
    rig_close(&rig);
}

/* Breaks where the stack's limit is not kept: a recursion without end must fault, not eat the
 * host's memory. */
static void test_stack_overflow(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, ".func down(.reg .b32 n)\n{\n.reg .b32 m;\nadd.u32 m, n, 1;\ncall down, (m);\n"
                   "ret;\n}\n" RIG_KERNEL("setp.ne.u32 %p1, %r1, 5;\n@%p1 ret;\n"
                                          "call down, (%r1);\n"));
    uint64_t out = RIG_BASE;
    assert_int_equal(rig_launch(&rig, 1, 64, &out), WEFT_EXEC_FAULTED);
    assert_int_equal(rig.fault.kind, WEFT_EXEC_FAULT_STACK_OVERFLOW);
    assert_string_equal(rig.fault.function, "down");
    assert_int_equal(rig.fault.thread[0], 5);
    rig_close(&rig);
}

/* Breaks where .reg arguments, several results or constants as arguments go to the wrong place. */
static void test_register_arguments(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, ".func (.reg .b32 s, .reg .b64 w) mix(.reg .b32 a, .reg .b64 b, .reg .b32 c)\n"
                   "{\n.reg .b64 t;\nadd.u32 s, a, c;\ncvt.u64.u32 t, a;\nadd.u64 w, b, "
                   "t;\nret;\n}\n" RIG_KERNEL(
                       "mov.u64 %rd2, 1000;\ncall (%r2, %rd3), mix, (%r1, %rd2, 7);\n"
                       "cvt.u32.u64 %r3, %rd3;\nadd.u32 %r2, %r2, %r3;\n"
                       "st.global.u32 [%rd1], %r2;\n"));
    uint32_t *out = rig_run_words(&rig, 33);
    for (uint32_t i = 0; i < 33; i++)
        assert_int_equal(out[i], i + 7 + 1000 + i);
    rig_close(&rig);
}

/* Breaks where lanes that call different functions through one instruction do not each get their
 * own. */
static void test_indirect_calls(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             ".func (.param .b32 r) twice(.param .b32 n)\n{\n.reg .b32 %r<3>;\n"
             "ld.param.u32 %r1, [n];\nadd.u32 %r2, %r1, %r1;\nst.param.b32 [r], %r2;\nret;\n}\n"
             ".func (.param .b32 r) square(.param .b32 n)\n{\n.reg .b32 %r<3>;\n"
             "ld.param.u32 %r1, [n];\nmul.lo.u32 %r2, %r1, %r1;\nst.param.b32 [r], %r2;\nret;\n}\n"
             ".global .u64 table[2] = {twice, square};\n" RIG_KERNEL(
                 "and.b32 %r2, %r1, 1;\nmov.u64 %rd2, table;\n"
                 "mad.wide.u32 %rd2, %r2, 8, %rd2;\nld.global.u64 %rd3, [%rd2];\n{\n"
                 ".param .b32 a;\n.param .b32 b;\nst.param.b32 [a], %r1;\n"
                 "P: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
                 "call (b), %rd3, (a), P;\nld.param.b32 %r3, [b];\n}\n"
                 "st.global.u32 [%rd1], %r3;\n"));
    assert_true(weft_exec_kernel_describe(rig.kernel).calls_indirect);
    uint32_t *out = rig_run_words(&rig, 40);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(out[i], i & 1 ? i * i : 2 * i);
    rig_close(&rig);
}

/* Breaks where brx.idx sends a lane to another's place. */
static void test_branch_table(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("rem.u32 %r2, %r1, 3;\nT: .branchtargets A, B, C;\nbrx.idx %r2, T;\n"
                              "A:\nmov.u32 %r3, 10;\nbra OUT;\nB:\nmov.u32 %r3, 20;\nbra OUT;\n"
                              "C:\nmov.u32 %r3, 30;\nOUT:\nst.global.u32 [%rd1], %r3;\n"));
    uint32_t *out = rig_run_words(&rig, 32);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(out[i], 10 * (i % 3 + 1));
    rig_close(&rig);
}

/* Breaks where a block sees what the one before it left in registers that it reads first, though
 * only on some way: behind a guard, around a loop, as one element of a vector. */
static void test_registers_start_as_zeros(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("setp.gt.u32 %p1, %r1, 3;\n@%p1 mov.u32 %r2, 5;\nmov.u32 %r4, 0;\n"
                              "LOOP:\nsetp.eq.u32 %p2, %r4, 0;\n@%p2 bra SKIP;\n"
                              "add.u32 %r5, %r5, %r3;\nSKIP:\nmov.u32 %r3, 7;\n"
                              "add.u32 %r4, %r4, 1;\nsetp.lt.u32 %p2, %r4, 3;\n@%p2 bra LOOP;\n"
                              "@%p3 add.u32 %r2, %r2, 1000;\nsetp.eq.u32 %p3, %r1, %r1;\n"
                              "mov.b64 %rd3, {%r6, %r7};\ncvt.u32.u64 %r8, %rd3;\n"
                              "mov.u32 %r6, 100;\nadd.u32 %r2, %r2, %r5;\nadd.u32 %r2, %r2, %r8;\n"
                              "st.global.u32 [%rd1], %r2;\n"));
    uint64_t out = RIG_BASE;
    rig_run(&rig, 3, 40, &out);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(((uint32_t *)rig.window)[i], (i > 3 ? 5 : 0) + 14);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spin_lock),
        cmocka_unit_test(test_any_budget),
        cmocka_unit_test(test_reconvergence),
        cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_stack_overflow),
        cmocka_unit_test(test_register_arguments),
        cmocka_unit_test(test_indirect_calls),
        cmocka_unit_test(test_branch_table),
        cmocka_unit_test(test_registers_start_as_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

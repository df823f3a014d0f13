/* What threads do together: barriers of a block, and instructions of a whole warp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rig.h"

/* Breaks where a thread passes the barrier before all have stored, in turns of any length. */
static void test_barrier(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, ".shared .align 4 .b8 s[1024];\n" RIG_KERNEL(
                       "mov.u32 %r2, s;\nshl.b32 %r3, %r1, 2;\nadd.u32 %r3, %r2, %r3;\n"
                       "st.shared.u32 [%r3], %r1;\nbar.sync 0;\nxor.b32 %r4, %r1, 255;\n"
                       "shl.b32 %r4, %r4, 2;\nadd.u32 %r4, %r2, %r4;\nld.shared.u32 %r5, [%r4];\n"
                       "st.global.u32 [%rd1], %r5;\n"));
    rig.budget = 5;
    uint32_t *out = rig_run_words(&rig, 256);
    for (uint32_t i = 0; i < 256; i++)
        assert_int_equal(out[i], i ^ 255);
    rig_close(&rig);
}

/* Breaks where threads that have left the kernel are still waited for. */
static void test_barrier_after_exit(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("setp.gt.u32 %p1, %r1, 40;\n@%p1 exit;\nbar.sync 0;\n"
                              "setp.gt.u32 %p1, %r1, 10;\n@%p1 bra LATE;\nbar.sync 0;\n"
                              "st.global.u32 [%rd1], 7;\nret;\nLATE:\nexit;\n"));
    uint32_t *out = rig_run_words(&rig, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(out[i], i <= 10 ? 7 : 0);
    rig_close(&rig);
}

/* Breaks where named barriers with counts mix: two warps produce, two consume, in three rounds. */
static void test_named_barriers(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, ".shared .align 4 .b8 s[256];\n" RIG_KERNEL(
                       "mov.u32 %r2, s;\nand.b32 %r3, %r1, 63;\nshl.b32 %r3, %r3, 2;\n"
                       "add.u32 %r3, %r2, %r3;\nmov.u32 %r4, 0;\nmov.u32 %r6, 0;\n"
                       "setp.ge.u32 %p1, %r1, 64;\n@%p1 bra CONSUME;\n"
                       "PRODUCE:\nadd.u32 %r5, %r1, %r4;\nst.shared.u32 [%r3], %r5;\n"
                       "bar.arrive 1, 128;\nbar.sync 2, 128;\nadd.u32 %r4, %r4, 1;\n"
                       "setp.lt.u32 %p1, %r4, 3;\n@%p1 bra PRODUCE;\nret;\n"
                       "CONSUME:\nbar.sync 1, 128;\nld.shared.u32 %r5, [%r3];\n"
                       "add.u32 %r6, %r6, %r5;\nbar.arrive 2, 128;\nadd.u32 %r4, %r4, 1;\n"
                       "setp.lt.u32 %p1, %r4, 3;\n@%p1 bra CONSUME;\n"
                       "st.global.u32 [%rd1], %r6;\n"));
    uint32_t *out = rig_run_words(&rig, 128);
    for (uint32_t i = 64; i < 128; i++)
        assert_int_equal(out[i], 3 * (i - 64) + 3);
    rig_close(&rig);
}

/* Breaks where the block's votes are lost between arriving and going on. */
static void test_barrier_reduction(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("setp.lt.u32 %p1, %r1, 50;\nbar.red.popc.u32 %r2, 0, %p1;\n"
                              "bar.red.and.pred %p2, 0, %p1;\nbar.red.or.pred %p3, 0, !%p1;\n"
                              "selp.u32 %r3, 1000, 0, %p2;\nselp.u32 %r4, 2000, 0, %p3;\n"
                              "add.u32 %r2, %r2, %r3;\nadd.u32 %r2, %r2, %r4;\n"
                              "st.global.u32 [%rd1], %r2;\n"));
    rig.budget = 3;
    uint32_t *out = rig_run_words(&rig, 96);
    for (int i = 0; i < 96; i++)
        assert_int_equal(out[i], 2050);
    rig_close(&rig);
}

/* Breaks where a barrier that nobody can complete hangs, or where one that can is called a
 * deadlock. */
static void test_deadlock(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("setp.lt.u32 %p1, %r1, 32;\n@%p1 bar.sync 1;\n@!%p1 bar.sync 2;\n"));
    uint64_t out = RIG_BASE;
    assert_int_equal(rig_launch(&rig, 1, 64, &out), WEFT_EXEC_FAULTED);
    assert_int_equal(rig.fault.kind, WEFT_EXEC_FAULT_DEADLOCK);
    rig_close(&rig);
}

/* Breaks where a warp-wide instruction does not wait for lanes that come by another way, or answers
 * them wrongly. */
static void test_meeting_from_two_ways(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("and.b32 %r2, %r1, 1;\nsetp.eq.u32 %p1, %r2, 0;\n"
                              "mul.lo.u32 %r4, %r1, 10;\n@%p1 bra EVEN;\n"
                              "shfl.sync.bfly.b32 %r3, %r4, 1, 31, 0xffffffff;\nbra OUT;\n"
                              "EVEN:\nshfl.sync.bfly.b32 %r3, %r4, 1, 31, 0xffffffff;\n"
                              "add.u32 %r3, %r3, 1000;\nOUT:\nst.global.u32 [%rd1], %r3;\n"));
    for (uint64_t budget = 1; budget < 40; budget += 3) {
        rig.budget = budget;
        uint32_t *out = rig_run_words(&rig, 32);
        for (uint32_t i = 0; i < 32; i++)
            assert_int_equal(out[i], 10 * (i ^ 1) + (i & 1 ? 0 : 1000));
    }
    rig_close(&rig);
}

/* Breaks where lanes meet in a loop and one is a round ahead of the other. */
static void test_meeting_in_a_loop(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("mov.u32 %r2, 0;\nmov.u32 %r5, %r1;\nLOOP:\n"
                              "and.b32 %r3, %r1, 1;\nadd.u32 %r3, %r3, %r2;\nand.b32 %r3, %r3, 1;\n"
                              "setp.eq.u32 %p1, %r3, 0;\n@%p1 bra A;\n"
                              "vote.sync.ballot.b32 %r4, %p1, 0xffffffff;\nbra NEXT;\n"
                              "A:\nvote.sync.ballot.b32 %r4, %p1, 0xffffffff;\nNEXT:\n"
                              "add.u32 %r5, %r5, %r4;\nadd.u32 %r2, %r2, 1;\n"
                              "setp.lt.u32 %p2, %r2, 5;\n@%p2 bra LOOP;\n"
                              "st.global.u32 [%rd1], %r5;\n"));
    for (uint64_t budget = 1; budget < 60; budget += 7) {
        rig.budget = budget;
        uint32_t *out = rig_run_words(&rig, 32);
        for (uint32_t i = 0; i < 32; i++)
            assert_int_equal(out[i], i + 3u * 0x55555555 + 2u * 0xaaaaaaaa);
    }
    rig_close(&rig);
}

/* Breaks where a lane that has left is still waited for. */
static void test_meeting_after_exit(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("setp.ge.u32 %p1, %r1, 20;\n@%p1 bra LEAVE;\n"
                              "redux.sync.add.u32 %r2, %r1, 0xffffffff;\n"
                              "st.global.u32 [%rd1], %r2;\nret;\nLEAVE:\nexit;\n"));
    uint32_t *out = rig_run_words(&rig, 32);
    for (int i = 0; i < 20; i++)
        assert_int_equal(out[i], 190);
    rig_close(&rig);
}

/* Breaks where two halves of a warp that meet apart disturb each other. */
static void test_meeting_of_halves(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("setp.lt.u32 %p1, %r1, 16;\n@%p1 bra LOW;\n"
                              "match.any.sync.b32 %r2, 5, 0xffff0000;\nbra OUT;\n"
                              "LOW:\nand.b32 %r3, %r1, 1;\nmatch.any.sync.b32 %r2, %r3, 0xffff;\n"
                              "OUT:\nst.global.u32 [%rd1], %r2;\n"));
    uint32_t *out = rig_run_words(&rig, 32);
    for (int i = 0; i < 32; i++)
        assert_int_equal(out[i], i >= 16 ? 0xffff0000 : i & 1 ? 0xaaaa : 0x5555);
    rig_close(&rig);
}

/* Breaks where lanes that stand at one instruction but name different lanes are taken for one
 * group: thirds found by match, and halves of which one comes late. */
static void test_meeting_of_parts(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("rem.u32 %r2, %r1, 3;\nmatch.any.sync.b32 %r3, %r2, 0xffffffff;\n"
                              "redux.sync.add.u32 %r4, %r1, %r3;\n"
                              "setp.eq.u32 %p1, %r1, 4;\nvote.sync.any.pred %p2, %p1, %r3;\n"
                              "selp.b32 %r5, 1000, 0, %p2;\nadd.u32 %r4, %r4, %r5;\n"
                              "setp.lt.u32 %p1, %r1, 16;\nselp.b32 %r6, 0xffff, 0xffff0000, %p1;\n"
                              "setp.ne.u32 %p1, %r1, 20;\n@%p1 bra MEET;\nadd.u32 %r1, %r1, 0;\n"
                              "MEET:\nredux.sync.max.u32 %r5, %r1, %r6;\n"
                              "shfl.sync.bfly.b32 %r2, %r5, 7, 0x1f, %r6;\n"
                              "mad.lo.u32 %r4, %r2, 10000, %r4;\nst.global.u32 [%rd1], %r4;\n"));
    static const uint32_t sums[3] = {165, 1176, 155};
    for (uint64_t budget = 1; budget < 100; budget += 33) {
        rig.budget = budget;
        uint32_t *out = rig_run_words(&rig, 32);
        for (uint32_t i = 0; i < 32; i++)
            assert_int_equal(out[i], (i < 16 ? 15u : 31u) * 10000 + sums[i % 3]);
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barrier),           cmocka_unit_test(test_barrier_after_exit),
        cmocka_unit_test(test_named_barriers),    cmocka_unit_test(test_barrier_reduction),
        cmocka_unit_test(test_deadlock),          cmocka_unit_test(test_meeting_from_two_ways),
        cmocka_unit_test(test_meeting_in_a_loop), cmocka_unit_test(test_meeting_after_exit),
        cmocka_unit_test(test_meeting_of_halves), cmocka_unit_test(test_meeting_of_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Address spaces, the check of every access, and the record of a fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static void expect_fault(struct rig *rig, enum weft_exec_fault_kind kind, uint64_t address,
                         uint32_t thread)
{
    uint64_t out = RIG_BASE;
    assert_int_equal(rig_launch(rig, 1, 64, &out), WEFT_EXEC_FAULTED);
    assert_int_equal(rig->fault.kind, kind);
    assert_true(rig->fault.address == address);
    assert_int_equal(rig->fault.thread[0], thread);
    assert_string_equal(rig->fault.function, "k");
}

/* Breaks where a freed 512-byte block can still be read by lanes side by side, all alike, or
 * scattered. */
static void test_dead_memory(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        uint64_t first;
        uint32_t thread;
    } cases[] = {
        {"mad.wide.u32 %rd2, %r1, 4, %rd3;\n", 448, 16},
        {"mov.u64 %rd2, %rd3;\n", 512, 0},
        {"mad.wide.u32 %rd2, %r1, 32, %rd3;\n", 0, 16},
        {"mad.wide.u32 %rd2, %r1, 8192, %rd3;\n", 512 - 3 * 8192, 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig rig;
        char text[2048];
        snprintf(text, sizeof(text),
                 ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %%r<4>;\n.reg .b64 %%rd<4>;\n"
                 "mov.u32 %%r1, %%tid.x;\nmov.u64 %%rd3, %llu;\n%sld.global.u32 %%r2, [%%rd2];\n"
                 "ret;\n}\n",
                 (unsigned long long)(RIG_BASE + 65536 + cases[i].first), cases[i].address);
        rig_open(&rig, text);
        uint64_t dead = (65536 + 512) / WEFT_EXEC_LIVE_BLOCK_BYTES;
        rig.live[dead / 64] &= ~(1ull << dead % 64);
        expect_fault(&rig, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, RIG_BASE + 65536 + 512,
                     cases[i].thread);
        rig_close(&rig);
    }
}

/* Breaks where the window's ends are not checked, or a wrapped address passes. */
static void test_outside(void **state)
{
    (void)state;
    static const uint64_t addresses[] = {0, 4, RIG_BASE - 4, RIG_BASE + RIG_WINDOW_BYTES,
                                         UINT64_MAX - 3};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        for (int generic = 0; generic < 2; generic++) {
            char text[512];
            snprintf(text, sizeof(text),
                     ".visible .entry k(.param .u64 out)\n{\n.reg .b64 %%rd<2>;\n"
                     "mov.u64 %%rd1, %lld;\nst%s.u32 [%%rd1], 1;\nret;\n}\n",
                     (long long)addresses[i], generic ? "" : ".global");
            struct rig rig;
            rig_open(&rig, text);
            expect_fault(&rig, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, addresses[i], 0);
            assert_int_equal(rig.fault.line, 8);
            rig_close(&rig);
        }
    }
}

/* Breaks where one misaligned lane among aligned ones passes. */
static void test_misaligned(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RIG_KERNEL("setp.eq.u32 %p1, %r1, 9;\nselp.u64 %rd2, 4, 0, %p1;\n"
                              "mad.wide.u32 %rd1, %r1, 4, %rd1;\nadd.u64 %rd1, %rd1, %rd2;\n"
                              "ld.global.v2.u32 {%r2, %r3}, [%rd1];\n"));
    expect_fault(&rig, WEFT_EXEC_FAULT_MISALIGNED, RIG_BASE + 9 * 8 + 4, 9);
    rig_close(&rig);
}

/* Breaks where .shared is not as large as it is declared, or larger. */
static void test_shared_bounds(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             ".shared .align 4 .b8 s[128];\n.extern .shared .align 4 .b8 d[];\n" RIG_KERNEL(
                 "mov.u32 %r2, d;\nmov.u32 %r4, s;\nld.shared.u32 %r3, [%r4];\n"
                 "shl.b32 %r3, %r1, 2;\nadd.u32 %r2, %r2, %r3;\nst.shared.u32 [%r2], %r1;\n"));
    uint64_t out = RIG_BASE;
    rig.dynamic_shared_bytes = 256;
    rig_run(&rig, 1, 64, &out);
    rig.dynamic_shared_bytes = 252;
    assert_int_equal(weft_exec_kernel_describe(rig.kernel).static_shared_bytes, 128);
    expect_fault(&rig, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, 128 + 252, 63);
    rig_close(&rig);
}

/* Breaks where a generic address is taken for another space's, also where the lanes of one access
 * differ. */
static void test_generic(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             ".shared .align 8 .b8 s[128];\n" RIG_KERNEL(
                 ".local .align 4 .b8 l[8];\n"
                 "mov.u64 %rd2, s;\ncvta.shared.u64 %rd2, %rd2;\nmad.wide.u32 %rd2, %r1, 4, %rd2;\n"
                 "mov.u64 %rd3, l;\ncvta.local.u64 %rd3, %rd3;\n"
                 "rem.u32 %r2, %r1, 3;\nsetp.eq.u32 %p1, %r2, 0;\nsetp.eq.u32 %p2, %r2, 1;\n"
                 "selp.u64 %rd4, %rd2, %rd1, %p1;\nselp.u64 %rd4, %rd3, %rd4, %p2;\n"
                 "add.u32 %r3, %r1, 500;\nst.u32 [%rd4], %r3;\nld.u32 %r4, [%rd4];\n"
                 "isspacep.shared %p3, %rd4;\nisspacep.local %p4, %rd4;\n"
                 "@%p1 ld.shared.u32 %r5, [s];\n"
                 "selp.u32 %r6, 1000, 0, %p3;\nadd.u32 %r4, %r4, %r6;\n"
                 "selp.u32 %r6, 2000, 0, %p4;\nadd.u32 %r4, %r4, %r6;\n"
                 "st.global.u32 [%rd1], %r4;\n"));
    uint32_t *out = rig_run_words(&rig, 32);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(out[i], i + 500 + (i % 3 == 0 ? 1000 : i % 3 == 1 ? 2000 : 0));
    rig_close(&rig);
}

static uint32_t host_words[64];

static void *host_memory(void *context, uint64_t address, uint64_t bytes)
{
    uint64_t first = (uint64_t)(uintptr_t)host_words;
    (void)context;
    bool inside = address >= first && address + bytes <= first + sizeof(host_words);
    return inside ? (void *)(uintptr_t)address : NULL;
}

/* Breaks where registered host memory is not reached, or is reached beyond its end. */
static void test_foreign(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             RIG_KERNEL("st.global.u32 [%rd1], %r1;\nmembar.sys;\nld.volatile.u32 %r2, [%rd1];\n"
                        "atom.add.u32 %r3, [%rd1], %r2;\n"));
    rig.memory.foreign = host_memory;
    uint64_t out = (uint64_t)(uintptr_t)host_words;
    rig_run(&rig, 1, 64, &out);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(host_words[i], 2 * i);
    assert_int_equal(rig_launch(&rig, 1, 65, &out), WEFT_EXEC_FAULTED);
    assert_true(rig.fault.address == out + 256);
    rig_close(&rig);
}

/* Breaks where lanes of one atomic instruction lose one another's update. */
static void test_atomics(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             ".global .u32 sum;\n.global .f32 fsum;\n.global .u32 ring;\n" RIG_KERNEL(
                 "atom.global.add.u32 %r2, [sum], 3;\nred.global.add.f32 [fsum], 0f3F000000;\n"
                 "atom.global.inc.u32 %r3, [ring], 9;\nbar.sync 0;\n"
                 "ld.global.u32 %r4, [sum];\nld.global.f32 %f1, [fsum];\n"
                 "cvt.rzi.u32.f32 %r5, %f1;\nld.global.u32 %r6, [ring];\n"
                 "mad.lo.u32 %r4, %r5, 1000, %r4;\nmad.lo.u32 %r4, %r6, 100000, %r4;\n"
                 "st.global.u32 [%rd1], %r4;\n"));
    uint32_t *out = rig_run_words(&rig, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(out[i], 192 + 32 * 1000 + 4 * 100000);
    rig_close(&rig);
}

/* Breaks where a form that is not executed is accepted, or spoils a kernel that does not use it. */
static void test_unsupported(void **state)
{
    (void)state;
    struct rig rig;
    struct weft_err err = {0};
    assert_int_equal(rig_try_open(&rig,
                                  ".visible .entry k()\n{\n.reg .b32 %r<5>;\n"
                                  "wgmma.fence.sync.aligned;\nret;\n}\n"
                                  ".visible .entry good()\n{\nret;\n}\n",
                                  &err),
                     -WEFT_ENOSYS);
    assert_non_null(strstr(err.text, "ptx:7: wgmma.fence"));
    assert_int_equal(weft_exec_program_kernel(rig.program,
                                              weft_ptx_find_function(rig.module, "good"),
                                              &rig.kernel, &err),
                     0);
    rig_close(&rig);
}

/* Breaks where a copy that the ISA calls asynchronous has not arrived after its wait. */
static void test_async_copies(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig,
             ".shared .align 16 .b8 s[1024];\n" RIG_KERNEL(
                 "mov.u32 %r2, s;\nmad.lo.u32 %r3, %r1, 16, %r2;\nmul.wide.u32 %rd2, %r1, 12;\n"
                 "add.u64 %rd2, %rd1, %rd2;\n"
                 "cp.async.cg.shared.global [%r3], [%rd2+4096], 16;\n"
                 "cp.async.commit_group;\ncp.async.wait_group 0;\nbar.sync 0;\n"
                 "shl.b32 %r4, %r1, 2;\nadd.u32 %r4, %r4, %r2;\nld.shared.u32 %r5, [%r4];\n"
                 "st.global.u32 [%rd1], %r5;\n"));
    for (uint32_t i = 0; i < 256; i++)
        ((uint32_t *)(rig.window + 4096))[i] = 1000 + i;
    uint32_t *out = rig_run_words(&rig, 64);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(out[i], 1000 + i);
    rig_close(&rig);
}

#define PARTIAL_COPY(bytes)                                                  \
    ".shared .align 16 .b8 s[64];\n" RIG_KERNEL(                             \
        "mov.u32 %r2, s;\nst.shared.u32 [%r2+12], %r1;\n"                    \
        "ld.param.u64 %rd2, [out];\nadd.u64 %rd2, %rd2, 4096;\n"             \
        "cp.async.cg.shared.global [%r2], [%rd2], 16, " bytes ";\n"          \
        "cp.async.wait_all;\nshl.b32 %r4, %r1, 2;\nadd.u32 %r4, %r4, %r2;\n" \
        "setp.lt.u32 %p1, %r1, 4;\n@%p1 ld.shared.u32 %r5, [%r4];\n"         \
        "@%p1 st.global.u32 [%rd1], %r5;\n")

/* Breaks where a copy with the number of its bytes to read, written in the text, reads another
 * number of them, or leaves what it does not read. */
static void test_partial_copies(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t words;
    } cases[] = {{PARTIAL_COPY("16"), 4},
                 {PARTIAL_COPY("64"), 4},
                 {PARTIAL_COPY("8"), 2},
                 {PARTIAL_COPY("0"), 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct rig rig;
        rig_open(&rig, cases[i].text);
        for (uint32_t word = 0; word < 4; word++)
            ((uint32_t *)(rig.window + 4096))[word] = 1000 + word;
        const uint32_t *out = rig_run_words(&rig, 32);
        for (uint32_t word = 0; word < 4; word++)
            assert_int_equal(out[word], word < cases[i].words ? 1000 + word : 0);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead_memory),  cmocka_unit_test(test_outside),
        cmocka_unit_test(test_misaligned),   cmocka_unit_test(test_shared_bounds),
        cmocka_unit_test(test_generic),      cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_atomics),      cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_async_copies), cmocka_unit_test(test_partial_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

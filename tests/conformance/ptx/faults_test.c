/* Faults: the kind, the line of the PTX, the thread, the block and the address are exact. Breaks
 * where one of them is not, or where the kernel goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compare.h"

#define BUFFER_BYTES 1024
#define TEXT_BYTES 8192
#define ANY_ADDRESS UINT64_MAX

/* `body` runs with %rd1 = the buffer, %r1 = tid.x, %p1 = "this thread shall fault". The line with
 * HERE is the one that faults; `offset` is the address from the buffer's start. */
struct fault_case {
    const char *name;
    const char *before; /* declarations of the module */
    const char *body;
    enum weft_exec_fault_kind kind;
    uint64_t offset;
    bool whole_warp; /* thread 32 of block 1 is the first to fault, else thread 37 */
};

static const struct fault_case cases[] = {
    {"load behind the buffer", "", "@%p1 ld.global.u32 %r2, [%rd1+1024]; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, 1024},
    {"store behind the buffer", "", "@%p1 st.global.u32 [%rd1+1028], %r1; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, 1028},
    {"load at null", "", "mov.u64 %rd3, 0;\n@%p1 ld.global.u32 %r2, [%rd3]; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, -RIG_WINDOW_BASE},
    {"generic load far away", "", "mov.u64 %rd3, 0x10;\n@%p1 ld.u32 %r2, [%rd3+0x8]; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, 0x18 - RIG_WINDOW_BASE},
    {"misaligned load", "", "@%p1 ld.global.u32 %r2, [%rd1+6]; // HERE\n",
     WEFT_EXEC_FAULT_MISALIGNED, 6},
    {"misaligned vector", "", "@%p1 ld.global.v4.u32 {%r2,%r3,%r4,%r5}, [%rd1+8]; // HERE\n",
     WEFT_EXEC_FAULT_MISALIGNED, 8},
    {"misaligned generic store", "", "@%p1 st.u64 [%rd1+4], %rd1; // HERE\n",
     WEFT_EXEC_FAULT_MISALIGNED, 4},
    {"misaligned 16 bits", "", "@%p1 ld.global.u16 %r2, [%rd1+1]; // HERE\n",
     WEFT_EXEC_FAULT_MISALIGNED, 1},
    {"atomic behind the buffer", "", "@%p1 atom.global.add.u32 %r2, [%rd1+1024], 1; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, 1024},
    {"misaligned atomic", "", "@%p1 atom.add.u64 %rd3, [%rd1+4], 1; // HERE\n",
     WEFT_EXEC_FAULT_MISALIGNED, 4},
    {"reduction at null", "", "mov.u64 %rd3, 0;\n@%p1 red.global.add.u32 [%rd3], 1; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, -RIG_WINDOW_BASE},
    {"freed memory", "",
     "ld.global.u32 %r2, [%rd1];\n@%p1 ld.global.u32 %r2, [%rd1+512]; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, 512},
    {"shared memory's end", ".shared .align 4 .b8 cells[64];\n",
     "mov.u32 %r2, 1048576;\n@%p1 st.shared.u32 [%r2], %r1; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, ANY_ADDRESS},
    {"misaligned shared", ".shared .align 4 .b8 cells[64];\n",
     "mov.u32 %r2, cells;\n@%p1 ld.shared.u32 %r3, [%r2+2]; // HERE\n", WEFT_EXEC_FAULT_MISALIGNED,
     ANY_ADDRESS},
    {"local memory's end", "", "mov.u64 %rd3, 8388608;\n@%p1 ld.local.u32 %r2, [%rd3]; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, ANY_ADDRESS},
    {"trap", "", "@%p1 trap; // HERE\n", WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, ANY_ADDRESS},
    {"trap in a branch", "", "@!%p1 bra past;\nadd.u32 %r2, %r2, 1;\ntrap; // HERE\npast:\n",
     WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, ANY_ADDRESS},
    {"brkpt", "", "@%p1 brkpt; // HERE\n", WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, ANY_ADDRESS},
    {"all lanes", "", "setp.gt.u32 %p2, %r1, 31;\n@%p2 st.global.u32 [%rd1+1024], %r1; // HERE\n",
     WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, 1024, true},
    {"a call into nothing", "",
     "mov.u64 %rd3, 0x123456;\nproto: .callprototype _ ();\n@%p1 call %rd3, proto; // HERE\n",
     WEFT_EXEC_FAULT_INVALID_PC, ANY_ADDRESS},
    {"endless recursion",
     ".func down()\n{\n.local .align 8 .b8 depot[64];\n.reg .b64 %rd<2>;\nmov.u64 %rd1, depot;\n"
     "st.local.u64 [%rd1], %rd1;\ncall down; // HERE\nret;\n}\n",
     "@%p1 call down;\n", WEFT_EXEC_FAULT_STACK_OVERFLOW, ANY_ADDRESS},
    {"a failed assertion",
     ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, "
     ".param .b64 e);\n",
     "@!%p1 bra past;\n{\n.param .b64 a;\n.param .b64 b;\n.param .b32 c;\n.param .b64 d;\n"
     ".param .b64 e;\nst.param.b64 [a], 0;\nst.param.b64 [b], 0;\nst.param.b32 [c], 3;\n"
     "st.param.b64 [d], 0;\nst.param.b64 [e], 1;\ncall __assertfail, (a, b, c, d, e); // HERE\n"
     "}\npast:\n",
     WEFT_EXEC_FAULT_ASSERT, ANY_ADDRESS},
};

static void make_text(const struct fault_case *fault, char text[TEXT_BYTES])
{
    snprintf(text, TEXT_BYTES,
             ".version 8.0\n.target sm_80\n.address_size 64\n%s"
             ".visible .entry kernel(.param .u64 p_buffer)\n{\n.reg .b32 %%r<8>;\n"
             ".reg .b64 %%rd<8>;\n.reg .pred %%p<4>;\nld.param.u64 %%rd1, [p_buffer];\n"
             "mov.u32 %%r1, %%tid.x;\nmov.u32 %%r6, %%ctaid.y;\nmad.lo.u32 %%r7, %%r6, 1000, "
             "%%r1;\nsetp.eq.u32 %%p1, %%r7, 1037;\nsetp.eq.u32 %%p3, %%r6, 0;\n@%%p3 exit;\n"
             "%sret;\n}\n",
             fault->before, fault->body);
}

static uint32_t marked_line(const char *text)
{
    uint32_t line = 1;
    for (const char *at = text; at < strstr(text, "HERE"); at++)
        line += *at == '\n';
    return line;
}

static void check(const struct fault_case *fault, const struct rig_result *got, uint32_t line,
                  uint64_t buffer)
{
    assert_int_equal(got->status, -WEFT_EFAULT);
    assert_int_equal(got->fault.kind, fault->kind);
    assert_int_equal(got->fault.line, line);
    assert_int_equal(got->fault.thread[0], fault->whole_warp ? 32 : 37);
    assert_int_equal(got->fault.thread[1], 0);
    assert_int_equal(got->fault.block[0], 0);
    assert_int_equal(got->fault.block[1], 1);
    if (fault->offset != ANY_ADDRESS)
        assert_int_equal(got->fault.address, buffer + fault->offset);
}

static uint64_t expected_offset_base(const struct fault_case *fault, uint64_t buffer)
{
    /* Absolute addresses are written as their distance from the window. */
    return fault->offset > RIG_WINDOW_BYTES ? RIG_WINDOW_BASE : buffer;
}

static void run_case(void **state)
{
    const struct fault_case *fault = *state;
    static const uint64_t budgets[] = {0, 1};
    char text[TEXT_BYTES];
    struct rig rig;
    struct rig_program program;
    struct weft_err err = {0};
    make_text(fault, text);
    rig_init(&rig);
    rig_alloc(&rig, BUFFER_BYTES);
    if (rig_load(&rig, text, &program, &err))
        fail_msg("%s", err.text);
    uint64_t buffer = rig_alloc(&rig, BUFFER_BYTES);
    if (strcmp(fault->name, "freed memory") == 0)
        rig_kill(&rig, buffer + 512);
    struct rig_run run = {.entry = "kernel",
                          .params = &buffer,
                          .params_bytes = sizeof buffer,
                          .grid = {1, 2, 1},
                          .block = {64, 1, 1}};
    struct rig_result result;
    rig_refer(&rig, &program, &run, &result);
    check(fault, &result, marked_line(text), expected_offset_base(fault, buffer));
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
        if (!weft_exec_isa_force((enum weft_exec_isa)isa))
            continue;
        for (int i = 0; i < 2; i++) {
            run.budget = budgets[i];
            rig_execute(&rig, &program, &run, &result);
            check(fault, &result, marked_line(text), expected_offset_base(fault, buffer));
        }
    }
    rig_unload(&program);
    rig_finish(&rig);
}

/* Two warps that wait for each other at different barriers: certain never to end. */
static void deadlock_is_told(void **state)
{
    (void)state;
    static const char text[] = ".version 8.0\n.target sm_80\n.address_size 64\n"
                               ".visible .entry kernel()\n{\n.reg .b32 %r<2>;\n.reg .pred %p<2>;\n"
                               "mov.u32 %r1, %tid.x;\nsetp.lt.u32 %p1, %r1, 32;\n"
                               "@%p1 bra low;\nbar.sync 1;\nret;\nlow:\nbar.sync 2;\nret;\n}\n";
    struct rig rig;
    struct rig_program program;
    struct rig_result result;
    rig_init(&rig);
    assert_int_equal(rig_load(&rig, text, &program, NULL), 0);
    struct rig_run run = {.entry = "kernel", .grid = {1, 1, 1}, .block = {64, 1, 1}};
    rig_execute(&rig, &program, &run, &result);
    assert_int_equal(result.status, -WEFT_EFAULT);
    assert_int_equal(result.fault.kind, WEFT_EXEC_FAULT_DEADLOCK);
    rig_unload(&program);
    rig_finish(&rig);
}

#define CASE_COUNT (sizeof cases / sizeof *cases)

int main(void)
{
    struct CMUnitTest tests[CASE_COUNT + 1] = {0};
    for (size_t i = 0; i < CASE_COUNT; i++)
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = run_case, .initial_state = (void *)&cases[i]};
    tests[CASE_COUNT] = (struct CMUnitTest)cmocka_unit_test(deadlock_is_told);
    return _cmocka_run_group_tests("faults", tests, CASE_COUNT + 1, NULL, NULL);
}

/* A large linked module costs what is used of it: asking for a kernel reads the bodies that it
 * reaches, in whatever inputs they lie, and no other. What would break it: reading at the link, by
 * the input or by the list of symbols, or missing one that a kernel reaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "softgpu/exec/exec.h"
#include "softgpu/ptx/link.h"

#define INPUTS 16
#define KERNELS 100 /* of an input */
#define KERNEL_BYTES 512

struct fixture {
    struct weft_ptx_module *module;
    struct weft_exec_program *program;
    uint64_t *addresses;
};

/* Kernel kI_J calls fI+1_J of the next input, which calls a function that is private there; one
 * kernel calls through a register, for which the functions of the table count. */
static char *write_input(int input)
{
    int next = (input + 1) % INPUTS;
    char *text = malloc((KERNELS + 2) * KERNEL_BYTES);
    assert_non_null(text);
    size_t used = (size_t)sprintf(text, ".version 8.0\n.target sm_75\n.address_size 64\n"
                                        ".func leaf() { ret; }\n");
    for (int i = 0; i < KERNELS; i++)
        used += (size_t)sprintf(text + used,
                                ".extern .func f%d_%d();\n"
                                ".visible .func f%d_%d() { call leaf; ret; }\n"
                                ".visible .entry k%d_%d() { call f%d_%d; ret; }\n",
                                next, i, input, i, input, i, next, i);
    if (input == 0)
        sprintf(text + used, ".global .u64 table[2] = {f1_5, f0_6};\n"
                             ".visible .entry through() { .reg .u64 %%f; ld.global.u64 %%f, "
                             "[table];\n p: .callprototype _ (); call %%f, (), p; ret; }\n");
    return text;
}

static int open_all(void **state)
{
    struct weft_ptx_link_input inputs[INPUTS];
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    for (int i = 0; i < INPUTS; i++) {
        char *text = write_input(i);
        inputs[i].name = "an input";
        assert_int_equal(weft_ptx_parse_heads(&inputs[i].module, text, strlen(text), NULL), 0);
        free(text);
    }
    assert_int_equal(weft_ptx_link(&fixture->module, inputs, INPUTS, NULL), 0);
    fixture->addresses = calloc(fixture->module->variable_count, sizeof(uint64_t));
    assert_int_equal(
        weft_exec_program_create(&fixture->program, fixture->module, fixture->addresses, NULL), 0);
    *state = fixture;
    return 0;
}

static int close_all(void **state)
{
    struct fixture *fixture = *state;
    weft_exec_program_destroy(fixture->program);
    weft_ptx_destroy(fixture->module);
    free(fixture->addresses);
    free(fixture);
    return 0;
}

static uint32_t count_read(const struct fixture *fixture)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < fixture->module->function_count; i++)
        count += fixture->module->functions[i].insns != NULL;
    return count;
}

static void ask_for(const struct fixture *fixture, const char *name)
{
    const struct weft_exec_kernel *kernel;
    struct weft_err err = {0};
    uint32_t index = weft_ptx_find_function(fixture->module, name);
    if (weft_exec_program_kernel(fixture->program, index, &kernel, &err))
        fail_msg("%s: %s", name, err.text);
}

static void reads_what_is_reached(void **state)
{
    const struct fixture *fixture = *state;
    assert_int_equal(fixture->module->function_count, INPUTS * (2 * KERNELS + 1) + 2);
    assert_int_equal(count_read(fixture), 0);
    ask_for(fixture, "k3_7");
    assert_int_equal(count_read(fixture), 3); /* with f4_7 and the leaf of its input */
    ask_for(fixture, "k3_7");
    assert_int_equal(count_read(fixture), 3);
    ask_for(fixture, "k3_8");
    assert_int_equal(count_read(fixture), 5); /* that leaf is there */
    ask_for(fixture, "k15_0");
    assert_int_equal(count_read(fixture), 8);
}

static void reads_what_a_table_holds(void **state)
{
    const struct fixture *fixture = *state;
    ask_for(fixture, "through");
    assert_int_equal(count_read(fixture), 5); /* two functions, and a leaf of two inputs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_is_reached, open_all, close_all),
        cmocka_unit_test_setup_teardown(reads_what_a_table_holds, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

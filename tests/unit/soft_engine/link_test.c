/* Linking: what would break it is a symbol that resolves to the wrong definition, an error that no
 * log names, or an image that loads only while its linker lives where it should not, or that a
 * damaged copy of crashes. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD ".version 7.0\n.target sm_75\n.address_size 64\n"

static char log_text[512];

static int enter(void **state)
{
    (void)state;
    rig_enter();
    return 0;
}

static int leave(void **state)
{
    (void)state;
    rig_leave();
    return 0;
}

static CUlinkState linker(void)
{
    static CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    static void *values[2];
    CUlinkState state;
    values[0] = log_text;
    values[1] = (void *)sizeof(log_text);
    RIG_OK(cuda.cuLinkCreate_v2(2, options, values, &state));
    return state;
}

static CUresult add(CUlinkState state, const char *text, const char *name)
{
    return cuda.cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)text, strlen(text) + 1,
                                 name, 0, NULL, NULL);
}

/* Links two texts, and destroys the linker where that fails. */
static CUresult link_two(const char *one, const char *other, CUlinkState *state, void **image,
                         size_t *bytes)
{
    *state = linker();
    RIG_OK(add(*state, one, "one.ptx"));
    RIG_OK(add(*state, other, "other.ptx"));
    CUresult result = cuda.cuLinkComplete(*state, image, bytes);
    if (result)
        RIG_OK(cuda.cuLinkDestroy(*state));
    return result;
}

static CUresult try_two(const char *one, const char *other)
{
    CUlinkState state;
    void *image;
    CUresult result = link_two(one, other, &state, &image, NULL);
    if (result == CUDA_SUCCESS)
        RIG_OK(cuda.cuLinkDestroy(state));
    return result;
}

static uint64_t read_word(CUmodule module, const char *name)
{
    CUdeviceptr address;
    size_t bytes;
    uint64_t value = 0;
    RIG_OK(cuda.cuModuleGetGlobal_v2(&address, &bytes, module, name));
    RIG_OK(cuda.cuMemcpyDtoH_v2(&value, address, bytes));
    return value;
}

static const char table_text[] =
    HEAD ".extern .global .u32 here;\n.global .u32 mine = 5;\n"
         ".visible .global .u64 table[2] = {here, mine};\n.weak .global .u32 weak = 1;\n"
         ".visible .entry count(.param .u64 a, .param .u64 b) { ret; }\n";
static const char values_text[] =
    HEAD ".global .u32 mine = 6;\n.visible .global .u32 here = 7;\n"
         ".visible .global .u64 other = mine;\n.visible .global .u32 weak = 2;\n";

static void resolves_symbols_across_inputs(void **state)
{
    (void)state;
    CUlinkState link;
    void *image;
    size_t bytes;
    CUmodule module;
    CUfunction function;
    CUdeviceptr here;
    uint64_t table[2];
    uint32_t mine;
    RIG_OK(link_two(table_text, values_text, &link, &image, &bytes));
    RIG_OK(cuda.cuModuleLoadData(&module, image));
    RIG_OK(cuda.cuLinkDestroy(link));
    RIG_OK(cuda.cuModuleGetFunction(&function, module, "count"));
    RIG_OK(cuda.cuModuleGetGlobal_v2(&here, NULL, module, "here"));
    CUdeviceptr address;
    RIG_OK(cuda.cuModuleGetGlobal_v2(&address, NULL, module, "table"));
    RIG_OK(cuda.cuMemcpyDtoH_v2(table, address, sizeof(table)));
    assert_int_equal(table[0], here);
    RIG_OK(cuda.cuMemcpyDtoH_v2(&mine, table[1], sizeof(mine)));
    assert_int_equal(mine, 5); /* its own, not the one of the other input */
    RIG_OK(cuda.cuMemcpyDtoH_v2(&mine, read_word(module, "other"), sizeof(mine)));
    assert_int_equal(mine, 6);
    assert_int_equal(read_word(module, "here"), 7);
    assert_int_equal(read_word(module, "weak"), 2); /* the strong one */
    RIG_OK(cuda.cuModuleUnload(module));
}

static void tells_what_does_not_link(void **state)
{
    (void)state;
    static const char defines[] = HEAD ".visible .func f() { ret; }\n";
    static const char calls[] =
        HEAD ".extern .func f();\n.visible .entry k() { call f, (); ret; }\n";
    static const char differs[] =
        HEAD ".extern .func f(.param .b32 a);\n.visible .entry k() { ret; }\n";
    static const char prints[] =
        HEAD ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
             ".visible .entry p() { .reg .b32 %r; call (%r), vprintf, (0, 0); ret; }\n";
    RIG_OK(try_two(defines, calls));
    assert_string_equal(log_text, "");
    RIG_OK(try_two(calls, defines));
    RIG_OK(try_two(prints, defines));
    assert_int_equal(try_two(defines, defines), CUDA_ERROR_INVALID_PTX);
    assert_string_equal(log_text, "\"f\" is defined in both one.ptx and other.ptx");
    assert_int_equal(try_two(calls, HEAD), CUDA_ERROR_INVALID_PTX);
    assert_string_equal(log_text, "one.ptx uses \"f\", which no input defines");
    assert_int_equal(try_two(defines, differs), CUDA_ERROR_INVALID_PTX);
    assert_string_equal(log_text, "\"f\" is declared differently in one.ptx and other.ptx");
    assert_int_equal(try_two(defines, HEAD ".visible .global .u32 f;\n"), CUDA_ERROR_INVALID_PTX);
    assert_int_equal(try_two(HEAD, ".version 7.0\n.target sm_90\n.address_size 64\n"),
                     CUDA_ERROR_INVALID_PTX);
    assert_non_null(strstr(log_text, "sm_90"));
}

static void refuses_bad_inputs(void **state)
{
    (void)state;
    CUlinkState link = linker();
    char text[] = HEAD;
    void *image;
    assert_int_equal(cuda.cuLinkComplete(link, &image, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(add(link, HEAD "bogus", "bad.ptx"), CUDA_ERROR_INVALID_PTX);
    assert_non_null(strstr(log_text, "bad.ptx: ptx:4:"));
    assert_int_equal(
        cuda.cuLinkAddData_v2(link, CU_JIT_INPUT_LIBRARY, text, sizeof(text), "l", 0, NULL, NULL),
        CUDA_ERROR_INVALID_IMAGE);
    assert_non_null(strstr(log_text, "l: not an archive"));
    assert_int_equal(
        cuda.cuLinkAddData_v2(link, (CUjitInputType)77, text, sizeof(text), "x", 0, NULL, NULL),
        CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuLinkAddFile_v2(link, CU_JIT_INPUT_PTX, "/nowhere/a.ptx", 0, NULL, NULL),
                     CUDA_ERROR_FILE_NOT_FOUND);
    assert_int_equal(cuda.cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, NULL, 3, "x", 0, NULL, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    RIG_OK(add(link, HEAD, NULL));
    RIG_OK(cuda.cuLinkComplete(link, &image, NULL));
    assert_int_equal(add(link, HEAD, "late.ptx"), CUDA_ERROR_INVALID_VALUE);
    RIG_OK(cuda.cuLinkDestroy(link));
    assert_int_equal(cuda.cuLinkDestroy(link), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(add(link, HEAD, "x"), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuLinkCreate_v2(0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* Files as inputs and as the result, and every shorter copy of it. */
static void works_with_files(void **state)
{
    (void)state;
    char path[] = "/tmp/weft-link-XXXXXX";
    close(mkstemp(path));
    CUlinkState link = linker();
    CUmodule module;
    void *image;
    size_t bytes;
    write_file(path, table_text, strlen(table_text));
    RIG_OK(cuda.cuLinkAddFile_v2(link, CU_JIT_INPUT_PTX, path, 0, NULL, NULL));
    RIG_OK(add(link, values_text, "values.ptx"));
    RIG_OK(cuda.cuLinkComplete(link, &image, &bytes));
    write_file(path, image, bytes);
    RIG_OK(cuda.cuModuleLoad(&module, path));
    assert_int_equal(read_word(module, "here"), 7);
    for (size_t cut = 4; cut < bytes; cut += 7) {
        write_file(path, image, cut);
        assert_int_equal(cuda.cuModuleLoad(&module, path), CUDA_ERROR_INVALID_IMAGE);
    }
    unlink(path);
    RIG_OK(cuda.cuLinkDestroy(link));
}

int main(void)
{
    rig_open(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resolves_symbols_across_inputs, enter, leave),
        cmocka_unit_test_setup_teardown(tells_what_does_not_link, enter, leave),
        cmocka_unit_test_setup_teardown(refuses_bad_inputs, enter, leave),
        cmocka_unit_test_setup_teardown(works_with_files, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Modules: what would break it is a wrong answer for an image that cannot run, a log without the
 * position, or a variable without its value. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int enter(void **state)
{
    (void)state;
    rig_enter();
    rig_report();
    return 0;
}

static int leave(void **state)
{
    (void)state;
    rig_leave();
    return 0;
}

static CUresult load(const char *image)
{
    CUmodule module;
    CUresult result = cuda.cuModuleLoadData(&module, image);
    if (result == CUDA_SUCCESS)
        RIG_OK(cuda.cuModuleUnload(module));
    return result;
}

static void tells_images_apart(void **state)
{
    (void)state;
    static const unsigned char fat[16] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0};
    assert_int_equal(load(".version 7.0\n.target sm_75\n.address_size 64\n"), CUDA_SUCCESS);
    assert_int_equal(load("\x7f"
                          "ELF\2\1\1"),
                     CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_non_null(strstr(rig_report(), "cubin"));
    assert_int_equal(load((const char *)fat), CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_non_null(strstr(rig_report(), "fat binary"));
    assert_int_equal(load("\1\2\3"), CUDA_ERROR_INVALID_IMAGE);
    assert_int_equal(load("\x7f"), CUDA_ERROR_INVALID_IMAGE);
    assert_int_equal(load(""), CUDA_ERROR_INVALID_IMAGE);
    assert_int_equal(load("hello"), CUDA_ERROR_INVALID_PTX);
    assert_int_equal(load(".version 9.9\n.target sm_75\n.address_size 64\n"),
                     CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    assert_int_equal(load(".version 7.0\n.target sm_90\n.address_size 64\n"),
                     CUDA_ERROR_INVALID_PTX);
    assert_non_null(strstr(rig_report(), "sm_90"));
    assert_int_equal(
        load(".version 7.0\n.target sm_75\n.address_size 64\n.extern .global .u32 x;\n"),
        CUDA_ERROR_INVALID_PTX);
    CUmodule module;
    assert_int_equal(cuda.cuModuleLoadData(&module, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuModuleLoadData(NULL, rig_ptx), CUDA_ERROR_INVALID_VALUE);
}

static void fills_the_logs_of_the_compiler(void **state)
{
    (void)state;
    static const char bad[] = ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k() "
                              "{\n  bogus.u32 %r1;\n}\n";
    char error[256] = "untouched", info[64] = "untouched", tiny[4] = "...";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
                              CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
                              CU_JIT_MAX_REGISTERS};
    void *values[] = {error, (void *)sizeof(error), info, (void *)sizeof(info), (void *)32};
    CUmodule module;
    assert_int_equal(cuda.cuModuleLoadDataEx(&module, bad, 5, options, values),
                     CUDA_ERROR_INVALID_PTX);
    assert_non_null(strstr(error, "ptx:5:"));
    assert_non_null(strstr(error, "bogus"));
    assert_int_equal((size_t)values[1], strlen(error));
    assert_string_equal(info, "");
    values[0] = tiny;
    values[1] = (void *)sizeof(tiny);
    assert_int_equal(cuda.cuModuleLoadDataEx(&module, bad, 2, options, values),
                     CUDA_ERROR_INVALID_PTX);
    assert_string_equal(tiny, "ptx");
    values[0] = error;
    values[1] = (void *)sizeof(error);
    RIG_OK(cuda.cuModuleLoadDataEx(&module, rig_ptx, 2, options, values));
    assert_string_equal(error, "");
    assert_int_equal(cuda.cuModuleLoadDataEx(&module, rig_ptx, 2, NULL, NULL),
                     CUDA_ERROR_INVALID_VALUE);
}

static CUresult load_with(CUjit_option option, uintptr_t value, CUjit_option other,
                          uintptr_t other_value)
{
    CUjit_option options[] = {option, other};
    void *values[] = {(void *)value, (void *)other_value};
    CUmodule module;
    CUresult result = cuda.cuModuleLoadDataEx(&module, rig_ptx, 2, options, values);
    if (result == CUDA_SUCCESS)
        RIG_OK(cuda.cuModuleUnload(module));
    return result;
}

static void knows_the_options_of_the_compiler(void **state)
{
    (void)state;
    static const struct {
        CUjit_option option;
        uintptr_t value;
        CUresult result;
    } cases[] = {
        {CU_JIT_OPTIMIZATION_LEVEL, 4, CUDA_SUCCESS},
        {CU_JIT_OPTIMIZATION_LEVEL, 5, CUDA_ERROR_INVALID_VALUE},
        {CU_JIT_CACHE_MODE, CU_JIT_CACHE_OPTION_CA, CUDA_SUCCESS},
        {CU_JIT_CACHE_MODE, 3, CUDA_ERROR_INVALID_VALUE},
        {CU_JIT_FALLBACK_STRATEGY, CU_PREFER_BINARY, CUDA_SUCCESS},
        {CU_JIT_FALLBACK_STRATEGY, 2, CUDA_ERROR_INVALID_VALUE},
        {CU_JIT_TARGET, CU_TARGET_COMPUTE_75, CUDA_SUCCESS},
        {CU_JIT_TARGET, CU_TARGET_COMPUTE_50, CUDA_ERROR_INVALID_PTX},
        {CU_JIT_TARGET, CU_TARGET_COMPUTE_120A, CUDA_ERROR_NO_BINARY_FOR_GPU},
        {CU_JIT_TARGET, 7, CUDA_ERROR_INVALID_VALUE},
        {CU_JIT_GENERATE_LINE_INFO, 1, CUDA_SUCCESS},
        {CU_JIT_OVERRIDE_DIRECTIVE_VALUES, 1, CUDA_SUCCESS},
        {CU_JIT_SPLIT_COMPILE, 1, CUDA_SUCCESS},
        {CU_JIT_NUM_OPTIONS, 0, CUDA_ERROR_INVALID_VALUE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(load_with(cases[i].option, cases[i].value, CU_JIT_GENERATE_DEBUG_INFO, 0),
                         cases[i].result);
    assert_int_equal(
        load_with(CU_JIT_TARGET, CU_TARGET_COMPUTE_75, CU_JIT_TARGET_FROM_CUCONTEXT, 0),
        CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(load_with(CU_JIT_THREADS_PER_BLOCK, 32, CU_JIT_TARGET, CU_TARGET_COMPUTE_75),
                     CUDA_ERROR_INVALID_VALUE);
}

static void limits_registers_and_tells_more(void **state)
{
    (void)state;
    char info[128] = "";
    CUjit_option options[] = {CU_JIT_MAX_REGISTERS, CU_JIT_LOG_VERBOSE, CU_JIT_INFO_LOG_BUFFER,
                              CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_WALL_TIME};
    void *values[] = {(void *)3, (void *)1, info, (void *)sizeof(info), (void *)-1};
    CUmodule module;
    CUfunction function;
    int registers;
    RIG_OK(cuda.cuModuleLoadDataEx(&module, rig_ptx, 5, options, values));
    RIG_OK(cuda.cuModuleGetFunction(&function, module, "count"));
    RIG_OK(cuda.cuFuncGetAttribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, function));
    assert_int_equal(registers, 3);
    assert_non_null(strstr(info, "ms"));
    assert_int_equal((size_t)values[3], strlen(info));
    assert_true((uintptr_t)values[4] != (uintptr_t)-1);
}

static void loads_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/weft-module-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, rig_ptx, strlen(rig_ptx)), (ssize_t)strlen(rig_ptx));
    close(fd);
    CUmodule module;
    CUfunction function;
    RIG_OK(cuda.cuModuleLoad(&module, path));
    RIG_OK(cuda.cuModuleGetFunction(&function, module, "count"));
    unlink(path);
    assert_int_equal(cuda.cuModuleLoad(&module, path), CUDA_ERROR_FILE_NOT_FOUND);
}

static void finds_functions(void **state)
{
    (void)state;
    CUmodule module, owner;
    CUfunction count, again, all[16];
    unsigned int functions;
    const char *name;
    size_t offset, bytes;
    RIG_OK(cuda.cuModuleLoadData(&module, rig_ptx));
    RIG_OK(cuda.cuModuleGetFunction(&count, module, "count"));
    RIG_OK(cuda.cuModuleGetFunction(&again, module, "count"));
    assert_ptr_equal(count, again);
    RIG_OK(cuda.cuFuncGetName(&name, count));
    assert_string_equal(name, "count");
    RIG_OK(cuda.cuFuncGetModule(&owner, count));
    assert_ptr_equal(owner, module);
    RIG_OK(cuda.cuFuncGetParamInfo(count, 1, &offset, &bytes));
    assert_int_equal(offset, 8);
    assert_int_equal(bytes, 8);
    assert_int_equal(cuda.cuFuncGetParamInfo(count, 2, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuda.cuModuleGetFunction(&again, module, "nothing"), CUDA_ERROR_NOT_FOUND);
    assert_int_equal(cuda.cuModuleGetFunction(&again, module, "counter"), CUDA_ERROR_NOT_FOUND);
    assert_int_equal(cuda.cuModuleGetFunction(&again, (CUmodule)count, "count"),
                     CUDA_ERROR_INVALID_HANDLE);
    RIG_OK(cuda.cuModuleGetFunctionCount(&functions, module));
    assert_int_equal(functions, 9);
    RIG_OK(cuda.cuModuleEnumerateFunctions(all, 3, module));
    RIG_OK(cuda.cuModuleUnload(module));
    assert_int_equal(cuda.cuFuncGetName(&name, count), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
}

static void names_what_it_cannot_run(void **state)
{
    (void)state;
    CUmodule module;
    CUfunction function;
    RIG_OK(cuda.cuModuleLoadData(&module, rig_ptx));
    assert_int_equal(cuda.cuModuleGetFunction(&function, module, "unsupported"),
                     CUDA_ERROR_NOT_SUPPORTED);
    const char *report = rig_report();
    assert_non_null(strstr(report, "kernel unsupported"));
    assert_non_null(strstr(report, "wmma.load"));
}

static void places_variables(void **state)
{
    (void)state;
    CUmodule module;
    CUdeviceptr counter, pointer, table;
    size_t bytes;
    RIG_OK(cuda.cuModuleLoadData(&module, rig_ptx));
    RIG_OK(cuda.cuModuleGetGlobal_v2(&counter, &bytes, module, "counter"));
    assert_int_equal(bytes, 4);
    RIG_OK(cuda.cuModuleGetGlobal_v2(&pointer, &bytes, module, "pointer"));
    assert_int_equal(bytes, 8);
    RIG_OK(cuda.cuModuleGetGlobal_v2(&table, NULL, module, "table"));
    uint32_t value;
    uint64_t address;
    float floats[2];
    RIG_OK(cuda.cuMemcpyDtoH_v2(&value, counter, sizeof(value)));
    assert_int_equal(value, 7);
    RIG_OK(cuda.cuMemcpyDtoH_v2(&address, pointer, sizeof(address)));
    assert_int_equal(address, counter);
    RIG_OK(cuda.cuMemcpyDtoH_v2(floats, table, sizeof(floats)));
    assert_true(floats[0] == 1.0f && floats[1] == 2.0f);
    assert_int_equal(cuda.cuModuleGetGlobal_v2(&table, &bytes, module, "nothing"),
                     CUDA_ERROR_NOT_FOUND);
    size_t free_before, free_after, total;
    RIG_OK(cuda.cuMemGetInfo_v2(&free_before, &total));
    RIG_OK(cuda.cuModuleUnload(module));
    RIG_OK(cuda.cuMemGetInfo_v2(&free_after, &total));
    assert_int_equal(free_after - free_before, 512);
}

static void knows_how_many_blocks_fit(void **state)
{
    (void)state;
    CUfunction count = rig_function("count");
    int blocks, grid, block, value;
    size_t shared;
    /* 1024 threads and 64 KiB an SM, 32 registers a thread, 1 KiB of static shared memory. */
    RIG_OK(cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, count, 128, 0));
    assert_int_equal(blocks, 8);
    RIG_OK(cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, count, 128, 15 * 1024));
    assert_int_equal(blocks, 4);
    RIG_OK(cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, count, 1, 0));
    assert_int_equal(blocks, 16);
    RIG_OK(cuda.cuOccupancyMaxPotentialBlockSize(&grid, &block, count, NULL, 0, 0));
    assert_int_equal(block, 512);
    assert_int_equal(grid, 16);
    RIG_OK(cuda.cuOccupancyAvailableDynamicSMemPerBlock(&shared, count, 4, 128));
    assert_int_equal(shared, 15 * 1024);
    RIG_OK(cuda.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, count));
    assert_int_equal(value, 47 * 1024);
    RIG_OK(
        cuda.cuFuncSetAttribute(count, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 63 * 1024));
    assert_int_equal(cuda.cuFuncSetAttribute(count, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                             63 * 1024 + 1),
                     CUDA_ERROR_INVALID_VALUE);
    RIG_OK(cuda.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, count));
    assert_int_equal(value, 75);
    assert_int_equal(cuda.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX, count),
                     CUDA_ERROR_INVALID_VALUE);
}

/* A library belongs to no context: its kernels stand for a function in each, with variables of its
 * own. */
static void loads_libraries_into_contexts(void **state)
{
    (void)state;
    CUlibrary library, owner;
    CUkernel kernel, all[9];
    CUmodule module;
    CUcontext second, popped;
    CUdeviceptr here, there;
    unsigned int kernels;
    const char *name;
    size_t offset, bytes;
    RIG_OK(cuda.cuLibraryLoadData(&library, rig_ptx, NULL, NULL, 0, NULL, NULL, 0));
    RIG_OK(cuda.cuLibraryGetKernelCount(&kernels, library));
    assert_int_equal(kernels, 9);
    RIG_OK(cuda.cuLibraryEnumerateKernels(all, 9, library));
    assert_int_equal(cuda.cuLibraryGetKernel(&kernel, library, "none"), CUDA_ERROR_NOT_FOUND);
    RIG_OK(cuda.cuLibraryGetKernel(&kernel, library, "count"));
    assert_ptr_equal(kernel, all[0]);
    RIG_OK(cuda.cuKernelGetName(&name, kernel));
    assert_string_equal(name, "count");
    RIG_OK(cuda.cuKernelGetLibrary(&owner, kernel));
    assert_ptr_equal(owner, library);
    RIG_OK(cuda.cuKernelGetParamInfo(kernel, 1, &offset, &bytes));
    assert_int_equal(offset, 8);
    RIG_OK(cuda.cuLibraryGetModule(&module, library));
    RIG_OK(cuda.cuLibraryGetGlobal(&here, &bytes, library, "counter"));
    uint32_t *word = rig_word();
    uint64_t params_values[2] = {rig_address(word), 0};
    void *params[] = {&params_values[0], &params_values[1]};
    RIG_OK(cuda.cuLaunchKernel((CUfunction)kernel, 4, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    RIG_OK(cuda.cuCtxSynchronize());
    RIG_OK(cuda.cuCtxCreate_v2(&second, 0, 0));
    RIG_OK(cuda.cuLibraryGetGlobal(&there, &bytes, library, "counter"));
    assert_int_not_equal(here, there);
    RIG_OK(cuda.cuLaunchKernel((CUfunction)kernel, 4, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    RIG_OK(cuda.cuCtxSynchronize());
    assert_int_equal(*word, 8);
    RIG_OK(cuda.cuCtxDestroy_v2(second));
    assert_int_equal(cuda.cuCtxPopCurrent_v2(&popped), CUDA_SUCCESS);
    RIG_OK(cuda.cuCtxPushCurrent_v2(popped));
    RIG_OK(cuda.cuLibraryUnload(library));
    assert_int_equal(cuda.cuLibraryUnload(library), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuda.cuKernelGetName(&name, kernel), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(
        cuda.cuLaunchKernel((CUfunction)kernel, 4, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
        CUDA_ERROR_INVALID_HANDLE);
}

static void keeps_what_is_set_of_a_kernel(void **state)
{
    (void)state;
    CUlibrary library;
    CUkernel kernel;
    CUcontext second;
    int value;
    const CUfunction_attribute shared = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    RIG_OK(cuda.cuLibraryLoadData(&library, rig_ptx, NULL, NULL, 0, NULL, NULL, 0));
    RIG_OK(cuda.cuLibraryGetKernel(&kernel, library, "count"));
    RIG_OK(cuda.cuKernelSetAttribute(shared, 60 * 1024, kernel, 0));
    RIG_OK(cuda.cuCtxCreate_v2(&second, 0, 0));
    RIG_OK(cuda.cuKernelGetAttribute(&value, shared, kernel, 0));
    assert_int_equal(value, 60 * 1024);
    RIG_OK(cuda.cuCtxDestroy_v2(second));
    assert_int_equal(cuda.cuKernelSetAttribute(shared, 64 * 1024, kernel, 0),
                     CUDA_ERROR_INVALID_VALUE);
    RIG_OK(cuda.cuLibraryUnload(library));
}

int main(void)
{
    rig_open(1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(tells_images_apart),
        TEST(fills_the_logs_of_the_compiler),
        TEST(knows_the_options_of_the_compiler),
        TEST(limits_registers_and_tells_more),
        TEST(loads_a_file),
        TEST(finds_functions),
        TEST(names_what_it_cannot_run),
        TEST(places_variables),
        TEST(knows_how_many_blocks_fit),
        TEST(loads_libraries_into_contexts),
        TEST(keeps_what_is_set_of_a_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A long module: its bodies are read when their kernels are asked for. What would break it: an
 * error that never comes or comes for another kernel, one that a log asked for and that is not in
 * it, a module of several contexts and threads whose bodies are read twice or half. `lazy eager` is
 * for CUDA_MODULE_LOADING=EAGER. */
#include <pthread.h>

#include "check.h"

#define KERNELS 1500
#define KERNEL_BYTES 512
#define BROKEN 700
#define THREADS 4

static char text[sizeof(PTX_HEAD) + KERNELS * KERNEL_BYTES];
static CUcontext contexts[2];
static CUlibrary library;

/* Kernel i stores i, over a function that all share; kernel BROKEN has an error in its third line.
 */
static void write_text(int broken)
{
    size_t used =
        (size_t)sprintf(text, PTX_HEAD ".func (.reg .u32 %%sum) shared_sum(.reg .u32 %%a) {\n"
                                       " add.u32 %%sum, %%a, 1;\n ret;\n}\n");
    for (int i = 0; i < KERNELS; i++)
        used += (size_t)sprintf(
            text + used,
            ".visible .entry k%d(.param .u64 out) {\n .reg .b64 %%d0; .reg .b32 %%r<3>;\n"
            " %s ld.param.u64 %%d0, [out]; mov.u32 %%r0, %d;\n"
            " call (%%r1), shared_sum, (%%r0); sub.u32 %%r1, %%r1, 1;\n"
            " st.global.u32 [%%d0], %%r1;\n ret; // }\n}\n",
            i, i == broken ? "nonsense.u32 %r0;" : "", i);
}

static uint32_t run(CUfunction function)
{
    CUdeviceptr out;
    uint32_t value = UINT32_MAX;
    OK(cuMemAlloc(&out, sizeof(value)));
    void *arguments[] = {&out};
    OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    OK(cuMemcpyDtoH(&value, out, sizeof(value)));
    OK(cuMemFree(out));
    return value;
}

static CUresult load_with_log(CUmodule *module, char *log, size_t bytes)
{
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)bytes};
    return cuModuleLoadDataEx(module, text, 2, options, values);
}

/* The third line of kernel BROKEN: three of the head, four of the function, seven a kernel. */
static void check_log(const char *log)
{
    char place[32];
    snprintf(place, sizeof(place), "ptx:%d:", 3 + 4 + 7 * BROKEN + 3);
    CHECK(strncmp(log, place, strlen(place)) == 0);
    CHECK(strstr(log, "nonsense"));
}

static void check_errors(void)
{
    CUmodule module;
    CUfunction function;
    char log[512] = "";
    write_text(BROKEN);
    OK(cuModuleLoadData(&module, text));
    CHECK(run(function_of(module, "k3")) == 3);
    for (int i = 0; i < 2; i++)
        EXPECT(cuModuleGetFunction(&function, module, "k700"), CUDA_ERROR_INVALID_PTX);
    CHECK(run(function_of(module, "k701")) == 701);
    OK(cuModuleUnload(module));
    EXPECT(load_with_log(&module, log, sizeof(log)), CUDA_ERROR_INVALID_PTX);
    check_log(log);
}

static void check_text_is_copied(void)
{
    CUmodule module;
    write_text(-1);
    OK(cuModuleLoadData(&module, text));
    memset(text, '{', sizeof(text) - 1);
    CHECK(run(function_of(module, "k1499")) == 1499);
    OK(cuModuleUnload(module));
}

static void *use_library(void *argument)
{
    uintptr_t number = (uintptr_t)argument;
    OK(cuCtxSetCurrent(contexts[number % 2]));
    for (uint32_t i = 0; i < KERNELS; i += 50) {
        CUkernel kernel;
        CUfunction function;
        char name[16];
        snprintf(name, sizeof(name), "k%u", i);
        OK(cuLibraryGetKernel(&kernel, library, name));
        OK(cuKernelGetFunction(&function, kernel));
        CHECK(run(function) == i);
    }
    return NULL;
}

static void check_threads(void)
{
    pthread_t threads[THREADS];
    write_text(-1);
    OK(cuCtxGetCurrent(&contexts[0]));
    OK(cuCtxCreate(&contexts[1], NULL, 0, 0));
    OK(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, use_library, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    OK(cuLibraryUnload(library));
}

int main(int argc, char **argv)
{
    (void)argv;
    start(PTX_HEAD);
    if (argc > 1) {
        CUmodule module;
        write_text(BROKEN);
        EXPECT(cuModuleLoadData(&module, text), CUDA_ERROR_INVALID_PTX);
        return 0;
    }
    check_errors();
    check_text_is_copied();
    check_threads();
    return 0;
}

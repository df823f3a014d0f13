/* libraries LIBRARY…: a thousand modules at once, and libraries with a kernel, each opened, used
 * and closed a thousand times: one that uses our shared runtime, one that has ours inside. The heap
 * must not grow from then on: what a module held goes with it. What would break it: a symbol, a
 * module or a library of the driver that stays, a kernel of a closed library that is still found.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <unistd.h>

#include "program.h"

#define MODULES 1000
#define ROUNDS 1000
#define WARM_ROUNDS 100
#define PATIENCE_MS 20000
#define GROWTH_MAX (ROUNDS * 16) /* bytes; less than any object that a round makes */

static const char text[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                           ".visible .global .u32 word = %d;\n"
                           ".visible .entry store(.param .u64 to) {\n .reg .b64 %%d<2>;\n"
                           " .reg .b32 %%r<2>;\n ld.param.u64 %%d0, [to];\n"
                           " ld.global.u32 %%r0, [word];\n st.global.u32 [%%d0], %%r0;\n ret;\n}\n";

static char stubs[MODULES];
static uint32_t words[MODULES];
static void **handles[MODULES];
static uint32_t *to;

static uint32_t store(const void *stub)
{
    uint32_t got = 0;
    dim3 one = {1, 1, 1};
    void *arguments[] = {&to};
    OK(cudaLaunchKernel(stub, one, one, arguments, 0, NULL));
    OK(cudaMemcpy(&got, to, 4, cudaMemcpyDeviceToHost));
    return got;
}

/* Each with a kernel and a variable of the same names. */
static void many_modules(void)
{
    char ptx[sizeof(text) + 16];
    for (int i = 0; i < MODULES; i++) {
        snprintf(ptx, sizeof(ptx), text, i);
        handles[i] = program_register(ptx);
        program_kernel(handles[i], &stubs[i], "store");
        __cudaRegisterVar(handles[i], (char *)&words[i], (char *)"word", "word", 0, 4, 0, 0);
        __cudaRegisterFatBinaryEnd(handles[i]);
    }
    for (int i = MODULES - 1; i >= 0; i--) {
        uint32_t more = (uint32_t)i + 7;
        CHECK(store(&stubs[i]) == (uint32_t)i);
        OK(cudaMemcpyToSymbol(&words[i], &more, 4, 0, cudaMemcpyHostToDevice));
    }
    for (int i = 0; i < MODULES; i += 2)
        __cudaUnregisterFatBinary(handles[i]);
    for (int i = 1; i < MODULES; i += 2)
        CHECK(store(&stubs[i]) == (uint32_t)i + 7);
    dim3 one = {1, 1, 1};
    for (int i = 0; i < MODULES; i += 2)
        FAILS(cudaLaunchKernel(&stubs[i], one, one, NULL, 0, NULL), cudaErrorInvalidDeviceFunction);
    for (int i = 1; i < MODULES; i += 2)
        __cudaUnregisterFatBinary(handles[i]);
    cudaGetLastError();
}

static void use_once(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library);
    int (*run)(void *) = (int (*)(void *))(uintptr_t)dlsym(library, "library_store");
    uint32_t got = 0;
    CHECK(run && run(to) == 0);
    OK(cudaMemcpy(&got, to, 4, cudaMemcpyDeviceToHost));
    CHECK(got == 31);
    CHECK(dlclose(library) == 0);
}

static void many_rounds(const char *path)
{
    size_t before = 0;
    for (int i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        if (i == WARM_ROUNDS)
            before = mallinfo2().uordblks;
        use_once(path);
    }
    size_t after = mallinfo2().uordblks;
    /* A thread of the device may be about to let go of the last kernels that it ran. */
    for (int i = 0; i < PATIENCE_MS && after > before + GROWTH_MAX; i++) {
        usleep(1000);
        after = mallinfo2().uordblks;
    }
    if (after > before + GROWTH_MAX)
        fprintf(stderr, "%zu bytes more after %d rounds\n", after - before, ROUNDS);
    CHECK(after <= before + GROWTH_MAX);
}

int main(int count, char **arguments)
{
    CHECK(count > 1);
    OK(cudaMalloc((void **)&to, 4));
    many_modules();
    for (int i = 1; i < count; i++)
        many_rounds(arguments[i]);
    OK(cudaFree(to));
    return 0;
}

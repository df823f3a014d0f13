/* constructors LIBRARY: the runtime's calls before main: in a constructor of the program before its
 * kernels are registered, after it, and in the constructor and destructor of a library that is
 * opened, under the loader's lock, where kernels run on threads that were just made. What would
 * break it: a failure before main that is kept, a worker that needs the loader's lock. */
#include <dlfcn.h>

#include "program.h"

static const char ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                          ".visible .entry store(.param .u64 to) {\n .reg .b64 %d<2>;\n"
                          " ld.param.u64 %d0, [to];\n st.global.u32 [%d0], 17;\n ret;\n}\n";

static const char stub;
static uint32_t *to;
static cudaError_t early;
static void **handle;

static cudaError_t store(void)
{
    dim3 one = {1, 1, 1};
    void *arguments[] = {&to};
    return cudaLaunchKernel(&stub, one, one, arguments, 0, NULL);
}

static uint32_t stored(void)
{
    uint32_t got = 0;
    OK(store());
    OK(cudaMemcpy(&got, to, 4, cudaMemcpyDeviceToHost));
    return got;
}

#ifdef LIBRARY
#define FIRST 101
#define SECOND 102
#else
#define FIRST 201
#define SECOND 202
#endif

__attribute__((constructor(FIRST))) static void before_registration(void)
{
    OK(cudaMalloc((void **)&to, 4));
    early = store();
    cudaGetLastError();
}

__attribute__((constructor(SECOND))) static void registration(void)
{
    handle = program_register(ptx);
    program_kernel(handle, &stub, "store");
    __cudaRegisterFatBinaryEnd(handle);
    CHECK(early == cudaErrorInvalidDeviceFunction && stored() == 17);
}

#ifdef LIBRARY
__attribute__((destructor)) static void at_close(void)
{
    CHECK(stored() == 17);
    OK(cudaFree(to));
    __cudaUnregisterFatBinary(handle);
    program_forget();
}
#else
int main(int count, char **arguments)
{
    CHECK(count == 2);
    for (int i = 0; i < 3; i++) {
        void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        CHECK(library && dlclose(library) == 0);
    }
    CHECK(stored() == 17);
    return 0;
}
#endif

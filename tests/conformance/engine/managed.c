/* Managed variables of a library are one for all contexts and devices that it is loaded in, those
 * of a module its own. What would break it: a copy for each context, a first value that is written
 * over one that another context has changed, or memory that ends with the context that happened to
 * come first. Wants two devices. */
#include "check.h"

static const char text[] =
    PTX_HEAD ".visible .global .attribute(.managed) .u32 visits = 40;\n"
             ".visible .global .u32 own = 7;\n"
             ".visible .entry visit() {\n"
             "  .reg .b32 %r<3>;\n"
             "  ld.global.u32 %r0, [visits]; add.u32 %r0, %r0, 1; st.global.u32 [visits], %r0;\n"
             "  ld.global.u32 %r1, [own]; add.u32 %r1, %r1, 1; st.global.u32 [own], %r1; ret;\n}\n";

static uint32_t *visits_in(CUcontext context, CUlibrary library)
{
    CUdeviceptr address;
    size_t bytes;
    OK(cuCtxSetCurrent(context));
    OK(cuLibraryGetManaged(&address, &bytes, library, "visits"));
    CHECK(bytes == 4);
    return (uint32_t *)(uintptr_t)address;
}

static void visit(CUcontext context, CUlibrary library, uint32_t own_after)
{
    CUkernel kernel;
    CUdeviceptr address;
    uint32_t own;
    OK(cuCtxSetCurrent(context));
    OK(cuLibraryGetKernel(&kernel, library, "visit"));
    OK(cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    OK(cuCtxSynchronize());
    OK(cuLibraryGetGlobal(&address, NULL, library, "own"));
    OK(cuMemcpyDtoH(&own, address, sizeof(own)));
    CHECK(own == own_after);
}

static void one_for_a_library(CUcontext contexts[3], CUlibrary library)
{
    visit(contexts[0], library, 8);
    uint32_t *visits = visits_in(contexts[0], library);
    CHECK(*visits == 41);
    *visits = 50;
    visit(contexts[1], library, 8);
    visit(contexts[2], library, 8);
    visit(contexts[0], library, 9);
    for (int i = 0; i < 3; i++)
        CHECK(visits_in(contexts[i], library) == visits);
    CHECK(*visits == 53);
    OK(cuCtxDestroy(contexts[0]));
    visit(contexts[2], library, 9);
    CHECK(*visits == 54 && visits_in(contexts[1], library) == visits);
    OK(cuCtxDestroy(contexts[1]));
    OK(cuCtxDestroy(contexts[2]));
    OK(cuCtxCreate(&contexts[0], NULL, 0, 1));
    CHECK(*visits_in(contexts[0], library) == 40);
}

static void own_of_a_module(void)
{
    CUmodule modules[2];
    CUdeviceptr addresses[2];
    for (int i = 0; i < 2; i++) {
        OK(cuModuleLoadData(&modules[i], text));
        OK(cuModuleGetGlobal(&addresses[i], NULL, modules[i], "visits"));
        CHECK(*(uint32_t *)(uintptr_t)addresses[i] == 40);
        *(uint32_t *)(uintptr_t)addresses[i] = 60;
    }
    CHECK(addresses[0] != addresses[1]);
    OK(cuModuleUnload(modules[0]));
    CHECK(*(uint32_t *)(uintptr_t)addresses[1] == 60);
}

int main(void)
{
    CUcontext contexts[3];
    CUlibrary library, other;
    OK(cuInit(0));
    for (int i = 0; i < 3; i++)
        OK(cuCtxCreate(&contexts[i], NULL, 0, i == 2));
    OK(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    one_for_a_library(contexts, library);
    OK(cuLibraryLoadData(&other, text, NULL, NULL, 0, NULL, NULL, 0));
    CHECK(visits_in(contexts[0], other) != visits_in(contexts[0], library));
    own_of_a_module();
    OK(cuLibraryUnload(library));
    OK(cuLibraryUnload(other));
    OK(cuCtxDestroy(contexts[0]));
    return 0;
}

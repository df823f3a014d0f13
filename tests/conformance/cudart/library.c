/* A library with a kernel, for libraries.c. */
#include "program.h"

static const char ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                          ".visible .entry store(.param .u64 to) {\n .reg .b64 %d<2>;\n"
                          " ld.param.u64 %d0, [to];\n st.global.u32 [%d0], 31;\n ret;\n}\n";

static const char stub;
static struct {
    struct program_fat head;
    char text[sizeof(ptx)];
} __attribute__((packed, aligned(8))) fat;
static struct program_wrapper wrapper = {0x466243b1u, 1, &fat, NULL};
static void **handle;

__attribute__((visibility("default"))) int library_store(void *to);

int library_store(void *to)
{
    dim3 one = {1, 1, 1};
    void *arguments[] = {&to};
    return (int)cudaLaunchKernel(&stub, one, one, arguments, 0, NULL);
}

__attribute__((constructor)) static void begin(void)
{
    fat.head = program_head(sizeof(ptx), 1);
    memcpy(fat.text, ptx, sizeof(ptx));
    handle = __cudaRegisterFatBinary(&wrapper);
    program_kernel(handle, &stub, "store");
    __cudaRegisterFatBinaryEnd(handle);
}

__attribute__((destructor)) static void end(void)
{
    __cudaUnregisterFatBinary(handle);
}

/* A mapping that cuMemSetAccess has made read-only. What would break it: a kernel's store, atomic,
 * matrix or bulk copy that changes it all the same; a read of it, or a store beside it, that
 * faults; one that was made writable again and is not. */
#include <string.h>

#include "program.h"

#define BYTES (2 * MIB)
#define WORDS 1024

struct way {
    const char *name, *body;
};

/* Each writes there in another way. %d0: the address, as a generic one; %d1: the lane's own word
 * there; %r0: the lane. */
static const struct way ways[] = {
    {"contiguous", "st.global.u32 [%d1], %r0;"},
    {"generic", "st.u32 [%d1], %r0;"},
    {"uniform", "st.global.u32 [%d0], 7;"},
    {"scattered", "mul.wide.u32 %d2, %r0, 1024; add.u64 %d2, %d2, %d0; st.global.u8 [%d2], 7;"},
    {"one lane", "setp.eq.u32 %p0, %r0, 3; @%p0 st.global.u64 [%d0], 7;"},
    {"vector", "mul.wide.u32 %d2, %r0, 16; add.u64 %d2, %d2, %d0; "
               "st.global.v4.u32 [%d2], {%r0, %r0, %r0, %r0};"},
    {"release", "st.release.gpu.global.u32 [%d1], 7;"},
    {"atomic", "atom.global.add.u32 %r1, [%d1], 1;"},
    {"reduction", "red.global.add.u32 [%d0], 1;"},
    {"wide atomic", ".reg .b128 %q<2>; mov.b128 %q0, {%d0, %d0}; "
                    "atom.global.b128.exch %q1, [%d0], %q0;"},
    {"matrix", ".reg .f32 %f<8>; mov.f32 %f0, 0f3f800000; "
               "wmma.store.d.sync.aligned.m16n16k16.row.global.f32 [%d0], "
               "{%f0, %f0, %f0, %f0, %f0, %f0, %f0, %f0};"},
    {"bulk copy", ".shared .align 16 .b8 s[64]; mov.u32 %r1, s; setp.eq.u32 %p0, %r0, 0; "
                  "st.shared.u32 [s], 7; fence.proxy.async; bar.sync 0; "
                  "@%p0 cp.async.bulk.global.shared::cta.bulk_group [%d0], [%r1], 64;"},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void text_of(const struct way *way, char *text, size_t size)
{
    snprintf(text, size,
             ".version 8.3\n.target sm_90\n.address_size 64\n"
             ".visible .entry go(.param .u64 to)\n{\n"
             "  .reg .u64 %%d<4>;\n  .reg .u32 %%r<4>;\n  .reg .pred %%p<2>;\n"
             "  ld.param.u64 %%d0, [to];\n  mov.u32 %%r0, %%tid.x;\n"
             "  mul.wide.u32 %%d1, %%r0, 4;\n  add.u64 %%d1, %%d1, %%d0;\n  %s\n  ret;\n}\n",
             way->body);
}

/* In a context of its own, since a fault ends it. */
static CUresult go(CUdevice device, const struct way *way, CUdeviceptr to)
{
    char text[2048];
    CUcontext context;
    CUmodule module;
    CUfunction function;
    void *params[] = {&to};
    text_of(way, text, sizeof(text));
    DO(cuCtxCreate(&context, NULL, 0, device));
    DO(cuModuleLoadData(&module, text));
    DO(cuModuleGetFunction(&function, module, "go"));
    DO(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
    CUresult result = cuCtxSynchronize();
    DO(cuCtxDestroy(context));
    return result;
}

static CUdeviceptr map(CUdevice device)
{
    CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    DO(cuMemCreate(&handle, BYTES, &properties, 0));
    DO(cuMemAddressReserve(&address, 2 * BYTES, 0, 0, 0));
    DO(cuMemMap(address, BYTES, 0, handle, 0));
    DO(cuMemCreate(&handle, BYTES, &properties, 0));
    DO(cuMemMap(address + BYTES, BYTES, 0, handle, 0));
    return address;
}

static void allow(CUdevice device, CUdeviceptr address, size_t bytes, CUmemAccess_flags flags)
{
    CUmemAccessDesc desc = {{CU_MEM_LOCATION_TYPE_DEVICE, device}, flags};
    DO(cuMemSetAccess(address, bytes, &desc, 1));
}

static int is_zero(CUdeviceptr address)
{
    static const unsigned int zeros[WORDS];
    unsigned int words[WORDS];
    DO(cuMemcpyDtoH(words, address, sizeof(words)));
    return memcmp(words, zeros, sizeof(words)) == 0;
}

/* All that is not read-only stays as it was, also what is allocated and freed afterwards. */
static void beside(const struct program *program, CUdeviceptr locked)
{
    CUdeviceptr before, later;
    DO(cuMemAlloc(&before, 4096));
    DO(cuMemAllocAsync(&later, 4096, NULL));
    program_twice(program, before, locked, WORDS, NULL);
    program_twice(program, later, locked, WORDS, NULL);
    DO(cuMemFreeAsync(later, NULL));
    DO(cuCtxSynchronize());
    TRUE(is_zero(before));
    DO(cuMemFree(before));
}

int main(void)
{
    struct program program = program_start();
    CUdeviceptr pooled, address = map(program.device);
    DO(cuMemAllocAsync(&pooled, 4096, NULL));
    allow(program.device, address, 2 * BYTES, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    for (size_t i = 0; i < WAYS; i++) {
        DO(go(program.device, &ways[i], address));
        TRUE(!is_zero(address));
        DO(cuMemsetD8(address, 0, 1u << 16));
    }
    allow(program.device, address, BYTES, CU_MEM_ACCESS_FLAGS_PROT_READ);
    for (size_t i = 0; i < WAYS; i++) {
        EXPECT(go(program.device, &ways[i], address), CUDA_ERROR_ILLEGAL_ADDRESS);
        TRUE(is_zero(address));
        DO(go(program.device, &ways[i], address + BYTES));
    }
    DO(cuCtxSetCurrent(program.context));
    beside(&program, address);
    program_twice(&program, pooled, address, WORDS, NULL);
    DO(cuMemFreeAsync(pooled, NULL));
    DO(cuCtxSynchronize());
    allow(program.device, address, BYTES, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    for (size_t i = 0; i < WAYS; i++)
        DO(go(program.device, &ways[i], address));
    TRUE(!is_zero(address));
    /* Freed and mapped anew it is nobody's any more, not even to read. */
    DO(cuMemUnmap(address, BYTES));
    EXPECT(go(program.device, &ways[0], address), CUDA_ERROR_ILLEGAL_ADDRESS);
    return 0;
}

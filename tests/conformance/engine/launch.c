/* Launches as a program makes them: what would break it is a parameter at the wrong offset, a block
 * with the wrong numbers, shared memory of the wrong size, or a variable without its value. */
#include "check.h"

/* where: each thread writes 1 to its own place, computed from all special registers.
 * sum: adds the bytes of a structure given by value, of 1200 bytes, and what stands before and
 * after. reverse: reverses 64 words through dynamic shared memory. bump: adds to a variable of the
 * module and returns it; its address comes from another variable. */
static const char ptx[] = PTX_HEAD
    ".global .align 4 .u32 counter = 40;\n"
    ".global .align 8 .u64 pointer = counter;\n"
    ".const .align 4 .u32 step = 1;\n"
    ".extern .shared .align 4 .b8 words[];\n"
    ".visible .entry where(.param .u64 p_out)\n{\n"
    "    .reg .u32 %t<4>, %n<4>, %b<4>, %g<4>, %i; .reg .u64 %out, %at; .reg .u32 %one;\n"
    "    mov.u32 %t0, %tid.x; mov.u32 %t1, %tid.y; mov.u32 %t2, %tid.z;\n"
    "    mov.u32 %n0, %ntid.x; mov.u32 %n1, %ntid.y; mov.u32 %n2, %ntid.z;\n"
    "    mov.u32 %b0, %ctaid.x; mov.u32 %b1, %ctaid.y; mov.u32 %b2, %ctaid.z;\n"
    "    mov.u32 %g0, %nctaid.x; mov.u32 %g1, %nctaid.y;\n"
    "    mad.lo.u32 %i, %b2, %g1, %b1; mad.lo.u32 %i, %i, %g0, %b0;\n"
    "    mad.lo.u32 %i, %i, %n2, %t2; mad.lo.u32 %i, %i, %n1, %t1; mad.lo.u32 %i, %i, %n0, %t0;\n"
    "    ld.param.u64 %out, [p_out]; mul.wide.u32 %at, %i, 4; add.u64 %at, %out, %at;\n"
    "    mov.u32 %one, 1; red.global.add.u32 [%at], %one;\n"
    "    ret;\n}\n"
    ".visible .entry sum(.param .u8 p_first, .param .align 4 .b8 p_block[1200],\n"
    "                    .param .u64 p_out, .param .u16 p_last)\n{\n"
    "    .reg .pred %p; .reg .u32 %total, %value, %i; .reg .u64 %out, %base, %at; .reg .u16 %h;\n"
    "    ld.param.u8 %h, [p_first]; cvt.u32.u16 %total, %h;\n"
    "    ld.param.u16 %h, [p_last]; cvt.u32.u16 %value, %h; add.u32 %total, %total, %value;\n"
    "    mov.u32 %i, 0; mov.b64 %base, p_block;\n"
    "next: cvt.u64.u32 %at, %i; add.u64 %at, %base, %at; ld.param.u8 %h, [%at];\n"
    "    cvt.u32.u16 %value, %h; add.u32 %total, %total, %value;\n"
    "    add.u32 %i, %i, 1; setp.lt.u32 %p, %i, 1200; @%p bra next;\n"
    "    ld.param.u64 %out, [p_out]; st.global.u32 [%out], %total;\n"
    "    ret;\n}\n"
    ".visible .entry reverse(.param .u64 p_data)\n{\n"
    "    .reg .u32 %t, %v, %a, %n, %base; .reg .u64 %data, %at;\n"
    "    mov.u32 %t, %tid.x; ld.param.u64 %data, [p_data];\n"
    "    mul.wide.u32 %at, %t, 4; add.u64 %at, %data, %at; ld.global.u32 %v, [%at];\n"
    "    mov.u32 %base, words; shl.b32 %a, %t, 2; add.u32 %a, %base, %a; st.shared.u32 [%a], %v;\n"
    "    bar.sync 0;\n"
    "    mov.u32 %n, 63; sub.u32 %n, %n, %t; shl.b32 %a, %n, 2; add.u32 %a, %base, %a;\n"
    "    ld.shared.u32 %v, [%a]; st.global.u32 [%at], %v;\n"
    "    ret;\n}\n"
    ".visible .entry bump(.param .u64 p_out)\n{\n"
    "    .reg .u32 %s, %v; .reg .u64 %out, %at;\n"
    "    ld.global.u64 %at, [pointer]; ld.const.u32 %s, [step];\n"
    "    atom.global.add.u32 %v, [%at], %s;\n"
    "    ld.param.u64 %out, [p_out]; st.global.u32 [%out], %v;\n"
    "    ret;\n}\n";

#define PLACES (3 * 4 * 5 * 6 * 7 * 2)

static void counts_every_thread(CUmodule module)
{
    static uint32_t places[PLACES];
    CUdeviceptr out;
    OK(cuMemAlloc(&out, sizeof(places)));
    OK(cuMemsetD8(out, 0, sizeof(places)));
    void *params[] = {&out};
    OK(cuLaunchKernel(function_of(module, "where"), 3, 4, 5, 6, 7, 2, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(places, out, sizeof(places)));
    for (size_t i = 0; i < PLACES; i++)
        CHECK(places[i] == 1);
    OK(cuMemFree(out));
}

static void passes_large_parameters(CUmodule module)
{
    CUfunction sum = function_of(module, "sum");
    CUdeviceptr out;
    unsigned char first = 200, block[1200];
    uint16_t last = 60000;
    uint32_t total, wanted = first + last;
    for (size_t i = 0; i < sizeof(block); i++)
        wanted += block[i] = (unsigned char)(i * 7);
    OK(cuMemAlloc(&out, 4));
    void *params[] = {&first, block, &out, &last};
    OK(cuLaunchKernel(sum, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    memset(block, 0, sizeof(block)); /* the launch has copied it */
    OK(cuMemcpyDtoH(&total, out, 4));
    CHECK(total == wanted);

    /* The same through a buffer, laid out by what the driver says of the parameters. */
    unsigned char buffer[2048] = {0};
    size_t offset, bytes, end = 0;
    for (size_t i = 0; i < 4; i++) {
        OK(cuFuncGetParamInfo(sum, i, &offset, &bytes));
        memcpy(buffer + offset, params[i], bytes);
        end = offset + bytes;
    }
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &end,
                     CU_LAUNCH_PARAM_END};
    OK(cuLaunchKernel(sum, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
    OK(cuMemcpyDtoH(&total, out, 4));
    CHECK(total == (uint32_t)first + last);
    OK(cuMemFree(out));
}

static void gives_dynamic_shared_memory(CUmodule module)
{
    CUfunction reverse = function_of(module, "reverse");
    uint32_t data[64];
    CUdeviceptr address;
    for (uint32_t i = 0; i < 64; i++)
        data[i] = i;
    OK(cuMemAlloc(&address, sizeof(data)));
    OK(cuMemcpyHtoD(address, data, sizeof(data)));
    void *params[] = {&address};
    OK(cuLaunchKernel(reverse, 1, 1, 1, 64, 1, 1, sizeof(data), NULL, params, NULL));
    OK(cuMemcpyDtoH(data, address, sizeof(data)));
    for (uint32_t i = 0; i < 64; i++)
        CHECK(data[i] == 63 - i);
    EXPECT(cuLaunchKernel(reverse, 1, 1, 1, 64, 1, 1, 60 * 1024, NULL, params, NULL),
           CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncSetAttribute(reverse, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60 * 1024));
    CUlaunchConfig config = {1, 1, 1, 64, 1, 1, 60 * 1024, NULL, NULL, 0};
    OK(cuLaunchKernelEx(&config, reverse, params, NULL));
    OK(cuCtxSynchronize());
    OK(cuMemFree(address));
}

static void keeps_variables(CUmodule module)
{
    CUdeviceptr out, counter;
    size_t bytes;
    uint32_t value;
    OK(cuMemAlloc(&out, 4));
    void *params[] = {&out};
    for (uint32_t i = 0; i < 3; i++)
        OK(cuLaunchKernel(function_of(module, "bump"), 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(&value, out, 4));
    CHECK(value == 42);
    OK(cuModuleGetGlobal(&counter, &bytes, module, "counter"));
    CHECK(bytes == 4);
    OK(cuMemcpyDtoH(&value, counter, 4));
    CHECK(value == 43);
    OK(cuMemFree(out));
}

/* Breaks where the estimate of a kernel's registers refuses a block that the kernel's own limit of
 * threads allows, as it once did for long kernels. */
static void takes_a_full_block_of_many_registers(void)
{
    enum { WORDS = 6000 };
    char text[1024];
    int threads;
    CUmodule module;
    snprintf(text, sizeof(text),
             PTX_HEAD ".visible .entry wide(.param .u64 p_out)\n{\n"
                      "    .reg .u32 %%r<%d>; .reg .u64 %%out;\n"
                      "    ld.param.u64 %%out, [p_out]; mov.u32 %%r%d, 1;\n"
                      "    red.global.add.u32 [%%out], %%r%d; ret;\n}\n",
             WORDS, WORDS - 1, WORDS - 1);
    OK(cuModuleLoadData(&module, text));
    CUfunction wide = function_of(module, "wide");
    CUdeviceptr out;
    uint32_t count = 0;
    OK(cuFuncGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, wide));
    OK(cuMemAlloc(&out, 4));
    OK(cuMemcpyHtoD(out, &count, 4));
    void *params[] = {&out};
    OK(cuLaunchKernel(wide, 1, 1, 1, (unsigned int)threads, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(&count, out, 4));
    CHECK(count == (uint32_t)threads);
    OK(cuMemFree(out));
    OK(cuModuleUnload(module));
}

int main(void)
{
    CUmodule module = start(ptx);
    takes_a_full_block_of_many_registers();
    counts_every_thread(module);
    passes_large_parameters(module);
    gives_dynamic_shared_memory(module);
    keeps_variables(module);
    return 0;
}

/* What the programs here share: a kernel whose launches do not commute, so that a node that runs
 * too early, too late, twice or not at all changes the result. */
#ifndef WEFT_TESTS_GRAPH_PROGRAM_H
#define WEFT_TESTS_GRAPH_PROGRAM_H

#include "check.h"

#define THREADS 64

/* step: data[i] = data[i] * factor + term. join: out[i] = 31 * left[i] + right[i]. */
static const char graph_ptx[] = PTX_HEAD
    ".visible .entry step(.param .u64 p_data, .param .u32 p_factor, .param .u32 p_term)\n{\n"
    "    .reg .u32 %t, %v, %f, %a; .reg .u64 %data, %at;\n"
    "    mov.u32 %t, %tid.x; ld.param.u64 %data, [p_data];\n"
    "    ld.param.u32 %f, [p_factor]; ld.param.u32 %a, [p_term];\n"
    "    mul.wide.u32 %at, %t, 4; add.u64 %at, %data, %at; ld.global.u32 %v, [%at];\n"
    "    mad.lo.u32 %v, %v, %f, %a; st.global.u32 [%at], %v;\n"
    "    ret;\n}\n"
    ".visible .entry join(.param .u64 p_out, .param .u64 p_left, .param .u64 p_right)\n{\n"
    "    .reg .u32 %t, %v, %w; .reg .u64 %base, %offset, %at;\n"
    "    mov.u32 %t, %tid.x; mul.wide.u32 %offset, %t, 4;\n"
    "    ld.param.u64 %base, [p_left]; add.u64 %at, %base, %offset; ld.global.u32 %v, [%at];\n"
    "    ld.param.u64 %base, [p_right]; add.u64 %at, %base, %offset; ld.global.u32 %w, [%at];\n"
    "    mad.lo.u32 %v, %v, 31, %w;\n"
    "    ld.param.u64 %base, [p_out]; add.u64 %at, %base, %offset; st.global.u32 [%at], %v;\n"
    "    ret;\n}\n";

static CUfunction step, join;

static inline void start_graphs(void)
{
    CUmodule module = start(graph_ptx);
    step = function_of(module, "step");
    join = function_of(module, "join");
}

static inline CUdeviceptr words(uint32_t value)
{
    CUdeviceptr data;
    OK(cuMemAlloc(&data, THREADS * 4));
    OK(cuMemsetD32(data, value, THREADS));
    return data;
}

static inline uint32_t only_word(CUdeviceptr data)
{
    uint32_t found[THREADS];
    OK(cuMemcpyDtoH(found, data, sizeof(found)));
    for (size_t i = 1; i < THREADS; i++)
        CHECK(found[i] == found[0]);
    return found[0];
}

static inline CUDA_KERNEL_NODE_PARAMS kernel_of(CUfunction function, void **params)
{
    return (CUDA_KERNEL_NODE_PARAMS){.func = function,
                                     .gridDimX = 1,
                                     .gridDimY = 1,
                                     .gridDimZ = 1,
                                     .blockDimX = THREADS,
                                     .blockDimY = 1,
                                     .blockDimZ = 1,
                                     .kernelParams = params};
}

static inline CUgraphNode add_step(CUgraph graph, CUgraphNode after, CUdeviceptr data,
                                   uint32_t factor, uint32_t term)
{
    void *params[] = {&data, &factor, &term};
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(step, params);
    CUgraphNode node;
    OK(cuGraphAddKernelNode(&node, graph, &after, after != NULL, &kernel));
    return node;
}

#endif

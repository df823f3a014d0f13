/* Branches of a graph run at once. What would break it is a branch that waits for another one to
 * end: then the two here, which wait for each other, never do, and the test does not end either. */
#include "program.h"

/* set: *flag = value. await: spins until *flag == value, then *out += value. */
static const char branch_ptx[] = PTX_HEAD
    ".visible .entry set(.param .u64 p_flag, .param .u32 p_value)\n{\n"
    "    .reg .u32 %v; .reg .u64 %flag;\n"
    "    ld.param.u64 %flag, [p_flag]; ld.param.u32 %v, [p_value];\n"
    "    st.volatile.global.u32 [%flag], %v; ret;\n}\n"
    ".visible .entry await(.param .u64 p_flag, .param .u32 p_value, .param .u64 p_out)\n{\n"
    "    .reg .u32 %v, %w; .reg .u64 %flag, %out; .reg .pred %p;\n"
    "    ld.param.u64 %flag, [p_flag]; ld.param.u32 %v, [p_value]; ld.param.u64 %out, [p_out];\n"
    "again: ld.volatile.global.u32 %w, [%flag]; setp.ne.u32 %p, %w, %v; @%p bra again;\n"
    "    ld.volatile.global.u32 %w, [%out]; add.u32 %w, %w, %v;\n"
    "    st.volatile.global.u32 [%out], %w; ret;\n}\n";

#define WIDTH 40
#define WAITERS 5
#define DEPTH 6

static CUfunction set, await;
static CUstream stream;

static CUgraphNode add_kernel(CUgraph graph, CUgraphNode after, CUfunction function, void **params)
{
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(function, params);
    CUgraphNode node;
    kernel.blockDimX = 1;
    OK(cuGraphAddKernelNode(&node, graph, &after, after != NULL, &kernel));
    return node;
}

static CUgraphNode add_set(CUgraph graph, CUgraphNode after, CUdeviceptr flag, uint32_t value)
{
    void *params[] = {&flag, &value};
    return add_kernel(graph, after, set, params);
}

static CUgraphNode add_await(CUgraph graph, CUgraphNode after, CUdeviceptr flag, uint32_t value,
                             CUdeviceptr out)
{
    void *params[] = {&flag, &value, &out};
    return add_kernel(graph, after, await, params);
}

static uint32_t word_at(CUdeviceptr address)
{
    uint32_t word;
    OK(cuMemcpyDtoH(&word, address, 4));
    return word;
}

/* Each branch waits for the next one's flag and sets its own before or after, in turns: in whatever
 * order they were submitted, none could end alone. */
static void branches_wait_for_each_other(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr flags = words(0), out = words(0);
    CUgraphNode ends[WAITERS];
    OK(cuGraphCreate(&graph, 0));
    for (uint32_t i = 0; i < WAITERS; i++) {
        CUdeviceptr own = flags + i * 4, next = flags + (i + 1) * 4;
        CUdeviceptr sum = out + i * 4;
        if (i + 1 < WAITERS)
            ends[i] = add_await(graph, NULL, next, i + 1, sum);
        ends[i] = add_set(graph, i + 1 < WAITERS ? ends[i] : NULL, own, i);
    }
    CUgraphNode last;
    OK(cuGraphAddEmptyNode(&last, graph, ends, WAITERS));
    OK(cuGraphInstantiate(&exec, graph, 0));
    for (uint32_t launch = 1; launch <= 3; launch++) {
        OK(cuMemsetD32(flags, 0, WAITERS + 1));
        OK(cuGraphLaunch(exec, stream));
        OK(cuStreamSynchronize(stream));
        for (uint32_t i = 0; i + 1 < WAITERS; i++)
            CHECK(word_at(out + i * 4) == launch * (i + 1));
    }
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(flags));
    OK(cuMemFree(out));
}

/* A branch inside a child graph and one beside it, captured. */
static void children_run_beside(void)
{
    CUgraph inner, outer;
    CUgraphExec exec;
    CUgraphNode child, beside;
    CUdeviceptr flags = words(0), out = words(0);
    OK(cuGraphCreate(&inner, 0));
    add_await(inner, NULL, flags, 5, out);
    add_set(inner, NULL, flags + 4, 6);
    OK(cuGraphCreate(&outer, 0));
    OK(cuGraphAddChildGraphNode(&child, outer, NULL, 0, inner));
    beside = add_await(outer, NULL, flags + 4, 6, out + 4);
    add_set(outer, beside, flags, 5);
    OK(cuGraphInstantiate(&exec, outer, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    CHECK(word_at(out) == 5 && word_at(out + 4) == 6);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(inner));
    OK(cuGraphDestroy(outer));
    OK(cuMemFree(flags));
    OK(cuMemFree(out));
}

/* Forks and joins of many widths keep every edge: each layer reads what the one before left. */
static void layers_keep_order(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr cells[WIDTH];
    CUgraphNode layer[WIDTH], meeting = NULL;
    uint32_t wanted = 1;
    OK(cuGraphCreate(&graph, 0));
    for (int i = 0; i < WIDTH; i++)
        cells[i] = words(1);
    for (uint32_t depth = 0; depth < DEPTH; depth++) {
        size_t width = depth % 2 ? WIDTH : 3;
        for (size_t i = 0; i < width; i++)
            layer[i] = add_step(graph, meeting, cells[i], depth + 2, depth);
        OK(cuGraphAddEmptyNode(&meeting, graph, layer, width));
    }
    /* What the first cells went through alone, the second one gets by a copy at the end. */
    CUDA_KERNEL_NODE_PARAMS kernel;
    void *params[] = {&cells[2], &cells[0], &cells[1]};
    CUgraphNode node;
    kernel = kernel_of(join, params);
    OK(cuGraphAddKernelNode(&node, graph, &meeting, 1, &kernel));
    OK(cuGraphInstantiate(&exec, graph, 0));
    for (int launch = 0; launch < 20; launch++) {
        OK(cuGraphLaunch(exec, stream));
        for (uint32_t depth = 0; depth < DEPTH; depth++)
            wanted = wanted * (depth + 2) + depth;
    }
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(cells[0]) == wanted && only_word(cells[1]) == wanted);
    CHECK(only_word(cells[2]) == 32 * wanted);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    for (int i = 0; i < WIDTH; i++)
        OK(cuMemFree(cells[i]));
}

/* More branches than lanes: each does its part, once. */
static void many_branches_all_run(void)
{
    enum { COUNT = 300 };
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr cells;
    OK(cuMemAlloc(&cells, COUNT * THREADS * 4));
    OK(cuMemsetD32(cells, 1, COUNT * THREADS));
    OK(cuGraphCreate(&graph, 0));
    for (uint32_t i = 0; i < COUNT; i++)
        add_step(graph, NULL, cells + i * THREADS * 4, 2, i);
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    for (uint32_t i = 0; i < COUNT; i++)
        CHECK(only_word(cells + i * THREADS * 4) == 2 + i);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuMemFree(cells));
}

/* Launches of one executable graph never overlap, and what follows in the stream comes after all of
 * the graph's branches. */
static void launches_stay_in_order(void)
{
    CUgraph graph;
    CUgraphExec exec;
    CUstream other;
    CUdeviceptr a = words(1), b = words(1);
    uint32_t wanted = 1;
    OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    OK(cuGraphCreate(&graph, 0));
    add_step(graph, add_step(graph, NULL, a, 3, 1), a, 5, 2);
    add_step(graph, add_step(graph, NULL, b, 3, 1), b, 5, 2);
    OK(cuGraphInstantiate(&exec, graph, 0));
    uint32_t factor = 7, term = 1;
    void *params[] = {&b, &factor, &term};
    for (int launch = 0; launch < 200; launch++) {
        OK(cuGraphLaunch(exec, launch % 2 ? stream : other));
        wanted = (wanted * 3 + 1) * 5 + 2;
    }
    OK(cuLaunchKernel(step, 1, 1, 1, THREADS, 1, 1, 0, stream, params, NULL));
    OK(cuStreamSynchronize(stream));
    CHECK(only_word(a) == wanted && only_word(b) == wanted * 7 + 1);
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuStreamDestroy(other));
}

int main(void)
{
    CUmodule module;
    start_graphs();
    OK(cuModuleLoadData(&module, branch_ptx));
    set = function_of(module, "set");
    await = function_of(module, "await");
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    branches_wait_for_each_other();
    children_run_beside();
    layers_keep_order();
    many_branches_all_run();
    launches_stay_in_order();
    return 0;
}

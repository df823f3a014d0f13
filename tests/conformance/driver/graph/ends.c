/* Graphs whose context or process ends under them. What would break it is a branch that keeps a
 * context from ending, or memory of a graph that outlives its process. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

#define MIB ((size_t)1 << 20)

static const char spin_ptx[] =
    PTX_HEAD ".visible .entry spin(.param .u64 p_flag)\n{\n"
             "    .reg .u32 %v; .reg .u64 %flag; .reg .pred %p;\n"
             "    ld.param.u64 %flag, [p_flag];\n"
             "again: ld.volatile.global.u32 %v, [%flag]; setp.eq.u32 %p, %v, 0; @%p bra again;\n"
             "    ret;\n}\n";

static CUdeviceptr new_words(size_t bytes)
{
    CUdeviceptr data;
    OK(cuMemAlloc(&data, bytes));
    OK(cuMemsetD32(data, 0, bytes / 4));
    return data;
}

/* Branches that spin for a flag that nobody sets, with what comes behind them, and memory. */
static CUgraphExec endless(CUdevice device, CUdeviceptr flag, size_t bytes)
{
    CUmodule module;
    CUfunction spin;
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode nodes[4], last, alloc;
    OK(cuModuleLoadData(&module, spin_ptx));
    OK(cuModuleGetFunction(&spin, module, "spin"));
    OK(cuGraphCreate(&graph, 0));
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}},
        .bytesize = bytes};
    OK(cuGraphAddMemAllocNode(&alloc, graph, NULL, 0, &params));
    void *arguments[] = {&flag};
    CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(spin, arguments);
    kernel.blockDimX = 1;
    for (int i = 0; i < 4; i++)
        OK(cuGraphAddKernelNode(&nodes[i], graph, &alloc, i % 2, &kernel));
    OK(cuGraphAddEmptyNode(&last, graph, nodes, 4));
    OK(cuGraphAddKernelNode(&last, graph, &last, 1, &kernel));
    OK(cuGraphInstantiate(&exec, graph, 0));
    OK(cuGraphDestroy(graph));
    return exec;
}

static size_t free_bytes(void)
{
    size_t free, total;
    OK(cuMemGetInfo(&free, &total));
    return free;
}

static void contexts_end(CUdevice device)
{
    CUcontext context;
    CUstream stream;
    size_t before = free_bytes();
    for (int destroy_first = 0; destroy_first < 2; destroy_first++) {
        OK(cuCtxCreate(&context, NULL, 0, device));
        OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
        CUgraphExec exec = endless(device, new_words(4), 5 * MIB);
        OK(cuGraphLaunch(exec, stream));
        if (destroy_first)
            OK(cuGraphExecDestroy(exec));
        OK(cuCtxDestroy(context));
        if (!destroy_first) {
            CHECK(cuGraphLaunch(exec, stream) != CUDA_SUCCESS);
            OK(cuGraphExecDestroy(exec));
        }
        OK(cuDeviceGraphMemTrim(device));
    }
    CHECK(free_bytes() == before);
}

static int victim(CUdevice device)
{
    CUstream stream;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CUgraphExec exec = endless(device, new_words(4), 8 * MIB);
    OK(cuGraphLaunch(exec, stream));
    CHECK(write(STDOUT_FILENO, "x", 1) == 1);
    return cuStreamSynchronize(stream); /* never */
}

/* Another process that holds graph memory is killed, and its memory comes back. */
static void processes_end(const char *program)
{
    int pipes[2];
    char byte;
    size_t before = free_bytes();
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        close(pipes[0]);
        execl(program, program, "victim", (char *)NULL);
        _exit(1);
    }
    close(pipes[1]);
    CHECK(read(pipes[0], &byte, 1) == 1);
    CHECK(before - free_bytes() >= 8 * MIB);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, NULL, 0) == child);
    while (free_bytes() != before)
        usleep(1000);
    close(pipes[0]);
}

int main(int argc, char **argv)
{
    CUdevice device;
    start_graphs();
    OK(cuCtxGetDevice(&device));
    if (argc > 1)
        return victim(device);
    contexts_end(device);
    processes_end(argv[0]);
    return 0;
}

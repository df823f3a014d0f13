/* The launch of a captured graph of 100 small kernels against the same 100 launches, both until
 * the stream has done them, and what the calls alone cost. Interleaved pairs, medians. */
#include <stdint.h>
#include <stdio.h>

#include <weft/cuda.h>

#include "../timing.h"

#define NODES 100
#define PAIRS 200

static const char ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                          ".visible .entry add(.param .u64 p_data)\n{\n"
                          "    .reg .u32 %v; .reg .u64 %data;\n"
                          "    ld.param.u64 %data, [p_data];\n"
                          "    ld.global.u32 %v, [%data]; add.u32 %v, %v, 1;\n"
                          "    st.global.u32 [%data], %v; ret;\n}\n";

#define OK(call)                                                             \
    do {                                                                     \
        CUresult cu_result = (call);                                         \
        if (cu_result != CUDA_SUCCESS) {                                     \
            fprintf(stderr, "bench_graph: %s: %d\n", #call, (int)cu_result); \
            return 1;                                                        \
        }                                                                    \
    } while (0)

static CUfunction function;
static CUstream stream;
static CUdeviceptr data;

static int launch_all(void)
{
    void *params[] = {&data};
    for (int i = 0; i < NODES; i++)
        OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
    return 0;
}

static int prepare(CUgraphExec *exec)
{
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUgraph graph;
    OK(cuInit(0));
    OK(cuDeviceGet(&device, 0));
    OK(cuDevicePrimaryCtxRetain(&context, device));
    OK(cuCtxSetCurrent(context));
    OK(cuModuleLoadData(&module, ptx));
    OK(cuModuleGetFunction(&function, module, "add"));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc(&data, 4));
    OK(cuMemsetD32(data, 0, 1));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    if (launch_all())
        return 1;
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphInstantiate(exec, graph, 0));
    return 0;
}

/* One round of each kind: nanoseconds until the calls return, and until the work is done. */
struct round {
    double called, done;
};

static int measure(CUgraphExec exec, struct round *round)
{
    double start = bench_now_ns();
    if (exec)
        OK(cuGraphLaunch(exec, stream));
    else if (launch_all())
        return 1;
    round->called = bench_now_ns() - start;
    OK(cuStreamSynchronize(stream));
    round->done = bench_now_ns() - start;
    return 0;
}

static double median(const struct round *rounds, int called)
{
    static double samples[PAIRS];
    for (size_t i = 0; i < PAIRS; i++)
        samples[i] = called ? rounds[i].called : rounds[i].done;
    return bench_quantile(samples, PAIRS, 0.5);
}

static void report(const char *what, const struct round *plain, const struct round *graph,
                   int called)
{
    double launches = median(plain, called), launch = median(graph, called);
    printf("%s  100 launches %8.1f us  graph of 100 %8.1f us  ratio %.2f\n", what, launches / 1000,
           launch / 1000, launch / launches);
}

int main(void)
{
    static struct round plain[PAIRS], graph[PAIRS];
    CUgraphExec exec;
    if (prepare(&exec))
        return 1;
    for (int i = 0; i < PAIRS; i++) {
        if (measure(NULL, &plain[i]) || measure(exec, &graph[i]))
            return 1;
    }
    report("graph, calls      ", plain, graph, 1);
    report("graph, to the end ", plain, graph, 0);
    uint32_t value;
    OK(cuMemcpyDtoH(&value, data, 4));
    return value == 2 * PAIRS * NODES ? 0 : 1;
}

/* Two grids that may start at the same moment, in streams of different priority: the blocks of the
 * urgent one begin first. Each block says as which of all it began. What would break it: workers
 * that take the grids in turns. Some blocks of the other may slip in at the end, one a worker. */
#include "check.h"

#define BLOCKS 512
#define WORKERS_MAX 16

static const char text[] =
    PTX_HEAD ".global .u32 begun;\n"
             ".visible .entry note(.param .u64 out) {\n"
             "  .reg .b32 %r<3>; .reg .b64 %d<3>;\n"
             "  ld.param.u64 %d0, [out]; mov.u32 %r0, %ctaid.x; mul.wide.u32 %d1, %r0, 4;\n"
             "  add.u64 %d0, %d0, %d1; atom.global.add.u32 %r1, [begun], 1;\n"
             "  st.global.u32 [%d0], %r1; ret;\n}\n";

static uint32_t count_before(CUdeviceptr out, uint32_t limit)
{
    uint32_t order[BLOCKS], count = 0;
    OK(cuMemcpyDtoH(order, out, sizeof(order)));
    for (uint32_t i = 0; i < BLOCKS; i++)
        count += order[i] < limit;
    return count;
}

int main(void)
{
    CUmodule module = start(text);
    CUfunction note = function_of(module, "note");
    CUstream gate, calm, urgent;
    CUevent opened;
    CUdeviceptr word, calm_out, urgent_out;
    int least, greatest;
    OK(cuCtxGetStreamPriorityRange(&least, &greatest));
    CHECK(greatest < least);
    OK(cuStreamCreate(&gate, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreateWithPriority(&calm, CU_STREAM_NON_BLOCKING, least));
    OK(cuStreamCreateWithPriority(&urgent, CU_STREAM_NON_BLOCKING, greatest));
    OK(cuEventCreate(&opened, CU_EVENT_DISABLE_TIMING));
    OK(cuMemAlloc(&word, 4));
    OK(cuMemAlloc(&calm_out, BLOCKS * sizeof(uint32_t)));
    OK(cuMemAlloc(&urgent_out, BLOCKS * sizeof(uint32_t)));
    OK(cuMemsetD32(word, 0, 1));
    OK(cuStreamWaitValue32(gate, word, 1, CU_STREAM_WAIT_VALUE_EQ));
    OK(cuEventRecord(opened, gate));
    OK(cuStreamWaitEvent(calm, opened, 0));
    OK(cuStreamWaitEvent(urgent, opened, 0));
    void *calm_arguments[] = {&calm_out};
    void *urgent_arguments[] = {&urgent_out};
    OK(cuLaunchKernel(note, BLOCKS, 1, 1, 1, 1, 1, 0, calm, calm_arguments, NULL));
    OK(cuLaunchKernel(note, BLOCKS, 1, 1, 1, 1, 1, 0, urgent, urgent_arguments, NULL));
    OK(cuMemsetD32(word, 1, 1));
    OK(cuCtxSynchronize());
    CHECK(count_before(calm_out, BLOCKS) + count_before(urgent_out, BLOCKS) == BLOCKS);
    CHECK(count_before(calm_out, BLOCKS) <= 2 * WORKERS_MAX);
    return 0;
}

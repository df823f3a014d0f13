/* Cooperative launches: the blocks meet over the grid's workspace, launch after launch. What would
 * break it is a workspace that two grids share, one that is not there, or a grid id used twice. */
#include "check.h"

#define BLOCKS 24
#define ROUNDS 4

/* In each round a block writes round + 1 to its own word, meets the others, and stops with a trap
 * unless its neighbour's word says the same; then it meets them again. Block 0 adds what makes the
 * top bit flip when all others have added one. */
static const char ptx[] = PTX_HEAD
    ".visible .entry meet(.param .u64 p_words)\n{\n"
    "    .reg .pred %first, %p; .reg .u32 %lo, %hi, %n, %b, %add, %old, %v, %round, %peer;\n"
    "    .reg .u64 %ws, %words, %mine, %theirs;\n"
    "    mov.u32 %hi, %envreg1; mov.u32 %lo, %envreg2; mov.b64 %ws, {%lo, %hi};\n"
    "    mov.u32 %n, %nctaid.x; mov.u32 %b, %ctaid.x; ld.param.u64 %words, [p_words];\n"
    "    mul.wide.u32 %mine, %b, 4; add.u64 %mine, %words, %mine;\n"
    "    add.u32 %peer, %b, 1; rem.u32 %peer, %peer, %n;\n"
    "    mul.wide.u32 %theirs, %peer, 4; add.u64 %theirs, %words, %theirs;\n"
    "    setp.eq.u32 %first, %b, 0; sub.u32 %add, 0x80000001, %n; selp.u32 %add, %add, 1, %first;\n"
    "    mov.u32 %round, 0;\n"
    "next: add.u32 %round, %round, 1; st.volatile.global.u32 [%mine], %round; membar.gl;\n"
    "    atom.global.add.u32 %old, [%ws+4], %add;\n"
    "one: ld.volatile.global.u32 %v, [%ws+4]; xor.b32 %v, %v, %old; setp.ge.s32 %p, %v, 0;\n"
    "    @%p bra one;\n"
    "    ld.volatile.global.u32 %v, [%theirs]; setp.ne.u32 %p, %v, %round; @%p trap;\n"
    "    atom.global.add.u32 %old, [%ws+4], %add;\n"
    "two: ld.volatile.global.u32 %v, [%ws+4]; xor.b32 %v, %v, %old; setp.ge.s32 %p, %v, 0;\n"
    "    @%p bra two;\n"
    "    setp.lt.u32 %p, %round, 4; @%p bra next;\n"
    "    ret;\n}\n"
    ".visible .entry alone(.param .u64 p_out)\n{\n"
    "    .reg .u32 %lo, %hi; .reg .u64 %out;\n"
    "    mov.u32 %hi, %envreg1; mov.u32 %lo, %envreg2; or.b32 %lo, %lo, %hi;\n"
    "    ld.param.u64 %out, [p_out]; st.global.u32 [%out], %lo;\n"
    "    ret;\n}\n";

int main(void)
{
    CUmodule module = start(ptx);
    CUfunction meet = function_of(module, "meet");
    CUstream streams[3];
    CUdeviceptr words[3];
    uint32_t last[BLOCKS];
    for (int i = 0; i < 3; i++) {
        OK(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
        OK(cuMemAlloc(&words[i], sizeof(last)));
        OK(cuMemsetD8(words[i], 0, sizeof(last)));
    }
    for (int i = 0; i < 9; i++) {
        void *params[] = {&words[i % 3]};
        OK(cuLaunchCooperativeKernel(meet, BLOCKS, 1, 1, 1, 1, 1, 0, streams[i % 3], params));
    }
    OK(cuCtxSynchronize());
    for (int i = 0; i < 3; i++) {
        OK(cuMemcpyDtoH(last, words[i], sizeof(last)));
        for (int block = 0; block < BLOCKS; block++)
            CHECK(last[block] == ROUNDS);
    }
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
    CUlaunchConfig config = {BLOCKS, 1, 1, 1, 1, 1, 0, NULL, &attribute, 1};
    void *params[] = {&words[0]};
    OK(cuLaunchKernelEx(&config, meet, params, NULL));
    EXPECT(cuLaunchCooperativeKernel(meet, 1000000, 1, 1, 32, 1, 1, 0, NULL, params),
           CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    /* A plain grid has nowhere to meet. */
    OK(cuLaunchKernel(function_of(module, "alone"), 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    OK(cuMemcpyDtoH(last, words[0], 4));
    CHECK(last[0] == 0);
    return 0;
}

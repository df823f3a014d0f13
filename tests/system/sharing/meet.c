/* meet PARTNERS ROUNDS: like a collective: forks so many partners, each with a kernel on a device
 * of its own that waits, in every round, until the kernels of all others have come to it. They meet
 * in managed memory of the first, which the others open by its handle. Says "met". */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/cuda.h>

#define PARTNERS_MAX 4

/* Counts up its own word, then spins until each other word is as far. */
static const char ptx[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry meet(.param .u64 words, .param .u32 self, .param .u32 partners,"
    " .param .u32 rounds)\n{\n"
    "    .reg .u64 %base, %own, %other; .reg .u32 %self, %n, %rounds, %r, %i, %v; .reg .pred %p;\n"
    "    ld.param.u64 %base, [words]; ld.param.u32 %self, [self];\n"
    "    ld.param.u32 %n, [partners]; ld.param.u32 %rounds, [rounds];\n"
    "    mad.wide.u32 %own, %self, 4, %base; mov.u32 %r, 0;\n"
    "round:\n"
    "    add.u32 %r, %r, 1; st.volatile.global.u32 [%own], %r; mov.u32 %i, 0;\n"
    "next:\n"
    "    mad.wide.u32 %other, %i, 4, %base;\n"
    "spin:\n"
    "    ld.volatile.global.u32 %v, [%other]; setp.lt.u32 %p, %v, %r; @%p bra spin;\n"
    "    add.u32 %i, %i, 1; setp.lt.u32 %p, %i, %n; @%p bra next;\n"
    "    setp.lt.u32 %p, %r, %rounds; @%p bra round;\n"
    "    ret;\n}\n";

static void check(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(1);
}

static void enter(int device)
{
    CUcontext context;
    check(cuInit(0), "cuInit");
    check(cuCtxCreate(&context, NULL, 0, device), "cuCtxCreate");
}

/* The words are device 0's; who runs elsewhere reaches them as a peer. */
static CUdeviceptr open_words(uint32_t self, int from, int to)
{
    CUdeviceptr words;
    CUipcMemHandle handle;
    if (self == 0) {
        check(cuMemAlloc(&words, PARTNERS_MAX * sizeof(uint32_t)), "cuMemAlloc");
        check(cuMemsetD32(words, 0, PARTNERS_MAX), "cuMemsetD32");
        check(cuIpcGetMemHandle(&handle, words), "cuIpcGetMemHandle");
        for (int i = 1; i < PARTNERS_MAX; i++) {
            if (write(to, &handle, sizeof(handle)) != sizeof(handle))
                exit(1);
        }
        return words;
    }
    if (read(from, &handle, sizeof(handle)) != sizeof(handle))
        exit(1);
    check(cuIpcOpenMemHandle(&words, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
          "cuIpcOpenMemHandle");
    return words;
}

/* The words are gone with who made them, so he stays until all others have met. */
static void part(uint32_t self, uint32_t partners, const int ends[2])
{
    char byte = 0;
    if (self && write(ends[1], &byte, 1) != 1)
        exit(1);
    for (uint32_t i = 1; self == 0 && i < partners; i++) {
        if (read(ends[0], &byte, 1) != 1)
            exit(1);
    }
}

static void meet(uint32_t self, uint32_t partners, uint32_t rounds, const int handles[2])
{
    int devices;
    CUmodule module;
    CUfunction function;
    check(cuInit(0), "cuInit");
    check(cuDeviceGetCount(&devices), "cuDeviceGetCount");
    enter((int)self % devices);
    CUdeviceptr words = open_words(self, handles[0], handles[1]);
    void *parameters[] = {&words, &self, &partners, &rounds};
    check(cuModuleLoadData(&module, ptx), "cuModuleLoadData");
    check(cuModuleGetFunction(&function, module, "meet"), "cuModuleGetFunction");
    check(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, parameters, NULL), "cuLaunchKernel");
    check(cuCtxSynchronize(), "cuCtxSynchronize");
}

int main(int argc, char **argv)
{
    uint32_t partners = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2,
             rounds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100;
    int handles[2], ends[2], failed = 0;
    if (partners < 1 || partners > PARTNERS_MAX || pipe(handles) || pipe(ends))
        return 2;
    for (uint32_t self = 0; self < partners; self++) {
        pid_t pid = fork();
        if (pid == 0) {
            meet(self, partners, rounds, handles);
            part(self, partners, ends);
            exit(0);
        }
    }
    for (uint32_t self = 0; self < partners; self++) {
        int status;
        failed += wait(&status) < 0 || status != 0;
    }
    if (failed)
        return 1;
    puts("met");
    return 0;
}

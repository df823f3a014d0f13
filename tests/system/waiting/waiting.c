/* Kernels that wait: for the host, for each other on two streams, and for each other in two
 * processes. Each ends only if the device lets everything that is resident get on. Breaks (hangs,
 * and the test runner ends it) when a worker sticks to one kernel. waiting host | streams |
 * processes | many COUNT */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/cuda.h>

#define CU(call)                                                                                 \
    do {                                                                                         \
        CUresult cu_result = (call);                                                             \
        if (cu_result != CUDA_SUCCESS) {                                                         \
            fprintf(stderr, "%s:%d: %s: error %d\n", __FILE__, __LINE__, #call, (int)cu_result); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

#define ROUNDS 16
#define PAGE_BYTES 4096

/* wait_for: spins until *flag is not 0, then writes value to *out.
 * ping: in each of `rounds` rounds says round + 1 in *mine and waits until *theirs says so too.
 * Launched with many blocks, all blocks wait, and block 0 alone speaks. */
static const char ptx[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry wait_for(.param .u64 p_flag, .param .u64 p_out, .param .u32 p_value)\n{\n"
    "    .reg .pred %p; .reg .u32 %v, %value; .reg .u64 %flag, %out;\n"
    "    ld.param.u64 %flag, [p_flag]; ld.param.u64 %out, [p_out]; ld.param.u32 %value, "
    "[p_value];\n"
    "again:\n"
    "    ld.volatile.global.u32 %v, [%flag];\n"
    "    setp.eq.u32 %p, %v, 0;\n"
    "    @%p bra again;\n"
    "    st.global.u32 [%out], %value;\n"
    "    ret;\n}\n"
    ".visible .entry ping(.param .u64 p_mine, .param .u64 p_theirs, .param .u32 p_rounds)\n{\n"
    "    .reg .pred %p, %speaks; .reg .u32 %v, %round, %rounds, %block; .reg .u64 %mine, %theirs;\n"
    "    ld.param.u64 %mine, [p_mine]; ld.param.u64 %theirs, [p_theirs]; ld.param.u32 %rounds, "
    "[p_rounds];\n"
    "    mov.u32 %block, %ctaid.x;\n"
    "    setp.eq.u32 %speaks, %block, 0;\n"
    "    mov.u32 %round, 0;\n"
    "next:\n"
    "    add.u32 %round, %round, 1;\n"
    "    @%speaks st.volatile.global.u32 [%mine], %round;\n"
    "    membar.sys;\n"
    "again:\n"
    "    ld.volatile.global.u32 %v, [%theirs];\n"
    "    setp.lt.u32 %p, %v, %round;\n"
    "    @%p bra again;\n"
    "    setp.lt.u32 %p, %round, %rounds;\n"
    "    @%p bra next;\n"
    "    ret;\n}\n";

static CUmodule module;

static void start(void)
{
    CUdevice device;
    CUcontext context;
    CU(cuInit(0));
    CU(cuDeviceGet(&device, 0));
    CU(cuDevicePrimaryCtxRetain(&context, device));
    CU(cuCtxSetCurrent(context));
    CU(cuModuleLoadData(&module, ptx));
}

static void launch(const char *name, CUstream stream, unsigned blocks, void **arguments)
{
    CUfunction function;
    CU(cuModuleGetFunction(&function, module, name));
    CU(cuLaunchKernel(function, blocks, 1, 1, 64, 1, 1, 0, stream, arguments, NULL));
}

/* The kernel is launched first, and ends because the host writes to pinned memory afterwards. */
static int wait_for_host(void)
{
    start();
    volatile uint32_t *flag;
    CUdeviceptr device_flag, out;
    uint32_t value = 42, result = 0;
    CU(cuMemHostAlloc((void **)&flag, PAGE_BYTES, CU_MEMHOSTALLOC_DEVICEMAP));
    *flag = 0;
    CU(cuMemHostGetDevicePointer(&device_flag, (void *)flag, 0));
    CU(cuMemAlloc(&out, sizeof(result)));
    void *arguments[] = {&device_flag, &out, &value};
    launch("wait_for", NULL, 1, arguments);
    CUresult pending = cuStreamQuery(NULL);
    if (pending != CUDA_ERROR_NOT_READY) {
        fprintf(stderr, "a kernel that waits is not pending: %d\n", (int)pending);
        return 1;
    }
    *flag = 1;
    CU(cuMemcpyDtoH(&result, out, sizeof(result)));
    return result == value ? 0 : 1;
}

/* More blocks than the device can hold at once would wait for ever on a card too: 4 blocks of 64
 * threads fit anywhere. */
static void ping(CUstream stream, CUdeviceptr mine, CUdeviceptr theirs)
{
    uint32_t rounds = ROUNDS;
    void *arguments[] = {&mine, &theirs, &rounds};
    launch("ping", stream, 4, arguments);
}

static int wait_on_two_streams(void)
{
    start();
    CUstream left, right;
    CUdeviceptr words;
    uint32_t result[2];
    CU(cuStreamCreate(&left, CU_STREAM_NON_BLOCKING));
    CU(cuStreamCreate(&right, CU_STREAM_NON_BLOCKING));
    CU(cuMemAlloc(&words, sizeof(result)));
    CU(cuMemsetD8(words, 0, sizeof(result)));
    ping(left, words, words + 4);
    ping(right, words + 4, words);
    CU(cuCtxSynchronize());
    CU(cuMemcpyDtoH(result, words, sizeof(result)));
    return result[0] == ROUNDS && result[1] == ROUNDS ? 0 : 1;
}

/* Registers memory that both processes share and plays one side. */
static int play_side(void *shared, unsigned side)
{
    CUdeviceptr words;
    start();
    CU(cuMemHostRegister(shared, PAGE_BYTES, CU_MEMHOSTREGISTER_DEVICEMAP));
    CU(cuMemHostGetDevicePointer(&words, shared, 0));
    ping(NULL, words + 64 * side, words + 64 * (side ^ 1));
    CU(cuCtxSynchronize());
    return ((volatile uint32_t *)shared)[16 * side] == ROUNDS ? 0 : 1;
}

/* `pairs` pairs of processes, all at once, forked before cuInit. */
static int wait_in_processes(unsigned pairs)
{
    char *shared = mmap(NULL, (size_t)pairs * PAGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    for (unsigned i = 0; i < 2 * pairs; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return 1;
        if (pid == 0)
            _exit(play_side(shared + (size_t)(i / 2) * PAGE_BYTES, i % 2));
    }
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status;
    return failed ? 1 : 0;
}

int main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "";
    if (strcmp(what, "host") == 0)
        return wait_for_host();
    if (strcmp(what, "streams") == 0)
        return wait_on_two_streams();
    if (strcmp(what, "processes") == 0)
        return wait_in_processes(1);
    if (strcmp(what, "many") == 0 && count > 2)
        return wait_in_processes((unsigned)strtoul(arguments[2], NULL, 10));
    fprintf(stderr, "usage: waiting host | streams | processes | many PAIRS\n");
    return 2;
}

/* A child that is forked in the middle of things: while streams capture, a kernel runs, and memory
 * and textures are there that others know. What would break it: a call of the child that does
 * anything but to fail, also where it ends in the usual way, or a parent that feels any of it. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

#define WORDS 256
#define BYTES (WORDS * sizeof(unsigned int))

/* What the parent holds at the fork. */
struct holdings {
    CUdeviceptr memory;
    CUipcMemHandle shared;
    CUtexObject texture;
    CUstream captured, busy;
    CUevent event;
    unsigned int *flag; /* pinned */
};

static CUresult make_texture(CUtexObject *texture, CUdeviceptr memory)
{
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR,
                                   .res.linear = {.devPtr = memory,
                                                  .format = CU_AD_FORMAT_UNSIGNED_INT32,
                                                  .numChannels = 1,
                                                  .sizeInBytes = BYTES}};
    CUDA_TEXTURE_DESC description = {.flags = CU_TRSF_READ_AS_INTEGER};
    return cuTexObjectCreate(texture, &resource, &description, NULL);
}

static void take_hold(struct holdings *held)
{
    DO(cuMemAlloc(&held->memory, BYTES));
    DO(cuMemsetD32(held->memory, 21, WORDS));
    DO(cuIpcGetMemHandle(&held->shared, held->memory));
    DO(make_texture(&held->texture, held->memory));
    DO(cuMemAllocHost((void **)&held->flag, 4096));
    *held->flag = 0;
    DO(cuStreamCreate(&held->captured, CU_STREAM_NON_BLOCKING));
    DO(cuStreamCreate(&held->busy, CU_STREAM_NON_BLOCKING));
    DO(cuEventCreate(&held->event, CU_EVENT_DEFAULT));
}

#define REFUSED(call) EXPECT(call, CUDA_ERROR_NOT_INITIALIZED)

static void live_as_child(const struct holdings *held)
{
    CUstreamCaptureStatus status;
    CUgraph graph;
    CUdeviceptr address;
    CUipcMemHandle handle;
    CUtexObject texture;
    CUDA_RESOURCE_DESC resource;
    REFUSED(cuStreamIsCapturing(held->captured, &status));
    REFUSED(cuMemcpyDtoDAsync(held->memory, held->memory + 512, 4, held->captured));
    REFUSED(cuStreamEndCapture(held->captured, &graph));
    REFUSED(cuIpcGetMemHandle(&handle, held->memory));
    REFUSED(cuIpcOpenMemHandle(&address, held->shared, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    REFUSED(make_texture(&texture, held->memory));
    REFUSED(cuTexObjectGetResourceDesc(&resource, held->texture));
    REFUSED(cuTexObjectDestroy(held->texture));
    REFUSED(cuEventRecord(held->event, held->busy));
    REFUSED(cuStreamSynchronize(held->busy));
    REFUSED(cuMemFree(held->memory));
    REFUSED(cuCtxSynchronize());
    exit(0); /* with all that a program runs at its end */
}

static void fork_child(const struct holdings *held)
{
    int status;
    pid_t child = fork();
    TRUE(child >= 0);
    if (child == 0)
        live_as_child(held);
    TRUE(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void go_on(const struct program *program, struct holdings *held)
{
    CUgraph graph;
    CUgraphExec exec;
    CUDA_RESOURCE_DESC resource;
    unsigned int words[WORDS];
    EXPECT(cuStreamQuery(held->busy), CUDA_ERROR_NOT_READY);
    program_twice(program, held->memory, held->memory, WORDS, held->captured);
    DO(cuStreamEndCapture(held->captured, &graph));
    __atomic_store_n(held->flag, 1, __ATOMIC_SEQ_CST);
    DO(cuStreamSynchronize(held->busy));
    DO(cuGraphInstantiate(&exec, graph, 0));
    DO(cuGraphLaunch(exec, held->captured));
    DO(cuStreamSynchronize(held->captured));
    DO(cuMemcpyDtoH(words, held->memory, BYTES));
    for (int i = 0; i < WORDS; i++)
        TRUE(words[i] == 4 * 21);
    DO(cuTexObjectGetResourceDesc(&resource, held->texture));
    TRUE(resource.res.linear.devPtr == held->memory);
    DO(cuTexObjectDestroy(held->texture));
    DO(cuMemFree(held->memory));
}

int main(void)
{
    struct program program = program_start();
    struct holdings held;
    take_hold(&held);
    program_spin(&program, held.flag, held.busy);
    DO(cuStreamBeginCapture(held.captured, CU_STREAM_CAPTURE_MODE_RELAXED));
    program_twice(&program, held.memory, held.memory, WORDS, held.captured);
    fork_child(&held);
    go_on(&program, &held);
    return 0;
}

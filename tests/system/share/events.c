/* Events between processes. What would break it: a wait that does not wait for the other process'
 * stream, or one that waits for ever for a process that is dead. Argument: what is waited for. */
#include "share.h"

static unsigned int *new_word(void)
{
    unsigned int *word;
    DO(cuMemAllocHost((void **)&word, 4096));
    *word = 0;
    return word;
}

/* Records behind a kernel that waits for its word, and lets the kernel go on when it is told. */
static void run_recorder(int socket)
{
    struct step step;
    CUevent event, plain;
    CUstream stream;
    share_receive(socket, &step);
    struct program program = program_start();
    unsigned int *word = new_word();
    CUipcEventHandle handle;
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    EXPECT(cuEventCreate(&event, CU_EVENT_INTERPROCESS), CUDA_ERROR_INVALID_VALUE);
    DO(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
    EXPECT(cuIpcGetEventHandle(&handle, plain), CUDA_ERROR_INVALID_HANDLE);
    DO(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
    EXPECT(cuIpcGetEventHandle(NULL, event), CUDA_ERROR_INVALID_VALUE);
    DO(cuIpcGetEventHandle(&handle, event));
    EXPECT(cuIpcOpenEventHandle(&plain, handle), CUDA_ERROR_INVALID_CONTEXT);
    DO(cuEventQuery(event)); /* never recorded */
    memcpy(step.handle, &handle, sizeof(handle));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    program_spin(&program, word, stream);
    DO(cuEventRecord(event, stream));
    EXPECT(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    share_send(socket, &step, -1);
    share_receive(socket, &step); /* who waits for that one waits on, however many follow */
    for (int i = 0; i < 200; i++)
        DO(cuEventRecord(event, stream));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    DO(cuEventSynchronize(event));
    DO(cuEventDestroy(event)); /* the others have it still */
    share_send(socket, &step, -1);
    share_receive(socket, &step);
}

static void run_waiter(int socket)
{
    struct step step;
    CUevent event;
    CUstream waits, other;
    share_receive(socket, &step);
    program_start();
    CUipcEventHandle handle, wrong;
    memcpy(&handle, step.handle, sizeof(handle));
    memset(&wrong, 0, sizeof(wrong));
    unsigned int *word = new_word();
    DO(cuStreamCreate(&waits, CU_STREAM_NON_BLOCKING));
    DO(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    EXPECT(cuIpcOpenEventHandle(&event, wrong), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuIpcOpenEventHandle(NULL, handle), CUDA_ERROR_INVALID_VALUE);
    DO(cuIpcOpenEventHandle(&event, handle));
    DO(cuEventQuery(event));
    DO(cuStreamWaitEvent(waits, event, 0)); /* never recorded: no wait */
    DO(cuStreamSynchronize(waits));
    share_send(socket, &step, -1);
    share_receive(socket, &step); /* recorded, and not reached */
    EXPECT(cuEventQuery(event), CUDA_ERROR_NOT_READY);
    DO(cuStreamWaitEvent(waits, event, 0));
    DO(cuStreamWriteValue32(waits, (CUdeviceptr)word, 1, 0));
    EXPECT(cuStreamQuery(waits), CUDA_ERROR_NOT_READY);
    DO(cuStreamWriteValue32(other, (CUdeviceptr)&word[1], 1, 0)); /* not held back */
    DO(cuStreamSynchronize(other));
    TRUE(word[0] == 0 && word[1] == 1);
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    EXPECT(cuStreamQuery(waits), CUDA_ERROR_NOT_READY);
    share_send(socket, &step, -1);
    if (step.words[0])
        DO(cuEventSynchronize(event));
    DO(cuStreamSynchronize(waits)); /* ends with the record, or with who made it */
    TRUE(word[0] == 1);
    DO(cuEventQuery(event));
    /* It is its own event too. */
    DO(cuEventRecord(event, other));
    DO(cuEventSynchronize(event));
    DO(cuEventDestroy(event));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "reached";
    struct peer recorder = share_start(run_recorder), waiter = share_start(run_waiter);
    struct step step = {{0}};
    alarm(SHARE_PATIENCE_S);
    share_next(&recorder, &step, -1);
    share_next(&waiter, &step, -1);
    share_next(&recorder, &step, -1); /* records */
    step.words[0] = strcmp(how, "killed, host") == 0;
    share_next(&waiter, &step, -1); /* begins to wait */
    share_next(&recorder, &step, -1);
    share_next(&waiter, &step, -1); /* still waits */
    if (strcmp(how, "reached") == 0)
        share_next(&recorder, &step, -1);
    else
        share_kill(&recorder);
    share_receive(waiter.socket, &step);
    share_send(waiter.socket, &step, -1);
    share_join(&waiter);
    if (strcmp(how, "reached") != 0)
        return 0;
    share_send(recorder.socket, &step, -1);
    share_join(&recorder);
    return 0;
}

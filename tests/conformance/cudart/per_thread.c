/* per thread: what --default-stream per-thread makes of stream 0. A kernel in one thread's stream
 * waits for a word that a kernel in another thread's stream writes: with the stream that all share
 * they would wait for ever. Then the calls that have a second name for this: each must use the
 * thread's own stream, which the endless kernel in the legacy one does not hold up. */
#include <pthread.h>

#include "program.h"

static const char ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry await(.param .u64 flag) {\n .reg .b64 %d<2>;\n"
    " .reg .b32 %r<2>;\n .reg .pred %p<2>;\n ld.param.u64 %d0, [flag];\n"
    "again:\n ld.volatile.global.u32 %r0, [%d0];\n setp.eq.u32 %p0, %r0, 0;\n"
    " @%p0 bra again;\n ret;\n}\n"
    ".visible .entry raise(.param .u64 flag) {\n .reg .b64 %d<2>;\n"
    " ld.param.u64 %d0, [flag];\n st.volatile.global.u32 [%d0], 1;\n ret;\n}\n";

static const char await_stub, raise_stub;
static uint32_t *flag;

static cudaError_t launch(const void *stub, cudaStream_t stream)
{
    dim3 one = {1, 1, 1};
    void *arguments[] = {&flag};
    return cudaLaunchKernel_ptsz(stub, one, one, arguments, 0, stream);
}

static void *wait_here(void *barrier)
{
    OK(launch(&await_stub, NULL));
    FAILS(cudaStreamQuery_ptsz(NULL), cudaErrorNotReady);
    pthread_barrier_wait(barrier);
    OK(cudaStreamSynchronize_ptsz(NULL));
    return NULL;
}

static void two_threads(void)
{
    pthread_barrier_t barrier;
    pthread_t thread;
    OK(cudaMemset(flag, 0, 4));
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, wait_here, &barrier) == 0);
    pthread_barrier_wait(&barrier);
    OK(launch(&raise_stub, NULL));
    OK(cudaStreamSynchronize_ptsz(NULL));
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
}

/* The legacy stream holds up the per-thread one, which blocks on it, but not a non-blocking one:
 * so the endless kernel is in a non-blocking stream, and the legacy stream is what must be free. */
static void named_handles(void)
{
    uint32_t zero = 0, got = 7;
    cudaStream_t other;
    cudaEvent_t event;
    unsigned int stream_flags;
    OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    OK(cudaEventCreate(&event));
    OK(cudaMemcpyAsync_ptsz(flag, &zero, 4, cudaMemcpyHostToDevice, NULL));
    OK(cudaStreamSynchronize_ptsz(NULL));
    OK(launch(&await_stub, other));
    OK(cudaEventRecord_ptsz(event, NULL));
    OK(cudaEventSynchronize(event));
    OK(cudaMemcpy_ptds(&got, flag, 4, cudaMemcpyDeviceToHost));
    CHECK(got == 0);
    OK(cudaStreamWaitEvent_ptsz(NULL, event, 0));
    OK(cudaMemset_ptds(flag, 0, 4));
    OK(cudaStreamGetFlags_ptsz(NULL, &stream_flags));
    CHECK(stream_flags == cudaStreamDefault);
    /* The same stream by its own handle. */
    OK(launch(&raise_stub, (cudaStream_t)2));
    OK(cudaStreamSynchronize(other));
    OK(cudaMemcpy_ptds(&got, flag, 4, cudaMemcpyDeviceToHost));
    CHECK(got == 1);
    OK(cudaEventDestroy(event));
    OK(cudaStreamDestroy(other));
}

int main(void)
{
    void **handle = program_register(ptx);
    program_kernel(handle, &await_stub, "await");
    program_kernel(handle, &raise_stub, "raise");
    OK(cudaMalloc((void **)&flag, 4));
    two_threads();
    named_handles();
    OK(cudaFree(flag));
    __cudaUnregisterFatBinary(handle);
    return 0;
}

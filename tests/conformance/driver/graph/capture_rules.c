/* What a stream that captures forbids, in each mode, and what becomes of the capture then. What
 * would break it is a wait that waits for work that will never run, or a capture that hides that
 * part of it is missing. */
#include <pthread.h>

#include "program.h"

static CUstream stream, other, blocking;
static CUevent event;
static CUdeviceptr data;

static CUresult launch_into(CUstream into)
{
    uint32_t one = 1;
    void *params[] = {&data, &one, &one};
    return cuLaunchKernel(step, 1, 1, 1, THREADS, 1, 1, 0, into, params, NULL);
}

static void begin(CUstream into, CUstreamCaptureMode mode)
{
    OK(cuStreamBeginCapture(into, mode));
    OK(launch_into(into));
}

static void end_valid(CUstream from)
{
    CUgraph graph = NULL;
    OK(cuStreamEndCapture(from, &graph));
    CHECK(graph);
    OK(cuGraphDestroy(graph));
}

/* Spoiled: more work is refused, and the end takes the stream out of the capture without a graph.
 */
static void end_spoiled(CUstream from)
{
    CUgraph graph = (CUgraph)1;
    CUstreamCaptureStatus status;
    OK(cuStreamIsCapturing(from, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    EXPECT(launch_into(from), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    EXPECT(cuStreamEndCapture(from, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CHECK(graph == NULL);
    OK(cuStreamIsCapturing(from, &status));
    CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
    OK(launch_into(from));
}

static void begins_and_ends(void)
{
    CUgraph graph;
    EXPECT(cuStreamBeginCapture(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL),
           CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    EXPECT(cuStreamBeginCapture(stream, (CUstreamCaptureMode)3), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    EXPECT(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_ERROR_ILLEGAL_STATE);
    EXPECT(cuStreamEndCapture(stream, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamEndCapture(other, &graph), CUDA_ERROR_ILLEGAL_STATE);
    end_valid(stream);
    /* The thread's own default stream may capture. */
    begin(CU_STREAM_PER_THREAD, CU_STREAM_CAPTURE_MODE_GLOBAL);
    end_valid(CU_STREAM_PER_THREAD);
    EXPECT(cuEventRecordWithFlags(event, stream, CU_EVENT_RECORD_EXTERNAL),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitEvent(stream, event, CU_EVENT_WAIT_EXTERNAL), CUDA_ERROR_INVALID_VALUE);
}

static void forks_must_join(void)
{
    CUgraph graph = (CUgraph)1;
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    OK(cuEventRecord(event, stream));
    OK(cuStreamWaitEvent(other, event, 0));
    EXPECT(cuStreamEndCapture(other, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    OK(launch_into(other));
    EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    CHECK(graph == NULL);
    OK(launch_into(stream));
    OK(launch_into(other));
    /* A stream that was destroyed before it joined still has its work missing. */
    CUstream gone;
    OK(cuStreamCreate(&gone, CU_STREAM_NON_BLOCKING));
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    OK(cuEventRecord(event, stream));
    OK(cuStreamWaitEvent(gone, event, 0));
    OK(launch_into(gone));
    OK(cuStreamDestroy(gone));
    EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    /* One that did nothing of its own misses nothing. */
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    OK(cuEventRecord(event, stream));
    OK(cuStreamWaitEvent(other, event, 0));
    end_valid(stream);
    OK(cuCtxSynchronize());
}

static void captures_stay_apart(void)
{
    CUevent outside;
    OK(cuEventCreate(&outside, 0));
    OK(cuEventRecord(outside, other));
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    EXPECT(cuStreamWaitEvent(stream, outside, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    end_spoiled(stream);
    /* As a node of its own it may be waited for. */
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    OK(cuStreamWaitEvent(stream, outside, CU_EVENT_WAIT_EXTERNAL));
    end_valid(stream);
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    begin(other, CU_STREAM_CAPTURE_MODE_GLOBAL);
    OK(cuEventRecord(event, other));
    EXPECT(cuStreamWaitEvent(stream, event, 0), CUDA_ERROR_STREAM_CAPTURE_MERGE);
    end_spoiled(stream);
    end_spoiled(other);
    /* The capture is over, and the event with it. */
    EXPECT(cuStreamWaitEvent(other, event, 0), CUDA_ERROR_CAPTURED_EVENT);
    OK(cuEventRecord(event, other));
    OK(cuStreamWaitEvent(stream, event, 0));
    OK(cuEventSynchronize(event));
    OK(cuEventDestroy(outside));
}

static void captured_events_tell_nothing(void)
{
    float ms;
    begin(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    OK(cuEventRecord(event, stream));
    EXPECT(cuEventQuery(event), CUDA_ERROR_CAPTURED_EVENT);
    end_spoiled(stream);
    begin(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    OK(cuEventRecord(event, stream));
    EXPECT(cuEventSynchronize(event), CUDA_ERROR_CAPTURED_EVENT);
    end_spoiled(stream);
    EXPECT(cuEventElapsedTime(&ms, event, event), CUDA_ERROR_CAPTURED_EVENT);
    OK(cuEventRecord(event, stream));
    OK(cuEventSynchronize(event));
    OK(cuEventElapsedTime(&ms, event, event));
}

/* Calls that always stand against a capture, whatever its mode. */
static void captured_streams_are_not_waited_for(void)
{
    for (int i = 0; i < 4; i++) {
        begin(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
        if (i == 0)
            EXPECT(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        else if (i == 1)
            EXPECT(cuStreamQuery(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        else if (i == 2)
            EXPECT(cuCtxSynchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        else
            EXPECT(cuStreamAttachMemAsync(stream, data, 0, CU_MEM_ATTACH_GLOBAL),
                   CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        end_spoiled(stream);
    }
}

/* The legacy stream would wait for a blocking stream that captures; not for another. */
static void legacy_stream_is_out_of_use(void)
{
    CUstreamCaptureStatus status;
    uint32_t word = 0;
    begin(blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
    EXPECT(cuStreamIsCapturing(NULL, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    end_valid(blocking);
    begin(blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
    EXPECT(launch_into(NULL), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    end_spoiled(blocking);
    begin(blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
    EXPECT(cuMemcpyHtoD(data, &word, 4), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    end_spoiled(blocking);
    begin(blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
    EXPECT(cuMemsetD32(data, 0, 1), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    end_spoiled(blocking);
    begin(blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
    EXPECT(cuEventRecord(event, NULL), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    end_spoiled(blocking);
    begin(blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
    EXPECT(cuStreamSynchronize(NULL), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    end_spoiled(blocking);
    begin(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    OK(launch_into(NULL));
    OK(cuStreamSynchronize(NULL));
    OK(cuMemcpyHtoD(data, &word, 4));
    end_valid(stream);
}

static CUresult allocate(void)
{
    CUdeviceptr unused;
    CUresult result = cuMemAlloc(&unused, 512);
    if (result == CUDA_SUCCESS)
        OK(cuMemFree(unused));
    return result;
}

static void *allocate_elsewhere(void *result)
{
    CUcontext context;
    CUdevice device;
    OK(cuDeviceGet(&device, 0));
    OK(cuDevicePrimaryCtxRetain(&context, device));
    OK(cuCtxSetCurrent(context));
    *(CUresult *)result = allocate();
    OK(cuDevicePrimaryCtxRelease(device));
    return NULL;
}

static CUresult on_another_thread(void *(*run)(void *))
{
    CUresult result = CUDA_ERROR_UNKNOWN;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, &result) == 0);
    pthread_join(thread, NULL);
    return result;
}

/* cuMemAlloc stands for all calls that may wait. */
static void modes_forbid_what_may_wait(void)
{
    static const CUresult unsupported = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    static const struct {
        CUstreamCaptureMode mode;
        CUresult here, elsewhere;
    } rows[] = {
        {CU_STREAM_CAPTURE_MODE_GLOBAL, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
         CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED},
        {CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CUDA_SUCCESS},
        {CU_STREAM_CAPTURE_MODE_RELAXED, CUDA_SUCCESS, CUDA_SUCCESS}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(stream, rows[i].mode);
        EXPECT(allocate(), rows[i].here);
        (rows[i].here ? end_spoiled : end_valid)(stream);
        begin(stream, rows[i].mode);
        CHECK(on_another_thread(allocate_elsewhere) == rows[i].elsewhere);
        (rows[i].elsewhere ? end_spoiled : end_valid)(stream);
        /* A thread that says that it knows better is left alone. */
        CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
        begin(stream, rows[i].mode);
        OK(cuThreadExchangeStreamCaptureMode(&mode));
        CHECK(mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
        OK(allocate());
        OK(cuThreadExchangeStreamCaptureMode(&mode));
        CHECK(mode == CU_STREAM_CAPTURE_MODE_RELAXED);
        end_valid(stream);
    }
    uint32_t word;
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    EXPECT(cuMemcpyDtoH(&word, data, 4), unsupported);
    end_spoiled(stream);
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    EXPECT(cuStreamSynchronize(other), unsupported);
    end_spoiled(stream);
    begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    CUmodule module;
    EXPECT(cuModuleLoadData(&module, graph_ptx), unsupported);
    end_spoiled(stream);
}

static void *end_elsewhere(void *result)
{
    CUgraph graph;
    *(CUresult *)result = cuStreamEndCapture(stream, &graph);
    return NULL;
}

static void ends_belong_to_threads(void)
{
    begin(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    CHECK(on_another_thread(end_elsewhere) == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    end_valid(stream);
    begin(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    CHECK(on_another_thread(end_elsewhere) == CUDA_SUCCESS);
}

/* A stream or a context may go while it captures; nothing is left behind that forbids anything. */
static void captures_go_with_their_streams(void)
{
    CUstream gone;
    CUcontext context;
    CUdevice device;
    OK(cuStreamCreate(&gone, 0));
    begin(gone, CU_STREAM_CAPTURE_MODE_GLOBAL);
    OK(cuStreamDestroy(gone));
    OK(allocate());
    OK(launch_into(NULL));
    OK(cuDeviceGet(&device, 0));
    OK(cuCtxCreate(&context, NULL, 0, device));
    OK(cuStreamCreate(&gone, 0));
    OK(cuStreamBeginCapture(gone, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemsetD32Async(data, 1, 1, gone));
    OK(cuCtxDestroy(context));
    OK(allocate());
    EXPECT(cuStreamEndCapture(gone, &(CUgraph){0}), CUDA_ERROR_INVALID_HANDLE);
}

int main(void)
{
    start_graphs();
    data = words(0);
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
    OK(cuEventCreate(&event, 0));
    begins_and_ends();
    forks_must_join();
    captures_stay_apart();
    captured_events_tell_nothing();
    captured_streams_are_not_waited_for();
    legacy_stream_is_out_of_use();
    modes_forbid_what_may_wait();
    ends_belong_to_threads();
    captures_go_with_their_streams();
    return 0;
}

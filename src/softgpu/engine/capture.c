/* Stream capture is not there yet, so no stream ever captures: the questions about it have true
 * answers, and beginning one is refused by the table. */
#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

static __thread CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

static CUresult exchange_mode(CUstreamCaptureMode *mode)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    if (!mode || (unsigned int)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    CUstreamCaptureMode before = thread_mode;
    thread_mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}

static CUresult no_capture(CUstream handle, CUstreamCaptureStatus *status, bool per_thread)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_enter(handle, per_thread, &stream);
    if (result)
        return result;
    weft_soft_stream_put(stream);
    if (!status)
        return CUDA_ERROR_INVALID_VALUE;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

static CUresult is_capturing(CUstream handle, CUstreamCaptureStatus *status)
{
    return no_capture(handle, status, false);
}

static CUresult is_capturing_ptsz(CUstream handle, CUstreamCaptureStatus *status)
{
    return no_capture(handle, status, true);
}

/* Nothing is captured, so the other outputs stay as they are, as CUDA has it. */
static CUresult info_v1(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id)
{
    (void)id;
    return no_capture(handle, status, false);
}

static CUresult info_v1_ptsz(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id)
{
    (void)id;
    return no_capture(handle, status, true);
}

static CUresult info_v2(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id,
                        CUgraph *graph, const CUgraphNode **nodes, size_t *node_count)
{
    (void)id, (void)graph, (void)nodes, (void)node_count;
    return no_capture(handle, status, false);
}

static CUresult info_v2_ptsz(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id,
                             CUgraph *graph, const CUgraphNode **nodes, size_t *node_count)
{
    (void)id, (void)graph, (void)nodes, (void)node_count;
    return no_capture(handle, status, true);
}

static CUresult info_v3(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id,
                        CUgraph *graph, const CUgraphNode **nodes, const CUgraphEdgeData **edges,
                        size_t *node_count)
{
    (void)id, (void)graph, (void)nodes, (void)edges, (void)node_count;
    return no_capture(handle, status, false);
}

static CUresult info_v3_ptsz(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id,
                             CUgraph *graph, const CUgraphNode **nodes,
                             const CUgraphEdgeData **edges, size_t *node_count)
{
    (void)id, (void)graph, (void)nodes, (void)edges, (void)node_count;
    return no_capture(handle, status, true);
}

void weft_soft_capture_install(struct weft_cuda *table)
{
    table->cuThreadExchangeStreamCaptureMode = exchange_mode;
    table->cuStreamIsCapturing = is_capturing;
    table->cuStreamIsCapturing_ptsz = is_capturing_ptsz;
    table->cuStreamGetCaptureInfo = info_v1;
    table->cuStreamGetCaptureInfo_ptsz = info_v1_ptsz;
    table->cuStreamGetCaptureInfo_v2 = info_v2;
    table->cuStreamGetCaptureInfo_v2_ptsz = info_v2_ptsz;
    table->cuStreamGetCaptureInfo_v3 = info_v3;
    table->cuStreamGetCaptureInfo_v3_ptsz = info_v3_ptsz;
}

/* Streams and events, as far as they are more than the driver's. */
#include <stdlib.h>

#include "runtime/runtime.h"

cudaError_t weft_cudart_cudaStreamCreate(cudaStream_t *out)
{
    return weft_cudart_error(weft_cudart_driver()->cuStreamCreate(out, CU_STREAM_DEFAULT));
}

cudaError_t weft_cudart_cudaEventCreate(cudaEvent_t *out)
{
    return weft_cudart_error(weft_cudart_driver()->cuEventCreate(out, CU_EVENT_DEFAULT));
}

cudaError_t weft_cudart_cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    return weft_cudart_error(weft_cudart_driver()->cuEventElapsedTime(ms, start, end));
}

/* A callback of the runtime's type, until the driver calls it. */
struct callback {
    cudaStreamCallback_t function;
    void *data;
};

static void call_back(CUstream stream, CUresult status, void *argument)
{
    struct callback callback = *(struct callback *)argument;
    free(argument);
    callback.function(stream, weft_cudart_error(status), callback.data);
}

cudaError_t weft_cudart_cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t function,
                                              void *data, unsigned int flags, bool per_thread)
{
    const struct weft_cuda *driver = weft_cudart_driver();
    if (!function || flags)
        return cudaErrorInvalidValue;
    struct callback *callback = malloc(sizeof(*callback));
    if (!callback)
        return cudaErrorMemoryAllocation;
    *callback = (struct callback){function, data};
    CUresult result = (per_thread ? driver->cuStreamAddCallback_ptsz
                                  : driver->cuStreamAddCallback)(stream, call_back, callback, 0);
    if (result)
        free(callback);
    return weft_cudart_error(result);
}

/* Errors: the thread's last one, and their names. */
#include "cudart_results.h"
#include "runtime/runtime.h"

cudaError_t weft_cudart_cudaGetLastError(void)
{
    return weft_cudart_last_error(true);
}

cudaError_t weft_cudart_cudaPeekAtLastError(void)
{
    return weft_cudart_last_error(false);
}

const char *weft_cudart_cudaGetErrorName(cudaError_t error)
{
    switch ((int)error) {
#define X(name, value) \
    case value:        \
        return #name;
        WEFT_CUDART_RESULTS(X)
#undef X
    default:
        return "unrecognized error code";
    }
}

/* The driver words the same numbers. */
const char *weft_cudart_cudaGetErrorString(cudaError_t error)
{
    const char *text = NULL;
    if (error == cudaSuccess)
        return "no error";
    weft_cudart_enter_driver();
    const struct weft_cuda *driver = weft_cudart_driver();
    if (driver->cuGetErrorString &&
        driver->cuGetErrorString((CUresult)error, &text) == CUDA_SUCCESS && text)
        return text;
    return weft_cudart_cudaGetErrorName(error);
}

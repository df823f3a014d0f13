/* Variables of the program's modules, by the address that stands for them on the host. */
#include "runtime/runtime.h"

cudaError_t weft_cudart_cudaGetSymbolAddress(void **out, const void *symbol)
{
    CUdeviceptr address;
    size_t bytes;
    if (!out)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_variable_of(symbol, &address, &bytes);
    if (result == cudaSuccess)
        *out = (void *)(uintptr_t)address;
    return result;
}

cudaError_t weft_cudart_cudaGetSymbolSize(size_t *bytes, const void *symbol)
{
    CUdeviceptr address;
    return bytes ? weft_cudart_variable_of(symbol, &address, bytes) : cudaErrorInvalidValue;
}

cudaError_t weft_cudart_symbol_range(const void *symbol, size_t offset, size_t count, void **out)
{
    CUdeviceptr address;
    size_t bytes;
    cudaError_t result = weft_cudart_variable_of(symbol, &address, &bytes);
    if (result)
        return result;
    if (offset > bytes || count > bytes - offset)
        return cudaErrorInvalidValue;
    *out = (void *)(uintptr_t)(address + offset);
    return cudaSuccess;
}

static bool goes_to_device(enum cudaMemcpyKind kind)
{
    return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ||
           kind == cudaMemcpyDefault;
}

static bool comes_from_device(enum cudaMemcpyKind kind)
{
    return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ||
           kind == cudaMemcpyDefault;
}

cudaError_t weft_cudart_cudaMemcpyToSymbol(const void *symbol, const void *from, size_t count,
                                           size_t offset, enum cudaMemcpyKind kind, bool per_thread)
{
    void *to;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, count, &to);
    if (!result && !goes_to_device(kind))
        result = cudaErrorInvalidMemcpyDirection;
    return result ? result : weft_cudart_cudaMemcpy(to, from, count, kind, per_thread);
}

cudaError_t weft_cudart_cudaMemcpyToSymbolAsync(const void *symbol, const void *from, size_t count,
                                                size_t offset, enum cudaMemcpyKind kind,
                                                cudaStream_t stream, bool per_thread)
{
    void *to;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, count, &to);
    if (!result && !goes_to_device(kind))
        result = cudaErrorInvalidMemcpyDirection;
    return result ? result : weft_cudart_cudaMemcpyAsync(to, from, count, kind, stream, per_thread);
}

cudaError_t weft_cudart_cudaMemcpyFromSymbol(void *to, const void *symbol, size_t count,
                                             size_t offset, enum cudaMemcpyKind kind,
                                             bool per_thread)
{
    void *from;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, count, &from);
    if (!result && !comes_from_device(kind))
        result = cudaErrorInvalidMemcpyDirection;
    return result ? result : weft_cudart_cudaMemcpy(to, from, count, kind, per_thread);
}

cudaError_t weft_cudart_cudaMemcpyFromSymbolAsync(void *to, const void *symbol, size_t count,
                                                  size_t offset, enum cudaMemcpyKind kind,
                                                  cudaStream_t stream, bool per_thread)
{
    void *from;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, count, &from);
    if (!result && !comes_from_device(kind))
        result = cudaErrorInvalidMemcpyDirection;
    return result ? result : weft_cudart_cudaMemcpyAsync(to, from, count, kind, stream, per_thread);
}

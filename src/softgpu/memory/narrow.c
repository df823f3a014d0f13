/* The calls from before CUDA 3.2, whose addresses and sizes have 32 bits. Each widens what it is
 * given and goes through its successor. No memory of the soft GPU lies below 4 GiB, so those that
 * would answer with an address of it refuse; sizes that do not fit are answered with the largest
 * that does. */
#include <stdint.h>
#include <stdlib.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

static unsigned int narrow_size(size_t size)
{
    return (unsigned int)WEFT_MIN(size, (size_t)UINT32_MAX);
}

/* INVALID_VALUE where somebody asks for an address that does not fit. */
static CUresult narrow_address(CUdeviceptr address, CUdeviceptr_v1 *out)
{
    if (out && address > UINT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (out)
        *out = (CUdeviceptr_v1)address;
    return CUDA_SUCCESS;
}

/* Calls whose arguments widen by themselves: name, parameters, arguments. */
#define FORWARDS(X)                                                                               \
    X(cuMemFree, (CUdeviceptr_v1 address), (address))                                             \
    X(cuMemAllocHost, (void **out, unsigned int bytes), (out, bytes))                             \
    X(cuMemcpyHtoD, (CUdeviceptr_v1 to, const void *from, unsigned int bytes), (to, from, bytes)) \
    X(cuMemcpyDtoH, (void *to, CUdeviceptr_v1 from, unsigned int bytes), (to, from, bytes))       \
    X(cuMemcpyDtoD, (CUdeviceptr_v1 to, CUdeviceptr_v1 from, unsigned int bytes),                 \
      (to, from, bytes))                                                                          \
    X(cuMemcpyHtoDAsync,                                                                          \
      (CUdeviceptr_v1 to, const void *from, unsigned int bytes, CUstream stream),                 \
      (to, from, bytes, stream))                                                                  \
    X(cuMemcpyDtoHAsync, (void *to, CUdeviceptr_v1 from, unsigned int bytes, CUstream stream),    \
      (to, from, bytes, stream))                                                                  \
    X(cuMemcpyDtoDAsync,                                                                          \
      (CUdeviceptr_v1 to, CUdeviceptr_v1 from, unsigned int bytes, CUstream stream),              \
      (to, from, bytes, stream))                                                                  \
    X(cuMemcpyDtoA, (CUarray to, unsigned int at, CUdeviceptr_v1 from, unsigned int bytes),       \
      (to, at, from, bytes))                                                                      \
    X(cuMemcpyAtoD, (CUdeviceptr_v1 to, CUarray from, unsigned int at, unsigned int bytes),       \
      (to, from, at, bytes))                                                                      \
    X(cuMemcpyHtoA, (CUarray to, unsigned int at, const void *from, unsigned int bytes),          \
      (to, at, from, bytes))                                                                      \
    X(cuMemcpyAtoH, (void *to, CUarray from, unsigned int at, unsigned int bytes),                \
      (to, from, at, bytes))                                                                      \
    X(cuMemcpyAtoA,                                                                               \
      (CUarray to, unsigned int at, CUarray from, unsigned int off, unsigned int bytes),          \
      (to, at, from, off, bytes))                                                                 \
    X(cuMemcpyHtoAAsync,                                                                          \
      (CUarray to, unsigned int at, const void *from, unsigned int bytes, CUstream stream),       \
      (to, at, from, bytes, stream))                                                              \
    X(cuMemcpyAtoHAsync,                                                                          \
      (void *to, CUarray from, unsigned int at, unsigned int bytes, CUstream stream),             \
      (to, from, at, bytes, stream))                                                              \
    X(cuMemsetD8, (CUdeviceptr_v1 to, unsigned char value, unsigned int count),                   \
      (to, value, count))                                                                         \
    X(cuMemsetD16, (CUdeviceptr_v1 to, unsigned short value, unsigned int count),                 \
      (to, value, count))                                                                         \
    X(cuMemsetD32, (CUdeviceptr_v1 to, unsigned int value, unsigned int count),                   \
      (to, value, count))                                                                         \
    X(cuMemsetD2D8,                                                                               \
      (CUdeviceptr_v1 to, unsigned int pitch, unsigned char value, unsigned int width,            \
       unsigned int height),                                                                      \
      (to, pitch, value, width, height))                                                          \
    X(cuMemsetD2D16,                                                                              \
      (CUdeviceptr_v1 to, unsigned int pitch, unsigned short value, unsigned int width,           \
       unsigned int height),                                                                      \
      (to, pitch, value, width, height))                                                          \
    X(cuMemsetD2D32,                                                                              \
      (CUdeviceptr_v1 to, unsigned int pitch, unsigned int value, unsigned int width,             \
       unsigned int height),                                                                      \
      (to, pitch, value, width, height))

#define DEFINE_FORWARD(name, parameters, arguments)  \
    static CUresult narrow_##name parameters         \
    {                                                \
        return weft_soft.calls->name##_v2 arguments; \
    }
FORWARDS(DEFINE_FORWARD)

static CUDA_MEMCPY2D widen_2d(const CUDA_MEMCPY2D_v1 *copy)
{
    return (CUDA_MEMCPY2D){.srcXInBytes = copy->srcXInBytes,
                           .srcY = copy->srcY,
                           .srcMemoryType = copy->srcMemoryType,
                           .srcHost = copy->srcHost,
                           .srcDevice = copy->srcDevice,
                           .srcArray = copy->srcArray,
                           .srcPitch = copy->srcPitch,
                           .dstXInBytes = copy->dstXInBytes,
                           .dstY = copy->dstY,
                           .dstMemoryType = copy->dstMemoryType,
                           .dstHost = copy->dstHost,
                           .dstDevice = copy->dstDevice,
                           .dstArray = copy->dstArray,
                           .dstPitch = copy->dstPitch,
                           .WidthInBytes = copy->WidthInBytes,
                           .Height = copy->Height};
}

static CUDA_MEMCPY3D widen_3d(const CUDA_MEMCPY3D_v1 *copy)
{
    return (CUDA_MEMCPY3D){.srcXInBytes = copy->srcXInBytes,
                           .srcY = copy->srcY,
                           .srcZ = copy->srcZ,
                           .srcLOD = copy->srcLOD,
                           .srcMemoryType = copy->srcMemoryType,
                           .srcHost = copy->srcHost,
                           .srcDevice = copy->srcDevice,
                           .srcArray = copy->srcArray,
                           .srcPitch = copy->srcPitch,
                           .srcHeight = copy->srcHeight,
                           .dstXInBytes = copy->dstXInBytes,
                           .dstY = copy->dstY,
                           .dstZ = copy->dstZ,
                           .dstLOD = copy->dstLOD,
                           .dstMemoryType = copy->dstMemoryType,
                           .dstHost = copy->dstHost,
                           .dstDevice = copy->dstDevice,
                           .dstArray = copy->dstArray,
                           .dstPitch = copy->dstPitch,
                           .dstHeight = copy->dstHeight,
                           .WidthInBytes = copy->WidthInBytes,
                           .Height = copy->Height,
                           .Depth = copy->Depth};
}

static CUresult memcpy_2d(const CUDA_MEMCPY2D_v1 *copy)
{
    CUDA_MEMCPY2D wide = copy ? widen_2d(copy) : (CUDA_MEMCPY2D){0};
    return weft_soft.calls->cuMemcpy2D_v2(copy ? &wide : NULL);
}

static CUresult memcpy_2d_async(const CUDA_MEMCPY2D_v1 *copy, CUstream stream)
{
    CUDA_MEMCPY2D wide = copy ? widen_2d(copy) : (CUDA_MEMCPY2D){0};
    return weft_soft.calls->cuMemcpy2DAsync_v2(copy ? &wide : NULL, stream);
}

static CUresult memcpy_3d(const CUDA_MEMCPY3D_v1 *copy)
{
    CUDA_MEMCPY3D wide = copy ? widen_3d(copy) : (CUDA_MEMCPY3D){0};
    return weft_soft.calls->cuMemcpy3D_v2(copy ? &wide : NULL);
}

static CUresult memcpy_3d_async(const CUDA_MEMCPY3D_v1 *copy, CUstream stream)
{
    CUDA_MEMCPY3D wide = copy ? widen_3d(copy) : (CUDA_MEMCPY3D){0};
    return weft_soft.calls->cuMemcpy3DAsync_v2(copy ? &wide : NULL, stream);
}

/* What was allocated is given back where its address does not fit. */
static CUresult keep(CUresult result, CUdeviceptr address, CUdeviceptr_v1 *out)
{
    if (result != CUDA_SUCCESS)
        return result;
    result = narrow_address(address, out);
    if (result != CUDA_SUCCESS)
        weft_soft.calls->cuMemFree_v2(address);
    return result;
}

static CUresult mem_alloc(CUdeviceptr_v1 *out, unsigned int bytes)
{
    CUdeviceptr address = 0;
    CUresult result = weft_soft.calls->cuMemAlloc_v2(out ? &address : NULL, bytes);
    return keep(result, address, out);
}

static CUresult mem_alloc_pitch(CUdeviceptr_v1 *out, unsigned int *pitch, unsigned int width,
                                unsigned int height, unsigned int element_bytes)
{
    CUdeviceptr address = 0;
    size_t wide = 0;
    CUresult result = weft_soft.calls->cuMemAllocPitch_v2(
        out ? &address : NULL, pitch ? &wide : NULL, width, height, element_bytes);
    result = keep(result, address, out);
    if (result == CUDA_SUCCESS)
        *pitch = narrow_size(wide);
    return result;
}

static CUresult mem_get_info(unsigned int *free_bytes, unsigned int *total)
{
    size_t wide_free = 0, wide_total = 0;
    CUresult result = weft_soft.calls->cuMemGetInfo_v2(free_bytes ? &wide_free : NULL,
                                                       total ? &wide_total : NULL);
    if (result != CUDA_SUCCESS)
        return result;
    *free_bytes = narrow_size(wide_free);
    *total = narrow_size(wide_total);
    return CUDA_SUCCESS;
}

static CUresult device_total_mem(unsigned int *bytes, CUdevice device)
{
    size_t wide = 0;
    CUresult result = weft_soft.calls->cuDeviceTotalMem_v2(bytes ? &wide : NULL, device);
    if (result == CUDA_SUCCESS)
        *bytes = narrow_size(wide);
    return result;
}

static CUresult answer_range(CUresult result, CUdeviceptr address, size_t size, CUdeviceptr_v1 *out,
                             unsigned int *bytes)
{
    if (result == CUDA_SUCCESS)
        result = narrow_address(address, out);
    if (result == CUDA_SUCCESS && bytes)
        *bytes = narrow_size(size);
    return result;
}

static CUresult mem_get_address_range(CUdeviceptr_v1 *base, unsigned int *bytes,
                                      CUdeviceptr_v1 address)
{
    CUdeviceptr wide = 0;
    size_t size = 0;
    CUresult result = weft_soft.calls->cuMemGetAddressRange_v2(&wide, &size, address);
    return answer_range(result, wide, size, base, bytes);
}

static CUresult module_get_global(CUdeviceptr_v1 *address, unsigned int *bytes, CUmodule module,
                                  const char *name)
{
    CUdeviceptr wide = 0;
    size_t size = 0;
    if (!address && !bytes)
        return weft_soft.calls->cuModuleGetGlobal_v2(NULL, NULL, module, name);
    CUresult result = weft_soft.calls->cuModuleGetGlobal_v2(&wide, &size, module, name);
    return answer_range(result, wide, size, address, bytes);
}

static CUresult mem_host_get_device_pointer(CUdeviceptr_v1 *out, void *host, unsigned int flags)
{
    CUdeviceptr wide = 0;
    CUresult result =
        weft_soft.calls->cuMemHostGetDevicePointer_v2(out ? &wide : NULL, host, flags);
    return result ? result : narrow_address(wide, out);
}

static CUresult texture_set_address(unsigned int *offset, CUtexref reference,
                                    CUdeviceptr_v1 address, unsigned int bytes)
{
    size_t wide = 0;
    CUresult result =
        weft_soft.calls->cuTexRefSetAddress_v2(offset ? &wide : NULL, reference, address, bytes);
    if (result == CUDA_SUCCESS && offset)
        *offset = (unsigned int)wide;
    return result;
}

static CUresult texture_set_address_2d(CUtexref reference, const CUDA_ARRAY_DESCRIPTOR_v1 *shape,
                                       CUdeviceptr_v1 address, unsigned int pitch)
{
    CUDA_ARRAY_DESCRIPTOR wide = {0};
    if (shape)
        wide = (CUDA_ARRAY_DESCRIPTOR){.Width = shape->Width,
                                       .Height = shape->Height,
                                       .Format = shape->Format,
                                       .NumChannels = shape->NumChannels};
    return weft_soft.calls->cuTexRefSetAddress2D_v3(reference, shape ? &wide : NULL, address,
                                                    pitch);
}

static CUresult texture_get_address(CUdeviceptr_v1 *out, CUtexref reference)
{
    CUdeviceptr wide = 0;
    CUresult result = weft_soft.calls->cuTexRefGetAddress_v2(out ? &wide : NULL, reference);
    return result ? result : narrow_address(wide, out);
}

#define INSTALL_FORWARD(name, parameters, arguments) table->name = narrow_##name;

void weft_soft_narrow_install(struct weft_cuda *table)
{
    if (!weft_soft.calls)
        weft_soft.calls = malloc(sizeof(*weft_soft.calls));
    if (!weft_soft.calls)
        return; /* these calls stay refused */
    *weft_soft.calls = *table;
    FORWARDS(INSTALL_FORWARD)
    table->cuMemcpy2D = memcpy_2d;
    table->cuMemcpy2DUnaligned = memcpy_2d;
    table->cuMemcpy2DAsync = memcpy_2d_async;
    table->cuMemcpy3D = memcpy_3d;
    table->cuMemcpy3DAsync = memcpy_3d_async;
    table->cuMemAlloc = mem_alloc;
    table->cuMemAllocPitch = mem_alloc_pitch;
    table->cuMemGetInfo = mem_get_info;
    table->cuDeviceTotalMem = device_total_mem;
    table->cuMemGetAddressRange = mem_get_address_range;
    table->cuModuleGetGlobal = module_get_global;
    table->cuMemHostGetDevicePointer = mem_host_get_device_pointer;
    table->cuTexRefSetAddress = texture_set_address;
    table->cuTexRefSetAddress2D = texture_set_address_2d;
    table->cuTexRefGetAddress = texture_get_address;
}

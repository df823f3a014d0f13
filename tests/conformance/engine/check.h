/* What the programs here share: a check that says where it failed, and a start. */
#ifndef WEFT_TESTS_ENGINE_CHECK_H
#define WEFT_TESTS_ENGINE_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#define EXPECT(call, wanted)                                                                      \
    do {                                                                                          \
        CUresult cu_result = (call);                                                              \
        if (cu_result != (wanted)) {                                                              \
            fprintf(stderr, "%s:%d: %s: %d, not %d\n", __FILE__, __LINE__, #call, (int)cu_result, \
                    (int)(wanted));                                                               \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)
#define OK(call) EXPECT(call, CUDA_SUCCESS)
#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

#define PTX_HEAD ".version 7.0\n.target sm_75\n.address_size 64\n"

static inline CUmodule start(const char *ptx)
{
    CUdevice device;
    CUcontext context;
    CUmodule module;
    OK(cuInit(0));
    OK(cuDeviceGet(&device, 0));
    OK(cuDevicePrimaryCtxRetain(&context, device));
    OK(cuCtxSetCurrent(context));
    OK(cuModuleLoadData(&module, ptx));
    return module;
}

static inline CUfunction function_of(CUmodule module, const char *name)
{
    CUfunction function;
    OK(cuModuleGetFunction(&function, module, name));
    return function;
}

#endif

/* A program that asks NVRTC for machine code gets what the soft GPU can load. What would break it:
 * calls that do not stand in front of NVRTC's, a size of one and the bytes of the other, errors or
 * the size 0 of a virtual architecture that do not come through. */
#include <stdio.h>
#include <stdlib.h>

#include <weft/cuda.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

int nvrtcGetCUBINSize(void *program, size_t *size);
int nvrtcGetCUBIN(void *program, char *bytes);

int main(void)
{
    static char image[4096];
    size_t size = 0, none = 1;
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction function;
    CHECK(nvrtcGetCUBINSize(NULL, NULL) == 3);
    CHECK(nvrtcGetCUBINSize((void *)1, &none) == 0 && none == 0);
    CHECK(nvrtcGetCUBINSize(NULL, &size) == 0 && size > 0 && size < sizeof(image));
    image[size] = 'x';
    CHECK(nvrtcGetCUBIN(NULL, image) == 0);
    CHECK(image[size - 1] == 0 && image[size] == 'x');

    CHECK(cuInit(0) == CUDA_SUCCESS && cuDeviceGet(&device, 0) == CUDA_SUCCESS);
    CHECK(cuDevicePrimaryCtxRetain(&context, device) == CUDA_SUCCESS);
    CHECK(cuCtxSetCurrent(context) == CUDA_SUCCESS);
    CHECK(cuModuleLoadData(&module, image) == CUDA_SUCCESS);
    CHECK(cuModuleGetFunction(&function, module, "f") == CUDA_SUCCESS);
    CHECK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL) == CUDA_SUCCESS);
    CHECK(cuCtxSynchronize() == CUDA_SUCCESS);
    return 0;
}

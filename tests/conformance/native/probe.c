/* Prints what devices it is shown, and how much it may allocate on the second of them. */
#include <stdio.h>
#include <stdlib.h>

#include <weft/cuda.h>

#define MIB ((size_t)1 << 20)
#define ALLOCATIONS_MAX 4096

static void check(CUresult result, const char *what)
{
    const char *name = "?";
    if (result == CUDA_SUCCESS)
        return;
    cuGetErrorName(result, &name);
    printf("%s: %s\n", what, name);
    exit(1);
}
#define CHECK(call) check(call, #call)

static void show_devices(void)
{
    int count;
    CHECK(cuDeviceGetCount(&count));
    printf("%d devices\n", count);
    for (int i = 0; i < count; i++) {
        CUdevice device;
        char name[32];
        size_t bytes;
        CHECK(cuDeviceGet(&device, i));
        CHECK(cuDeviceGetName(name, sizeof(name), device));
        CHECK(cuDeviceTotalMem(&bytes, device));
        printf("%d: %s, %zu bytes\n", device, name, bytes);
    }
}

static void show_memory(void)
{
    size_t free_bytes, total;
    CHECK(cuMemGetInfo(&free_bytes, &total));
    printf("%zu of %zu bytes free\n", free_bytes, total);
}

static void fill(void)
{
    static CUdeviceptr held[ALLOCATIONS_MAX];
    size_t count = 0;
    CUresult result = CUDA_SUCCESS;
    while (count < ALLOCATIONS_MAX && (result = cuMemAlloc(&held[count], MIB)) == CUDA_SUCCESS)
        count++;
    const char *name = "?";
    cuGetErrorName(result, &name);
    printf("%zu MiB, then %s\n", count, name);
    show_memory();
    while (count > 0)
        CHECK(cuMemFree(held[--count]));
    show_memory();
}

int main(void)
{
    CUcontext context;
    CUdevice device;
    CHECK(cuInit(0));
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (visible)
        printf("the driver is shown %s\n", visible);
    show_devices();
    CHECK(cuDevicePrimaryCtxRetain(&context, 1));
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuCtxGetDevice(&device));
    printf("device %d is current\n", device);
    fill();
    return 0;
}

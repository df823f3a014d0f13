/* The checks as a user's program: CUDA C compiled at run time, loaded and launched through the
 * driver API. */
#include <stdio.h>
#include <stdlib.h>

#include <weft/cuda.h>

#include "stage.h"

#define ALLOCATIONS_MAX 64

struct driver_stage {
    struct stage stage;
    CUmodule module;
    CUdeviceptr allocations[ALLOCATIONS_MAX];
    unsigned allocation_count;
};

static int told(CUresult result, const char *what)
{
    const char *name = "?";
    if (result == CUDA_SUCCESS)
        return 0;
    cuGetErrorName(result, &name);
    printf("%s: %s\n", what, name);
    return -1;
}

static int start(unsigned *newest)
{
    CUdevice device;
    int major = 0, minor = 0;
    CUcontext context;
    if (told(cuInit(0), "cuInit") || told(cuDeviceGet(&device, 0), "cuDeviceGet") ||
        told(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain"))
        return -1;
    cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    *newest = (unsigned)(10 * major + minor);
    return told(cuCtxSetCurrent(context), "cuCtxSetCurrent");
}

static int drop(struct driver_stage *own)
{
    int status = 0;
    while (own->allocation_count)
        status |= told(cuMemFree(own->allocations[--own->allocation_count]), "cuMemFree");
    if (own->module)
        status |= told(cuModuleUnload(own->module), "cuModuleUnload");
    own->module = NULL;
    return status;
}

static int load(struct stage *stage, const char *ptx)
{
    struct driver_stage *own = (struct driver_stage *)stage;
    if (drop(own))
        return -1;
    return told(cuModuleLoadData(&own->module, ptx), "cuModuleLoadData");
}

static uint64_t alloc(struct stage *stage, size_t bytes)
{
    struct driver_stage *own = (struct driver_stage *)stage;
    CUdeviceptr address = 0;
    if (own->allocation_count == ALLOCATIONS_MAX || told(cuMemAlloc(&address, bytes), "cuMemAlloc"))
        return 0;
    own->allocations[own->allocation_count++] = address;
    return told(cuMemsetD8(address, 0, bytes), "cuMemsetD8") ? 0 : address;
}

static int write_memory(struct stage *stage, uint64_t to, const void *from, size_t bytes)
{
    (void)stage;
    return told(cuMemcpyHtoD(to, from, bytes), "cuMemcpyHtoD");
}

static int read_memory(struct stage *stage, void *to, uint64_t from, size_t bytes)
{
    (void)stage;
    return told(cuMemcpyDtoH(to, from, bytes), "cuMemcpyDtoH");
}

static int launch_kernel(struct stage *stage, const struct stage_launch *launch)
{
    struct driver_stage *own = (struct driver_stage *)stage;
    void *arguments[STAGE_ARGUMENTS_MAX];
    CUfunction function;
    for (unsigned i = 0; i < launch->argument_count; i++)
        arguments[i] = (void *)launch->arguments[i].value;
    if (told(cuModuleGetFunction(&function, own->module, launch->kernel), launch->kernel))
        return -1;
    const unsigned *grid = launch->grid;
    const unsigned *block = launch->block;
    CUlaunchAttribute cluster = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                                 .value.clusterDim = {launch->cluster, 1, 1}};
    CUlaunchConfig config = {.gridDimX = grid[0],
                             .gridDimY = grid[1],
                             .gridDimZ = grid[2],
                             .blockDimX = block[0],
                             .blockDimY = block[1],
                             .blockDimZ = block[2],
                             .sharedMemBytes = launch->shared_bytes,
                             .attrs = &cluster,
                             .numAttrs = launch->cluster ? 1 : 0};
    CUresult result = cuLaunchKernelEx(&config, function, arguments, NULL);
    if (told(result, launch->kernel))
        return -1;
    return told(cuCtxSynchronize(), launch->kernel);
}

/* [OLDEST]: with the toolkit's headers, for that architecture and newer ones. */
int main(int argc, char **argv)
{
    unsigned oldest = argc > 1 ? (unsigned)atoi(argv[1]) : 0, newest = 0;
    static struct driver_stage own = {
        .stage = {"driver", load, alloc, write_memory, read_memory, launch_kernel}};
    if (compile_unavailable()) {
        printf("%s\n", compile_unavailable());
        return 77;
    }
    if (oldest && compile_headers_unavailable()) {
        printf("%s\n", compile_headers_unavailable());
        return 77;
    }
    if (start(&newest))
        return 1;
    int failed = stage_run_checks(&own.stage, oldest, newest);
    failed += drop(&own) != 0;
    return failed ? 1 : 0;
}

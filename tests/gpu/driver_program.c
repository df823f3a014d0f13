/* A program of the driver API for a real card: what it prints depends on the card alone, so that it
 * must be the same with and without weft. driver_program IMAGE. Timings go to stderr, which nobody
 * compares. */
#include <cuda.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT (1u << 22)
#define BYTES ((size_t)COUNT * 4)
#define STREAMS 4
#define LAUNCHES 20000
#define BINS 256

static CUfunction fill, sum, histogram, nothing;

static void check(CUresult result, const char *what, int line)
{
    const char *name = "?";
    if (result == CUDA_SUCCESS)
        return;
    cuGetErrorName(result, &name);
    printf("line %d: %s: %s\n", line, what, name);
    exit(1);
}
#define CHECK(call) check(call, #call, __LINE__)

static void launch(CUfunction function, unsigned int blocks, CUstream stream, void **parameters)
{
    CHECK(cuLaunchKernel(function, blocks, 1, 1, BINS, 1, 1, 0, stream, parameters, NULL));
}

/* The sum of what fill wrote, computed on the card. */
static unsigned long long sum_of(CUdeviceptr data, CUstream stream)
{
    unsigned int count = COUNT;
    unsigned long long result;
    CUdeviceptr total;
    CHECK(cuMemAlloc(&total, sizeof(result)));
    CHECK(cuMemsetD8Async(total, 0, sizeof(result), stream));
    launch(sum, 256, stream, (void *[]){&data, &count, &total});
    CHECK(cuMemcpyDtoHAsync(&result, total, sizeof(result), stream));
    CHECK(cuStreamSynchronize(stream));
    CHECK(cuMemFree(total));
    return result;
}

static void fill_with(CUdeviceptr data, unsigned int seed, CUstream stream)
{
    unsigned int count = COUNT;
    launch(fill, COUNT / BINS, stream, (void *[]){&data, &count, &seed});
}

static void show_device(CUdevice device)
{
    static const CUdevice_attribute attributes[] = {
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, CU_DEVICE_ATTRIBUTE_WARP_SIZE,
        CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING};
    char name[100];
    int count, version, major, minor, value;
    CUuuid uuid;
    CHECK(cuDriverGetVersion(&version));
    CHECK(cuDeviceGetCount(&count));
    CHECK(cuDeviceGetName(name, sizeof(name), device));
    CHECK(cuDeviceGetUuid(&uuid, device));
    CHECK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device));
    CHECK(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device));
    printf("driver %d, %s, %d.%d, uuid %02x%02x…\n", version, name, major, minor,
           uuid.bytes[0] & 255, uuid.bytes[1] & 255);
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        CHECK(cuDeviceGetAttribute(&value, attributes[i], device));
        printf("attribute %d: %d\n", (int)attributes[i], value);
    }
}

static void load(const char *path)
{
    CUmodule module;
    CHECK(cuModuleLoad(&module, path));
    CHECK(cuModuleGetFunction(&fill, module, "fill"));
    CHECK(cuModuleGetFunction(&sum, module, "sum"));
    CHECK(cuModuleGetFunction(&histogram, module, "histogram"));
    CHECK(cuModuleGetFunction(&nothing, module, "nothing"));
}

static void use_streams(void)
{
    CUstream streams[STREAMS];
    CUdeviceptr data[STREAMS];
    CUevent done;
    CHECK(cuEventCreate(&done, CU_EVENT_DEFAULT));
    for (unsigned int i = 0; i < STREAMS; i++) {
        CHECK(cuStreamCreate(&streams[i], i % 2 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT));
        CHECK(cuMemAlloc(&data[i], BYTES));
        if (i > 0)
            CHECK(cuStreamWaitEvent(streams[i], done, 0));
        fill_with(data[i], i, streams[i]);
        CHECK(cuEventRecord(done, streams[i]));
    }
    for (unsigned int i = 0; i < STREAMS; i++) {
        printf("stream %u: %llu\n", i, sum_of(data[i], streams[i]));
        CHECK(cuMemFree(data[i]));
        CHECK(cuStreamDestroy(streams[i]));
    }
    CHECK(cuEventDestroy(done));
}

static void use_histogram(void)
{
    unsigned int bins[BINS], count = COUNT;
    uint64_t hash = 1469598103934665603u;
    CUdeviceptr data, device_bins;
    CHECK(cuMemAlloc(&data, BYTES));
    CHECK(cuMemAlloc(&device_bins, sizeof(bins)));
    fill_with(data, 7, 0);
    CHECK(cuMemsetD32(device_bins, 0, BINS));
    launch(histogram, 128, 0, (void *[]){&data, &count, &device_bins});
    CHECK(cuMemcpyDtoH(bins, device_bins, sizeof(bins)));
    for (size_t i = 0; i < BINS; i++)
        hash = (hash ^ bins[i]) * 1099511628211u;
    printf("histogram: %016llx\n", (unsigned long long)hash);
    CHECK(cuMemFree(data));
    CHECK(cuMemFree(device_bins));
}

static void use_managed_and_pinned(void)
{
    CUdeviceptr managed, pinned_on_device;
    void *pinned;
    CHECK(cuMemAllocManaged(&managed, BYTES, CU_MEM_ATTACH_GLOBAL));
    fill_with(managed, 9, 0);
    CHECK(cuCtxSynchronize());
    printf("managed: %u %llu\n", ((unsigned int *)(uintptr_t)managed)[COUNT / 2],
           sum_of(managed, 0));
    CHECK(cuMemFree(managed));
    CHECK(cuMemHostAlloc(&pinned, BYTES, CU_MEMHOSTALLOC_DEVICEMAP));
    CHECK(cuMemHostGetDevicePointer(&pinned_on_device, pinned, 0));
    fill_with(pinned_on_device, 11, 0);
    CHECK(cuCtxSynchronize());
    printf("pinned: %u\n", ((unsigned int *)pinned)[COUNT - 1]);
    CHECK(cuMemFreeHost(pinned));
}

static void use_pool(void)
{
    CUstream stream;
    CUdeviceptr data;
    CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK(cuMemAllocAsync(&data, BYTES, stream));
    fill_with(data, 13, stream);
    printf("pool: %llu\n", sum_of(data, stream));
    CHECK(cuMemFreeAsync(data, stream));
    CHECK(cuStreamSynchronize(stream));
    CHECK(cuStreamDestroy(stream));
}

static void use_mapping(CUdevice device)
{
    CUmemAllocationProp properties = {
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
    CUmemAccessDesc access = {.location = properties.location,
                              .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr data;
    size_t granularity, bytes;
    CHECK(
        cuMemGetAllocationGranularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    bytes = (BYTES + granularity - 1) / granularity * granularity;
    CHECK(cuMemCreate(&handle, bytes, &properties, 0));
    CHECK(cuMemAddressReserve(&data, bytes, 0, 0, 0));
    CHECK(cuMemMap(data, bytes, 0, handle, 0));
    CHECK(cuMemSetAccess(data, bytes, &access, 1));
    fill_with(data, 17, 0);
    printf("mapping: %zu %llu\n", granularity, sum_of(data, 0));
    CHECK(cuMemUnmap(data, bytes));
    CHECK(cuMemAddressFree(data, bytes));
    CHECK(cuMemRelease(handle));
}

static void meet_errors(void)
{
    CUdeviceptr data;
    CUfunction function;
    void *found;
    CUdriverProcAddressQueryResult status;
    printf("too much: %d\n", (int)cuMemAlloc(&data, (size_t)1 << 50));
    printf("nothing: %d\n", (int)cuMemAlloc(&data, 0));
    printf("no pointer: %d\n", (int)cuMemFree((CUdeviceptr)0x1234));
    printf("no function: %d\n", (int)cuModuleGetFunction(&function, NULL, "x"));
    printf("bad launch: %d\n", (int)cuLaunchKernel(nothing, 1, 1, 1, 4096, 1, 1, 0, 0, NULL, NULL));
    printf("no symbol: %d", (int)cuGetProcAddress("cuNoSuchCall", &found, 12000, 0, &status));
    printf(" %d %d\n", (int)status, found != NULL);
}

static void time_launches(void)
{
    struct timespec start, end;
    CHECK(cuCtxSynchronize());
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < LAUNCHES; i++)
        launch(nothing, 1, 0, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(cuCtxSynchronize());
    fprintf(stderr, "%.0f ns a launch\n",
            ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
                LAUNCHES);
}

int main(int argc, char **argv)
{
    CUdevice device;
    CUcontext context;
    if (argc != 2)
        return 2;
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    show_device(device);
    CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CHECK(cuCtxSetCurrent(context));
    load(argv[1]);
    use_streams();
    use_histogram();
    use_managed_and_pinned();
    use_pool();
    use_mapping(device);
    meet_errors();
    time_launches();
    CHECK(cuDevicePrimaryCtxRelease(device));
    puts("done");
    return 0;
}

/* Calls that take many operations at once, and smaller ones of devices and occupancy. What would
 * break it: a copy of a batch that is left out or takes the attributes of another one, an index
 * that is not checked, a place of failure that is not told. */
#include "program.h"

#define COUNT 5
#define BYTES 64

static const char ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .global .attribute(.managed) .u32 visits = 40;\n"
    ".visible .entry visit() {\n .reg .b32 %r<2>;\n ld.global.u32 %r0, [visits];\n add.u32 %r0, "
    "%r0, 2;\n st.global.u32 [visits], %r0;\n ret;\n}\n";

static void copies(cudaStream_t stream)
{
    unsigned char from[COUNT][BYTES], back[COUNT][BYTES];
    void *device[COUNT], *backs[COUNT];
    const void *froms[COUNT];
    size_t sizes[COUNT], first[2] = {0, 3}, wrong[2] = {0, COUNT}, failed = 7;
    struct cudaMemcpyAttributes attributes[2] = {
        {.srcAccessOrder = cudaMemcpySrcAccessOrderStream},
        {.srcAccessOrder = cudaMemcpySrcAccessOrderDuringApiCall}};
    for (int i = 0; i < COUNT; i++) {
        memset(from[i], i + 1, BYTES);
        OK(cudaMalloc(&device[i], BYTES));
        froms[i] = from[i];
        backs[i] = back[i];
        sizes[i] = BYTES;
    }
#if WEFT_CUDART_MAJOR >= 13
    (void)failed;
#define COPY(to, from, first, stream)                                                         \
    cudaMemcpyBatchAsync(to, (const void *const *)(from), sizes, COUNT, attributes, first, 2, \
                         stream)
#else
#define COPY(to, from, first, stream)                                                         \
    cudaMemcpyBatchAsync(to, (const void *const *)(from), sizes, COUNT, attributes, first, 2, \
                         &failed, stream)
#endif
    OK(COPY(device, froms, first, stream));
    OK(COPY(backs, device, first, stream));
    OK(cudaStreamSynchronize(stream));
    CHECK(memcmp(from, back, sizeof(from)) == 0);
    FAILS(COPY(device, froms, wrong, stream), cudaErrorInvalidValue);
    FAILS(COPY(device, froms, first, NULL), cudaErrorInvalidValue);
    froms[3] = NULL;
    FAILS(COPY(device, froms, first, stream), cudaErrorInvalidValue);
#if WEFT_CUDART_MAJOR < 13
    CHECK(failed == 3);
#endif
    for (int i = 0; i < COUNT; i++)
        OK(cudaFree(device[i]));
}

static void boxes(cudaStream_t stream)
{
    struct cudaChannelFormatDesc word = {32, 0, 0, 0, cudaChannelFormatKindUnsigned};
    uint32_t from[4][8], back[4][8] = {{0}};
    cudaArray_t array;
    OK(cudaMallocArray(&array, &word, 8, 4, 0));
    for (unsigned int i = 0; i < 32; i++)
        from[i / 8][i % 8] = i * i;
    struct cudaMemcpy3DOperand memory = {.type = cudaMemcpyOperandTypePointer,
                                         .op.ptr = {.ptr = from}};
    struct cudaMemcpy3DOperand texels = {.type = cudaMemcpyOperandTypeArray,
                                         .op.array = {.array = array}};
    struct cudaMemcpy3DBatchOp in = {.src = memory,
                                     .dst = texels,
                                     .extent = {8, 4, 1},
                                     .srcAccessOrder = cudaMemcpySrcAccessOrderStream};
    struct cudaMemcpy3DBatchOp out = in;
    out.src = texels;
    out.dst = memory;
    out.dst.op.ptr.ptr = back;
    struct cudaMemcpy3DBatchOp nowhere = in;
    nowhere.dst.type = cudaMemcpyOperandTypePointer;
    nowhere.dst.op.ptr.ptr = NULL;
#if WEFT_CUDART_MAJOR >= 13
#define COPY_BOX(box) cudaMemcpy3DBatchAsync(1, box, 0, stream)
#else
#define COPY_BOX(box) cudaMemcpy3DBatchAsync(1, box, NULL, 0, stream)
#endif
    OK(COPY_BOX(&in));
    OK(COPY_BOX(&out));
    OK(cudaStreamSynchronize(stream));
    CHECK(memcmp(from, back, sizeof(from)) == 0);
    FAILS(COPY_BOX(&nowhere), cudaErrorInvalidValue);
    OK(cudaFreeArray(array));
}

static void managed(cudaStream_t stream)
{
    void *pointers[2], *plain;
    size_t sizes[2] = {BYTES, BYTES}, first[1] = {0};
    struct cudaMemLocation location = {cudaMemLocationTypeDevice, 0};
    OK(cudaMallocManaged(&pointers[0], BYTES, cudaMemAttachGlobal));
    OK(cudaMallocManaged(&pointers[1], BYTES, cudaMemAttachGlobal));
    OK(cudaMalloc(&plain, BYTES));
    OK(cudaMemPrefetchBatchAsync(pointers, sizes, 2, &location, first, 1, 0, stream));
    OK(cudaMemDiscardBatchAsync(pointers, sizes, 2, 0, stream));
    OK(cudaMemDiscardAndPrefetchBatchAsync(pointers, sizes, 2, &location, first, 1, 0, stream));
    FAILS(cudaMemDiscardBatchAsync(&plain, sizes, 1, 0, stream), cudaErrorInvalidValue);
    FAILS(cudaMemPrefetchBatchAsync(pointers, sizes, 2, &location, NULL, 1, 0, stream),
          cudaErrorInvalidValue);
    OK(cudaFree(plain));
    OK(cudaFree(pointers[0]));
    OK(cudaFree(pointers[1]));
}

static void devices(void)
{
    struct cudaDeviceProp wanted;
    int device = -1, none[1] = {99}, first[1] = {0};
    OK(cudaGetDeviceProperties(&wanted, 0));
    OK(cudaChooseDevice(&device, &wanted));
    CHECK(device == 0);
    OK(cudaSetValidDevices(first, 1));
    FAILS(cudaSetValidDevices(none, 1), cudaErrorInvalidDevice);
    FAILS(cudaSetValidDevices(NULL, 1), cudaErrorInvalidValue);
}

static void kernels(void)
{
    static const char stub;
    void **handle = program_register(ptx);
    cudaLaunchConfig_t config = {.gridDim = {1, 1, 1}, .blockDim = {1, 1, 1}};
    cudaKernel_t kernel;
    int count = 0;
    uint32_t *visits = NULL;
    program_kernel(handle, &stub, "visit");
    __cudaRegisterManagedVar(handle, (void **)&visits, "visits", "visits", 0, 4, 0, 0);
    __cudaInitModule(handle);
    CHECK(visits && *visits == 40); /* the host reaches it before anything ran */
    OK(cudaLaunchKernelExC(&config, &stub, NULL));
    OK(cudaDeviceSynchronize());
    CHECK(*visits == 40 + 2);
    OK(cudaGetKernel(&kernel, &stub));
    OK(cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 1024,
                                       0));
    FAILS(cudaOccupancyMaxActiveClusters(&count, &stub, NULL), cudaErrorInvalidValue);
    FAILS(cudaOccupancyMaxActiveClusters(&count, &count, &config), cudaErrorInvalidDeviceFunction);
    __cudaUnregisterFatBinary(handle);
}

int main(void)
{
    cudaStream_t stream;
    cudaMemPool_t pool;
    struct cudaMemLocation location = {cudaMemLocationTypeDevice, 0};
    devices();
    OK(cudaStreamCreate(&stream));
    copies(stream);
    boxes(stream);
    managed(stream);
    kernels();
    OK(cudaMemGetMemPool(&pool, &location, cudaMemAllocationTypePinned));
    OK(cudaMemSetMemPool(&location, cudaMemAllocationTypePinned, pool));
    OK(cudaStreamDestroy(stream));
    CHECK(cudaGLGetDevices() == cudaErrorNotSupported);
    return 0;
}

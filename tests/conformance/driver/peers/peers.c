/* Two devices of one process. What would break it: a kernel that reaches the other device's memory
 * without having been allowed to, or does not where it was; a context that is allowed to because
 * another one of its device is; host and managed memory that only one device reaches. Argument: how
 * it is allowed; all but the first end in a fault. */
#include <string.h>

#include "../memory/program.h"

struct side {
    CUcontext context;
    CUfunction twice, touch;
};

static struct side open_in(CUcontext context)
{
    struct side side = {.context = context};
    CUmodule module;
    DO(cuCtxSetCurrent(side.context));
    DO(cuModuleLoadData(&module, program_ptx));
    DO(cuModuleGetFunction(&side.twice, module, "twice"));
    DO(cuModuleGetFunction(&side.touch, module, "touch"));
    return side;
}

static struct side open_side(int ordinal)
{
    CUcontext context;
    CUdevice device;
    DO(cuDeviceGet(&device, ordinal));
    DO(cuDevicePrimaryCtxRetain(&context, device));
    return open_in(context);
}

/* Another context of the same device. */
static struct side open_second(int ordinal)
{
    CUcontext context;
    DO(cuCtxCreate(&context, NULL, 0, ordinal));
    return open_in(context);
}

/* The side's kernel doubles one word; what its context says after that. */
static CUresult doubles(const struct side *side, CUdeviceptr to, CUdeviceptr from)
{
    unsigned int count = 1;
    void *params[] = {&to, &from, &count};
    DO(cuCtxSetCurrent(side->context));
    DO(cuLaunchKernel(side->twice, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
    return cuCtxSynchronize();
}

static CUdeviceptr allocate(const struct side *side, unsigned int value)
{
    CUdeviceptr address;
    DO(cuCtxSetCurrent(side->context));
    DO(cuMemAlloc(&address, 512));
    DO(cuMemsetD32(address, value, 128));
    DO(cuCtxSynchronize());
    return address;
}

static unsigned int word_at(CUdeviceptr address)
{
    unsigned int word;
    DO(cuMemcpyDtoH(&word, address, 4));
    return word;
}

static void errors(const struct side *near, const struct side *far)
{
    int value = 0;
    DO(cuDeviceCanAccessPeer(&value, 0, 1));
    TRUE(value == 1);
    DO(cuDeviceCanAccessPeer(&value, 0, 0));
    TRUE(value == 0);
    DO(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1, 0));
    TRUE(value == 1);
    EXPECT(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1, 1),
           CUDA_ERROR_INVALID_DEVICE);
    DO(cuCtxSetCurrent(near->context));
    EXPECT(cuCtxEnablePeerAccess(far->context, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuCtxEnablePeerAccess(near->context, 0), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuCtxEnablePeerAccess((CUcontext)0x1234, 0), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuCtxDisablePeerAccess(far->context), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

/* Memory that was there before, and memory that comes later. */
static void allowed(const struct side *near, const struct side *far, CUdeviceptr before)
{
    DO(cuCtxSetCurrent(near->context));
    DO(cuCtxEnablePeerAccess(far->context, 0));
    EXPECT(cuCtxEnablePeerAccess(far->context, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    CUdeviceptr later = allocate(far, 5), own = allocate(near, 1);
    DO(doubles(near, before, later));
    TRUE(word_at(before) == 10);
    DO(doubles(near, own, before));
    TRUE(word_at(own) == 20);
    DO(cuMemFree(own));
    /* It is not the other way round. */
    DO(cuCtxSetCurrent(far->context));
    EXPECT(cuCtxDisablePeerAccess(near->context), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    DO(cuMemFree(later));
}

static void everybodys(const struct side *near, const struct side *far)
{
    unsigned int *host;
    CUdeviceptr managed;
    DO(cuCtxSetCurrent(near->context));
    DO(cuMemAllocHost((void **)&host, 4096));
    DO(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
    *host = 3;
    DO(doubles(far, managed, (CUdeviceptr)host));
    TRUE(*(unsigned int *)managed == 6);
    DO(doubles(near, (CUdeviceptr)host, managed));
    TRUE(*host == 12);
}

/* Copies need nobody's leave. */
static void copies(const struct side *near, const struct side *far, CUdeviceptr there)
{
    CUdeviceptr here = allocate(near, 4);
    DO(cuMemcpyPeer(there, far->context, here, near->context, 4));
    TRUE(word_at(there) == 4);
    DO(cuMemsetD32(there, 9, 1));
    DO(cuMemcpyDtoD(here, there, 4));
    DO(cuCtxSynchronize());
    TRUE(word_at(here) == 9);
}

/* Of cuMemSetAccess: the address, for both devices and then for its own alone. */
static CUdeviceptr mapped(const struct side *near, const struct side *far)
{
    CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, 1}};
    CUmemAccessDesc both[] = {
        {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE},
        {{CU_MEM_LOCATION_TYPE_DEVICE, 1}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE}};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    DO(cuMemCreate(&handle, 2 * MIB, &properties, 0));
    DO(cuMemAddressReserve(&address, 2 * MIB, 0, 0, 0));
    DO(cuMemMap(address, 2 * MIB, 0, handle, 0));
    DO(cuMemSetAccess(address, 2 * MIB, both, 2));
    DO(doubles(near, address, address));
    DO(doubles(far, address, address));
    both[0].flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    DO(cuMemSetAccess(address, 2 * MIB, both, 1));
    DO(doubles(far, address, address));
    return address;
}

static CUdeviceptr from_pool(const struct side *near, const struct side *far)
{
    CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemoryPool pool;
    CUdeviceptr address;
    DO(cuCtxSetCurrent(far->context));
    DO(cuDeviceGetDefaultMemPool(&pool, 1));
    DO(cuMemAllocAsync(&address, 512, NULL));
    DO(cuStreamSynchronize(NULL));
    DO(cuMemPoolSetAccess(pool, &access, 1));
    DO(doubles(near, address, address));
    /* It is the pool that says who may, and no context. */
    DO(cuCtxSetCurrent(near->context));
    DO(cuCtxEnablePeerAccess(far->context, 0));
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    DO(cuMemPoolSetAccess(pool, &access, 1));
    DO(doubles(far, address, address));
    return address;
}

/* Each context asks for itself, and gets the memory of the one context that it asks for. What the
 * other context on this device may not reach. */
static CUdeviceptr of_one_context(const struct side *near, const struct side *far,
                                  CUdeviceptr there, struct side *second)
{
    struct side other_far = open_second(1);
    CUdeviceptr elsewhere = allocate(&other_far, 6);
    *second = open_second(0);
    DO(cuCtxSetCurrent(near->context));
    DO(cuCtxEnablePeerAccess(far->context, 0));
    DO(cuCtxEnablePeerAccess(other_far.context, 0));
    DO(doubles(near, there, elsewhere));
    TRUE(word_at(there) == 12);
    DO(cuCtxSetCurrent(second->context));
    EXPECT(cuCtxDisablePeerAccess(far->context), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    DO(cuCtxEnablePeerAccess(other_far.context, 0));
    DO(doubles(second, elsewhere, elsewhere));
    TRUE(word_at(elsewhere) == 12);
    /* A context that ends takes along what others had asked of it, and what it had asked. */
    struct side third = open_second(0);
    DO(cuCtxEnablePeerAccess(far->context, 0));
    DO(doubles(&third, there, there));
    DO(cuCtxDestroy(third.context));
    DO(cuCtxDestroy(other_far.context));
    DO(doubles(near, there, there));
    DO(cuCtxSetCurrent(second->context));
    return there;
}

/* Disabled, destroyed and made again: the new context has to ask anew. */
static CUdeviceptr of_a_new_context(const struct side *far, CUdeviceptr there, struct side *second)
{
    for (int round = 0; round < 3; round++) {
        *second = open_second(0);
        DO(cuCtxEnablePeerAccess(far->context, 0));
        DO(doubles(second, there, there));
        DO(cuCtxDestroy(second->context));
    }
    *second = open_second(0);
    return there;
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "allowed";
    DO(cuInit(0));
    struct side near = open_side(0), far = open_side(1);
    errors(&near, &far);
    everybodys(&near, &far);
    CUdeviceptr there = allocate(&far, 1), target = there;
    copies(&near, &far, there);
    if (strcmp(how, "allowed") == 0 || strcmp(how, "disabled") == 0)
        allowed(&near, &far, there);
    if (strcmp(how, "allowed") == 0)
        return 0;
    DO(cuCtxSetCurrent(near.context));
    if (strcmp(how, "disabled") == 0)
        DO(cuCtxDisablePeerAccess(far.context));
    if (strcmp(how, "mapped") == 0)
        target = mapped(&near, &far);
    if (strcmp(how, "pool") == 0)
        target = from_pool(&near, &far);
    struct side asks = near;
    if (strcmp(how, "contexts") == 0)
        target = of_one_context(&near, &far, there, &asks);
    if (strcmp(how, "destroyed") == 0)
        target = of_a_new_context(&far, there, &asks);
    EXPECT(doubles(&asks, target, target), CUDA_ERROR_ILLEGAL_ADDRESS);
    /* The other device's context has not failed. */
    DO(doubles(&far, there, there));
    return 0;
}

/* layout: cudaDeviceProp as each major version of CUDA lays it out, by the bytes that a program
 * reads: sizes and places are those of the public headers, and each value is the attribute's. What
 * would break it: a field that is added, missing or of another size; a call that writes further
 * than its struct, which is shorter for the first name of the call up to CUDA 12. */
#include <stddef.h>

#include "program.h"

#define ROOM 2048
#define GUARD 0xa5

struct field {
    const char *name;
    size_t offset;
    enum cudaDeviceAttr attribute;
};

/* Up to CUDA 12 the same; the second name of the call has more behind it. */
#define FIELDS_OF_12(X)                              \
    X(maxThreadsPerBlock, 320, MaxThreadsPerBlock)   \
    X(major, 360, ComputeCapabilityMajor)            \
    X(minor, 364, ComputeCapabilityMinor)            \
    X(multiProcessorCount, 388, MultiProcessorCount) \
    X(concurrentKernels, 576, ConcurrentKernels)     \
    X(managedMemory, 652, ManagedMemory)             \
    X(cooperativeLaunch, 688, CooperativeLaunch)
#define FIELDS_BEHIND(X)                                 \
    X(hostRegisterSupported, 728, HostRegisterSupported) \
    X(memoryPoolsSupported, 744, MemoryPoolsSupported)   \
    X(ipcEventSupported, 768, IpcEventSupport)           \
    X(clusterLaunch, 772, ClusterLaunch)
#define FIELDS_OF_13(X)                                  \
    X(maxThreadsPerBlock, 320, MaxThreadsPerBlock)       \
    X(major, 360, ComputeCapabilityMajor)                \
    X(minor, 364, ComputeCapabilityMinor)                \
    X(multiProcessorCount, 384, MultiProcessorCount)     \
    X(managedMemory, 636, ManagedMemory)                 \
    X(cooperativeLaunch, 668, CooperativeLaunch)         \
    X(hostRegisterSupported, 704, HostRegisterSupported) \
    X(memoryPoolsSupported, 720, MemoryPoolsSupported)   \
    X(ipcEventSupported, 744, IpcEventSupport)           \
    X(clusterLaunch, 748, ClusterLaunch)

#define X(name, offset, attribute) {#name, offset, cudaDevAttr##attribute},
static const struct field up_to_12[] __attribute__((unused)) = {FIELDS_OF_12(X)};
static const struct field behind[] __attribute__((unused)) = {FIELDS_BEHIND(X)};
static const struct field of_13[] __attribute__((unused)) = {FIELDS_OF_13(X)};
#undef X

static void check_fields(const unsigned char *bytes, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int told, wanted;
        memcpy(&told, bytes + fields[i].offset, sizeof(told));
        OK(cudaDeviceGetAttribute(&wanted, fields[i].attribute, 0));
        if (told != wanted)
            fprintf(stderr, "%s: %d, and not %d\n", fields[i].name, told, wanted);
        CHECK(told == wanted);
    }
}

/* Written up to its end, and no further. */
static void check_size(const unsigned char *bytes, size_t size)
{
    for (size_t i = size; i < ROOM; i++)
        CHECK(bytes[i] == GUARD);
    CHECK(strncmp((const char *)bytes, "weft soft ", 10) == 0);
    CHECK(bytes[size - 1] == 0);
}

#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

int main(void)
{
    static unsigned char bytes[ROOM];
    memset(bytes, GUARD, ROOM);
    OK(cudaGetDeviceProperties((struct cudaDeviceProp *)bytes, 0));
#if WEFT_CUDART_MAJOR >= 13
    check_size(bytes, 1008);
    check_fields(bytes, of_13, COUNT(of_13));
#else
    check_size(bytes, 728);
    check_fields(bytes, up_to_12, COUNT(up_to_12));
#endif
#if WEFT_CUDART_MAJOR == 12
    memset(bytes, GUARD, ROOM);
    OK(cudaGetDeviceProperties_v2((struct cudaDeviceProp_v2 *)bytes, 0));
    check_size(bytes, 1032);
    check_fields(bytes, up_to_12, COUNT(up_to_12));
    check_fields(bytes, behind, COUNT(behind));
#endif
    FAILS(cudaGetDeviceProperties((struct cudaDeviceProp *)bytes, 7), cudaErrorInvalidDevice);
    FAILS(cudaGetDeviceProperties(NULL, 0), cudaErrorInvalidValue);
    return 0;
}

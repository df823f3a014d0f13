/* The management library of the same four cards, in the other order: its card 0 is the driver's
 * card 3. */
#include <stddef.h>
#include <stdio.h>

#define EXPORTED __attribute__((visibility("default")))
#define CARDS 4

struct memory {
    unsigned long long total, free, used;
};

#define NVML(name, ...)             \
    EXPORTED int name(__VA_ARGS__); \
    int name(__VA_ARGS__)

NVML(nvmlInit_v2, void)
{
    return 0;
}

NVML(nvmlShutdown, void)
{
    return 0;
}

NVML(nvmlDeviceGetCount_v2, unsigned int *count)
{
    *count = CARDS;
    return 0;
}

NVML(nvmlDeviceGetHandleByIndex_v2, unsigned int index, size_t *device)
{
    *device = CARDS - 1 - index;
    return index < CARDS ? 0 : 2;
}

NVML(nvmlDeviceGetUUID, size_t device, char *uuid, unsigned int bytes)
{
    unsigned int byte = 0x10 + (unsigned int)device, word = byte * 0x0101;
    snprintf(uuid, bytes, "GPU-%04x%04x-%04x-%04x-%04x-%04x%04x%04x", word, word, word, word, word,
             word, word, word);
    return 0;
}

NVML(nvmlDeviceGetName, size_t device, char *name, unsigned int bytes)
{
    snprintf(name, bytes, "card %zu", device);
    return 0;
}

NVML(nvmlDeviceGetMemoryInfo, size_t device, struct memory *memory)
{
    (void)device;
    *memory = (struct memory){.total = 1ull << 30, .free = 1ull << 30};
    return 0;
}

NVML(nvmlDeviceGetCudaComputeCapability, size_t device, int *major, int *minor)
{
    (void)device;
    *major = 9;
    *minor = 0;
    return 0;
}

/* The few calls of NVIDIA's management library that weftd makes, answering for two made-up cards.
 */
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct memory {
    unsigned long long total, free, used;
};

static int cards[2] = {0, 1};

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT int nvmlDeviceGetCount_v2(unsigned int *count);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, int **device);
EXPORT int nvmlDeviceGetUUID(const int *device, char *text, unsigned int size);
EXPORT int nvmlDeviceGetName(const int *device, char *text, unsigned int size);
EXPORT int nvmlDeviceGetMemoryInfo(const int *device, struct memory *memory);
EXPORT int nvmlDeviceGetCudaComputeCapability(const int *device, int *major, int *minor);

int nvmlInit_v2(void)
{
    return 0;
}

int nvmlShutdown(void)
{
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
    *count = 2;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, int **device)
{
    if (index > 1)
        return 2;
    *device = &cards[index];
    return 0;
}

int nvmlDeviceGetUUID(const int *device, char *text, unsigned int size)
{
    snprintf(text, size, "GPU-00000000-0000-0000-0000-00000000000%d", *device + 1);
    return 0;
}

int nvmlDeviceGetName(const int *device, char *text, unsigned int size)
{
    snprintf(text, size, "Made-up card %d", *device);
    return 0;
}

int nvmlDeviceGetMemoryInfo(const int *device, struct memory *memory)
{
    *memory = (struct memory){.total = (8ull << 30) << *device};
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(const int *device, int *major, int *minor)
{
    *major = 8;
    *minor = *device;
    return 0;
}

/* The few calls of NVIDIA's management library that weftd makes, answering for two made-up cards.
 * What their memory is used for stands in the file that FAKE_NVML names, a line each:
 *   used CARD BYTES
 *   process CARD PID BYTES    BYTES -1: not available
 * With WITHOUT_LISTS the library knows of no processes, as one of another maker. */
#include <stdio.h>
#include <stdlib.h>
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
#ifdef OLD_LIST
struct process {
    unsigned int pid;
    unsigned long long bytes;
};
#define LIST nvmlDeviceGetComputeRunningProcesses
#else
struct process {
    unsigned int pid;
    unsigned long long bytes;
    unsigned int gpu_instance, compute_instance;
};
#define LIST nvmlDeviceGetComputeRunningProcesses_v3
#endif
EXPORT int LIST(const int *device, unsigned int *count, struct process *processes);

static FILE *open_state(void)
{
    const char *path = getenv("FAKE_NVML");
    return path ? fopen(path, "r") : NULL;
}

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
    FILE *state = open_state();
    char line[128];
    int card;
    unsigned long long used = 0, bytes;
    while (state && fgets(line, sizeof(line), state)) {
        if (sscanf(line, "used %d %llu", &card, &bytes) == 2 && card == *device)
            used = bytes;
    }
    if (state)
        fclose(state);
    unsigned long long total = (8ull << 30) << *device;
    *memory = (struct memory){.total = total, .used = used, .free = total - used};
    return 0;
}

#ifndef WITHOUT_LISTS
int LIST(const int *device, unsigned int *count, struct process *processes)
{
    FILE *state = open_state();
    char line[128];
    int card;
    unsigned int pid, most = *count;
    long long bytes;
    *count = 0;
    while (state && *count < most && fgets(line, sizeof(line), state)) {
        if (sscanf(line, "process %d %u %lld", &card, &pid, &bytes) == 3 && card == *device)
            processes[(*count)++] =
                (struct process){.pid = pid, .bytes = (unsigned long long)bytes};
    }
    if (state)
        fclose(state);
    return 0;
}
#endif

int nvmlDeviceGetCudaComputeCapability(const int *device, int *major, int *minor)
{
    *major = 8;
    *minor = *device;
    return 0;
}

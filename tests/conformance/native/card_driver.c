/* A driver of four cards without any hardware: enough of it that a program can allocate. Card N has
 * the UUID of sixteen bytes 0x10 + N. */
#include <stdio.h>
#include <string.h>

#include <weft/cuda_table.h>

#define EXPORTED __attribute__((visibility("default")))
#define CARDS 4
#define CARD_BYTES ((size_t)1 << 30)
#define FIRST_CONTEXT 0x100
#define FIRST_ADDRESS ((CUdeviceptr)0x700000000000)

static int initialised;
static size_t held[CARDS];
static size_t sizes[4096]; /* of allocation N, whose address is FIRST_ADDRESS + (N << 32) */
static size_t allocations;
static __thread CUcontext current;

/* Exactly what <weft/cuda.h> declares; the names are too many to repeat, and the table has their
 * types. */
#define DRIVER(name, ...)                \
    EXPORTED CUresult name(__VA_ARGS__); \
    CUresult name(__VA_ARGS__)

static int is_card(CUdevice device)
{
    return device >= 0 && device < CARDS;
}

static CUdevice card_of(CUcontext context)
{
    return (CUdevice)((size_t)context - FIRST_CONTEXT);
}

DRIVER(cuInit, unsigned int flags)
{
    initialised = flags == 0;
    return initialised ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

DRIVER(cuDriverGetVersion, int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

DRIVER(cuGetErrorName, CUresult result, const char **name)
{
    *name = result == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "another";
    return CUDA_SUCCESS;
}

DRIVER(cuDeviceGetCount, int *count)
{
    *count = CARDS;
    return initialised ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

DRIVER(cuDeviceGet, CUdevice *device, int ordinal)
{
    *device = ordinal;
    return is_card(ordinal) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

DRIVER(cuDeviceGetUuid_v2, CUuuid *uuid, CUdevice device)
{
    memset(uuid->bytes, 0x10 + device, sizeof(uuid->bytes));
    return is_card(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

DRIVER(cuDeviceGetName, char *name, int bytes, CUdevice device)
{
    snprintf(name, (size_t)bytes, "card %d", device);
    return is_card(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

DRIVER(cuDeviceTotalMem_v2, size_t *bytes, CUdevice device)
{
    *bytes = CARD_BYTES;
    return is_card(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

DRIVER(cuDevicePrimaryCtxRetain, CUcontext *context, CUdevice device)
{
    *context = (CUcontext)(FIRST_CONTEXT + (size_t)device);
    return is_card(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

DRIVER(cuDevicePrimaryCtxGetState, CUdevice device, unsigned int *flags, int *active)
{
    *flags = 0;
    *active = 1;
    return is_card(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

DRIVER(cuCtxSetCurrent, CUcontext context)
{
    current = context;
    return CUDA_SUCCESS;
}

DRIVER(cuCtxGetCurrent, CUcontext *context)
{
    *context = current;
    return CUDA_SUCCESS;
}

static __thread CUcontext below;

DRIVER(cuCtxPushCurrent_v2, CUcontext context)
{
    below = current;
    current = context;
    return CUDA_SUCCESS;
}

DRIVER(cuCtxPopCurrent_v2, CUcontext *context)
{
    *context = current;
    current = below;
    return CUDA_SUCCESS;
}

DRIVER(cuCtxGetDevice, CUdevice *device)
{
    *device = card_of(current);
    return current ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

DRIVER(cuMemAlloc_v2, CUdeviceptr *address, size_t bytes)
{
    CUdevice card = card_of(current);
    if (allocations == sizeof(sizes) / sizeof(sizes[0]) || held[card] + bytes > CARD_BYTES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    held[card] += bytes;
    sizes[allocations] = bytes;
    *address = FIRST_ADDRESS + ((CUdeviceptr)allocations++ << 32);
    return CUDA_SUCCESS;
}

DRIVER(cuMemFree_v2, CUdeviceptr address)
{
    held[card_of(current)] -= sizes[(address - FIRST_ADDRESS) >> 32];
    return CUDA_SUCCESS;
}

DRIVER(cuMemGetInfo_v2, size_t *free_bytes, size_t *total)
{
    *total = CARD_BYTES;
    *free_bytes = CARD_BYTES - held[card_of(current)];
    return CUDA_SUCCESS;
}

/* What the programs of these tests begin with: a context on device 0, and an end with a message
 * where a call fails. */
#ifndef WEFT_TEST_QUOTA_GPU_H
#define WEFT_TEST_QUOTA_GPU_H

#include <stdio.h>
#include <stdlib.h>

#include <weft/cuda.h>

#define CU(call)                                                                                 \
    do {                                                                                         \
        CUresult cu_result = (call);                                                             \
        if (cu_result != CUDA_SUCCESS) {                                                         \
            fprintf(stderr, "%s:%d: %s: error %d\n", __FILE__, __LINE__, #call, (int)cu_result); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

#define EXPECT(condition, ...)                                              \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            fprintf(stderr, __VA_ARGS__);                                   \
            fprintf(stderr, "\n");                                          \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

#define MIB ((size_t)1 << 20)

static inline void gpu_start(void)
{
    CUdevice device;
    CUcontext context;
    CU(cuInit(0));
    CU(cuDeviceGet(&device, 0));
    CU(cuDevicePrimaryCtxRetain(&context, device));
    CU(cuCtxSetCurrent(context));
}

/* Seven ways to device memory. */
enum kind { LINEAR, PITCHED, MANAGED, ASYNC, VMM, ARRAY, MIPMAPPED, KINDS };

struct piece {
    enum kind kind;
    CUdeviceptr address;
    CUarray array;
    CUmipmappedArray mipmap;
    size_t bytes; /* as asked for */
    size_t pitch, height;
};

#define VMM_GRANULE (2 * MIB)
#define PITCHED_WIDTH 1000
/* No array has more rows, so that large ones have wider rows. */
#define ARRAY_ROWS_MAX 32768
#define ARRAY_WIDTH_MAX 4096

static inline size_t round_to(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* The handle is released as soon as its memory is mapped: from then on only the mapping keeps it.
 */
static inline CUresult piece_create_mapped(struct piece *piece)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUmemGenericAllocationHandle handle;
    piece->bytes = round_to(piece->bytes, VMM_GRANULE);
    CUresult rc = cuMemCreate(&handle, piece->bytes, &prop, 0);
    if (rc)
        return rc;
    CU(cuMemAddressReserve(&piece->address, piece->bytes, 0, 0, 0));
    CU(cuMemMap(piece->address, piece->bytes, 0, handle, 0));
    CU(cuMemRelease(handle));
    return CUDA_SUCCESS;
}

/* A flat array of so many bytes, rounded up; a mipmap of it has one level. */
static inline CUresult piece_create_array(struct piece *piece)
{
    size_t width = piece->bytes > 512 * ARRAY_ROWS_MAX ? ARRAY_WIDTH_MAX : 512;
    piece->bytes = round_to(piece->bytes, width);
    CUDA_ARRAY3D_DESCRIPTOR shape = {.Width = width,
                                     .Height = piece->bytes / width,
                                     .Format = CU_AD_FORMAT_UNSIGNED_INT8,
                                     .NumChannels = 1};
    return piece->kind == ARRAY ? cuArray3DCreate(&piece->array, &shape)
                                : cuMipmappedArrayCreate(&piece->mipmap, &shape, 1);
}

/* Stream-ordered memory is taken and freed on `stream`. The result is the call's own. */
static inline CUresult piece_create(struct piece *piece, enum kind kind, size_t bytes,
                                    CUstream stream)
{
    *piece = (struct piece){.kind = kind, .bytes = bytes};
    switch (kind) {
    case LINEAR:
        return cuMemAlloc(&piece->address, bytes);
    case PITCHED:
        piece->height = bytes / PITCHED_WIDTH + 1;
        return cuMemAllocPitch(&piece->address, &piece->pitch, PITCHED_WIDTH, piece->height, 4);
    case MANAGED:
        return cuMemAllocManaged(&piece->address, bytes, CU_MEM_ATTACH_GLOBAL);
    case ASYNC:
        return cuMemAllocAsync(&piece->address, bytes, stream);
    case ARRAY:
    case MIPMAPPED:
        return piece_create_array(piece);
    default:
        return piece_create_mapped(piece);
    }
}

static inline void piece_destroy(struct piece *piece, CUstream stream)
{
    if (piece->kind == ASYNC) {
        CU(cuMemFreeAsync(piece->address, stream));
    } else if (piece->kind == VMM) {
        CU(cuMemUnmap(piece->address, piece->bytes));
        CU(cuMemAddressFree(piece->address, piece->bytes));
    } else if (piece->kind == ARRAY) {
        CU(cuArrayDestroy(piece->array));
    } else if (piece->kind == MIPMAPPED) {
        CU(cuMipmappedArrayDestroy(piece->mipmap));
    } else {
        CU(cuMemFree(piece->address));
    }
}

/* What the piece is charged by itself; nothing for stream-ordered memory, whose pool is charged. */
static inline size_t piece_charge(const struct piece *piece)
{
    switch (piece->kind) {
    case PITCHED:
        return round_to(piece->pitch * piece->height, 512);
    case ASYNC:
        return 0;
    case VMM:
        return round_to(piece->bytes, VMM_GRANULE);
    default:
        return round_to(piece->bytes, 512);
    }
}

#endif

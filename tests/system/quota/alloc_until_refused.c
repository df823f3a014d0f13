/* alloc_until_refused LIMIT: allocates in each of seven ways, and in all of them at once, until it
 * is refused. Under `weft run --memory LIMIT` the charge must be what the documentation says, to
 * the byte, at every step; the refusal must be error 2 and fair; and everything must be back after
 * free, synchronise and trim. */
#include <stdint.h>

#include "gpu.h"

#define PIECES_MAX 4096
/* A pool grows by chunks of at most this much, so it may be refused that much below the limit. */
#define POOL_CHUNK (2 * MIB)

static const char *const names[] = {
    "cuMemAlloc",  "cuMemAllocPitch", "cuMemAllocManaged",      "cuMemAllocAsync",
    "cuMemCreate", "cuArray3DCreate", "cuMipmappedArrayCreate", "all of them"};

static struct piece pieces[PIECES_MAX];
static size_t piece_count;
static size_t limit;
static CUstream stream;
static CUmemoryPool pool;

static size_t charged(void)
{
    size_t free, total;
    CU(cuMemGetInfo(&free, &total));
    EXPECT(total == limit, "total %zu, limit %zu", total, limit);
    EXPECT(free <= limit, "free %zu", free);
    return limit - free;
}

static size_t expected(void)
{
    cuuint64_t reserved;
    CU(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
    size_t sum = reserved;
    for (size_t i = 0; i < piece_count; i++)
        sum += piece_charge(&pieces[i]);
    return sum;
}

static void expect_charge(void)
{
    size_t sum = expected(), seen = charged();
    EXPECT(sum == seen, "pieces and pools make %zu, charged are %zu", sum, seen);
    EXPECT(seen <= limit, "charged %zu, limit %zu", seen, limit);
}

static CUresult take(enum kind kind, size_t bytes)
{
    EXPECT(piece_count < PIECES_MAX, "too many pieces");
    CUresult rc = piece_create(&pieces[piece_count], kind, bytes, stream);
    EXPECT(rc == CUDA_SUCCESS || rc == CUDA_ERROR_OUT_OF_MEMORY, "%s: error %d", names[kind],
           (int)rc);
    piece_count += rc == CUDA_SUCCESS;
    expect_charge();
    return rc;
}

/* Refused at `bytes`, the program must be so near to the limit that they would not have fitted. */
static void expect_fair(enum kind kind, size_t bytes)
{
    size_t left = limit - charged();
    size_t needed = kind == VMM                          ? round_to(bytes, VMM_GRANULE)
                    : kind == ASYNC                      ? bytes + POOL_CHUNK
                    : kind == ARRAY || kind == MIPMAPPED ? bytes + ARRAY_WIDTH_MAX
                                                         : bytes + 512;
    if (kind == PITCHED)
        needed = 2 * bytes + 512; /* the pitch is the device's to choose, below twice the width */
    EXPECT(left < needed, "%s of %zu bytes refused with %zu left", names[kind], bytes, left);
}

static void free_all(void)
{
    while (piece_count > 0)
        piece_destroy(&pieces[--piece_count], stream);
    CU(cuStreamSynchronize(stream));
    CU(cuMemPoolTrimTo(pool, 0));
    expect_charge();
    EXPECT(charged() == 0, "%zu bytes are not back", charged());
}

/* `kind` KINDS: the ways take turns. */
static void until_refused(enum kind kind, size_t bytes)
{
    CUresult rc = CUDA_SUCCESS;
    enum kind now = kind;
    while (rc == CUDA_SUCCESS) {
        now = kind == KINDS ? (enum kind)(piece_count % KINDS) : kind;
        rc = take(now, bytes);
    }
    expect_fair(now, bytes);
    printf("%-18s %4zu pieces of %8zu bytes, charged %10zu of %zu, then error %d\n", names[kind],
           piece_count, bytes, charged(), limit, (int)rc);
}

/* Ever smaller pieces, until not one more unit fits: the limit must be reached to the byte. */
static void fill(enum kind kind, size_t unit)
{
    for (size_t bytes = 8 * MIB; bytes >= unit; bytes /= 2) {
        while (take(kind, bytes) == CUDA_SUCCESS) {
        }
    }
    EXPECT(charged() == limit, "%s: %zu bytes of %zu are out of reach", names[kind],
           limit - charged(), limit);
    EXPECT(take(LINEAR, 1) == CUDA_ERROR_OUT_OF_MEMORY, "one byte past the limit was granted");
}

int main(int argc, char **argv)
{
    limit = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    gpu_start();
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CU(cuDeviceGetDefaultMemPool(&pool, 0));
    EXPECT(charged() == 0, "%zu bytes are charged before anything was allocated", charged());
    for (int kind = 0; kind <= KINDS; kind++) {
        until_refused((enum kind)kind, 5 * MIB + 12345);
        free_all();
        until_refused((enum kind)kind, limit / 3);
        free_all();
    }
    fill(LINEAR, 512);
    free_all();
    fill(MANAGED, 512);
    free_all();
    fill(VMM, VMM_GRANULE);
    free_all();
    CU(cuStreamDestroy(stream));
    return 0;
}

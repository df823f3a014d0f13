/* Prefetches and discards of many ranges of managed memory. Both sides see the same pages, so the
 * first is noted, and the second leaves the bytes as they are: what they are then CUDA leaves open.
 */
#include <weft/cuda_table.h>

#include "softgpu/memory/managed.h"

#define RANGES_MAX (1u << 20)

struct ranges {
    const CUdeviceptr *addresses;
    const size_t *sizes;
    size_t count;
    const CUmemLocation *locations; /* NULL: they are only discarded */
    const size_t *first_users;      /* the first range that each of the locations is for */
    size_t location_count;
    unsigned long long flags;
    CUstream stream;
    bool per_thread;
};

static bool locations_are_sound(const struct ranges *ranges)
{
    if (!ranges->locations || !ranges->first_users || ranges->location_count == 0 ||
        ranges->location_count > ranges->count || ranges->first_users[0] != 0)
        return false;
    for (size_t i = 1; i < ranges->location_count; i++) {
        if (ranges->first_users[i] <= ranges->first_users[i - 1])
            return false;
    }
    return ranges->first_users[ranges->location_count - 1] < ranges->count;
}

static CUresult go_through(const struct ranges *ranges, bool note)
{
    size_t used = 0;
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < ranges->count && result == CUDA_SUCCESS; i++) {
        if (used + 1 < ranges->location_count && ranges->first_users[used + 1] == i)
            used++;
        const CUmemLocation *location = ranges->locations ? &ranges->locations[used] : NULL;
        result = weft_soft_managed_prefetch(ranges->addresses[i], ranges->sizes[i], location, note);
    }
    return result;
}

static CUresult start(const struct ranges *ranges, bool prefetches)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_of_current(ranges->stream, ranges->per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    result = weft_soft_capture_refuse(stream);
    weft_soft_stream_put(stream);
    if (result != CUDA_SUCCESS)
        return result;
    bool legacy = ranges->stream == CU_STREAM_LEGACY || (!ranges->stream && !ranges->per_thread);
    if (legacy || ranges->flags != 0 || !ranges->addresses || !ranges->sizes ||
        ranges->count == 0 || ranges->count > RANGES_MAX ||
        (prefetches && !locations_are_sound(ranges)))
        return CUDA_ERROR_INVALID_VALUE;
    /* Nothing is done unless all of it is right. */
    result = go_through(ranges, false);
    return result == CUDA_SUCCESS ? go_through(ranges, true) : result;
}

#define LOCATIONS CUmemLocation *locations, size_t *first_users, size_t location_count
#define PREFETCH(thread)                                                                           \
    start(&(struct ranges){addresses, sizes, count, locations, first_users, location_count, flags, \
                           stream, thread},                                                        \
          true)
#define DISCARD(thread)                            \
    start(&(struct ranges){.addresses = addresses, \
                           .sizes = sizes,         \
                           .count = count,         \
                           .flags = flags,         \
                           .stream = stream,       \
                           .per_thread = thread},  \
          false)

/* To discard and to prefetch is the same as to prefetch. */
static CUresult prefetch_legacy(CUdeviceptr *addresses, size_t *sizes, size_t count, LOCATIONS,
                                unsigned long long flags, CUstream stream)
{
    return PREFETCH(false);
}

static CUresult prefetch_thread(CUdeviceptr *addresses, size_t *sizes, size_t count, LOCATIONS,
                                unsigned long long flags, CUstream stream)
{
    return PREFETCH(true);
}

static CUresult discard_legacy(CUdeviceptr *addresses, size_t *sizes, size_t count,
                               unsigned long long flags, CUstream stream)
{
    return DISCARD(false);
}

static CUresult discard_thread(CUdeviceptr *addresses, size_t *sizes, size_t count,
                               unsigned long long flags, CUstream stream)
{
    return DISCARD(true);
}

void weft_soft_managed_batch_install(struct weft_cuda *table)
{
    table->cuMemPrefetchBatchAsync = prefetch_legacy;
    table->cuMemPrefetchBatchAsync_ptsz = prefetch_thread;
    table->cuMemDiscardBatchAsync = discard_legacy;
    table->cuMemDiscardBatchAsync_ptsz = discard_thread;
    table->cuMemDiscardAndPrefetchBatchAsync = prefetch_legacy;
    table->cuMemDiscardAndPrefetchBatchAsync_ptsz = prefetch_thread;
}

/* Memory of graphs. An allocation node has its address from the day it is made: a piece of
 * addresses that the graph reserved. What lies behind it is taken from the device, and charged,
 * when the graph is first launched or uploaded; it stays until the piece's last holder is gone, and
 * then with the device for the next graph, until it is trimmed. */
#include "softgpu/memory/graph_memory.h"

#include <stdlib.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

#define SIZE_MAX_BYTES (1ull << 46)

static void lock(void)
{
    pthread_mutex_lock(&weft_soft.memory->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&weft_soft.memory->lock);
}

static struct weft_soft_graph_store *store_of(struct weft_soft_device *device)
{
    return &((struct weft_soft_arena *)device->memory)->graph_store;
}

static CUresult make_segment(struct weft_soft_device *device, uint64_t bytes,
                             struct weft_soft_graph_segment **out)
{
    struct weft_soft_graph_segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return CUDA_ERROR_OUT_OF_MEMORY;
    segment->device = device;
    segment->bytes = weft_round_up(bytes, WEFT_SOFT_GRANULE_BYTES);
    segment->references = 1;
    lock();
    bool taken = weft_soft_ranges_take(&weft_soft.memory->reservable, segment->bytes,
                                       WEFT_SOFT_GRANULE_BYTES, &segment->address);
    unlock();
    if (taken)
        *out = segment;
    else
        free(segment);
    return taken ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Physical memory that no graph uses stays with the device; where that cannot be noted it goes. */
static void keep_chunk(struct weft_soft_graph_segment *segment)
{
    struct weft_soft_graph_store *store = store_of(segment->device);
    struct weft_soft_graph_chunk *chunk = malloc(sizeof(*chunk));
    lock();
    store->used_bytes -= segment->bytes;
    if (chunk) {
        *chunk = (struct weft_soft_graph_chunk){store->chunks, segment->physical, segment->bytes};
        store->chunks = chunk;
    } else {
        store->reserved_bytes -= segment->bytes;
    }
    unlock();
    if (!chunk)
        weft_soft_arena_give_own(segment->device, segment->bytes, segment->bytes,
                                 segment->physical);
}

void weft_soft_graph_segment_put(struct weft_soft_graph_segment *segment)
{
    if (!segment)
        return;
    lock();
    bool last = --segment->references == 0;
    unlock();
    if (!last)
        return;
    if (segment->is_mapped) {
        weft_soft_window_unmap(&weft_soft.memory->window, segment->address, segment->bytes);
        keep_chunk(segment);
    }
    lock();
    weft_soft_reach_clear(segment->address, segment->bytes);
    weft_soft_ranges_give(&weft_soft.memory->reservable, segment->address, segment->bytes);
    unlock();
    free(segment);
}

/* A new piece behind those that the segment has already; memory lock not held. */
static struct weft_soft_graph_piece *make_piece(struct weft_soft_graph_segment *segment,
                                                uint64_t address, uint64_t extent, uint64_t bytes)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    struct weft_soft_graph_piece *piece = calloc(1, sizeof(*piece));
    if (!piece)
        return NULL;
    piece->segment = segment;
    piece->address = address;
    piece->extent = extent;
    piece->bytes = bytes;
    piece->references = 1;
    lock();
    segment->references++;
    piece->next = memory->graph_pieces;
    memory->graph_pieces = piece;
    unlock();
    return piece;
}

CUresult weft_soft_graph_piece_create(struct weft_soft_graph_segment **segment,
                                      struct weft_soft_device *device, uint64_t bytes,
                                      struct weft_soft_graph_piece **out)
{
    if (bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > SIZE_MAX_BYTES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t extent = weft_round_up(bytes, WEFT_SOFT_BLOCK_BYTES);
    struct weft_soft_graph_segment *from = *segment;
    if (!from || from->device != device || from->bytes - from->taken < extent) {
        CUresult result = make_segment(device, extent, &from);
        if (result)
            return result;
        weft_soft_graph_segment_put(*segment);
        *segment = from;
    }
    *out = make_piece(from, from->address + from->taken, extent, bytes);
    if (!*out)
        return CUDA_ERROR_OUT_OF_MEMORY;
    from->taken += extent;
    return CUDA_SUCCESS;
}

CUresult weft_soft_graph_piece_again(struct weft_soft_graph_piece *before, uint64_t bytes,
                                     struct weft_soft_graph_piece **out)
{
    if (bytes == 0 || bytes > before->extent)
        return CUDA_ERROR_INVALID_VALUE;
    *out = make_piece(before->segment, before->address, before->extent, bytes);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

struct weft_soft_graph_piece *weft_soft_graph_piece_get(struct weft_soft_graph_piece *piece)
{
    lock();
    piece->references++;
    unlock();
    return piece;
}

void weft_soft_graph_piece_put(struct weft_soft_graph_piece *piece)
{
    if (!piece)
        return;
    lock();
    bool last = --piece->references == 0;
    struct weft_soft_graph_piece **place = &weft_soft.memory->graph_pieces;
    while (last && *place != piece)
        place = &(*place)->next;
    if (last)
        *place = piece->next;
    unlock();
    if (!last)
        return;
    weft_soft_graph_segment_put(piece->segment);
    free(piece);
}

uint64_t weft_soft_graph_piece_address(const struct weft_soft_graph_piece *piece)
{
    return piece->address;
}

/* Memory lock held. */
static struct weft_soft_graph_piece *find_piece(uint64_t address)
{
    struct weft_soft_graph_piece *piece = weft_soft.memory->graph_pieces;
    while (piece && address - piece->address >= piece->bytes)
        piece = piece->next;
    return piece;
}

bool weft_soft_graph_memory_knows(uint64_t address)
{
    lock();
    const struct weft_soft_graph_piece *piece = find_piece(address);
    unlock();
    return piece && piece->address == address;
}

void *weft_soft_graph_memory_reach(uint64_t address, uint64_t bytes)
{
    lock();
    const struct weft_soft_graph_piece *piece = find_piece(address);
    bool inside = piece && bytes <= piece->bytes - (address - piece->address);
    unlock();
    return inside ? weft_soft_window_alias(&weft_soft.memory->window, address) : NULL;
}

/* A chunk that earlier graphs left, of that very size. */
static bool take_kept(struct weft_soft_graph_segment *segment)
{
    struct weft_soft_graph_store *store = store_of(segment->device);
    lock();
    struct weft_soft_graph_chunk **place = &store->chunks, *chunk;
    while (*place && (*place)->bytes != segment->bytes)
        place = &(*place)->next;
    chunk = *place;
    if (chunk) {
        *place = chunk->next;
        segment->physical = chunk->address;
    }
    unlock();
    free(chunk);
    return chunk != NULL;
}

static void count(struct weft_soft_graph_segment *segment, bool is_new)
{
    struct weft_soft_graph_store *store = store_of(segment->device);
    lock();
    segment->is_mapped = true;
    if (is_new)
        store->reserved_bytes += segment->bytes;
    store->used_bytes += segment->bytes;
    store->reserved_high_bytes = WEFT_MAX(store->reserved_high_bytes, store->reserved_bytes);
    store->used_high_bytes = WEFT_MAX(store->used_high_bytes, store->used_bytes);
    unlock();
}

CUresult weft_soft_graph_piece_back(struct weft_soft_graph_piece *piece)
{
    struct weft_soft_graph_segment *segment = piece->segment;
    struct weft_soft_device *device = segment->device;
    if (segment->is_mapped)
        return CUDA_SUCCESS;
    bool kept = take_kept(segment);
    if (!kept && weft_soft_arena_take_own(device, segment->bytes, segment->bytes,
                                          WEFT_SOFT_GRANULE_BYTES, &segment->physical))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (weft_soft_window_map(&weft_soft.memory->window, segment->address, segment->physical,
                             segment->bytes)) {
        count(segment, !kept);
        return CUDA_SUCCESS;
    }
    count(segment, !kept);
    segment->is_mapped = false;
    keep_chunk(segment);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static void set_live(const struct weft_soft_graph_piece *piece, bool live)
{
    const struct weft_soft_allocation like = {.kind = WEFT_SOFT_GRAPHED,
                                              .device = piece->segment->device};
    lock();
    if (live)
        weft_soft_reach_set(&like, piece->address, piece->bytes);
    else
        weft_soft_reach_clear(piece->address, piece->bytes);
    unlock();
}

bool weft_soft_graph_piece_is_allocated(const struct weft_soft_graph_piece *piece)
{
    lock();
    const struct weft_soft_allocation *allocation = weft_soft_allocation_find(piece->address);
    unlock();
    return allocation != NULL;
}

CUresult weft_soft_graph_piece_publish(struct weft_soft_graph_piece *piece,
                                       struct weft_soft_context *context)
{
    struct weft_soft_allocation *allocation = calloc(1, sizeof(*allocation));
    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    allocation->kind = WEFT_SOFT_GRAPHED;
    allocation->device = piece->segment->device;
    allocation->piece = weft_soft_graph_piece_get(piece);
    allocation->bytes = piece->bytes;
    allocation->extent = piece->extent;
    allocation->by_address.key = piece->address;
    weft_soft_allocation_publish(allocation, context);
    return CUDA_SUCCESS;
}

/* What a node does in its turn. It lets go of what it holds before the stream goes on, so that who
 * waited for the stream finds it gone. */
struct turn {
    struct weft_soft_graph_piece *piece;  /* referenced, or */
    struct weft_soft_allocation *claimed; /* owned */
    bool live;
};

static void turn_finish(struct turn *turn)
{
    weft_soft_graph_piece_put(weft_steal(turn->piece));
    if (turn->claimed)
        weft_soft_allocation_release(weft_steal(turn->claimed));
}

static CUresult turn_run(void *argument)
{
    struct turn *turn = argument;
    if (turn->piece)
        set_live(turn->piece, turn->live);
    turn_finish(turn);
    return CUDA_SUCCESS;
}

static void turn_release(void *argument)
{
    turn_finish(argument);
    free(argument);
}

static CUresult describe_turn(const struct turn *wanted, struct weft_soft_task *task)
{
    struct turn *turn = malloc(sizeof(*turn));
    if (!turn)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *turn = *wanted;
    *task = (struct weft_soft_task){.run = turn_run, .release = turn_release, .argument = turn};
    return CUDA_SUCCESS;
}

CUresult weft_soft_graph_piece_task(struct weft_soft_graph_piece *piece, bool live,
                                    struct weft_soft_task *task)
{
    CUresult result = describe_turn(&(struct turn){.piece = piece, .live = live}, task);
    if (result == CUDA_SUCCESS)
        weft_soft_graph_piece_get(piece);
    return result;
}

struct weft_soft_allocation *weft_soft_graph_memory_claim(uint64_t address)
{
    return weft_soft_allocation_claim(address, WEFT_SOFT_GRAPHED);
}

void weft_soft_graph_memory_restore(struct weft_soft_allocation *claimed,
                                    struct weft_soft_context *context)
{
    weft_soft_allocation_publish(claimed, context);
}

CUresult weft_soft_graph_memory_free_task(struct weft_soft_allocation *claimed,
                                          struct weft_soft_task *task)
{
    return describe_turn(&(struct turn){.claimed = claimed}, task);
}

void weft_soft_graph_memory_trim(struct weft_soft_device *device)
{
    struct weft_soft_graph_store *store = store_of(device);
    lock();
    struct weft_soft_graph_chunk *chunks = weft_steal(store->chunks);
    for (const struct weft_soft_graph_chunk *chunk = chunks; chunk; chunk = chunk->next)
        store->reserved_bytes -= chunk->bytes;
    unlock();
    while (chunks) {
        struct weft_soft_graph_chunk *chunk = chunks;
        chunks = chunk->next;
        weft_soft_arena_give_own(device, chunk->bytes, chunk->bytes, chunk->address);
        free(chunk);
    }
}

static CUresult trim(CUdevice ordinal)
{
    struct weft_soft_device *device;
    CUresult result = weft_soft_device_get(ordinal, &device);
    if (result == CUDA_SUCCESS)
        weft_soft_graph_memory_trim(device);
    return result;
}

/* The word that counts, and the one whose highest value it is, or NULL. Memory lock held. */
static uint64_t *attribute_word(struct weft_soft_graph_store *store, CUgraphMem_attribute attribute,
                                const uint64_t **now)
{
    *now = NULL;
    switch ((int)attribute) {
    case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
        return &store->used_bytes;
    case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
        *now = &store->used_bytes;
        return &store->used_high_bytes;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
        return &store->reserved_bytes;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
        *now = &store->reserved_bytes;
        return &store->reserved_high_bytes;
    }
    return NULL;
}

/* Only the highest values can be set, and only back to what is now. */
static CUresult access_attribute(CUdevice ordinal, CUgraphMem_attribute attribute, void *value,
                                 bool set)
{
    struct weft_soft_device *device;
    const uint64_t *now;
    CUresult result = weft_soft_device_get(ordinal, &device);
    if (result)
        return result;
    uint64_t *word = attribute_word(store_of(device), attribute, &now);
    if (!value || !word || (set && (!now || *(const cuuint64_t *)value != 0)))
        return CUDA_ERROR_INVALID_VALUE;
    lock();
    if (set)
        *word = *now;
    else
        *(cuuint64_t *)value = *word;
    unlock();
    return CUDA_SUCCESS;
}

static CUresult get_attribute(CUdevice device, CUgraphMem_attribute attribute, void *value)
{
    return access_attribute(device, attribute, value, false);
}

static CUresult set_attribute(CUdevice device, CUgraphMem_attribute attribute, void *value)
{
    return access_attribute(device, attribute, value, true);
}

void weft_soft_graph_memory_install(struct weft_cuda *table)
{
    table->cuDeviceGraphMemTrim = trim;
    table->cuDeviceGetGraphMemAttribute = get_attribute;
    table->cuDeviceSetGraphMemAttribute = set_attribute;
}

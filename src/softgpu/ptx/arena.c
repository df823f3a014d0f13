#include "softgpu/ptx/arena.h"

#include <stdlib.h>
#include <string.h>

#include "util/util.h"

#define CHUNK_BYTES_MIN ((size_t)64 << 10)
#define CHUNK_BYTES_MAX ((size_t)4 << 20)
#define ALIGNMENT 16

struct weft_ptx_chunk {
    struct weft_ptx_chunk *next;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct weft_ptx_chunk *chunk_create(size_t bytes)
{
    return calloc(1, sizeof(struct weft_ptx_chunk) + bytes);
}

/* A piece that is large for a chunk gets one of its own behind the
 * current one, which keeps its rest. */
static void *alloc_alone(struct weft_ptx_arena *arena, size_t bytes)
{
    struct weft_ptx_chunk *chunk = chunk_create(bytes);
    if (!chunk)
        return NULL;
    if (arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        arena->chunks = chunk;
        arena->used = arena->capacity = bytes;
    }
    return chunk->bytes;
}

void *weft_ptx_arena_alloc(struct weft_ptx_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = weft_round_up(bytes ? bytes : 1, ALIGNMENT);
    if (bytes > arena->capacity - arena->used) {
        size_t next = WEFT_MIN(WEFT_MAX(arena->capacity * 2, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
        if (bytes > next / 4)
            return alloc_alone(arena, bytes);
        struct weft_ptx_chunk *chunk = chunk_create(next);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->used = 0;
        arena->capacity = next;
    }
    void *piece = arena->chunks->bytes + arena->used;
    arena->used += bytes;
    return piece;
}

void *weft_ptx_arena_copy(struct weft_ptx_arena *arena, const void *data, size_t bytes)
{
    void *copy = weft_ptx_arena_alloc(arena, bytes);
    if (copy && bytes)
        memcpy(copy, data, bytes);
    return copy;
}

void weft_ptx_arena_finish(struct weft_ptx_arena *arena)
{
    struct weft_ptx_chunk *chunk = arena->chunks;
    while (chunk) {
        struct weft_ptx_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct weft_ptx_arena){0};
}

void *weft_ptx_vector_push(struct weft_ptx_vector *vector, size_t item_bytes, size_t count)
{
    if (count > vector->capacity - vector->count) {
        size_t capacity = WEFT_MAX(vector->capacity * 2, vector->count + count);
        if (capacity > SIZE_MAX / 2 / item_bytes)
            return NULL;
        void *items = realloc(vector->items, capacity * item_bytes);
        if (!items)
            return NULL;
        vector->items = items;
        vector->capacity = capacity;
    }
    unsigned char *item = (unsigned char *)vector->items + vector->count * item_bytes;
    memset(item, 0, count * item_bytes);
    vector->count += count;
    return item;
}

void weft_ptx_vector_finish(struct weft_ptx_vector *vector)
{
    free(vector->items);
    *vector = (struct weft_ptx_vector){0};
}

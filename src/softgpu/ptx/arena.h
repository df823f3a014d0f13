/* Memory that is handed out piece by piece and freed in one go, and the growable arrays that a
 * parse works with. */
#ifndef WEFT_SOFTGPU_PTX_ARENA_H
#define WEFT_SOFTGPU_PTX_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct weft_ptx_chunk;

/* A zeroed one is empty and valid. */
struct weft_ptx_arena {
    struct weft_ptx_chunk *chunks; /* owned; the first is the one that pieces come from */
    size_t used, capacity;         /* of the first chunk */
};

/* Zeroed memory, aligned to 16 bytes, or NULL when there is none. */
void *weft_ptx_arena_alloc(struct weft_ptx_arena *arena, size_t bytes);
/* `bytes` of data in the arena; with bytes 0 an address that must not be read. NULL when there is
 * no memory. */
void *weft_ptx_arena_copy(struct weft_ptx_arena *arena, const void *data, size_t bytes);
void weft_ptx_arena_finish(struct weft_ptx_arena *arena);

/* A zeroed one is empty and valid. Items move when it grows. */
struct weft_ptx_vector {
    void *items; /* owned */
    size_t count, capacity;
};

/* The address of `count` further zeroed items of `item_bytes` each, or
 * NULL when there is no memory. */
void *weft_ptx_vector_push(struct weft_ptx_vector *vector, size_t item_bytes, size_t count);
void weft_ptx_vector_finish(struct weft_ptx_vector *vector);

#endif

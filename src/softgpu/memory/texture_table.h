/* The descriptions of textures and surfaces that kernels find by a handle. A handle is a number
 * that names a place in the table and the place's generation; a place is used again, but never
 * unmapped, so a kernel that reads while the program destroys sees rubbish at worst.
 *
 * Look-up takes no lock. */
#ifndef WEFT_SOFTGPU_MEMORY_TEXTURE_TABLE_H
#define WEFT_SOFTGPU_MEMORY_TEXTURE_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "softgpu/exec/texture.h"

#define WEFT_SOFT_TEXTURES_MAX (1u << 20)
#define WEFT_SOFT_TEXTURE_CHUNK 256u

/* What the program gave, for who asks back. */
struct weft_soft_texture_source {
    CUcontext context;
    CUDA_RESOURCE_DESC resource;
    CUDA_TEXTURE_DESC texture;
    CUDA_RESOURCE_VIEW_DESC view;
    bool has_view;
};

struct weft_soft_texture_entry;

struct weft_soft_texture_table {
    pthread_mutex_t lock;
    /* Set once. */
    _Atomic(struct weft_soft_texture_entry *)
        chunks[WEFT_SOFT_TEXTURES_MAX / WEFT_SOFT_TEXTURE_CHUNK];
    uint32_t used;       /* lock; places handed out at least once */
    uint32_t first_free; /* lock; index + 1, 0: none */
};

/* Of a table whose lock is initialised. */
void weft_soft_texture_table_finish(struct weft_soft_texture_table *table);

/* A handle for the description; 0 where memory or places have run out. */
uint64_t weft_soft_texture_open(const struct weft_exec_texture *texture,
                                const struct weft_soft_texture_source *source);
/* Writes another description behind an open handle. Nothing runs that reads it. */
void weft_soft_texture_change(uint64_t handle, const struct weft_exec_texture *texture);
/* What an open handle was made from; false where it is none, or not of that kind. */
bool weft_soft_texture_source(uint64_t handle, bool is_surface,
                              struct weft_soft_texture_source *source);
/* False where the handle is not open, or not of that kind. */
bool weft_soft_texture_close(uint64_t handle, bool is_surface);
/* Ends all handles of a context. */
void weft_soft_texture_end_all(CUcontext context);
/* weft_exec_memory's `texture`. */
const struct weft_exec_texture *weft_soft_texture_look_up(uint64_t handle);

#endif

/* The managed variables of a library: one copy for all contexts and devices that have it. */
#include <stdlib.h>

#include "softgpu/engine/module.h"

struct weft_soft_managed {
    atomic_uint references; /* the library and its modules */
    pthread_mutex_t lock;   /* before the memory half's locks */
    uint32_t users;         /* lock; modules whose variables lie there */
    CUdeviceptr address;    /* lock; while there are users */
};

struct weft_soft_managed *weft_soft_managed_create(void)
{
    struct weft_soft_managed *managed = calloc(1, sizeof(*managed));
    if (!managed)
        return NULL;
    atomic_init(&managed->references, 1);
    pthread_mutex_init(&managed->lock, NULL);
    return managed;
}

void weft_soft_managed_put(struct weft_soft_managed *managed)
{
    if (!managed || atomic_fetch_sub(&managed->references, 1) != 1)
        return;
    pthread_mutex_destroy(&managed->lock);
    free(managed);
}

CUresult weft_soft_managed_use(struct weft_soft_managed *managed, struct weft_soft_context *context,
                               uint64_t bytes, CUdeviceptr *address, bool *first)
{
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&managed->lock);
    if (managed->users == 0)
        result = weft_soft_memory_allocate_common(context, bytes, &managed->address);
    if (result == CUDA_SUCCESS) {
        *address = managed->address;
        *first = managed->users++ == 0;
        atomic_fetch_add(&managed->references, 1);
    }
    pthread_mutex_unlock(&managed->lock);
    return result;
}

void weft_soft_managed_leave(struct weft_soft_managed *managed, struct weft_soft_context *context)
{
    pthread_mutex_lock(&managed->lock);
    if (--managed->users == 0)
        weft_soft_memory_free(context, managed->address);
    pthread_mutex_unlock(&managed->lock);
    weft_soft_managed_put(managed);
}

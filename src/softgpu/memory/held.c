#include "softgpu/memory/held.h"

#include <stdlib.h>

#include "softgpu/memory/memory.h"

void weft_soft_held_unlink(struct weft_soft_held *held)
{
    if (!held->holdings)
        return;
    if (held->next)
        held->next->previous = held->previous;
    if (held->previous)
        held->previous->next = held->next;
    else
        held->holdings->held = held->next;
    held->holdings = NULL;
}

static void release(void *object)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    weft_soft_held_unlink(object);
    pthread_mutex_unlock(&memory->lock);
    free(object);
}

/* Memory lock held. */
static void link_held(struct weft_soft_holdings *holdings, struct weft_soft_held *held)
{
    if (!holdings)
        return;
    held->holdings = holdings;
    held->previous = NULL;
    held->next = holdings->held;
    if (held->next)
        held->next->previous = held;
    holdings->held = held;
}

CUresult weft_soft_held_open(struct weft_soft_held *held, enum weft_soft_handle_type type,
                             struct weft_soft_context *context)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    uint64_t handle = weft_soft_handle_open(type, held, release);
    if (!handle)
        return CUDA_ERROR_OUT_OF_MEMORY;
    held->type = type;
    held->handle = handle;
    pthread_mutex_lock(&memory->lock);
    link_held(context->memory, held);
    pthread_mutex_unlock(&memory->lock);
    return CUDA_SUCCESS;
}

/* Takes the first out of the list; what is in the list is alive. */
static bool take_first(struct weft_soft_holdings *holdings, enum weft_soft_handle_type *type,
                       uint64_t *handle)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    struct weft_soft_held *held = holdings->held;
    if (held) {
        *type = held->type;
        *handle = held->handle;
        weft_soft_held_unlink(held);
    }
    pthread_mutex_unlock(&memory->lock);
    return held != NULL;
}

void weft_soft_held_close_all(struct weft_soft_holdings *holdings)
{
    enum weft_soft_handle_type type;
    uint64_t handle;
    while (take_first(holdings, &type, &handle))
        weft_soft_handle_close(type, handle);
}

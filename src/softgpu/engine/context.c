/* A context's life: what belongs to it, and what goes with it. */
#include <stdlib.h>

#include "softgpu/engine/capture.h"
#include "softgpu/engine/engine.h"
#include "softgpu/engine/injected.h"
#include "softgpu/engine/module.h"
#include "softgpu/engine/schedule.h"
#include "softgpu/exec/heap.h"
#include "softgpu/faults.h"

/* What contexts start with; the sizes are those of the field's drivers. */
static const struct {
    CUlimit limit;
    size_t value;
} limit_defaults[] = {
    {CU_LIMIT_STACK_SIZE, 1024},
    {CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 20},
    {CU_LIMIT_MALLOC_HEAP_SIZE, 8 << 20},
    {CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH, 2},
    {CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT, 2048},
    {CU_LIMIT_MAX_L2_FETCH_GRANULARITY, 64},
    {CU_LIMIT_PERSISTING_L2_CACHE_SIZE, 0},
};

static uint64_t number_of(const struct weft_soft_context *context)
{
    return (uint64_t)(uintptr_t)context->handle;
}

void weft_soft_context_retain(struct weft_soft_context *context)
{
    weft_soft_handle_retain(number_of(context));
}

void weft_soft_context_put(struct weft_soft_context *context)
{
    if (context)
        weft_soft_handle_put(number_of(context));
}

CUresult weft_soft_context_get(CUcontext handle, struct weft_soft_context **out)
{
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_CONTEXT, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult weft_soft_context_status(struct weft_soft_context *context)
{
    if (atomic_load(&context->destroyed)) /* whatever went wrong in it before */
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    int error = atomic_load(&context->error);
    if (error)
        return (CUresult)error;
    return weft_soft_injected_error(context);
}

CUresult weft_soft_child_adopt(struct weft_soft_context *context, struct weft_soft_child *child,
                               enum weft_soft_handle_type type, uint64_t handle)
{
    pthread_mutex_lock(&context->lock);
    bool destroyed = atomic_load(&context->destroyed);
    child->type = type;
    child->handle = handle;
    if (!destroyed)
        weft_soft_list_append(&weft_soft_engine_of(context)->children, &child->link);
    pthread_mutex_unlock(&context->lock);
    return destroyed ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_SUCCESS;
}

void weft_soft_child_leave(struct weft_soft_context *context, struct weft_soft_child *child)
{
    pthread_mutex_lock(&context->lock);
    if (weft_soft_link_is_listed(&child->link))
        weft_soft_list_remove(&child->link);
    pthread_mutex_unlock(&context->lock);
}

static void release_context(void *object)
{
    struct weft_soft_context *context = object;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    weft_soft_workspace_finish(engine);
    weft_exec_heap_destroy(engine->heap);
    pthread_mutex_destroy(&engine->heap_lock);
    pthread_cond_destroy(&engine->room);
    pthread_cond_destroy(&engine->idle);
    pthread_mutex_destroy(&context->lock);
    free(engine);
    free(context);
}

static struct weft_soft_context *allocate_context(void)
{
    struct weft_soft_context *context = calloc(1, sizeof(*context));
    struct weft_soft_context_engine *engine = calloc(1, sizeof(*engine));
    if (!context || !engine) {
        free(context);
        free(engine);
        return NULL;
    }
    context->engine = engine;
    pthread_mutex_init(&context->lock, NULL);
    pthread_mutex_init(&engine->heap_lock, NULL);
    pthread_cond_init(&engine->room, NULL);
    pthread_cond_init(&engine->idle, NULL);
    weft_soft_list_init(&engine->busy);
    weft_soft_list_init(&engine->children);
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(limit_defaults); i++)
        atomic_init(&engine->limits[limit_defaults[i].limit], limit_defaults[i].value);
    return context;
}

/* Destroying a context that is half made is destroying one that nobody has seen. */
static CUresult furnish_context(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    CUresult result = weft_soft_memory_context_create(context);
    if (result == CUDA_SUCCESS)
        result = weft_soft_stream_create(context, CU_STREAM_DEFAULT, 0, &engine->legacy);
    if (result == CUDA_SUCCESS)
        engine->legacy->legacy = true;
    if (result == CUDA_SUCCESS)
        result =
            weft_soft_stream_create(context, CU_STREAM_NON_BLOCKING, 0, &engine->whole_records);
    if (result == CUDA_SUCCESS)
        result = weft_soft_stream_create(context, CU_STREAM_NON_BLOCKING, 0, &engine->whole_waits);
    return result;
}

CUresult weft_soft_context_create(struct weft_soft_device *device, uint32_t flags, bool primary,
                                  struct weft_soft_context **out)
{
    if (__atomic_load_n(&device->place.page->state, __ATOMIC_ACQUIRE) != WEFT_SOFT_HEALTHY)
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    struct weft_soft_context *context = allocate_context();
    if (!context)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    context->device = device;
    context->flags = flags;
    context->primary = primary;
    weft_soft_injected_init(context);
    engine->id = weft_soft_scheduler_new_id();
    uint64_t handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_CONTEXT, context, release_context);
    if (!handle) {
        release_context(context);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    context->handle = (CUcontext)(uintptr_t)handle;
    CUresult result = furnish_context(context);
    if (result) {
        weft_soft_context_destroy(context);
        return result;
    }
    *out = context;
    return CUDA_SUCCESS;
}

/* From now on nothing of the context starts; returns when nothing of it runs. */
static void stop_work(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    weft_soft_scheduler_lock();
    weft_soft_context_drop_work(context);
    while (!weft_soft_list_is_empty(&engine->busy) || engine->dropped_count)
        weft_soft_scheduler_sleep(&engine->idle, 0);
    weft_soft_scheduler_unlock();
}

static void close_child(const struct weft_soft_child *child)
{
    if (child->type == WEFT_SOFT_HANDLE_MODULE)
        weft_soft_module_close(child->handle);
    else
        weft_soft_handle_close(child->type, child->handle);
}

static void close_children(struct weft_soft_context *context)
{
    struct weft_soft_link *children = &weft_soft_engine_of(context)->children;
    for (;;) {
        pthread_mutex_lock(&context->lock);
        struct weft_soft_link *link = children->next;
        bool empty = link == children;
        struct weft_soft_child child = {0};
        if (!empty) {
            child = *WEFT_CONTAINER_OF(link, struct weft_soft_child, link);
            weft_soft_list_remove(link);
        }
        pthread_mutex_unlock(&context->lock);
        if (empty)
            return;
        close_child(&child);
    }
}

CUresult weft_soft_context_destroy(struct weft_soft_context *context)
{
    weft_soft_context_retain(context);
    bool first = weft_soft_handle_close(WEFT_SOFT_HANDLE_CONTEXT, number_of(context));
    if (first) {
        pthread_mutex_lock(&context->lock);
        atomic_store(&context->destroyed, true);
        pthread_mutex_unlock(&context->lock);
        stop_work(context);
        weft_soft_capture_forget_context(context);
        close_children(context);
        weft_soft_memory_context_destroy(context);
    }
    weft_soft_context_put(context);
    return first ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

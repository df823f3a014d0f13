/* The heap of a context's kernels: made when the first kernel that allocates is launched, as large
 * as the limit says then, and freed with the context's memory. */
#include "softgpu/exec/heap.h"
#include "softgpu/engine/engine.h"
#include "softgpu/engine/schedule.h"

/* Under engine.heap_lock, so that of two launches one makes it. */
static CUresult make(struct weft_soft_context *context)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    uint64_t bytes = atomic_load(&engine->limits[CU_LIMIT_MALLOC_HEAP_SIZE]);
    CUdeviceptr base = 0;
    CUresult result = bytes ? weft_soft_memory_allocate(context, bytes, &base) : CUDA_SUCCESS;
    if (result)
        return result;
    if (weft_exec_heap_create(&engine->heap, base, bytes, NULL) == 0)
        return CUDA_SUCCESS;
    if (base)
        weft_soft_memory_free(context, base);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult weft_soft_heap_get(struct weft_soft_context *context, struct weft_exec_heap **out)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    pthread_mutex_lock(&engine->heap_lock);
    CUresult result = engine->heap ? CUDA_SUCCESS : make(context);
    *out = engine->heap;
    pthread_mutex_unlock(&engine->heap_lock);
    return result;
}

CUresult weft_soft_heap_set_limit(struct weft_soft_context *context, size_t bytes)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&engine->heap_lock);
    atomic_size_t *limit = &engine->limits[CU_LIMIT_MALLOC_HEAP_SIZE];
    if (engine->heap && bytes != atomic_load(limit))
        result = CUDA_ERROR_INVALID_VALUE;
    else
        atomic_store(limit, bytes);
    pthread_mutex_unlock(&engine->heap_lock);
    return result;
}

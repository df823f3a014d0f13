/* A context's settings: limits and preferences. */
#include "softgpu/engine/engine.h"

#define STACK_BYTES_STEP 16
#define SYNC_DEPTH_MAX 24
#define L2_FETCH_BYTES_MAX 128

/* As CUDA states it: devices of 9.0 wait for no child kernels, those before 8.0 keep nothing in the
 * cache. */
static bool limit_exists(const struct weft_soft_profile *profile, CUlimit limit)
{
    if (limit == CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH)
        return profile->cc_major < 9;
    if (limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE)
        return profile->cc_major >= 8;
    return (unsigned int)limit <= CU_LIMIT_PERSISTING_L2_CACHE_SIZE;
}

static CUresult get_limit(size_t *out, CUlimit limit)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    if (!limit_exists(context->device->profile, limit))
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    *out = atomic_load(&weft_soft_engine_of(context)->limits[limit]);
    return CUDA_SUCCESS;
}

/* A stack is local memory, of which there must be enough for all threads that fit. */
static CUresult set_stack(struct weft_soft_context *context, size_t bytes)
{
    const struct weft_soft_profile *profile = context->device->profile;
    uint64_t threads = (uint64_t)profile->sm_count * profile->max_threads_per_sm;
    if (bytes > WEFT_SOFT_LOCAL_BYTES_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > profile->memory_bytes / threads)
        return CUDA_ERROR_OUT_OF_MEMORY;
    atomic_store(&weft_soft_engine_of(context)->limits[CU_LIMIT_STACK_SIZE],
                 weft_round_up(bytes, STACK_BYTES_STEP));
    return CUDA_SUCCESS;
}

/* What kernels print is written as they print it, so that no size of the buffer loses any of it;
 * but once one has been launched the size stands, as CUDA has it. */
static CUresult set_print_buffer(struct weft_soft_context *context, size_t bytes)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    atomic_size_t *limit = &engine->limits[CU_LIMIT_PRINTF_FIFO_SIZE];
    if (atomic_load(&engine->has_printed) && bytes != atomic_load(limit))
        return CUDA_ERROR_INVALID_VALUE;
    atomic_store(limit, bytes);
    return CUDA_SUCCESS;
}

static CUresult set_limit(CUlimit limit, size_t value)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    if (!limit_exists(context->device->profile, limit))
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    switch ((int)limit) {
    case CU_LIMIT_STACK_SIZE:
        return set_stack(context, value);
    case CU_LIMIT_MALLOC_HEAP_SIZE:
        return weft_soft_heap_set_limit(context, value);
    case CU_LIMIT_PRINTF_FIFO_SIZE:
        return set_print_buffer(context, value);
    case CU_LIMIT_PERSISTING_L2_CACHE_SIZE:
        value = 0; /* no part of the cache can be set aside, and asking for some is a hint */
        break;
    }
    if ((limit == CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH && value > SYNC_DEPTH_MAX) ||
        (limit == CU_LIMIT_MAX_L2_FETCH_GRANULARITY && value > L2_FETCH_BYTES_MAX))
        return CUDA_ERROR_INVALID_VALUE;
    atomic_store(&weft_soft_engine_of(context)->limits[limit], value);
    return CUDA_SUCCESS;
}

static CUresult get_cache_config(CUfunc_cache *out)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    *out = (CUfunc_cache)atomic_load(&weft_soft_engine_of(context)->cache_config);
    return CUDA_SUCCESS;
}

static CUresult set_cache_config(CUfunc_cache config)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    if ((unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    atomic_store(&weft_soft_engine_of(context)->cache_config, (unsigned int)config);
    return CUDA_SUCCESS;
}

static CUresult get_shared_config(CUsharedconfig *out)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    *out = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    return CUDA_SUCCESS;
}

/* The banks are four bytes wide, as on all devices of today: the wish is heard without effect. */
static CUresult set_shared_config(CUsharedconfig config)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    return (unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE
               ? CUDA_ERROR_INVALID_VALUE
               : CUDA_SUCCESS;
}

static CUresult reset_persisting_l2(void)
{
    struct weft_soft_context *context;
    return weft_soft_context_current(&context);
}

void weft_soft_limit_install(struct weft_cuda *table)
{
    table->cuCtxGetLimit = get_limit;
    table->cuCtxSetLimit = set_limit;
    table->cuCtxGetCacheConfig = get_cache_config;
    table->cuCtxSetCacheConfig = set_cache_config;
    table->cuCtxGetSharedMemConfig = get_shared_config;
    table->cuCtxSetSharedMemConfig = set_shared_config;
    table->cuCtxResetPersistingL2Cache = reset_persisting_l2;
}

/* A context's settings: limits and preferences. */
#include "softgpu/engine/engine.h"

/* A thread's stack may be as large as its window. */
#define STACK_BYTES_MAX ((size_t)WEFT_EXEC_LOCAL_WINDOW_BYTES)
#define STACK_BYTES_STEP 16
#define SYNC_DEPTH_MAX 24
#define L2_FETCH_BYTES_MAX 128

static bool limit_exists(CUlimit limit)
{
    return (unsigned int)limit <= CU_LIMIT_PERSISTING_L2_CACHE_SIZE;
}

static CUresult get_limit(size_t *out, CUlimit limit)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_ask(out, &context);
    if (result)
        return result;
    if (!limit_exists(limit))
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    *out = atomic_load(&weft_soft_engine_of(context)->limits[limit]);
    return CUDA_SUCCESS;
}

static CUresult set_limit(CUlimit limit, size_t value)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result)
        return result;
    if (!limit_exists(limit))
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    if ((limit == CU_LIMIT_STACK_SIZE && value > STACK_BYTES_MAX) ||
        (limit == CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH && value > SYNC_DEPTH_MAX) ||
        (limit == CU_LIMIT_MAX_L2_FETCH_GRANULARITY && value > L2_FETCH_BYTES_MAX))
        return CUDA_ERROR_INVALID_VALUE;
    if (limit == CU_LIMIT_MALLOC_HEAP_SIZE)
        return weft_soft_heap_set_limit(context, value);
    if (limit == CU_LIMIT_STACK_SIZE)
        value = weft_round_up(value, STACK_BYTES_STEP);
    if (limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE)
        value = 0; /* no part of the cache can be set aside, and asking for some is a hint */
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

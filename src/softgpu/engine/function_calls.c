/* What a program can ask and set of a function, and how many of its blocks fit. */
#include "softgpu/engine/module.h"

/* The new reference is put with weft_soft_function_put. */
static CUresult enter(CUfunction handle, struct weft_soft_function **out)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    return result ? result : weft_soft_function_get(handle, context, out);
}

/* The same for a call whose answer goes to `out`. */
static CUresult ask(const void *out, CUfunction handle, struct weft_soft_function **function)
{
    CUresult result = enter(handle, function);
    if (result || out)
        return result;
    weft_soft_function_put(*function);
    return CUDA_ERROR_INVALID_VALUE;
}

static const struct weft_soft_profile *profile_of(const struct weft_soft_function *function)
{
    return function->module->context->device->profile;
}

static const struct weft_ptx_function *ptx_of(const struct weft_soft_function *function)
{
    return &function->module->image->ptx->functions[function->index];
}

static uint32_t max_threads(const struct weft_soft_function *function)
{
    return WEFT_MIN(function->info.max_threads_per_block,
                    profile_of(function)->max_threads_per_block);
}

CUresult weft_soft_function_attribute(struct weft_soft_function *function,
                                      CUfunction_attribute attribute, int *out)
{
    const struct weft_soft_profile *profile = profile_of(function);
    const struct weft_ptx_module *ptx = function->module->image->ptx;
    switch ((int)attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *out = (int)max_threads(function);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *out = (int)function->info.static_shared_bytes;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
        *out = (int)function->info.const_bytes;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *out = (int)function->info.local_bytes;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *out = (int)function->info.registers;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
        *out = (int)ptx->target_sm;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *out = (int)(profile->cc_major * 10 + profile->cc_minor);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *out = (int)atomic_load(&function->dynamic_shared_max);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        *out = atomic_load(&function->carveout);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
        *out = 0;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        *out = weft_soft_function_cluster_attribute(function, attribute);
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult set_dynamic_shared(struct weft_soft_function *function, int value)
{
    uint64_t most = profile_of(function)->shared_bytes_per_block_optin;
    if (value < 0 || (uint64_t)value + function->info.static_shared_bytes > most)
        return CUDA_ERROR_INVALID_VALUE;
    atomic_store(&function->dynamic_shared_max, (unsigned int)value);
    return CUDA_SUCCESS;
}

CUresult weft_soft_function_set_attribute(struct weft_soft_function *function,
                                          CUfunction_attribute attribute, int value)
{
    switch ((int)attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        return set_dynamic_shared(function, value);
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        if (value < -1 || value > 100)
            return CUDA_ERROR_INVALID_VALUE;
        atomic_store(&function->carveout, value);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        return weft_soft_function_set_cluster_attribute(function, attribute, value);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult weft_soft_param_info(const struct weft_ptx_function *function, size_t index,
                              size_t *offset, size_t *bytes)
{
    if (!offset || index >= function->parameter_count)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = function->parameters[index].offset;
    if (bytes)
        *bytes = function->parameters[index].bytes;
    return CUDA_SUCCESS;
}

static CUresult get_attribute(int *out, CUfunction_attribute attribute, CUfunction handle)
{
    struct weft_soft_function *function;
    CUresult result = ask(out, handle, &function);
    if (result)
        return result;
    result = weft_soft_function_attribute(function, attribute, out);
    weft_soft_function_put(function);
    return result;
}

static CUresult set_attribute(CUfunction handle, CUfunction_attribute attribute, int value)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    result = weft_soft_function_set_attribute(function, attribute, value);
    weft_soft_function_put(function);
    return result;
}

static CUresult set_cache_config(CUfunction handle, CUfunc_cache config)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    bool known = (unsigned int)config <= CU_FUNC_CACHE_PREFER_EQUAL;
    if (known)
        atomic_store(&function->cache_config, (unsigned int)config);
    weft_soft_function_put(function);
    return known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult set_shared_config(CUfunction handle, CUsharedconfig config)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    weft_soft_function_put(function);
    return (unsigned int)config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_module(CUmodule *out, CUfunction handle)
{
    struct weft_soft_function *function;
    CUresult result = ask(out, handle, &function);
    if (result)
        return result;
    *out = (CUmodule)(uintptr_t)function->module->handle;
    weft_soft_function_put(function);
    return CUDA_SUCCESS;
}

static CUresult get_name(const char **out, CUfunction handle)
{
    struct weft_soft_function *function;
    CUresult result = ask(out, handle, &function);
    if (result)
        return result;
    *out = ptx_of(function)->name;
    weft_soft_function_put(function);
    return CUDA_SUCCESS;
}

static CUresult get_param_info(CUfunction handle, size_t index, size_t *offset, size_t *bytes)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    result = weft_soft_param_info(ptx_of(function), index, offset, bytes);
    weft_soft_function_put(function);
    return result;
}

static CUresult is_loaded(CUfunctionLoadingState *out, CUfunction handle)
{
    struct weft_soft_function *function;
    CUresult result = ask(out, handle, &function);
    if (result)
        return result;
    *out = CU_FUNCTION_LOADING_STATE_LOADED;
    weft_soft_function_put(function);
    return CUDA_SUCCESS;
}

static CUresult load(CUfunction handle)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result == CUDA_SUCCESS)
        weft_soft_function_put(function);
    return result;
}

static CUresult max_active_flags(int *out, CUfunction handle, int threads, size_t shared_bytes,
                                 unsigned int flags)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    bool valid = out && threads > 0 && flags <= CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE;
    if (valid && (uint32_t)threads > max_threads(function))
        *out = 0;
    else if (valid)
        *out = (int)weft_soft_occupancy(profile_of(function), &function->info, (uint32_t)threads,
                                        shared_bytes);
    weft_soft_function_put(function);
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult max_active(int *out, CUfunction handle, int threads, size_t shared_bytes)
{
    return max_active_flags(out, handle, threads, shared_bytes, CU_OCCUPANCY_DEFAULT);
}

/* The block size that keeps most threads on an SM; of equal ones the largest. */
static void find_block_size(const struct weft_soft_function *function, uint32_t most,
                            CUoccupancyB2DSize shared_of, size_t shared_bytes, int *grid,
                            int *block)
{
    const struct weft_soft_profile *profile = profile_of(function);
    uint32_t best = 0;
    *grid = *block = 0;
    for (uint32_t threads = weft_round_up(most, profile->warp_lanes); threads > 0;
         threads -= profile->warp_lanes) {
        uint32_t size = WEFT_MIN(threads, most);
        size_t shared = shared_of ? shared_of((int)size) : shared_bytes;
        uint32_t blocks = weft_soft_occupancy(profile, &function->info, size, shared);
        if (blocks * size <= best)
            continue;
        best = blocks * size;
        *grid = (int)(blocks * function->module->context->device->sm_count);
        *block = (int)size;
    }
}

static CUresult max_potential_flags(int *grid, int *block, CUfunction handle,
                                    CUoccupancyB2DSize shared_of, size_t shared_bytes, int limit,
                                    unsigned int flags)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    bool valid = grid && block && limit >= 0 && flags <= CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE;
    if (valid) {
        uint32_t most = max_threads(function);
        if (limit)
            most = WEFT_MIN(most, (uint32_t)limit);
        find_block_size(function, most, shared_of, shared_bytes, grid, block);
    }
    weft_soft_function_put(function);
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult max_potential(int *grid, int *block, CUfunction handle,
                              CUoccupancyB2DSize shared_of, size_t shared_bytes, int limit)
{
    return max_potential_flags(grid, block, handle, shared_of, shared_bytes, limit,
                               CU_OCCUPANCY_DEFAULT);
}

static CUresult available_shared(size_t *out, CUfunction handle, int blocks, int threads)
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    const struct weft_soft_profile *profile = profile_of(function);
    bool valid = out && blocks > 0 && threads > 0 && (uint32_t)threads <= max_threads(function);
    if (valid) {
        uint32_t fixed =
            function->info.static_shared_bytes + profile->shared_bytes_reserved_per_block;
        uint32_t each = profile->shared_bytes_per_sm / (uint32_t)blocks;
        uint32_t left = each > fixed ? each - fixed : 0;
        *out = WEFT_MIN(left, profile->shared_bytes_per_block_optin);
    }
    weft_soft_function_put(function);
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* A reference belongs to its module, where every kernel sees it: there is nothing to bind. */
static CUresult param_set_texture_reference(CUfunction handle, int unit, CUtexref reference)
{
    struct weft_soft_context *context;
    struct weft_soft_function *function;
    CUresult result = weft_soft_context_current(&context);
    if (result == CUDA_SUCCESS)
        result = weft_soft_function_get(handle, context, &function);
    if (result)
        return result;
    weft_soft_function_put(function);
    if (unit != CU_PARAM_TR_DEFAULT)
        return CUDA_ERROR_INVALID_VALUE;
    return weft_soft_memory_check_reference(reference);
}

static CUresult ask_clusters(int *out, CUfunction handle, const CUlaunchConfig *config,
                             CUresult (*question)(const struct weft_soft_function *function,
                                                  const CUlaunchConfig *config, int *out))
{
    struct weft_soft_function *function;
    CUresult result = enter(handle, &function);
    if (result)
        return result;
    result = out && config ? question(function, config, out) : CUDA_ERROR_INVALID_VALUE;
    weft_soft_function_put(function);
    return result;
}

static CUresult max_cluster(int *out, CUfunction handle, const CUlaunchConfig *config)
{
    return ask_clusters(out, handle, config, weft_soft_function_max_cluster);
}

static CUresult active_clusters(int *out, CUfunction handle, const CUlaunchConfig *config)
{
    return ask_clusters(out, handle, config, weft_soft_function_active_clusters);
}

void weft_soft_function_install(struct weft_cuda *table)
{
    table->cuParamSetTexRef = param_set_texture_reference;
    table->cuOccupancyMaxPotentialClusterSize = max_cluster;
    table->cuOccupancyMaxActiveClusters = active_clusters;
    table->cuFuncGetAttribute = get_attribute;
    table->cuFuncSetAttribute = set_attribute;
    table->cuFuncSetCacheConfig = set_cache_config;
    table->cuFuncSetSharedMemConfig = set_shared_config;
    table->cuFuncGetModule = get_module;
    table->cuFuncGetName = get_name;
    table->cuFuncGetParamInfo = get_param_info;
    table->cuFuncIsLoaded = is_loaded;
    table->cuFuncLoad = load;
    table->cuOccupancyMaxActiveBlocksPerMultiprocessor = max_active;
    table->cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags = max_active_flags;
    table->cuOccupancyMaxPotentialBlockSize = max_potential;
    table->cuOccupancyMaxPotentialBlockSizeWithFlags = max_potential_flags;
    table->cuOccupancyAvailableDynamicSMemPerBlock = available_shared;
}

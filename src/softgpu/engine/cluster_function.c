/* What a function says of clusters of blocks. */
#include <string.h>

#include "softgpu/engine/module.h"

/* The most blocks of a cluster, and of one whose kernel allows sizes that not every device has. */
#define PORTABLE_CLUSTER 8
#define LARGE_CLUSTER 16

static const struct weft_soft_profile *profile_of(const struct weft_soft_function *function)
{
    return function->module->context->device->profile;
}

void weft_soft_function_cluster(const struct weft_soft_function *function, uint32_t size[3])
{
    const uint32_t *required = function->info.required_cluster;
    for (int i = 0; i < 3; i++)
        size[i] = required[0] ? required[i] : atomic_load(&function->cluster[i]);
    bool stated = size[0] || size[1] || size[2];
    for (int i = 0; i < 3 && stated; i++)
        size[i] = WEFT_MAX(size[i], 1u);
}

uint32_t weft_soft_function_cluster_most(const struct weft_soft_function *function)
{
    uint32_t most = atomic_load(&function->large_clusters) ? LARGE_CLUSTER : PORTABLE_CLUSTER;
    uint32_t stated = function->info.max_cluster_rank;
    return stated ? WEFT_MIN(most, stated) : most;
}

int weft_soft_function_cluster_attribute(const struct weft_soft_function *function,
                                         CUfunction_attribute attribute)
{
    uint32_t size[3];
    weft_soft_function_cluster(function, size);
    switch ((int)attribute) {
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
        return function->info.explicit_cluster && size[0] == 0;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
        return atomic_load(&function->large_clusters);
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        return atomic_load(&function->cluster_policy);
    default:
        return (int)size[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH];
    }
}

CUresult weft_soft_function_set_cluster_attribute(struct weft_soft_function *function,
                                                  CUfunction_attribute attribute, int value)
{
    if (profile_of(function)->cc_major < 9)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (value < 0)
        return CUDA_ERROR_INVALID_VALUE;
    switch ((int)attribute) {
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
        atomic_store(&function->large_clusters, value != 0);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
        if (value > CU_CLUSTER_SCHEDULING_POLICY_LOAD_BALANCING)
            return CUDA_ERROR_INVALID_VALUE;
        atomic_store(&function->cluster_policy, value);
        return CUDA_SUCCESS;
    default: /* a kernel that states its cluster keeps it */
        if (function->info.required_cluster[0])
            return CUDA_ERROR_INVALID_VALUE;
        atomic_store(&function->cluster[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH],
                     (unsigned int)value);
        return CUDA_SUCCESS;
    }
}

/* Blocks of the configuration that the device holds at once; 0 where it is no valid launch. */
static uint32_t blocks_at_once(const struct weft_soft_function *function,
                               const CUlaunchConfig *config)
{
    const struct weft_soft_profile *profile = profile_of(function);
    uint64_t threads = (uint64_t)config->blockDimX * config->blockDimY * config->blockDimZ;
    if (threads == 0 || threads > function->info.max_threads_per_block || profile->cc_major < 9)
        return 0;
    return function->module->context->device->sm_count *
           weft_soft_occupancy(profile, &function->info, (uint32_t)threads, config->sharedMemBytes);
}

/* The cluster that the configuration states; false where it states none. */
static bool stated_cluster(const CUlaunchConfig *config, uint32_t size[3])
{
    bool stated = false;
    for (unsigned int i = 0; config->attrs && i < config->numAttrs; i++) {
        if (config->attrs[i].id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
            continue;
        size[0] = config->attrs[i].value.clusterDim.x;
        size[1] = config->attrs[i].value.clusterDim.y;
        size[2] = config->attrs[i].value.clusterDim.z;
        stated = true;
    }
    return stated;
}

/* Enough of the product to see whether it is too large. */
static uint64_t blocks_of(const uint32_t size[3])
{
    uint64_t blocks = 1;
    for (int i = 0; i < 3 && blocks <= LARGE_CLUSTER; i++)
        blocks *= size[i];
    return blocks;
}

/* Blocks of the cluster of a launch; 0 where function and configuration state none, or an empty or
 * another one. */
static uint64_t cluster_of(const struct weft_soft_function *function, const CUlaunchConfig *config)
{
    uint32_t own[3], asked[3];
    weft_soft_function_cluster(function, own);
    bool stated = stated_cluster(config, asked);
    if (!stated || own[0] == 0)
        return blocks_of(stated ? asked : own);
    return memcmp(own, asked, sizeof(own)) == 0 ? blocks_of(own) : 0;
}

CUresult weft_soft_function_max_cluster(const struct weft_soft_function *function,
                                        const CUlaunchConfig *config, int *out)
{
    uint32_t own[3], most = weft_soft_function_cluster_most(function);
    uint32_t room = blocks_at_once(function, config);
    weft_soft_function_cluster(function, own);
    if (own[0]) /* it is launched with no other; where even that is too much, with none */
        *out = (int)(blocks_of(own) <= room ? blocks_of(own) : 0);
    else
        *out = (int)WEFT_MIN(room, most);
    return CUDA_SUCCESS;
}

CUresult weft_soft_function_active_clusters(const struct weft_soft_function *function,
                                            const CUlaunchConfig *config, int *out)
{
    uint64_t blocks = cluster_of(function, config);
    if (blocks == 0 || blocks > weft_soft_function_cluster_most(function))
        return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    *out = (int)(blocks_at_once(function, config) / blocks);
    return CUDA_SUCCESS;
}

/* Attributes of kernel nodes. Two change how the kernel runs, whether it is cooperative and its
 * cluster; the others are kept for who asks. */
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/graph.h"

#define BIT(attribute) (1u << (attribute))
#define KNOWN                                                                               \
    (BIT(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW) | BIT(CU_LAUNCH_ATTRIBUTE_COOPERATIVE) | \
     BIT(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) |                                           \
     BIT(CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE) |                        \
     BIT(CU_LAUNCH_ATTRIBUTE_PRIORITY) | BIT(CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP) |     \
     BIT(CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN) |                                             \
     BIT(CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION) |                                 \
     BIT(CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE) |                                \
     BIT(CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT))

static bool is_known(CUkernelNodeAttrID attribute)
{
    return (unsigned int)attribute < WEFT_SOFT_KERNEL_ATTRIBUTES && (KNOWN & BIT(attribute));
}

/* A cluster is taken where a launch of the node as it is would take it. */
static CUresult take_cluster(struct weft_soft_graph_work *work, const CUkernelNodeAttrValue *value)
{
    struct weft_soft_packed_launch kernel = work->kernel;
    struct weft_soft_context *context = NULL;
    struct weft_soft_function *function;
    kernel.cluster[0] = value->clusterDim.x;
    kernel.cluster[1] = value->clusterDim.y;
    kernel.cluster[2] = value->clusterDim.z;
    if (!kernel.cluster[0] || !kernel.cluster[1] || !kernel.cluster[2])
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = weft_soft_context_get(work->params.kernel.ctx, &context);
    if (result)
        return result;
    result = weft_soft_function_get(kernel.function, context, &function);
    if (result == CUDA_SUCCESS) {
        bool known = context->device->profile->cc_major >= 9 ||
                     (kernel.cluster[0] == 1 && kernel.cluster[1] == 1 && kernel.cluster[2] == 1);
        result = known ? weft_soft_launch_check(&kernel, function) : CUDA_ERROR_NOT_SUPPORTED;
        weft_soft_function_put(function);
    }
    weft_soft_context_put(context);
    if (result == CUDA_SUCCESS)
        memcpy(work->kernel.cluster, kernel.cluster, sizeof(kernel.cluster));
    return result;
}

static CUresult check(struct weft_soft_graph_work *work, CUkernelNodeAttrID attribute,
                      const CUkernelNodeAttrValue *value)
{
    switch ((int)attribute) {
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        return take_cluster(work, value);
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
        return value->deviceUpdatableKernelNode.deviceUpdatable ? CUDA_ERROR_NOT_SUPPORTED
                                                                : CUDA_SUCCESS;
    default:
        return CUDA_SUCCESS;
    }
}

CUresult weft_soft_graph_attribute_set(struct weft_soft_graph_work *work,
                                       CUkernelNodeAttrID attribute,
                                       const CUkernelNodeAttrValue *value)
{
    CUresult result = check(work, attribute, value);
    if (result)
        return result;
    if (!work->attributes)
        work->attributes = calloc(WEFT_SOFT_KERNEL_ATTRIBUTES, sizeof(*work->attributes));
    if (!work->attributes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    work->attributes[attribute] = *value;
    if (attribute == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
        work->kernel.cooperative = value->cooperative != 0;
    return CUDA_SUCCESS;
}

CUresult weft_soft_graph_attributes_take(struct weft_soft_graph_work *work,
                                         const CUlaunchAttribute *attributes, unsigned int count)
{
    CUresult result = CUDA_SUCCESS;
    for (unsigned int i = 0; i < count && result == CUDA_SUCCESS; i++) {
        if (is_known(attributes[i].id))
            result = weft_soft_graph_attribute_set(work, attributes[i].id, &attributes[i].value);
    }
    return result;
}

CUresult weft_soft_graph_attributes_copy(struct weft_soft_graph_work *work,
                                         const struct weft_soft_graph_work *from)
{
    size_t bytes = WEFT_SOFT_KERNEL_ATTRIBUTES * sizeof(*work->attributes);
    CUkernelNodeAttrValue *copy = from->attributes ? malloc(bytes) : NULL;
    if (from->attributes && !copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (copy)
        memcpy(copy, from->attributes, bytes);
    free(work->attributes);
    work->attributes = copy;
    work->kernel.cooperative = from->kernel.cooperative;
    memcpy(work->kernel.cluster, from->kernel.cluster, sizeof(work->kernel.cluster));
    return CUDA_SUCCESS;
}

static struct weft_soft_graph_node *kernel_node(CUgraphNode handle)
{
    struct weft_soft_graph_node *node = weft_soft_graph_node_by_handle(handle);
    return node && node->work.params.type == CU_GRAPH_NODE_TYPE_KERNEL ? node : NULL;
}

static CUresult get(CUgraphNode handle, CUkernelNodeAttrID attribute, CUkernelNodeAttrValue *out)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    const struct weft_soft_graph_node *node = kernel_node(handle);
    if (!node || !out || !is_known(attribute))
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    memset(out, 0, sizeof(*out));
    if (node->work.attributes)
        *out = node->work.attributes[attribute];
    return weft_soft_graph_leave(CUDA_SUCCESS);
}

static CUresult set(CUgraphNode handle, CUkernelNodeAttrID attribute,
                    const CUkernelNodeAttrValue *value)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph_node *node = kernel_node(handle);
    if (!node || !value || !is_known(attribute))
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    return weft_soft_graph_leave(weft_soft_graph_attribute_set(&node->work, attribute, value));
}

static CUresult copy(CUgraphNode to, CUgraphNode from)
{
    CUresult result = weft_soft_graph_enter();
    if (result)
        return result;
    struct weft_soft_graph_node *target = kernel_node(to), *source = kernel_node(from);
    if (!target || !source)
        return weft_soft_graph_leave(CUDA_ERROR_INVALID_VALUE);
    if (target != source)
        result = weft_soft_graph_attributes_copy(&target->work, &source->work);
    return weft_soft_graph_leave(result);
}

void weft_soft_graph_attribute_install(struct weft_cuda *table)
{
    table->cuGraphKernelNodeGetAttribute = get;
    table->cuGraphKernelNodeSetAttribute = set;
    table->cuGraphKernelNodeCopyAttributes = copy;
}

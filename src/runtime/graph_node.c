/* Nodes of any kind by one call. What differs between the two descriptions is turned over; the
 * rest has one layout. */
#include <string.h>

#include "runtime/copy_shape.h"
#include "runtime/graph.h"

_Static_assert(sizeof(struct cudaGraphNodeParams) == sizeof(CUgraphNodeParams) &&
                   offsetof(struct cudaGraphNodeParams, kernel) ==
                       offsetof(CUgraphNodeParams, kernel),
               "a node's description is handed on as it is but for kernels and copies");

static cudaError_t kernel_node(const struct cudaGraphNodeParams *params, CUgraphNodeParams *out)
{
    struct cudaKernelNodeParams plain;
    CUDA_KERNEL_NODE_PARAMS same;
    memcpy(&plain, &params->kernel, sizeof(plain));
    cudaError_t result = weft_cudart_graph_kernel(&plain, &same);
    if (result)
        return result;
    memset(&out->kernel, 0, sizeof(out->kernel));
    memcpy(&out->kernel, &same, sizeof(same)); /* which it begins with */
    return cudaSuccess;
}

static cudaError_t copy_node(const struct cudaGraphNodeParams *params, CUgraphNodeParams *out)
{
    memset(&out->memcpy, 0, sizeof(out->memcpy));
    cudaError_t result =
        weft_cudart_error(weft_cudart_driver()->cuCtxGetCurrent(&out->memcpy.copyCtx));
    return result ? result
                  : weft_cudart_copy_shape(&params->memcpy.copyParams, &out->memcpy.copyParams);
}

static cudaError_t describe(const struct cudaGraphNodeParams *params, CUgraphNodeParams *out)
{
    if (!params)
        return cudaErrorInvalidValue;
    memcpy(out, params, sizeof(*out));
    switch (params->type) {
    case cudaGraphNodeTypeKernel:
        return kernel_node(params, out);
    case cudaGraphNodeTypeMemcpy:
        return copy_node(params, out);
    case cudaGraphNodeTypeMemset:
        return weft_cudart_error(weft_cudart_driver()->cuCtxGetCurrent(&out->memset.ctx));
    default:
        return cudaSuccess;
    }
}

/* CUDA 12 had edges in a second form only. */
#if WEFT_CUDART_MAJOR >= 12
static cudaError_t add_node(cudaGraphNode_t *out, cudaGraph_t graph,
                            const cudaGraphNode_t *dependencies, const cudaGraphEdgeData *edges,
                            size_t count, struct cudaGraphNodeParams *params)
{
    CUgraphNodeParams same;
    cudaError_t result = describe(params, &same);
    if (!result)
        result = weft_cudart_error(weft_cudart_driver()->cuGraphAddNode_v2(
            out, graph, dependencies, (const CUgraphEdgeData *)edges, count, &same));
    if (!result && params->type == cudaGraphNodeTypeMemAlloc)
        params->alloc.dptr = (void *)(uintptr_t)same.alloc.dptr;
    return result;
}

#endif

#if WEFT_CUDART_MAJOR >= 13
cudaError_t weft_cudart_cudaGraphAddNode(cudaGraphNode_t *out, cudaGraph_t graph,
                                         const cudaGraphNode_t *dependencies,
                                         const cudaGraphEdgeData *edges, size_t count,
                                         struct cudaGraphNodeParams *params)
{
    return add_node(out, graph, dependencies, edges, count, params);
}
#elif WEFT_CUDART_MAJOR == 12
cudaError_t weft_cudart_cudaGraphAddNode(cudaGraphNode_t *out, cudaGraph_t graph,
                                         const cudaGraphNode_t *dependencies, size_t count,
                                         struct cudaGraphNodeParams *params)
{
    return add_node(out, graph, dependencies, NULL, count, params);
}

cudaError_t weft_cudart_cudaGraphAddNode_v2(cudaGraphNode_t *out, cudaGraph_t graph,
                                            const cudaGraphNode_t *dependencies,
                                            const cudaGraphEdgeData *edges, size_t count,
                                            struct cudaGraphNodeParams *params)
{
    return add_node(out, graph, dependencies, edges, count, params);
}
#endif

cudaError_t weft_cudart_cudaGraphNodeSetParams(cudaGraphNode_t node,
                                               struct cudaGraphNodeParams *params)
{
    CUgraphNodeParams same;
    cudaError_t result = describe(params, &same);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuGraphNodeSetParams(node, &same));
}

cudaError_t weft_cudart_cudaGraphExecNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                   struct cudaGraphNodeParams *params)
{
    CUgraphNodeParams same;
    cudaError_t result = describe(params, &same);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuGraphExecNodeSetParams(exec, node, &same));
}

/* Nodes of graphs whose description differs between the two APIs: kernels, copies and sets. */
#include "runtime/graph.h"

#include <string.h>

#include "runtime/copy_shape.h"

_Static_assert(sizeof(struct cudaMemsetParams) == sizeof(CUDA_MEMSET_NODE_PARAMS),
               "sets are handed on as they are");

static cudaError_t current(CUcontext *out)
{
    return weft_cudart_error(weft_cudart_driver()->cuCtxGetCurrent(out));
}

cudaError_t weft_cudart_graph_kernel(const struct cudaKernelNodeParams *params,
                                     CUDA_KERNEL_NODE_PARAMS *out)
{
    CUfunction function;
    if (!params)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_cudaGetFuncBySymbol(&function, params->func);
    if (result == cudaSuccess)
        *out = (CUDA_KERNEL_NODE_PARAMS){.func = function,
                                         .gridDimX = params->gridDim.x,
                                         .gridDimY = params->gridDim.y,
                                         .gridDimZ = params->gridDim.z,
                                         .blockDimX = params->blockDim.x,
                                         .blockDimY = params->blockDim.y,
                                         .blockDimZ = params->blockDim.z,
                                         .sharedMemBytes = params->sharedMemBytes,
                                         .kernelParams = params->kernelParams,
                                         .extra = params->extra};
    return result;
}

cudaError_t weft_cudart_cudaGraphAddKernelNode(cudaGraphNode_t *out, cudaGraph_t graph,
                                               const cudaGraphNode_t *dependencies, size_t count,
                                               const struct cudaKernelNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS same;
    cudaError_t result = weft_cudart_graph_kernel(params, &same);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuGraphAddKernelNode_v2(
                        out, graph, dependencies, count, &same));
}

cudaError_t weft_cudart_cudaGraphKernelNodeSetParams(cudaGraphNode_t node,
                                                     const struct cudaKernelNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS same;
    cudaError_t result = weft_cudart_graph_kernel(params, &same);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuGraphKernelNodeSetParams_v2(node, &same));
}

cudaError_t weft_cudart_cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         const struct cudaKernelNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS same;
    cudaError_t result = weft_cudart_graph_kernel(params, &same);
    return result ? result
                  : weft_cudart_error(
                        weft_cudart_driver()->cuGraphExecKernelNodeSetParams_v2(exec, node, &same));
}

/* The function comes back as the driver's handle, which stands for the stub wherever one may. */
cudaError_t weft_cudart_cudaGraphKernelNodeGetParams(cudaGraphNode_t node,
                                                     struct cudaKernelNodeParams *out)
{
    CUDA_KERNEL_NODE_PARAMS same;
    if (!out)
        return cudaErrorInvalidValue;
    CUresult result = weft_cudart_driver()->cuGraphKernelNodeGetParams_v2(node, &same);
    if (result == CUDA_SUCCESS)
        *out = (struct cudaKernelNodeParams){
            .func = same.func ? (void *)same.func : (void *)same.kern,
            .gridDim = {same.gridDimX, same.gridDimY, same.gridDimZ},
            .blockDim = {same.blockDimX, same.blockDimY, same.blockDimZ},
            .sharedMemBytes = same.sharedMemBytes,
            .kernelParams = same.kernelParams,
            .extra = same.extra};
    return weft_cudart_error(result);
}

/* A copy of `count` bytes as a box. */
static struct cudaMemcpy3DParms run_of_bytes(void *to, const void *from, size_t count,
                                             enum cudaMemcpyKind kind)
{
    return (struct cudaMemcpy3DParms){.srcPtr = {(void *)(uintptr_t)from, count, count, 1},
                                      .dstPtr = {to, count, count, 1},
                                      .extent = {count, 1, 1},
                                      .kind = kind};
}

cudaError_t weft_cudart_cudaGraphAddMemcpyNode(cudaGraphNode_t *out, cudaGraph_t graph,
                                               const cudaGraphNode_t *dependencies, size_t count,
                                               const struct cudaMemcpy3DParms *params)
{
    CUDA_MEMCPY3D copy;
    CUcontext context;
    if (!params)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_copy_shape(params, &copy);
    if (!result)
        result = current(&context);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuGraphAddMemcpyNode(
                        out, graph, dependencies, count, &copy, context));
}

cudaError_t weft_cudart_cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node,
                                                     const struct cudaMemcpy3DParms *params)
{
    CUDA_MEMCPY3D copy;
    if (!params)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_copy_shape(params, &copy);
    return result
               ? result
               : weft_cudart_error(weft_cudart_driver()->cuGraphMemcpyNodeSetParams(node, &copy));
}

cudaError_t weft_cudart_cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         const struct cudaMemcpy3DParms *params)
{
    CUDA_MEMCPY3D copy;
    CUcontext context;
    if (!params)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_copy_shape(params, &copy);
    if (!result)
        result = current(&context);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuGraphExecMemcpyNodeSetParams(
                        exec, node, &copy, context));
}

cudaError_t weft_cudart_cudaGraphMemcpyNodeGetParams(cudaGraphNode_t node,
                                                     struct cudaMemcpy3DParms *out)
{
    CUDA_MEMCPY3D copy;
    if (!out)
        return cudaErrorInvalidValue;
    CUresult result = weft_cudart_driver()->cuGraphMemcpyNodeGetParams(node, &copy);
    return result ? weft_cudart_error(result) : weft_cudart_copy_back(&copy, out);
}

cudaError_t weft_cudart_cudaGraphAddMemcpyNode1D(cudaGraphNode_t *out, cudaGraph_t graph,
                                                 const cudaGraphNode_t *dependencies, size_t count,
                                                 void *to, const void *from, size_t bytes,
                                                 enum cudaMemcpyKind kind)
{
    struct cudaMemcpy3DParms box = run_of_bytes(to, from, bytes, kind);
    return weft_cudart_cudaGraphAddMemcpyNode(out, graph, dependencies, count, &box);
}

cudaError_t weft_cudart_cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void *to,
                                                       const void *from, size_t bytes,
                                                       enum cudaMemcpyKind kind)
{
    struct cudaMemcpy3DParms box = run_of_bytes(to, from, bytes, kind);
    return weft_cudart_cudaGraphMemcpyNodeSetParams(node, &box);
}

cudaError_t weft_cudart_cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec,
                                                           cudaGraphNode_t node, void *to,
                                                           const void *from, size_t bytes,
                                                           enum cudaMemcpyKind kind)
{
    struct cudaMemcpy3DParms box = run_of_bytes(to, from, bytes, kind);
    return weft_cudart_cudaGraphExecMemcpyNodeSetParams(exec, node, &box);
}

cudaError_t weft_cudart_cudaGraphAddMemcpyNodeToSymbol(cudaGraphNode_t *out, cudaGraph_t graph,
                                                       const cudaGraphNode_t *dependencies,
                                                       size_t count, const void *symbol,
                                                       const void *from, size_t bytes,
                                                       size_t offset, enum cudaMemcpyKind kind)
{
    void *to;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, bytes, &to);
    return result ? result
                  : weft_cudart_cudaGraphAddMemcpyNode1D(out, graph, dependencies, count, to, from,
                                                         bytes, kind);
}

cudaError_t weft_cudart_cudaGraphAddMemcpyNodeFromSymbol(cudaGraphNode_t *out, cudaGraph_t graph,
                                                         const cudaGraphNode_t *dependencies,
                                                         size_t count, void *to, const void *symbol,
                                                         size_t bytes, size_t offset,
                                                         enum cudaMemcpyKind kind)
{
    void *from;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, bytes, &from);
    return result ? result
                  : weft_cudart_cudaGraphAddMemcpyNode1D(out, graph, dependencies, count, to, from,
                                                         bytes, kind);
}

cudaError_t weft_cudart_cudaGraphMemcpyNodeSetParamsToSymbol(cudaGraphNode_t node,
                                                             const void *symbol, const void *from,
                                                             size_t bytes, size_t offset,
                                                             enum cudaMemcpyKind kind)
{
    void *to;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, bytes, &to);
    return result ? result
                  : weft_cudart_cudaGraphMemcpyNodeSetParams1D(node, to, from, bytes, kind);
}

cudaError_t weft_cudart_cudaGraphMemcpyNodeSetParamsFromSymbol(cudaGraphNode_t node, void *to,
                                                               const void *symbol, size_t bytes,
                                                               size_t offset,
                                                               enum cudaMemcpyKind kind)
{
    void *from;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, bytes, &from);
    return result ? result
                  : weft_cudart_cudaGraphMemcpyNodeSetParams1D(node, to, from, bytes, kind);
}

cudaError_t weft_cudart_cudaGraphExecMemcpyNodeSetParamsToSymbol(
    cudaGraphExec_t exec, cudaGraphNode_t node, const void *symbol, const void *from, size_t bytes,
    size_t offset, enum cudaMemcpyKind kind)
{
    void *to;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, bytes, &to);
    return result
               ? result
               : weft_cudart_cudaGraphExecMemcpyNodeSetParams1D(exec, node, to, from, bytes, kind);
}

cudaError_t weft_cudart_cudaGraphExecMemcpyNodeSetParamsFromSymbol(cudaGraphExec_t exec,
                                                                   cudaGraphNode_t node, void *to,
                                                                   const void *symbol, size_t bytes,
                                                                   size_t offset,
                                                                   enum cudaMemcpyKind kind)
{
    void *from;
    cudaError_t result = weft_cudart_symbol_range(symbol, offset, bytes, &from);
    return result
               ? result
               : weft_cudart_cudaGraphExecMemcpyNodeSetParams1D(exec, node, to, from, bytes, kind);
}

cudaError_t weft_cudart_cudaGraphAddMemsetNode(cudaGraphNode_t *out, cudaGraph_t graph,
                                               const cudaGraphNode_t *dependencies, size_t count,
                                               const struct cudaMemsetParams *params)
{
    CUcontext context;
    cudaError_t result = current(&context);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuGraphAddMemsetNode(
                        out, graph, dependencies, count, (const CUDA_MEMSET_NODE_PARAMS *)params,
                        context));
}

cudaError_t weft_cudart_cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         const struct cudaMemsetParams *params)
{
    CUcontext context;
    cudaError_t result = current(&context);
    return result ? result
                  : weft_cudart_error(weft_cudart_driver()->cuGraphExecMemsetNodeSetParams(
                        exec, node, (const CUDA_MEMSET_NODE_PARAMS *)params, context));
}

#if WEFT_CUDART_MAJOR <= 11
cudaError_t weft_cudart_cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                             cudaGraphNode_t *error_node, char *log,
                                             size_t log_bytes)
{
    if (error_node)
        *error_node = NULL;
    if (log && log_bytes)
        log[0] = '\0';
    return weft_cudart_error(weft_cudart_driver()->cuGraphInstantiateWithFlags(out, graph, 0));
}
#endif

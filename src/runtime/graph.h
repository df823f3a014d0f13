/* Descriptions of graph nodes, as the driver has them. */
#ifndef WEFT_RUNTIME_GRAPH_H
#define WEFT_RUNTIME_GRAPH_H

#include "runtime/runtime.h"

/* InvalidValue, InvalidDeviceFunction. */
cudaError_t weft_cudart_graph_kernel(const struct cudaKernelNodeParams *params,
                                     CUDA_KERNEL_NODE_PARAMS *out);

#endif

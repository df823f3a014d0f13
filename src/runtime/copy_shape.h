/* Copies of boxes, between memory and arrays, as the driver describes them. */
#ifndef WEFT_RUNTIME_COPY_SHAPE_H
#define WEFT_RUNTIME_COPY_SHAPE_H

#include "runtime/runtime.h"

/* InvalidValue, InvalidMemcpyDirection, InvalidPitchValue. */
cudaError_t weft_cudart_copy_shape(const struct cudaMemcpy3DParms *parameters, CUDA_MEMCPY3D *out);
/* The other way round. InvalidResourceHandle for an array that is gone. */
cudaError_t weft_cudart_copy_back(const CUDA_MEMCPY3D *copy, struct cudaMemcpy3DParms *out);

#endif

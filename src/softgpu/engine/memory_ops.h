/* A stream's operations on words of memory: it writes one, or waits until one has a value. */
#ifndef WEFT_SOFTGPU_ENGINE_MEMORY_OPS_H
#define WEFT_SOFTGPU_ENGINE_MEMORY_OPS_H

#include "softgpu/engine/engine.h"

/* As many as cuStreamBatchMemOp takes at once. */
#define WEFT_SOFT_MEMORY_OPS_MAX 256

/* INVALID_VALUE for operations that cuStreamBatchMemOp_v2 refuses: unknown, with unknown flags, on
 * a word that is not aligned, managed, or not memory that kernels reach, none or too many. Writes
 * without a barrier are for the first version of the calls alone. */
CUresult weft_soft_memory_ops_check(const CUstreamBatchMemOpParams *ops, unsigned int count,
                                    unsigned int flags, bool first_version);
/* One after the other in stream order; a wait holds back what comes after it in the stream, and
 * nothing else. They must have been checked, and are copied. */
CUresult weft_soft_memory_ops_submit(struct weft_soft_stream *stream,
                                     const CUstreamBatchMemOpParams *ops, unsigned int count);

#endif

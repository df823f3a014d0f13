/* Launches whose parameters are packed already, the way the kernel lays them out: what graphs keep.
 */
#ifndef WEFT_SOFTGPU_ENGINE_LAUNCH_H
#define WEFT_SOFTGPU_ENGINE_LAUNCH_H

#include "softgpu/engine/module.h"

struct weft_soft_packed_launch {
    CUfunction function; /* or a CUkernel */
    unsigned int grid[3], block[3];
    unsigned int cluster[3]; /* zeros: as the kernel says, or none */
    unsigned int shared_bytes;
    bool cooperative;
    void *params;       /* whoever holds the launch owns them */
    size_t param_bytes; /* as the kernel declares them */
};

/* Packs parameters given as an array or as an extra list into `target`, of function->info
 * .param_bytes. INVALID_VALUE. */
CUresult weft_soft_launch_pack(const struct weft_soft_function *function, void **params,
                               void **extra, unsigned char *target);
/* Whether the function can be launched in this shape; the error of the launch otherwise. A cluster
 * that has to be stated may still come. */
CUresult weft_soft_launch_check(const struct weft_soft_packed_launch *packed,
                                const struct weft_soft_function *function);
/* Like cuLaunchKernel into `stream`. */
CUresult weft_soft_launch_packed(struct weft_soft_stream *stream,
                                 const struct weft_soft_packed_launch *packed);

/* Like cuLaunchCooperativeKernel. */
CUresult weft_soft_launch_cooperative(CUfunction function, const unsigned int grid[3],
                                      const unsigned int block[3], unsigned int shared_bytes,
                                      CUstream stream, void **params);

#endif

/* Libraries: modules that belong to no context. A library is parsed once and loaded into a context
 * when something of it is first used there; a CUkernel stands for its function in each of them. */
#ifndef WEFT_SOFTGPU_ENGINE_LIBRARY_H
#define WEFT_SOFTGPU_ENGINE_LIBRARY_H

#include "softgpu/engine/module.h"

/* The function behind a kernel's handle in `context`, under a new reference. INVALID_HANDLE. */
CUresult weft_soft_kernel_function(uint64_t kernel, struct weft_soft_context *context,
                                   struct weft_soft_function **out);

#endif

/* What cuLinkAddData and cuLinkAddFile take, as texts. */
#ifndef WEFT_SOFTGPU_ENGINE_LINK_INPUT_H
#define WEFT_SOFTGPU_ENGINE_LINK_INPUT_H

#include <weft/cuda_abi.h>

#include "softgpu/engine/linked.h"

/* Adds the PTX in an input of that type, as it is best for `sm`: one text, or one a fat binary.
 * Each has been parsed. `texts` is unchanged where it fails: INVALID_VALUE for an unknown type,
 * NOT_SUPPORTED for one that is no PTX, INVALID_IMAGE, INVALID_PTX, NO_BINARY_FOR_GPU,
 * OUT_OF_MEMORY. */
CUresult weft_soft_link_input(struct weft_soft_linked_texts *texts, CUjitInputType type,
                              const void *data, size_t bytes, const char *name, uint32_t sm,
                              struct weft_err *err);

#endif

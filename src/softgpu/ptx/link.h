/* Several modules into one, as a linker does it: what one declares .extern and another defines
 * becomes one symbol, and what is not visible outside stays apart. */
#ifndef WEFT_SOFTGPU_PTX_LINK_H
#define WEFT_SOFTGPU_PTX_LINK_H

#include "softgpu/ptx/ptx.h"

#define WEFT_PTX_LINK_INPUTS_MAX 4096

/* A function without a body that is called so is of the CUDA runtime for kernels, with which they
 * launch kernels. */
bool weft_ptx_is_device_runtime(const char *name);

struct weft_ptx_link_input {
    const char *name;               /* for messages; borrowed for the call */
    struct weft_ptx_module *module; /* owned; NULL after the call, also where it failed */
};

/* Takes `inputs[count]` over: read by weft_ptx_parse_heads, and none of their bodies since. Bodies
 * of the result are read late, each by the parser of its input, and then told where its symbols
 * are. Strong definitions win over weak ones, the first of several weak ones counts. Errors:
 * WEFT_EEXIST, two strong definitions; WEFT_ENOENT, nowhere defined, not of what the device itself
 * offers, and used by a variable (where a body uses it, weft_ptx_read_body says so); WEFT_EINVAL,
 * two modules disagree about a symbol; WEFT_ERANGE; WEFT_ENOMEM. Their text names the symbol and
 * the inputs. */
int weft_ptx_link(struct weft_ptx_module **out, struct weft_ptx_link_input *inputs, uint32_t count,
                  struct weft_err *err);

#endif

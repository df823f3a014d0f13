/* Where the symbols of a module went that was linked with others. */
#ifndef WEFT_SOFTGPU_PTX_PLACES_H
#define WEFT_SOFTGPU_PTX_PLACES_H

#include "softgpu/ptx/arena.h"
#include "softgpu/ptx/ptx.h"

/* Written while its module is linked, immutable then. */
struct weft_ptx_places {
    const char *input;                    /* what messages call the module */
    const struct weft_ptx_module *result; /* borrowed */
    uint32_t *functions, *variables;      /* an index of the result for each of the module's */
};

/* Both replace the module's indices by those of the result. WEFT_ENOENT: a function that is used
 * and nowhere defined; WEFT_ENOMEM. What failed half-way is of no use any more. */
int weft_ptx_places_move_body(const struct weft_ptx_places *places, struct weft_ptx_function *body,
                              struct weft_ptx_arena *memory, struct weft_err *err);
/* The relocations are copied into `memory`: other variables may share them. */
int weft_ptx_places_move_variable(const struct weft_ptx_places *places,
                                  struct weft_ptx_variable *variable, struct weft_ptx_arena *memory,
                                  struct weft_err *err);

#endif

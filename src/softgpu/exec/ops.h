/* Handlers: their names, their declarations, and the loop over lanes. */
#ifndef WEFT_SOFTGPU_EXEC_OPS_H
#define WEFT_SOFTGPU_EXEC_OPS_H

#include "softgpu/exec/run.h"

#define LANES(lane) for (unsigned lane = 0; lane < WEFT_EXEC_LANES; lane++)

#define COMMON_HANDLER(name) \
    void weft_exec_op_##name(struct weft_exec_run *run, const struct weft_exec_insn *insn)

#define OP(name)
#define COMMON(name) COMMON_HANDLER(name);
#include "softgpu/exec/ops.def"
#undef OP

/* The register file of one warp never grows beyond this: recursion ends in a stack overflow before.
 */
#define WEFT_EXEC_REGISTER_FILE_MAX_BYTES (256u << 20)

void weft_exec_barriers_reset(struct weft_exec_block *block);

#endif

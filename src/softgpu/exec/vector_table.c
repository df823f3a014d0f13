/* The handlers of one instruction set, by operation. */
#include "softgpu/exec/vector.h"

#define TABLE_NAME2(isa) weft_exec_handlers_##isa
#define TABLE_NAME(isa) TABLE_NAME2(isa)

const weft_exec_handler_fn TABLE_NAME(WEFT_EXEC_ISA)[WEFT_EXEC_OP_COUNT] = {
#define OP(name) [WEFT_EXEC_OP_##name] = HANDLER_NAME(name),
#define COMMON(name) [WEFT_EXEC_OP_##name] = weft_exec_op_##name,
#include "softgpu/exec/ops.def"
#undef OP
};

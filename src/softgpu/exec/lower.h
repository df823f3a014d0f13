/* Lowering: from a parsed function to compact code. One `struct weft_exec_lowering` lives while one
 * kernel is lowered.
 *
 * Emitting does not fail where it stands: the first error is kept in `failed`, and what follows is
 * done in vain. */
#ifndef WEFT_SOFTGPU_EXEC_LOWER_H
#define WEFT_SOFTGPU_EXEC_LOWER_H

#include "softgpu/exec/run.h"

#define WEFT_EXEC_TEMPORARIES 8
#define WEFT_EXEC_ROW_BYTES_MAX 256
#define WEFT_EXEC_CODE_MAX (1u << 24) /* instructions of a kernel with its callees */
#define WEFT_EXEC_CONSTANT_BYTES_MAX (256u << 20)
#define WEFT_EXEC_FRAME_BYTES_MAX (128u << 20)
#define WEFT_EXEC_CALL_BYTES 16 /* the least that a call takes from the stack */

struct weft_exec_constant {
    uint64_t bits;
    uint32_t row_bytes; /* 0: the slot is free */
    uint32_t offset;
};

/* The instructions from the first to the last at which a register holds something, or is written.
 */
struct weft_exec_lifetime {
    uint32_t first, last;
    bool is_used;
    bool at_entry; /* it may be read before it is written */
};

/* What a function of the module looks like in registers and local memory. */
struct weft_exec_layout {
    int32_t *row_of;                      /* owned; by register; nothing where one is not used */
    struct weft_exec_lifetime *lifetimes; /* owned; by register */
    uint32_t *local_offset;  /* owned; by function->variables, .local and .param ones */
    uint32_t *shared_offset; /* owned; by function->variables, .shared ones */
    uint32_t return_offset;  /* of the block of .param results in local memory */
    uint32_t frame_bytes, local_bytes;
    uint32_t temporaries; /* offset of the first */
    bool moves_stack;     /* it has an alloca or a stackrestore: its callers get the stack back */
};

struct weft_exec_lowering {
    const struct weft_exec_program *program;
    const struct weft_ptx_module *module;
    struct weft_exec_kernel *kernel;
    uint32_t code_capacity;
    struct weft_exec_constant *constants; /* owned; a hash table */
    uint32_t constant_slots, constant_count;
    uint32_t *shared_of;  /* owned; offset of module->variables in shared memory, NONE where it is
                             not used */
    bool *is_used_shared; /* owned; by module->variables */
    struct weft_exec_layout *layouts; /* owned; by part */
    /* The function and the instruction at hand. */
    uint32_t part;
    const struct weft_ptx_function *function;
    const struct weft_exec_layout *layout;
    const struct weft_ptx_insn *insn;
    uint32_t temporaries_used;
    struct weft_exec_insn discarded; /* what is emitted after a failure */
    int failed;
    struct weft_err *err;
};

typedef void (*weft_exec_lower_fn)(struct weft_exec_lowering *lowering);

/* Types. */
bool weft_exec_type_is_float(uint8_t type); /* f32, f64 */
bool weft_exec_type_is_half(uint8_t type);  /* 16-bit floats, also in pairs */
bool weft_exec_type_is_signed(uint8_t type);
uint32_t
weft_exec_row_bytes(uint8_t type); /* of one lane: 2, 4, 8; 16 for b128; 0 for predicates */

/* Failures: of the form at hand, which is well-formed but not executed; and of one that cannot be.
 */
void weft_exec_unsupported(struct weft_exec_lowering *lowering);
void weft_exec_malformed(struct weft_exec_lowering *lowering, const char *what);

/* Appends an instruction with the guard of the one at hand; operands are NO_ROW. Never NULL. */
struct weft_exec_insn *weft_exec_emit(struct weft_exec_lowering *lowering, uint32_t op);

/* Operands. A source of a type is a row in the frame or of constants. */
int32_t weft_exec_constant(struct weft_exec_lowering *lowering, uint64_t bits, uint32_t row_bytes);
int32_t weft_exec_temporary(struct weft_exec_lowering *lowering);
int32_t weft_exec_operand_source(struct weft_exec_lowering *lowering,
                                 const struct weft_ptx_operand *operand, uint8_t type);
/* The same, where the row's width is given, not the type's: ld, st, cvt take wider registers. */
int32_t weft_exec_operand_row(struct weft_exec_lowering *lowering,
                              const struct weft_ptx_operand *operand, uint32_t row_bytes);
int32_t weft_exec_operand_destination(struct weft_exec_lowering *lowering,
                                      const struct weft_ptx_operand *operand, uint8_t type);
/* Of a register: bytes of a lane in its row; else `otherwise`. */
uint32_t weft_exec_operand_row_bytes(const struct weft_exec_lowering *lowering,
                                     const struct weft_ptx_operand *operand, uint32_t otherwise);
/* b128: rows of the lower and the upper 64 bits, of a register or of a vector of two. */
void weft_exec_operand_wide(struct weft_exec_lowering *lowering,
                            const struct weft_ptx_operand *operand, int32_t rows[2]);
/* A predicate; *negated is set where `!` is written. */
int32_t weft_exec_operand_predicate(struct weft_exec_lowering *lowering,
                                    const struct weft_ptx_operand *operand, bool *negated);
/* [address]: fills space, a, wide_address and immediate. */
void weft_exec_operand_address(struct weft_exec_lowering *lowering,
                               const struct weft_ptx_operand *operand, struct weft_exec_insn *insn);

/* Where a symbol lies: a constant, or an offset in the lane's local memory from what the row `base`
 * of the running frame says. */
struct weft_exec_place {
    bool is_local;
    uint16_t base;
    uint8_t space;
    uint64_t address;
};
struct weft_exec_place weft_exec_symbol_place(struct weft_exec_lowering *lowering,
                                              const struct weft_ptx_operand *operand);

/* Modifiers common to floating point: .ftz, .sat, rounding. */
uint32_t weft_exec_float_modifiers(const struct weft_ptx_insn *insn);

/* By opcode; NULL where the executor does not know it. One table each, in lower_integer.c and so
 * on. */
weft_exec_lower_fn weft_exec_lower_integer(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_float(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_move(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_memory(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_texture(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_control(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_matrix(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_async(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_cluster(uint16_t opcode);
weft_exec_lower_fn weft_exec_lower_video(uint16_t opcode);
/* lower_atomic.c: atom and red; ld and st of b128. */
void weft_exec_lower_atomic(struct weft_exec_lowering *lowering);
void weft_exec_lower_wide_access(struct weft_exec_lowering *lowering, bool stores);

/* layout.c: finds what the entry reaches, and lays out registers, local and shared memory. */
int weft_exec_layout_kernel(struct weft_exec_lowering *lowering, uint32_t function);
void weft_exec_layout_finish(struct weft_exec_layout *layout);
/* Slots of .reg parameters and results, at the same place in every function with the same
 * signature. */
uint32_t weft_exec_register_slot(const struct weft_ptx_function *function, bool result,
                                 uint32_t index);

/* How many slots there are. */
uint32_t weft_exec_register_slot_count(const struct weft_ptx_function *function);

/* liveness.c: by register; the caller frees. NULL without memory. */
struct weft_exec_lifetime *weft_exec_lifetimes_create(const struct weft_ptx_function *function);

/* registers.c: fills what the layout says of registers; and kernel->cleared. */
int weft_exec_lay_registers(struct weft_exec_lowering *lowering,
                            const struct weft_ptx_function *function,
                            struct weft_exec_layout *layout);
int weft_exec_find_cleared(struct weft_exec_lowering *lowering);

/* The last parameter without a size, whose bytes stay with the caller. */
static inline bool weft_exec_parameter_is_unsized(const struct weft_ptx_parameter *parameter)
{
    return parameter->space == WEFT_PTX_PARAM && parameter->bytes == 0;
}

/* lower_memory.c: saves the lane's stack in the frame's head, or takes it back from there. */
void weft_exec_emit_stack(struct weft_exec_lowering *lowering, bool restores);

/* lower.c */
int weft_exec_lower_kernel(struct weft_exec_kernel **out, const struct weft_exec_program *program,
                           uint32_t function, struct weft_err *err);
void weft_exec_kernel_destroy(struct weft_exec_kernel *kernel);

#endif

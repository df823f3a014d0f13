/* Runs kernels given as PTX text, over device memory that the tests own. */
#ifndef WEFT_TESTS_EXEC_RIG_H
#define WEFT_TESTS_EXEC_RIG_H

#include "softgpu/exec/exec.h"

#define RIG_WINDOW_BYTES (1u << 20)
#define RIG_BASE 0x700000000000ull

struct rig {
    struct weft_ptx_module *module;
    struct weft_exec_program *program;
    const struct weft_exec_kernel *kernel;
    struct weft_exec_memory memory;
    uint8_t *window; /* the device's memory as the host sees it, all of it live at first */
    uint64_t live[RIG_WINDOW_BYTES / WEFT_EXEC_LIVE_BLOCK_BYTES / 64];
    uint64_t variable_addresses[64];
    struct weft_exec_fault fault; /* of the last launch */
    uint64_t retired;             /* by all launches */
    uint64_t budget;              /* of one call of weft_exec_block_run */
    uint32_t stack_bytes, dynamic_shared_bytes;
    void (*print)(void *rig, bool is_error, const char *text, uint64_t bytes);
    uint64_t runs_max; /* calls of weft_exec_block_run before a launch counts as hanging */
};

/* Parses `text`, with the header that every module needs put before it, and lowers its kernel `k`.
 * Fails the test where that fails. Module variables get addresses from the window's second half,
 * and their initial values. */
void rig_open(struct rig *rig, const char *text);
/* The same, but hands the error back. */
int rig_try_open(struct rig *rig, const char *text, struct weft_err *err);
void rig_close(struct rig *rig);

/* Runs a grid of blocks, one after the other, in turns of `budget`. */
enum weft_exec_outcome rig_launch(struct rig *rig, uint32_t blocks, uint32_t threads,
                                  const void *params);
/* The same, and the test fails unless it is done. */
void rig_run(struct rig *rig, uint32_t blocks, uint32_t threads, const void *params);

/* Of a body of `k(.param .u64 out)`: registers %r1 = thread, %rd1 = out + 4 * thread are there, and
 * some more are declared. */
#define RIG_KERNEL(body)                                                             \
    ".visible .entry k(.param .u64 out)\n{\n"                                        \
    ".reg .pred %p<16>;\n.reg .b16 %h<16>;\n.reg .b32 %r<64>;\n.reg .b64 %rd<32>;\n" \
    ".reg .f32 %f<16>;\n.reg .f64 %fd<16>;\n"                                        \
    "ld.param.u64 %rd1, [out];\ncvta.to.global.u64 %rd1, %rd1;\n"                    \
    "mov.u32 %r1, %tid.x;\nmad.wide.u32 %rd1, %r1, 4, %rd1;\n" body "\nret;\n}\n"

/* The words that such a kernel stored, after a run of one block. */
uint32_t *rig_run_words(struct rig *rig, uint32_t threads);

#endif

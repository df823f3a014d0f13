/* A second executor of PTX, written from the ISA to be read and believed: one thread at a time, one
 * value at a time, shared code with nothing but the parser's data. What the warp executor gives
 * must equal what this gives. */
#ifndef WEFT_TESTS_REFERENCE_REFERENCE_H
#define WEFT_TESTS_REFERENCE_REFERENCE_H

#include <stdint.h>

#include "softgpu/exec/exec.h"
#include "softgpu/ptx/ptx.h"
#include <weft/err.h>

struct reference_launch {
    const struct weft_ptx_module *module;
    uint32_t function;
    const uint64_t *variable_addresses; /* as of weft_exec_program_create */
    const struct weft_exec_memory *memory;
    const void *params;
    uint32_t grid[3], block[3];
    uint32_t cluster[3]; /* blocks of a cluster; zeros: each alone */
    uint32_t dynamic_shared_bytes;
    uint32_t stack_bytes;
    uint32_t sm_count;
    uint64_t grid_id;
    uint64_t steps_max; /* a thread; over it the run fails */
    /* Device memory that malloc gives out, empty before the run; 0 bytes: malloc gives NULL. */
    uint64_t heap_base, heap_bytes;
    /* What one call of vprintf says; NULL: it is dropped. */
    void (*print)(void *print_context, const char *text, uint64_t bytes);
    void *print_context;
};

/* Runs the whole grid, block after block. 0; -WEFT_EFAULT with *fault filled in; -WEFT_ENOSYS for a
 * form that it does not know; -WEFT_ETIMEDOUT over steps_max; -WEFT_ENOMEM. */
int reference_run(const struct reference_launch *launch, struct weft_exec_fault *fault,
                  struct weft_err *err);

#endif

/* A small device for PTX tests: a window of memory, modules made from text, and one kernel run
 * twice, by the warp executor and by the reference, from the same memory. */
#ifndef WEFT_TESTS_CONFORMANCE_PTX_RIG_H
#define WEFT_TESTS_CONFORMANCE_PTX_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "softgpu/exec/exec.h"
#include "softgpu/ptx/ptx.h"
#include <weft/err.h>

#define RIG_WINDOW_BASE 0x200000000000ull
#define RIG_WINDOW_BYTES (16ull << 20)

struct rig {
    struct weft_exec_memory memory;
    uint8_t *host;              /* owned: RIG_WINDOW_BYTES */
    uint64_t *live;             /* owned */
    uint8_t *before, *expected; /* owned: images of the window */
    uint64_t used;
};

struct rig_program {
    struct weft_ptx_module *module;
    struct weft_exec_program *program;
    uint64_t *addresses;
};

struct rig_run {
    const char *entry;
    const void *params;
    uint32_t params_bytes;
    uint32_t grid[3], block[3];
    uint32_t cluster[3]; /* zeros: none */
    uint32_t dynamic_shared_bytes;
    uint64_t budget; /* warp instructions a turn; 0 for one long turn */
    uint64_t steps_max;
    /* Memory that the kernel's malloc gives out, from rig_alloc; 0 bytes: it gives NULL. Its
     * content is not compared, for which thread gets which piece is open. */
    uint64_t heap_base, heap_bytes;
};

struct rig_result {
    int status; /* 0, -WEFT_EFAULT, -WEFT_ENOSYS, … */
    struct weft_exec_fault fault;
    struct weft_err err;
    uint64_t retired;
    /* Calls of vprintf that said something, and a sum over their texts: their order is open. */
    uint64_t prints, print_digest;
};

/* These end the test program where the machine has no memory. */
void rig_init(struct rig *rig);
void rig_finish(struct rig *rig);
/* Frees all allocations, and fills the memory with zeros. */
void rig_reset(struct rig *rig);
/* Device address of zeroed memory that is live; what follows it up to the next 512 bytes is not
 * used for anything else. */
uint64_t rig_alloc(struct rig *rig, uint64_t bytes);
void *rig_host(struct rig *rig, uint64_t address);
/* Makes the 512 bytes around `address` dead again. */
void rig_kill(struct rig *rig, uint64_t address);

/* Parses and prepares; places .global and .const with their initialisers. */
int rig_load(struct rig *rig, const char *text, struct rig_program *out, struct weft_err *err);
void rig_unload(struct rig_program *program);

void rig_execute(struct rig *rig, struct rig_program *program, const struct rig_run *run,
                 struct rig_result *out);
void rig_refer(struct rig *rig, struct rig_program *program, const struct rig_run *run,
               struct rig_result *out);

/* Remembers the memory's content, goes back to it, and keeps what a run made of it as what is
 * expected. */
void rig_remember(struct rig *rig);
void rig_recall(struct rig *rig);
void rig_expect(struct rig *rig);

#endif

/* The warp executor: PTX functions lowered once to a compact array, run 32 lanes at a time over
 * registers laid out as structure of arrays, under a lane mask. Its caller owns threads, streams
 * and memory; the executor owns what a block is.
 *
 * All state of a block is plain data: weft_exec_block_run stops after a bounded count of
 * instructions and goes on later, on any thread. Within a warp the lanes with the lowest PC run
 * first; after a bounded number of backward branches the next group of lanes runs, so that a lane
 * that spins for another does not starve it. Warps of a block take turns after a bounded count for
 * the same reason.
 *
 * A program and its kernels are immutable once created: any thread. A block is used by one thread
 * at a time. */
#ifndef WEFT_SOFTGPU_EXEC_EXEC_H
#define WEFT_SOFTGPU_EXEC_EXEC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "softgpu/exec/texture.h"
#include "softgpu/ptx/ptx.h"
#include <weft/err.h>

#define WEFT_EXEC_WARP_LANES 32
#define WEFT_EXEC_LIVE_BLOCK_BYTES 512 /* one bit of `live` stands for so many bytes */

/* How the device sees memory. Everything that weft allocates lies in one window of the process'
 * address space; the executor (and the copies) reach it through an alias, so that the program
 * itself cannot touch device memory. */
struct weft_exec_memory {
    uint64_t window_base; /* device addresses window_base … window_base + window_bytes - 1 */
    uint64_t window_bytes;
    int64_t alias_delta;  /* host address = device address + alias_delta */
    const uint64_t *live; /* bit ((address - window_base) / 512) says that the 512 bytes are
                             allocated; read relaxed */
    const uint64_t *_Atomic writable; /* the same of what may be written, a part of `live`; NULL
                                         while that is all of it. Looked up once a slice */
    uint64_t shared_base;             /* generic window of .shared; 64 KiB-aligned,
                                         WEFT_EXEC_SHARED_WINDOW_BYTES long, holds nothing else */
    uint64_t local_base; /* generic window of .local: address local_base + offset in the lane's own
                            local memory */
    uint64_t param_base; /* generic window of the kernel's parameters */
    /* Registered host memory, outside the window: the host address, or NULL where [address, +bytes)
     * is not all registered. */
    void *(*foreign)(void *foreign_context, uint64_t address, uint64_t bytes);
    void *foreign_context;
    /* The texture or surface behind a handle that device code uses, or NULL. It stays readable, if
     * not unchanged, while the process lives: the executor checks each texel's address like any
     * other. NULL where there are no textures. Any thread. */
    const struct weft_exec_texture *(*texture)(uint64_t handle);
};
#define WEFT_EXEC_SHARED_WINDOW_BYTES (16u << 20)
#define WEFT_EXEC_LOCAL_WINDOW_BYTES (16u << 20)
#define WEFT_EXEC_PARAM_WINDOW_BYTES (64u << 10)

/* A code address as device code sees it (function pointers in tables and registers): a function of
 * the module by index. */
#define WEFT_EXEC_FUNCTION_ADDRESS(function_index) (0x10000ull + 16ull * (function_index))

/* A module made ready. */
struct weft_exec_program;
struct weft_exec_kernel;
struct weft_exec_heap;

/* `module` is borrowed and must outlive the program. `variable_addresses[i]` is the device address
 * of module->variables[i] for .global and .const (other spaces: ignored). Lowering itself happens
 * per kernel, on first use. */
int weft_exec_program_create(struct weft_exec_program **out, const struct weft_ptx_module *module,
                             const uint64_t *variable_addresses, struct weft_err *err);
void weft_exec_program_destroy(struct weft_exec_program *program);

/* Lowers the entry function `function_index` with all it calls, once. WEFT_ENOSYS names the first
 * instruction that is not executed yet: "ptx:LINE: wmma.load… is not supported"; WEFT_EINVAL where
 * it is no .entry. Borrowed from the program. */
int weft_exec_program_kernel(struct weft_exec_program *program, uint32_t function_index,
                             const struct weft_exec_kernel **out, struct weft_err *err);

struct weft_exec_check;
struct weft_exec_fault;

struct weft_exec_kernel_info {
    const char *name;
    uint32_t param_bytes;
    uint32_t static_shared_bytes;
    uint32_t local_bytes; /* a thread, without the call stack */
    uint32_t const_bytes;
    uint32_t registers;             /* a plausible count a thread, 1…255 */
    uint32_t max_threads_per_block; /* from .maxntid and .reqntid, else 1024 */
    uint32_t required_block[3];     /* .reqntid, 0 where not given */
    uint32_t required_cluster[3];   /* .reqnctapercluster, 0 where not given */
    uint32_t max_cluster_rank;      /* .maxclusterrank: blocks of a cluster, 0 where not given */
    bool explicit_cluster;          /* .explicitcluster: the launch has to state a cluster */
    bool calls_indirect;
    bool prints;    /* calls the device's printf */
    bool allocates; /* calls the device's malloc or free: give its launches a heap */
};
struct weft_exec_kernel_info weft_exec_kernel_describe(const struct weft_exec_kernel *kernel);

/* One grid. Kept by the caller until its last block is destroyed. */
struct weft_exec_launch {
    const struct weft_exec_kernel *kernel;
    const struct weft_exec_memory *memory;
    const void *params;         /* kernel_info.param_bytes, 16-byte aligned */
    uint32_t grid[3], block[3]; /* checked by the caller against the device's limits */
    uint32_t cluster[3]; /* blocks of a cluster; zeros and ones: each block alone. The grid is a
                            multiple of it along each axis */
    uint32_t dynamic_shared_bytes;
    uint32_t stack_bytes; /* a thread: .local, call frames, alloca; over it the kernel faults */
    uint32_t sm_count;
    uint64_t grid_id;
    /* Of a cooperative grid: 512 bytes of device memory, zero before its first use, over which its
     * blocks meet; device code reads the address from %envreg1 (upper half) and %envreg2. Else 0.
     */
    uint64_t workspace;
    struct weft_exec_heap *heap; /* borrowed; NULL: malloc gives NULL */
    /* What a lane's printf or, with is_error, its failed assertion says; called by the thread that
     * runs the block. NULL: it is dropped. */
    void (*print)(void *print_context, bool is_error, const char *text, uint64_t bytes);
    void *print_context;
    /* The checker (check.h), borrowed; NULL: accesses are not checked. A lane that reads what
     * nothing has written is told of, once a block, and goes on. */
    const struct weft_exec_check *check;
    void (*tell_unwritten)(void *tell_context, const struct weft_exec_fault *fault);
    void *tell_context;
};

enum weft_exec_fault_kind {
    WEFT_EXEC_FAULT_NONE,
    WEFT_EXEC_FAULT_ILLEGAL_ADDRESS,
    WEFT_EXEC_FAULT_MISALIGNED,
    WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, /* trap is one; brkpt too */
    WEFT_EXEC_FAULT_INVALID_PC,
    WEFT_EXEC_FAULT_STACK_OVERFLOW,
    WEFT_EXEC_FAULT_DEADLOCK, /* a barrier that no remaining thread can complete, where that is
                                 certain */
    WEFT_EXEC_FAULT_ASSERT,
    WEFT_EXEC_FAULT_UNWRITTEN, /* only told of */
};

struct weft_exec_fault {
    enum weft_exec_fault_kind kind;
    const char *function;    /* borrowed from the module */
    const char *insn;        /* its text, borrowed from the module */
    uint32_t line;           /* in the PTX */
    const char *source_file; /* by .file and .loc, borrowed; NULL: not known */
    uint32_t source_line;
    uint32_t thread[3], block[3];
    uint64_t address; /* of ILLEGAL_ADDRESS and MISALIGNED */
    /* Of these and UNWRITTEN, by the checker. */
    uint32_t bytes; /* 0: nothing more is known */
    bool is_write;
    uint8_t space;        /* GLOBAL, or that of a variable */
    const char *variable; /* borrowed; the one that begins nearest before the place, or NULL */
    uint64_t variable_bytes, variable_offset;
};

enum weft_exec_outcome {
    WEFT_EXEC_DONE,
    WEFT_EXEC_PREEMPTED, /* the budget is used up; run it again later */
    WEFT_EXEC_STALLED,   /* every warp sleeps (nanosleep) or spins: run something else first */
    WEFT_EXEC_FAULTED,
};

/* Memory for one block of the launch, or for the blocks of one cluster, which are one unit; to be
 * used for one after the other. WEFT_ENOMEM. */
struct weft_exec_block;
int weft_exec_block_create(struct weft_exec_block **out, const struct weft_exec_launch *launch,
                           struct weft_err *err);
void weft_exec_block_destroy(struct weft_exec_block *block);
/* So many units make the grid. */
static inline uint64_t weft_exec_launch_units(const struct weft_exec_launch *launch)
{
    uint64_t units = 1;
    for (int i = 0; i < 3; i++)
        units *= launch->grid[i] / (launch->cluster[i] ? launch->cluster[i] : 1);
    return units;
}
/* Sets it to the first instruction of the grid's unit number `index` (x fastest). Registers and
 * shared memory start as zeros. */
void weft_exec_block_start(struct weft_exec_block *block, uint64_t index, uint32_t sm_id);
/* Runs at least one and, unless it ends, at most about `budget` warp instructions; adds those
 * retired to *retired. */
enum weft_exec_outcome weft_exec_block_run(struct weft_exec_block *block, uint64_t budget,
                                           uint64_t *retired);
/* After FAULTED. */
const struct weft_exec_fault *weft_exec_block_fault(const struct weft_exec_block *block);

/* The inner loops are built for several instruction sets; the best that the CPU has is used. Tests
 * and benchmarks force one for all blocks created later. False where the CPU lacks it. */
enum weft_exec_isa {
    WEFT_EXEC_ISA_BASELINE,
    WEFT_EXEC_ISA_AVX2,
    WEFT_EXEC_ISA_AVX512,
    WEFT_EXEC_ISA_COUNT
};
enum weft_exec_isa weft_exec_isa_best(void);
bool weft_exec_isa_force(enum weft_exec_isa isa);

#endif

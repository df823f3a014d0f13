/* The executor's own structures: what a kernel is lowered to, what a block and its warps hold, and
 * what a handler sees.
 *
 * A register is a row of 32 lanes in its warp's register file: 64 bytes for up to 16 bits, 128 for
 * 32, 256 for 64; a predicate is a mask of 32 bits. An operand is a byte offset into the running
 * frame, or, with WEFT_EXEC_CONSTANT, into the kernel's constant rows, where each immediate stands
 * 32 times: handlers read all operands alike. */
#ifndef WEFT_SOFTGPU_EXEC_RUN_H
#define WEFT_SOFTGPU_EXEC_RUN_H

#include <assert.h>
#include <pthread.h>

#include "softgpu/exec/check.h"
#include "softgpu/exec/exec.h"

#define WEFT_EXEC_LANES WEFT_EXEC_WARP_LANES
#define WEFT_EXEC_ALL_LANES UINT32_MAX
#define WEFT_EXEC_NO_GUARD UINT32_MAX
#define WEFT_EXEC_NO_ROW INT32_MIN
#define WEFT_EXEC_CONSTANT 0x40000000
#define WEFT_EXEC_BARRIERS 16
#define WEFT_EXEC_BARRIER_CLUSTER 16 /* what groups wait for at the barrier of a cluster */
#define WEFT_EXEC_WARPS_MAX 32       /* 1024 threads */
#define WEFT_EXEC_VECTOR_MAX 4       /* .v4 */
#define WEFT_EXEC_CLUSTER_BLOCKS_MAX 16
#define WEFT_EXEC_FRAMES_MAX (1u << 16) /* nested calls of one lane */

/* Rows that every frame begins with. */
enum {
    WEFT_EXEC_ROW_RETURN_PC = 0,      /* u32 */
    WEFT_EXEC_ROW_RETURN_FRAME = 128, /* u32: offset of the caller's frame in the register file */
    WEFT_EXEC_ROW_LOCAL_BASE =
        256,                  /* u32: offset of the frame's .local in the lane's local memory */
    WEFT_EXEC_ROW_SINK = 384, /* 256 bytes nobody reads: the destination '_' */
    WEFT_EXEC_ROW_ARGUMENTS =
        640, /* u32: where an unsized last .param lies in the lane's local memory */
    WEFT_EXEC_ROW_STACK_TOP =
        768, /* u32: the lane's stack_top at the start of a function that moves it */
    WEFT_EXEC_FRAME_HEAD_BYTES = 896
};

/* How much the scheduler lets run before it looks up; see schedule.c. */
enum {
    WEFT_EXEC_SLICE = 4096,         /* instructions of one warp in a row */
    WEFT_EXEC_BOOST = 1024,         /* instructions of a group that was passed over */
    WEFT_EXEC_BACKWARD_MAX = 16384, /* backward branches of one group in a row */
    WEFT_EXEC_BACKWARD_SPINNING =
        16 /* the same, for a group that reads volatile or atomically between them */
};

enum weft_exec_op {
#define OP(name) WEFT_EXEC_OP_##name,
#include "softgpu/exec/ops.def"
#undef OP
    WEFT_EXEC_OP_COUNT
};

struct weft_exec_insn {
    uint16_t op;       /* enum weft_exec_op */
    bool control;      /* dispatched even where the guard leaves no lane */
    uint8_t space;     /* enum weft_ptx_space, of memory operations */
    uint8_t count;     /* elements of a vector */
    uint8_t order;     /* enum weft_ptx_order */
    bool wide_address; /* the address row has 64-bit lanes, else 32 */
    uint8_t
        kind; /* what a handler shared by several forms does; each says which enumeration it is */
    uint32_t guard; /* offset of the predicate, or WEFT_EXEC_NO_GUARD */
    uint32_t guard_flip;
    int32_t d, a, b, c;
    int32_t more[3]; /* d[1…3] of vectors; the second destination or a fourth source of others */
    uint32_t modifiers; /* enum weft_exec_modifier, and what the op adds */
    int64_t immediate;
    const struct weft_ptx_insn *source; /* borrowed */
};
static_assert(sizeof(struct weft_exec_insn) == 64, "an instruction fills one cache line");

enum weft_exec_modifier {
    WEFT_EXEC_FTZ = 1u << 0,
    WEFT_EXEC_SAT = 1u << 1,
    WEFT_EXEC_NEGATE = 1u << 2, /* of a comparison: its complement */
    WEFT_EXEC_NAN = 1u << 3,    /* min, max: NaN wins */
    WEFT_EXEC_XORSIGN = 1u << 4,
    WEFT_EXEC_RELU = 1u << 5,
    WEFT_EXEC_ROUNDING_SHIFT = 8,      /* two bits: MXCSR's rounding control */
    WEFT_EXEC_COMBINE_SHIFT = 12,      /* setp: enum weft_ptx_operation of the Boolean */
    WEFT_EXEC_COMBINE_FLIP = 1u << 16, /* setp: the third source is !c */
    WEFT_EXEC_CARRY_IN = 1u << 17,
    WEFT_EXEC_CARRY_OUT = 1u << 18,
    WEFT_EXEC_HIGH = 1u << 19,
    WEFT_EXEC_FINITE = 1u << 20, /* cvt: no infinity, the largest number instead */
    WEFT_EXEC_OOB = 1u << 21,    /* fma: +0 where a factor is the mark of what lay out of bounds */
};

struct weft_exec_run;
typedef void (*weft_exec_handler_fn)(struct weft_exec_run *run, const struct weft_exec_insn *insn);

/* One PTX function as it stands in a kernel's code. */
struct weft_exec_part {
    uint32_t function; /* index in the module */
    uint32_t first_pc, end_pc;
    uint32_t frame_bytes;    /* of registers */
    uint32_t local_bytes;    /* a lane's .local and .param of one call, a multiple of 16 */
    uint32_t register_slots; /* .reg parameters and results; they begin the frame */
};

/* A piece of a frame. */
struct weft_exec_rows {
    uint32_t offset, bytes;
};

struct weft_exec_kernel {
    const struct weft_ptx_module *module;     /* borrowed */
    const struct weft_ptx_function *function; /* borrowed */
    const uint64_t *variable_addresses;       /* borrowed from the program */
    struct weft_exec_insn *code;              /* owned */
    uint32_t code_count;
    char *constants; /* owned */
    uint32_t constant_bytes;
    struct weft_exec_part *parts; /* owned; parts[0] is the entry */
    uint32_t part_count;
    uint32_t *part_of; /* owned; by function index, WEFT_PTX_NONE where it is not in this kernel */
    struct weft_exec_rows *cleared; /* owned; what the entry may read before it writes it */
    uint32_t cleared_count;
    uint64_t *tables; /* owned; branch tables of brx.idx, one after the other */
    uint32_t table_count;
    struct weft_exec_matrix *matrices; /* owned; of matrix instructions, see matrix.h */
    uint32_t matrix_count;
    struct weft_exec_sample *samples; /* owned; operands of texture and surface instructions */
    uint32_t sample_count;
    uint32_t static_shared_bytes, shared_align;
    struct weft_exec_variables shared_variables, param_variables; /* for the checker */
    struct weft_exec_variables local_variables;                   /* the entry's */
    bool open_ended; /* recursion, indirect calls or alloca: the depth is not known */
    bool calls_indirect;
    bool prints;    /* calls vprintf */
    bool allocates; /* calls malloc or free */
    uint32_t
        argument_bytes; /* how far a call may write beyond the running frame before it enters */
    uint32_t frame_bytes_max,
        local_bytes_max; /* over the deepest chain of calls where it is not open-ended */
};

struct weft_exec_program {
    const struct weft_ptx_module *module; /* borrowed */
    uint64_t *variable_addresses;         /* owned */
    struct weft_exec_kernel **kernels;    /* owned, under lock; by function index */
    pthread_mutex_t lock;
};

enum weft_exec_group_state {
    WEFT_EXEC_GROUP_READY,
    WEFT_EXEC_GROUP_AT_BARRIER, /* `waits_for` is its number */
    WEFT_EXEC_GROUP_AT_SYNC,    /* `waits_for` are the lanes named by the instruction */
    WEFT_EXEC_GROUP_AT_MATRIX   /* for all lanes of the warp that live */
};

/* Lanes of a warp that stand at the same instruction of the same frame and are not the ones that
 * run. */
struct weft_exec_group {
    uint32_t pc, frame, mask;
    uint32_t state; /* enum weft_exec_group_state */
    uint32_t waits_for;
    uint32_t stamp; /* when it ran last */
};

/* What lanes of a warp gave each other in one instruction, kept until all of them have read it. */
struct weft_exec_meeting {
    uint32_t members, unread;
    uint64_t value[WEFT_EXEC_LANES];
};

/* What lanes bring to an instruction that the lanes of a warp execute together. The lanes that have
 * not read a meeting are in no other, so there are never more meetings than lanes. */
struct weft_exec_exchange {
    uint32_t deposited, complete;
    uint64_t deposit[WEFT_EXEC_LANES];
    struct weft_exec_meeting meetings[WEFT_EXEC_LANES];
};

struct weft_exec_warp {
    char *registers; /* owned */
    uint64_t register_bytes;
    uint32_t index, threads; /* threads: mask of the lanes that exist */
    uint32_t live;           /* lanes that have not left */
    uint32_t carry;          /* CC.CF of each lane */
    uint32_t barrier_result; /* of bar.red, the same for all lanes */
    uint32_t clock;          /* stamps of groups */
    int32_t backward_left;   /* backward branches until another group gets its turn */
    int32_t boost_left; /* instructions that the group at boost_pc may still run out of order */
    uint32_t boost_pc, boost_frame;
    uint32_t stack_top[WEFT_EXEC_LANES]; /* what alloca takes of a lane's local memory comes from
                                            its end: the first byte that is taken */
    uint32_t group_count;
    uint64_t best_key; /* of the waiting groups that are ready, see schedule.c */
    struct weft_exec_group groups[WEFT_EXEC_LANES];
    struct weft_exec_exchange exchange;
};

struct weft_exec_barrier {
    uint32_t expected;        /* threads; 0: all of the block that have not left */
    uint32_t touched;         /* anybody arrived */
    uint32_t all, any, count; /* bar.red over those who arrived */
    uint32_t arrived[WEFT_EXEC_WARPS_MAX];
};

/* The blocks that one unit has; a block alone is a cluster of one. */
struct weft_exec_cluster {
    uint32_t count;
    uint32_t next; /* rank whose turn it is */
    bool touched;  /* anybody arrived at the cluster's barrier */
    struct weft_exec_block *blocks[WEFT_EXEC_CLUSTER_BLOCKS_MAX]; /* owned; by rank */
};

struct weft_exec_block {
    struct weft_exec_cluster *cluster; /* owned by the block of rank 0 */
    uint32_t rank;
    uint32_t cluster_arrived[WEFT_EXEC_WARPS_MAX]; /* lanes at the cluster's barrier */
    const struct weft_exec_launch *launch;         /* borrowed */
    const weft_exec_handler_fn *handlers;
    uint32_t warp_count, next_warp;
    uint32_t live_warps;
    struct weft_exec_warp *warps; /* owned */
    char *shared;                 /* owned */
    uint32_t shared_bytes;
    char *local; /* owned; lane l of warp w at ((w * 32) + l) * local_stride */
    uint64_t local_stride;
    uint32_t *thread_index; /* owned; per warp rows of x, y, z */
    uint32_t index[3];      /* ctaid */
    uint32_t sm_id;
    uint32_t idle_rounds; /* rounds over all warps in which none did anything but spin or sleep */
    uint64_t retired;
    struct weft_exec_barrier barriers[WEFT_EXEC_BARRIERS];
    struct weft_exec_fault fault;
    /* Of the checker. */
    uint8_t *shared_written;        /* owned; one bit a byte, NULL where nothing is checked */
    struct weft_exec_extent extent; /* the last that was asked for */
    bool told_unwritten;
};

enum weft_exec_stop {
    WEFT_EXEC_GO,
    WEFT_EXEC_STOP_ROTATE,  /* too many backward branches */
    WEFT_EXEC_STOP_SLEEP,   /* nanosleep */
    WEFT_EXEC_STOP_BLOCKED, /* no group of the warp is ready */
    WEFT_EXEC_STOP_FAULT
};

/* The running group and what handlers need at hand. */
struct weft_exec_run {
    char *frame;
    const char *constants;
    uint32_t mask;   /* the lanes that this instruction is for */
    uint32_t active; /* the lanes of the running group */
    uint32_t pc;     /* of the next instruction */
    uint32_t stop;   /* enum weft_exec_stop */
    int64_t left;    /* instructions until the scheduler looks up */
    int32_t backward_left;
    uint32_t frame_offset;
    uint32_t stamp;
    /* Memory. */
    uint64_t window_base, window_bytes;
    int64_t alias_delta;
    const uint64_t *live, *writable; /* the same table where all that is live may be written */
    char *shared;
    uint64_t shared_bytes;
    char *local; /* of lane 0 of this warp */
    uint64_t local_stride;
    const char *params;
    uint64_t param_bytes;
    /* How far the fast ways of memory.h reach: the same sizes, or 0 where each access is checked.
     */
    uint64_t fast_window_bytes, fast_shared_bytes, fast_local_bytes, fast_param_bytes;
    struct weft_exec_warp *warp;
    struct weft_exec_block *block;
    const struct weft_exec_kernel *kernel;
};

/* The rows of operands. Destinations are never constants. */
static inline void *weft_exec_row(const struct weft_exec_run *run, int32_t offset)
{
    return run->frame + offset;
}
static inline const void *weft_exec_source(const struct weft_exec_run *run, int32_t offset)
{
    const char *base = offset & WEFT_EXEC_CONSTANT ? run->constants : run->frame;
    return base + (offset & ~WEFT_EXEC_CONSTANT);
}
static inline uint32_t weft_exec_predicate(const struct weft_exec_run *run, int32_t offset)
{
    return *(const uint32_t *)weft_exec_source(run, offset);
}
static inline void weft_exec_set_predicate(struct weft_exec_run *run, int32_t offset, uint32_t bits)
{
    uint32_t *p = weft_exec_row(run, offset);
    *p = (*p & ~run->mask) | (bits & run->mask);
}

/* The group spins where it reads what others write, and soon gives way. */
static inline void weft_exec_spin_hint(struct weft_exec_run *run)
{
    if (run->backward_left > WEFT_EXEC_BACKWARD_SPINNING)
        run->backward_left = WEFT_EXEC_BACKWARD_SPINNING;
}

/* One lane of a row whose lanes are 2, 4 or 8 bytes wide, zero-extended. */
static inline uint64_t weft_exec_lane_read(const void *row, uint32_t lane_bytes, uint32_t lane)
{
    switch (lane_bytes) {
    case 2:
        return ((const uint16_t *)row)[lane];
    case 4:
        return ((const uint32_t *)row)[lane];
    default:
        return ((const uint64_t *)row)[lane];
    }
}

static inline void weft_exec_lane_write(void *row, uint32_t lane_bytes, uint32_t lane,
                                        uint64_t bits)
{
    switch (lane_bytes) {
    case 2:
        ((uint16_t *)row)[lane] = (uint16_t)bits;
        break;
    case 4:
        ((uint32_t *)row)[lane] = (uint32_t)bits;
        break;
    default:
        ((uint64_t *)row)[lane] = bits;
    }
}

/* Ends the kernel with the fault of the lowest lane in `lanes`; the instruction has no effect on
 * the others. */
void weft_exec_raise(struct weft_exec_run *run, const struct weft_exec_insn *insn, uint32_t lanes,
                     enum weft_exec_fault_kind kind, uint64_t address);

/* What a fault of the lane at the instruction is, but for the access itself. */
void weft_exec_describe_fault(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                              uint32_t lane, enum weft_exec_fault_kind kind, uint64_t address,
                              struct weft_exec_fault *fault);

/* block.c: memory of zeros for registers or stacks, aligned to 64 bytes; NULL without any. It is
 * given back with the size that it was asked for. */
char *weft_exec_zeros_create(uint64_t bytes);
void weft_exec_zeros_destroy(char *zeros, uint64_t bytes);

/* schedule.c */
void weft_exec_push(struct weft_exec_warp *warp, struct weft_exec_group group);
void weft_exec_pick(struct weft_exec_run *run);
void weft_exec_yield_to_better(struct weft_exec_run *run);
void weft_exec_park(struct weft_exec_run *run, uint32_t pc, uint32_t state, uint32_t waits_for);
void weft_exec_refresh(struct weft_exec_warp *warp);
/* The lanes that wait at a matrix instruction; makes them part of the running group; and lets those
 * go for whom nobody is left to wait for. */
uint32_t weft_exec_waiting(const struct weft_exec_warp *warp, uint32_t pc, uint32_t frame);
void weft_exec_join_waiting(struct weft_exec_run *run, uint32_t pc);
void weft_exec_waiting_recheck(struct weft_exec_warp *warp);
enum weft_exec_stop weft_exec_warp_run(struct weft_exec_run *run, int64_t quota);

/* control.c: lanes leave the kernel for good. */
void weft_exec_leave(struct weft_exec_run *run, uint32_t lanes);
/* barrier.c and exchange.c: lanes have left, so that those who wait may have nobody left to wait
 * for. */
void weft_exec_barriers_recheck(struct weft_exec_run *run);
void weft_exec_exchange_recheck(struct weft_exec_run *run);
void weft_exec_cluster_recheck(struct weft_exec_run *run);

/* Handler tables. */
extern const weft_exec_handler_fn weft_exec_handlers_baseline[WEFT_EXEC_OP_COUNT];
extern const weft_exec_handler_fn weft_exec_handlers_avx2[WEFT_EXEC_OP_COUNT];
extern const weft_exec_handler_fn weft_exec_handlers_avx512[WEFT_EXEC_OP_COUNT];
const weft_exec_handler_fn *weft_exec_isa_handlers(void);

#endif

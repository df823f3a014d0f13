/* The state of a block and its threads, and what its parts do to it. Private to the reference. */
#ifndef WEFT_TESTS_REFERENCE_MACHINE_H
#define WEFT_TESTS_REFERENCE_MACHINE_H

#include "reference.h"

#define MACHINE_FRAMES_MAX 1024
#define MACHINE_BARRIERS 16
#define MACHINE_CLUSTER_MAX 16
#define MACHINE_CLUSTER_STRIDE (768u << 10) /* from one rank's shared memory to the next */

/* One activation of a function. */
struct frame {
    const struct weft_ptx_function *function;
    const struct weft_ptx_call *call; /* the call that this frame waits in */
    uint32_t pc;
    uint64_t (*registers)[4];
    uint64_t local_start; /* where its .local variables begin in the thread's local memory */
    uint64_t local_end;
    uint8_t *params; /* parameters, then returns, then .param variables */
    uint32_t return_start, param_local_start, param_bytes;
    uint32_t
        unsized_start; /* what the caller gave for an unsized last parameter, behind all else */
};

enum thread_state { THREAD_READY, THREAD_WAITING, THREAD_EXITED };

struct thread {
    struct block *block;
    enum thread_state state;
    uint32_t index; /* in the block, x fastest */
    uint32_t tid[3];
    uint32_t frame_count, frame_room;
    struct frame *frames;
    uint8_t *local;
    bool carry;
    bool cluster_arrived;
    uint64_t steps;
};

/* What malloc has given out, in the order of the addresses. One a grid. */
#define HEAP_PIECES_MAX 4096
#define HEAP_ALIGN 16
struct heap_piece {
    uint64_t offset, bytes;
};
struct heap {
    uint64_t base, bytes;
    uint32_t count;
    struct heap_piece pieces[HEAP_PIECES_MAX];
};

/* The blocks that run together, by rank. */
struct cluster {
    uint32_t size[3];
    uint32_t count;
    struct block *blocks[MACHINE_CLUSTER_MAX];
};

struct block {
    struct cluster *cluster;
    uint32_t rank;
    const struct reference_launch *launch;
    struct heap *heap;
    uint32_t ctaid[3];
    uint32_t thread_count;
    struct thread *threads;
    uint8_t *shared;
    uint32_t shared_bytes;
    uint32_t
        arrived[MACHINE_BARRIERS]; /* threads that passed bar.arrive and are not yet counted off */
    struct weft_exec_fault fault;
    struct weft_err *err;
};

enum step { STEP_NEXT, STEP_JUMPED, STEP_WAIT, STEP_EXIT, STEP_FAULT, STEP_UNKNOWN };

static inline struct frame *thread_frame(struct thread *thread)
{
    return &thread->frames[thread->frame_count - 1];
}

static inline const struct weft_ptx_insn *thread_insn(struct thread *thread)
{
    struct frame *frame = thread_frame(thread);
    return &frame->function->insns[frame->pc];
}

/* operand.c: a source's bits as that type; the destination, extended to its register as the type
 * says. */
uint64_t operand_read(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type);
void operand_write(struct thread *thread, const struct weft_ptx_operand *operand, uint8_t type,
                   uint64_t bits);
/* The element of a vector operand or of a vector register; the operand itself where it is neither.
 */
struct weft_ptx_operand operand_element(const struct weft_ptx_operand *operand, unsigned index);
/* The same of 128 bits: a register, whose upper half is its second component, or two of 64 bits. */
void operand_read_wide(struct thread *thread, const struct weft_ptx_operand *operand,
                       uint64_t out[2]);
void operand_write_wide(struct thread *thread, const struct weft_ptx_operand *operand,
                        const uint64_t bits[2]);
/* The number that an ADDRESS operand names in the space of its symbol, or in its register. */
uint64_t operand_address(struct thread *thread, const struct weft_ptx_operand *operand);

/* layout.c: offsets of variables in the block's shared memory, and in a frame's local and parameter
 * memory. */
uint32_t layout_shared_bytes(const struct weft_ptx_module *module);
uint64_t layout_shared_offset(const struct weft_ptx_module *module,
                              const struct weft_ptx_function *function, uint32_t index,
                              bool module_variable);
uint64_t layout_frame_offset(const struct weft_ptx_function *function, uint32_t index);
uint64_t layout_frame_bytes(const struct weft_ptx_function *function, uint8_t space);

/* memory.c: the bytes behind an address of a space, or NULL with the fault recorded. */
void *memory_find(struct thread *thread, uint8_t space, uint64_t address, uint32_t bytes,
                  uint32_t align);
enum step memory_load(struct thread *thread, const struct weft_ptx_insn *insn);
enum step memory_store(struct thread *thread, const struct weft_ptx_insn *insn);
enum step memory_atomic(struct thread *thread, const struct weft_ptx_insn *insn);
/* The value of a cell after an atomic operation other than cas; false where the reference does not
 * know it. */
bool memory_combine(uint8_t operation, uint8_t type, uint32_t flags, uint64_t old, uint64_t value,
                    uint64_t *out);
enum step memory_convert_address(struct thread *thread, const struct weft_ptx_insn *insn);
enum step memory_take_stack(struct thread *thread, const struct weft_ptx_insn *insn);
enum step memory_is_space(struct thread *thread, const struct weft_ptx_insn *insn);

/* image.c: textures. texel.c: what one texel holds, as four floats, or four whole numbers where
 * `whole` says so. surface.c: surfaces. */
struct texel {
    bool whole;
    float real[4];
    uint32_t integer[4];
};
struct texel texel_decode(const struct weft_exec_texture *texture, const uint8_t *bytes);
struct texel texel_border(const struct weft_exec_texture *texture, const float border[4]);
bool texel_is_whole(const struct weft_exec_texture *texture);
uint32_t texel_bytes(const struct weft_exec_image *image);
uint32_t texel_channels(const struct weft_exec_image *image);
void texel_encode(const struct weft_exec_image *image, const uint32_t data[4], unsigned count,
                  uint8_t *bytes);
/* OpenCL's numbers for the kind of a channel and the channels that there are. */
uint32_t texel_type_number(const struct weft_exec_image *image);
uint32_t texel_order_number(const struct weft_exec_image *image);
bool texel_is_signed(const struct weft_exec_image *image);
enum step image_sample(struct thread *thread, const struct weft_ptx_insn *insn);
enum step image_query(struct thread *thread, const struct weft_ptx_insn *insn);
enum step image_is_type(struct thread *thread, const struct weft_ptx_insn *insn);
enum step image_surface(struct thread *thread, const struct weft_ptx_insn *insn);
/* The handle in the brackets, and what it names or NULL. */
uint64_t image_handle(struct thread *thread, const struct weft_ptx_operand *operand);
const struct weft_exec_texture *image_find(struct thread *thread, uint64_t handle);

/* control.c */
bool control_enter(struct thread *thread, const struct weft_ptx_function *function);
enum step control_call(struct thread *thread, const struct weft_ptx_insn *insn);
enum step control_return(struct thread *thread);
void control_leave_all(struct thread *thread);

/* system.c: a call of a function that has no body. STEP_UNKNOWN where the device provides none of
 * that name. */
enum step system_call(struct thread *thread, const struct weft_ptx_insn *insn, const char *name);

/* cluster.c: an offset in the window of shared memory, of the block itself or of a rank. */
void *cluster_shared(struct block *block, uint64_t offset, uint32_t bytes);
enum step cluster_perform(struct thread *thread, const struct weft_ptx_insn *insn);
uint64_t cluster_special(const struct block *block, uint32_t special, uint8_t component);
/* Lets those go who wait at the cluster's barrier, where all threads have arrived. */
bool cluster_release(struct cluster *cluster);

/* thread.c: runs a thread until it ends, waits, or `steps` are done. */
enum step thread_run(struct thread *thread, uint64_t steps);
enum step thread_fault(struct thread *thread, enum weft_exec_fault_kind kind, uint64_t address);

/* together.c: lets waiting threads go whose instruction is complete. True where one was let go. */
bool together_release(struct block *block);

#endif

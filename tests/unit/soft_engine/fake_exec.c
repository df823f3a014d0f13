/* An executor whose kernels are C functions chosen by the kernel's name, so that the tests decide
 * what a block does: a kernel takes two 64-bit parameters, an address and a value. */
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "softgpu/exec/exec.h"

struct weft_exec_program {
    const struct weft_ptx_module *module;
    const uint64_t *addresses;
    struct weft_exec_kernel *kernels;
};

typedef enum weft_exec_outcome (*behaviour_fn)(struct weft_exec_block *block);

struct weft_exec_kernel {
    const struct weft_ptx_function *function;
    behaviour_fn behave;
};

struct weft_exec_block {
    const struct weft_exec_launch *launch;
    uint64_t index;
    bool met;
    struct weft_exec_fault fault;
};

struct params {
    uint64_t address, value;
};

static const struct params *params_of(const struct weft_exec_block *block)
{
    return block->launch->params;
}

static uint32_t *word_of(const struct weft_exec_block *block)
{
    return (uint32_t *)(uintptr_t)(params_of(block)->address +
                                   (uint64_t)block->launch->memory->alias_delta);
}

static enum weft_exec_outcome count(struct weft_exec_block *block)
{
    __atomic_fetch_add(word_of(block), 1, __ATOMIC_RELAXED);
    return WEFT_EXEC_DONE;
}

/* Waits until the word has the value. */
static enum weft_exec_outcome await(struct weft_exec_block *block)
{
    bool there = __atomic_load_n(word_of(block), __ATOMIC_ACQUIRE) == params_of(block)->value;
    return there ? WEFT_EXEC_DONE : WEFT_EXEC_STALLED;
}

/* The same, by an executor that does not notice the spinning. */
static enum weft_exec_outcome spin(struct weft_exec_block *block)
{
    bool there = __atomic_load_n(word_of(block), __ATOMIC_ACQUIRE) == params_of(block)->value;
    return there ? WEFT_EXEC_DONE : WEFT_EXEC_PREEMPTED;
}

/* All blocks of the grid wait for each other. */
static enum weft_exec_outcome meet(struct weft_exec_block *block)
{
    if (!block->met)
        __atomic_fetch_add(word_of(block), 1, __ATOMIC_ACQ_REL);
    block->met = true;
    uint32_t blocks = block->launch->grid[0];
    return __atomic_load_n(word_of(block), __ATOMIC_ACQUIRE) % blocks == 0 ? WEFT_EXEC_DONE
                                                                           : WEFT_EXEC_STALLED;
}

/* Sets the word, then waits for the next one: two of these, crossed, wait for each other. */
static enum weft_exec_outcome handshake(struct weft_exec_block *block)
{
    uint32_t *words = word_of(block);
    uint64_t mine = params_of(block)->value;
    __atomic_store_n(&words[mine], 1, __ATOMIC_RELEASE);
    return __atomic_load_n(&words[1 - mine], __ATOMIC_ACQUIRE) ? WEFT_EXEC_DONE
                                                               : WEFT_EXEC_PREEMPTED;
}

/* Writes value + 1 where value is, and leaves a mark where another is: out of order. */
static enum weft_exec_outcome step(struct weft_exec_block *block)
{
    uint32_t *word = word_of(block);
    uint32_t wanted = (uint32_t)params_of(block)->value;
    *word = *word == wanted ? wanted + 1 : RIG_OUT_OF_ORDER;
    return WEFT_EXEC_DONE;
}

static enum weft_exec_outcome fault(struct weft_exec_block *block)
{
    block->fault = (struct weft_exec_fault){
        .kind = (enum weft_exec_fault_kind)params_of(block)->value,
        .function = "fault",
        .insn = "ld.global.u32",
        .line = 17,
        .thread = {3, 2, 1},
        .block = {(uint32_t)block->index, 0, 0},
        .address = 0xdead0,
    };
    return WEFT_EXEC_FAULTED;
}

static enum weft_exec_outcome endless(struct weft_exec_block *block)
{
    (void)block;
    return WEFT_EXEC_PREEMPTED;
}

/* Whatever its parameters are. */
static enum weft_exec_outcome nothing(struct weft_exec_block *block)
{
    (void)block;
    return WEFT_EXEC_DONE;
}

static const struct {
    const char *name;
    behaviour_fn behave;
} behaviours[] = {
    {"nothing", nothing}, {"count", count}, {"await", await},
    {"spin", spin},       {"meet", meet},   {"handshake", handshake},
    {"step", step},       {"fault", fault}, {"endless", endless},
};

int weft_exec_program_create(struct weft_exec_program **out, const struct weft_ptx_module *module,
                             const uint64_t *variable_addresses, struct weft_err *err)
{
    struct weft_exec_program *program = calloc(1, sizeof(*program));
    if (!program)
        return weft_fail(err, WEFT_ENOMEM, "no memory");
    program->module = module;
    program->addresses = variable_addresses;
    program->kernels = calloc(module->function_count + 1, sizeof(*program->kernels));
    *out = program;
    return 0;
}

void weft_exec_program_destroy(struct weft_exec_program *program)
{
    if (program)
        free(program->kernels);
    free(program);
}

int weft_exec_program_kernel(struct weft_exec_program *program, uint32_t function_index,
                             const struct weft_exec_kernel **out, struct weft_err *err)
{
    struct weft_exec_kernel *kernel = &program->kernels[function_index];
    kernel->function = &program->module->functions[function_index];
    for (size_t i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); i++)
        if (strcmp(behaviours[i].name, kernel->function->name) == 0)
            kernel->behave = behaviours[i].behave;
    if (!kernel->behave)
        return weft_fail(err, WEFT_ENOSYS, "ptx:%u: wmma.load is not supported",
                         kernel->function->line);
    *out = kernel;
    return 0;
}

struct weft_exec_kernel_info weft_exec_kernel_describe(const struct weft_exec_kernel *kernel)
{
    return (struct weft_exec_kernel_info){.name = kernel->function->name,
                                          .param_bytes = kernel->function->parameter_bytes,
                                          .static_shared_bytes = 1024,
                                          .registers = 32,
                                          .max_threads_per_block = 512};
}

int weft_exec_block_create(struct weft_exec_block **out, const struct weft_exec_launch *launch,
                           struct weft_err *err)
{
    struct weft_exec_block *block = calloc(1, sizeof(*block));
    if (!block)
        return weft_fail(err, WEFT_ENOMEM, "no memory");
    block->launch = launch;
    *out = block;
    return 0;
}

void weft_exec_block_destroy(struct weft_exec_block *block)
{
    free(block);
}

void weft_exec_block_start(struct weft_exec_block *block, uint64_t index, uint32_t sm_id)
{
    (void)sm_id;
    block->index = index;
    block->met = false;
}

enum weft_exec_outcome weft_exec_block_run(struct weft_exec_block *block, uint64_t budget,
                                           uint64_t *retired)
{
    enum weft_exec_outcome outcome = block->launch->kernel->behave(block);
    *retired += outcome == WEFT_EXEC_PREEMPTED ? budget : 10;
    return outcome;
}

const struct weft_exec_fault *weft_exec_block_fault(const struct weft_exec_block *block)
{
    return &block->fault;
}

/* Blocks of a grid in turn, and the threads of a block in turn. */
#include "reference.h"

#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define STEPS_A_TURN 64u

static int start_thread(struct block *block, uint32_t index)
{
    const struct reference_launch *launch = block->launch;
    const struct weft_ptx_function *function = &launch->module->functions[launch->function];
    struct thread *thread = &block->threads[index];
    *thread = (struct thread){.block = block, .index = index};
    thread->tid[0] = index % launch->block[0];
    thread->tid[1] = index / launch->block[0] % launch->block[1];
    thread->tid[2] = index / launch->block[0] / launch->block[1];
    thread->local = calloc(1, launch->stack_bytes + 1);
    if (!thread->local)
        return weft_fail(block->err, WEFT_ENOMEM, "a thread of the reference");
    if (!control_enter(thread, function))
        return weft_fail(block->err, WEFT_ERANGE, "the kernel's local memory is over its stack");
    if (function->parameter_bytes)
        memcpy(thread_frame(thread)->params, launch->params, function->parameter_bytes);
    return 0;
}

static int start_block(struct block *block)
{
    const struct reference_launch *launch = block->launch;
    block->thread_count = launch->block[0] * launch->block[1] * launch->block[2];
    block->shared_bytes = layout_shared_bytes(launch->module) + launch->dynamic_shared_bytes;
    block->threads = calloc(block->thread_count, sizeof *block->threads);
    block->shared = calloc(1, block->shared_bytes + 1);
    if (!block->threads || !block->shared)
        return weft_fail(block->err, WEFT_ENOMEM, "a block of the reference");
    int status = 0;
    for (uint32_t i = 0; i < block->thread_count && status == 0; i++)
        status = start_thread(block, i);
    return status;
}

static void finish_block(struct block *block)
{
    for (uint32_t i = 0; block->threads && i < block->thread_count; i++) {
        struct thread *thread = &block->threads[i];
        if (thread->frames)
            control_leave_all(thread);
        free(thread->frames);
        free(thread->local);
    }
    free(block->threads);
    free(block->shared);
}

enum turn { TURN_MOVED, TURN_STUCK, TURN_OVER, TURN_FAILED };

static enum turn take_turns(struct block *block, int *status)
{
    bool moved = false;
    bool over = true;
    for (uint32_t i = 0; i < block->thread_count; i++) {
        struct thread *thread = &block->threads[i];
        over = over && thread->state == THREAD_EXITED;
        if (thread->state != THREAD_READY)
            continue;
        moved = true;
        enum step step = thread_run(thread, STEPS_A_TURN);
        if (step == STEP_FAULT)
            *status = weft_fail(block->err, WEFT_EFAULT, "a kernel faulted");
        else if (step == STEP_UNKNOWN)
            *status = -WEFT_ENOSYS;
        else if (thread->steps > block->launch->steps_max)
            *status = weft_fail(block->err, WEFT_ETIMEDOUT, "over %lu steps",
                                (unsigned long)block->launch->steps_max);
        if (*status)
            return TURN_FAILED;
    }
    return over ? TURN_OVER : moved ? TURN_MOVED : TURN_STUCK;
}

static int run_block(struct block *block)
{
    int status = start_block(block);
    while (status == 0) {
        enum turn turn = take_turns(block, &status);
        if (turn == TURN_OVER || turn == TURN_FAILED)
            break;
        bool released = together_release(block);
        if (block->fault.kind)
            status = weft_fail(block->err, WEFT_EFAULT, "a kernel faulted");
        if (released || turn == TURN_MOVED)
            continue;
        block->fault.kind = WEFT_EXEC_FAULT_DEADLOCK;
        status = weft_fail(block->err, WEFT_EFAULT, "no thread can go on");
    }
    return status;
}

int reference_run(const struct reference_launch *launch, struct weft_exec_fault *fault,
                  struct weft_err *err)
{
    struct weft_err own = {0};
    uint64_t blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    int status = 0;
    for (uint64_t i = 0; i < blocks && status == 0; i++) {
        struct block block = {.launch = launch, .err = err ? err : &own};
        block.ctaid[0] = (uint32_t)(i % launch->grid[0]);
        block.ctaid[1] = (uint32_t)(i / launch->grid[0] % launch->grid[1]);
        block.ctaid[2] = (uint32_t)(i / launch->grid[0] / launch->grid[1]);
        status = run_block(&block);
        *fault = block.fault;
        finish_block(&block);
    }
    return status;
}

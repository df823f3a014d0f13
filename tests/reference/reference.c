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

/* One turn of all threads of a cluster, and what they do together. */
static enum turn turn_cluster(struct cluster *cluster, int *status)
{
    bool moved = false;
    bool over = true;
    for (uint32_t r = 0; r < cluster->count; r++) {
        struct block *block = cluster->blocks[r];
        enum turn turn = take_turns(block, status);
        if (turn == TURN_FAILED)
            return turn;
        over = over && turn == TURN_OVER;
        bool released = together_release(block);
        moved = moved || released || turn == TURN_MOVED;
        if (block->fault.kind)
            *status = weft_fail(block->err, WEFT_EFAULT, "a kernel faulted");
    }
    moved = cluster_release(cluster) || moved;
    return *status ? TURN_FAILED : over ? TURN_OVER : moved ? TURN_MOVED : TURN_STUCK;
}

static int run_cluster(struct cluster *cluster)
{
    int status = 0;
    enum turn turn = TURN_MOVED;
    for (uint32_t r = 0; r < cluster->count && status == 0; r++)
        status = start_block(cluster->blocks[r]);
    while (status == 0 && turn == TURN_MOVED)
        turn = turn_cluster(cluster, &status);
    if (turn == TURN_STUCK) {
        cluster->blocks[0]->fault.kind = WEFT_EXEC_FAULT_DEADLOCK;
        status = weft_fail(cluster->blocks[0]->err, WEFT_EFAULT, "no thread can go on");
    }
    return status;
}

/* The cluster number `unit` of the grid, x fastest, and in it the blocks by rank, x fastest too. */
static void place_block(struct block *block, uint64_t unit)
{
    uint32_t rank = block->rank;
    for (int i = 0; i < 3; i++) {
        uint32_t size = block->cluster->size[i];
        uint64_t units = block->launch->grid[i] / size;
        block->ctaid[i] = (uint32_t)(unit % units) * size + rank % size;
        unit /= units;
        rank /= size;
    }
}

int reference_run(const struct reference_launch *launch, struct weft_exec_fault *fault,
                  struct weft_err *err)
{
    struct weft_err own = {0};
    struct cluster cluster = {.count = 1};
    uint64_t units = 1;
    for (int i = 0; i < 3; i++) {
        cluster.size[i] = launch->cluster[i] ? launch->cluster[i] : 1;
        cluster.count *= cluster.size[i];
        units *= launch->grid[i] / cluster.size[i];
    }
    struct heap *heap = calloc(1, sizeof *heap);
    if (!heap)
        return weft_fail(err, WEFT_ENOMEM, "a heap of the reference");
    heap->base = launch->heap_base;
    heap->bytes = launch->heap_bytes;
    int status = 0;
    for (uint64_t unit = 0; unit < units && status == 0; unit++) {
        struct block blocks[MACHINE_CLUSTER_MAX];
        for (uint32_t r = 0; r < cluster.count; r++) {
            blocks[r] = (struct block){.cluster = &cluster,
                                       .rank = r,
                                       .launch = launch,
                                       .heap = heap,
                                       .err = err ? err : &own};
            cluster.blocks[r] = &blocks[r];
            place_block(&blocks[r], unit);
        }
        status = run_cluster(&cluster);
        for (uint32_t r = 0; r < cluster.count; r++) {
            if (r == 0 || blocks[r].fault.kind)
                *fault = blocks[r].fault;
            finish_block(&blocks[r]);
        }
    }
    free(heap);
    return status;
}

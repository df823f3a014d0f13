#include "softgpu/engine/grid.h"

#include <stdlib.h>

#include "softgpu/engine/device_time.h"
#include "softgpu/engine/turn.h"
#include "softgpu/handle.h"

static uint64_t fresh_blocks(struct weft_soft_grid *grid)
{
    uint64_t next = atomic_load_explicit(&grid->next_block, memory_order_relaxed);
    return next < grid->block_count ? grid->block_count - next : 0;
}

static bool may_begin_block(struct weft_soft_grid *grid)
{
    return grid->resident_count < grid->resident_limit && fresh_blocks(grid) != 0;
}

static int priority_of(struct weft_soft_grid *grid)
{
    return weft_soft_op_of_grid(grid)->stream->priority;
}

/* Behind the others, so that grids take turns; but one that has blocks to begin goes before those
 * of streams that are less urgent. Blocks that have begun take turns whatever their streams are,
 * since one may wait for another. */
static void queue(struct weft_soft_grid *grid)
{
    struct weft_soft_link *behind = weft_soft_scheduler.ready.previous;
    while (may_begin_block(grid) && behind != &weft_soft_scheduler.ready &&
           priority_of(WEFT_CONTAINER_OF(behind, struct weft_soft_grid, ready)) > priority_of(grid))
        behind = behind->previous;
    weft_soft_list_append(behind->next, &grid->ready);
}

static void list_if_runnable(struct weft_soft_grid *grid)
{
    struct weft_soft_device *device = weft_soft_op_of_grid(grid)->stream->context->device;
    bool runnable = !atomic_load(&grid->aborted) && (grid->parked_first || may_begin_block(grid));
    if (runnable == weft_soft_link_is_listed(&grid->ready))
        return;
    if (runnable) {
        queue(grid);
        atomic_fetch_add(&weft_soft_scheduler.ready_count, 1);
        weft_soft_turn_expect(&device->place);
        weft_soft_worker_wake();
    } else {
        weft_soft_list_remove(&grid->ready);
        atomic_fetch_sub(&weft_soft_scheduler.ready_count, 1);
        weft_soft_turn_forget(&device->place);
    }
}

void weft_soft_grid_start(struct weft_soft_grid *grid)
{
    uint32_t at_once = WEFT_MAX(weft_soft_scheduler.worker_count, 1u);
    grid->resident_limit = WEFT_MIN(grid->resident_max, at_once);
    list_if_runnable(grid);
}

static void complete_if_over(struct weft_soft_grid *grid)
{
    bool over = grid->finished == grid->block_count || atomic_load(&grid->aborted);
    if (!over || grid->running != 0)
        return;
    if (!atomic_load(&grid->aborted))
        weft_soft_device_time_kernel(weft_soft_op_of_grid(grid)->stream->context->device,
                                     atomic_load(&grid->retired));
    weft_soft_op_complete(weft_soft_op_of_grid(grid));
}

static void park(struct weft_soft_grid *grid, struct weft_soft_resident *resident)
{
    resident->next = NULL;
    if (grid->parked_last)
        grid->parked_last->next = resident;
    else
        grid->parked_first = resident;
    grid->parked_last = resident;
    weft_soft_scheduler.parked_count++;
    /* It may wait for a block that has not begun, so one more may be resident. */
    if (grid->resident_limit < grid->resident_max)
        grid->resident_limit++;
}

static struct weft_soft_resident *unpark(struct weft_soft_grid *grid)
{
    struct weft_soft_resident *resident = grid->parked_first;
    if (!resident)
        return NULL;
    grid->parked_first = resident->next;
    if (!grid->parked_first)
        grid->parked_last = NULL;
    weft_soft_scheduler.parked_count--;
    return resident;
}

static void keep_spare(struct weft_soft_grid *grid, struct weft_soft_resident *resident)
{
    resident->next = grid->spare;
    grid->spare = resident;
}

void weft_soft_grid_abort(struct weft_soft_grid *grid)
{
    if (atomic_exchange(&grid->aborted, true))
        return;
    struct weft_soft_resident *resident;
    while ((resident = unpark(grid)))
        keep_spare(grid, resident);
    list_if_runnable(grid);
    complete_if_over(grid);
}

bool weft_soft_grid_take(struct weft_soft_grid *grid, struct weft_soft_slice *slice)
{
    *slice = (struct weft_soft_slice){.grid = grid};
    if (may_begin_block(grid)) {
        slice->index = atomic_fetch_add(&grid->next_block, 1);
        slice->fresh = slice->index < grid->block_count;
    }
    if (slice->fresh) {
        grid->resident_count++;
        slice->resident = grid->spare;
        if (grid->spare)
            grid->spare = grid->spare->next;
    } else {
        slice->resident = unpark(grid);
    }
    bool taken = slice->fresh || slice->resident;
    if (taken)
        grid->running++;
    if (weft_soft_link_is_listed(&grid->ready)) {
        weft_soft_list_remove(&grid->ready);
        queue(grid);
    }
    list_if_runnable(grid);
    return taken;
}

void weft_soft_grid_settle(struct weft_soft_slice *slice)
{
    struct weft_soft_grid *grid = slice->grid;
    grid->running--;
    grid->finished += slice->finished;
    if (slice->resident && slice->unfinished && !atomic_load(&grid->aborted)) {
        park(grid, slice->resident);
    } else {
        grid->resident_count--;
        if (slice->resident)
            keep_spare(grid, slice->resident);
    }
    list_if_runnable(grid);
    complete_if_over(grid);
}

static void destroy_residents(struct weft_soft_resident *first)
{
    while (first) {
        struct weft_soft_resident *resident = first;
        first = resident->next;
        weft_exec_block_destroy(resident->block);
        free(resident);
    }
}

void weft_soft_grid_release(struct weft_soft_grid *grid)
{
    destroy_residents(grid->parked_first);
    destroy_residents(grid->spare);
    free(grid->large_params);
    if (grid->workspace)
        weft_soft_workspace_give(grid->workspace);
    if (grid->function)
        weft_soft_handle_put(grid->function);
}

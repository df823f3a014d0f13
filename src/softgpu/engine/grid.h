/* How the blocks of a grid are handed to workers, a slice at a time. A grid has blocks that have
 * not begun, blocks that were preempted or stalled (parked), and blocks that a worker runs right
 * now. Blocks begin one after the other; as blocks are parked, more may be resident at once, up to
 * what the device could hold, so that blocks that wait for each other all get there while a plain
 * grid keeps its working set small. */
#ifndef WEFT_SOFTGPU_ENGINE_GRID_H
#define WEFT_SOFTGPU_ENGINE_GRID_H

#include "softgpu/engine/schedule.h"

struct weft_soft_slice {
    struct weft_soft_grid *grid;
    struct weft_soft_resident *resident; /* NULL with `fresh`: its memory is still to be made */
    uint64_t index;                      /* of a fresh block */
    bool fresh;
    /* Filled in by the worker: */
    bool unfinished;   /* `resident` holds a block that goes on later */
    bool overtime;     /* the watchdog ends the grid */
    uint64_t finished; /* blocks that ended in this slice */
};

/* Both with the scheduler lock held. `take` is false where another worker was quicker. */
bool weft_soft_grid_take(struct weft_soft_grid *grid, struct weft_soft_slice *slice);
void weft_soft_grid_settle(struct weft_soft_slice *slice);

#endif

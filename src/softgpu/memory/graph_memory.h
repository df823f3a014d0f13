/* What the memory half knows of graphs' memory; soft.h says what the engine does with it. */
#ifndef WEFT_SOFTGPU_MEMORY_GRAPH_MEMORY_H
#define WEFT_SOFTGPU_MEMORY_GRAPH_MEMORY_H

#include <weft/cuda_table.h>

#include "softgpu/soft.h"

/* Addresses that a graph reserved at once. The graph holds a reference to its last one, and each
 * piece one. */
struct weft_soft_graph_segment {
    struct weft_soft_device *device;
    uint64_t address, bytes;
    uint64_t taken;      /* graph lock; bytes that are pieces */
    uint32_t references; /* memory lock */
    uint64_t physical;   /* in the arena, while mapped */
    bool is_mapped;      /* by the one executable graph that there is */
};

/* The addresses of one allocation node. */
struct weft_soft_graph_piece {
    struct weft_soft_graph_piece *next; /* memory lock; all pieces of the process */
    struct weft_soft_graph_segment *segment;
    uint64_t address, extent;
    uint64_t bytes;      /* as asked for */
    uint32_t references; /* memory lock */
};

/* Where a graph's address leads to, once it does; NULL where no graph has it. */
void *weft_soft_graph_memory_reach(uint64_t address, uint64_t bytes);
/* Gives the device what no graph uses. */
void weft_soft_graph_memory_trim(struct weft_soft_device *device);
void weft_soft_graph_memory_install(struct weft_cuda *table);

#endif

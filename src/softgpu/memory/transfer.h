/* One copy or set: bytes in rows in slices, from somewhere to somewhere, in stream order. */
#ifndef WEFT_SOFTGPU_MEMORY_TRANSFER_H
#define WEFT_SOFTGPU_MEMORY_TRANSFER_H

#include "softgpu/soft.h"

/* Where one side of a transfer lies. */
struct weft_soft_side {
    char *bytes;       /* as the host reaches it */
    uint64_t pitch;    /* from row to row */
    uint64_t slice;    /* from slice to slice */
    bool pageable;     /* the program's own memory, which a card could not reach by itself */
    bool program_only; /* host memory: the program expects it to be read or written by return */
};

struct weft_soft_transfer {
    struct weft_soft_side to, from; /* from.bytes is NULL for a set */
    uint64_t width, height, depth;  /* bytes, rows, slices */
    uint32_t value;                 /* of a set */
    uint32_t element_bytes;         /* of a set: 1, 2 or 4 */
};

/* Which kind of memory an address must be. */
enum weft_soft_place {
    WEFT_SOFT_PLACE_ANY,    /* cuMemcpy: what it is says its address */
    WEFT_SOFT_PLACE_DEVICE, /* whatever a kernel could reach */
    WEFT_SOFT_PLACE_HOST,
    WEFT_SOFT_PLACE_GRAPH = 4, /* added: a node's, which may name a graph's memory in advance */
};

/* Resolves an address into a side without pitch. INVALID_VALUE where [address, address + bytes) is
 * neither allocated nor mapped, or is device memory of which the program said it were the
 * host's. */
CUresult weft_soft_side_resolve(struct weft_soft_side *side, enum weft_soft_place place,
                                uint64_t address, uint64_t bytes);

enum weft_soft_wait {
    WEFT_SOFT_WAIT_HOST, /* until host memory that is involved may be used; device to device does
                            not wait for what runs before it in its stream */
    WEFT_SOFT_WAIT_NEVER /* but for pageable memory that is written, or too large to be staged */
};

/* Runs it at once where nothing stands before it in the stream, else in stream order. In the
 * current context. */
CUresult weft_soft_transfer_start(const struct weft_soft_transfer *transfer, CUstream stream,
                                  bool per_thread, enum weft_soft_wait wait);

/* While something captures (weft_soft_capture_is_on): whether a capture answers the call, with
 * *result. Work for a stream that captures becomes `node`, and who would wait is refused. */
bool weft_soft_transfer_captured(CUgraphNodeParams *node, CUstream stream, bool per_thread,
                                 enum weft_soft_wait wait, CUresult *result);

/* A task that runs it without any staging; released with the task. */
CUresult weft_soft_transfer_task(const struct weft_soft_transfer *transfer,
                                 struct weft_soft_task *task);

#endif

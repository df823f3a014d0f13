/* Device memory by IPC handles: a part of another process' arena, mapped here. */
#ifndef WEFT_SOFTGPU_MEMORY_IPC_H
#define WEFT_SOFTGPU_MEMORY_IPC_H

#include "softgpu/memory/memory.h"
#include "softgpu/ticket.h"

/* What an allocation has that another process made. */
struct weft_soft_import {
    uint64_t secret[2];   /* of its handle: the same one is opened once a context */
    uint32_t opens;       /* memory lock; it must be closed as often */
    uint64_t map_address; /* whole pages */
    uint64_t map_bytes;
    uint64_t taken_bytes; /* of addresses */
};

/* The handle of an allocation that ends leads nowhere any more. */
void weft_soft_ipc_revoke(struct weft_soft_allocation *allocation);
/* Ends the mapping of a claimed record. */
void weft_soft_ipc_unmap(struct weft_soft_allocation *allocation);

#endif

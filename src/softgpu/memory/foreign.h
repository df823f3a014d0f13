/* Registered host memory: what lies outside the window and yet may be used by kernels. A sorted
 * table under a sequence number, so that a kernel's look-up takes no lock: the reader tries again
 * when the number was odd or has moved. */
#ifndef WEFT_SOFTGPU_MEMORY_FOREIGN_H
#define WEFT_SOFTGPU_MEMORY_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_SOFT_FOREIGN_MAX 65536

struct weft_soft_foreign_entry {
    uint64_t start, end;
};

struct weft_soft_foreign {
    uint32_t sequence; /* odd while a writer is at work */
    uint32_t count;
    struct weft_soft_foreign_entry *entries; /* owned, sorted, apart from each other */
};

int weft_soft_foreign_open(struct weft_soft_foreign *foreign, struct weft_err *err);
void weft_soft_foreign_close(struct weft_soft_foreign *foreign);

/* Writers hold the memory lock. False where it overlaps another, or the table is full. */
bool weft_soft_foreign_add(struct weft_soft_foreign *foreign, uint64_t start, uint64_t bytes);
bool weft_soft_foreign_overlaps(const struct weft_soft_foreign *foreign, uint64_t start,
                                uint64_t bytes);
void weft_soft_foreign_remove(struct weft_soft_foreign *foreign, uint64_t start);

/* For struct weft_exec_memory: `context` is the table. Any thread, without a lock. NULL where
 * [address, address + bytes) does not lie in one registered range. */
void *weft_soft_foreign_reach(void *context, uint64_t address, uint64_t bytes);

#endif

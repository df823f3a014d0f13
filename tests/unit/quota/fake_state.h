/* What the parts of the fake driver share: fake_driver.c has addresses and pools, fake_context.c
 * contexts, fake_handles.c VMM memory and arrays. */
#ifndef WEFT_TEST_FAKE_STATE_H
#define WEFT_TEST_FAKE_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fake_driver.h"

#define BLOCKS_MAX 65536
#define POOLS_MAX 64
#define MEMORIES_MAX 64
#define CONTEXTS_MAX 16
#define ARRAYS_MAX 16

struct block {
    CUdeviceptr address; /* 0: free place */
    uint64_t bytes;
    int device;
    CUcontext context;
    struct fake_pool *pool;
};

struct fake_pool {
    bool live;
    int device;
    uint64_t used, pending, reserved;
};

struct fake_memory {
    uint64_t bytes; /* 0: free place */
    int device;
    int handles, mappings;
    int file; /* a memfd once it was exported; -1 */
};

struct fake_context {
    bool live;
    int device;
    int retained; /* primary contexts only */
};

/* Guarded by its lock. Contexts 0 … FAKE_DEVICES - 1 are the primary ones. */
struct fake_state {
    pthread_mutex_t lock;
    CUdeviceptr next_address;
    struct block blocks[BLOCKS_MAX];
    uint32_t blocks_used;
    struct fake_pool pools[POOLS_MAX]; /* 0 … FAKE_DEVICES - 1: the default ones */
    struct fake_memory memories[MEMORIES_MAX];
    struct {
        CUdeviceptr address;
        size_t size;
        struct fake_memory *memory;
    } mappings[MEMORIES_MAX];
    struct fake_context contexts[CONTEXTS_MAX];
    uint64_t arrays[ARRAYS_MAX]; /* not 0: alive */
};
extern struct fake_state fake_state;

/* The live context behind a handle, or NULL. */
struct fake_context *fake_context_of(CUcontext context);
CUcontext fake_current(void);
/* What fake.fail_next asks for, once. */
CUresult fake_injected(void);
/* Takes bytes of the device, if it has them. */
CUresult fake_grow(int device, uint64_t bytes);

void fake_context_install(struct weft_cuda *table);
void fake_handles_install(struct weft_cuda *table);

#endif

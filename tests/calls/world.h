/* Arguments for driver calls, made up from a string of bytes: handles of objects made before, stale
 * and invented ones, addresses in and beside allocations, sizes, small host buffers of exactly the
 * size that the call is told. */
#ifndef WEFT_TESTS_CALLS_WORLD_H
#define WEFT_TESTS_CALLS_WORLD_H

#include "calls.h"

enum {
    WORLD_OBJECTS_MAX =
        64, /* of each kind; what is made beyond is forgotten, and ends with its context */
    WORLD_BUFFERS_MAX = 4096,
    WORLD_OUTPUTS_MAX = 64,
    WORLD_VALUE_BYTES = 256,
};

/* Places for addresses beside those of the handles. */
enum world_pool { WORLD_DEVICE_MEMORY = CALL_OBJECTS, WORLD_PINNED_MEMORY, WORLD_POOLS };

struct world_object {
    uint64_t value;
    size_t bytes; /* of memory: what was asked for */
};

struct world_buffer {
    unsigned char *memory;
    size_t bytes;
};

struct world {
    const struct weft_cuda *table;
    uint64_t
        nowhere; /* a device address where nothing is allocated: others are the host's memory */
    const uint8_t *choices; /* what is left of them */
    size_t choice_count;
    struct world_object objects[WORLD_POOLS][WORLD_OBJECTS_MAX];
    size_t object_count[WORLD_POOLS];
    /* Host memory that calls may still read and write until everything has been given back. */
    struct world_buffer buffers[WORLD_BUFFERS_MAX];
    size_t buffer_count;
    /* Of the call being made. */
    unsigned char values[CALL_PARAMETERS_MAX][WORLD_VALUE_BYTES];
    void *arguments[CALL_PARAMETERS_MAX];
    struct world_buffer outputs[WORLD_OUTPUTS_MAX];
    size_t output_count;
    size_t memory_bytes; /* the size that the call names first */
};

/* Forgets what was there, makes a context and one object of each common kind, and takes new
 * choices. */
void world_begin(struct world *world, const uint8_t *choices, size_t count);
/* Makes a context current where none is. */
void world_enter(struct world *world);
/* The next choice; 0 when there are none left. */
uint8_t world_choose(struct world *world);
/* Makes up the arguments of one call: false where the world has no room for them. */
bool world_prepare(struct world *world, const struct call *call);
/* Makes the call that was prepared. Ends the process with a sentence if it failed and wrote an
 * output all the same. What it made is known from then on. */
CUresult world_call(struct world *world, const struct call *call);
void world_remember(struct world *world, unsigned int pool, uint64_t value, size_t bytes);
/* Gives the host memory back. */
void world_finish(struct world *world);

#endif

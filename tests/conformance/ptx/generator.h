/* Random kernels: straight-line code over registers of all types, with branches, loops, switches,
 * calls, memory that is always in bounds, predicates, and what warps and blocks do together where
 * they are together. What a kernel leaves behind does not depend on the order in which its threads
 * run, nor on the payload of a NaN. */
#ifndef WEFT_TESTS_CONFORMANCE_PTX_GENERATOR_H
#define WEFT_TESTS_CONFORMANCE_PTX_GENERATOR_H

#include <stddef.h>
#include <stdint.h>

#include "values.h"

#define GENERATOR_TEXT_BYTES (64u << 10)
#define GENERATOR_RECORD_BYTES 256u /* one of `in` and one of `out` for each thread */
#define GENERATOR_THREADS 64u
#define GENERATOR_COUNTER_BYTES 512u /* in front of the records of `out` */

/* One register as it stands in a record. */
struct generator_register {
    char kind; /* of values.h */
    unsigned index;
    unsigned offset;
};

struct generator {
    struct dice dice;
    char text[GENERATOR_TEXT_BYTES];
    size_t used;
    unsigned labels;
    unsigned depth;
    unsigned mask;       /* the register of the mask of this side of a branch */
    unsigned statements; /* that may still be written */
};

/* Writes the kernel of a seed: `.entry kernel(out, in)`, for blocks of GENERATOR_THREADS. */
void generator_make(struct generator *generator, uint64_t seed);

/* The registers that a record holds; the count. */
size_t generator_registers(const struct generator_register **out);

#endif

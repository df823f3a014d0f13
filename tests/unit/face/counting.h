/* The counting driver, as both of its sides see it: libcounting.so records, the test reads. */
#ifndef WEFT_TESTS_COUNTING_H
#define WEFT_TESTS_COUNTING_H

#include <stddef.h>

#include "cuda/entries.h"

#define COUNTING_ARGUMENT_BYTES 512

/* What one function of the driver was called with: its arguments' bytes, one after the other. */
struct counting_record {
    unsigned int calls; /* atomic */
    size_t size;
    unsigned char bytes[COUNTING_ARGUMENT_BYTES];
};

/* In the driver. */
extern struct counting_record counting_records[WEFT_CUDA_ENTRIES];
void counting_begin(size_t index);
void counting_record(size_t index, const void *argument, size_t size);
/* A result that only this entry returns; no result of CUDA's. */
CUresult counting_result(size_t index);

/* In the test. */
typedef CUresult (*counting_call_fn)(weft_cuda_fn function);
extern const counting_call_fn counting_callers[WEFT_CUDA_ENTRIES];
/* Fills an argument with bytes that no other argument of the call has, and notes them. */
void caller_fill(void *argument, size_t size);

#endif

/* What the generated driver is made of. Only the test reads the records, and calls no function
 * twice at a time. */
#include "counting.h"

#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED struct counting_record counting_records[WEFT_CUDA_ENTRIES];

void counting_begin(size_t index)
{
    struct counting_record *record = &counting_records[index];
    __atomic_add_fetch(&record->calls, 1, __ATOMIC_RELAXED);
    record->size = 0;
}

void counting_record(size_t index, const void *argument, size_t size)
{
    struct counting_record *record = &counting_records[index];
    if (record->size + size <= sizeof(record->bytes))
        memcpy(record->bytes + record->size, argument, size);
    record->size += size;
}

CUresult counting_result(size_t index)
{
    return (CUresult)(100000 + index);
}

/* Every driver call with what api/ says of its parameters, so that tests can make arguments up. The
 * table is generated; its order is that of the entries (cuda/entries.h). */
#ifndef WEFT_TESTS_CALLS_H
#define WEFT_TESTS_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/cuda_table.h>

#include "call_objects.h"
#include "cuda/entries.h"

#define CALL_PARAMETERS_MAX 16

enum call_kind {
    CALL_PLAIN,
    CALL_DEVICE,
    CALL_HOST,
    CALL_PINNED,
    CALL_TEXT,
    CALL_IMAGE,
    CALL_OPTIONS,
    CALL_ATTRIBUTE,
    CALL_ATTRIBUTES,
    CALL_FUNCTION,
    CALL_OPAQUE,
    CALL_PARAMETERS,
    CALL_LAUNCH_EXTRA,
    CALL_LAUNCH_CONFIG,
    CALL_COPY,
    CALL_RESOURCE,
    CALL_NODE,
    CALL_SHAREABLE,
};

enum call_verb { CALL_NEITHER, CALL_CREATES, CALL_USES, CALL_DESTROYS };

/* A field of a record that is no record itself. Unions that hold pointers have none. */
struct call_field {
    uint32_t offset, bytes;
    enum call_object object;
    bool pointer; /* to whatever, or a function */
    bool device;  /* a device address */
    const int *values;
    uint32_t value_count;
};

struct call_parameter {
    const char *name;
    uint32_t bytes;        /* of the parameter itself */
    uint32_t target_bytes; /* of one element of what it points to; 0: no pointer */
    enum call_kind kind;
    enum call_object object; /* what the handle, or each handle that it points to, names */
    bool in, out;
    enum call_verb verb;
    int count_of;      /* the parameter that says how many elements there are, or -1 */
    uint32_t count;    /* as many, where it is a number; 0 otherwise */
    const int *values; /* of an enumeration */
    uint32_t value_count;
    const struct call_field *fields; /* of a record */
    uint32_t field_count;
};

struct call {
    const char *symbol;
    /* Calls the table's entry with the arguments that stand at a[0], a[1] … */
    CUresult (*invoke)(const struct weft_cuda *table, void *const *a);
    const struct call_parameter *parameters; /* NULL where there are none or nothing is described */
    uint32_t parameter_count;
};

extern const struct call call_list[WEFT_CUDA_ENTRIES];

#endif

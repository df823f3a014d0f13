/* The forms of PTX, by what they are about. */
#ifndef WEFT_TESTS_CONFORMANCE_PTX_TABLES_H
#define WEFT_TESTS_CONFORMANCE_PTX_TABLES_H

#include "forms.h"

struct form_table {
    const char *name;
    const struct form_row *rows;
    size_t count;
    bool optional; /* forms that an executor may still lack */
    bool every;    /* of one source of 16 bits: the long suite tries all its values */
};

extern const struct form_table form_tables[];
extern const size_t form_table_count;

#endif

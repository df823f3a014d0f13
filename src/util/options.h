/* Command lines: long options from a table, which is also what --help prints. */
#ifndef WEFT_UTIL_OPTIONS_H
#define WEFT_UTIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <weft/err.h>

struct weft_option {
    const char *name;       /* without its dashes */
    const char *value_name; /* NULL: a flag */
    const char *help;
    const char **value; /* where the text goes; borrowed from argv */
    bool *flag;
};

/* Takes options (`--name value`, `--name=value`, --help as -h) up to the first word that is none,
 * or past `--`. Returns the index of that word. WEFT_EINVAL: an unknown option, a value too many or
 * missing. An option given twice: the last counts. */
int weft_options_parse(int argc, char **argv, const struct weft_option *options, size_t count,
                       struct weft_err *err);
void weft_options_print(FILE *out, const struct weft_option *options, size_t count);

#endif

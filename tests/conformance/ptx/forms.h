/* Tables of instruction forms, and the machine that runs each with many values on executor and
 * reference. */
#ifndef WEFT_TESTS_CONFORMANCE_PTX_FORMS_H
#define WEFT_TESTS_CONFORMANCE_PTX_FORMS_H

#include <stdbool.h>
#include <stddef.h>

#include "rig.h"
#include "values.h"

#define FORM_TEXT_BYTES 128
#define FORM_SOURCES_MAX 4

enum form_check {
    FORM_EXACT,    /* bit by bit; NaN of a float equals any NaN */
    FORM_DIVISOR,  /* not where the second source is zero: PTX leaves that open */
    FORM_RELATIVE, /* |got - want| <= bound × |want| */
    FORM_ABSOLUTE, /* |got - want| <= bound */
    FORM_EITHER,   /* the larger of the two */
    FORM_ANGLE, /* absolute, for |x| <= 2 pi; 2^-14.7 up to 100 pi; outside, only that it is between
                   -1 and 1 */
    FORM_QUOTIENT, /* relative, where |b| is between 2^-126 and 2^128 */
};

/* A pattern names many forms by {a,b,c}. The signature reads DEST=SOURCES in the kinds of values.h;
 * `0` and `1` stand for the kind of the form's first and second type, `D` for the first of double
 * width, `P` for a pair p|q of predicates. A pattern with a blank in it writes its operands itself,
 * as %r (and %q), %a0, %a1 … */
struct form_row {
    const char *pattern;
    const char *signature;
    enum form_check check;
    double bound;
    const char *tail;   /* after the sources, such as an immediate */
    const char *before; /* an instruction in front, which may use the sources %a0 … */
    bool carry;         /* CC.CF afterwards is a result too */
    /* ld, st, atom, red: the first source is what a cell of the form's space holds before, and what
     * it holds afterwards is a result too. */
    bool cell;
};

struct form_tally {
    unsigned passed, failed, missing;
    bool every; /* forms of one source of 16 bits, or of pairs, are tried with every value of 16
                   bits */
};

/* Runs all forms of a table. A form that the parser or the executor says it lacks counts as
 * missing, and is printed. */
void forms_run(struct rig *rig, const struct form_row *rows, size_t count,
               struct form_tally *tally);

/* Writes the next expansion of `pattern` for number `index`; false behind the last. */
bool form_expand(const char *pattern, unsigned index, char out[FORM_TEXT_BYTES]);

#endif

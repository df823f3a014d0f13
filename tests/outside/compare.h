/* What the programs of this folder share: comparing what the device computed with what the host
 * did. Each function returns how many values differ, and names the first. */
#ifndef WEFT_TESTS_OUTSIDE_COMPARE_H
#define WEFT_TESTS_OUTSIDE_COMPARE_H

#include <math.h>
#include <stdio.h>

/* Relative to the larger of the expected value and 1. Two NaNs are alike. */
static inline int differ(const char *what, double got, double expected, double tolerance)
{
    double scale = fabs(expected) > 1 ? fabs(expected) : 1;
    if (got == expected || (isnan(got) && isnan(expected)) ||
        fabs(got - expected) <= tolerance * scale)
        return 0;
    printf("%s is %.17g, expected %.17g\n", what, got, expected);
    return 1;
}

static inline int differ_long(const char *what, long got, long expected)
{
    if (got == expected)
        return 0;
    printf("%s is %ld, expected %ld\n", what, got, expected);
    return 1;
}

static inline int differ_doubles(const char *what, const double *got, const double *expected,
                                 int count, double tolerance)
{
    for (int i = 0; i < count; i++)
        if (differ(what, got[i], expected[i], tolerance)) {
            printf("at %d of %d\n", i, count);
            return 1;
        }
    return 0;
}

static inline int differ_ints(const char *what, const int *got, const int *expected, int count)
{
    for (int i = 0; i < count; i++)
        if (differ_long(what, got[i], expected[i])) {
            printf("at %d of %d\n", i, count);
            return 1;
        }
    return 0;
}

#endif

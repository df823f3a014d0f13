/* What every benchmark does with its samples: interleaved pairs, medians. */
#ifndef WEFT_BENCH_TIMING_H
#define WEFT_BENCH_TIMING_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static inline double bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline int bench_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Sorts the samples; `share` 0.5 is the median, 0.99 the 99th percentile. */
static inline double bench_quantile(double *samples, size_t count, double share)
{
    qsort(samples, count, sizeof(*samples), bench_compare);
    return samples[(size_t)(share * (double)(count - 1) + 0.5)];
}

#endif

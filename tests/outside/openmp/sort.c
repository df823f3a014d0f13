/* A bitonic sort with one kernel a stage, and an odd-even sort with barriers inside one team. */
#include <stdlib.h>
#include <string.h>

#include "../compare.h"

enum { COUNT = 512, FEW = 48 };

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void fill(int *values, int count)
{
    unsigned state = 12345;
    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (int)(state >> 8);
    }
}

static int bitonic(void)
{
    int values[COUNT], expected[COUNT];
    fill(values, COUNT);
    memcpy(expected, values, sizeof values);
    qsort(expected, COUNT, sizeof *expected, compare);
#pragma omp target data map(tofrom : values)
    for (int size = 2; size <= COUNT; size *= 2)
        for (int stride = size / 2; stride > 0; stride /= 2) {
#pragma omp target teams distribute parallel for
            for (int i = 0; i < COUNT; i++) {
                int other = i ^ stride, up = (i & size) == 0;
                if (other > i && (values[i] > values[other]) == up) {
                    int kept = values[i];
                    values[i] = values[other];
                    values[other] = kept;
                }
            }
        }
    return differ_ints("bitonic", values, expected, COUNT);
}

static int odd_even(void)
{
    int values[FEW], expected[FEW];
    fill(values, FEW);
    memcpy(expected, values, sizeof values);
    qsort(expected, FEW, sizeof *expected, compare);
#pragma omp target map(tofrom : values)
#pragma omp parallel num_threads(32)
    for (int round = 0; round < FEW; round++) {
#pragma omp for
        for (int i = round % 2; i < FEW - 1; i += 2)
            if (values[i] > values[i + 1]) {
                int kept = values[i];
                values[i] = values[i + 1];
                values[i + 1] = kept;
            }
    }
    return differ_ints("odd-even", values, expected, FEW);
}

int main(void)
{
    return bitonic() + odd_even() != 0;
}

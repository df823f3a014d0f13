/* An OpenMP target program as users write it: a loop over teams with a map and a reduction, which
 * must equal the host's results. */
#include <stdio.h>

enum { COUNT = 1000 };

static double from[COUNT], to[COUNT];

int main(void)
{
    double sum = 0, expected = 0;
    for (int i = 0; i < COUNT; i++) {
        from[i] = i;
        expected += 2.0 * i;
    }
#pragma omp target teams distribute parallel for map(to : from) map(from : to) map(tofrom : sum) \
    reduction(+ : sum)
    for (int i = 0; i < COUNT; i++) {
        to[i] = 2 * from[i];
        sum += to[i];
    }
    for (int i = 0; i < COUNT; i++)
        if (to[i] != 2 * from[i]) {
            printf("to[%d] is %g\n", i, to[i]);
            return 1;
        }
    printf("sum %g, expected %g\n", sum, expected);
    return sum != expected;
}

/* Monte Carlo: each point has a generator of its own, so that the count equals the host's exactly.
 */
#include <stdint.h>

#include "../compare.h"

enum { WALKERS = 640, DRAWS = 50 };

#pragma omp declare target
static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int inside(int walker)
{
    uint64_t state = (uint64_t)walker * 0x9e3779b97f4a7c15u;
    int hits = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = (double)next(&state) / 2147483648.0, y = (double)next(&state) / 2147483648.0;
        hits += x * x + y * y < 1;
    }
    return hits;
}
#pragma omp end declare target

int main(void)
{
    int hits = 0, expected = 0;
#pragma omp target teams distribute parallel for reduction(+ : hits) map(tofrom : hits)
    for (int i = 0; i < WALKERS; i++)
        hits += inside(i);
    for (int i = 0; i < WALKERS; i++)
        expected += inside(i);
    printf("about %g\n", 4.0 * hits / (WALKERS * DRAWS));
    return differ_long("hits", hits, expected);
}

/* Jacobi's method on a plate: two grids that stay on the device, and a residue each round. */
#include <string.h>

#include "../compare.h"

enum { SIDE = 34, CELLS = SIDE * SIDE, ROUNDS = 12 };

static double here[CELLS], there[CELLS], here_host[CELLS], there_host[CELLS];

static double relaxed(const double *from, double *to)
{
    double residue = 0;
#pragma omp target teams distribute parallel for collapse(2) reduction(max        \
                                                                       : residue) \
    map(to                                                                        \
        : from [0:CELLS]) map(from                                                \
                              : to [0:CELLS]) map(tofrom                          \
                                                  : residue)
    for (int y = 1; y < SIDE - 1; y++)
        for (int x = 1; x < SIDE - 1; x++) {
            int i = y * SIDE + x;
            to[i] = 0.25 * (from[i - 1] + from[i + 1] + from[i - SIDE] + from[i + SIDE]);
            residue = fmax(residue, fabs(to[i] - from[i]));
        }
    return residue;
}

static double relaxed_host(const double *from, double *to)
{
    double residue = 0;
    for (int y = 1; y < SIDE - 1; y++)
        for (int x = 1; x < SIDE - 1; x++) {
            int i = y * SIDE + x;
            to[i] = 0.25 * (from[i - 1] + from[i + 1] + from[i - SIDE] + from[i + SIDE]);
            residue = fmax(residue, fabs(to[i] - from[i]));
        }
    return residue;
}

int main(void)
{
    int wrong = 0;
    for (int i = 0; i < SIDE; i++)
        here[i] = there[i] = 100.0 + i;
    memcpy(here_host, here, sizeof here);
    memcpy(there_host, there, sizeof there);
#pragma omp target data map(tofrom : here, there)
    for (int round = 0; round < ROUNDS; round++) {
        double residue = round % 2 ? relaxed(there, here) : relaxed(here, there);
        double expected =
            round % 2 ? relaxed_host(there_host, here_host) : relaxed_host(here_host, there_host);
        wrong += differ("residue", residue, expected, 1e-14);
    }
    wrong += differ_doubles("here", here, here_host, CELLS, 1e-14) +
             differ_doubles("there", there, there_host, CELLS, 1e-14);
    return wrong != 0;
}

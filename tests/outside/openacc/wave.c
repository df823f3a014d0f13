/* A wave on a string and heat in a block: stencils in one and three dimensions. */
#include <string.h>

#include "../compare.h"

enum { POINTS = 500, STEPS = 10, SIDE = 12 };

static void wave(double *now, double *before, int steps, int on_device)
{
#pragma acc data copy(now [0:POINTS], before [0:POINTS]) if (on_device)
    for (int step = 0; step < steps; step++) {
#pragma acc parallel loop present(now [0:POINTS], before [0:POINTS]) if (on_device)
        for (int i = 1; i < POINTS - 1; i++)
            before[i] = 2 * now[i] - before[i] + 0.25 * (now[i - 1] - 2 * now[i] + now[i + 1]);
        double *kept = now;
        now = before;
        before = kept;
    }
}

static void heat(double (*from)[SIDE][SIDE], double (*to)[SIDE][SIDE], int on_device)
{
#pragma acc parallel loop gang copyin(from [0:SIDE]) copy(to [0:SIDE]) if (on_device)
    for (int x = 1; x < SIDE - 1; x++) {
#pragma acc loop vector collapse(2)
        for (int y = 1; y < SIDE - 1; y++)
            for (int z = 1; z < SIDE - 1; z++)
                to[x][y][z] = (from[x - 1][y][z] + from[x + 1][y][z] + from[x][y - 1][z] +
                               from[x][y + 1][z] + from[x][y][z - 1] + from[x][y][z + 1]) /
                              6;
    }
}

int main(void)
{
    static double there[2][POINTS], here[2][POINTS];
    static double from[SIDE][SIDE][SIDE], hot[SIDE][SIDE][SIDE], hot_host[SIDE][SIDE][SIDE];
    for (int i = 0; i < POINTS; i++)
        there[0][i] = there[1][i] = sin(i * 0.02);
    memcpy(here, there, sizeof here);
    wave(there[0], there[1], STEPS, 1);
    wave(here[0], here[1], STEPS, 0);
    for (int i = 0; i < SIDE * SIDE * SIDE; i++)
        (&from[0][0][0])[i] = i * 37 % 101;
    heat(from, hot, 1);
    heat(from, hot_host, 0);
    return differ_doubles("now", there[0], here[0], POINTS, 1e-13) +
               differ_doubles("before", there[1], here[1], POINTS, 1e-13) +
               differ_doubles("heat", &hot[0][0][0], &hot_host[0][0][0], SIDE * SIDE * SIDE,
                              1e-14) !=
           0;
}

/* Loops over gangs, workers and vector lanes in each of their combinations: every iteration runs
 * once. */
#include <openacc.h>
#include <string.h>

#include "../compare.h"

enum { X = 11, Y = 8, Z = 35, CELLS = X * Y * Z };

static int seen[CELLS], once[CELLS];

static int three_levels(void)
{
    memset(seen, 0, sizeof seen);
#pragma acc parallel num_gangs(7) num_workers(4) vector_length(32) copy(seen)
#pragma acc loop gang
    for (int x = 0; x < X; x++) {
#pragma acc loop worker
        for (int y = 0; y < Y; y++) {
#pragma acc loop vector
            for (int z = 0; z < Z; z++)
                seen[(x * Y + y) * Z + z]++;
        }
    }
    return differ_ints("three levels", seen, once, CELLS);
}

static int collapsed(void)
{
    memset(seen, 0, sizeof seen);
#pragma acc parallel loop gang vector collapse(3) copy(seen) vector_length(64)
    for (int x = 0; x < X; x++)
        for (int y = 0; y < Y; y++)
            for (int z = 0; z < Z; z++)
                seen[(x * Y + y) * Z + z]++;
    return differ_ints("collapsed", seen, once, CELLS);
}

static int tiled(void)
{
    memset(seen, 0, sizeof seen);
#pragma acc parallel loop tile(4, 8) copy(seen)
    for (int x = 0; x < X * Y; x++)
        for (int z = 0; z < Z; z++)
            seen[x * Z + z]++;
    return differ_ints("tiled", seen, once, CELLS);
}

static int kernels(void)
{
    memset(seen, 0, sizeof seen);
#pragma acc kernels copy(seen)
    {
#pragma acc loop independent
        for (int i = 0; i < CELLS; i++)
            seen[i] += 2;
#pragma acc loop independent
        for (int i = 0; i < CELLS; i++)
            seen[i]--;
    }
    return differ_ints("kernels", seen, once, CELLS);
}

static int alone(void)
{
    int total = 0, device = 0;
#pragma acc serial copyin(once) copy(total) copyout(device)
    {
        for (int i = 0; i < CELLS; i++)
            total += once[i];
        device = acc_on_device(acc_device_nvidia);
    }
    return differ_long("serial", total, CELLS) + differ_long("on the device", device, 1);
}

int main(void)
{
    for (int i = 0; i < CELLS; i++)
        once[i] = 1;
    return three_levels() + collapsed() + tiled() + kernels() + alone() != 0;
}

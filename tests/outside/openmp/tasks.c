/* Regions that run beside the host and behind each other: nowait, depend, tasks on the device. */
#include "../compare.h"

enum { COUNT = 400, PIECES = 4, PIECE = COUNT / PIECES };

static int chained(void)
{
    int values[COUNT], wrong = 0;
#pragma omp target enter data map(alloc : values)
#pragma omp target nowait depend(out : values)
    for (int i = 0; i < COUNT; i++)
        values[i] = i;
#pragma omp target nowait depend(inout : values)
    for (int i = 0; i < COUNT; i++)
        values[i] += 1000;
#pragma omp target update from(values) nowait depend(in : values)
#pragma omp taskwait
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("chained", values[i], 1000 + i);
#pragma omp target exit data map(delete : values)
    return wrong;
}

static int beside(void)
{
    int values[PIECES][PIECE], wrong = 0;
#pragma omp parallel num_threads(PIECES)
#pragma omp single
    for (int piece = 0; piece < PIECES; piece++) {
#pragma omp task firstprivate(piece) shared(values)
        {
            int *mine = values[piece];
#pragma omp target teams distribute parallel for map(from : mine [0:PIECE])
            for (int i = 0; i < PIECE; i++)
                mine[i] = piece * 1000 + i;
        }
    }
    for (int piece = 0; piece < PIECES; piece++)
        for (int i = 0; i < PIECE; i++)
            wrong += differ_long("beside", values[piece][i], piece * 1000 + i);
    return wrong;
}

static int on_the_device(void)
{
    int done[32] = {0}, wrong = 0;
#pragma omp target map(tofrom : done)
#pragma omp parallel num_threads(8)
#pragma omp single
    {
        for (int i = 0; i < 32; i++) {
#pragma omp task firstprivate(i)
            done[i] += i + 1;
        }
#pragma omp taskwait
        for (int i = 0; i < 32; i++)
            done[i] *= 2;
    }
    for (int i = 0; i < 32; i++)
        wrong += differ_long("task", done[i], 2 * (i + 1));
    return wrong;
}

int main(void)
{
    return chained() + beside() + on_the_device() != 0;
}

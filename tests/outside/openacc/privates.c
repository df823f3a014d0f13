/* What belongs to a gang, a worker or a lane: private and firstprivate variables and arrays, and
 * prefix sums in gangs. */
#include "../compare.h"

enum { GANGS = 12, PIECE = 64, COUNT = GANGS * PIECE };

static int arrays(void)
{
    int results[COUNT], start = 50, scratch[8], wrong = 0;
    for (int i = 0; i < 8; i++)
        scratch[i] = -1;
#pragma acc parallel loop firstprivate(start) private(scratch) copyout(results)
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < 8; k++)
            scratch[k] = i * k;
        int sum = start;
        for (int k = 0; k < 8; k++)
            sum += scratch[(k + i) % 8];
        results[i] = sum;
    }
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("private", results[i], 50 + 28 * i);
    return wrong + differ_long("host's own", scratch[3], -1);
}

static int prefix_sums(void)
{
    static int values[COUNT], sums[COUNT];
    int totals[GANGS], wrong = 0, expected = 0;
    for (int i = 0; i < COUNT; i++)
        values[i] = i * 29 % 13 - 5;
#pragma acc data copyin(values) copyout(sums) create(totals)
    {
#pragma acc parallel loop gang num_gangs(GANGS)
        for (int gang = 0; gang < GANGS; gang++) {
            int sum = 0;
#pragma acc loop seq
            for (int i = gang * PIECE; i < (gang + 1) * PIECE; i++)
                sums[i] = sum += values[i];
            totals[gang] = sum;
        }
#pragma acc parallel loop gang num_gangs(GANGS)
        for (int gang = 1; gang < GANGS; gang++) {
            int before = 0;
#pragma acc loop seq
            for (int i = 0; i < gang; i++)
                before += totals[i];
#pragma acc loop vector
            for (int i = 0; i < PIECE; i++)
                sums[gang * PIECE + i] += before;
        }
    }
    for (int i = 0; i < COUNT; i++) {
        expected += values[i];
        wrong += differ_long("prefix sum", sums[i], expected);
    }
    return wrong;
}

int main(void)
{
    return arrays() + prefix_sums() != 0;
}

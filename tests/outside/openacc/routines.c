/* Routines of the device: sequential, over vector lanes and over workers, recursion, and variables
 * that live there. */
#include "../compare.h"

enum { ROWS = 20, COLUMNS = 70 };

static int factors[4] = {1, 3, 5, 7}, counter;
#pragma acc declare copyin(factors)
#pragma acc declare create(counter)

#pragma acc routine seq
static int gcd(int a, int b)
{
    return b == 0 ? a : gcd(b, a % b);
}

#pragma acc routine seq
static int hanoi(int discs)
{
    return discs == 0 ? 0 : hanoi(discs - 1) + 1 + hanoi(discs - 1);
}

#pragma acc routine vector
static void fill_row(int *row, int by)
{
#pragma acc loop vector
    for (int i = 0; i < COLUMNS; i++)
        row[i] = gcd(i + 1, by) * factors[by % 4];
}

#pragma acc routine worker
static void fill_rows(int (*rows)[COLUMNS], int from, int to)
{
#pragma acc loop worker
    for (int row = from; row < to; row++)
        fill_row(rows[row], row + 1);
}

static int levels(void)
{
    static int rows[ROWS][COLUMNS];
    int wrong = 0;
#pragma acc parallel copyout(rows) num_gangs(4) num_workers(4) vector_length(32)
#pragma acc loop gang
    for (int part = 0; part < 4; part++)
        fill_rows(rows, part * ROWS / 4, (part + 1) * ROWS / 4);
    for (int row = 0; row < ROWS; row++)
        for (int i = 0; i < COLUMNS; i++)
            wrong += differ_long("row", rows[row][i], gcd(i + 1, row + 1) * factors[(row + 1) % 4]);
    return wrong;
}

static int recursion(void)
{
    int moves[8], wrong = 0;
#pragma acc parallel loop copyout(moves)
    for (int i = 0; i < 8; i++)
        moves[i] = hanoi(i);
    for (int i = 0; i < 8; i++)
        wrong += differ_long("moves", moves[i], (1 << i) - 1);
    return wrong;
}

static int variables(void)
{
    int kept = 0;
#pragma acc serial present(counter)
    counter = 10;
    for (int round = 0; round < 3; round++) {
#pragma acc serial present(counter)
        counter += 5;
    }
#pragma acc serial copyout(kept) present(counter)
    kept = counter;
    return differ_long("host's copy", counter, 0) + differ_long("counter", kept, 25);
}

int main(void)
{
    return levels() + recursion() + variables() != 0;
}

/* Prefix sums: in rounds over the whole array, and in blocks with a team each. */
#include "../compare.h"

enum { COUNT = 1024, BLOCK = 64, BLOCKS = COUNT / BLOCK };

static int input[COUNT], expected[COUNT];

static int in_rounds(void)
{
    static int a[COUNT], b[COUNT];
    for (int i = 0; i < COUNT; i++)
        a[i] = input[i];
#pragma omp target data map(tofrom : a) map(alloc : b)
    for (int step = 1; step < COUNT; step *= 2) {
#pragma omp target teams distribute parallel for
        for (int i = 0; i < COUNT; i++)
            b[i] = a[i] + (i >= step ? a[i - step] : 0);
#pragma omp target teams distribute parallel for
        for (int i = 0; i < COUNT; i++)
            a[i] = b[i];
    }
    return differ_ints("in rounds", a, expected, COUNT);
}

static int in_blocks(void)
{
    static int sums[COUNT], totals[BLOCKS];
#pragma omp target data map(from : sums) map(alloc : totals)
    {
#pragma omp target teams distribute parallel for map(to : input) num_teams(BLOCKS)
        for (int block = 0; block < BLOCKS; block++) {
            int sum = 0;
            for (int i = block * BLOCK; i < (block + 1) * BLOCK; i++)
                sums[i] = sum += input[i];
            totals[block] = sum;
        }
#pragma omp target
        for (int block = 1; block < BLOCKS; block++)
            totals[block] += totals[block - 1];
#pragma omp target teams distribute num_teams(BLOCKS)
        for (int block = 1; block < BLOCKS; block++) {
#pragma omp parallel for
            for (int i = 0; i < BLOCK; i++)
                sums[block * BLOCK + i] += totals[block - 1];
        }
    }
    return differ_ints("in blocks", sums, expected, COUNT);
}

int main(void)
{
    int sum = 0;
    for (int i = 0; i < COUNT; i++) {
        input[i] = (i * 31) % 17 - 8;
        expected[i] = sum += input[i];
    }
    return in_rounds() + in_blocks() != 0;
}

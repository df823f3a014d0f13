/* Conjugate gradients on a sparse matrix in compressed rows: every product, sum and update runs on
 * the device. */
#include "../compare.h"

enum { SIDE = 12, ROWS = SIDE * SIDE, ENTRIES_MAX = 5 * ROWS, ROUNDS_MAX = 60 };

static int first[ROWS + 1], column[ENTRIES_MAX];
static double entry[ENTRIES_MAX], x[ROWS], r[ROWS], p[ROWS], q[ROWS], wanted[ROWS], right[ROWS];

static void add(int *count, int row, int at, double value)
{
    if (at < 0 || at >= ROWS || (at == row - 1 && row % SIDE == 0) ||
        (at == row + 1 && at % SIDE == 0))
        return;
    column[*count] = at;
    entry[(*count)++] = value;
}

/* The five points of Laplace's operator on a square. */
static void fill(void)
{
    int count = 0;
    for (int row = 0; row < ROWS; row++) {
        first[row] = count;
        add(&count, row, row - SIDE, -1);
        add(&count, row, row - 1, -1);
        add(&count, row, row, 4);
        add(&count, row, row + 1, -1);
        add(&count, row, row + SIDE, -1);
        wanted[row] = (row * 37) % 11 - 5;
    }
    first[ROWS] = count;
    for (int row = 0; row < ROWS; row++)
        for (int i = first[row]; i < first[row + 1]; i++)
            right[row] += entry[i] * wanted[column[i]];
}

static void multiply(void)
{
#pragma omp target teams distribute parallel for
    for (int row = 0; row < ROWS; row++) {
        double sum = 0;
        for (int i = first[row]; i < first[row + 1]; i++)
            sum += entry[i] * p[column[i]];
        q[row] = sum;
    }
}

static double dot(const double *a, const double *b)
{
    double sum = 0;
#pragma omp target teams distribute parallel for reduction(+ : sum) map(tofrom : sum)              \
    map(to : a[0 : ROWS], b[0 : ROWS])
    for (int i = 0; i < ROWS; i++)
        sum += a[i] * b[i];
    return sum;
}

static void step(double alpha)
{
#pragma omp target teams distribute parallel for
    for (int i = 0; i < ROWS; i++) {
        x[i] += alpha * p[i];
        r[i] -= alpha * q[i];
    }
}

static void turn(double beta)
{
#pragma omp target teams distribute parallel for
    for (int i = 0; i < ROWS; i++)
        p[i] = r[i] + beta * p[i];
}

int main(void)
{
    fill();
    for (int i = 0; i < ROWS; i++)
        r[i] = p[i] = right[i];
#pragma omp target data map(to : first, column, entry, r, p, q) map(tofrom : x)
    {
        double error = dot(r, r);
        for (int round = 0; round < ROUNDS_MAX && error > 1e-22; round++) {
            multiply();
            step(error / dot(p, q));
            double next = dot(r, r);
            turn(next / error);
            error = next;
        }
    }
    return differ_doubles("x", x, wanted, ROWS, 1e-9);
}

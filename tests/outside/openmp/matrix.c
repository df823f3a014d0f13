/* Matrices: products in float and double, a transpose, and a factorisation whose product gives the
 * matrix back. */
#include <string.h>

#include "../compare.h"

enum { SIDE = 24, CELLS = SIDE * SIDE };

static float fa[CELLS], fb[CELLS], fc[CELLS];
static double a[CELLS], b[CELLS], c[CELLS], expected[CELLS];

static int products(void)
{
    int wrong = 0;
#pragma omp target teams distribute parallel for collapse(2) map(to                       \
                                                                 : a, b, fa, fb) map(from \
                                                                                     : c, fc)
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            double sum = 0;
            float fsum = 0;
            for (int k = 0; k < SIDE; k++) {
                sum += a[row * SIDE + k] * b[k * SIDE + column];
                fsum += fa[row * SIDE + k] * fb[k * SIDE + column];
            }
            c[row * SIDE + column] = sum;
            fc[row * SIDE + column] = fsum;
        }
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            double sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += a[row * SIDE + k] * b[k * SIDE + column];
            wrong += differ("product", c[row * SIDE + column], sum, 1e-13) +
                     differ("float product", (double)fc[row * SIDE + column], sum, 1e-4);
        }
    return wrong;
}

static int transpose(void)
{
#pragma omp target teams distribute parallel for collapse(2) map(to : a) map(from : c)
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            c[column * SIDE + row] = a[row * SIDE + column];
    for (int i = 0; i < CELLS; i++)
        expected[i] = a[i % SIDE * SIDE + i / SIDE];
    return differ_doubles("transpose", c, expected, CELLS, 0);
}

/* Gauss without pivots: L and U share one matrix, in which the first has ones on its diagonal. */
static int factorisation(void)
{
    static double lu[CELLS];
    memcpy(lu, a, sizeof lu);
#pragma omp target data map(tofrom : lu)
    for (int k = 0; k < SIDE - 1; k++) {
#pragma omp target teams distribute parallel for
        for (int row = k + 1; row < SIDE; row++) {
            lu[row * SIDE + k] /= lu[k * SIDE + k];
            for (int column = k + 1; column < SIDE; column++)
                lu[row * SIDE + column] -= lu[row * SIDE + k] * lu[k * SIDE + column];
        }
    }
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            double sum = row <= column ? lu[row * SIDE + column] : 0;
            for (int k = 0; k < row && k <= column; k++)
                sum += lu[row * SIDE + k] * lu[k * SIDE + column];
            c[row * SIDE + column] = sum;
        }
    return differ_doubles("L times U", c, a, CELLS, 1e-10);
}

int main(void)
{
    for (int i = 0; i < CELLS; i++) {
        a[i] = (i * 13) % 19 - 9 + (i % (SIDE + 1) == 0 ? 300 : 0);
        b[i] = (i * 7) % 23 / 4.0;
        fa[i] = (float)a[i];
        fb[i] = (float)b[i];
    }
    return products() + transpose() + factorisation() != 0;
}

/* Products of matrices in tiles, in float, double and int, and of structures of them. */
#include "../compare.h"

enum { SIDE = 32 };

struct pair {
    double re, im;
};

static double a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];
static float fa[SIDE][SIDE], fc[SIDE][SIDE];
static struct pair pa[SIDE][SIDE], pc[SIDE][SIDE];

static int real(void)
{
    int wrong = 0;
#pragma acc parallel loop tile(8, 8) copyin(a, b, fa) copyout(c, fc)
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            double sum = 0;
            float fsum = 0;
#pragma acc loop seq
            for (int k = 0; k < SIDE; k++) {
                sum += a[row][k] * b[k][column];
                fsum += fa[row][k] * fa[k][column];
            }
            c[row][column] = sum;
            fc[row][column] = fsum;
        }
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            double sum = 0, fsum = 0;
            for (int k = 0; k < SIDE; k++) {
                sum += a[row][k] * b[k][column];
                fsum += (double)fa[row][k] * (double)fa[k][column];
            }
            wrong += differ("double", c[row][column], sum, 1e-13) +
                     differ("float", (double)fc[row][column], fsum, 1e-4);
        }
    return wrong;
}

static int of_pairs(void)
{
    int wrong = 0;
#pragma acc parallel loop gang vector collapse(2) copyin(pa) copyout(pc)
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            struct pair sum = {0, 0};
            for (int k = 0; k < SIDE; k++) {
                struct pair x = pa[row][k], y = pa[k][column];
                sum.re += x.re * y.re - x.im * y.im;
                sum.im += x.re * y.im + x.im * y.re;
            }
            pc[row][column] = sum;
        }
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            double re = 0, im = 0;
            for (int k = 0; k < SIDE; k++) {
                struct pair x = pa[row][k], y = pa[k][column];
                re += x.re * y.re - x.im * y.im;
                im += x.re * y.im + x.im * y.re;
            }
            wrong += differ("re", pc[row][column].re, re, 1e-12) +
                     differ("im", pc[row][column].im, im, 1e-12);
        }
    return wrong;
}

int main(void)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        int row = i / SIDE, column = i % SIDE;
        a[row][column] = (i * 13) % 17 / 4.0;
        b[row][column] = (i * 5) % 29 - 14;
        fa[row][column] = (float)((i * 11) % 31) / 32;
        pa[row][column] = (struct pair){i % 7 - 3, i % 5 / 2.0};
    }
    return real() + of_pairs() != 0;
}

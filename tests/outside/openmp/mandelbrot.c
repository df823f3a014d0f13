/* Mandelbrot's set: every point leaves its loop at another time, and ends with the same count as on
 * the host. */
#include "../compare.h"

enum { WIDTH = 64, HEIGHT = 48, ROUNDS_MAX = 200 };

static int there[WIDTH * HEIGHT], here[WIDTH * HEIGHT];

#pragma omp declare target
static int rounds(int x, int y)
{
    double a = -2.0 + 2.75 * x / WIDTH, b = -1.2 + 2.4 * y / HEIGHT, re = 0, im = 0;
    int n = 0;
    while (n < ROUNDS_MAX && re * re + im * im < 4) {
        double next = re * re - im * im + a;
        im = 2 * re * im + b;
        re = next;
        n++;
    }
    return n;
}
#pragma omp end declare target

int main(void)
{
#pragma omp target teams distribute parallel for collapse(2) map(from : there)
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            there[y * WIDTH + x] = rounds(x, y);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        here[i] = rounds(i % WIDTH, i / WIDTH);
    return differ_ints("rounds", there, here, WIDTH * HEIGHT);
}

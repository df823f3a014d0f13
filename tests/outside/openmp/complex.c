/* Complex numbers: products, quotients, magnitudes, and a Fourier transform. */
#include <complex.h>

#include "../compare.h"

enum { COUNT = 64 };

#define PI 3.14159265358979323846

static double complex signal[COUNT], there[COUNT], here[COUNT];

#pragma omp declare target
static double complex coefficient(const double complex *values, int k)
{
    double complex sum = 0;
    for (int i = 0; i < COUNT; i++) {
        double angle = -2 * PI * (k * i % COUNT) / COUNT;
        sum += values[i] * (cos(angle) + I * sin(angle));
    }
    return sum / (1 + 0.5 * I);
}
#pragma omp end declare target

int main(void)
{
    double power = 0, power_host = 0;
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
        signal[i] = (i % 9 - 4) + I * (i % 5);
#pragma omp target teams distribute parallel for map(to : signal) map(from : there)                \
    reduction(+ : power) map(tofrom : power)
    for (int k = 0; k < COUNT; k++) {
        there[k] = coefficient(signal, k);
        power += cabs(there[k]) * creal(there[k] * conj(there[k]));
    }
    for (int k = 0; k < COUNT; k++) {
        here[k] = coefficient(signal, k);
        power_host += cabs(here[k]) * creal(here[k] * conj(here[k]));
        wrong += differ("real part", creal(there[k]), creal(here[k]), 1e-12) +
                 differ("imaginary part", cimag(there[k]), cimag(here[k]), 1e-12);
    }
    return wrong + differ("power", power, power_host, 1e-11) != 0;
}

/* The device's mathematics library in double and float against the host's. */
#include "../compare.h"

enum { COUNT = 200, FUNCTIONS = 10 };

#pragma acc routine seq
static void all(double x, double *out)
{
    out[0] = sin(x) * cos(x) + tan(x / 4);
    out[1] = exp(-x * x) + exp2(x);
    out[2] = log(x * x + 1) * sqrt(fabs(x));
    out[3] = pow(fabs(x) + 0.5, x);
    out[4] = atan2(x, 2) + asin(x / 10) + acos(x / 10);
    out[5] = sinh(x) - cosh(x) + tanh(x);
    out[6] = erf(x) + cbrt(x) + hypot(x, 1);
    out[7] = floor(x) + ceil(x) + fmod(x, 0.7) + copysign(1, x);
    out[8] = fmax(x, 0.25) + fmin(x, 0.25) + ldexp(x, 3);
    out[9] = lgamma(fabs(x) + 1) + log1p(fabs(x)) + expm1(x);
}

#pragma acc routine seq
static void all_float(float x, double *out)
{
    out[0] = (double)(sinf(x) * cosf(x) + tanf(x / 4));
    out[1] = (double)(expf(-x * x) + exp2f(x));
    out[2] = (double)(logf(x * x + 1) * sqrtf(fabsf(x)));
    out[3] = (double)powf(fabsf(x) + 0.5f, x);
    out[4] = (double)(atan2f(x, 2) + asinf(x / 10) + acosf(x / 10));
    out[5] = (double)(sinhf(x) - coshf(x) + tanhf(x));
    out[6] = (double)(erff(x) + cbrtf(x) + hypotf(x, 1));
    out[7] = (double)(floorf(x) + ceilf(x) + fmodf(x, 0.7f) + copysignf(1, x));
    out[8] = (double)(fmaxf(x, 0.25f) + fminf(x, 0.25f) + ldexpf(x, 3));
    out[9] = (double)(lgammaf(fabsf(x) + 1) + log1pf(fabsf(x)) + expm1f(x));
}

static double wide[COUNT][FUNCTIONS], narrow[COUNT][FUNCTIONS];

int main(void)
{
    int wrong = 0;
#pragma acc parallel loop copyout(wide, narrow)
    for (int i = 0; i < COUNT; i++) {
        all(i * 0.05 - 5, wide[i]);
        all_float((float)(i * 0.05 - 5), narrow[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        double expected[FUNCTIONS];
        all(i * 0.05 - 5, expected);
        wrong += differ_doubles("double", wide[i], expected, FUNCTIONS, 1e-12);
        all_float((float)(i * 0.05 - 5), expected);
        wrong += differ_doubles("float", narrow[i], expected, FUNCTIONS, 1e-4);
    }
    return wrong != 0;
}

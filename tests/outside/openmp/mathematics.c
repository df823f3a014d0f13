/* The device's mathematics library against the host's, in double and in float. */
#include "../compare.h"

enum { COUNT = 96, FUNCTIONS = 30 };

#pragma omp declare target
static void of_double(double x, double *out)
{
    *out++ = sin(x);
    *out++ = cos(x);
    *out++ = tan(x);
    *out++ = asin(x / 8);
    *out++ = acos(x / 8);
    *out++ = atan(x);
    *out++ = atan2(x, 0.3);
    *out++ = sinh(x);
    *out++ = cosh(x);
    *out++ = tanh(x);
    *out++ = exp(x);
    *out++ = exp2(x);
    *out++ = expm1(x);
    *out++ = log(x + 8);
    *out++ = log2(x + 8);
    *out++ = log10(x + 8);
    *out++ = log1p(x + 7);
    *out++ = sqrt(x + 8);
    *out++ = cbrt(x);
    *out++ = pow(x + 8, 1.7);
    *out++ = hypot(x, 2.5);
    *out++ = erf(x);
    *out++ = tgamma(x + 8);
    *out++ = lgamma(x + 8);
    *out++ = floor(x);
    *out++ = ceil(x);
    *out++ = trunc(x);
    *out++ = round(x);
    *out++ = fmod(x, 1.3);
    *out++ = fma(x, x, 1);
}

static void of_float(float x, double *out)
{
    *out++ = (double)sinf(x);
    *out++ = (double)cosf(x);
    *out++ = (double)tanf(x);
    *out++ = (double)asinf(x / 8);
    *out++ = (double)acosf(x / 8);
    *out++ = (double)atanf(x);
    *out++ = (double)atan2f(x, 0.3f);
    *out++ = (double)sinhf(x);
    *out++ = (double)coshf(x);
    *out++ = (double)tanhf(x);
    *out++ = (double)expf(x);
    *out++ = (double)exp2f(x);
    *out++ = (double)expm1f(x);
    *out++ = (double)logf(x + 8);
    *out++ = (double)log2f(x + 8);
    *out++ = (double)log10f(x + 8);
    *out++ = (double)log1pf(x + 7);
    *out++ = (double)sqrtf(x + 8);
    *out++ = (double)cbrtf(x);
    *out++ = (double)powf(x + 8, 1.7f);
    *out++ = (double)hypotf(x, 2.5f);
    *out++ = (double)erff(x);
    *out++ = (double)tgammaf(x + 8);
    *out++ = (double)lgammaf(x + 8);
    *out++ = (double)floorf(x);
    *out++ = (double)ceilf(x);
    *out++ = (double)truncf(x);
    *out++ = (double)roundf(x);
    *out++ = (double)fmodf(x, 1.3f);
    *out++ = (double)fmaf(x, x, 1);
}
#pragma omp end declare target

static double wide[COUNT][FUNCTIONS], narrow[COUNT][FUNCTIONS];

static double argument(int i)
{
    return -7.75 + i * 0.1625;
}

int main(void)
{
    int wrong = 0;
#pragma omp target teams distribute parallel for map(from : wide, narrow)
    for (int i = 0; i < COUNT; i++) {
        double x = -7.75 + i * 0.1625;
        of_double(x, wide[i]);
        of_float((float)x, narrow[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        double expected[FUNCTIONS];
        of_double(argument(i), expected);
        wrong += differ_doubles("double", wide[i], expected, FUNCTIONS, 1e-13);
        of_float((float)argument(i), expected);
        wrong += differ_doubles("float", narrow[i], expected, FUNCTIONS, 1e-5);
    }
    return wrong != 0;
}

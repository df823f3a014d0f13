/* Bodies, fractals and the mathematical library. */
#include "checks.h"

#define BODIES 100

int check_nbody(struct stage *stage)
{
    float bodies[BODIES][4];
    float got[BODIES][4];
    uint32_t random = 7;
    int n = BODIES;
    float soft = 0.01f;
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 4; k++)
            bodies[i][k] = k == 3 ? 1.5f : check_random_float(&random);
    uint64_t pb = check_put(stage, bodies, sizeof bodies);
    uint64_t pa = check_put(stage, NULL, sizeof got);
    struct stage_launch launch = {
        "nbody_step",
        {4, 1, 1},
        {32, 1, 1},
        32 * 16,
        4,
        {STAGE_ARGUMENT(pb), STAGE_ARGUMENT(pa), STAGE_ARGUMENT(n), STAGE_ARGUMENT(soft)}};
    if (stage->launch(stage, &launch) || stage->read(stage, got, pa, sizeof got))
        return -1;
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++) {
            double sum = 0;
            double scale = 0;
            for (int j = 0; j < BODIES; j++) {
                double r2 = soft;
                for (int c = 0; c < 3; c++)
                    r2 += pow((double)bodies[j][c] - bodies[i][c], 2);
                double term = ((double)bodies[j][k] - bodies[i][k]) * bodies[j][3] / pow(r2, 1.5);
                sum += term;
                scale += fabs(term);
            }
            if (!check_near(got[i][k], sum, 1e-5, 1e-5 * scale))
                return check_report("nbody_step", 4 * i + k, got[i][k], sum);
        }
    return 0;
}

#define WIDTH 45
#define HEIGHT 31
#define MOST 200

static int escape(int column, int row)
{
    volatile float cx = -2.0f + 3.0f * (float)column / (float)WIDTH;
    volatile float cy = -1.0f + 2.0f * (float)row / (float)HEIGHT;
    volatile float x = 0;
    volatile float y = 0;
    int count = 0;
    while (count < MOST) {
        volatile float xx = x * x;
        volatile float yy = y * y;
        volatile float product = x * y;
        if (xx + yy > 4.0f)
            break;
        y = 2.0f * product + cy;
        volatile float difference = xx - yy;
        x = difference + cx;
        count++;
    }
    return count;
}

int check_mandelbrot(struct stage *stage)
{
    static int counts[WIDTH * HEIGHT];
    int width = WIDTH;
    int height = HEIGHT;
    int most = MOST;
    uint64_t pc = check_put(stage, NULL, sizeof counts);
    struct stage_launch launch = {
        "mandelbrot",
        {6, 8, 1},
        {8, 4, 1},
        0,
        4,
        {STAGE_ARGUMENT(pc), STAGE_ARGUMENT(width), STAGE_ARGUMENT(height), STAGE_ARGUMENT(most)}};
    if (stage->launch(stage, &launch) || stage->read(stage, counts, pc, sizeof counts))
        return -1;
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        if (counts[i] != escape(i % WIDTH, i / WIDTH))
            return check_report("mandelbrot", i, counts[i], escape(i % WIDTH, i / WIDTH));
    return 0;
}

#define VALUES 200
#define FUNCTIONS 16
#define FAST_FUNCTIONS 8

static double function_value(int function, double x)
{
    switch (function) {
    case 0:
        return sin(x);
    case 1:
        return cos(x);
    case 2:
        return tan(x);
    case 3:
        return exp(x / 8);
    case 4:
        return log(fabs(x) + 0.25);
    case 5:
        return pow(fabs(x) + 0.5, 1.75);
    case 6:
        return sqrt(fabs(x));
    case 7:
        return cbrt(x);
    case 8:
        return atan2(x, 3.0);
    case 9:
        return tanh(x / 4);
    case 10:
        return erf(x / 3);
    case 11:
        return tgamma(fabs(x) / 8 + 1);
    case 12:
        return fmod(x, 0.7);
    case 13:
        return asin(x / 64);
    case 14:
        return rint(x * 1.5);
    default:
        return hypot(x, 2.0) / 3;
    }
}

static double fast_value(int function, double x)
{
    switch (function) {
    case 0:
        return sin(x / 16);
    case 1:
        return cos(x / 16);
    case 2:
        return exp(x / 8);
    case 3:
        return log(fabs(x) + 0.25);
    case 4:
        return pow(fabs(x) + 0.5, 1.75);
    case 5:
        return x / 3;
    case 6:
        return 1 / sqrt(fabs(x) + 0.5);
    default:
        return 1 / (x + 100);
    }
}

/* Doubles are near to a few units in the last place of a large intermediate; fmod(x, 0.7f) is of
 * the float's 0.7. */
static int check_double(struct stage *stage, const double *in)
{
    static double out[VALUES][FUNCTIONS];
    int n = VALUES;
    uint64_t pi = check_put(stage, in, VALUES * sizeof *in);
    uint64_t po = check_put(stage, NULL, sizeof out);
    struct stage_launch launch = {"functions_double",
                                  {7, 1, 1},
                                  {32, 1, 1},
                                  0,
                                  3,
                                  {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(po), STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, out, po, sizeof out))
        return -1;
    for (int i = 0; i < VALUES; i++)
        for (int f = 0; f < FUNCTIONS; f++)
            if (!check_near(out[i][f], function_value(f, in[i]), 4e-15, 1e-16))
                return check_report("functions_double", FUNCTIONS * i + f, out[i][f],
                                    function_value(f, in[i]));
    return 0;
}

static int check_single(struct stage *stage, const float *in)
{
    static float out[VALUES][FUNCTIONS];
    int n = VALUES;
    uint64_t pi = check_put(stage, in, VALUES * sizeof *in);
    uint64_t po = check_put(stage, NULL, sizeof out);
    struct stage_launch launch = {"functions_single",
                                  {7, 1, 1},
                                  {32, 1, 1},
                                  0,
                                  3,
                                  {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(po), STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, out, po, sizeof out))
        return -1;
    for (int i = 0; i < VALUES; i++)
        for (int f = 0; f < FUNCTIONS; f++) {
            double want = f == 12   ? fmodf(in[i], 0.7f)
                          : f == 14 ? rintf(in[i] * 1.5f)
                                    : function_value(f, in[i]);
            if (!check_near(out[i][f], want, 2e-6, 1e-7))
                return check_report("functions_single", FUNCTIONS * i + f, out[i][f], want);
        }
    return 0;
}

static int check_fast(struct stage *stage, const float *in)
{
    static float out[VALUES][FAST_FUNCTIONS];
    int n = VALUES;
    uint64_t pi = check_put(stage, in, VALUES * sizeof *in);
    uint64_t po = check_put(stage, NULL, sizeof out);
    struct stage_launch launch = {"functions_fast",
                                  {7, 1, 1},
                                  {32, 1, 1},
                                  0,
                                  3,
                                  {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(po), STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, out, po, sizeof out))
        return -1;
    for (int i = 0; i < VALUES; i++)
        for (int f = 0; f < FAST_FUNCTIONS; f++)
            if (!check_near(out[i][f], fast_value(f, in[i]), 4e-6, 2e-6))
                return check_report("functions_fast", FAST_FUNCTIONS * i + f, out[i][f],
                                    fast_value(f, in[i]));
    return 0;
}

int check_mathematics(struct stage *stage)
{
    double in[VALUES];
    float single[VALUES];
    uint32_t random = 8;
    for (int i = 0; i < VALUES; i++) {
        single[i] = i < 3 ? (float)i : 6 * check_random_float(&random);
        in[i] = single[i];
    }
    return check_double(stage, in) || check_single(stage, single) || check_fast(stage, single) ? -1
                                                                                               : 0;
}

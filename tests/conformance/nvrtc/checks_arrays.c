/* Vectors, products, reductions, histograms and sorting. */
#include <stdlib.h>

#include "checks.h"

#define N 1000

static int check_add(struct stage *stage, const float *a, const float *b)
{
    float c[N];
    int n = N;
    uint64_t pa = check_put(stage, a, sizeof c);
    uint64_t pb = check_put(stage, b, sizeof c);
    uint64_t pc = check_put(stage, NULL, sizeof c);
    struct stage_launch launch = {
        "vector_add",
        {8, 1, 1},
        {128, 1, 1},
        0,
        4,
        {STAGE_ARGUMENT(pa), STAGE_ARGUMENT(pb), STAGE_ARGUMENT(pc), STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, c, pc, sizeof c))
        return -1;
    for (int i = 0; i < N; i++)
        if (c[i] != a[i] + b[i])
            return check_report("vector_add", i, c[i], a[i] + b[i]);
    return 0;
}

static int check_axpy(struct stage *stage, const float *x, const float *y)
{
    float got[N];
    float alpha = 1.5f;
    int n = N;
    uint64_t px = check_put(stage, x, sizeof got);
    uint64_t py = check_put(stage, y, sizeof got);
    struct stage_launch launch = {
        "axpy_strided",
        {2, 1, 1},
        {96, 1, 1},
        0,
        4,
        {STAGE_ARGUMENT(alpha), STAGE_ARGUMENT(px), STAGE_ARGUMENT(py), STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, got, py, sizeof got))
        return -1;
    for (int i = 0; i < N; i++)
        if (got[i] != fmaf(alpha, x[i], y[i]))
            return check_report("axpy", i, got[i], fmaf(alpha, x[i], y[i]));
    return 0;
}

static int check_scale(struct stage *stage, const float *v)
{
    float got[N];
    _Alignas(16) struct {
        float f[4];
    } factor = {{1, -2, 0.5f, 3}};
    int n = N / 4;
    uint64_t pv = check_put(stage, v, sizeof got);
    struct stage_launch launch = {"scale_fours",
                                  {4, 1, 1},
                                  {64, 1, 1},
                                  0,
                                  3,
                                  {STAGE_ARGUMENT(pv), {&factor, 16, 16}, STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, got, pv, sizeof got))
        return -1;
    for (int i = 0; i < N; i++)
        if (got[i] != v[i] * factor.f[i % 4])
            return check_report("scale_fours", i, got[i], v[i] * factor.f[i % 4]);
    return 0;
}

int check_vectors(struct stage *stage)
{
    uint32_t random = 1;
    float a[N];
    float b[N];
    for (int i = 0; i < N; i++) {
        a[i] = check_random_float(&random);
        b[i] = check_random_float(&random);
    }
    return check_add(stage, a, b) || check_axpy(stage, a, b) || check_scale(stage, a) ? -1 : 0;
}

#define ROWS 40
#define INNER 50
#define COLUMNS 35

struct matrix {
    uint64_t cells;
    int rows, columns;
};

static int check_tiled(struct stage *stage)
{
    static float a[ROWS * INNER];
    static float b[INNER * COLUMNS];
    static float c[ROWS * COLUMNS];
    uint32_t random = 2;
    for (int i = 0; i < ROWS * INNER; i++)
        a[i] = check_random_float(&random);
    for (int i = 0; i < INNER * COLUMNS; i++)
        b[i] = check_random_float(&random);
    struct matrix left = {check_put(stage, a, sizeof a), ROWS, INNER};
    struct matrix right = {check_put(stage, b, sizeof b), INNER, COLUMNS};
    uint64_t pc = check_put(stage, NULL, sizeof c);
    struct stage_launch launch = {
        "tiled_product",
        {3, 3, 1},
        {16, 16, 1},
        0,
        3,
        {STAGE_ARGUMENT(left), STAGE_ARGUMENT(right), STAGE_ARGUMENT(pc)}};
    if (stage->launch(stage, &launch) || stage->read(stage, c, pc, sizeof c))
        return -1;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        float want = 0;
        for (int k = 0; k < INNER; k++)
            want = fmaf(a[i / COLUMNS * INNER + k], b[k * COLUMNS + i % COLUMNS], want);
        if (!check_near(c[i], want, 1e-5, 1e-5))
            return check_report("tiled_product", i, c[i], want);
    }
    return 0;
}

static int check_transpose(struct stage *stage)
{
    static uint16_t from[ROWS * COLUMNS];
    static uint16_t to[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        from[i] = (uint16_t)(i * 77);
    int rows = ROWS;
    int columns = COLUMNS;
    uint64_t pf = check_put(stage, from, sizeof from);
    uint64_t pt = check_put(stage, NULL, sizeof to);
    struct stage_launch launch = {
        "transpose",
        {3, 3, 1},
        {16, 16, 1},
        16 * 17 * 2,
        4,
        {STAGE_ARGUMENT(pf), STAGE_ARGUMENT(pt), STAGE_ARGUMENT(rows), STAGE_ARGUMENT(columns)}};
    if (stage->launch(stage, &launch) || stage->read(stage, to, pt, sizeof to))
        return -1;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        if (to[i % COLUMNS * ROWS + i / COLUMNS] != from[i])
            return check_report("transpose", i, to[i % COLUMNS * ROWS + i / COLUMNS], from[i]);
    return 0;
}

int check_products(struct stage *stage)
{
    return check_tiled(stage) || check_transpose(stage) ? -1 : 0;
}

#define LONG_N 3000

static int check_sums(struct stage *stage, const int *in)
{
    int n = LONG_N;
    int sum = 0;
    int most = in[0];
    int results[2] = {0, -2147483647};
    for (int i = 0; i < n; i++) {
        sum += in[i];
        most = in[i] > most ? in[i] : most;
    }
    uint64_t pi = check_put(stage, in, LONG_N * sizeof *in);
    uint64_t total = check_put(stage, results, sizeof results);
    uint64_t largest = total + 4;
    struct stage_launch launch = {
        "reduce",
        {3, 1, 1},
        {256, 1, 1},
        0,
        4,
        {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(n), STAGE_ARGUMENT(total), STAGE_ARGUMENT(largest)}};
    if (stage->launch(stage, &launch) || stage->read(stage, results, total, sizeof results))
        return -1;
    if (results[0] != sum)
        return check_report("sum", 0, results[0], sum);
    return results[1] == most ? 0 : check_report("largest", 0, results[1], most);
}

static int check_double_sum(struct stage *stage, const int *in)
{
    static double values[LONG_N];
    double want = 0;
    double got = 0;
    int n = LONG_N;
    for (int i = 0; i < n; i++) {
        values[i] = in[i] * 0.5; /* sums of these are exact in any order */
        want += values[i];
    }
    uint64_t pi = check_put(stage, values, sizeof values);
    uint64_t total = check_put(stage, NULL, sizeof got);
    struct stage_launch launch = {"reduce_double",
                                  {24, 1, 1},
                                  {128, 1, 1},
                                  128 * sizeof(double),
                                  3,
                                  {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(n), STAGE_ARGUMENT(total)}};
    if (stage->launch(stage, &launch) || stage->read(stage, &got, total, sizeof got))
        return -1;
    return got == want ? 0 : check_report("reduce_double", 0, got, want);
}

static int check_scan(struct stage *stage, const int *in)
{
    static int out[LONG_N];
    int n = LONG_N;
    uint64_t pi = check_put(stage, in, sizeof out);
    uint64_t po = check_put(stage, NULL, sizeof out);
    struct stage_launch launch = {"scan_block",
                                  {6, 1, 1},
                                  {512, 1, 1},
                                  0,
                                  3,
                                  {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(po), STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, out, po, sizeof out))
        return -1;
    int sum = 0;
    for (int i = 0; i < n; i++) {
        sum = i % 512 ? sum + in[i] : in[i];
        if (out[i] != sum)
            return check_report("scan_block", i, out[i], sum);
    }
    return 0;
}

int check_reductions(struct stage *stage)
{
    static int in[LONG_N];
    uint32_t random = 3;
    for (int i = 0; i < LONG_N; i++)
        in[i] = (int)(check_random(&random) % 20001) - 10000;
    return check_sums(stage, in) || check_double_sum(stage, in) || check_scan(stage, in) ? -1 : 0;
}

static int check_bins(struct stage *stage, const uint8_t *data, const char *kernel, unsigned count,
                      unsigned blocks)
{
    unsigned bins[64];
    unsigned want[64] = {0};
    int n = LONG_N;
    for (int i = 0; i < n; i++)
        want[data[i] % count]++;
    uint64_t pd = check_put(stage, data, LONG_N);
    uint64_t pb = check_put(stage, NULL, sizeof bins);
    struct stage_launch launch = {
        kernel,      {blocks, 1, 1},
        {256, 1, 1}, 0,
        3,           {STAGE_ARGUMENT(pd), STAGE_ARGUMENT(n), STAGE_ARGUMENT(pb)}};
    if (stage->launch(stage, &launch) || stage->read(stage, bins, pb, sizeof bins))
        return -1;
    for (unsigned i = 0; i < count; i++)
        if (bins[i] != want[i])
            return check_report(kernel, i, bins[i], want[i]);
    return 0;
}

int check_histograms(struct stage *stage)
{
    static uint8_t data[LONG_N];
    uint32_t random = 4;
    for (int i = 0; i < LONG_N; i++)
        data[i] = (uint8_t)check_random(&random);
    return check_bins(stage, data, "histogram", 64, 4) ||
                   check_bins(stage, data, "histogram_ballot", 4, 12)
               ? -1
               : 0;
}

static int compare_keys(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int check_bitonic(struct stage *stage)
{
    uint32_t keys[512];
    uint32_t got[512];
    uint32_t random = 5;
    for (int i = 0; i < 512; i++)
        keys[i] = check_random(&random);
    uint64_t pk = check_put(stage, keys, sizeof keys);
    struct stage_launch launch = {"bitonic", {2, 1, 1}, {256, 1, 1}, 0, 1, {STAGE_ARGUMENT(pk)}};
    if (stage->launch(stage, &launch) || stage->read(stage, got, pk, sizeof got))
        return -1;
    qsort(keys, 256, sizeof *keys, compare_keys);
    qsort(keys + 256, 256, sizeof *keys, compare_keys);
    for (int i = 0; i < 512; i++)
        if (got[i] != keys[i])
            return check_report("bitonic", i, got[i], keys[i]);
    return 0;
}

#define WIDTH 37
#define HEIGHT 21

static uint8_t next_cell(const uint8_t *from, int x, int y)
{
    int neighbours = 0;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            if (dx || dy)
                neighbours += from[(y + dy + HEIGHT) % HEIGHT * WIDTH + (x + dx + WIDTH) % WIDTH];
    return neighbours == 3 || (neighbours == 2 && from[y * WIDTH + x]);
}

static int check_life(struct stage *stage)
{
    uint8_t from[WIDTH * HEIGHT];
    uint8_t to[WIDTH * HEIGHT];
    uint32_t random = 6;
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        from[i] = check_random(&random) & 1;
    int width = WIDTH;
    int height = HEIGHT;
    uint64_t pf = check_put(stage, from, sizeof from);
    uint64_t pt = check_put(stage, NULL, sizeof to);
    struct stage_launch launch = {
        "life",
        {5, 6, 1},
        {8, 4, 1},
        0,
        4,
        {STAGE_ARGUMENT(pf), STAGE_ARGUMENT(pt), STAGE_ARGUMENT(width), STAGE_ARGUMENT(height)}};
    if (stage->launch(stage, &launch) || stage->read(stage, to, pt, sizeof to))
        return -1;
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        if (to[i] != next_cell(from, i % WIDTH, i / WIDTH))
            return check_report("life", i, to[i], next_cell(from, i % WIDTH, i / WIDTH));
    return 0;
}

int check_sorting(struct stage *stage)
{
    return check_bitonic(stage) || check_life(stage) ? -1 : 0;
}

/* The table of checks, and the loop over it. */
#include "checks.h"

#include <stdio.h>
#include <stdlib.h>

const struct check checks[] = {
    {"vector_add", check_vectors},
    {"product", check_products},
    {"reduce", check_reductions},
    {"histogram", check_histograms},
    {"nbody", check_nbody},
    {"mandelbrot", check_mandelbrot},
    {"mathematics", check_mathematics},
    {"recursion", check_recursion},
    {"locks", check_locks},
    {"bits", check_bits},
    {"sorting", check_sorting},
};
const size_t check_count = sizeof checks / sizeof *checks;

static int run_check(struct stage *stage, const struct check *check, const char *architecture)
{
    char *ptx = compile_kernels(check->file, architecture);
    int status = ptx ? stage->load(stage, ptx) : -1;
    if (status == 0)
        status = check->run(stage);
    printf("%s %s for %s on the %s\n", status ? "FAILED" : "ok", check->file, architecture,
           stage->name);
    fflush(stdout);
    free(ptx);
    return status ? 1 : 0;
}

int stage_run_checks(struct stage *stage)
{
    static const char *const architectures[] = {"compute_75", "compute_90"};
    const char *only = getenv("WEFT_ONLY");
    int failed = 0;
    for (size_t i = 0; i < check_count; i++)
        for (size_t a = 0; a < 2; a++)
            if (!only || strcmp(only, checks[i].file) == 0)
                failed += run_check(stage, &checks[i], architectures[a]);
    printf("%d failed\n", failed);
    return failed;
}

uint32_t check_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8 | *state << 24;
}

float check_random_float(uint32_t *state)
{
    return (float)(int32_t)check_random(state) * 0x1p-28f;
}

uint64_t check_put(struct stage *stage, const void *data, size_t bytes)
{
    uint64_t address = stage->alloc(stage, bytes);
    if (address && data && stage->write(stage, address, data, bytes))
        return 0;
    return address;
}

bool check_near(double got, double want, double relative, double absolute)
{
    if (isnan(want))
        return isnan(got);
    if (isinf(want))
        return got == want;
    return fabs(got - want) <= relative * fabs(want) + absolute;
}

int check_report(const char *what, long index, double got, double want)
{
    printf("%s[%ld] is %.17g, not %.17g\n", what, index, got, want);
    return -1;
}

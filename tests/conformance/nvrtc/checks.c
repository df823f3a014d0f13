/* The loop over the table of checks, and what they share. */
#include "checks.h"

#include <stdio.h>
#include <stdlib.h>

static int run_check(struct stage *stage, const struct check *check, unsigned architecture)
{
    char *ptx = compile_kernels(check->file, architecture);
    int status = ptx ? stage->load(stage, ptx) : -1;
    if (status == 0)
        status = check->run(stage);
    printf("%s %s for compute_%u on the %s\n", status ? "FAILED" : "ok", check->file, architecture,
           stage->name);
    fflush(stdout);
    free(ptx);
    return status ? 1 : 0;
}

int stage_run_checks(struct stage *stage, unsigned oldest, unsigned newest)
{
    const char *only = getenv("WEFT_ONLY");
    int failed = 0;
    for (size_t i = 0; i < check_count; i++) {
        if (only && strcmp(only, checks[i].file) != 0)
            continue;
        for (const unsigned *architecture = check_architectures; *architecture; architecture++)
            if (*architecture >= checks[i].least && *architecture >= oldest &&
                *architecture <= newest)
                failed += run_check(stage, &checks[i], *architecture);
    }
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

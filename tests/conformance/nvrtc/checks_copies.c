/* Copies that the kernels call asynchronous, and clusters of blocks. */
#include <stdio.h>

#include "checks.h"

#define BLOCKS 3
#define COUNT (512 * BLOCKS) /* words, 512 a block */
#define THREADS 128

static int check_copy(struct stage *stage, const char *kernel, const uint32_t *in)
{
    uint32_t out[COUNT];
    uint64_t from = check_put(stage, in, sizeof out);
    uint64_t to = check_put(stage, NULL, sizeof out);
    struct stage_launch launch = {
        kernel, {BLOCKS, 1, 1}, {THREADS, 1, 1}, 0, 2, {STAGE_ARGUMENT(from), STAGE_ARGUMENT(to)},
        0};
    if (stage->launch(stage, &launch) || stage->read(stage, out, to, sizeof out))
        return -1;
    for (int i = 0; i < COUNT; i++)
        if (out[i] != 3 * in[i] + 1)
            return check_report(kernel, i, out[i], 3 * in[i] + 1);
    return 0;
}

int check_copies(struct stage *stage)
{
    static const char *const kernels[] = {"by_barrier", "by_tokens", "by_pipeline",  "by_roles",
                                          "by_groups",  "by_tile",   "by_primitives"};
    uint32_t in[COUNT], random = 7;
    int status = 0;
    for (int i = 0; i < COUNT; i++)
        in[i] = check_random(&random);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        status |= check_copy(stage, kernels[i], in);
    return status;
}

#define VALUES 4096
#define RANKS_MAX 8
#define BINS (32 * RANKS_MAX)

static int check_histogram(struct stage *stage, const uint32_t *in, unsigned ranks)
{
    uint32_t got[BINS], want[BINS] = {0};
    int count = VALUES;
    uint64_t from = check_put(stage, in, VALUES * sizeof *in);
    uint64_t to = check_put(stage, NULL, sizeof got);
    struct stage_launch launch = {"spread_histogram",
                                  {16, 1, 1},
                                  {64, 1, 1},
                                  0,
                                  3,
                                  {STAGE_ARGUMENT(from), STAGE_ARGUMENT(to), STAGE_ARGUMENT(count)},
                                  ranks};
    if (stage->launch(stage, &launch) || stage->read(stage, got, to, sizeof got))
        return -1;
    for (int i = 0; i < VALUES; i++)
        want[in[i] % (ranks * 32)]++;
    for (unsigned i = 0; i < BINS; i++)
        if (got[i] != want[i])
            return check_report("spread_histogram", i, got[i], want[i]);
    return 0;
}

/* Each block of 64 threads reads its neighbour's in a cluster of four, the other way round. */
static int check_ring(struct stage *stage, const uint32_t *in)
{
    uint32_t got[1024];
    int count = 1024;
    uint64_t from = check_put(stage, in, sizeof got);
    uint64_t to = check_put(stage, NULL, sizeof got);
    struct stage_launch launch = {
        "ring", {16, 1, 1}, {64, 1, 1},
        0,      3,          {STAGE_ARGUMENT(from), STAGE_ARGUMENT(to), STAGE_ARGUMENT(count)},
        0};
    if (stage->launch(stage, &launch) || stage->read(stage, got, to, sizeof got))
        return -1;
    for (uint32_t i = 0; i < 1024; i++) {
        uint32_t block = i / 64, rank = block % 4, next = (rank + 1) % 4;
        uint32_t want =
            in[(block - rank + next) * 64 + 63 - i % 64] + 1000 * next + 400000 + 1000000 * rank;
        if (got[i] != want)
            return check_report("ring", i, got[i], want);
    }
    return 0;
}

int check_clusters(struct stage *stage)
{
    uint32_t in[VALUES], random = 11;
    int status = 0;
    for (int i = 0; i < VALUES; i++)
        in[i] = check_random(&random);
    for (unsigned ranks = 1; ranks <= RANKS_MAX; ranks *= 2)
        status |= check_histogram(stage, in, ranks);
    status |= check_ring(stage, in);
    return status | check_copy(stage, "by_bulk", in);
}

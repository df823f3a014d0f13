/* Recursion, locks and integers. */
#include <stdlib.h>

#include "checks.h"

#define THREADS 48

static unsigned ackermann(unsigned m, unsigned n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static int step(int which, int a, int b)
{
    return which == 0 ? a + b : which == 1 ? a - b : 2 * a + b;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;
    return x < y ? -1 : x > y;
}

static int look_at_values(const unsigned *values)
{
    for (int i = 0; i < THREADS; i++) {
        int total = 1;
        for (int k = 0; k < 5; k++)
            total = step((i + k) % 3, total, k + i);
        unsigned area = (unsigned)(i % 2 ? 3 * i : -i);
        unsigned want[3] = {ackermann((unsigned)i % 3, (unsigned)i % 5), (unsigned)total, area};
        for (int k = 0; k < 3; k++)
            if (values[4 * i + k] != want[k])
                return check_report("recursion", 4 * i + k, values[4 * i + k], want[k]);
    }
    return 0;
}

int check_recursion(struct stage *stage)
{
    static int in[16 * THREADS];
    static int out[16 * THREADS];
    unsigned values[4 * THREADS];
    uint32_t random = 9;
    for (int i = 0; i < 16 * THREADS; i++)
        in[i] = (int)check_random(&random);
    uint64_t pi = check_put(stage, in, sizeof in);
    uint64_t po = check_put(stage, NULL, sizeof out);
    uint64_t pv = check_put(stage, NULL, sizeof values);
    struct stage_launch launch = {
        "recursion", {THREADS / 16, 1, 1},
        {16, 1, 1},  0,
        3,           {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(po), STAGE_ARGUMENT(pv)}};
    if (stage->launch(stage, &launch) || stage->read(stage, out, po, sizeof out) ||
        stage->read(stage, values, pv, sizeof values))
        return -1;
    for (int i = 0; i < THREADS; i++)
        qsort(in + 16 * i, 16, sizeof *in, compare_ints);
    for (int i = 0; i < 16 * THREADS; i++)
        if (out[i] != in[i])
            return check_report("sort", i, out[i], in[i]);
    return look_at_values(values);
}

static int check_spin_lock(struct stage *stage)
{
    int order[96];
    int counter = 0;
    int seen[96] = {0};
    uint64_t lock = check_put(stage, NULL, 4);
    uint64_t pc = check_put(stage, NULL, 4);
    uint64_t po = check_put(stage, NULL, sizeof order);
    struct stage_launch launch = {
        "spin_lock", {2, 1, 1}, {48, 1, 1},
        0,           3,         {STAGE_ARGUMENT(lock), STAGE_ARGUMENT(pc), STAGE_ARGUMENT(po)}};
    if (stage->launch(stage, &launch) || stage->read(stage, order, po, sizeof order) ||
        stage->read(stage, &counter, pc, sizeof counter))
        return -1;
    for (int i = 0; i < 96; i++)
        if (order[i] < 0 || order[i] >= 96 || seen[order[i]]++)
            return check_report("spin_lock", i, order[i], -1);
    return counter == 96 ? 0 : check_report("spin_lock's counter", 0, counter, 96);
}

int check_locks(struct stage *stage)
{
    int log[4];
    if (check_spin_lock(stage))
        return -1;
    uint64_t turn = check_put(stage, NULL, 4);
    uint64_t pl = check_put(stage, NULL, sizeof log);
    struct stage_launch launch = {"relay", {1, 1, 1}, {128, 1, 1},
                                  0,       2,         {STAGE_ARGUMENT(turn), STAGE_ARGUMENT(pl)}};
    if (stage->launch(stage, &launch) || stage->read(stage, log, pl, sizeof log))
        return -1;
    for (int i = 0; i < 4; i++)
        if (log[i] != 100 + i)
            return check_report("relay", i, log[i], 100 + i);
    return 0;
}

#define ROWS 300
#define FIELDS 12

static uint32_t reversed(uint32_t value)
{
    uint32_t result = 0;
    for (int i = 0; i < 32; i++)
        result |= (value >> i & 1) << (31 - i);
    return result;
}

static uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++)
        result |= (uint32_t)(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return result;
}

static uint32_t product24(uint32_t a, uint32_t b)
{
    return (uint32_t)(((int32_t)(a << 8) >> 8) * (int64_t)((int32_t)(b << 8) >> 8));
}

static uint64_t switched(uint32_t a, uint32_t b)
{
    switch (a % 11) {
    case 0:
        return a / 7;
    case 1:
        return b / 13;
    case 2:
    case 3:
        return a - b;
    case 4:
        return (uint32_t)((int32_t)a >> b % 32);
    case 7:
        return a << b % 32;
    case 9:
        return (uint64_t)(int64_t)((uint8_t)a * (int16_t)b);
    default:
        return (uint32_t)(((int64_t)(int32_t)a * (int32_t)b) >> 32);
    }
}

static void host_bits(uint32_t a, uint32_t b, unsigned i, uint64_t *row)
{
    static const unsigned table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    uint64_t wide = (uint64_t)a << 32 | b;
    unsigned shift = i & 31;
    row[0] = wide * 0x9e3779b97f4a7c15ull;
    row[1] = wide / b;
    row[2] = (uint64_t)((int64_t)wide % (int64_t)(b >> 3 | 1));
    row[3] = (uint64_t)((unsigned __int128)wide * ~wide >> 64);
    row[4] = (uint64_t)__builtin_popcount(a) << 32 | (unsigned)__builtin_clz(b);
    row[5] = (uint64_t)reversed(a) << 32 | permuted(a, b, 0x3715);
    row[6] =
        ((((uint64_t)b << 32 | a) << shift) & 0xffffffff00000000) | (unsigned)__builtin_ffs((int)a);
    row[7] = table[a % 8] + 10 * table[b % 8];
    row[8] = switched(a, b);
    row[9] = product24(a, b);
    row[10] = (uint64_t)(int64_t)(int8_t)a;
    row[11] = (uint64_t)(a * b) ^ (a > b ? a - b + 5 : b - a + 5);
}

int check_bits(struct stage *stage)
{
    static uint32_t in[2 * ROWS];
    static uint64_t out[FIELDS * ROWS];
    uint32_t random = 10;
    uint64_t total = 0;
    uint64_t got_total;
    int n = ROWS;
    for (int i = 0; i < 2 * ROWS; i++)
        in[i] = check_random(&random);
    uint64_t pi = check_put(stage, in, sizeof in);
    uint64_t po = check_put(stage, NULL, sizeof out);
    struct stage_launch launch = {
        "bits", {5, 1, 1}, {64, 1, 1},
        0,      3,         {STAGE_ARGUMENT(pi), STAGE_ARGUMENT(po), STAGE_ARGUMENT(n)}};
    if (stage->launch(stage, &launch) || stage->read(stage, out, po, sizeof out))
        return -1;
    for (unsigned i = 0; i < ROWS; i++) {
        uint64_t row[FIELDS];
        host_bits(in[2 * i], in[2 * i + 1] | 1, i, row);
        total += in[2 * i];
        for (int k = 0; k < FIELDS; k++)
            if (out[FIELDS * i + (unsigned)k] != row[k])
                return check_report("bits", FIELDS * (int)i + k,
                                    (double)out[FIELDS * i + (unsigned)k], (double)row[k]);
    }
    struct stage_launch get = {"get_total", {1, 1, 1}, {1, 1, 1}, 0, 1, {STAGE_ARGUMENT(po)}};
    if (stage->launch(stage, &get) || stage->read(stage, &got_total, po, sizeof got_total))
        return -1;
    return got_total == total ? 0 : check_report("total", 0, (double)got_total, (double)total);
}

/* random_test [COUNT]: random kernels equal the reference, in long and short turns, on every
 * instruction set. The kernels of WEFT_SEED and the numbers behind it are run; without it, always
 * the same. A failure prints the seed, the kernel and the first register that differs. Breaks where
 * any combination of instructions that compilers write is executed otherwise than one thread after
 * the other would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "generator.h"

#define KERNELS_DEFAULT 500
#define GRID 2u
#define RECORDS (GRID * GENERATOR_THREADS)
#define HEAP_BYTES (64u << 10)
#define IO_BYTES (GENERATOR_COUNTER_BYTES + RECORDS * GENERATOR_RECORD_BYTES)

static void fill(struct rig *rig, uint64_t in, uint64_t seed)
{
    const struct generator_register *list;
    size_t count = generator_registers(&list);
    struct dice dice = {~seed};
    uint8_t *host = rig_host(rig, in);
    for (uint32_t record = 0; record < RECORDS; record++)
        for (size_t i = 0; i < count; i++) {
            uint64_t value = kind_random(list[i].kind, &dice);
            unsigned bytes = list[i].kind == 'p' ? 4 : kind_bits(list[i].kind) / 8;
            memcpy(host + record * GENERATOR_RECORD_BYTES + list[i].offset, &value, bytes);
        }
}

static void explain(uint64_t out, uint64_t address)
{
    const struct generator_register *list;
    size_t count = generator_registers(&list);
    uint64_t offset = address - out - GENERATOR_COUNTER_BYTES;
    if (offset >= (uint64_t)RECORDS * GENERATOR_RECORD_BYTES)
        return;
    unsigned place = (unsigned)(offset % GENERATOR_RECORD_BYTES);
    for (size_t i = count; i-- > 0;)
        if (list[i].offset <= place) {
            printf("thread %lu, from register %%%c%u on\n",
                   (unsigned long)(offset / GENERATOR_RECORD_BYTES), list[i].kind, list[i].index);
            return;
        }
}

static int run_seed(struct rig *rig, uint64_t seed)
{
    static struct generator generator;
    static const uint64_t short_turns[] = {1, 2, 3, 7, 20};
    struct rig_program program;
    struct weft_err err = {0};
    uint64_t different = 0;
    generator_make(&generator, seed);
    rig_reset(rig);
    int status = rig_load(rig, generator.text, &program, &err);
    if (status) {
        printf("seed %lu: %s\n%s", (unsigned long)seed, err.text, generator.text);
        return status;
    }
    uint64_t params[2] = {rig_alloc(rig, IO_BYTES), rig_alloc(rig, IO_BYTES)};
    uint64_t budgets[2] = {0, short_turns[seed % 5]};
    fill(rig, params[1], seed);
    struct rig_run run = {.entry = "kernel",
                          .params = params,
                          .params_bytes = sizeof params,
                          .grid = {GRID, 1, 1},
                          .block = {GENERATOR_THREADS, 1, 1},
                          .heap_base = rig_alloc(rig, HEAP_BYTES),
                          .heap_bytes = HEAP_BYTES};
    status = compare_run(rig, &program, &run, budgets, 2, &different);
    rig_unload(&program);
    if (status) {
        printf("seed %lu\n", (unsigned long)seed);
        explain(params[0], different);
        printf("%s", generator.text);
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *text = getenv("WEFT_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 1;
    long count = argc > 1 ? strtol(argv[1], NULL, 0) : KERNELS_DEFAULT;
    struct rig rig;
    rig_init(&rig);
    int status = 0;
    long done = 0;
    while (done < count && status == 0)
        status = run_seed(&rig, seed + (uint64_t)done++);
    rig_finish(&rig);
    printf("%ld kernels from seed %lu on: %s\n", done, (unsigned long)seed,
           status ? "the last one differs" : "all equal the reference");
    return status ? 1 : 0;
}
